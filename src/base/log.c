/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines. What they say may come from outside, so control characters cannot start a new line or
 * drive a terminal; a line is one write(2), so lines of threads and processes do not mix. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/parse.h"

#define LINE_MAX_BYTES ((size_t)32 * 1024)

static const struct {
    const char *name;
    const char *prefix; /* sd-daemon(3) */
} levels[] = {
    [LOG_ERROR] = { "error", "<3>" },
    [LOG_WARN] = { "warn", "<4>" },
    [LOG_INFO] = { "info", "<6>" },
    [LOG_DEBUG] = { "debug", "<7>" },
};

/* Read by every thread on each line, set once or by an operator: an atomic spares a lock. */
static atomic_int max_level = LOG_INFO;
static bool to_journal; /* written once under journal_once */
static pthread_once_t journal_once = PTHREAD_ONCE_INIT;
static __thread const char *thread_name;

/* systemd.exec(5): JOURNAL_STREAM holds device and inode of the stream it connected. */
static void find_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return;
    AUTO(free_str)
    char *ours = str_fmt("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    to_journal = str_eq(stream, ours);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

bool log_parse_level(const char *text, enum log_level *level_out)
{
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
        if (strcasecmp(text, levels[i].name) == 0) {
            *level_out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

void log_set_thread(const char *name)
{
    thread_name = name;
}

static void add_escaped(struct buf *line, const char *text, size_t len)
{
    bool utf8 = utf8_valid(text, len);
    for (size_t i = 0; i < len && line->len < LINE_MAX_BYTES; i++) {
        uint8_t c = (uint8_t)text[i];
        bool c1 = c == 0xc2 && i + 1 < len && (uint8_t)text[i + 1] < 0xa0;
        if (c == '\n')
            buf_add_str(line, "\\n");
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
            buf_addf(line, "\\x%02x", c);
        else if (c1)
            buf_addf(line, "\\x%02x", (uint8_t)text[++i]);
        else
            buf_add_char(line, (char)c);
    }
    if (line->len >= LINE_MAX_BYTES)
        buf_add_str(line, "...");
}

/* The latest bytes of all lines, for who asks for the log by the API. */
static struct mutex recent_lock = MUTEX_INIT;
static char recent[LOG_RECENT] GUARDED_BY(recent_lock);
static size_t recent_n GUARDED_BY(recent_lock); /* of all bytes ever */

static void keep(const char *line, size_t len)
{
    mutex_lock(&recent_lock);
    for (size_t done = 0; done < len;) {
        size_t at = (recent_n + done) % LOG_RECENT, n = MIN(len - done, LOG_RECENT - at);
        memcpy(recent + at, line + done, n);
        done += n;
    }
    recent_n += len;
    mutex_unlock(&recent_lock);
}

char *log_recent(void)
{
    char *text = mem_alloc(LOG_RECENT + 1);
    mutex_lock(&recent_lock);
    size_t n = MIN(recent_n, LOG_RECENT), from = (recent_n - n) % LOG_RECENT;
    bool cut = recent_n > LOG_RECENT;
    for (size_t i = 0; i < n; i++)
        text[i] = recent[(from + i) % LOG_RECENT];
    mutex_unlock(&recent_lock);
    const char *line = cut ? strchr(text, '\n')
                           : NULL; /* the first line has lost its start */
    if (line)
        memmove(text, line + 1, n - (size_t)(line + 1 - text) + 1); /* with the NUL */
    return text;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    AUTO(free_str) char *text = str_vfmt(fmt, ap);
    va_end(ap);
    (void)pthread_once(&journal_once, find_journal);

    AUTO(buf_done) struct buf line = BUF_INIT(0);
    if (to_journal)
        buf_add_str(&line, levels[level].prefix);
    int64_t now = clock_wall_us();
    char date[20];
    clock_iso(now, date);
    buf_addf(&line, "%.17s.%03dZ %s ", date, (int)(now / US_PER_MS % 1000),
             levels[level].name);
    if (thread_name)
        buf_addf(&line, "%s: ", thread_name);
    add_escaped(&line, text, strlen(text));
    buf_add_char(&line, '\n');
    keep(line.data, line.len);
    (void)!write(STDERR_FILENO, line.data, line.len); /* nowhere to report a lost line */
    errno = saved;
}
