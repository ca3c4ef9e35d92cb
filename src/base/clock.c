/* SPDX-License-Identifier: Apache-2.0 */
/* Reading clocks and the date format of XenAPI. Thread: any. */
#include "base/clock.h"

#define SEC_YEAR_0    INT64_C(-62167219200) /* 0000-01-01 */
#define SEC_YEAR_9999 INT64_C(253402300799) /* its last second */

static int64_t clock_read(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t); /* fails only for clocks that do not exist */
    return (int64_t)t.tv_sec * US_PER_SEC + t.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    return clock_read(CLOCK_REALTIME);
}

void clock_iso(int64_t wall_us, char out[static 20])
{
    int64_t sec = wall_us / US_PER_SEC - (wall_us % US_PER_SEC < 0);
    time_t t = (time_t)MIN(MAX(sec, SEC_YEAR_0), SEC_YEAR_9999);
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        tm = (struct tm){ .tm_year = 70, .tm_mday = 1 };
    unsigned year = (unsigned)(tm.tm_year + 1900) % 10000;
    (void)snprintf(out, 20, "%04u%02u%02uT%02u:%02u:%02uZ", year,
                   (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100,
                   (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
                   (unsigned)tm.tm_sec % 100);
}

/* Exactly n digits at *s, which moves past them; -1 if they are not there. */
static int digits(const char **s, int n)
{
    int v = 0;
    for (; n > 0; n--, (*s)++) {
        if (**s < '0' || **s > '9')
            return -1;
        v = v * 10 + (**s - '0');
    }
    return v;
}

static bool skip(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

static int days_in(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool parse_date(const char **s, struct tm *tm)
{
    int year = digits(s, 4);
    bool dashes = year >= 0 && skip(s, '-');
    int month = digits(s, 2);
    if (dashes && !skip(s, '-'))
        return false;
    int day = digits(s, 2);
    if (year < 0 || month < 1 || month > 12 || day < 1 || day > days_in(year, month))
        return false;
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    tm->tm_mday = day;
    return true;
}

static bool parse_time(const char **s, struct tm *tm)
{
    tm->tm_hour = digits(s, 2);
    if (!skip(s, ':'))
        return false;
    tm->tm_min = digits(s, 2);
    if (!skip(s, ':'))
        return false;
    tm->tm_sec = digits(s, 2);
    return tm->tm_hour >= 0 && tm->tm_hour < 24 && tm->tm_min >= 0 && tm->tm_min < 60
           && tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

bool clock_parse_iso(const char *s, int64_t *wall_us_out)
{
    struct tm tm = { 0 };
    if (!parse_date(&s, &tm) || !skip(&s, 'T') || !parse_time(&s, &tm))
        return false;
    int64_t fraction_us = 0;
    if (skip(&s, '.')) {
        if (*s < '0' || *s > '9')
            return false;
        for (int64_t unit = US_PER_SEC / 10; *s >= '0' && *s <= '9'; s++, unit /= 10)
            fraction_us += (*s - '0') * unit;
    }
    (void)skip(&s, 'Z'); /* a time without a zone is UTC too */
    if (*s != '\0')
        return false;
    *wall_us_out = (int64_t)timegm(&tm) * US_PER_SEC + fraction_us;
    return true;
}
