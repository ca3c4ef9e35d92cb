/* SPDX-License-Identifier: Apache-2.0 */
#include "model/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/test.h"

/* Each test has a state directory of its own. */
static char *fresh_dir(void)
{
    static int n;
    return str_fmt("%s/%d", test_dir(), ++n);
}

static void start(const char *dir, uint64_t file_bytes)
{
    AUTO(err_done) struct err err = { 0 };
    struct audit_config cfg = { .state_dir = dir, .file_bytes = file_bytes };
    if (audit_open(&cfg, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err.detail);
}

static uint64_t intent(const char *call)
{
    AUTO(err_done) struct err err = { 0 };
    uint64_t n = 0;
    CHECK(audit_intent(json_pack("{ss}", "call", call), false, &n, &err) == 0);
    return n;
}

static void done(uint64_t n)
{
    audit_outcome(n, json_pack("{ss}", "outcome", "done"));
}

static void verify(const char *dir, struct auditlog_report *r)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *path = str_fmt("%s/audit", dir);
    struct auditlog_query q = { .path = path };
    CHECK(auditlog_read(&q, r, &err) == 0);
}

static void check_whole(const char *dir)
{
    struct auditlog_report r;
    verify(dir, &r);
    if (r.problem)
        test_fail(__FILE__, __LINE__, "%s", r.problem);
    CHECK_INT(r.torn_bytes, 0);
}

static char *file_path(const char *dir, unsigned number)
{
    AUTO(free_str) char *name = auditlog_file_name(number);
    return str_fmt("%s/audit/%s", dir, name);
}

static void read_text(const char *path, struct buf *out)
{
    CHECK(io_read_file(path, out) == 0);
}

static void write_text(const char *path, const char *p, size_t len)
{
    CHECK(io_write_file(path, p, len, 0600) == 0);
}

TEST(records_are_numbered_and_whole)
{
    AUTO(free_str) char *dir = fresh_dir();
    start(dir, 0);
    uint64_t a = intent("VM.start"), b = intent("VM.clone");
    CHECK_INT(a, 2); /* the first begins the file */
    CHECK_INT(b, 3);
    done(b);
    done(a);
    audit_note("session", json_pack("{ss}", "call", "session.logout"));
    audit_close();
    struct auditlog_report r;
    verify(dir, &r);
    CHECK(!r.problem);
    CHECK_INT(r.last, 6);
    CHECK_INT(r.intents, 2);
    CHECK_INT(r.outcomes, 2);
    start(dir, 0);
    CHECK_INT(intent("again"), 7);
    audit_close();
    check_whole(dir);
}

static bool find_unknown(const json_t *rec, void *arg)
{
    const json_t *outcome = json_object_get(rec, "outcome");
    if (str_eq(json_string_value(outcome), "unknown"))
        *(int64_t *)arg = json_integer_value(json_object_get(rec, "of"));
    return true;
}

TEST(an_intent_without_outcome_is_marked_at_the_next_start)
{
    AUTO(free_str) char *dir = fresh_dir();
    start(dir, 0);
    uint64_t a = intent("VM.start"), b = intent("VM.destroy");
    done(a);
    audit_close();
    start(dir, 0);
    AUTO(err_done) struct err err = { 0 };
    int64_t of = 0;
    CHECK(audit_each(find_unknown, &of, &err) == 0);
    CHECK_INT(of, b);
    audit_close();
    start(dir, 0);
    audit_close();
    struct auditlog_report r;
    verify(dir, &r);
    CHECK_INT(r.outcomes, 2); /* once */
}

TEST(files_follow_each_other_and_remember_what_is_under_way)
{
    AUTO(free_str) char *dir = fresh_dir();
    start(dir, 2000);
    uint64_t first = intent("long");
    for (int i = 0; i < 100; i++)
        done(intent("short"));
    audit_close();
    struct auditlog_report r;
    verify(dir, &r);
    CHECK(!r.problem);
    CHECK(r.last_file > 5);
    start(dir, 2000);
    AUTO(err_done) struct err err = { 0 };
    int64_t of = 0;
    CHECK(audit_each(find_unknown, &of, &err) == 0);
    CHECK_INT(of, first);
    audit_close();
    check_whole(dir);
}

