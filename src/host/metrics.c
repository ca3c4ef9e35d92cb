/* SPDX-License-Identifier: Apache-2.0 */
/* Reads /proc (proc(5) has the formats). The names of a QEMU's threads are what that QEMU says: numbers in them are
 * bounded before anything is sized by them. */
#include "host/metrics.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"

#define FILE_MAX  (1U << 20)
#define CPUS_MAX  4096
#define WORD_SIZE 24

/* The next word of a line as a number; false: it is none, or the line has ended. */
static bool next_number(const char **p, uint64_t *out)
{
    char word[WORD_SIZE];
    size_t n;

    *p += strspn(*p, " \t");
    n = strcspn(*p, " \t\n");
    if (n == 0 || n >= sizeof(word))
        return false;
    memcpy(word, *p, n);
    word[n] = '\0';
    *p += n;
    return parse_u64(word, out);
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');

    return end ? end + 1 : line + strlen(line);
}

static double ticks(uint64_t n, unsigned per_second)
{
    return (double)n / per_second;
}

void metrics_parse_stat(const char *text, unsigned ticks_per_second,
                        struct metrics_host *out)
{
    for (const char *line = text; *line; line = next_line(line)) {
        uint64_t v[8] = { 0 }, number;
        const char *p = line + 3;

        if (strncmp(line, "cpu", 3) != 0 || *p < '0' || *p > '9'
            || !next_number(&p, &number) || number >= CPUS_MAX)
            continue;
        for (size_t i = 0; i < ARRAY_SIZE(v) && next_number(&p, &v[i]); i++) {
        }
        while (out->n_cpus <= number) {
            out->cpu_busy_seconds = mem_resize(out->cpu_busy_seconds, out->n_cpus + 1,
                                               sizeof(*out->cpu_busy_seconds));
            out->cpu_busy_seconds[out->n_cpus++] = NAN;
        }
        /* user nice system, then idle and iowait, then irq softirq steal */
        out->cpu_busy_seconds[number] = ticks(v[0] + v[1] + v[2] + v[5] + v[6] + v[7],
                                              ticks_per_second);
    }
}

void metrics_parse_net_dev(const char *text, struct metrics_host *out)
{
    for (const char *line = text; *line && out->n_nics < METRICS_NICS_MAX;
         line = next_line(line)) {
        struct metrics_nic nic = { 0 };
        const char *name = line + strspn(line, " \t"), *p = name + strcspn(name, ":\n");
        size_t n = (size_t)(p - name);
        uint64_t v[9];
        bool fine = *p == ':' && n > 0 && n < sizeof(nic.name);

        p += fine;
        for (size_t i = 0; i < ARRAY_SIZE(v) && fine; i++)
            fine = next_number(&p, &v[i]);
        if (!fine)
            continue;
        memcpy(nic.name, name, n);
        nic.rx_bytes = v[0];
        nic.tx_bytes = v[8];
        out->nics[out->n_nics++] = nic;
    }
}

static uint64_t meminfo_kib(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    uint64_t kib = 0;

    if (!line)
        return 0;
    line += strlen(name);
    return next_number(&line, &kib) ? kib : 0;
}

static unsigned ticks_per_second(void)
{
    long n = sysconf(_SC_CLK_TCK);

    return n > 0 ? (unsigned)n : 100;
}

bool metrics_read_host(struct metrics_host *out)
{
    AUTO(buf_done)
    struct buf stat = BUF_INIT(FILE_MAX), mem = BUF_INIT(FILE_MAX),
               load = BUF_INIT(FILE_MAX), net = BUF_INIT(FILE_MAX);

    *out = (struct metrics_host){ .loadavg = NAN };
    if (io_read_file("/proc/stat", &stat) != 0 || io_read_file("/proc/meminfo", &mem) != 0)
        return false;
    metrics_parse_stat(buf_str(&stat), ticks_per_second(), out);
    out->memory_total_kib = meminfo_kib(buf_str(&mem), "MemTotal:");
    out->memory_free_kib = meminfo_kib(buf_str(&mem), "MemAvailable:");
    if (io_read_file("/proc/loadavg", &load) == 0 && load.data) {
        load.data[strcspn(load.data, " \n")] = '\0';
        if (!parse_double(load.data, &out->loadavg))
            out->loadavg = NAN;
    }
    if (io_read_file("/proc/net/dev", &net) == 0)
        metrics_parse_net_dev(buf_str(&net), out);
    return true;
}

