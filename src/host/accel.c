/* SPDX-License-Identifier: Apache-2.0 */
/* KVM or TCG. A device node that opens proves nothing: there are kernels whose KVM runs ordinary guest code a hundred
 * times slower than TCG does. So a probe guest runs a loop of a known length and has to be done in time. The
 * verdict is kept in the cache directory, together with the boot id and the binary that it holds for. */
#include "host/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/proc.h"

#define PROBE_US  (2 * US_PER_SEC)
#define LOAD_ADDR 0x100000u
#define HEAD_SIZE 136u /* ELF header, two program headers, the note */

static void add16(struct buf *b, unsigned v)
{
    buf_add(b, (const uint8_t[]){ (uint8_t)v, (uint8_t)(v >> 8) }, 2);
}

static void add32(struct buf *b, uint32_t v)
{
    add16(b, v & 0xffff);
    add16(b, v >> 16);
}

static void add_words(struct buf *b, const uint32_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add32(b, words[i]);
}

void accel_pvh_elf(const uint8_t *code, size_t len, struct buf *out)
{
    static const uint8_t ident[16] = { 0x7f, 'E', 'L', 'F', 1, 1, 1 };
    uint32_t total = HEAD_SIZE + (uint32_t)len, entry = LOAD_ADDR + HEAD_SIZE;
    const uint32_t load[] = { 1, 0, LOAD_ADDR, LOAD_ADDR, total, total, 7, 0x1000 };
    const uint32_t note[] = { 4, 116, LOAD_ADDR + 116, LOAD_ADDR + 116, 20, 20, 4, 4 };

    buf_add(out, ident, sizeof(ident));
    add16(out, 2); /* ET_EXEC */
    add16(out, 3); /* EM_386 */
    add_words(out, (const uint32_t[]){ 1, entry, 52, 0, 0 }, 5);
    add16(out, 52);
    add16(out, 32);
    add16(out, 2); /* program headers */
    add16(out, 40);
    add16(out, 0);
    add16(out, 0);
    add_words(out, load, ARRAY_SIZE(load));
    add_words(out, note, ARRAY_SIZE(note));
    add_words(out, (const uint32_t[]){ 4, 4, 18 }, 3); /* XEN_ELFNOTE_PHYS32_ENTRY */
    buf_add(out, "Xen", 4);
    add32(out, entry);
    buf_add(out, code, len);
}

/* Count 20 million down, then write K to COM1, then halt: 10-20 ms on a processor, 10 s on a KVM that emulates. */
static const uint8_t probe_code[] = {
    0xb9, 0x00, 0x2d, 0x31, 0x01, /* mov ecx, 20000000 */
    0x49,                         /* dec ecx */
    0x75, 0xfd,                   /* jnz back */
    0x66, 0xba, 0xf8, 0x03,       /* mov dx, 0x3f8 */
    0xb0, 'K',                    /* mov al, 'K' */
    0xee,                         /* out dx, al */
    0xfa, 0xf4, 0xeb, 0xfd,       /* cli; hlt; jmp back */
};

static int run_probe(const char *qemu, const char *elf_path, int *answer_fd_out,
                     struct proc *proc_out)
{
    const char *const argv[] = {
        qemu,       "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "q35",         "-accel",          "kvm",      "-m",
        "16",       "-serial",     "stdio",           "-kernel",  elf_path,
        NULL,
    };
    int pipe_fds[2], rc;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -1;
    rc = proc_start(&(struct proc_spec){ .argv = argv,
                                         .fds = &(struct proc_fd){ pipe_fds[1], 1 },
                                         .n_fds = 1,
                                         .pid_fd = -1,
                                         .die_with_parent = false },
                    proc_out);
    close_fd(&pipe_fds[1]);
    if (rc < 0)
        close_fd(&pipe_fds[0]);
    else
        *answer_fd_out = pipe_fds[0];
    return rc;
}

