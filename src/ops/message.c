/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as records, and the calls of their class. Whoever reads them gets the cached encoding of each record. */
#include "ops/message.h"

#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "model/view.h"

#define NAME_MAX_BYTES 256
#define BODY_MAX_BYTES ((size_t)64 * 1024) /* times MESSAGE_LIMIT is what they may cost */

static size_t limit GUARDED_BY(db_mutex) = MESSAGE_LIMIT;

void message_set_limit(size_t n)
{
    db_lock();
    limit = n;
    db_unlock();
}

struct ref message_add(struct tx *tx, const char *name, int64_t priority, int cls,
                       const char *obj_uuid, const char *body)
{
    while (db_count(CLASS_MESSAGE) >= limit) {
        struct ref oldest = db_first(CLASS_MESSAGE).ref;
        tx_destroy(tx, &oldest);
    }
    struct message_rec *m = record_new(&schema_classes[CLASS_MESSAGE]);
    str_put(&m->name, name);
    m->priority = priority;
    m->cls = cls;
    str_put(&m->obj_uuid, obj_uuid);
    m->timestamp = clock_wall_us();
    str_put(&m->body, body);
    return tx_create(tx, CLASS_MESSAGE, m, NULL);
}

void message_add_vm(struct tx *tx, enum message_vm what, const struct ref *ref)
{
    static const struct {
        const char *name, *words;
        int64_t priority;
    } rows[] = {
        [MESSAGE_VM_STARTED] = { "VM_STARTED", "started", 5 },
        [MESSAGE_VM_SHUTDOWN] = { "VM_SHUTDOWN", "shutdown", 5 },
        [MESSAGE_VM_SHUTDOWN_FORCED] = { "VM_SHUTDOWN", "shutdown forcibly", 5 },
        [MESSAGE_VM_REBOOTED] = { "VM_REBOOTED", "rebooted cleanly", 5 },
        [MESSAGE_VM_REBOOTED_FORCED] = { "VM_REBOOTED", "rebooted forcibly", 5 },
        [MESSAGE_VM_CRASHED] = { "VM_CRASHED", "crashed", 2 },
        [MESSAGE_VM_SUSPENDED] = { "VM_SUSPENDED", "suspended", 5 },
        [MESSAGE_VM_RESUMED] = { "VM_RESUMED", "resumed", 5 },
    };
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    struct ref here = db_host_ref();
    const struct host_rec *host = db_get(CLASS_HOST, &here);
    if (what == MESSAGE_VM_NONE)
        return;
    AUTO(buf_done) struct buf body = BUF_INIT(0);
    buf_addf(&body, "VM '%s' %s", vm->name_label, rows[what].words);
    if (what == MESSAGE_VM_STARTED && host)
        buf_addf(&body, " on host: %s (uuid: %s)", host->name_label, host->uuid);
    (void)message_add(tx, rows[what].name, rows[what].priority, CLS_VM, vm->uuid,
                      buf_str(&body));
}

/* ---- calls --------------------------------------------------------------------------------------------- */

static const enum class_id classes[] = { [CLS_VM] = CLASS_VM,
                                         [CLS_HOST] = CLASS_HOST,
                                         [CLS_SR] = CLASS_SR,
                                         [CLS_POOL] = CLASS_POOL,
                                         [CLS_VMPP] = CLASS_VMPP,
                                         [CLS_VMSS] = CLASS_VMSS,
                                         [CLS_VDI] = CLASS_VDI,
                                         [CLS_PVS_PROXY] = CLASS_PVS_PROXY,
                                         [CLS_CERTIFICATE] = CLASS_CERTIFICATE };

static int too_long(const char *field, const char *value, size_t max, struct err *err)
{
    if (strlen(value) <= max)
        return 0;
    AUTO(free_str) char *text = str_fmt("longer than %zu bytes", max);
    return err_set(err, ERR_INVALID_VALUE, field, text);
}

int op_message_create(struct call *call, const struct message_create_args *a,
                      struct ref *result, struct err *err)
{
    enum class_id cls = classes[a->cls];
    struct ref about;
    if (too_long("name", a->name, NAME_MAX_BYTES, err)
        || too_long("body", a->body, BODY_MAX_BYTES, err))
        return -1;
    struct tx *tx = call_tx(call);
    if (!db_find_uuid(cls, a->obj_uuid, &about)) {
        tx_abort(tx);
        return err_set(err, ERR_UUID_INVALID, schema_classes[cls].name, a->obj_uuid);
    }
    struct ref ref = message_add(tx, a->name, a->priority, a->cls, a->obj_uuid, a->body);
    if (tx_commit(tx, err))
        return -1;
    *result = ref;
    return 0;
}

/* All or none. */
static int destroy(struct call *call, const struct ref *refs, size_t n, struct err *err)
{
    struct tx *tx = call_tx(call);
    for (size_t i = 0; i < n; i++) {
        bool again = false;
        for (size_t k = 0; k < i && !again; k++)
            again = ref_eq(&refs[k], &refs[i]);
        if (again)
            continue;
        if (!call_get(CLASS_MESSAGE, &refs[i], err)) {
            tx_abort(tx);
            return -1;
        }
        tx_destroy(tx, &refs[i]);
    }
    return tx_commit(tx, err);
}

int op_message_destroy(struct call *call, const struct message_destroy_args *a,
                       struct err *err)
{
    return destroy(call, &a->self, 1, err);
}