void metrics_host_done(struct metrics_host *m)
{
    free(m->cpu_busy_seconds);
    m->cpu_busy_seconds = NULL;
    m->n_cpus = 0;
}

/* Virtual processors */

void metrics_vcpus_done(struct metrics_vcpus *v)
{
    free(v->tids);
    v->tids = NULL;
    v->n = 0;
    v->pid = 0;
}

bool metrics_parse_thread(const char *text, unsigned per_second, unsigned *vcpu_out,
                          double *seconds_out)
{
    const char *name = strchr(text, '('), *end = strrchr(text, ')'), *p;
    uint64_t number = 0, user, kernel, waste;
    size_t digits;

    if (!name || !end || strncmp(name, "(CPU ", 5) != 0)
        return false;
    digits = strspn(name + 5, "0123456789");
    if (digits == 0 || digits > 3 || name[5 + digits] != '/')
        return false;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint64_t)(name[5 + i] - '0');
    if (number >= METRICS_VCPUS_MAX || end[1] != ' ' || end[2] == '\0')
        return false;
    p = end + 3; /* past the state, field 3; wanted are 14 and 15 */
    for (int field = 4; field < 14; field++) {
        p += strspn(p, " ");
        p += *p == '-'; /* the terminal's group may be -1 */
        if (!next_number(&p, &waste))
            return false;
    }
    if (!next_number(&p, &user) || !next_number(&p, &kernel))
        return false;
    *vcpu_out = (unsigned)number;
    *seconds_out = ticks(user, per_second) + ticks(kernel, per_second);
    return true;
}

static bool read_thread(int pid, int tid, unsigned *vcpu_out, double *seconds_out)
{
    AUTO(buf_done) struct buf text = BUF_INIT(4096);
    AUTO(free_str) char *path = str_fmt("/proc/%d/task/%d/stat", pid, tid);

    return io_read_file(path, &text) == 0
           && metrics_parse_thread(buf_str(&text), ticks_per_second(), vcpu_out,
                                   seconds_out);
}

static void find_threads(struct metrics_vcpus *v, int pid)
{
    AUTO(free_str) char *path = str_fmt("/proc/%d/task", pid);
    DIR *dir = opendir(path);
    const struct dirent *e;

    metrics_vcpus_done(v);
    v->pid = pid;
    while (dir && (e = readdir(dir)) != NULL) {
        int64_t tid;
        unsigned vcpu;
        double seconds;

        if (!parse_range(e->d_name, 1, INT32_MAX, &tid)
            || !read_thread(pid, (int)tid, &vcpu, &seconds))
            continue;
        if (vcpu >= v->n) {
            v->tids = mem_resize(v->tids, vcpu + 1, sizeof(*v->tids));
            while (v->n <= vcpu)
                v->tids[v->n++] = 0;
        }
        v->tids[vcpu] = (int)tid;
    }
    if (dir)
        (void)closedir(dir);
}

/* False: the threads are not those that we knew. */
static bool read_threads(const struct metrics_vcpus *v, double *seconds_out)
{
    for (unsigned i = 0; i < v->n; i++) {
        unsigned vcpu;

        seconds_out[i] = NAN;
        if (v->tids[i] == 0)
            continue;
        if (!read_thread(v->pid, v->tids[i], &vcpu, &seconds_out[i]) || vcpu != i)
            return false;
    }
    return v->n > 0;
}

unsigned metrics_vcpu_times(struct metrics_vcpus *v, int pid, double *seconds_out)
{
    if (v->pid == pid && read_threads(v, seconds_out))
        return v->n;
    find_threads(v, pid);
    return read_threads(v, seconds_out) ? v->n : 0;
}
