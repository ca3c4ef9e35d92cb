/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks, for the HTTP endpoints besides RPC: a session by cookie or query, or a user by Basic (for whom a session
 * is made that lasts for this request). Refusals fail the client's task too, or it would wait for ever. */
#ifndef SERAID_AUTH_H
#define SERAID_AUTH_H

#include "model/session.h"
#include "seraid/serve.h"

struct auth {
    struct session session;
    bool temporary;  /* auth_done() logs it out */
    struct ref task; /* of the argument task_id; null: none */
    bool has_task;
    uint64_t audit;     /* number of the intent in the audit log; 0: not audited */
    const char *failed; /* code of what went wrong, for the audit log */
};

/* roles: of whom may ask. On failure (bad or no credentials: 401, role: 403) the answer has been sent and the
 * task has failed. permission: as role errors name it, "http/get_export_raw_vdi". */
int auth_begin(struct exchange *x, uint8_t roles, const char *permission, struct auth *out)
    MUST_CHECK;
void auth_done(struct auth *a);
/* What went wrong after the answer began: for the audit log. err->code NULL: nothing. */
void auth_failed(struct auth *a, const struct err *err);
/* Refuse a request: its task ends with err, the answer is status with the error's words. */
void auth_refuse(struct exchange *x, struct auth *a, int status, const struct err *err);
/* 404 for a path that nothing serves; the client's task fails too. */
void auth_refuse_path(struct exchange *x);
#endif
