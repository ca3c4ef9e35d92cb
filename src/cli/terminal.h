/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of the server in the terminal: raw while attached, put back after. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include "wire/conn.h"

#define TERMINAL_ESCAPE '\035' /* ^] */

/* Copy in to c and c to out until ^] is typed, the stream ends, or the deadline's descriptor says so (0), or something
 * breaks (-1 with errno). The end of in (a pipe) ends nothing: what comes is still shown. */
int terminal_attach(struct conn *c, int in, int out, const struct deadline *d) MUST_CHECK;
#endif
