/* SPDX-License-Identifier: Apache-2.0 */
/* The XenAPI as tables, generated from api/ into gen/api/: ids.h (enum class_id, F_<CLASS>_<FIELD>,
 * CALL_<CLASS>_<CALL>, enum values), records.h (struct <class>_rec), args.h (struct <class>_<call>_args),
 * schema.c (these tables). Immutable; any thread. Pure data: which function serves a call is
 * in gen/api/ops_table.c, linked into the daemon only. */
#ifndef MODEL_SCHEMA_H
#define MODEL_SCHEMA_H

#include "api/ids.h"
#include "model/value.h"

enum access { ACCESS_RO, ACCESS_CTOR, ACCESS_RW }; /* RO/runtime, RO/constructor, RW */

enum life { LIFE_PUBLISHED, LIFE_PROTOTYPED, LIFE_DEPRECATED, LIFE_REMOVED };

/* Role bits of call_def.roles: a session may call when (session->roles & call->roles) != 0. */
enum role_bit {
    ROLE_POOL_ADMIN = 1,
    ROLE_POOL_OPERATOR = 2,
    ROLE_VM_POWER_ADMIN = 4,
    ROLE_VM_ADMIN = 8,
    ROLE_VM_OPERATOR = 16,
    ROLE_READ_ONLY = 32,
    ROLE_CLIENT_CERT = 64
};

struct map_key_role {
    const char *key; /* exact, or ending in '*' for a prefix */
    uint8_t roles;
};

struct field_def {
    const char *name;
    const struct ty *ty;
    uint16_t offset; /* in the record struct */
    uint16_t id;     /* index in class_def.fields, = F_... */
    uint8_t access;
    uint8_t life;
    bool is_volatile;         /* not stored: metrics, operations, inverse sets */
    uint16_t inverse_class;   /* SET of REF kept by the database as the inverse of */
    uint16_t inverse_field;   /* that field (a REF) of that class; 0,0: none */
    const char *default_json; /* NULL: required by create */
    const struct map_key_role *key_roles; /* terminated by key NULL; may be NULL */
    const char *unit;                     /* "bytes", "KiB", "s", ...; may be NULL */
    const char *doc;
    bool
        secret; /* its value, or the values of the map, is hidden in the audit log and the history */
};

enum call_kind {
    CALL_KIND_EXPLICIT,
    CALL_KIND_GET_ALL,
    CALL_KIND_GET_ALL_RECORDS,
    CALL_KIND_GET_RECORD,
    CALL_KIND_GET_BY_UUID,
    CALL_KIND_GET_BY_NAME_LABEL,
    CALL_KIND_GET_FIELD,
    CALL_KIND_SET_FIELD,
    CALL_KIND_ADD_TO,      /* map: key, value */
    CALL_KIND_REMOVE_FROM, /* map: key */
    CALL_KIND_ADD,         /* set: element */
    CALL_KIND_REMOVE,      /* set: element */
    CALL_KIND_CREATE,
    CALL_KIND_DESTROY
};

enum call_audit {
    AUDIT_NOT,    /* changes nothing */
    AUDIT_CALL,   /* an intent before, an outcome after */
    AUDIT_FREES,  /* the same; it makes room, so it goes through on a full disk */
    AUDIT_SESSION /* a login or logout: one record after */
};

/* Where a call runs. Today one host serves all of them; the forwarding layer reads this. */
enum call_on {
    ON_ANY,
    ON_COORDINATOR,
    ON_VM_RESIDENT,
    ON_PBD_HOST,
    ON_SELF_HOST,
    ON_PLACEMENT
};

struct param_def {
    const char *name;
    const struct ty *ty;
    uint16_t offset;          /* in the argument struct */
    const char *default_json; /* NULL: must be given. Only trailing parameters have one. */
    const char *doc;
    bool secret;
};

struct call_def {
    const char *name; /* "start" */
    uint16_t cls;
    uint16_t id; /* CALL_..., index in schema_calls */
    uint8_t kind;
    uint8_t life;
    uint8_t on;
    uint8_t audit;   /* enum call_audit */
    uint8_t roles;   /* 0: nobody may (xapi-internal) unless no_session */
    bool no_session; /* takes no session_id parameter (the two logins) */
    bool has_async;
    bool raw_result;   /* the function writes its answer to call->out itself */
    uint16_t field;    /* of the *_FIELD, ADD and REMOVE kinds */
    uint16_t n_params; /* without the session */
    uint16_t args_size;
    const struct param_def *params;
    const struct ty *result;
    const char *
        op; /* current_operations entry held on the first parameter's object; may be NULL */
    const char *const *errors; /* NULL-terminated; may be NULL */
    const char *doc;
};

struct class_def {
    const char *name;  /* "VM" */
    const char *lower; /* "vm": as events and CLIs write it */
    uint16_t id;
    uint16_t rec_size;
    uint8_t life;
    bool is_object;   /* has records (not event, auth, sr_stat ...) */
    bool is_volatile; /* records are not stored (session) */
    bool untracked;   /* no events: session, event, user, secret */
    const struct field_def *fields;
    uint16_t n_fields;
    int16_t uuid_field, name_field; /* index, -1: none */
    uint16_t first_call, n_calls;   /* range in schema_calls */
    const char *doc;
};

extern const struct class_def schema_classes[CLASS_COUNT]; /* [0] is CLASS_NONE */
extern const struct call_def schema_calls[CALL_COUNT];

struct error_def {
    const char *code;
    const char *const *params; /* NULL-terminated names */
    const char *sentence;      /* for people; {0}, {1} stand for the parameters */
    const char *hint;          /* what to do, or NULL */
    const char *command; /* of the command line, that helps; objects by uuid; or NULL */
};

/* Parts of names of map keys, in small letters, whose values are secret; terminated by NULL. */
extern const char *const schema_secret_keys[];

extern const struct error_def schema_errors[];
extern const size_t schema_n_errors;

const struct class_def *schema_class(const char *name); /* exact; NULL: none */
const struct class_def *schema_class_any_case(const char *name);
const struct field_def *schema_field(const struct class_def *cls, const char *name);
/* "VM.start", "VM_start"; Async prefix not handled here. NULL: none. */
const struct call_def *schema_call(const char *name);
const struct call_def *schema_class_call(const struct class_def *cls, const char *call);
const struct error_def *schema_error(const char *code);
/* "Class.call" of a call. Borrowed, static. */
const char *schema_call_name(const struct call_def *call);

/* Records: storage of all fields of a class. */
void *record_new(const struct class_def *cls); /* schema defaults; given */
void record_free(const struct class_def *cls, void *rec);
void *record_copy(const struct class_def *cls, const void *rec); /* given */
void *record_field(const struct field_def *f, const void *rec); /* address of the storage */
#endif
