/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "wire/url.h"

static void check_decode(const char *text, bool plus)
{
    AUTO(free_str) char *s = str_dup(text);
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    if (!url_decode(s, plus))
        return;
    REQUIRE(strlen(s) <= strlen(text));
    url_encode(&b, s);
    REQUIRE(url_decode(b.data ? b.data : (char[1]){ 0 }, plus));
    REQUIRE(str_eq(buf_str(&b), s));
}

/* Written out again, a query means the same. */
static void check_query(const char *text)
{
    AUTO(url_params_done) struct url_params p = { 0 }, again = { 0 };
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    if (!url_parse_query(text, &p)) {
        REQUIRE(!p.v && p.n == 0);
        return;
    }
    REQUIRE(p.n <= 64);
    for (size_t i = 0; i < p.n; i++) {
        buf_add_str(&b, i ? "&" : "");
        url_encode(&b, p.v[i].name);
        buf_add_char(&b, '=');
        url_encode(&b, p.v[i].value);
    }
    REQUIRE(url_parse_query(buf_str(&b), &again));
    REQUIRE(again.n == p.n);
    for (size_t i = 0; i < p.n; i++) {
        REQUIRE(str_eq(p.v[i].name, again.v[i].name));
        REQUIRE(str_eq(p.v[i].value, again.v[i].value));
        REQUIRE(url_param(&p, p.v[i].name) != NULL);
    }
}

static void check_url(const char *text)
{
    AUTO(url_done) struct url u = { 0 }, again = { 0 };
    if (!url_parse(text, &u)) {
        REQUIRE(!u.scheme && !u.host && !u.path_query);
        return;
    }
    bool v6 = strchr(u.host, ':') != NULL;
    AUTO(free_str)
    char *whole = str_fmt(v6 ? "%s://[%s]:%u%s" : "%s://%s:%u%s", u.scheme, u.host, u.port,
                          u.path_query);
    REQUIRE(u.path_query[0] == '/' && u.port > 0 && u.port < 65536);
    if (strlen(whole) > 8192)
        return;
    REQUIRE(url_parse(whole, &again) || !v6);
    if (again.host) {
        REQUIRE(str_eq(u.host, again.host) && u.port == again.port);
        REQUIRE(str_eq(u.scheme, again.scheme) && str_eq(u.path_query, again.path_query));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(free_str) char *text = str_dupn((const char *)data, size);
    check_decode(text, false);
    check_decode(text, true);
    check_query(text);
    check_url(text);
    return 0;
}
