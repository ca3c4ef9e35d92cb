/* SPDX-License-Identifier: Apache-2.0 */
/* An error in words: the sentence of its code with the parameters put in, what to do, and the detail. Pure. */
#ifndef MODEL_EXPLAIN_H
#define MODEL_EXPLAIN_H

#include "base/buf.h"
#include "base/err.h"

/* {0}, {1}, ... of the sentence stand for the parameters; one that is not there is left out. */
void explain_fill(struct buf *out, const char *sentence, const struct err *err);
void explain_error(struct buf *out, const struct err *err);
/* The command that helps. Parameters come through name (given text; NULL result: as it is). False: there is none, or one of
 * its parameters is missing. */
typedef char *(*explain_name_fn)(const char *param, void *arg);
bool explain_command(struct buf *out, const struct err *err, explain_name_fn name,
                     void *arg);
#endif
