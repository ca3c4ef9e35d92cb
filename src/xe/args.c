/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a command line: "key=value", "key:sub=value", "--flag". Which of them are filters is known only after
 * the command has taken what it knows, so each remembers whether it was used. */
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "xe/when.h"
#include "xe/xe_int.h"

bool word_in(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = words; p && *p;) {
        size_t n = strcspn(p, " |");
        if (n == len && memcmp(p, word, len) == 0)
            return true;
        p += n;
        p += *p != 0;
    }
    return false;
}

static void add(struct xe *x, const char *key, size_t key_len, const char *value)
{
    struct xe_param p = { str_dupn(key, key_len), str_dup(value), false };
    vec_push(&x->params, p);
}

/* --at MOMENT, of list and param commands. */
static int take_moment(struct xe *x, const char *text, struct err *err)
{
    free(x->at);
    x->at = text ? when_text(text, clock_wall_us()) : NULL;
    if (x->at)
        return 0;
    (void)err_set(err, XE_USAGE);
    return err_detail(err,
                      "--at needs a moment, such as '2 hours ago' or 2026-01-31T12:00:00Z");
}

int xe_params_parse(struct xe *x, int argc, const char *const *argv, struct err *err)
{
    size_t n_bare = 0;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i], *eq = strchr(a, '='), *bare;
        if (str_eq(a, "--at") || str_starts(a, "--at=")) {
            const char *text = a[4] ? a + 5 : i + 1 < argc ? argv[++i] : NULL;
            if (take_moment(x, text, err) < 0)
                return -1;
        } else if (eq && eq > a)
            add(x, a, (size_t)(eq - a), eq + 1);
        else if (str_starts(a, "--") && a[2])
            add(x, a + 2, strlen(a + 2), "true");
        else if ((bare = xe_bare_word(x->name, n_bare++, a)))
            add(x, bare, strlen(bare), a);
        else {
            (void)err_set(err, XE_USAGE);
            return err_detail(err, "Syntax error: '%s' is not key=value", a);
        }
    }
    x->minimal = xe_flag(x, "minimal");
    x->multiple = xe_flag(x, "multiple");
    x->json = x->json || xe_flag(x, "json");
    (void)xe_flag(x, "trace");
    return 0;
}

const char *xe_param(struct xe *x, const char *names)
{
    for (size_t i = 0; i < x->params.n; i++) {
        struct xe_param *p = &x->params.v[i];
        if (word_in(names, p->key)) {
            p->used = true;
            return p->value;
        }
    }
    return NULL;
}

bool xe_flag(struct xe *x, const char *name)
{
    const char *value = xe_param(x, name);
    bool on = false;
    return value && parse_bool(value, &on) && on;
}

int xe_need(struct xe *x, const char *names, const char **value_out, struct err *err)
{
    const char *value = xe_param(x, names);
    if (!value) {
        (void)err_set(err, XE_USAGE);
        return err_detail(err, "Required parameter not found: %.*s",
                          (int)strcspn(names, "|"), names);
    }
    *value_out = value;
    return 0;
}

json_t *xe_param_map(struct xe *x, const char *name)
{
    json_t *map = json_object();
    size_t len = strlen(name);
    for (size_t i = 0; i < x->params.n; i++) {
        struct xe_param *p = &x->params.v[i];
        /* "driver-params-x" is how xe writes one of the maps. */
        if (strncmp(p->key, name, len) != 0 || !strchr(":-", p->key[len]) || !p->key[len]
            || !p->key[len + 1])
            continue;
        if (p->key[len] == '-' && !str_eq(name, "driver-params"))
            continue;
        p->used = true;
        json_object_set_new(map, p->key + len + 1, json_string(p->value));
    }
    return map;
}

int xe_params_check(struct xe *x, const struct xe_command *cmd, struct err *err)
{
    AUTO(free_str) char *words = str_dup(cmd->required);
    for (char *p = words, *word; (word = strsep(&p, " "));) {
        const char *value;
        if (*word && xe_need(x, word, &value, err) < 0)
            return -1;
    }
    bool trial = word_in(cmd->optional, "dry-run") && xe_flag(x, "dry-run");
    if (cmd->forced && !trial && !xe_flag(x, "force"))
        return xe_fail(err, "This cannot be undone and may lose data. If it is what you "
                            "want, say so with --force");
    return 0;
}

int xe_params_all_used(struct xe *x, const struct xe_command *cmd, struct err *err)
{
    for (size_t i = 0; i < x->params.n; i++) {
        const struct xe_param *p = &x->params.v[i];
        AUTO(free_str) char *key = str_dupn(p->key, strcspn(p->key, ":"));
        if (word_in(cmd->ignored, key))
            return xe_fail(err, "Parameter not yet served: %s", p->key);
        if (p->used || str_eq(p->key, "force"))
            continue;
        (void)err_set(err, XE_USAGE);
        return err_detail(err, "Unknown parameter: %s", p->key);
    }
    return 0;
}

void xe_params_take(struct xe *x, const struct xe_command *cmd)
{
    for (size_t i = 0; i < x->params.n; i++) {
        struct xe_param *p = &x->params.v[i];
        AUTO(free_str) char *key = str_dupn(p->key, strcspn(p->key, ":"));
        if (word_in(cmd->required, key)
            || (word_in(cmd->optional, key) && !word_in(cmd->ignored, key)))
            p->used = true;
    }
}