int op_message_destroy_many(struct call *call, const struct message_destroy_many_args *a,
                            struct err *err)
{
    return destroy(call, a->messages.v, a->messages.n, err);
}

/* Which messages. What is NULL or 0 fits all. */
struct filter {
    int64_t since_us;
    const int *cls;
    const char *obj_uuid;
    const struct field_def *field; /* whose value, as text, is value */
    const char *value;
};

static bool fits(const struct filter *f, const struct message_rec *m)
{
    if (m->timestamp < f->since_us || (f->cls && m->cls != *f->cls)
        || (f->obj_uuid && !str_eq(m->obj_uuid, f->obj_uuid)))
        return false;
    if (!f->field)
        return true;
    AUTO(buf_done) struct buf text = BUF_INIT(0), want = BUF_INIT(0);
    enc_value(&text, ENC_JSON, f->field->ty, record_field(f->field, m));
    enc_string(&want, ENC_JSON, f->value);
    return str_eq(buf_str(&text), buf_str(&want)) || str_eq(buf_str(&text), f->value);
}

static int write_records(struct call *call, const struct filter *f)
{
    bool first = true;
    char name[REF_TEXT_SIZE];
    enc_struct_begin(call->out, call->enc);
    db_lock();
    for (struct db_iter it = db_first(CLASS_MESSAGE); it.rec; db_next(&it)) {
        if (!view_sees(&call->session, &it.ref) || !fits(f, it.rec))
            continue;
        struct enc_text text = db_encoded(CLASS_MESSAGE, &it.ref, (int)call->enc);
        ref_text(&it.ref, name);
        enc_member_begin(call->out, call->enc, name, &first);
        buf_add(call->out, text.p, text.len);
        enc_member_end(call->out, call->enc);
    }
    db_unlock();
    enc_struct_end(call->out, call->enc);
    return 0;
}

int op_message_get(struct call *call, const struct message_get_args *a, struct err *err)
{
    (void)err;
    return write_records(
        call,
        &(struct filter){ .since_us = a->since, .cls = &a->cls, .obj_uuid = a->obj_uuid });
}

int op_message_get_since(struct call *call, const struct message_get_since_args *a,
                         struct err *err)
{
    (void)err;
    return write_records(call, &(struct filter){ .since_us = a->since });
}

int op_message_get_all_records(struct call *call,
                               const struct message_get_all_records_args *a,
                               struct err *err)
{
    (void)a, (void)err;
    return write_records(call, &(struct filter){ 0 });
}

/* The word in quotes at *p, which moves behind it and the blanks around. Given; NULL: none is there. */
static char *quoted(const char **p)
{
    const char *from = *p + strspn(*p, " ");
    const char *to = *from == '"' ? strchr(from + 1, '"') : NULL;
    if (!to)
        return NULL;
    *p = to + 1 + strspn(to + 1, " ");
    return str_dupn(from + 1, (size_t)(to - from) - 1);
}

/* "true", or field "name" = "value"; "__" in a field's name is "_". */
int op_message_get_all_records_where(struct call *call,
                                     const struct message_get_all_records_where_args *a,
                                     struct err *err)
{
    struct filter f = { 0 };
    if (str_eq(a->expr, "true") || !a->expr[0])
        return write_records(call, &f);
    const char *p = a->expr;
    AUTO(free_str) char *name = NULL, *value = NULL;
    if (str_starts(p, "field")) {
        p += strlen("field");
        name = quoted(&p);
    }
    if (name && *p++ == '=')
        value = quoted(&p);
    if (value && !*p) {
        for (char *u; (u = strstr(name, "__"));)
            memmove(u, u + 1, strlen(u));
        f.field = schema_field(&schema_classes[CLASS_MESSAGE],
                               str_eq(name, "class") ? "cls" : name);
        f.value = value;
    }
    if (!f.field)
        return err_set(err, ERR_INVALID_VALUE, "expr", a->expr);
    return write_records(call, &f);
}

int op_message_get_all(struct call *call, const struct message_get_all_args *a,
                       struct set_ref *result, struct err *err)
{
    (void)a, (void)err;
    db_lock();
    result->v = mem_array(MAX(db_count(CLASS_MESSAGE), (size_t)1), sizeof(*result->v));
    for (struct db_iter it = db_first(CLASS_MESSAGE); it.rec; db_next(&it)) {
        if (view_sees(&call->session, &it.ref))
            result->v[result->n++] = it.ref;
    }
    db_unlock();
    return 0;
}

int op_message_get_record(struct call *call, const struct message_get_record_args *a,
                          struct err *err)
{
    db_lock();
    const void *rec = call_get(CLASS_MESSAGE, &a->self, err);
    if (rec) {
        struct enc_text text = db_encoded(CLASS_MESSAGE, &a->self, (int)call->enc);
        buf_add(call->out, text.p, text.len);
    }
    db_unlock();
    return rec ? 0 : -1;
}

int op_message_get_by_uuid(struct call *call, const struct message_get_by_uuid_args *a,
                           struct ref *result, struct err *err)
{
    db_lock();
    bool found = view_find_uuid(&call->session, CLASS_MESSAGE, a->uuid, result);
    db_unlock();
    return found ? 0 : err_set(err, ERR_UUID_INVALID, "message", a->uuid);
}
