/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine is, read from /proc, /sys and uname. Thread: any. */
#ifndef HOST_INVENTORY_H
#define HOST_INVENTORY_H

#include "base/deadline.h"
#include "base/err.h"

struct inventory_nic {
    char name[16];
    char mac[18];
    unsigned mtu;
    bool up, carrier, physical;
    unsigned speed_mbit;
    char ip[46], netmask[46];
};

struct inventory {
    char *hostname;
    char *kernel; /* uname -r */
    char *cpu_vendor, *cpu_model, *cpu_flags;
    unsigned cpu_count, cpu_sockets, cpu_mhz, cpu_family, cpu_model_number, cpu_stepping;
    uint64_t memory_total_bytes;
    int64_t boot_wall_us;
    char boot_id[37];
    char *bios_vendor, *bios_version, *system_manufacturer, *system_product,
        *system_serial; /* "" where unreadable */
    struct inventory_nic *nics;
    size_t n_nics;
};

int inventory_read(struct inventory *out, struct err *err) MUST_CHECK;
void inventory_done(struct inventory *inv);
int inventory_memory_free(uint64_t *bytes_out) MUST_CHECK; /* MemAvailable */

struct accel {
    const char *name; /* "kvm" or "tcg" */
    char reason[160]; /* one sentence for the log and the user */
};

/* KVM is used when it proves itself: vmx/svm in the flags, the node opens, and (once per boot id, remembered in
 * cache_dir) a tiny probe guest answers within its deadline. qemu: path of the binary. */
void inventory_accel(const char *cache_dir, const char *qemu, struct accel *out);
/* Path of qemu-system-x86_64, given; NULL: not installed (err says which package). */
char *inventory_qemu(struct err *err);
#endif
