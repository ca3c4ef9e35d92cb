/* SPDX-License-Identifier: Apache-2.0 */
/* Saved measurements: whatever the file says, it is refused or it is a store that can be updated, shown and saved. The
 * checksum is put right first, or nothing would get past it. */
#include <string.h>

#include "base/mem.h"
#include "model/rrd.h"
#include "model/rrd_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_right(uint8_t *p, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i + 8 < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < 8; i++)
        p[len - 8 + i] = (uint8_t)(h >> (8 * i));
}

static void use(struct rrd *r)
{
    const struct rrd_sample s[] = {
        { .name = "cpu0", .type = RRD_DERIVE, .value = 7, .max = 1 },
        { .name = "memory", .type = RRD_GAUGE, .value = 1e9, .max = 1e12 },
    };
    struct rrd_text_object o = { "vm", "uuid", r };
    struct rrd_text_query q = { .interval = 60 };
    AUTO(buf_done) struct buf out = BUF_INIT(1 << 20);

    rrd_text_updates(&out, &o, 1, &q, (int64_t)rrd_last_update(r) + 7, RRD_JSON);
    rrd_update(r, rrd_last_update(r) + 7, s, ARRAY_SIZE(s));
    rrd_update(r, rrd_last_update(r) + 4000, s, 1);
    if (rrd_n_ds(r) > 0)
        rrd_ds_enable(r, 0, false);
    rrd_text_whole(&out, r, RRD_XML);
    rrd_save(r, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;
    struct rrd *r;

    if (size < 8 || size > 1 << 16)
        return 0;
    copy = mem_dup(data, size);
    put_right(copy, size);
    r = rrd_load(copy, size);
    if (r)
        use(r);
    rrd_free(r);
    free(copy);
    return 0;
}
