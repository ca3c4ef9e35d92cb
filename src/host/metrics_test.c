/* SPDX-License-Identifier: Apache-2.0 */
#include "host/metrics.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/test.h"

TEST(stat)
{
    struct metrics_host m = { 0 };

    metrics_parse_stat("cpu  100 0 0 0 0 0 0 0 0 0\n"
                       "cpu0 10 20 30 1000 500 1 2 3 4 5\n"
                       "cpu2 50 0 0 9 9\n"
                       "cpux 1 2 3\ncpu99999999 1 2 3\nintr 5 6\nbtime 1",
                       100, &m);
    CHECK_INT(m.n_cpus, 3);
    CHECK(fabs(m.cpu_busy_seconds[0] - 0.66) < 1e-9);
    CHECK(isnan(m.cpu_busy_seconds[1]));
    CHECK(fabs(m.cpu_busy_seconds[2] - 0.5) < 1e-9);
    metrics_host_done(&m);
    CHECK_INT(m.n_cpus, 0);
}

TEST(net_dev)
{
    struct metrics_host m = { 0 };

    metrics_parse_net_dev("Inter-|   Receive  |  Transmit\n"
                          " face |bytes packets errs\n"
                          "    lo: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n"
                          "  eth0:1234567890123 1 0 0 0 0 0 0 42 1 0 0 0 0 0 0\n"
                          " short: 1 2 3\n"
                          "a-name-much-too-long: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
                          &m);
    CHECK_INT(m.n_nics, 2);
    CHECK_STR(m.nics[1].name, "eth0");
    CHECK_INT(m.nics[1].rx_bytes, 1234567890123);
    CHECK_INT(m.nics[1].tx_bytes, 42);
}

TEST(threads)
{
    static const struct {
        const char *text;
        int vcpu; /* -1: refused */
        double seconds;
    } cases[] = {
        { "7 (CPU 0/KVM) S 1 7 7 0 -1 64 1 0 0 0 150 50 0 0 20", 0, 2.0 },
        { "7 (CPU 12/TCG) R 1 7 7 0 -1 64 1 0 0 0 1 0 0 0 20", 12, 0.01 },
        { "7 (CPU 3/x) y) R 1 7 7 0 -1 64 1 0 0 0 1 0 0 0 20", 3, 0.01 },
        { "7 (qemu-system-x86) S 1 7 7 0 -1 64 1 0 0 0 150 50", -1, 0 },
        { "7 (CPU 256/KVM) S 1 7 7 0 -1 64 1 0 0 0 150 50", -1, 0 },
        { "7 (CPU 9999999999/KVM) S 1 7 7 0 -1 64 1 0 0 0 150 50", -1, 0 },
        { "7 (CPU /KVM) S 1 7 7 0 -1 64 1 0 0 0 150 50", -1, 0 },
        { "7 (CPU 0/KVM) S 1 7 7", -1, 0 },
        { "7 (CPU 0/KVM)", -1, 0 },
        { "7 (CPU 0/KVM) ", -1, 0 },
        { "", -1, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        unsigned vcpu = 0;
        double seconds = 0;
        bool fine = metrics_parse_thread(cases[i].text, 100, &vcpu, &seconds);

        CHECK_INT(fine ? (int)vcpu : -1, cases[i].vcpu);
        CHECK(fabs(seconds - cases[i].seconds) < 1e-9);
    }
}

TEST(this_host)
{
    struct metrics_host m;

    CHECK(metrics_read_host(&m));
    CHECK(m.n_cpus > 0 && m.memory_total_kib > m.memory_free_kib && m.memory_free_kib > 0);
    CHECK(m.loadavg >= 0);
    metrics_host_done(&m);
}

/* This process plays a QEMU with two processors, the second of which works. */
static void *vcpu(void *arg)
{
    int *pipes = arg;
    char c;

    CHECK_INT(prctl(PR_SET_NAME, "CPU 1/TCG"), 0);
    CHECK_INT(write(pipes[1], "x", 1), 1);
    CHECK_INT(read(pipes[2], &c, 1), 0);
    return NULL;
}

TEST(threads_of_a_process)
{
    struct metrics_vcpus v = { 0 };
    double seconds[METRICS_VCPUS_MAX];
    int up[2], down[2], ends[3];
    pthread_t thread;
    char c;

    CHECK_INT(metrics_vcpu_times(&v, getpid(), seconds), 0);
    CHECK_INT(pipe(up), 0);
    CHECK_INT(pipe(down), 0);
    ends[1] = up[1];
    ends[2] = down[0];
    CHECK_INT(pthread_create(&thread, NULL, vcpu, ends), 0);
    CHECK_INT(read(up[0], &c, 1), 1);
    CHECK_INT(metrics_vcpu_times(&v, getpid(), seconds), 2);
    CHECK(isnan(seconds[0]) && seconds[1] >= 0);
    CHECK_INT(metrics_vcpu_times(&v, getpid(), seconds), 2); /* as remembered */
    close(down[1]);
    CHECK_INT(pthread_join(thread, NULL), 0);
    while (metrics_vcpu_times(&v, getpid(), seconds) != 0)
        (void)sched_yield(); /* /proc shows a thread that has been joined for a moment */
    CHECK_INT(metrics_vcpu_times(&v, 1 << 30, seconds), 0);
    metrics_vcpus_done(&v);
    close(up[0]);
    close(up[1]);
    close(down[0]);
}