static void set_old(const char *path)
{
    struct timespec t[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    CHECK(utimensat(AT_FDCWD, path, t, 0) == 0);
}

TEST(old_files_go_with_a_record)
{
    AUTO(free_str) char *dir = fresh_dir();
    start(dir, 1000);
    for (int i = 0; i < 40; i++)
        done(intent("short"));
    audit_close();
    AUTO(free_str) char *one = file_path(dir, 1);
    AUTO(free_str) char *two = file_path(dir, 2);
    set_old(one);
    set_old(two);
    start(dir, 1000);
    int64_t until = clock_now_us() + 60 * US_PER_SEC;
    while (access(two, F_OK) == 0 && clock_now_us() < until)
        done(intent("meanwhile"));
    CHECK(access(one, F_OK) < 0 && access(two, F_OK) < 0);
    audit_close();
    check_whole(dir);
    AUTO(free_str) char *three = file_path(dir, 3);
    CHECK(unlink(three) == 0);
    struct auditlog_report r;
    verify(dir, &r);
    CHECK(r.problem);
    auditlog_report_done(&r);
}

/* It died while it made the next file: that one is empty, or has half a first record. */
TEST(a_file_that_was_only_just_made)
{
    static const char *const texts[] = { "", "0123456789" };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        AUTO(free_str) char *dir = fresh_dir();
        start(dir, 0);
        uint64_t n = intent("before");
        done(n);
        audit_close();
        AUTO(free_str) char *two = file_path(dir, 2);
        write_text(two, texts[i], strlen(texts[i]));
        struct auditlog_report r;
        verify(dir, &r);
        CHECK(!r.problem);
        start(dir, 0);
        CHECK_INT(intent("after"), n + 2);
        audit_close();
        check_whole(dir);
        CHECK(access(two, F_OK) < 0);
    }
}

/* A power cut: what was behind the head is cut or turns into anything. */
TEST(a_torn_tail_is_no_tampering)
{
    AUTO(free_str) char *dir = fresh_dir();
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    start(dir, 0);
    for (int i = 0; i < 5; i++)
        done(intent("short"));
    audit_close();
    AUTO(free_str) char *path = file_path(dir, 1);
    read_text(path, &text);
    size_t whole = text.len;
    static const char *const tails[] = { "4",
                                         "0123456789abcdef {\"n\":", "garbage\nmore\n" };
    for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
        AUTO(buf_done) struct buf torn = BUF_INIT(0);
        struct auditlog_report r;
        buf_add(&torn, text.data, whole);
        buf_add_str(&torn, tails[i]);
        write_text(path, torn.data, torn.len);
        verify(dir, &r);
        CHECK(!r.problem);
        CHECK_INT(r.torn_bytes, strlen(tails[i]));
        start(dir, 0);
        done(intent("goes on"));
        audit_close();
        verify(dir, &r);
        CHECK(!r.problem);
        CHECK_INT(r.torn_bytes, 0);
        CHECK(r.torn > 0);
        buf_clear(&text);
        read_text(path, &text);
        whole = text.len;
    }
}

static size_t line_start(const struct buf *text, size_t line)
{
    size_t at = 0;
    while (line--)
        at += strcspn(text->data + at, "\n") + 1;
    return at;
}

/* Each record altered, removed, doubled, exchanged with the next, or cut off: always found. */
TEST(tampering_is_found)
{
    AUTO(free_str) char *dir = fresh_dir();
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    start(dir, 0);
    for (int i = 0; i < 4; i++)
        done(intent("short"));
    audit_close();
    AUTO(free_str) char *path = file_path(dir, 1);
    read_text(path, &text);
    for (size_t line = 0; line < 9; line++) {
        size_t a = line_start(&text, line), b = line_start(&text, line + 1);
        size_t c = line < 8 ? line_start(&text, line + 2) : b;
        for (int way = 0; way < 5; way++) {
            AUTO(buf_done) struct buf bad = BUF_INIT(0);
            struct auditlog_report r;
            if (way == 3 && line == 8)
                continue; /* nothing behind it */
            buf_add(&bad, text.data, a);
            if (way == 0) {
                buf_add(&bad, text.data + a, text.len - a);
                bad.data[b - 3] ^= 1;
            } else if (way == 1) {
                buf_add(&bad, text.data + b, text.len - b);
            } else if (way == 2) {
                buf_add(&bad, text.data + a, b - a);
                buf_add(&bad, text.data + a, text.len - a);
            } else if (way == 3) {
                buf_add(&bad, text.data + b, c - b);
                buf_add(&bad, text.data + a, b - a);
                buf_add(&bad, text.data + c, text.len - c);
            }
            write_text(path, bad.len ? bad.data : "", bad.len);
            verify(dir, &r);
            bool doubled_end = way == 2 && line == 8; /* no record is lost by that: torn */
            if (!r.problem && !(doubled_end && r.torn_bytes))
                test_fail(__FILE__, __LINE__, "line %zu, way %d", line, way);
            auditlog_report_done(&r);
        }
    }
    write_text(path, text.data, text.len);
    check_whole(dir);
}

