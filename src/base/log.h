/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to stderr, one write each: "<priority>time level thread: text" (the <N> prefix of
 * sd-daemon(3) only when stderr is the journal). Control characters are escaped, secrets never
 * passed. Thread: any. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/util.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
bool log_parse_level(const char *text, enum log_level *level_out);
bool log_enabled(enum log_level level);
void log_set_thread(
    const char *name); /* static string, shown in the lines of this thread */
void log_write(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

/* The latest lines, up to LOG_RECENT bytes. Given. */
#define LOG_RECENT ((size_t)64 * 1024)
char *log_recent(void);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                         \
    do {                                       \
        if (log_enabled(LOG_DEBUG))            \
            log_write(LOG_DEBUG, __VA_ARGS__); \
    } while (0)
#endif
