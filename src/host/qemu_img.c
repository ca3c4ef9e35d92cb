/* SPDX-License-Identifier: Apache-2.0 */
/* What qemu-img says is read as what a stranger says: bounded, and only two numbers and names of it matter. */
#include "host/qemu_img.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>

#include "api/errors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/proc.h"
#include "host/foreign.h"

#define OUTPUT_MAX ((size_t)1 << 20)

bool qemu_img_reads(const char *format)
{
    return str_eq(format, "qcow2") || str_eq(format, "vmdk") || str_eq(format, "vhdx");
}

/* Its output until it ends. */
static int collect(int fd, struct buf *out, const struct deadline *d)
{
    char piece[4096];

    for (;;) {
        ssize_t n = io_read(fd, piece, sizeof(piece), d);

        if (n <= 0)
            return (int)n;
        buf_add(out, piece, (size_t)n);
    }
}

static int failed(const char *format, const struct buf *said, struct err *err)
{
    AUTO(free_str) char *why = str_fmt("The image cannot be read as %s", format);
    AUTO(free_str)
    char *text = str_dupn(said->data ? said->data : "", MIN(said->len, (size_t)500));

    for (char *p = text; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = ' ';
    (void)err_set(err, ERR_IMPORT_ERROR, why);
    return err_detail(err, "%s", text);
}

static int run(const char *what, const char *format, uint64_t bytes, int in, int out,
               struct buf *said, const struct deadline *d, struct err *err)
{
    AUTO(free_str) char *most = str_fmt("%" PRIu64, bytes);
    const char *const argv[] = {
        foreign_program(), "--qemu-img", what, format, most, NULL
    };
    int pipes[2], status = 0, rc;
    struct proc proc;
    const struct deadline never = deadline_never();

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return err_set(err, ERR_IMPORT_ERROR, "No descriptors are left");
    AUTO(close_fd) int from = pipes[0];
    AUTO(close_fd) int to = pipes[1];
    const struct proc_fd fds[] = { { in, 0 }, { to, 1 }, { to, 2 }, { out, 3 } };
    const struct proc_spec spec = { .argv = argv,
                                    .fds = fds,
                                    .n_fds = out >= 0 ? 4 : 3,
                                    .pid_fd = -1,
                                    .die_with_parent = true };
    if (proc_start(&spec, &proc) != 0) {
        (void)err_set(err, ERR_IMPORT_ERROR, "The reader of images cannot be started");
        return err_detail(err, "%s: %m", argv[0]);
    }
    close_fd(&to);
    rc = collect(from, said, d);
    int why = errno;
    if (rc != 0)
        IGNORE(proc_kill(&proc, SIGKILL)); /* it may have ended */
    if (proc_wait(&proc, &never, &status) != 0)
        status = -1;
    proc_close(&proc);
    if (rc != 0)
        return err_set(err, why == ECANCELED ? ERR_TASK_CANCELLED : ERR_IMPORT_ERROR,
                       why == ECANCELED ? "" : "Reading the image took too long");
    return status == 0 ? 0 : failed(format, said, err);
}

static int refers(struct err *err)
{
    return err_set(
        err, ERR_IMPORT_ERROR,
        "The image refers to another file; only images that are whole can come in");
}

int qemu_img_size(int fd, const char *format, uint64_t *bytes_out, const struct deadline *d,
                  struct err *err)
{
    AUTO(buf_done) struct buf said = BUF_INIT(OUTPUT_MAX);
    json_t *info, *special;
    json_int_t size;
    bool other;

    if (run("info", format, 0, fd, -1, &said, d, err) != 0)
        return -1;
    info = json_loadb(buf_str(&said), said.len, 0, NULL);
    size = json_integer_value(json_object_get(info, "virtual-size"));
    special = json_object_get(
        json_object_get(json_object_get(info, "format-specific"), "data"), "data-file");
    other = json_object_get(info, "backing-filename") || special;
    json_decref(info);
    if (other)
        return refers(err);
    if (size <= 0)
        return failed(format, &said, err);
    *bytes_out = (uint64_t)size;
    return 0;
}

int qemu_img_convert(int fd, const char *format, int out_fd, uint64_t bytes,
                     const struct deadline *d, struct err *err)
{
    AUTO(buf_done) struct buf said = BUF_INIT(OUTPUT_MAX);

    return run("convert", format, bytes, fd, out_fd, &said, d, err);
}
