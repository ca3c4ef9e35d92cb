/* SPDX-License-Identifier: Apache-2.0 */
/* Completion of the last word of a command line: commands, parameter names, and values that live objects have. Whatever
 * goes wrong completes nothing: a shell must not show errors here. */
#include <string.h>

#include "xe/xe_int.h"

static void offer(struct xe *x, const char *prefix, const char *start, const char *text,
                  const char *end)
{
    AUTO(free_str) char *word = str_fmt("%s%s%s", start, text, end);
    if (str_starts(word, prefix))
        xe_out(x, "%s\n", word);
}

static void complete_command(struct xe *x, const char *prefix)
{
    static const char *const verbs[] = { "-list",        "-param-list", "-param-get",
                                         "-param-set",   "-param-add",  "-param-clear",
                                         "-param-remove" };
    for (size_t i = 0; i < xe_n_commands; i++) {
        const struct xe_command *c = &xe_commands[i];
        if (!c->hidden && (c->call || xe_function(c->name)))
            offer(x, prefix, "", c->name, "");
    }
    for (size_t i = 0; i < xe_n_kinds; i++) {
        for (size_t j = 0; xe_kinds[i].cls && j < ARRAY_SIZE(verbs); j++)
            offer(x, prefix, xe_kinds[i].name, verbs[j], "");
    }
    offer(x, prefix, "", "help", "");
}

/* Words of text, each with an end. */
static void offer_words(struct xe *x, const char *prefix, const char *words)
{
    AUTO(free_str) char *copy = str_dup(words);
    for (char *p = copy, *word; (word = strsep(&p, " "));) {
        if (*word)
            offer(x, prefix, "", word, "=");
    }
}

static void offer_fields(struct xe *x, const char *prefix, const struct xe_kind *k,
                         const char *start, const char *end, unsigned needed)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        const struct xe_field *f = &k->fields[i];
        if (!(f->flags & XE_HIDDEN) && (!needed || f->flags & needed))
            offer(x, prefix, start, f->name, f->flags & XE_MAP && *end == '=' ? ":" : end);
    }
}

/* Texts of one field of all objects of the kind. */
static void offer_values(struct xe *x, const char *prefix, const char *start,
                         const struct xe_kind *k, const char *field)
{
    const struct xe_field *f = xe_kind_field(k, field, strlen(field));
    AUTO(err_done) struct err ignored = { 0 };
    json_t *all, *rec;
    const char *ref;
    x->bulk = true;
    if (!f || !k->cls || xe_all(x, k->cls, &all, &ignored) < 0)
        return;
    json_object_foreach(all, ref, rec)
    {
        AUTO(err_done) struct err e = { 0 };
        AUTO(json_drop) json_t *v = NULL;
        if (!xe_kind_has(k, rec) || xe_eval(x, k->cls, ref, rec, f->path, &v, &e) < 0 || !v)
            continue;
        AUTO(free_str) char *text = xe_value_text(v, f->flags, f->path);
        offer(x, prefix, start, text, "");
    }
}

/* The kind whose objects a parameter names: "sr-uuid", "vm", or the class in the command's row. */
static const struct xe_kind *kind_of_param(const struct xe_command *cmd, const char *param)
{
    for (size_t i = 0; cmd && i < cmd->n_args; i++) {
        const struct xe_arg *a = &cmd->args[i];
        if (a->type != XE_REF || !word_in(a->param, param))
            continue;
        for (size_t j = 0; j < xe_n_kinds; j++) {
            bool same = str_eq(xe_kinds[j].cls, a->detail);
            bool wanted = !str_starts(cmd->name, "snapshot-")
                          || str_eq(xe_kinds[j].name, "snapshot")
                          || !str_eq(a->detail, "VM");
            bool other = str_eq(xe_kinds[j].name, "snapshot")
                         && !str_starts(cmd->name, "snapshot-");
            if (same && wanted && !other && !str_eq(xe_kinds[j].name, "template"))
                return &xe_kinds[j];
        }
    }
    size_t len = strlen(param);
    if (len > 5 && str_eq(param + len - 5, "-uuid"))
        len -= 5;
    AUTO(free_str) char *name = str_dupn(param, len);
    return xe_kind(name);
}

static void complete_value(struct xe *x, const struct xe_command *cmd,
                           const struct xe_kind *k, const char *verb, const char *last)
{
    AUTO(free_str) char *param = str_dupn(last, strcspn(last, "="));
    AUTO(free_str) char *start = str_fmt("%s=", param);
    if (k && (str_eq(param, "params") || str_eq(param, "param-name"))) {
        AUTO(free_str)
        char *before = str_dup(last); /* what is typed up to the last comma stays */
        char *cut = strrchr(before, ',') ? strrchr(before, ',') : strchr(before, '=');
        cut[1] = '\0';
        offer_fields(x, last, k, before, "", 0);
        return;
    }
    if (k) {
        offer_values(x, last, start, k, param);
        return;
    }
    if (cmd && str_eq(param, "template")) {
        offer_values(x, last, start, xe_kind("template"), "name-label");
        return;
    }
    const struct xe_kind *named = kind_of_param(cmd, param);
    if (!named && cmd && cmd->selects
        && xe_kind_field(xe_kind(cmd->selects), param, strlen(param))) {
        offer_values(x, last, start, xe_kind(cmd->selects), param);
        return;
    }
    if (!named)
        return;
    if (!str_ends(param, "uuid"))
        offer_values(x, last, start, named, "name-label");
    offer_values(x, last, start, named, "uuid");
}

static void complete_param(struct xe *x, const struct xe_command *cmd,
                           const struct xe_kind *k, const char *verb, const char *last)
{
    if (cmd) {
        offer_words(x, last, cmd->required);
        offer_words(x, last, cmd->optional);
        if (cmd->selects) {
            offer(x, last, "", cmd->selects, "=");
            offer(x, last, "", "uuid", "=");
            offer(x, last, "", "--multiple", "");
        }
    } else if (k && str_eq(verb, "list")) {
        offer(x, last, "", "params", "=");
        offer_fields(x, last, k, "", "=", 0);
    } else if (k) {
        offer(x, last, "", "uuid", "=");
        if (str_eq(verb, "param-set"))
            offer_fields(x, last, k, "", "=", XE_SET | XE_ADD);
        else if (!str_eq(verb, "param-list"))
            offer_words(x, last,
                        str_eq(verb, "param-clear") ? "param-name"
                                                    : "param-name param-key");
    }
    offer(x, last, "", "--minimal", "");
}

int xe_complete(const struct xe_env *env, int argc, const char *const *argv)
{
    struct xe x = { .env = env };
    const char *verb = NULL;
    if (argc <= 1) {
        complete_command(&x, argc ? argv[0] : "");
        return 0;
    }
    x.name = argv[0];
    const char *last = argv[argc - 1];
    const struct xe_command *cmd = xe_command(x.name);
    const struct xe_kind *k = cmd ? NULL : xe_kind_command(x.name, &verb);
    if (str_eq(x.name, "help"))
        complete_command(&x, last);
    else if (strchr(last, '='))
        complete_value(&x, cmd, k, verb, last);
    else
        complete_param(&x, cmd, k, verb, last);
    json_decref(x.cache);
    json_decref(x.whole);
    return 0;
}
