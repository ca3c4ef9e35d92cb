/* SPDX-License-Identifier: Apache-2.0 */
/* Looking things up in the generated tables, and records as a whole. The tables are immutable; the only
 * state is the cache of each class's default record, made at first use. Thread: any. */
#include "model/schema.h"

#include <assert.h>
#include <pthread.h>
#include <strings.h>

#include "base/mem.h"

extern const char *const schema_call_names[CALL_COUNT]; /* generated */

const struct class_def *schema_class(const char *name)
{
    for (size_t i = CLASS_NONE + 1; i < CLASS_COUNT; i++) {
        if (strcmp(schema_classes[i].name, name) == 0)
            return &schema_classes[i];
    }
    return NULL;
}

const struct class_def *schema_class_any_case(const char *name)
{
    for (size_t i = CLASS_NONE + 1; i < CLASS_COUNT; i++) {
        if (strcasecmp(schema_classes[i].name, name) == 0)
            return &schema_classes[i];
    }
    return NULL;
}

const struct field_def *schema_field(const struct class_def *cls, const char *name)
{
    for (size_t i = 0; i < cls->n_fields; i++) {
        if (strcmp(cls->fields[i].name, name) == 0)
            return &cls->fields[i];
    }
    return NULL;
}

static int call_cmp(const void *key, const void *row)
{
    return strcmp(key, ((const struct call_def *)row)->name);
}

const struct call_def *schema_class_call(const struct class_def *cls, const char *call)
{
    return bsearch(call, schema_calls + cls->first_call, cls->n_calls,
                   sizeof(schema_calls[0]), call_cmp);
}

/* Class names have underscores themselves (VM_metrics), so every '_' may be the separator. */
const struct call_def *schema_call(const char *name)
{
    char prefix[64];
    for (size_t i = 0; i < sizeof(prefix) && name[i] != '\0'; i++) {
        bool last = name[i] == '.';
        if (last || name[i] == '_') {
            prefix[i] = '\0';
            const struct class_def *cls = schema_class(prefix);
            const struct call_def *call = cls ? schema_class_call(cls, name + i + 1) : NULL;
            if (call || last)
                return call;
        }
        prefix[i] = name[i];
    }
    return NULL;
}

static int error_cmp(const void *key, const void *row)
{
    return strcmp(key, ((const struct error_def *)row)->code);
}

const struct error_def *schema_error(const char *code)
{
    return bsearch(code, schema_errors, schema_n_errors, sizeof(schema_errors[0]),
                   error_cmp);
}

const char *schema_call_name(const struct call_def *call)
{
    return schema_call_names[call->id];
}

/* Records */

static void
    *default_records[CLASS_COUNT]; /* written once under default_once, then read-only */
static pthread_once_t default_once = PTHREAD_ONCE_INIT;

static void make_defaults(void)
{
    for (size_t c = CLASS_NONE + 1; c < CLASS_COUNT; c++) {
        const struct class_def *cls = &schema_classes[c];
        void *rec = default_records[c] = mem_alloc(cls->rec_size);
        for (size_t i = 0; i < cls->n_fields; i++) {
            const struct field_def *f = &cls->fields[i];
            void *at = record_field(f, rec);
            if (!f->default_json) {
                value_init(f->ty, at);
                continue;
            }
            json_t *j = json_loads(f->default_json, JSON_DECODE_ANY, NULL);
            int rc = j ? value_decode(f->ty, j, f->name, at, NULL) : -1;
            json_decref(j);
            assert(rc == 0); /* the loader of the schema has checked it */
            (void)rc;
        }
    }
}

void *record_new(const struct class_def *cls)
{
    (void)pthread_once(&default_once, make_defaults); /* cannot fail */
    return record_copy(cls, default_records[cls->id]);
}

void record_free(const struct class_def *cls, void *rec)
{
    if (!rec)
        return;
    for (size_t i = 0; i < cls->n_fields; i++)
        value_done(cls->fields[i].ty, record_field(&cls->fields[i], rec));
    free(rec);
}

void *record_copy(const struct class_def *cls, const void *rec)
{
    void *copy = mem_alloc(cls->rec_size);
    for (size_t i = 0; i < cls->n_fields; i++) {
        const struct field_def *f = &cls->fields[i];
        value_copy(f->ty, record_field(f, copy), record_field(f, rec));
    }
    return copy;
}

void *record_field(const struct field_def *f, const void *rec)
{
    return (char *)(uintptr_t)rec + f->offset;
}
