/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the command engine share: one run of one command. */
#ifndef XE_XE_INT_H
#define XE_XE_INT_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/vec.h"
#include "xe/tables.h"
#include "xe/xe.h"

struct xe_param {
    char *key, *value;
    bool used;
};

struct xe {
    const struct xe_env *env;
    const char *name; /* of the command */
    VEC(struct xe_param) params;
    bool minimal, multiple, json;
    char *at;      /* --at: the moment that is shown; NULL: now */
    bool bulk;     /* many objects are at work: fetch whole classes */
    json_t *cache; /* class -> object of ref -> record */
    json_t *whole; /* classes that the cache has all records of */
};

void json_drop(json_t **j);                                      /* for AUTO */
int xe_fail(struct err *err, const char *fmt, ...) PRINTF(2, 3); /* XE_FAILURE; always -1 */

/* args.c: parameters. Names may be "a|b". */
int xe_params_parse(struct xe *x, int argc, const char *const *argv, struct err *err)
    MUST_CHECK;
const char *xe_param(struct xe *x, const char *names); /* NULL: absent. Marks it as used. */
bool xe_flag(struct xe *x, const char *name);          /* given and true */
int xe_need(struct xe *x, const char *names, const char **value_out, struct err *err)
    MUST_CHECK;
json_t *xe_param_map(struct xe *x,
                     const char *name); /* name:key=value ... as an object; new */
int xe_params_check(struct xe *x, const struct xe_command *cmd, struct err *err)
    MUST_CHECK; /* required ones given */
void xe_params_take(struct xe *x,
                    const struct xe_command *cmd); /* mark what the command knows as used */
int xe_params_all_used(struct xe *x, const struct xe_command *cmd, struct err *err)
    MUST_CHECK;
/* The parameter that a word without "=" stands for; NULL: none. n counts such words. */
const char *xe_bare_word(const char *command, size_t n, const char *word);
bool word_in(const char *words, const char *word);

/* object.c: calls and records. Records are borrowed from the cache. */
int xe_call(struct xe *x, const char *method, json_t *params /* taken */, json_t **out,
            struct err *err) MUST_CHECK;
/* The same for a call whose answer does not matter. */
int xe_do(struct xe *x, const char *method, json_t *params /* taken */, struct err *err)
    MUST_CHECK;
int xe_all(struct xe *x, const char *cls, json_t **records_out, struct err *err) MUST_CHECK;
/* *rec_out NULL: there is no such object (any more). */
int xe_record(struct xe *x, const char *cls, const char *ref, json_t **rec_out,
              struct err *err) MUST_CHECK;
void xe_forget_all(struct xe *x); /* the cache: the world may have changed */
int xe_call_ref(struct xe *x, const char *method, json_t *params /* taken */,
                char **ref_out, struct err *err) MUST_CHECK;
int xe_by_uuid(struct xe *x, const char *cls, const char *uuid, char **ref_out,
               struct err *err) MUST_CHECK;
/* All with that name-label. */
int xe_named(struct xe *x, const char *cls, const char *name, json_t **refs_out,
             struct err *err) MUST_CHECK;
/* Uuid or name-label. Errors when none or several match. */
int xe_by_name(struct xe *x, const char *cls, const char *text, char **ref_out,
               struct err *err) MUST_CHECK;
int xe_pool(struct xe *x, char **ref_out, struct err *err) MUST_CHECK;
int xe_this_host(struct xe *x, char **ref_out, struct err *err)
    MUST_CHECK; /* the coordinator */
int xe_default_sr(struct xe *x, char **ref_out, struct err *err)
    MUST_CHECK; /* a failure when there is none */
bool xe_ref_null(const char *ref);
const char *rec_str(const json_t *rec, const char *field); /* never NULL */
bool rec_true(const json_t *rec, const char *field);

/* value.c: fields. *out NULL: no value; else new. */
int xe_eval(struct xe *x, const char *cls, const char *ref, json_t *rec, const char *path,
            json_t **out, struct err *err) MUST_CHECK;
char *xe_value_text(const json_t *v, unsigned flags, const char *path); /* given */
int xe_typed(struct xe *x, enum xe_type type, const char *detail, bool many,
             const char *text, const char *what, json_t **out, struct err *err) MUST_CHECK;

