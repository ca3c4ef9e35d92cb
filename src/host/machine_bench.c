/* SPDX-License-Identifier: Apache-2.0 */
/* What machine_qemu adds to QEMU: pairs of a start through it and a bare QEMU with the same arguments, interleaved, each until
 * the guest's first instructions have written to the serial line; and the ways to end it. Argument: the number of pairs. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/accel.h"
#include "host/machine.h"
#include "host/qemu.h"
#include "host/qmp.h"
#include "host/root.h"

#define PAIRS_MAX 1000
#define UUID      "a0000000-1111-4222-8333-444444444444"

static const uint8_t code[] = { 0x66, 0xba, 0xf8, 0x03, 0xb0, 'N',
                                0xee, 0xfa, 0xf4, 0xeb, 0xfd };

enum { BARE, OURS, GO, BARE_QUIT, BARE_KILL, DESTROY, N_COLUMNS };

static double ms[N_COLUMNS][PAIRS_MAX];
static char dir[] = "/tmp/machine-bench-XXXXXX";
static char *kernel;

static NORETURN void die(const char *what)
{
    (void)fprintf(stderr, "machine_bench: %s: %m\n", what);
    exit(1);
}

static double since(int64_t from_us)
{
    return (double)(clock_now_us() - from_us) / 1000.0;
}

static struct vm_spec guest(void)
{
    return (struct vm_spec){ .uuid = UUID,
                             .machine = qemu_default_machine(),
                             .accel = "tcg",
                             .vcpus = 1,
                             .vcpus_max = 1,
                             .memory_bytes = UINT64_C(256) << 20,
                             .kernel = kernel };
}

static void first_byte(int fd)
{
    struct deadline d = deadline_in(5 * US_PER_SEC);
    char c;

    if (io_read(fd, &c, 1, &d) != 1 || c != 'N')
        die("first byte");
}

static int listen_in(const char *name)
{
    AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);
    int fd = io_listen_unix(path, 0600, 4);

    if (fd < 0)
        die(path);
    return fd;
}

static int connect_in(const char *name)
{
    AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);
    struct deadline d = deadline_in(US_PER_SEC);
    int fd = io_connect_unix(path, &d);

    if (fd < 0)
        die(path);
    return fd;
}

static void say(int fd, const char *text)
{
    struct deadline d = deadline_in(US_PER_SEC);

    if (io_write_full(fd, text, strlen(text), &d) < 0)
        die("QMP");
}

/* The same arguments but -S, and the serial line connected from the start: QEMU drops what a guest writes before it has
 * accepted a connection, and without -S a guest can be that fast. */
static void make_bare(struct argv *argv)
{
    for (size_t a = 0; a < argv->n; a++) {
        if (str_eq(argv->v[a], "-S")) {
            free(argv->v[a]);
            memmove(&argv->v[a], &argv->v[a + 1], (argv->n - a) * sizeof(argv->v[0]));
            argv->n--;
        }
        if (str_starts(argv->v[a], "socket,id=serial,")) {
            free(argv->v[a]);
            argv->v[a] = str_fmt("socket,id=serial,fd=%d", QEMU_FD_SERIAL);
        }
    }
}

static void bare(size_t i, bool quit)
{
    struct vm_spec spec = guest();
    AUTO(argv_done) struct argv argv = { 0 };
    AUTO(free_str) char *qemu = inventory_qemu(NULL);
    struct deadline d = deadline_in(30 * US_PER_SEC);
    int qmp = listen_in("q"), agent = listen_in("a"), q = connect_in("q"), pair[2];
    int64_t from = clock_now_us();
    struct proc proc;
    char greeting[1024];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        die("socketpair");
    if (!qemu || qemu_argv(&spec, qemu, &argv, NULL) < 0)
        die("argv");
    make_bare(&argv);
    struct proc_fd fds[] = { { qmp, QEMU_FD_QMP },
                             { pair[1], QEMU_FD_SERIAL },
                             { agent, QEMU_FD_AGENT } };

    if (proc_start(
            &(struct proc_spec){
                .argv = (const char *const *)argv.v, .fds = fds, .n_fds = 3, .pid_fd = -1 },
            &proc)
        < 0)
        die("QEMU");
    first_byte(pair[0]);
    ms[BARE][i] = since(from);
    if (io_read(q, greeting, sizeof(greeting), &d) <= 0)
        die("greeting");
    say(q, "{\"execute\":\"qmp_capabilities\"}\n");
    if (io_read(q, greeting, sizeof(greeting), &d) <= 0)
        die("capabilities");
    from = clock_now_us();
    if (quit)
        say(q, "{\"execute\":\"quit\"}\n");
    else if (proc_kill(&proc, SIGKILL) < 0)
        die("kill");
    if (proc_wait(&proc, &d, NULL) < 0)
        die("wait");
    ms[quit ? BARE_QUIT : BARE_KILL][i] = since(from);
    proc_close(&proc);
    const int all[] = { qmp, agent, q, pair[0], pair[1] };

    for (size_t f = 0; f < ARRAY_SIZE(all); f++)
        close(all[f]);
}

