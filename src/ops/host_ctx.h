/* SPDX-License-Identifier: Apache-2.0 */
/* What operations need of this host: set once at start by seraid (main.c), then read-only. */
#ifndef OPS_HOST_CTX_H
#define OPS_HOST_CTX_H

#include "host/cpu.h"
#include "host/inventory.h"
#include "host/machine.h"
#include "host/sr.h"
#include "model/value.h"
#include "ops/brand.h"

struct host_ctx {
    const struct machine_ops *machine;
    const struct brand *brand;
    bool rootless;
    _Atomic bool restart; /* the daemon ends to be started again */
    char *state_dir, *runtime_dir;
    char *kernel_dir; /* the one folder PV_kernel and PV_ramdisk may name files in */
    char *qemu;       /* path of the binary */
    struct accel accel;
    struct cpu_baseline cpu; /* what machines get; empty without real ones */
    struct inventory inventory;
    char *https_address; /* "10.0.0.7:443": what is really listened on; "" when none */
    char *http_address;
    char *cert_file;
    /* Show what is in cert_file on new connections. */
    int (*tls_reload)(struct err *err);
};

extern struct host_ctx host_ctx;
#endif
