/* SPDX-License-Identifier: Apache-2.0 */
/* One function a class that is not shown as it is stored. Thread: any. */
#include "model/view.h"

#include "api/records.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "model/enc.h"
#include "model/rbac.h"
#include "model/redact.h"

const void *view_get(enum class_id cls, const struct ref *ref)
{
    const void *rec = db_get(cls, ref);
    return rec || cls != CLASS_ROLE ? rec : rbac_permission_of(ref, NULL);
}

static bool find_uuid(enum class_id cls, const char *uuid, struct ref *out)
    REQUIRES(db_mutex)
{
    struct uuid u;
    if (db_find_uuid(cls, uuid, out))
        return true;
    if (cls != CLASS_ROLE || !uuid_parse(uuid, &u))
        return false;
    memcpy(out->b, u.b, sizeof(out->b));
    return rbac_permission_of(out, NULL) != NULL;
}

bool view_find_uuid(const struct session *s, enum class_id cls, const char *uuid,
                    struct ref *out)
{
    bool all = ref_is_null(&s->token)
               && (s->local_superuser || (s->roles & ROLE_POOL_ADMIN));
    if (!find_uuid(cls, uuid, out))
        return false;
    return cls == CLASS_SESSION ? all || ref_eq(out, &s->ref) : view_sees(s, out);
}

bool view_sees(const struct session *s, const struct ref *ref)
{
    return rbac_sees(s, ref);
}

/* Those whom the API lets read the objects of class secret. */
static bool sees_secrets(const struct session *s)
{
    return s->local_superuser || (s->roles & (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR));
}

static void *show_role(const struct session *s, const struct ref *ref, const void *rec)
    REQUIRES(db_mutex)
{
    (void)s;
    const struct ty *ty = schema_classes[CLASS_ROLE].fields[F_ROLE_SUBROLES].ty;
    struct ref one;
    if (rbac_permission_of(ref, NULL))
        return NULL;
    struct role_rec *copy = record_copy(&schema_classes[CLASS_ROLE], rec);
    size_t n = 0;
    while (rbac_permission(n, &one))
        n++;
    value_done(ty, &copy->subroles);
    copy->subroles.v = mem_array(n, sizeof(*copy->subroles.v));
    for (size_t i = 0; rbac_permission(i, &one); i++) {
        if (rbac_role_gives(ref, i))
            copy->subroles.v[copy->subroles.n++] = one;
    }
    return copy;
}

static void *show_session(const struct session *s, const struct ref *ref, const void *rec)
    REQUIRES(db_mutex)
{
    (void)s;
    struct session_rec *copy = record_copy(&schema_classes[CLASS_SESSION], rec);
    struct session peer;
    struct ref one;
    const struct role_rec *p;
    copy->last_active = MAX(copy->last_active, session_used_us(ref));
    if (copy->is_local_superuser || !session_peek(ref, &peer))
        return copy; /* the list is empty for who may do everything */
    size_t n = 0;
    while (rbac_permission(n, &one))
        n++;
    copy->rbac_permissions.v = mem_array(n, sizeof(*copy->rbac_permissions.v));
    for (size_t i = 0; (p = rbac_permission(i, &one)) != NULL; i++) {
        if (rbac_session_gives(&peer, i))
            copy->rbac_permissions.v[copy->rbac_permissions.n++] = str_dup(p->name_label);
    }
    return copy;
}

static void *show_token(const struct session *s, const struct ref *ref, const void *rec)
{
    (void)s, (void)ref;
    struct serai_token_rec *copy = record_copy(&schema_classes[CLASS_SERAI_TOKEN], rec);
    str_put(&copy->digest, "");
    return copy;
}

static void *show_recycled(const struct session *s, const struct ref *ref, const void *rec)
{
    (void)s, (void)ref;
    struct serai_recycled_rec *copy = record_copy(&schema_classes[CLASS_SERAI_RECYCLED],
                                                  rec);
    str_put(&copy->content, "");
    return copy;
}

static bool has_secret(const struct map_string_string *map)
{
    for (size_t i = 0; i < map->n; i++) {
        if (redact_key(map->v[i].key) && map->v[i].val[0])
            return true;
    }
    return false;
}

static void hide(struct map_string_string *map)
{
    for (size_t i = 0; i < map->n; i++) {
        if (redact_key(map->v[i].key) && map->v[i].val[0])
            str_put(&map->v[i].val, REDACT_HIDDEN);
    }
}

/* device_config of storage, the configurations of directories and of power-on. Not what clients read, change and write
 * back: it would lose what it hides. */
static void *hide_passwords(const struct session *s, enum class_id cls, const void *rec)
{
    const struct class_def *def = &schema_classes[cls];
    void *copy = NULL;
    if (sees_secrets(s))
        return NULL;
    for (size_t i = 0; i < def->n_fields; i++) {
        const struct field_def *f = &def->fields[i];
        if (f->access == ACCESS_RW || f->ty->kind != TY_MAP || f->ty->key->kind != TY_STRING
            || f->ty->elem->kind != TY_STRING || !has_secret(record_field(f, rec)))
            continue;
        if (!copy)
            copy = record_copy(def, rec);
        hide(record_field(f, copy));
    }
    return copy;
}

void *view_record(const struct session *s, enum class_id cls, const struct ref *ref,
                  const void *rec)
{
    switch (cls) {
    case CLASS_ROLE: return show_role(s, ref, rec);
    case CLASS_SESSION: return show_session(s, ref, rec);
    case CLASS_SERAI_TOKEN: return show_token(s, ref, rec);
    case CLASS_SERAI_RECYCLED: return show_recycled(s, ref, rec);
    default: return hide_passwords(s, cls, rec);
    }
}

void *view_field(const struct session *s, enum class_id cls, const struct ref *ref,
                 const void *rec, unsigned field)
{
    if ((cls == CLASS_ROLE && field != F_ROLE_SUBROLES)
        || (cls == CLASS_SESSION && field != F_SESSION_RBAC_PERMISSIONS
            && field != F_SESSION_LAST_ACTIVE))
        return NULL;
    return view_record(s, cls, ref, rec);
}

/* Known without looking at the record: the usual case, which is one look-up and a copy. */
bool view_as_stored(const struct session *s, enum class_id cls)
{
    return sees_secrets(s) && ref_is_null(&s->token) && cls != CLASS_ROLE
           && cls != CLASS_SESSION && cls != CLASS_SERAI_TOKEN
           && cls != CLASS_SERAI_RECYCLED;
}

void view_encode(const struct session *s, enum class_id cls, const struct ref *ref, int enc,
                 struct buf *out)
{
    if (view_as_stored(s, cls)) {
        struct enc_text text = db_encoded(cls, ref, enc);
        buf_add(out, text.p, text.len);
        return;
    }
    const void *rec = view_get(cls, ref);
    void *shown = rec ? view_record(s, cls, ref, rec) : NULL;
    if (shown) {
        enc_record(out, (enum enc)enc, &schema_classes[cls], shown);
        record_free(&schema_classes[cls], shown);
        (void)db_get(cls, ref); /* an answer that shows it waits for its commit */
    } else if (rec && !db_get(cls, ref)) {
        enc_record(out, (enum enc)enc, &schema_classes[cls], rec);
    } else if (rec) {
        struct enc_text text = db_encoded(cls, ref, enc);
        buf_add(out, text.p, text.len);
    }
}
