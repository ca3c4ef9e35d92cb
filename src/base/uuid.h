/* SPDX-License-Identifier: Apache-2.0 */
/* Random (version 4) uuids, binary and as 36 lower-case characters. Thread: any. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include "base/util.h"

struct uuid {
    uint8_t b[16];
};

#define UUID_TEXT_SIZE 37 /* with the NUL */

struct uuid uuid_new(void);
void uuid_text(const struct uuid *u, char out[static UUID_TEXT_SIZE]);
bool uuid_parse(const char *s,
                struct uuid *out);      /* exactly 36 characters, hex of either case */
void random_bytes(void *p, size_t len); /* getrandom(2), aborts on failure */
#endif
