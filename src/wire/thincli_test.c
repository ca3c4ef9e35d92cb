/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/thincli.h"

#include <string.h>

#include "base/mem.h"
#include "base/test.h"

TEST(commands)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    static const char want[] = "\x0e\0\0\0\x09\0\0\0\0\0\0\0\x02\0\0\0hi" /* Print "hi" */
                               "\x11\0\0\0\x09\0\0\0\x0c\0\0\0\0\0\0\0\x01\0\0\0/"
                               "\x08\0\0\0\x09\0\0\0\x03\0\0\0" /* Prompt */
                               "\x0c\0\0\0\x09\0\0\0\x04\0\0\0\xff\xff\xff\xff";
    thincli_add(&b, THINCLI_PRINT, "hi", NULL);
    thincli_add(&b, THINCLI_HTTP_GET, "", "/");
    thincli_add(&b, THINCLI_PROMPT, NULL, NULL);
    thincli_add_exit(&b, -1);
    CHECK_INT(b.len, sizeof(want) - 1);
    CHECK(memcmp(b.data, want, b.len) == 0);
}

TEST(greeting)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    thincli_add_greeting(&b);
    CHECK_INT(b.len, THINCLI_GREETING_SIZE);
    CHECK(memcmp(b.data, "XenSource thin CLI protocol\0\0\0\0\2\0\0\0", b.len) == 0);
    CHECK(thincli_greeting_fits((const uint8_t *)b.data));
    b.data[31] = 0; /* an older minor version */
    CHECK(thincli_greeting_fits((const uint8_t *)b.data));
    b.data[27] = 1;
    CHECK(!thincli_greeting_fits((const uint8_t *)b.data));
    b.data[27] = 0;
    b.data[0] = 'x';
    CHECK(!thincli_greeting_fits((const uint8_t *)b.data));
}

TEST(answers)
{
    static const struct {
        const char *bytes;
        size_t len;
        ssize_t size;
        int what;
        uint32_t length;
    } cases[] = {
        { "\x08\0\0\0\x0a\0\0\0\x05\0\0\0", 12, 12, THINCLI_OK, 0 },
        { "\x08\0\0\0\x0a\0\0\0\x06\0\0\0more", 16, 12, THINCLI_FAILED, 0 },
        { "\x08\0\0\0\x0a\0\0\0\x12\0\0\0", 12, 12, THINCLI_WAIT, 0 },
        { "\x08\0\0\0\x0b\0\0\0\x08\0\0\0", 12, 12, THINCLI_END, 0 },
        { "\x0c\0\0\0\x0b\0\0\0\x07\0\0\0\x04\x03\x02\x01", 16, 16, THINCLI_CHUNK,
          0x01020304 },
        { "\x0c\0\0\0\x0b\0\0\0\x07\0\0\0\0\0\0\x80", 16, -1, 0, 0 }, /* negative */
        { "\x08\0\0\0\x0b\0\0\0\x07\0\0\0", 12, -1, 0, 0 },           /* no length */
        { "\x08\0\0\0\x0b\0\0\0\x05\0\0\0", 12, -1, 0, 0 },
        { "\x08\0\0\0\x0a\0\0\0\x08\0\0\0", 12, -1, 0, 0 },
        { "\x08\0\0\0\x09\0\0\0\x04\0\0\0", 12, -1, 0, 0 }, /* a command of ours */
        { "\x0c\0\0\0\x0a\0\0\0\x05\0\0\0\0\0\0\0", 16, -1, 0, 0 },
        { "\x04\0\0\0\x0a\0\0\0", 8, -1, 0, 0 },
        { "\x41\0\0\0", 4, -1, 0, 0 },
        { "\xff\xff\xff\xff", 4, -1, 0, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct thincli_message m;
        const uint8_t *p = (const uint8_t *)cases[i].bytes;
        CHECK_INT(thincli_parse(p, cases[i].len, &m), cases[i].size);
        for (size_t n = 0; cases[i].size > 0 && n < (size_t)cases[i].size; n++)
            CHECK_INT(thincli_parse(p, n, &m), 0);
        if (cases[i].size < 0)
            continue;
        (void)!thincli_parse(p, cases[i].len, &m);
        CHECK_INT(m.what, cases[i].what);
        CHECK_INT(m.length, cases[i].length);
    }
}

TEST(requests)
{
    static const struct {
        const char *body, *words, *session, *user, *password;
    } cases[] = {
        { "vm-list\nparams=all\nusername=root\npassword=a=b\n", "vm-list|params=all|", NULL,
          "root", "a=b" },
        { "vm-list\r\nusername=root\r\npassword=\r\n", "vm-list|", NULL, "root", "" },
        { "session_id=OpaqueRef:x\nvm-start\nvm=a b", "vm-start|vm=a b|", "OpaqueRef:x",
          NULL, NULL },
        { "pool-join\npassword=other\nforce=true\npassword=p\nusername=u",
          "pool-join|password=other|force=true|", NULL, "u", "p" },
        { "a\n\nb\n\n", "a||b|", NULL, NULL, NULL },
        { "", "", NULL, NULL, NULL },
        { "\n\n", "", NULL, NULL, NULL },
        { "a\nsession_id=x\n", "a|session_id=x|", NULL, NULL, NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(err_done) struct err err = { 0 };
        AUTO(thincli_request_done) struct thincli_request r = { 0 };
        AUTO(buf_done) struct buf words = BUF_INIT(0);
        CHECK(thincli_request_parse(cases[i].body, strlen(cases[i].body), &r, &err) == 0);
        for (size_t k = 0; k < r.n_words; k++)
            buf_addf(&words, "%s|", r.words[k]);
        CHECK_STR(buf_str(&words), cases[i].words);
        CHECK(str_eq(r.session, cases[i].session));
        CHECK(str_eq(r.user, cases[i].user));
        CHECK(str_eq(r.password, cases[i].password));
    }
}

TEST(bad_requests)
{
    AUTO(err_done) struct err err = { 0 };
    struct thincli_request r = { 0 };
    char many[THINCLI_WORDS_MAX + 1];
    CHECK(thincli_request_parse("a\0b", 3, &r, &err) < 0);
    CHECK_STR(err.code, THINCLI_REFUSED);
    memset(many, '\n', sizeof(many));
    CHECK(thincli_request_parse(many, THINCLI_WORDS_MAX, &r, &err) < 0);
    CHECK(thincli_request_parse(many, THINCLI_WORDS_MAX - 1, &r, NULL) == 0);
    CHECK_INT(r.n_words, 0);
    thincli_request_done(&r);
}
