/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 under load. A child process changes the database with several threads and says, through a pipe,
 *   BEGUN   before a change, what it is about to make true,
 *   ACKED   when tx_commit has returned, and
 *   SEEN    what a reading thread saw once db_wait_seen had returned.
 * It is killed at a random moment; then the database is loaded again, and must hold everything acknowledged and everything
 * seen, nothing that was never begun, and each change whole: a change sets the same number in a VM and in its disk,
 * and makes or breaks the link between them.
 *
 * The child is this program again: TEST() functions cannot exec, so main()'s constructor looks for its sign first. */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/records.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/proc.h"
#include "model/model_test.h"

#define KILLS    300
#define WRITERS  4
#define PAIRS    3 /* per writer */
#define PIPE_FD  9
#define SIGN     "SERAI_CRASH_CHILD"
#define LIFE_MIN 2 /* ms from the first word to the kill */
#define LIFE_MAX 60

enum word { BEGUN, ACKED, SEEN };

struct say {
    uint32_t word;
    uint32_t pair;
    int64_t value;
};

/* Pairs are found by name, "vm-3" and "disk-3", and linked by a VBD while value is even. */

static void say(enum word word, uint32_t pair, int64_t value)
{
    struct say s = { word, pair, value };
    if (write(PIPE_FD, &s, sizeof(s))
        != (ssize_t)sizeof(s)) /* under PIPE_BUF: whole or not at all */
        _exit(0);              /* the reader is gone */
}

static bool find_pair(uint32_t pair, struct ref *vm, struct ref *vdi) REQUIRES(db_mutex)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "vm-%u", pair);
    if (!db_find_name(CLASS_VM, name, 0, vm))
        return false;
    (void)snprintf(name, sizeof(name), "disk-%u", pair);
    CHECK(db_find_name(CLASS_VDI, name, 0, vdi));
    return true;
}

static int64_t vm_value(const struct ref *vm) REQUIRES(db_mutex)
{
    const struct vm_rec *rec = db_get(CLASS_VM, vm);
    return rec->user_version;
}

static void make_pair(struct tx *tx, uint32_t pair, struct ref *vm, struct ref *vdi)
    REQUIRES(db_mutex)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "vm-%u", pair);
    *vm = make_vm(tx, name);
    (void)snprintf(name, sizeof(name), "disk-%u", pair);
    *vdi = make_vdi(tx, name);
}

static void change_pair(struct tx *tx, uint32_t pair, int64_t value) REQUIRES(db_mutex)
{
    struct ref vm, vdi;
    if (!find_pair(pair, &vm, &vdi))
        make_pair(tx, pair, &vm, &vdi);
    tx_set_int(tx, &vm, CLASS_VM, F_VM_USER_VERSION, value);
    tx_set_int(tx, &vdi, CLASS_VDI, F_VDI_VIRTUAL_SIZE, value);
    const struct vm_rec *rec = db_get(CLASS_VM, &vm);
    bool linked = rec->VBDs.n > 0, want = value % 2 == 0;
    if (linked && !want) {
        struct ref vbd = rec->VBDs.v[0];
        tx_destroy(tx, &vbd);
    } else if (!linked && want) {
        (void)make_vbd(tx, vm, vdi);
    }
}

static NORETURN void *writer(void *arg)
{
    uint32_t base = *(uint32_t *)arg * PAIRS;
    struct rng r = { (uint64_t)clock_now_us() + base };
    int64_t next[PAIRS];
    for (uint32_t i = 0; i < PAIRS; i++) {
        struct ref vm, vdi;
        db_lock();
        next[i] = find_pair(base + i, &vm, &vdi) ? vm_value(&vm) + 1 : 1;
        db_unlock();
    }
    for (;;) {
        uint32_t i = (uint32_t)rng_below(&r, PAIRS);
        say(BEGUN, base + i, next[i]);
        struct tx *tx = tx_begin(&test_who);
        change_pair(tx, base + i, next[i]);
        if (tx_commit(tx, NULL) < 0)
            _exit(3);
        say(ACKED, base + i, next[i]++);
    }
}

static NORETURN void *reader(void *arg)
{
    struct rng r = { (uint64_t)clock_now_us() };
    for (;;) {
        uint32_t pair = (uint32_t)rng_below(&r, WRITERS * PAIRS);
        struct ref vm, vdi;
        int64_t value = 0;
        db_seen_reset();
        db_lock();
        if (find_pair(pair, &vm, &vdi))
            value = vm_value(&vm);
        db_unlock();
        if (db_wait_seen(NULL) < 0)
            _exit(4);
        say(SEEN, pair, value);
    }
}

static NORETURN void run_child(const char *dir)
{
    struct err err = { 0 };
    if (db_open(dir, &err) < 0) {
        (void)fprintf(stderr, "child: %s\n", err.detail);
        _exit(2);
    }
    static uint32_t ids[WRITERS];
    pthread_t t;
    for (uint32_t i = 0; i < WRITERS; i++) {
        ids[i] = i;
        if (thread_start(&t, "writer", 0, writer, &ids[i]) < 0)
            _exit(2);
    }
    (void)reader(NULL);
    _exit(0);
}

