/* SPDX-License-Identifier: Apache-2.0 */
/* What a directory repository does with VHD files, by the format's library. Each step here is done or not after a crash;
 * the library's own files say how. Runs on any thread, owns no state. */
#include "host/sr_vhd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/mem.h"
#include "vhd/vhd_cbt.h"
#include "vhd/vhd_create.h"

#define HEADER_AT_MOST (UINT64_C(1) << 20)

/* "UUID.vhd" or "UUID.raw"; anything else has no name in a repository. */
static void parent_uuid(const char *name, char out[static UUID_TEXT_SIZE])
{
    char text[UUID_TEXT_SIZE] = "";
    struct uuid u;

    if (strlen(name) != UUID_TEXT_SIZE - 1 + 4)
        return;
    memcpy(text, name, UUID_TEXT_SIZE - 1);
    if (uuid_parse(text, &u))
        memcpy(out, text, UUID_TEXT_SIZE);
}

static int look_at_parent(int fd, const struct vhd_footer *foot, const char *path,
                          struct sr_volume *out, struct err *err)
{
    uint8_t b[VHD_HEADER_BYTES];
    struct vhd_header head;
    const char *wrong = "has no header where its footer says";

    if (foot->data_offset <= HEADER_AT_MOST
        && io_pread_full(fd, b, sizeof(b), foot->data_offset) == 0)
        wrong = vhd_format_header_read(b, &head);
    if (wrong)
        return vhd_io_bad(err, "VHD_INVALID", "%s %s", path, wrong);
    parent_uuid(head.parent_name, out->parent);
    return 0;
}

int sr_vhd_look(const char *path, struct sr_volume *out, struct err *err)
{
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    uint8_t b[VHD_FOOTER_BYTES];
    struct vhd_footer foot;
    struct stat st;
    const char *wrong;

    if (fd < 0 || fstat(fd, &st) < 0)
        return vhd_io_failed(err, "opening", path);
    if (io_pread_full(fd, b, sizeof(b), 0) < 0)
        return vhd_io_bad(err, "VHD_INVALID", "%s is no image", path);
    wrong = vhd_format_footer_read(b, &foot);
    if (wrong) /* a fixed image has its footer at the end; ours are none */
        return vhd_io_bad(err, "VHD_INVALID", "%s %s", path, wrong);
    out->virtual_size_bytes = foot.current_bytes;
    out->used_bytes = (uint64_t)st.st_blocks * 512;
    return foot.type == VHD_DIFFERENCING ? look_at_parent(fd, &foot, path, out, err) : 0;
}

int sr_vhd_create(const char *path, uint64_t bytes, struct err *err)
{
    struct vhd_create_spec spec = { .type = VHD_DYNAMIC, .bytes = bytes };

    return vhd_create(&vhd_io_posix, path, &spec, err);
}

int sr_vhd_child(const char *parent, bool raw, const char *path, struct err *err)
{
    AUTO(vhd_image_cleanup) struct vhd_image *img = NULL;
    struct vhd_create_spec spec = { .type = VHD_DIFFERENCING };

    if (vhd_image_open(&vhd_io_posix, parent, raw ? VHD_OPEN_RAW : 0, &img, err) < 0)
        return -1;
    spec.parent = img;
    return vhd_create(&vhd_io_posix, path, &spec, err);
}

int sr_vhd_resize(const char *path, uint64_t bytes, struct err *err)
{
    AUTO(vhd_chain_cleanup) struct vhd_chain *c = NULL;
    struct vhd_cbt *log = NULL;

    if (vhd_chain_open(&vhd_io_posix, path, VHD_OPEN_WRITE, &c, err) < 0
        || vhd_cbt_open_beside(&vhd_io_posix, path, c->bytes, &log, err) < 0)
        return -1;
    c->cbt = log;
    int rc = bytes > c->bytes ? vhd_resize(c, bytes, err) : 0;
    if (rc == 0)
        rc = vhd_chain_finish(c, err);
    vhd_cbt_close(log);
    return rc;
}
