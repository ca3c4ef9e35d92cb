/* SPDX-License-Identifier: Apache-2.0 */
/* Consoles: the bytes of a VM's VNC server or serial line over a CONNECT, whose answer is a bare 200 head and then the
 * stream, or over a WebSocket. A worker is held, declared blocked, for as long as the console is open. */
#include "api/errors.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "ops/ops.h"
#include "seraid/auth.h"
#include "seraid/handlers.h"
#include "wire/ws.h"

#define OPEN_US (10 * US_PER_SEC)
#define ROLES                                                                   \
    (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN \
     | ROLE_VM_OPERATOR)

/* A socket connected to the console that the request names; -1 with err. */
static int open_console(struct exchange *x, char vm[static UUID_TEXT_SIZE], struct err *err)
{
    struct deadline d = serve_deadline(OPEN_US);
    AUTO(free_str) char *ref = http_arg(x->req, "ref"), *uuid = http_arg(x->req, "uuid");
    const char *want_text = url_param(&x->req->query, "text"), *name = ref ? ref : uuid;
    bool text = false; /* a VM by its own name: the screen */

    if (!name)
        return err_set(err, ERR_HANDLE_INVALID, "console", "");
    if (console_resolve(name, vm, &text, err) != 0)
        return -1;
    if (want_text && !parse_bool(want_text, &text))
        return err_set(err, ERR_INVALID_VALUE, "text", want_text);
    return text ? host_ctx.machine->open_serial(vm, &d, err)
                : host_ctx.machine->open_vnc(vm, &d, err);
}

static int answer_connect(struct exchange *x)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nCache-Control: no-cache, no-store\r\n\r\n";
    struct deadline d = serve_deadline(OPEN_US);

    return conn_write(x->conn, head, sizeof(head) - 1, &d);
}

static void run(struct exchange *x, bool websocket)
{
    char vm[UUID_TEXT_SIZE];
    struct deadline d = serve_deadline(OPEN_US);
    AUTO(err_done) struct err err = { 0 };
    AUTO(close_fd) int fd = -1;
    AUTO(auth_done) struct auth a = { 0 };

    if (auth_begin(x, ROLES, "http/connect_console", &a) != 0)
        return;
    fd = open_console(x, vm, &err);
    if (fd < 0) {
        auth_refuse(x, &a, 404, &err);
        return;
    }
    x->close = true;
    x->body_read = true; /* from here on the bytes are the stream's */
    if ((websocket ? ws_accept(x->conn, x->req, &d) : answer_connect(x)) != 0)
        return;
    log_info("console of VM %s opened by %s from %s", vm, a.session.user,
             conn_peer(x->conn));
    d = deadline_in_cancel(INT64_MAX / 2, listen_stop_fd());
    if ((websocket ? ws_proxy(x->conn, fd, &d) : conn_proxy(x->conn, fd, &d)) != 0)
        log_debug("console closed: the daemon stops");
}

void http_console_connect(struct exchange *x)
{
    run(x, false);
}

void http_console_websocket(struct exchange *x)
{
    if (!ws_is_upgrade(x->req)) {
        serve_text(x, 400, NULL, "A console is opened by CONNECT or by a WebSocket.");
        return;
    }
    run(x, true);
}
