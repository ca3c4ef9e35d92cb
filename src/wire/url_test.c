/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/url.h"

#include "base/mem.h"
#include "base/test.h"

TEST(decode)
{
    static const struct {
        const char *in;
        bool plus;
        const char *want; /* NULL: refused */
    } cases[] = {
        { "", false, "" },
        { "/a%20b", false, "/a b" },
        { "a+b", false, "a+b" },
        { "a+b", true, "a b" },
        { "%2B", true, "+" },
        { "OpaqueRef%3A1", false, "OpaqueRef:1" },
        { "%e2%82%AC", false, "\xe2\x82\xac" },
        { "/../%2e%2e/x", false, "/../../x" },
        { "%00", false, NULL },
        { "a%", false, NULL },
        { "a%2", false, NULL },
        { "a%zz", false, NULL },
        { "a%2g", false, NULL },
        { "%%", false, NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(free_str) char *s = str_dup(cases[i].in);
        CHECK(url_decode(s, cases[i].plus) == (cases[i].want != NULL));
        if (cases[i].want)
            CHECK_STR(s, cases[i].want);
    }
}

TEST(query)
{
    AUTO(url_params_done) struct url_params p = { 0 };
    CHECK(url_parse_query("ref=OpaqueRef%3aabc&use_compression=&flag&&a=1=2&a=3&x+y=%26",
                          &p));
    CHECK_INT(p.n, 6);
    CHECK_STR(url_param(&p, "ref"), "OpaqueRef:abc");
    CHECK_STR(url_param(&p, "use_compression"), "");
    CHECK_STR(url_param(&p, "flag"), "");
    CHECK_STR(url_param(&p, "a"), "1=2");
    CHECK_STR(url_param(&p, "x y"), "&");
    CHECK(!url_param(&p, "absent"));
}

TEST(query_bounds)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    AUTO(url_params_done) struct url_params p = { 0 };
    for (int i = 0; i < 64; i++)
        buf_addf(&b, "&a%d=1", i);
    CHECK(url_parse_query(buf_str(&b), &p));
    CHECK_INT(p.n, 64);
    buf_add_str(&b, "&z=1");
    url_params_done(&p);
    CHECK(!url_parse_query(buf_str(&b), &p));
    CHECK(!url_parse_query("a=1&b=%0", &p));
    CHECK(!url_parse_query("a%00=1", &p));
    CHECK_INT(p.n, 0);
    CHECK(!p.v);
}

TEST(encode_round_trip)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    url_encode(&b, "AZaz09-._~ /?&=+%\xc3\xa9\x01");
    CHECK_STR(buf_str(&b), "AZaz09-._~%20%2F%3F%26%3D%2B%25%C3%A9%01");
    CHECK(url_decode(b.data, true));
    CHECK_STR(b.data, "AZaz09-._~ /?&=+%\xc3\xa9\x01");
}

TEST(urls)
{
    static const struct {
        const char *in, *scheme, *host;
        unsigned port;
        const char *path_query;
    } good[] = {
        { "http://h", "http", "h", 80, "/" },
        { "HTTPS://Host.example/a?b=c", "https", "Host.example", 443, "/a?b=c" },
        { "https://10.0.0.1:8443/", "https", "10.0.0.1", 8443, "/" },
        { "https://[fe80::1]:9/x", "https", "fe80::1", 9, "/x" },
        { "http://[::1]", "http", "::1", 80, "/" },
        { "http://h?q=1", "http", "h", 80, "/?q=1" },
        { "http://h/p#fragment", "http", "h", 80, "/p" },
    };

    static const char *const bad[] = {
        "",           "h",           "ftp://h/",     "http:/h",        "http://",
        "http:///x",  "http://h:/",  "http://h:0/",  "http://h:65536", "http://h:+1/",
        "http://u@h", "http://h b/", "http://[::1",  "http://[::1]x",  "http://[g::1]/",
        "http://h\n", "http://[]/",  "httpss://h/x", "http://h:1x/",   "http://h/\x7f",
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        AUTO(url_done) struct url u = { 0 };
        CHECK(url_parse(good[i].in, &u));
        CHECK_STR(u.scheme, good[i].scheme);
        CHECK_STR(u.host, good[i].host);
        CHECK_INT(u.port, good[i].port);
        CHECK_STR(u.path_query, good[i].path_query);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct url u = { 0 };
        if (url_parse(bad[i], &u))
            test_fail(__FILE__, __LINE__, "accepted %s", bad[i]);
    }
}
