/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of HTTP requests, as http_arg() finds them. Each may be absent; then *out stays as it was. */
#ifndef SERAID_QUERY_H
#define SERAID_QUERY_H

#include "model/db.h"
#include "seraid/serve.h"

/* Errors: INVALID_VALUE(name, text). */
int query_bool(const struct exchange *x, const char *name, bool *out, struct err *err)
    MUST_CHECK;
/* What text names, by reference or uuid. Errors: HANDLE_INVALID or UUID_INVALID(class, text). */
int query_object(enum class_id cls, const char *text, struct ref *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* sr_id or sr_uuid. Errors: those of query_object. */
int query_sr(const struct exchange *x, struct ref *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
#endif
