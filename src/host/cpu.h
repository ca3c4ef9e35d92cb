/* SPDX-License-Identifier: Apache-2.0 */
/* The processor that machines of this host get: a named model that QEMU has, newest first, less what this host cannot give. Never
 * the host's own: a machine could not move to another one. Thread: any; blocks. */
#ifndef HOST_CPU_H
#define HOST_CPU_H

#include <jansson.h>

#include "base/util.h"

#define CPU_MODEL_MAX    512
#define CPU_FEATURES_MAX 128

struct cpu_baseline {
    char model[CPU_MODEL_MAX]; /* for QEMU: "Haswell-v4,-pcid" */
    char features
        [CPU_FEATURES_MAX]; /* what such a machine has: words of CPUID in Xen's order, "1f8bfbff-80982203-..." */
};

/* Choose by QEMU's answer to query-cpu-definitions, for processors of that maker ("GenuineIntel"). Pure. */
void cpu_choose(const json_t *definitions, const char *vendor,
                char out[static CPU_MODEL_MAX]);
/* The words of QEMU's feature-words. Pure. */
void cpu_words(const json_t *feature_words, char out[static CPU_FEATURES_MAX]);
/* The same words of the processor that we run on. */
void cpu_host_words(char out[static CPU_FEATURES_MAX]);
/* Ask QEMU, twice 100 ms; the answer is kept in cache_dir for the same binary, accelerator and processor. When QEMU does not answer it is
 * the least model, with a line in the log. */
void cpu_baseline(const char *cache_dir, const char *qemu, const char *accel,
                  const char *vendor, const char *host_model, struct cpu_baseline *out);
#endif