/* kind.c */
const struct xe_kind *xe_kind(const char *name);
const struct xe_field *xe_kind_field(const struct xe_kind *k, const char *name, size_t len);
char *xe_field_label(const struct xe_field *f); /* "name-label ( RW)"; given */
/* "KIND-list", "KIND-param-get" ...: kind and verb; NULL: no such. */
const struct xe_kind *xe_kind_command(const char *command, const char **verb_out);
int xe_not_served(struct xe *x, struct err *err) MUST_CHECK; /* always -1 */
int xe_kind_run(struct xe *x, const struct xe_kind *k, const char *verb, struct err *err)
    MUST_CHECK;

/* Records for the output: several may make one list. names: "a,b", "all", "" for none, or NULL: shown by default. */
struct xe_shown {
    json_t *all;        /* --json */
    struct buf minimal; /* --minimal */
    bool any;
};

int xe_show_one(struct xe *x, struct xe_shown *s, const struct xe_kind *k, const char *ref,
                const char *names, struct err *err) MUST_CHECK;
void xe_show_end(struct xe *x, struct xe_shown *s); /* prints what was collected, frees */
void xe_shown_done(struct xe_shown *s);
int xe_show(struct xe *x, const struct xe_kind *k, const json_t *refs, const char *names,
            struct err *err) MUST_CHECK;

/* select.c. *refs_out: new array of refs. */
bool xe_kind_has(const struct xe_kind *k, const json_t *rec);
/* Of the kind, by the filters among the parameters not used so far. */
int xe_filter(struct xe *x, const struct xe_kind *k, json_t **refs_out, struct err *err)
    MUST_CHECK;
/* Whether the object passes all parameters that the command has not used. */
int xe_passes(struct xe *x, const struct xe_kind *k, const char *ref, json_t *rec,
              bool *match_out, struct err *err) MUST_CHECK;
int xe_check_filters(struct xe *x, const struct xe_kind *k, struct err *err) MUST_CHECK;
/* For a command that selects: exactly one object unless --multiple. */
int xe_select(struct xe *x, const char *kind, bool templates, json_t **refs_out,
              struct err *err) MUST_CHECK;
int xe_select_one(struct xe *x, const char *kind, bool templates, const char **ref_out,
                  json_t **keep_out, struct err *err) MUST_CHECK;

/* render.c: output */
void xe_out(struct xe *x, const char *fmt, ...) PRINTF(2, 3);
void xe_errout(struct xe *x, const char *fmt, ...) PRINTF(2, 3);

struct xe_line {
    char *label, *value;
};

struct xe_lines {
    VEC(struct xe_line) v;
};

void xe_lines_add(struct xe_lines *l, char *label /* taken */, char *value /* taken */);
void xe_lines_done(struct xe_lines *l);
void xe_print_record(struct xe *x, const struct xe_lines *l);
/* A map of VMs: a line each, its uuid and the value. */
int xe_print_by_vm(struct xe *x, const json_t *map, struct err *err) MUST_CHECK;
void xe_minimal_add(struct buf *out, bool first,
                    const char *value);                 /* comma-joined, escaped */
void xe_print_list(struct xe *x, const json_t *values); /* texts, one a line */
void xe_print_value(struct xe *x, const json_t *v);
void xe_print_json(struct xe *x, const json_t *v);

/* error.c */
void xe_report(struct xe *x, const struct err *err);

/* row.c */
const struct xe_command *xe_command(const char *name);
int xe_row_run(struct xe *x, const struct xe_command *cmd, struct err *err) MUST_CHECK;
bool xe_includes_templates(const char *command);
bool xe_shows_records(const char *command); /* and nothing else: --at goes with it */

/* cmd_*.c: commands that are more than one call */
typedef int (*xe_fn)(struct xe *x, struct err *err);

struct xe_function {
    const char *name;
    xe_fn fn;
    const char *more; /* parameters that the row does not name; "*": filters */
};
extern const struct xe_function xe_vm_functions[], xe_disk_functions[], xe_misc_functions[],
    xe_file_functions[], xe_past_functions[], xe_more_functions[];
/* Print the uuid of an object. */
int xe_print_uuid(struct xe *x, const char *cls, const char *ref, struct err *err)
    MUST_CHECK;
const struct xe_function *xe_function(const char *name); /* NULL: none */
#endif
