/* SPDX-License-Identifier: Apache-2.0 */
#include "xe/when.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"

#define MAX_BACK INT64_C(3000000000) /* seconds */

static const struct {
    const char *name;
    int64_t seconds;
} units[] = {
    { "s", 1 },           { "sec", 1 },         { "second", 1 }, { "m", 60 },
    { "min", 60 },        { "minute", 60 },     { "h", 3600 },   { "hour", 3600 },
    { "d", 86400 },       { "day", 86400 },     { "w", 604800 }, { "week", 604800 },
    { "month", 2592000 }, { "year", 31536000 },
};

static int64_t unit_seconds(const char *name)
{
    AUTO(free_str) char *one = str_dup(name);
    size_t len = strlen(one);
    if (len > 2 && one[len - 1] == 's')
        one[len - 1] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (str_eq(units[i].name, one))
            return units[i].seconds;
    }
    return 0;
}

/* "2 hours ago", "2h ago", "an hour ago". */
static bool ago(const char *text, int64_t now_us, int64_t *out)
{
    size_t len = strlen(text);
    if (len < 5 || !str_ends(text, " ago"))
        return false;
    AUTO(free_str) char *body = str_dupn(text, len - 4);
    size_t digits = strspn(body, "0123456789");
    int64_t n = 1;
    const char *unit;
    if (str_starts(body, "an ") || str_starts(body, "a ")) {
        unit = strchr(body, ' ') + 1;
    } else {
        AUTO(free_str) char *number = str_dupn(body, digits);
        if (!digits || !parse_range(number, 0, MAX_BACK, &n))
            return false;
        unit = body + digits + strspn(body + digits, " ");
    }
    int64_t seconds = unit_seconds(unit);
    if (!seconds || n > MAX_BACK / seconds)
        return false;
    *out = now_us - n * seconds * US_PER_SEC;
    return true;
}

/* A day, or a day and a time with a blank between, as ISO. */
static bool calendar(const char *text, int64_t *out)
{
    AUTO(free_str) char *iso = NULL;
    size_t len = strlen(text);
    if (len == 10)
        iso = str_fmt("%sT00:00:00Z", text);
    else if (len == 16 && (text[10] == ' ' || text[10] == 'T'))
        iso = str_fmt("%.10sT%s:00Z", text, text + 11);
    else if (len > 10 && text[10] == ' ')
        iso = str_fmt("%.10sT%s", text, text + 11);
    else
        iso = str_dup(text);
    return clock_parse_iso(iso, out);
}

char *when_text(const char *text, int64_t now_us)
{
    int64_t at;
    char date[20];
    if (str_eq(text, "now"))
        at = now_us;
    else if (str_eq(text, "yesterday"))
        at = now_us - 86400 * US_PER_SEC;
    else if (!ago(text, now_us, &at) && !calendar(text, &at))
        return NULL;
    clock_iso(at, date);
    int64_t fraction = at % US_PER_SEC;
    return str_fmt("%.4s-%.2s-%.2s%.9s.%06dZ", date, date + 4, date + 6, date + 8,
                   (int)(fraction < 0 ? 0 : fraction));
}
