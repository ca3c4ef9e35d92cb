/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/web_files.h"

#include <stdlib.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"

static char dir[] = "/tmp/web-files-XXXXXX";

static void put(const char *name, const char *text)
{
    AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);

    CHECK_INT(io_write_file(path, text, __builtin_strlen(text), 0600), 0);
}

static void make(void)
{
    AUTO(free_str) char *assets = NULL;

    memcpy(dir, "/tmp/web-files-XXXXXX", sizeof(dir));
    CHECK(mkdtemp(dir) != NULL);
    assets = str_fmt("%s/assets", dir);
    CHECK_INT(io_mkdirs(assets, 0700), 0);
}

static void drop(void)
{
    CHECK_INT(io_remove_tree(dir), 0);
    web_files_done();
}

TEST(what_was_built_is_served)
{
    AUTO(err_done) struct err err = { 0 };
    const struct web_file *f;

    make();
    put("index.html", "<p>hello");
    put("icon.svg", "<svg/>");
    put("stamp", "not a kind that is served");
    put(".hidden.html", "no");
    put("assets/app-1.js", "run()");
    put("assets/app-1.js.gz", "gz");
    put("assets/app-1.js.br", "br");
    CHECK_INT(web_files_load(dir, &err), 0);
    f = web_files_find("/");
    CHECK(f && !f->immutable);
    CHECK_STR(f->type, "text/html; charset=utf-8");
    CHECK_STR(buf_str(&f->body[WEB_PLAIN]), "<p>hello");
    f = web_files_find("/assets/app-1.js");
    CHECK(f && f->immutable);
    CHECK_STR(buf_str(&f->body[WEB_BROTLI]), "br");
    CHECK_INT(__builtin_strlen(f->etag), 34);
    CHECK(web_files_find("/icon.svg") != NULL);
    static const char *const absent[] = { "/stamp",
                                          "/.hidden.html",
                                          "/index.html",
                                          "/assets/app-1.js.gz",
                                          "/assets/",
                                          "/assets/../icon.svg",
                                          "" };
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
        CHECK(web_files_find(absent[i]) == NULL);
    drop();
}

TEST(without_a_page_nothing_is_served)
{
    AUTO(err_done) struct err err = { 0 };

    make();
    put("icon.svg", "<svg/>");
    CHECK_INT(web_files_load(dir, &err), 0);
    CHECK(web_files_find("/icon.svg") == NULL);
    drop();
    CHECK_INT(web_files_load("/nonexistent/web", &err), 0);
    CHECK(web_files_find("/") == NULL);
}

TEST(the_form_is_one_that_the_client_takes)
{
    static const struct {
        const char *accept;
        enum web_coding want;
    } cases[] = {
        { NULL, WEB_PLAIN },           { "", WEB_PLAIN },
        { "identity", WEB_PLAIN },     { "gzip, deflate, br, zstd", WEB_BROTLI },
        { "gzip, deflate", WEB_GZIP }, { "br;q=0, gzip;q=0.5", WEB_GZIP },
        { "br;q=0.000", WEB_PLAIN },   { "br;q=0.001", WEB_BROTLI },
        { "GZIP", WEB_GZIP },          { "brotli, x-gzip", WEB_PLAIN },
        { ",,br", WEB_BROTLI },
    };
    struct web_file f = { .body = { BUF_INIT(0), BUF_INIT(0), BUF_INIT(0) } };

    for (enum web_coding c = 0; c < WEB_CODINGS; c++)
        buf_add_str(&f.body[c], "x");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        CHECK_INT(web_files_choose(&f, cases[i].accept), cases[i].want);
    buf_done(&f.body[WEB_BROTLI]);
    CHECK_INT(web_files_choose(&f, "br, gzip"), WEB_GZIP);
    buf_done(&f.body[WEB_GZIP]);
    CHECK_INT(web_files_choose(&f, "br, gzip"), WEB_PLAIN);
    buf_done(&f.body[WEB_PLAIN]);
}
