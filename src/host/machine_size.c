/* SPDX-License-Identifier: Apache-2.0 */
/* Processors and memory of machines that run. Processors come and go in the order of their numbers, so that a machine with n
 * of them is like one that began with n. What a machine has is what QEMU says. Runs on the callers' threads. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "host/machine.h"
#include "host/machine_dir.h"
#include "host/machine_reg.h"

#define LOOK_US (US_PER_SEC / 20)

/* A processor's place, taken or not. All borrowed from QEMU's answer. */
struct place {
    int64_t order;
    const char *type, *path; /* path NULL: free */
    const json_t *props;
};

struct places {
    json_t *answer;
    struct place v[VMSPEC_VCPUS_MAX];
    unsigned n, taken;
};

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static int by_order(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

static int list(const char *uuid, struct places *out, const struct deadline *d,
                struct err *err)
{
    *out = (struct places){ 0 };
    if (machine_qemu_command(uuid, "query-hotpluggable-cpus", NULL, -1, &out->answer, d,
                             err)
        < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(out->answer) && out->n < VMSPEC_VCPUS_MAX; i++) {
        const json_t *o = json_array_get(out->answer, i);
        const json_t *props = json_object_get(o, "props");
        struct place *p = &out->v[out->n];

        p->type = json_string_value(json_object_get(o, "type"));
        p->path = json_string_value(json_object_get(o, "qom-path"));
        p->props = props;
        p->order = number(props, "socket-id") * 65536 + number(props, "core-id") * 256
                   + number(props, "thread-id");
        if (!p->type)
            continue;
        out->n++;
        out->taken += p->path != NULL;
    }
    if (out->n)
        qsort(out->v, out->n, sizeof(out->v[0]), by_order);
    return 0;
}

static int refuse(struct err *err, struct err *cause)
{
    if (!str_eq(cause->code, ERR_INTERNAL_ERROR)) {
        err_move(err, cause);
        return -1;
    }
    return err_set(err, ERR_OPERATION_NOT_ALLOWED,
                   cause->n_params ? cause->params[0] : "the machine refuses");
}

static int plug(const char *uuid, const struct place *p, const struct deadline *d,
                struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };
    AUTO(free_str) char *id = str_fmt("vcpu-%lld", (long long)p->order);
    json_t *args = json_copy((json_t *)p->props); /* socket-id and so on */

    json_object_set_new(args, "driver", json_string(p->type));
    json_object_set_new(args, "id", json_string(id));
    if (machine_qemu_command(uuid, "device_add", args, -1, NULL, d, &cause) < 0)
        return refuse(err, &cause);
    return 0;
}

static bool is_taken(const struct places *p, int64_t order)
{
    for (unsigned i = 0; i < p->n; i++)
        if (p->v[i].order == order)
            return p->v[i].path != NULL;
    return false;
}

/* By its path, which those have too that were there from the start. QEMU has no event for a processor that went (its object
 * lives on), so it is looked at until it has. */
static int unplug(const char *uuid, const struct place *p, const struct deadline *d,
                  struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };
    AUTO(free_ptr) struct places *now = mem_alloc(sizeof(*now));

    if (machine_dir_write(machine_reg_dir(), uuid, MACHINE_DIR_SHRUNK, "", err) < 0)
        return -1;
    if (machine_qemu_command(uuid, "device_del", json_pack("{ss}", "id", p->path), -1, NULL,
                             d, &cause)
        < 0)
        return refuse(err, &cause);
    for (;;) {
        struct deadline soon = deadline_sooner(d, LOOK_US);
        int rc = list(uuid, now, d, err);
        bool taken = is_taken(now, p->order);

        json_decref(now->answer);
        if (rc < 0 || !taken)
            return rc;
        if (deadline_poll(&soon, -1, 0) < 0 && errno == ECANCELED)
            return err_set(err, ERR_TASK_CANCELLED, "");
        if (deadline_passed(d))
            return err_set(err, ERR_OPERATION_NOT_ALLOWED,
                           "the guest does not give the processor back");
    }
}

int machine_set_vcpus(const char *uuid, unsigned wanted, unsigned *now_out,
                      const struct deadline *d, struct err *err)
{
    AUTO(free_ptr) struct places *p = mem_alloc(sizeof(*p));
    int rc = list(uuid, p, d, err);

    for (unsigned i = 0; i < p->n && rc == 0 && p->taken < wanted; i++) {
        if (p->v[i].path)
            continue;
        rc = plug(uuid, &p->v[i], d, err);
        p->taken += rc == 0;
        (void)FAILPOINT("machine.size.vcpu");
    }
    for (unsigned i = p->n; i-- > 0 && rc == 0 && p->taken > wanted;) {
        if (!p->v[i].path)
            continue;
        rc = unplug(uuid, &p->v[i], d, err);
        p->taken -= rc == 0;
    }
    *now_out = p->taken;
    json_decref(p->answer);
    return rc;
}

unsigned machine_count_vcpus(const char *uuid, const struct deadline *d)
{
    AUTO(free_ptr) struct places *p = mem_alloc(sizeof(*p));
    unsigned n = list(uuid, p, d, NULL) == 0 ? p->taken : 0;

    json_decref(p->answer);
    return n;
}

int machine_set_memory(const char *uuid, uint64_t bytes, const struct deadline *d,
                       struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };

    if (machine_qemu_command(uuid, "balloon", json_pack("{sI}", "value", (json_int_t)bytes),
                             -1, NULL, d, &cause)
        < 0)
        return refuse(err, &cause);
    return 0;
}
