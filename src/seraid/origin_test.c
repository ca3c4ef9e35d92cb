/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/origin.h"

#include "base/mem.h"
#include "base/test.h"

#define COOKIE  "Cookie: a=b; session_id=OpaqueRef:x\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define WEBSOCKET \
    UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

static bool refused(const char *method, const char *headers)
{
    AUTO(free_str)
    char *head = str_fmt("%s /x HTTP/1.1\r\nHost: box.example:8443\r\n%s\r\n", method,
                         headers);
    AUTO(err_done) struct err err = { 0 };
    struct http_req *r = http_req_new();
    int status = 0;
    bool out;

    CHECK(http_parse_head(head, __builtin_strlen(head), r, &status, &err) > 0);
    out = origin_refused(r);
    http_req_free(r);
    return out;
}

TEST(foreign_pages_do_not_act_by_a_cookie)
{
    static const struct {
        const char *method, *headers;
        bool want;
    } cases[] = {
        { "POST", COOKIE, false }, /* no browser */
        { "POST", COOKIE "Origin: https://box.example:8443\r\n", false },
        { "POST", COOKIE "Origin: HTTPS://BOX.example:8443\r\n", false },
        { "POST", COOKIE "Origin: https://box.example\r\n", true },
        { "POST", COOKIE "Origin: https://box.example:84431\r\n", true },
        { "POST", COOKIE "Origin: https://evil.example\r\n", true },
        { "POST", COOKIE "Origin: null\r\n", true },
        { "POST", COOKIE "Origin: \r\n", true },
        { "POST", COOKIE "Origin: ftp://box.example:8443\r\n", true },
        { "POST", COOKIE "Sec-Fetch-Site: same-site\r\n", true },
        { "POST", COOKIE "Sec-Fetch-Site: same-origin\r\n", false },
        { "POST", "Origin: https://evil.example\r\n", false }, /* knows its session */
        { "PUT", COOKIE "Origin: https://evil.example\r\n", true },
        { "CONNECT", COOKIE "Origin: https://evil.example\r\n", true },
        { "DELETE", COOKIE "Origin: https://evil.example\r\n", true },
        { "GET", COOKIE "Origin: https://evil.example\r\n", false },
        { "GET", COOKIE WEBSOCKET "Origin: https://evil.example\r\n", true },
        { "GET", COOKIE WEBSOCKET "Origin: https://box.example:8443\r\n", false },
        { "GET", COOKIE WEBSOCKET, false },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        CHECK_INT(refused(cases[i].method, cases[i].headers), cases[i].want);
}
