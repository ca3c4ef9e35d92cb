/* SPDX-License-Identifier: Apache-2.0 */
/* Text to numbers. Nothing is skipped, nothing is guessed: the whole string is the number or it is
 * refused. Thread: any. */
#include "base/parse.h"

#include <locale.h>
#include <pthread.h>
#include <strings.h>

static locale_t c_locale; /* written once under c_once */
static pthread_once_t c_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale)
        abort();
}

/* Digits at s up to the first other character, which *end_out then points at. */
static bool parse_digits(const char *s, uint64_t *out, const char **end_out)
{
    if (*s < '0' || *s > '9')
        return false;
    uint64_t v = 0;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (__builtin_mul_overflow(v, (uint64_t)10, &v)
            || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
            return false;
    }
    *out = v;
    *end_out = s;
    return true;
}

bool parse_u64(const char *s, uint64_t *out)
{
    uint64_t v;
    const char *end;
    if (!parse_digits(s, &v, &end) || *end != '\0')
        return false;
    *out = v;
    return true;
}

bool parse_i64(const char *s, int64_t *out)
{
    bool minus = *s == '-';
    uint64_t v;
    if (!parse_u64(minus || *s == '+' ? s + 1 : s, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + (minus ? 1 : 0))
        return false;
    *out = (int64_t)(minus ? -v : v);
    return true;
}

bool parse_range(const char *s, int64_t min, int64_t max, int64_t *out)
{
    int64_t v;
    if (!parse_i64(s, &v) || v < min || v > max)
        return false;
    *out = v;
    return true;
}

bool parse_double(const char *s, double *out)
{
    const char *digits = *s == '-' || *s == '+' ? s + 1 : s;
    bool word = strcasecmp(digits, "nan") == 0 || strcasecmp(digits, "inf") == 0
                || strcasecmp(digits, "infinity") == 0;
    if (!word && (*digits == '\0' || strspn(s, "0123456789+-.eE") != strlen(s)))
        return false;
    (void)pthread_once(&c_once, make_c_locale); /* cannot fail */
    char *end;
    double v = strtod_l(s, &end, c_locale);
    if (*end != '\0' || end == s)
        return false;
    *out = v;
    return true;
}

bool parse_bool(const char *s, bool *out)
{
    static const char *const words[][2] = { { "false", "true" },
                                            { "0", "1" },
                                            { "no", "yes" } };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        for (int v = 0; v < 2; v++) {
            if (strcasecmp(s, words[i][v]) == 0) {
                *out = v == 1;
                return true;
            }
        }
    }
    return false;
}

bool parse_size(const char *s, uint64_t *bytes_out)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = { { "", 0 },     { "bytes", 0 }, { "KiB", 10 },
                  { "MiB", 20 }, { "GiB", 30 },  { "TiB", 40 } };

    uint64_t v;
    const char *end;
    if (!parse_digits(s, &v, &end))
        return false;
    if (*end == ' ' && end[1] != '\0')
        end++;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcasecmp(end, units[i].suffix) != 0)
            continue;
        if (__builtin_mul_overflow(v, UINT64_C(1) << units[i].shift, &v))
            return false;
        *bytes_out = v;
        return true;
    }
    return false;
}

/* The length of the sequence that starts with byte c, 0 if none does; *min_out its least code point. */
static size_t utf8_length(uint8_t c, uint32_t *min_out)
{
    if (c >= 0xc2 && c <= 0xdf) {
        *min_out = 0x80;
        return 2;
    }
    if ((c & 0xf0) == 0xe0) {
        *min_out = 0x800;
        return 3;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        *min_out = 0x10000;
        return 4;
    }
    return 0;
}

bool utf8_valid(const char *s, size_t len)
{
    const uint8_t *p = (const uint8_t *)s;
    for (size_t i = 0; i < len;) {
        if (p[i] != 0 && p[i] < 0x80) {
            i++;
            continue;
        }
        uint32_t min = 0;
        size_t n = utf8_length(p[i], &min);
        if (n == 0 || n > len - i)
            return false;
        uint32_t code = p[i] & (0x7fU >> n);
        for (size_t k = 1; k < n; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (p[i + k] & 0x3f);
        }
        if (code < min || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
        i += n;
    }
    return true;
}
