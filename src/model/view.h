/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody may see of a record. Most are shown as they are stored, from the encoded form that the database keeps;
 * a few hold passwords, or show what is not stored: the permissions of roles and sessions. Everything that shows
 * records to clients asks here: the generic reads, events, dumps. Thread: any. */
#ifndef MODEL_VIEW_H
#define MODEL_VIEW_H

#include "model/session.h"

/* The stored record, or that of an object that follows from the schema: a permission, as a role. NULL: none. */
const void *view_get(enum class_id cls, const struct ref *ref) REQUIRES(db_mutex);

/* By uuid, those objects included, if the session sees it. Another's session is found by who may do everything anyway: its
 * reference is all that it takes to act in it, and its uuid stands in the audit log. */
bool view_find_uuid(const struct session *s, enum class_id cls, const char *uuid,
                    struct ref *out) REQUIRES(db_mutex);

/* Is this object there at all for the session? A token may be limited to some. */
bool view_sees(const struct session *s, const struct ref *ref) REQUIRES(db_mutex);

/* NULL: the record is shown as it is. Otherwise what is shown instead: given, record_free(). */
void *view_record(const struct session *s, enum class_id cls, const struct ref *ref,
                  const void *rec) MUST_CHECK REQUIRES(db_mutex);

/* The same when only this field is wanted: what costs much is left out for others. */
void *view_field(const struct session *s, enum class_id cls, const struct ref *ref,
                 const void *rec, unsigned field) MUST_CHECK REQUIRES(db_mutex);

/* Does the session see all objects of the class, and as they are stored? */
bool view_as_stored(const struct session *s, enum class_id cls);

/* Append the record as the session sees it. */
void view_encode(const struct session *s, enum class_id cls, const struct ref *ref, int enc,
                 struct buf *out) REQUIRES(db_mutex);
#endif
