/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of the thin CLI protocol. Owns nothing, reads and writes nothing; any thread. */
#include "wire/thincli.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"

#define GREETING "XenSource thin CLI protocol"
#define MAJOR    0
#define MINOR    2 /* from this one on, clients say WAIT while a transfer lasts */

/* Kinds of payloads. */
enum { COMMAND = 9, RESPONSE = 10, BLOB = 11 };

static void add_int(struct buf *out, uint32_t v)
{
    const uint8_t le[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
                            (uint8_t)(v >> 24) };
    buf_add(out, le, sizeof(le));
}

static uint32_t string_size(const char *s)
{
    return s ? (uint32_t)(4 + strlen(s)) : 0;
}

static void add_string(struct buf *out, const char *s)
{
    if (!s)
        return;
    add_int(out, (uint32_t)strlen(s));
    buf_add_str(out, s);
}

void thincli_add(struct buf *out, enum thincli_command what, const char *a, const char *b)
{
    add_int(out, 8 + string_size(a) + string_size(b));
    add_int(out, COMMAND);
    add_int(out, (uint32_t)what);
    add_string(out, a);
    add_string(out, b);
}

void thincli_add_exit(struct buf *out, int status)
{
    add_int(out, 12);
    add_int(out, COMMAND);
    add_int(out, THINCLI_EXIT);
    add_int(out, (uint32_t)status);
}

void thincli_add_greeting(struct buf *out)
{
    buf_add_str(out, GREETING);
    add_int(out, MAJOR);
    add_int(out, MINOR);
}

bool thincli_greeting_fits(const uint8_t p[static THINCLI_GREETING_SIZE])
{
    size_t n = strlen(GREETING);
    return memcmp(p, GREETING, n) == 0 && le32(p + n) == MAJOR;
}

ssize_t thincli_parse(const uint8_t *p, size_t len, struct thincli_message *out)
{
    if (len < 4)
        return 0;
    uint32_t size = le32(p);
    if (size < 8 || size > THINCLI_MESSAGE_MAX)
        return -1;
    if (len < 4 + size)
        return 0;
    uint32_t kind = le32(p + 4), what = le32(p + 8);
    bool response = kind == RESPONSE
                    && (what == THINCLI_OK || what == THINCLI_FAILED
                        || what == THINCLI_WAIT);
    bool end = kind == BLOB && what == THINCLI_END;
    bool chunk = kind == BLOB && what == THINCLI_CHUNK && size == 12
                 && le32(p + 12) <= INT32_MAX;
    if (!chunk && (size != 8 || (!response && !end)))
        return -1;
    *out = (struct thincli_message){ (enum thincli_answer)what, chunk ? le32(p + 12) : 0 };
    return (ssize_t)size + 4;
}

void thincli_request_done(struct thincli_request *r)
{
    /* The words were cut in place: their lengths add up to the text's. */
    for (size_t i = 0; i < r->n_words; i++)
        explicit_bzero(r->words[i], strlen(r->words[i]));
    if (r->password)
        explicit_bzero((char *)(uintptr_t)r->password, strlen(r->password));
    if (r->session)
        explicit_bzero((char *)(uintptr_t)r->session, strlen(r->session));
    free(r->words);
    free(r->text);
    *r = (struct thincli_request){ 0 };
}

/* The value when the last word is key=value, which is then no word any more. */
static bool take_last(struct thincli_request *r, const char *key, const char **value_out)
{
    if (*value_out || r->n_words == 0 || !str_starts(r->words[r->n_words - 1], key))
        return false;
    *value_out = r->words[--r->n_words] + strlen(key);
    return true;
}

static void take_who(struct thincli_request *r)
{
    while (r->n_words > 0 && !*r->words[r->n_words - 1])
        r->n_words--; /* the newline at the end */
    while (take_last(r, "username=", &r->user) || take_last(r, "password=", &r->password))
        ;
    if (r->n_words > 0 && str_starts(r->words[0], "session_id=")) {
        r->session = r->words[0] + strlen("session_id=");
        r->n_words--;
        memmove(&r->words[0], &r->words[1], r->n_words * sizeof(r->words[0]));
    }
}

static int refuse(struct err *err, const char *sentence)
{
    (void)err_set(err, THINCLI_REFUSED);
    return err_detail(err, "%s", sentence);
}

int thincli_request_parse(const char *p, size_t len, struct thincli_request *out,
                          struct err *err)
{
    VEC(char *) words = { 0 };
    size_t lines = 1;
    if (memchr(p, 0, len))
        return refuse(err, "a command line has no NUL");
    for (size_t i = 0; i < len; i++)
        lines += p[i] == '\n';
    if (lines > THINCLI_WORDS_MAX)
        return refuse(err, "a command line of too many words");
    char *text = str_dupn(p, len);
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        size_t n = strlen(line);
        if (n > 0 && line[n - 1] == '\r')
            line[n - 1] = '\0';
        vec_push(&words, line);
    }
    *out = (struct thincli_request){ .text = text, .words = words.v, .n_words = words.n };
    take_who(out);
    return 0;
}
