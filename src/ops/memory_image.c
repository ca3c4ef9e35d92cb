/* SPDX-License-Identifier: Apache-2.0 */
/* One thread for each stream carries bytes between a machine's socket and a volume; it ends with the socket, which the
 * caller's thread shuts when it wants that. Nobody else touches the volume meanwhile. */
#include "ops/memory_image.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "api/errors.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"

#define MAGIC      "SERAI MEMORY 1\n"
#define SECTOR     512
#define VCPUS_0    1
#define QUEUES_MAX 1024 /* what QEMU takes */

struct memory_image {
    struct sr_image *image;
    int fd; /* our end */
    uint64_t at, end;
    uint8_t *piece;
    pthread_t thread;
    bool failed; /* this and err are the thread's, and then of whoever has joined it */
    struct err err;
};

const struct memory_device *memory_head_device(const struct memory_head *h, bool is_nic,
                                               unsigned slot)
{
    for (unsigned i = 0; i < h->n_devices; i++)
        if (h->devices[i].is_nic == is_nic && h->devices[i].slot == slot)
            return &h->devices[i];
    return NULL;
}

/* ---- carrying ------------------------------------------------------------------------------------------ */

static void fail(struct memory_image *m)
{
    m->failed = true;
    (void)shutdown(m->fd, SHUT_RDWR); /* the machine learns of it */
}

/* A piece full, less at the end. */
static size_t fill(struct memory_image *m)
{
    struct deadline never = deadline_never();
    size_t len = 0;

    while (len < SR_IMAGE_PIECE) {
        ssize_t n = io_read(m->fd, m->piece + len, SR_IMAGE_PIECE - len, &never);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return len;
}

static void *take_main(void *arg)
{
    struct memory_image *m = arg;
    size_t len;

    while ((len = fill(m)) > 0) {
        size_t whole = (len + SECTOR - 1) / SECTOR * SECTOR;

        memset(m->piece + len, 0, whole - len);
        if (m->at + whole > sr_image_bytes(m->image)) {
            (void)err_set(&m->err, ERR_SR_BACKEND_FAILURE, "ENOSPC", "",
                          "The guest changes its memory faster than it can be stored");
            fail(m);
            break;
        }
        if (sr_image_write(m->image, m->piece, whole, m->at, &m->err) < 0) {
            fail(m);
            break;
        }
        m->at += len;
        if (len < SR_IMAGE_PIECE)
            break;
    }
    return NULL;
}

static void *give_main(void *arg)
{
    struct memory_image *m = arg;
    struct deadline never = deadline_never();

    while (m->at < m->end) {
        uint64_t len = MIN(m->end - m->at, SR_IMAGE_PIECE);
        uint64_t whole = (len + SECTOR - 1) / SECTOR * SECTOR;

        if (sr_image_read(m->image, m->piece, whole, m->at, &m->err) < 0) {
            fail(m);
            break;
        }
        if (io_write_full(m->fd, m->piece, (size_t)len, &never) < 0)
            break; /* the machine wants no more: it knows why */
        m->at += len;
    }
    (void)shutdown(m->fd, SHUT_WR);
    return NULL;
}

/* image: taken. */
static struct memory_image *begin(struct sr_image *image, uint64_t end,
                                  void *(*thread_main)(void *), int *machine_fd_out,
                                  struct err *err)
{
    struct memory_image *m = mem_alloc(sizeof(*m));
    int pair[2];

    m->image = image;
    m->at = MEMORY_IMAGE_HEAD;
    m->end = end;
    m->piece = mem_alloc(SR_IMAGE_PIECE);
    m->fd = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        m->fd = pair[0];
        if (thread_start(&m->thread, "memory", 0, thread_main, m) == 0) {
            *machine_fd_out = pair[1];
            return m;
        }
        close_fd(&pair[1]);
    }
    (void)err_set(err, ERR_INTERNAL_ERROR, "no socket or thread for the memory");
    (void)err_detail(err, "%m");
    close_fd(&m->fd);
    sr_image_close(m->image);
    free(m->piece);
    free(m);
    return NULL;
}

static void done(struct memory_image *m)
{
    close_fd(&m->fd);
    sr_image_close(m->image);
    err_done(&m->err);
    free(m->piece);
    free(m);
}

/* ---- the head ------------------------------------------------------------------------------------------ */

static const char *const buses[] = { [VM_BUS_VIRTIO] = "virtio",
                                     [VM_BUS_SCSI] = "scsi",
                                     [VM_BUS_NVME] = "nvme",
                                     [VM_BUS_SATA] = "sata" };

