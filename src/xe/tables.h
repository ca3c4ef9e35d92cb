/* SPDX-License-Identifier: Apache-2.0 */
/* The command line as tables, made by api/cli/gen_cli.py from api/cli/rows.py, where the meaning of paths,
 * flags and calls is described. Immutable. */
#ifndef XE_TABLES_H
#define XE_TABLES_H

#include "base/util.h"

/* What people type for a value, and where special ones come from. */
enum xe_type {
    XE_TEXT,
    XE_INT,
    XE_BOOL,
    XE_FLOAT,
    XE_MAP_,    /* param:key=value ... */
    XE_REF,     /* uuid of an object of class detail */
    XE_ENUM,    /* one of detail, "A/B/C", in any case */
    XE_LITERAL, /* the JSON text in detail */
    XE_SELECTED,
    XE_POOL,
    XE_HOST,
    XE_FILE,
    XE_BASENAME,
    XE_ABSENT
};

enum xe_flag {
    XE_SET = 1,
    XE_MAP = 2,
    XE_LIST = 4,
    XE_ADD = 8,
    XE_HIDDEN = 16,
    XE_COSTLY = 32,
    XE_LOWER = 64,
    XE_CAPITAL = 128,
    XE_DOTTED = 256,
    XE_VALUES = 512,
    XE_SHOWN = 1024
};

struct xe_field {
    const char *name; /* "name-label" */
    const char
        *path; /* "name_label", "VM:VM>uuid", "!VM.get_cooperative", "@attachable", "?" */
    const char *api; /* set_, add_to_ ... of the API go by this name */
    const char *detail;
    enum xe_type type; /* of the setter */
    bool many;
    unsigned flags;
};

struct xe_kind {
    const char *name;
    const char *cls; /* NULL: the API does not have it */
    const struct xe_field *fields;
    size_t n_fields;
};

extern const struct xe_kind xe_kinds[]; /* sorted by name */
extern const size_t xe_n_kinds;

struct xe_arg {
    const char *key;   /* member of the record; NULL: positional */
    const char *param; /* "a|b": either; "" for none */
    const char *detail;
    const char *def; /* text as typed; NULL: the empty value of the type */
    enum xe_type type;
    bool many; /* comma-separated */
    bool optional;
};

enum xe_result {
    XE_RESULT_NONE,
    XE_RESULT_UUID, /* path of the object answered, usually its uuid */
    XE_RESULT_UUIDS,
    XE_RESULT_TEXT,
    XE_RESULT_LIST,
    XE_RESULT_MAP,
    XE_RESULT_RECORDS
};

struct xe_command {
    const char *name;
    const char *selects;             /* a kind, or NULL */
    const char *required, *optional; /* words */
    const char *call;                /* NULL: a function, or not served */
    const char *call_forced;         /* with force=true */
    const struct xe_arg *args;       /* and one for each hook behind them */
    size_t n_args, n_hooks;
    const char *const *hooks; /* calls on the object answered: (object, argument) */
    bool record;              /* the arguments make one record */
    enum xe_result result;
    const char *result_cls, *result_path;
    const char *ignored; /* words: optional parameters that the call does not take */
    bool hidden, own;
    bool forced;         /* refused without force=true */
    const char *why_not; /* it is not served: a reason; else NULL */
};

extern const struct xe_command xe_commands[];
extern const size_t xe_n_commands;
#endif
