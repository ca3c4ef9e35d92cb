/* SPDX-License-Identifier: Apache-2.0 */
/* The thin CLI protocol, by which XenServer's own xe is a terminal for commands that run in the server. The client
 * POSTs its words to /cli and gets no HTTP answer but a greeting and then messages: what to print, which file to send, when
 * to end. Pure; the server's side; the fuzz target thincli.
 *
 * Integers are 32 bits, signed, little endian; a string is its length and its bytes; a message is the length of its
 * payload and the payload, which begins with a kind. The bytes of a chunk follow its message. */
#ifndef WIRE_THINCLI_H
#define WIRE_THINCLI_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

#define THINCLI_GREETING_SIZE 35 /* words, major and minor version */
#define THINCLI_WORDS_MAX     1024
#define THINCLI_MESSAGE_MAX   64 /* what a client sends is short */
#define THINCLI_REFUSED \
    "THINCLI_REFUSED" /* code of all errors here; the detail is the sentence */

/* What the server asks for, and the strings that go with it. */
enum thincli_command {
    THINCLI_PRINT = 0,  /* text; the client ends it with a newline */
    THINCLI_LOAD = 1,   /* file: answered by OK, chunks and an end, or by FAILED */
    THINCLI_PROMPT = 3, /* answered by chunks and an end: a line of the person */
    THINCLI_EXIT = 4,
    THINCLI_HTTP_GET =
        12, /* file ("" is standard output), URL: answered by OK or FAILED, after any number of WAIT */
    THINCLI_HTTP_PUT = 13,
    THINCLI_PRINT_STDERR = 16, /* text, as it is */
    THINCLI_HTTP_CONNECT = 17  /* URL: answered as HTTP_GET */
};

/* What a client says. */
enum thincli_answer {
    THINCLI_OK = 5,
    THINCLI_FAILED = 6,
    THINCLI_CHUNK = 7,
    THINCLI_END = 8,
    THINCLI_WAIT = 18
};

struct thincli_message {
    enum thincli_answer what;
    uint32_t length; /* of the chunk that follows */
};

/* The words of a request's body, one a line, and who asks: "session_id=" on the first line, or "username=" and
 * "password=" on the last ones. */
struct thincli_request {
    char *text; /* everything else points into it */
    char **words;
    size_t n_words;
    const char *session, *user, *password; /* NULL: not given */
};

/* Errors: a NUL, or more than THINCLI_WORDS_MAX words. */
int thincli_request_parse(const char *p, size_t len, struct thincli_request *out,
                          struct err *err) MUST_CHECK;
void thincli_request_done(struct thincli_request *r); /* wipes the text; fit for AUTO */

void thincli_add_greeting(struct buf *out);
/* Whether the client's greeting is that of a version we can talk to. */
bool thincli_greeting_fits(const uint8_t p[static THINCLI_GREETING_SIZE]);

/* a, b: the strings of the command, NULL where it has none. */
void thincli_add(struct buf *out, enum thincli_command what, const char *a, const char *b);
void thincli_add_exit(struct buf *out, int status);

/* A client's message from the start of p: its size, 0 when more is needed, -1 when it is none. */
ssize_t thincli_parse(const uint8_t *p, size_t len, struct thincli_message *out);
#endif
