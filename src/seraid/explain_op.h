/* SPDX-License-Identifier: Apache-2.0 */
/* Errors in words, with objects by their uuid: for answers, and serai.explain. Thread: any; takes db_mutex briefly. */
#ifndef SERAID_EXPLAIN_OP_H
#define SERAID_EXPLAIN_OP_H

#include "model/explain.h"

/* Members for the error of a JSON answer: "explain":"...","command":"...". */
void explain_members(struct buf *out, const struct err *err);
#endif
