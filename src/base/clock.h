/* SPDX-License-Identifier: Apache-2.0 */
/* Times. All are int64_t microseconds. Thread: any. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/util.h"

#define US_PER_MS  INT64_C(1000)
#define US_PER_SEC INT64_C(1000000)

int64_t clock_now_us(void);  /* CLOCK_MONOTONIC */
int64_t clock_wall_us(void); /* since 1970 UTC */
/* XenAPI date "YYYYMMDDTHH:MM:SSZ" (18 characters); out holds 19 bytes or more. */
void clock_iso(int64_t wall_us, char out[static 20]);
/* Accepts YYYYMMDDTHH:MM:SS[Z] and the same with dashes, with or without fraction (CLIENTS use both). */
bool clock_parse_iso(const char *s, int64_t *wall_us_out);
#endif
