/* SPDX-License-Identifier: Apache-2.0 */
/* How a machine's disk is served: its limits (qos_algorithm_type "ratelimit": iops, kbps) and what becomes of requests that the
 * storage refuses (other_config "on-enospc" and "on-eio": stop or report). Both hold at once, also while the machine runs. */
#ifndef OPS_VBD_IO_H
#define OPS_VBD_IO_H

#include "host/disks.h"
#include "ops/ops.h"

struct disks_set vbd_io_settings(const struct vbd_rec *vbd);
/* For disks_on_stop: status_code and status_detail of the VBD and a message say it. */
void vbd_io_stopped(const char *vm_uuid, const char *vbd_uuid, const char *error)
    EXCLUDES(db_mutex);
#endif
