/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest reads of its VM when it starts: settings for cloud-init (the NoCloud form) from other_config, and vm-data from
 * xenstore_data, as a small read-only CD. Thread: any. */
#ifndef OPS_CONFIG_DRIVE_H
#define OPS_CONFIG_DRIVE_H

#include "api/records.h"
#include "base/err.h"

#define CONFIG_DRIVE_TEXT_MAX (256U << 10) /* of one file of it */

/* Keys of VM.other_config. */
#define CONFIG_DRIVE_USER_DATA "cloud-init:user-data"
#define CONFIG_DRIVE_NETWORK   "cloud-init:network-config"
#define CONFIG_DRIVE_HOSTNAME  "cloud-init:hostname"
#define CONFIG_DRIVE_SSH_KEYS  "cloud-init:ssh-keys" /* one a line */

/* The image; out stays empty when the VM asks for nothing of it. Pure.
 * Errors: INVALID_VALUE("other_config:KEY", why), the same of xenstore_data. */
int config_drive_image(const struct vm_rec *vm, struct buf *out, struct err *err)
    MUST_CHECK;
/* The image as a sealed file in memory; *fd_out: given, -1 when there is none. */
int config_drive_open(const struct vm_rec *vm, int *fd_out, struct err *err) MUST_CHECK;
#endif