TEST(writing_goes_on_behind_damage_that_stays_visible)
{
    AUTO(free_str) char *dir = fresh_dir();
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    start(dir, 0);
    for (int i = 0; i < 4; i++)
        done(intent("short"));
    audit_close();
    AUTO(free_str) char *path = file_path(dir, 1);
    read_text(path, &text);
    text.data[line_start(&text, 3) + 80] ^= 1;
    write_text(path, text.data, text.len);
    start(dir, 0);
    done(intent("short"));
    audit_close();
    struct auditlog_report r;
    verify(dir, &r);
    CHECK(r.problem);
    auditlog_report_done(&r);
}

/* Who cuts the end off and has the daemon started again is seen all the same. */
TEST(a_cut_stays_visible_after_a_start)
{
    AUTO(free_str) char *dir = fresh_dir();
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    start(dir, 0);
    for (int i = 0; i < 4; i++)
        done(intent("short"));
    audit_close();
    AUTO(free_str) char *path = file_path(dir, 1);
    read_text(path, &text);
    write_text(path, text.data, line_start(&text, 6));
    for (int i = 0; i < 2; i++) {
        struct auditlog_report r;
        start(dir, 0);
        done(intent("short"));
        audit_close();
        verify(dir, &r);
        CHECK(r.problem && strstr(r.problem, "cut off"));
        auditlog_report_done(&r);
    }
}

TEST(a_flood_of_refusals_is_counted)
{
    AUTO(free_str) char *dir = fresh_dir();
    start(dir, 0);
    for (int i = 0; i < 2000; i++)
        audit_note("refused", json_pack("{ss}", "call", "VM.start"));
    audit_close();
    struct auditlog_report r;
    verify(dir, &r);
    CHECK(!r.problem);
    CHECK(r.refused >= 200 && r.refused < 2000);
}

/* A file may not grow beyond a limit: like a full disk. */
TEST(a_full_disk_stops_intents_and_loses_no_outcome)
{
    AUTO(free_str) char *dir = fresh_dir();
    start(dir, 0);
    uint64_t n = intent("before");
    struct rlimit old;
    CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit small = { .rlim_cur = 400, .rlim_max = old.rlim_max };
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    AUTO(err_done) struct err err = { 0 };
    uint64_t refused = 0;
    int rc = 0;
    for (int i = 0; rc == 0 && i < 10; i++)
        rc = audit_intent(json_pack("{ss}", "call", "too much for the space that is left"),
                          false, &refused, &err);
    done(n);
    CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
    CHECK(rc < 0);
    CHECK_STR(err.code, "OUT_OF_SPACE");
    done(intent("after"));
    audit_close();
    struct auditlog_report r;
    verify(dir, &r);
    CHECK(!r.problem);
    CHECK_INT(r.outcomes, 2);
}

#define THREADS 8
#define EACH    200

static void *many(void *arg)
{
    for (int i = 0; i < EACH; i++)
        done(intent("load"));
    return arg;
}

TEST(many_at_once_share_the_disk)
{
    AUTO(free_str) char *dir = fresh_dir();
    pthread_t t[THREADS];
    start(dir, 20000);
    for (int i = 0; i < THREADS; i++)
        CHECK(thread_start(&t[i], "load", 0, many, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    audit_close();
    struct auditlog_report r;
    verify(dir, &r);
    CHECK(!r.problem);
    CHECK_INT(r.intents, THREADS * EACH);
    CHECK_INT(r.outcomes, THREADS * EACH);
}
