/* SPDX-License-Identifier: Apache-2.0 */
/* Typed values. A struct ty describes the storage of one value; generic code walks it, typed
 * code (the generated structs of gen/api/records.h and gen/api/args.h) uses the same bytes as
 * plain C members. Storage by kind:
 *
 *   VOID      nothing
 *   STRING    const char *   never NULL once initialised; value_empty when empty
 *   INT       int64_t        DATETIME int64_t, microseconds since 1970 UTC
 *   FLOAT     double         BOOL bool         ENUM int, index into enum_def.values
 *   REF       struct ref     all zero: OpaqueRef:NULL
 *   SET       struct set_x { x *v; size_t n; }         elements of elem's storage
 *   MAP       struct map_k_x { struct {k key; x val;} *v; size_t n; }   insertion order, unique keys
 *   RECORD    void *         a record of class cls; owned; NULL only where never initialised
 *   OPTION    void *         NULL (none) or a pointer to elem's storage, owned
 *   RAW       nothing: the call writes its answer itself (event batches, generic reads)
 *
 * Everything is owned by its holder: value_copy duplicates deeply, value_done frees. The build
 * uses -fno-strict-aliasing because the generic code sees every set as struct set_any.
 * Thread: any; no locks. Encodings: CLIENTS facts in doc comments of enc.h. */
#ifndef MODEL_VALUE_H
#define MODEL_VALUE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

struct ref {
    uint8_t b[16];
};

#define REF_NULL      ((struct ref){ { 0 } })
#define REF_TEXT_SIZE 47 /* "OpaqueRef:" + 36 + NUL */

enum ty_kind {
    TY_VOID,
    TY_STRING,
    TY_INT,
    TY_FLOAT,
    TY_BOOL,
    TY_DATETIME,
    TY_ENUM,
    TY_REF,
    TY_SET,
    TY_MAP,
    TY_RECORD,
    TY_OPTION,
    TY_RAW
};

struct enum_def {
    const char *name;
    const char *const *values;
    const char *const *docs;
    int n;
};

struct ty {
    enum ty_kind kind;
    uint16_t size; /* of the storage; 0 for VOID and RAW */
    uint16_t align;
    uint16_t cls;     /* REF, RECORD: enum class_id */
    uint16_t val_off; /* MAP: offset of val in an entry */
    uint16_t entry;   /* MAP: size of an entry; SET: size of an element */
    const struct enum_def *enm;
    const struct ty *key;  /* MAP */
    const struct ty *elem; /* SET, MAP (value), OPTION */
    const char *name;      /* "VM ref set", as the API reference writes it */
};

struct set_any {
    void *v;
    size_t n;
};

extern const char value_empty[1];

/* Refs */
bool ref_is_null(const struct ref *r);
bool ref_eq(const struct ref *a, const struct ref *b);
struct ref ref_new(void);
void ref_text(const struct ref *r,
              char out[static REF_TEXT_SIZE]); /* OpaqueRef:NULL for null */
/* "OpaqueRef:<uuid>", "OpaqueRef:NULL", "" and "Ref:*" (both null). False for anything else. */
bool ref_parse(const char *s, struct ref *out);

/* Life. p points to storage of ty. */
void value_init(const struct ty *ty,
                void *p); /* "", 0, false, first enum value, null, empty, new record */
void value_done(const struct ty *ty, void *p); /* frees what it owns; p is then all zero */
void value_copy(const struct ty *ty, void *dst,
                const void *src); /* dst uninitialised or zero */
bool value_eq(const struct ty *ty, const void *a,
              const void *b); /* sets and maps without regard to order */
size_t value_bytes(const struct ty *ty,
                   const void *p); /* heap owned, for limits and metrics */

/* Typed helpers for hand-written code */
void str_put(const char **dst,
             const char *s); /* replace a STRING storage; s copied; NULL is "" */
void str_give(const char **dst, char *s); /* the same, s taken */

/* Sets of any element and string-keyed maps; the key or element is given as a pointer to storage. */
size_t set_find(const struct ty *ty, const void *set,
                const void *elem);                              /* index or SIZE_MAX */
bool set_add(const struct ty *ty, void *set, const void *elem); /* false: was there */
bool set_remove(const struct ty *ty, void *set,
                const void *elem); /* false: was not there */
size_t map_find(const struct ty *ty, const void *map, const void *key);
bool map_put(const struct ty *ty, void *map, const void *key,
             const void *val); /* false: replaced */
bool map_remove(const struct ty *ty, void *map, const void *key);
void *map_key(const struct ty *ty, const void *map, size_t i);
void *map_val(const struct ty *ty, const void *map, size_t i);

/* Decode from the tree that both RPC parsers make (XML-RPC scalars may come as strings):
 * INT: an integer, an integral real, or digits; FLOAT: real, integer or text; BOOL: bool, 0/1 or
 * "true"/"false"; DATETIME: text; ENUM: one of its names, exactly; MAP: an object (int and ref keys as
 * text); OPTION: null or "" is none; RECORD: an object, absent fields take their schema default,
 * unknown members are ignored (clients send whole records of other versions). Equal elements of a set
 * and equal keys of a map count once. A FLOAT from outside is finite; null reads as 0.
 * what: the parameter or field name used in errors. out: uninitialised or zero, written on success only.
 * Errors: FIELD_TYPE_ERROR(what), INVALID_VALUE(what, value) for an unknown enum name,
 * HANDLE_INVALID(class, text) for text that cannot be a reference. */
int value_decode(const struct ty *ty, const json_t *j, const char *what, void *out,
                 struct err *err) MUST_CHECK;
#endif
