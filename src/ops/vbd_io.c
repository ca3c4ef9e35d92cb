/* SPDX-License-Identifier: Apache-2.0 */
/* See vbd_io.h. Settings are read from the record each time; the list of the disk process keeps what holds (host/disks.c).
 * Thread: any; vbd_io_stopped: the disk processes'. */
#include "ops/vbd_io.h"

#include <errno.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "ops/hooks.h"
#include "ops/message.h"

#define KBPS_MAX (INT64_C(1) << 40)
#define IOPS_MAX (INT64_C(1) << 40)

static const char *lookup(const struct map_string_string *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->v[i].key, key))
            return m->v[i].val;
    return NULL;
}

static uint64_t number(const struct vbd_rec *vbd, const char *key, int64_t max)
{
    const char *text = lookup(&vbd->qos_algorithm_params, key);
    int64_t n;

    return str_eq(vbd->qos_algorithm_type, "ratelimit") && text
                   && parse_range(text, 1, max, &n)
               ? (uint64_t)n
               : 0;
}

struct disks_set vbd_io_settings(const struct vbd_rec *vbd)
{
    return (struct disks_set){
        .report_enospc = str_eq(lookup(&vbd->other_config, "on-enospc"), "report"),
        .stop_eio = str_eq(lookup(&vbd->other_config, "on-eio"), "stop"),
        .iops = number(vbd, "iops", IOPS_MAX),
        .bytes_per_second = number(vbd, "kbps", KBPS_MAX) * 1024,
    };
}

static int check_limits(const struct map_string_string *params, struct err *err)
{
    static const struct {
        const char *key, *field;
        int64_t max;
    } rows[] = { { "iops", "qos_algorithm_params:iops", IOPS_MAX },
                 { "kbps", "qos_algorithm_params:kbps", KBPS_MAX } };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *text = lookup(params, rows[i].key);
        int64_t n;
        if (text && text[0] && !parse_range(text, 1, rows[i].max, &n))
            return err_set(err, ERR_INVALID_VALUE, rows[i].field, text);
    }
    return 0;
}

static int check_config(const struct map_string_string *config, struct err *err)
{
    static const char *const keys[] = { "on-enospc", "on-eio" };

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *text = lookup(config, keys[i]);
        AUTO(free_str) char *field = str_fmt("other_config:%s", keys[i]);
        if (text && !str_eq(text, "stop") && !str_eq(text, "report"))
            return err_set(err, ERR_INVALID_VALUE, field, text);
    }
    return 0;
}

int vbd_check(const struct vbd_rec *vbd, struct err *err)
{
    return check_limits(&vbd->qos_algorithm_params, err)
                   || check_config(&vbd->other_config, err)
               ? -1
               : 0;
}

int vbd_check_set(struct call *call, const struct ref *self, unsigned field,
                  const void *value, struct err *err)
{
    (void)call, (void)self;
    switch (field) {
    case F_VBD_QOS_ALGORITHM_PARAMS: return check_limits(value, err);
    case F_VBD_OTHER_CONFIG: return check_config(value, err);
    default: return 0;
    }
}

/* A disk that no process serves is left alone: a raw one, or one of a machine that is off. */
int vbd_after_set(struct call *call, const struct ref *self, unsigned field,
                  struct err *err)
{
    struct disks_set set = { 0 };
    AUTO(free_str) char *vm_uuid = NULL, *uuid = NULL;

    (void)call;
    if (field != F_VBD_QOS_ALGORITHM_TYPE && field != F_VBD_QOS_ALGORITHM_PARAMS
        && field != F_VBD_OTHER_CONFIG)
        return 0;
    db_lock();
    const struct vbd_rec *vbd = db_get(CLASS_VBD, self);
    const struct vm_rec *vm = vbd ? db_get(CLASS_VM, &vbd->VM) : NULL;
    if (vm && vbd->currently_attached) {
        set = vbd_io_settings(vbd);
        vm_uuid = str_dup(vm->uuid);
        uuid = str_dup(vbd->uuid);
    }
    db_unlock();
    return uuid ? disks_set(vm_uuid, uuid, &set, err) : 0;
}

/* ---- what the storage refuses ------------------------------------------------------------------------- */

static void tell(struct tx *tx, const struct ref *ref, const char *error) REQUIRES(db_mutex)
{
    const struct vbd_rec *vbd = db_get(CLASS_VBD, ref);
    const struct vm_rec *vm = db_get(CLASS_VM, &vbd->VM);
    const struct vdi_rec *vdi = db_get(CLASS_VDI, &vbd->VDI);
    bool full = str_eq(error, "ENOSPC") || str_eq(error, "EDQUOT");
    const char *disk = vdi && vdi->name_label[0] ? vdi->name_label : vbd->uuid;
    AUTO(free_str)
    char *body =
        !error ? str_fmt("Disk '%s' of VM '%s' goes on", disk, vm->name_label)
        : full
            ? str_fmt("Disk '%s' of VM '%s' has stopped: its storage repository is full. "
                      "It goes on by itself when there is room",
                      disk, vm->name_label)
            : str_fmt("Disk '%s' of VM '%s' has stopped: its storage answers with errors "
                      "(%s). It goes on by itself when that is over",
                      disk, vm->name_label, error);

    tx_set_int(tx, ref, CLASS_VBD, F_VBD_STATUS_CODE, !error ? 0 : full ? ENOSPC : EIO);
    tx_set_str(tx, ref, CLASS_VBD, F_VBD_STATUS_DETAIL, error ? body : "");
    (void)message_add(tx, error ? "DISK_STOPPED" : "DISK_RESUMED", error ? 2 : 5, CLS_VM,
                      vm->uuid, body);
}

void vbd_io_stopped(const char *vm_uuid, const char *vbd_uuid, const char *error)
{
    AUTO(err_done) struct err err = { 0 };
    struct ref ref;
    struct tx *tx = daemon_tx("disk");
    const struct vbd_rec *vbd = db_find_uuid(CLASS_VBD, vbd_uuid, &ref)
                                    ? db_get(CLASS_VBD, &ref)
                                    : NULL;
    const struct vm_rec *vm = vbd ? db_get(CLASS_VM, &vbd->VM) : NULL;

    if (vm && (error || vbd->status_code))
        tell(tx, &ref, error);
    if (tx_commit(tx, &err) < 0)
        log_error("machine %s: disk %s: %s", vm_uuid, vbd_uuid,
                  err.detail ? err.detail : err.code);
}
