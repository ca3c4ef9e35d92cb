/* SPDX-License-Identifier: Apache-2.0 */
/* One command line from its words to its exit status. Owns nothing between runs, touches no file and no socket; runs
 * on the thread that called it. */
#include "xe/xe.h"

#include <string.h>

#include "xe/xe_int.h"

const struct xe_function *xe_function(const char *name)
{
    const struct xe_function *const tables[] = { xe_vm_functions,   xe_disk_functions,
                                                 xe_misc_functions, xe_file_functions,
                                                 xe_past_functions, xe_more_functions };
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct xe_function *f = tables[i]; f->name; f++) {
            if (str_eq(f->name, name))
                return f;
        }
    }
    return NULL;
}

int xe_not_served(struct xe *x, struct err *err)
{
    const struct xe_command *cmd = xe_command(x->name);
    const char *why = cmd ? cmd->why_not : "this version of the API has no such objects";
    xe_errout(x, "Command not served: %s: %s\n", x->name, why ? why : "");
    return err_set(err, XE_QUIET);
}

static void help_command(struct xe *x, const struct xe_command *cmd)
{
    xe_out(x, "command name: %s\n", cmd->name);
    xe_out(x, "required params: %s\n", cmd->required);
    xe_out(x, "optional params: %s\n", cmd->optional);
    if (cmd->selects)
        xe_out(x,
               "selects: %s=NAME-OR-UUID or filters on the fields of a %s; --multiple for "
               "several\n",
               cmd->selects, cmd->selects);
    if (cmd->why_not)
        xe_out(x, "This command is not served: %s.\n", cmd->why_not);
}

static void help_kind(struct xe *x, const char *name, const struct xe_kind *k)
{
    xe_out(x, "command name: %s\nfields of %s:", name, k->name);
    for (size_t i = 0; i < k->n_fields; i++) {
        if (!(k->fields[i].flags & XE_HIDDEN))
            xe_out(x, " %s", k->fields[i].name);
    }
    xe_out(x, "\n");
}

static int help_one(struct xe *x, const char *name, struct err *err)
{
    const char *verb;
    const struct xe_command *cmd = xe_command(name);
    const struct xe_kind *k = cmd ? NULL : xe_kind_command(name, &verb);
    if (cmd)
        help_command(x, cmd);
    else if (k)
        help_kind(x, name, k);
    else {
        (void)err_set(err, XE_USAGE);
        return err_detail(err, "Unknown command: %s", name);
    }
    return 0;
}

static int help(struct xe *x, int argc, const char *const *argv, struct err *err)
{
    if (argc > 0 && !str_eq(argv[0], "--all")) {
        for (int i = 0; i < argc; i++) {
            if (help_one(x, argv[i], err) < 0)
                return -1;
        }
        return 0;
    }
    xe_out(x, "Usage: xe [-s server] [-p port] ([-u username] [-pw password] or [-pwf "
              "file]) command [key=value ...]\n\n"
              "Every kind of object has KIND-list [params=a,b|all] [field=value ...] and, "
              "with uuid=,\n"
              "KIND-param-list, -param-get, -param-set, -param-add, -param-remove, "
              "-param-clear.\n"
              "Kinds:");
    for (size_t i = 0; i < xe_n_kinds; i++)
        xe_out(x, " %s", xe_kinds[i].name);
    xe_out(x, "\n\nCommands (xe help COMMAND shows the parameters):\n");
    for (size_t i = 0; i < xe_n_commands; i++) {
        const struct xe_command *c = &xe_commands[i];
        if ((!c->hidden && !c->why_not) || argc > 0)
            xe_out(x, "  %s\n", c->name);
    }
    return 0;
}

static int run(struct xe *x, int argc, const char *const *argv, struct err *err)
{
    x->name = argv[0];
    if (str_eq(x->name, "help"))
        return help(x, argc - 1, argv + 1, err);
    if (xe_params_parse(x, argc - 1, argv + 1, err) < 0)
        return -1;
    const struct xe_command *cmd = xe_command(x->name);
    const char *verb;
    const struct xe_kind *k = cmd ? NULL : xe_kind_command(x->name, &verb);
    if (x->at
        && !(k ? word_in("list param-list param-get", verb) : xe_shows_records(x->name)))
        return xe_fail(err,
                       "--at goes with commands that list or show objects, such as "
                       "KIND-list and KIND-param-get: not with %s",
                       x->name);
    if (k)
        return xe_kind_run(x, k, verb, err);
    if (!cmd) {
        (void)err_set(err, XE_USAGE);
        return err_detail(err, "Unknown command: %s", x->name);
    }
    const struct xe_function *f = xe_function(cmd->name);
    if (cmd->why_not)
        return xe_not_served(x, err);
    if (xe_params_check(x, cmd, err) < 0)
        return -1;
    xe_params_take(x, cmd);
    if (!f)
        return xe_row_run(x, cmd, err);
    if (f->more)
        (void)xe_param(x, f->more);
    /* Where objects are selected, what is left over is a filter. */
    if (!cmd->selects && !str_eq(f->more, "*") && xe_params_all_used(x, cmd, err) < 0)
        return -1;
    return f->fn(x, err);
}

int xe_run(const struct xe_env *env, int argc, const char *const *argv)
{
    static const char *const none[] = { "help" };
    struct xe x = { .env = env, .json = env->json };
    AUTO(err_done) struct err err = { 0 };
    int rc = argc > 0 ? run(&x, argc, argv, &err) : run(&x, 1, none, &err);
    if (rc < 0)
        xe_report(&x, &err);
    for (size_t i = 0; i < x.params.n; i++) {
        explicit_bzero(x.params.v[i].value,
                       strlen(x.params.v[i].value)); /* it may be a password */
        free(x.params.v[i].key);
        free(x.params.v[i].value);
    }
    vec_done(&x.params);
    free(x.at);
    json_decref(x.cache);
    json_decref(x.whole);
    return rc < 0 ? 1 : 0;
}
