/* SPDX-License-Identifier: Apache-2.0 */
/* What answers HTTP requests, by the route table of serve.c. Each answers exactly once. Thread: a worker. */
#ifndef SERAID_HANDLERS_H
#define SERAID_HANDLERS_H

#include <jansson.h>

#include "seraid/serve.h"

void http_rpc_post(struct exchange *x);            /* POST, any path */
void http_audit_get(struct exchange *x);           /* GET /audit_log */
void http_blob_get(struct exchange *x);            /* GET /blob */
void http_blob_put(struct exchange *x);            /* PUT /blob */
void http_cli_post(struct exchange *x);            /* POST /cli */
void http_transfer_export_raw(struct exchange *x); /* GET /export_raw_vdi */
void http_transfer_import_raw(struct exchange *x); /* PUT /import_raw_vdi */
void http_console_connect(struct exchange *x);     /* CONNECT /console */
void http_console_websocket(struct exchange *x);   /* GET /console with an upgrade */
void http_rrd_updates(struct exchange *x);         /* GET /rrd_updates */
void http_rrd_host(struct exchange *x);            /* GET /host_rrd */
void http_rrd_vm(struct exchange *x);              /* GET /vm_rrd */
void http_rrd_sr(struct exchange *x);              /* GET /sr_rrd */
void http_metrics_get(struct exchange *x);         /* GET /metrics */
void http_pool_get_dump(struct exchange *x);       /* GET /pool/xmldbdump */
void http_pool_put_dump(struct exchange *x);       /* PUT /pool/xmldbdump */
void http_pool_get_messages(struct exchange *x);   /* GET /messages */
void http_pool_put_messages(struct exchange *x);   /* PUT /messages */
void http_status_get(struct exchange *x);          /* GET /system-status */
void http_metadata_export(struct exchange *x);     /* GET /export_metadata */
void http_metadata_import(struct exchange *x);     /* PUT /import_metadata */
void http_session_login(struct exchange *x);       /* POST /web/login */
void http_session_logout(struct exchange *x);      /* POST /web/logout */
void http_session_get(struct exchange *x);         /* GET /web/session */
void http_xva_export(struct exchange *x);          /* GET /export */
void http_xva_import(struct exchange *x);          /* PUT /import */
void http_image_put(struct exchange *x);           /* PUT /import_image */
void http_image_head(struct exchange *x);          /* HEAD and GET /import_image */
void http_web_get(struct exchange *x);             /* GET, anything else */
/* "" as the first parameter, the session, becomes the session of the cookie. */
void http_session_fill(const struct http_req *r, json_t *params);
#endif
