/* SPDX-License-Identifier: Apache-2.0 */
/* Inside host only: the parts of inventory_accel(), and tiny guests without an operating system. Thread: any. */
#ifndef HOST_ACCEL_H
#define HOST_ACCEL_H

#include "base/buf.h"
#include "host/inventory.h"

/* An ELF file that QEMU's -kernel enters by PVH: code runs at 1 MiB + 136 in 32-bit protected mode, flat segments. */
void accel_pvh_elf(const uint8_t *code, size_t len, struct buf *out);
/* The decision without the cache. cpu_flags: space-separated, as /proc/cpuinfo has them. */
void accel_decide(const char *cpu_flags, const char *kvm_node, const char *cache_dir,
                  const char *qemu, struct accel *out);
#endif