__attribute__((constructor)) static void maybe_child(void)
{
    const char *dir = getenv(SIGN);
    if (dir)
        run_child(dir);
}

struct pair_state {
    int64_t begun, acked, seen; /* the highest of each */
};

static struct {
    struct pair_state pairs[WRITERS * PAIRS];
    long words[3];
    struct say part;
    size_t have;
} told;

static void hear(const struct say *s)
{
    CHECK(s->pair < ARRAY_SIZE(told.pairs) && s->word <= SEEN);
    struct pair_state *p = &told.pairs[s->pair];
    int64_t *top = s->word == BEGUN ? &p->begun : s->word == ACKED ? &p->acked : &p->seen;
    *top = MAX(*top, s->value);
    told.words[s->word]++;
}

/* Read what is there until the deadline or the end; false at the end. */
static bool listen_until(int fd, const struct deadline *d)
{
    struct say buf[256];
    for (;;) {
        ssize_t n = io_read(fd, buf, sizeof(buf), d);
        if (n <= 0)
            return n < 0;
        CHECK_INT((size_t)n % sizeof(buf[0]), 0);
        for (size_t i = 0; i < (size_t)n / sizeof(buf[0]); i++)
            hear(&buf[i]);
        if (deadline_passed(d))
            return true;
    }
}

static void one_life(const char *dir, const char *self, struct rng *r)
{
    int fds[2];
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    AUTO(free_str) char *sign = str_fmt(SIGN "=%s", dir);
    const char *const argv[] = { self, NULL };
    const char *const env[] = { sign, NULL };
    struct proc_fd pass[] = { { fds[1], PIPE_FD }, { 2, 2 } };
    struct proc_spec spec = { .argv = argv, .env = env, .fds = pass, .n_fds = 2 };
    spec.die_with_parent = true;
    spec.pid_fd = -1;
    struct proc p;
    CHECK(proc_start(&spec, &p) == 0);
    CHECK(close(fds[1]) == 0);
    struct pollfd first = { .fd = fds[0], .events = POLLIN };
    CHECK(poll(&first, 1, 30000) == 1); /* it lives */
    int64_t life = LIFE_MIN * US_PER_MS
                   + (int64_t)rng_below(r, (LIFE_MAX - LIFE_MIN) * (size_t)US_PER_MS);
    struct deadline end = deadline_in(life);
    CHECK(listen_until(fds[0], &end)); /* false: it ended by itself */
    CHECK(proc_kill(&p, SIGKILL) == 0);
    struct deadline drain = deadline_in(30 * US_PER_SEC);
    CHECK(!listen_until(fds[0], &drain));
    int status;
    CHECK(proc_wait(&p, &drain, &status) == 0);
    proc_close(&p);
    CHECK(close(fds[0]) == 0);
}

static void check_pair(uint32_t pair) REQUIRES(db_mutex)
{
    struct pair_state *p = &told.pairs[pair];
    struct ref vm, vdi;
    int64_t value = 0;
    if (find_pair(pair, &vm, &vdi)) {
        const struct vm_rec *rec = db_get(CLASS_VM, &vm);
        const struct vdi_rec *disk = db_get(CLASS_VDI, &vdi);
        value = rec->user_version;
        CHECK_INT(disk->virtual_size, value);
        CHECK_INT(rec->VBDs.n, value % 2 == 0);
        CHECK_INT(disk->VBDs.n, value % 2 == 0);
        CHECK_INT(db_count(CLASS_VDI), db_count(CLASS_VM));
    }
    if (value < p->acked || value < p->seen || value > p->begun)
        test_fail(__FILE__, __LINE__,
                  "pair %u: %" PRId64 " on disk, begun %" PRId64 ", acknowledged %" PRId64
                  ", seen %" PRId64,
                  pair, value, p->begun, p->acked, p->seen);
    p->begun = p->acked = p->seen = value;
}

TEST(kill_9_loses_nothing)
{
    const char *given = getenv("SEED");
    int64_t seed = clock_wall_us();
    CHECK(!given || parse_i64(given, &seed));
    printf("# SEED=%" PRId64 "\n", seed);
    (void)fflush(stdout);
    struct rng r = { (uint64_t)seed };
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    CHECK(n > 0);
    self[n] = '\0';
    int64_t t0 = clock_now_us();
    for (int i = 0; i < KILLS; i++) {
        one_life(test_dir(), self, &r);
        test_open(test_dir());
        db_lock();
        for (uint32_t pair = 0; pair < WRITERS * PAIRS; pair++)
            check_pair(pair);
        db_unlock();
        db_close();
    }
    printf("# %d kills in %lld ms: %ld changes begun, %ld acknowledged, %ld looks\n", KILLS,
           (long long)((clock_now_us() - t0) / US_PER_MS), told.words[BEGUN],
           told.words[ACKED], told.words[SEEN]);
    CHECK(told.words[ACKED] > KILLS && told.words[SEEN] > KILLS);
}