/* True: KVM ran the probe in time. */
static bool probe(const char *cache_dir, const char *qemu)
{
    AUTO(buf_done) struct buf elf = BUF_INIT(4096);
    AUTO(free_str) char *path = str_fmt("%s/kvm-probe.elf", cache_dir);
    AUTO(close_fd) int answer = -1;
    struct deadline d = deadline_in(PROBE_US), end = deadline_in(2 * PROBE_US);
    struct proc proc;
    char c = 0;
    bool good;

    accel_pvh_elf(probe_code, sizeof(probe_code), &elf);
    if (io_mkdirs(cache_dir, 0700) < 0 || io_write_file(path, elf.data, elf.len, 0600) < 0
        || run_probe(qemu, path, &answer, &proc) < 0) {
        log_warn("KVM probe: %m");
        return false;
    }
    good = io_read(answer, &c, 1, &d) == 1 && c == 'K';
    if (proc_kill(&proc, SIGKILL) < 0 || proc_wait(&proc, &end, NULL) < 0)
        log_debug("KVM probe: %m");
    proc_close(&proc);
    (void)unlink(path);
    return good;
}

static bool has_flag(const char *flags, const char *flag)
{
    size_t n = strlen(flag);

    for (const char *p = flags; p && (p = strstr(p, flag)) != NULL; p += n)
        if ((p == flags || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

static void decide(struct accel *out, const char *name, const char *fmt, ...) PRINTF(3, 4);

static void decide(struct accel *out, const char *name, const char *fmt, ...)
{
    va_list ap;

    out->name = name;
    va_start(ap, fmt);
    (void)vsnprintf(out->reason, sizeof(out->reason), fmt, ap);
    va_end(ap);
}

void accel_decide(const char *cpu_flags, const char *kvm_node, const char *cache_dir,
                  const char *qemu, struct accel *out)
{
    AUTO(close_fd) int fd = -1;

    if (!has_flag(cpu_flags, "vmx") && !has_flag(cpu_flags, "svm")) {
        decide(out, "tcg",
               "The processor offers no virtualization (no vmx or svm): guests are "
               "emulated by TCG, slowly.");
        return;
    }
    fd = open(kvm_node, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        decide(out, "tcg", "%s cannot be opened (%m): guests are emulated by TCG, slowly.",
               kvm_node);
    else if (!probe(cache_dir, qemu))
        decide(out, "tcg",
               "KVM is there but did not run a probe guest in time: guests are emulated by "
               "TCG, slowly.");
    else
        decide(out, "kvm", "KVM ran a probe guest in time.");
}

/* The cache: one line each of boot id, binary with size and time, name, reason. */
static char *cache_key(const char *boot_id, const char *qemu)
{
    struct stat st = { 0 };

    if (stat(qemu, &st) < 0)
        log_debug("%s: %m", qemu);
    return str_fmt("%s\n%s %lld %lld\n", boot_id, qemu, (long long)st.st_size,
                   (long long)st.st_mtime);
}

static bool cache_load(const char *path, const char *key, struct accel *out)
{
    AUTO(buf_done) struct buf text = BUF_INIT(8192);
    const char *name, *end;

    if (io_read_file(path, &text) < 0 || !str_starts(buf_str(&text), key))
        return false;
    name = buf_str(&text) + strlen(key);
    end = strchr(name, '\n');
    if (!end || (!str_starts(name, "kvm\n") && !str_starts(name, "tcg\n")))
        return false;
    decide(out, name[0] == 'k' ? "kvm" : "tcg", "%.*s", (int)strcspn(end + 1, "\n"),
           end + 1);
    return true;
}

void inventory_accel(const char *cache_dir, const char *qemu, struct accel *out)
{
    AUTO(free_str) char *path = str_fmt("%s/accel", cache_dir);
    AUTO(free_str) char *key = NULL;
    AUTO(free_str) char *text = NULL;
    AUTO(inventory_done) struct inventory inv = { 0 };
    AUTO(err_done) struct err err = { 0 };

    if (inventory_read(&inv, &err) < 0) {
        decide(out, "tcg",
               "The processor could not be examined: guests are emulated by TCG, slowly.");
        return;
    }
    key = cache_key(inv.boot_id, qemu);
    if (cache_load(path, key, out))
        return;
    accel_decide(inv.cpu_flags, "/dev/kvm", cache_dir, qemu, out);
    text = str_fmt("%s%s\n%s\n", key, out->name, out->reason);
    if (io_mkdirs(cache_dir, 0700) < 0 || io_write_file(path, text, strlen(text), 0600) < 0)
        log_debug("%s: %m", path);
}