static char *head_text(const struct memory_head *h)
{
    json_t *devices = json_array();
    json_t *o = json_pack("{sI ss si si sI sI}", "stream", (json_int_t)h->stream_bytes,
                          "accel", h->accel, "vcpus", (int)h->vcpus, "scsi_queues",
                          (int)h->scsi_queues, "disk_ports", (json_int_t)h->disk_ports,
                          "nic_ports", (json_int_t)h->nic_ports);
    char *text;

    for (unsigned i = 0; i < h->n_devices; i++) {
        const struct memory_device *d = &h->devices[i];

        (void)json_array_append_new(
            devices, d->is_nic
                         ? json_pack("{si sb}", "nic", (int)d->slot, "rom", d->has_rom)
                         : json_pack("{si ss si}", "disk", (int)d->slot, "bus",
                                     buses[d->bus], "queues", (int)d->queues));
    }
    (void)json_object_set_new(o, "devices", devices);
    text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

static bool take_number(const json_t *o, const char *key, uint64_t max, uint64_t *out)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_integer(v) || json_integer_value(v) < 0
        || (uint64_t)json_integer_value(v) > max)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static bool parse_device(const json_t *o, struct memory_device *d)
{
    const char *bus = json_string_value(json_object_get(o, "bus"));
    uint64_t slot;

    d->is_nic = json_object_get(o, "nic") != NULL;
    if (!take_number(o, d->is_nic ? "nic" : "disk",
                     (d->is_nic ? VMSPEC_NICS_MAX : VMSPEC_DISKS_MAX) - 1, &slot))
        return false;
    d->slot = (unsigned)slot;
    if (!d->is_nic && take_number(o, "queues", QUEUES_MAX, &slot))
        d->queues = (unsigned)slot;
    d->has_rom = json_is_true(json_object_get(o, "rom"));
    for (unsigned i = 0; i < ARRAY_SIZE(buses); i++)
        if (str_eq(bus, buses[i])) {
            d->bus = (enum vm_bus)i;
            return true;
        }
    return d->is_nic;
}

static bool parse_head(const char *text, struct memory_head *out)
{
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const json_t *devices = json_object_get(o, "devices");
    const char *accel = json_string_value(json_object_get(o, "accel"));
    uint64_t vcpus = 0, queues = 0;
    bool ok = accel && strlen(accel) < sizeof(out->accel)
              && take_number(o, "stream", INT64_MAX / 2, &out->stream_bytes)
              && take_number(o, "vcpus", VMSPEC_VCPUS_MAX, &vcpus) && vcpus >= VCPUS_0
              && take_number(o, "scsi_queues", QUEUES_MAX, &queues)
              && take_number(o, "disk_ports", INT64_MAX, &out->disk_ports)
              && take_number(o, "nic_ports", INT64_MAX, &out->nic_ports)
              && json_array_size(devices) <= ARRAY_SIZE(out->devices);

    out->vcpus = (unsigned)vcpus;
    out->scsi_queues = (unsigned)queues;
    for (size_t i = 0; ok && i < json_array_size(devices); i++)
        ok = parse_device(json_array_get(devices, i), &out->devices[out->n_devices++]);
    if (ok)
        memcpy(out->accel, accel, strlen(accel) + 1);
    json_decref(o);
    return ok;
}

static int write_head(struct sr_image *image, const struct memory_head *h, struct err *err)
{
    AUTO(free_ptr) char *area = mem_alloc(MEMORY_IMAGE_HEAD);
    char *text = head_text(h);
    size_t len = strlen(text);
    int rc;

    if (len + sizeof(MAGIC) > MEMORY_IMAGE_HEAD) {
        free(text);
        return err_set(err, ERR_INTERNAL_ERROR, "more devices than a head can hold");
    }
    memcpy(area, MAGIC, sizeof(MAGIC) - 1);
    memcpy(area + sizeof(MAGIC) - 1, text, len);
    free(text);
    rc = sr_image_write(image, area, MEMORY_IMAGE_HEAD, 0, err);
    return rc < 0 ? -1 : sr_image_finish(image, err);
}

int memory_image_head(struct sr_image *image, const char *vdi, struct memory_head *out,
                      struct err *err)
{
    AUTO(free_ptr) char *area = mem_alloc(MEMORY_IMAGE_HEAD + 1);

    *out = (struct memory_head){ 0 };
    if (sr_image_bytes(image) < MEMORY_IMAGE_HEAD
        || sr_image_read(image, area, MEMORY_IMAGE_HEAD, 0, err) < 0
        || memcmp(area, MAGIC, sizeof(MAGIC) - 1) != 0
        || !parse_head(area + sizeof(MAGIC) - 1, out)
        || out->stream_bytes > sr_image_bytes(image) - MEMORY_IMAGE_HEAD) {
        err_done(err);
        (void)err_set(err, ERR_SUSPEND_IMAGE_NOT_ACCESSIBLE, vdi);
        return err_detail(err, "the disk does not hold the whole memory of a machine");
    }
    return 0;
}

/* ---- both ways ----------------------------------------------------------------------------------------- */

struct memory_image *memory_image_write(struct sr_image *image, int *machine_fd_out,
                                        struct err *err)
{
    return begin(image, 0, take_main, machine_fd_out, err);
}

int memory_image_written(struct memory_image *m, struct memory_head *head, struct err *err)
{
    int rc = -1;

    if (!head)
        (void)shutdown(m->fd, SHUT_RDWR);
    (void)pthread_join(m->thread, NULL);
    if (m->failed) {
        err_move(err, &m->err);
    } else if (head) {
        head->stream_bytes = m->at - MEMORY_IMAGE_HEAD;
        (void)FAILPOINT("memory.streamed");
        rc = write_head(m->image, head, err);
    }
    done(m);
    return rc;
}

struct memory_image *memory_image_read(struct sr_image *image,
                                       const struct memory_head *head, int *machine_fd_out,
                                       struct err *err)
{
    return begin(image, MEMORY_IMAGE_HEAD + head->stream_bytes, give_main, machine_fd_out,
                 err);
}

int memory_image_was_read(struct memory_image *m, struct err *err)
{
    int rc;

    (void)shutdown(m->fd, SHUT_RDWR);
    (void)pthread_join(m->thread, NULL);
    rc = m->failed ? -1 : 0;
    if (rc < 0)
        err_move(err, &m->err);
    done(m);
    return rc;
}
