/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers from text: the whole string, range-checked, no white space, no locale. Thread: any. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include "base/util.h"

bool parse_i64(const char *s, int64_t *out);
bool parse_u64(const char *s, uint64_t *out);
bool parse_range(const char *s, int64_t min, int64_t max, int64_t *out);
bool parse_double(const char *s,
                  double *out); /* finite or not: nan, inf and -inf are accepted */
bool parse_bool(const char *s, bool *out); /* true/false, 1/0, yes/no; any case */
/* "8MiB", "2GiB", "10 MiB"; KiB MiB GiB TiB or bytes, as xe takes them. */
bool parse_size(const char *s, uint64_t *bytes_out);
bool utf8_valid(const char *s, size_t len); /* strict UTF-8, no NUL */

static inline uint16_t le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16
           | (uint32_t)p[3] << 24;
}

static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8
           | (uint32_t)p[3];
}

static inline uint64_t be64(const uint8_t *p)
{
    return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
    put_be16(p, (uint16_t)(v >> 16));
    put_be16(p + 2, (uint16_t)v);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
    put_be32(p, (uint32_t)(v >> 32));
    put_be32(p + 4, (uint32_t)v);
}
#endif