static void ours(size_t i)
{
    struct vm_spec spec = guest();
    struct deadline d = deadline_in(30 * US_PER_SEC);
    int64_t from = clock_now_us(), go;
    int fd;

    if (machine_qemu.start(&spec, &d, NULL) < 0)
        die("start");
    go = clock_now_us();
    if (machine_qemu.go(UUID, &d, NULL) < 0)
        die("go");
    ms[GO][i] = since(go);
    fd = machine_qemu.open_serial(UUID, &d, NULL);
    if (fd < 0)
        die("serial");
    first_byte(fd);
    ms[OURS][i] = since(from);
    close(fd);
    from = clock_now_us();
    if (machine_qemu.destroy(UUID, &d, NULL) < 0)
        die("destroy");
    ms[DESTROY][i] = since(from);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Median with the order statistics around it that hold it with 95 %. */
static void report(const char *what, double *v, size_t n)
{
    size_t half = n / 2, spread = 1; /* 0.98 sqrt(n), rounded up */

    while (spread * spread < n)
        spread++;
    qsort(v, n, sizeof(*v), by_value);
    printf("%-44s %8.2f ms  [%.2f, %.2f]\n", what, v[half],
           v[half > spread ? half - spread : 0], v[MIN(half + spread, n - 1)]);
}

int main(int argc, char **argv)
{
    AUTO(buf_done) struct buf elf = BUF_INIT(4096);
    static double difference[PAIRS_MAX];
    int64_t n = 20;

    if (argc > 1 && !parse_range(argv[1], 4, PAIRS_MAX, &n))
        die("4 to 1000 pairs");
    if (!mkdtemp(dir))
        die(dir);
    kernel = str_fmt("%s/null.elf", dir);
    accel_pvh_elf(code, sizeof(code), &elf);
    if (io_write_file(kernel, elf.data, elf.len, 0600) < 0)
        die(kernel);
    const char *rootd = getenv("SERAI_ROOTD_SOCKET"); /* in jails, then */

    if (rootd && root_connect(rootd, NULL) < 0)
        die(rootd);
    if (machine_qemu.init(dir, NULL, NULL, NULL) < 0)
        die("init");
    for (size_t i = 0; i < (size_t)n; i++) {
        if (i % 2)
            ours(i);
        bare(i, i % 4 < 2);
        if (i % 2 == 0)
            ours(i);
        difference[i] = ms[OURS][i] - ms[BARE][i];
    }
    machine_qemu.done();
    static double quits[PAIRS_MAX], kills[PAIRS_MAX];
    size_t n_quits = 0, n_kills = 0;

    for (size_t i = 0; i < (size_t)n; i++)
        if (i % 4 < 2)
            quits[n_quits++] = ms[BARE_QUIT][i];
        else
            kills[n_kills++] = ms[BARE_KILL][i];
    report("bare QEMU to the first byte", ms[BARE], (size_t)n);
    report("start and go to the first byte", ms[OURS], (size_t)n);
    report("of which go", ms[GO], (size_t)n);
    report("added to a start (paired differences)", difference, (size_t)n);
    report("bare QEMU's quit", quits, n_quits);
    report("bare QEMU by SIGKILL", kills, n_kills);
    report("destroy", ms[DESTROY], (size_t)n);
    free(kernel);
    return io_remove_tree(dir);
}
