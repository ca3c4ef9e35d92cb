/* SPDX-License-Identifier: Apache-2.0 */
/* serai-image --qemu-img info|convert FORMAT BYTES: QEMU's reader in a jail (jail.h), for formats that cannot be streamed: the
 * image is descriptor 0, what convert writes 3. The format is always named: nothing is probed.
 *
 * serai-image vhd|tar|xva: a stream from outside on descriptor 0 becomes records (image_record.h) on descriptor 1. Before the
 * first byte is read the process has given up everything else: a system call that is not on the list ends it. No
 * files, no network, no other process, memory up to a limit. */
#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <openssl/evp.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/parse.h"
#include "image/image.h"
#include "image/jail.h"

#define MEMORY_MAX ((rlim_t)512 << 20)

#ifndef __has_feature
#    define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) \
    || defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#    define SANITIZED true
#else
#    define SANITIZED false
#endif

static int allow(scmp_filter_ctx ctx)
{
    static const int calls[] = { SCMP_SYS(read),         SCMP_SYS(write),
                                 SCMP_SYS(exit),         SCMP_SYS(exit_group),
                                 SCMP_SYS(brk),          SCMP_SYS(munmap),
                                 SCMP_SYS(mremap),       SCMP_SYS(madvise),
                                 SCMP_SYS(rt_sigreturn), SCMP_SYS(futex) };
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(calls) && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
    /* Memory, but none that could be run, and none of files. */
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                              SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                              SCMP_A3_64(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return rc;
}

/* A sanitizer asks for more than is on the list, and does without. */
static int lock_down(void)
{
    const struct rlimit none = { 0, 0 }, memory = { MEMORY_MAX, MEMORY_MAX };
    scmp_filter_ctx ctx;
    int rc;

    if (!SANITIZED && setrlimit(RLIMIT_AS, &memory) != 0)
        return -1;
    if (setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_FSIZE, &none) != 0
        || setrlimit(RLIMIT_NPROC, &none) != 0
        || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return -1;
    ctx = seccomp_init(SANITIZED ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_KILL_PROCESS);
    if (!ctx) {
        errno = ENOMEM;
        return -1;
    }
    rc = allow(ctx);
    if (rc == 0)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    errno = -rc;
    return rc == 0 ? 0 : -1;
}

static ssize_t take(void *arg, void *p, size_t n)
{
    ssize_t got;

    (void)arg;
    do
        got = read(0, p, n);
    while (got < 0 && errno == EINTR);
    return got;
}

static int give(void *arg, const void *p, size_t n)
{
    const uint8_t *at = p;

    (void)arg;
    while (n > 0) {
        ssize_t k = write(1, at, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        at += k;
        n -= (size_t)k;
    }
    return 0;
}

static int convert(const char *kind)
{
    static const struct image_io io = { take, give, NULL };
    AUTO(image_in_cleanup) struct image_in *in = image_in_new(&io);
    AUTO(err_done) struct err err = { 0 };
    int rc = str_eq(kind, "vhd") ? image_vhd(in, &io, &err)
                                 : image_tar(in, &io, str_eq(kind, "xva"), &err);

    if (rc != 0)
        image_put_error(&io, &err);
    return rc;
}

#define QEMU_IMG "/usr/bin/qemu-img"

static int qemu_img(const char *what, const char *format, uint64_t bytes)
{
    static char program[] = QEMU_IMG, info[] = "info", json[] = "--output=json",
                convert_[] = "convert", f[] = "-f", raw[] = "raw", O[] = "-O", n[] = "-n",
                zero[] = "--target-is-zero", in[] = "/proc/self/fd/0",
                out[] = "/proc/self/fd/3", U[] = "-U";
    AUTO(free_str) char *name = str_dup(format);
    char *const look[] = { program, info, U, json, f, name, in, NULL };
    char *const copy[] = { program, convert_, n, zero, f, name, O, raw, in, out, NULL };
    bool is_info = str_eq(what, "info");

    IGNORE(jail_exec(is_info ? look : copy, 0, is_info ? -1 : 3,
                     bytes)); /* it did not become it */
    fprintf(stderr, "serai-image: %s: %m\n", QEMU_IMG);
    return 1;
}

static bool is_seekable(const char *format)
{
    return str_eq(format, "qcow2") || str_eq(format, "vmdk") || str_eq(format, "vhdx");
}

int main(int argc, char **argv)
{
    int64_t bytes;

    if (argc == 5 && str_eq(argv[1], "--qemu-img") && is_seekable(argv[3])
        && (str_eq(argv[2], "info") || str_eq(argv[2], "convert"))
        && parse_range(argv[4], 0, INT64_MAX, &bytes))
        return qemu_img(argv[2], argv[3], (uint64_t)bytes);
    const char *kind = argc == 2 ? argv[1] : "";

    if (!str_eq(kind, "vhd") && !str_eq(kind, "tar") && !str_eq(kind, "xva")) {
        fputs("usage: serai-image vhd|tar|xva\n"
              "       serai-image --qemu-img info|convert qcow2|vmdk|vhdx BYTES\n",
              stderr);
        return 2;
    }
    /* What libcrypto and the table's keys look up once, they look up now. */
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n;
    if (EVP_Digest("", 0, digest, &n, EVP_sha1(), NULL) != 1 || hash_bytes("", 0) == 0
        || lock_down() != 0) {
        fprintf(stderr, "serai-image: %m\n");
        return 1;
    }
    /* Nothing that runs at an exit may. */
    _exit(convert(kind) == 0 ? 0 : 1);
}
