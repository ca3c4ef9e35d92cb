/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a struct xe_env that answers from a file of records (tests/xe/records.json), logs every other call,
 * and keeps what was printed. Classes without records there have one record with the schema's defaults. */
#ifndef XE_MOCK_H
#define XE_MOCK_H

#include "xe/xe.h"

struct mock;
struct mock *mock_new(void);
void mock_free(struct mock *m);
void mock_answer(struct mock *m, const char *method, const char *json); /* instead of "" */
/* Fail the call with a code and up to two parameters. */
void mock_refuse(struct mock *m, const char *method, const char *code, const char *p1,
                 const char *p2);
void mock_say(struct mock *m,
              const char *line); /* what the person answers; NULL: nobody is there */
/* Run a command line; words are cut at spaces, "_" inside a word stays, "%20" is a space. */
int mock_run(struct mock *m, const char *line);
int mock_complete(struct mock *m, const char *line);
struct xe_env *mock_env(struct mock *m);
const char *mock_out(const struct mock *m);
const char *mock_errout(const struct mock *m);
const char *mock_calls(
    const struct mock
        *m); /* "VM.start [ref, false, false]\n" of calls that change or ask */
#endif
