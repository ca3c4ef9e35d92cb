/* SPDX-License-Identifier: Apache-2.0 */
/* /pool/xmldbdump: the database of the pool as XML, to be kept (GET) and restored (PUT, dry_run=true: only judged). It
 * holds secrets, so only pool administrators may. And /messages: the messages about an object in the form in which
 * XenServer's hosts hand them on when a VM moves. Runs on a worker, declared blocked. */
#include "api/errors.h"
#include "base/mem.h"
#include "ops/dbxml.h"
#include "ops/message_xml.h"
#include "seraid/handlers.h"
#include "seraid/query.h"
#include "seraid/upload.h"

#define READERS                                                                 \
    (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN \
     | ROLE_VM_OPERATOR | ROLE_READ_ONLY)
#define WRITERS (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN)

static void answer_xml(struct exchange *x, const struct auth *a, const struct buf *text)
{
    AUTO(err_done) struct err none = { 0 };

    serve_answer(x, &(struct http_resp){ .status = 200,
                                         .content_type = "text/xml",
                                         .extra = "Cache-Control: no-cache, no-store\r\n",
                                         .body = buf_str(text),
                                         .body_len = text->len });
    if (a->has_task)
        task_end(&a->task, "", &none);
}

/* The database */

void http_pool_get_dump(struct exchange *x)
{
    AUTO(auth_done) struct auth a = { 0 };
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    AUTO(err_done) struct err err = { 0 };

    if (auth_begin(x, ROLE_POOL_ADMIN, "http/get_pool_xml_db_sync", &a) != 0)
        return;
    db_seen_reset();
    dbxml_write(&text, false);
    if (db_wait_seen(&err) != 0)
        auth_refuse(x, &a, 500, &err);
    else
        answer_xml(x, &a, &text);
    explicit_bzero(text.data, text.len);
}

void http_pool_put_dump(struct exchange *x)
{
    AUTO(auth_done) struct auth a = { 0 };
    AUTO(err_done) struct err err = { 0 };
    struct upload u;
    struct call call;
    bool dry_run = false;

    if (auth_begin(x, ROLE_POOL_ADMIN, "http/put_pool_xml_db_sync", &a) != 0)
        return;
    if (query_bool(x, "dry_run", &dry_run, &err) != 0) {
        auth_refuse(x, &a, 400, &err);
        return;
    }
    if (!upload_begin(&u, x, &a))
        return;
    call = upload_call(x, &a, CALL_POOL_SYNC_DATABASE);
    IGNORE(dbxml_restore(&call, upload_read, &u, dry_run, &err)); /* the task tells */
    upload_end(&u, &a, dry_run ? "judging a database" : "restoring the database", "", &err);
}

/* Messages */

/* cls and uuid; both absent: of all. */
static int about_arg(struct exchange *x, struct message_about *out, struct err *err)
{
    AUTO(free_str) char *cls = http_arg(x->req, "cls"), *uuid = http_arg(x->req, "uuid");

    return message_about(cls, uuid, out, err);
}

void http_pool_get_messages(struct exchange *x)
{
    AUTO(auth_done) struct auth a = { 0 };
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    AUTO(err_done) struct err err = { 0 };
    struct message_about about;

    if (auth_begin(x, READERS, "http/get_messages", &a) != 0)
        return;
    if (about_arg(x, &about, &err) != 0) {
        auth_refuse(x, &a, str_eq(err.code, ERR_UUID_INVALID) ? 404 : 400, &err);
        return;
    }
    message_xml_write(&about, &text);
    answer_xml(x, &a, &text);
}

void http_pool_put_messages(struct exchange *x)
{
    AUTO(auth_done) struct auth a = { 0 };
    AUTO(err_done) struct err err = { 0 };
    struct message_about about;
    struct upload u;
    struct call call;

    if (auth_begin(x, WRITERS, "http/put_messages", &a) != 0)
        return;
    if (about_arg(x, &about, &err) == 0 && !about.one)
        (void)err_set(&err, ERR_INVALID_VALUE, "uuid", "");
    if (err.code) {
        auth_refuse(x, &a, str_eq(err.code, ERR_UUID_INVALID) ? 404 : 400, &err);
        return;
    }
    if (!upload_begin(&u, x, &a))
        return;
    call = upload_call(x, &a, CALL_MESSAGE_CREATE);
    IGNORE(message_xml_read(&call, &about, upload_read, &u, &err)); /* the task tells */
    upload_end(&u, &a, "taking over messages", "", &err);
}
