/* SPDX-License-Identifier: Apache-2.0 */
/* VIFs whose machine runs: what their records say is made true of their taps. The record changes first; then the tap gets
 * what the record says at that moment, and again if it has changed meanwhile, so that the last of several callers leaves
 * the tap as the record is. Whatever dies between is settled by hotplug_settle, which applies all records. A change that
 * the host refuses is taken back. Any thread. */
#include "ops/vif.h"

#include <arpa/inet.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"
#include "host/net.h"
#include "ops/hooks.h"
#include "ops/nat.h"

#define ADDRESSES_MAX 256 /* of one kind, in one interface */
#define ROUNDS_MAX    8   /* of callers who change one interface at once */

static const char *lookup(const struct map_string_string *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->v[i].key, key))
            return m->v[i].val;
    return NULL;
}

/* A network with a card on this host needs it plugged in; one without is made where it is needed. */
static int find_bridge(const struct network_rec *n, struct vm_part_nic *out,
                       struct err *err) REQUIRES(db_mutex)
{
    struct ref host = db_host_ref();
    out->make_bridge = n->managed;
    for (size_t i = 0; i < n->PIFs.n; i++) {
        const struct pif_rec *p = db_get(CLASS_PIF, &n->PIFs.v[i]);
        char text[REF_TEXT_SIZE];
        if (!p || !ref_eq(&p->host, &host))
            continue;
        ref_text(&n->PIFs.v[i], text);
        if (!p->currently_attached)
            return err_set(err, ERR_REQUIRED_PIF_IS_UNPLUGGED, text);
        out->make_bridge = false;
    }
    return 0;
}

int vif_part_copy(const struct vif_rec *vif, struct vm_part_nic *out, struct err *err)
{
    *out = (struct vm_part_nic){ .tap = -1 };
    out->vif = record_copy(&schema_classes[CLASS_VIF], vif);
    if (!net_real())
        return 0;
    const struct network_rec *n = call_get(CLASS_NETWORK, &vif->network, err);
    if (!n)
        return -1;
    out->bridge = str_dup(n->bridge);
    out->mtu = n->MTU >= 68 && n->MTU <= 65521 ? (unsigned)n->MTU : 1500;
    out->network_off = n->default_locking_mode == NETWORK_DEFAULT_LOCKING_MODE_DISABLED;
    return find_bridge(n, out, err);
}

void vif_part_done(struct vm_part_nic *nic)
{
    record_free(&schema_classes[CLASS_VIF], nic->vif);
    free_str(&nic->bridge);
    if (nic->has_tap)
        close_fd(&nic->tap);
    *nic = (struct vm_part_nic){ .tap = -1 };
}

static uint64_t rate_of(const struct vif_rec *vif)
{
    const char *kbps = lookup(&vif->qos_algorithm_params, "kbps");
    int64_t n;
    return str_eq(vif->qos_algorithm_type, "ratelimit") && kbps
                   && parse_range(kbps, 1, UINT32_MAX, &n)
               ? (uint64_t)n
               : 0;
}

static struct net_vif wanted(const struct vm_part_nic *nic)
{
    const struct vif_rec *vif = nic->vif;
    struct net_vif v = {
        .bridge = nic->bridge,
        .make_bridge = nic->make_bridge,
        .mtu = nic->mtu,
        .mac = vif->MAC,
        .lock = vif->locking_mode == VIF_LOCKING_MODE_LOCKED     ? NET_LOCKED
                : vif->locking_mode == VIF_LOCKING_MODE_DISABLED ? NET_DISABLED
                : vif->locking_mode == VIF_LOCKING_MODE_NETWORK_DEFAULT && nic->network_off
                    ? NET_DISABLED
                    : NET_UNLOCKED,
        .ipv4 = (const char *const *)vif->ipv4_allowed.v,
        .n_ipv4 = vif->ipv4_allowed.n,
        .ipv6 = (const char *const *)vif->ipv6_allowed.v,
        .n_ipv6 = vif->ipv6_allowed.n,
        .kib_per_s = rate_of(vif),
    };
    memcpy(v.id, vif->uuid, sizeof(v.id));
    return v;
}

int vif_part_open(struct vm_part_nic *nic, int64_t domid, struct err *err)
{
    unsigned device = 0;
    if (!net_real())
        return 0;
    if (!vm_device_position(nic->vif->device, &device))
        return err_set(err, ERR_INVALID_DEVICE, nic->vif->device);
    struct net_vif v = wanted(nic);
    if (net_tap(&v, (unsigned)(domid % 1000000), device, &nic->tap, err))
        return -1;
    nic->has_tap = true;
    nat_poke(); /* it may need an address */
    return 0;
}

/* ---- applying ------------------------------------------------------------------------------------------ */

/* 1: it is plugged in, and copied; 0: there is nothing to do. */
static int copy_plugged(const struct ref *ref, struct vm_part_nic *out, struct err *err)
{
    *out = (struct vm_part_nic){ .tap = -1 };
    db_lock();
    const struct vif_rec *vif = db_get(CLASS_VIF, ref);
    const struct vm_rec *vm = vif ? db_get(CLASS_VM, &vif->VM) : NULL;
    bool in_use = vm && vif->currently_attached && !vm->is_a_template
                  && (vm->power_state == VM_POWER_STATE_RUNNING
                      || vm->power_state == VM_POWER_STATE_PAUSED);
    int rc = !in_use ? 0 : vif_part_copy(vif, out, err) ? -1 : 1;
    db_unlock();
    return rc;
}

static bool same(const struct vm_part_nic *a, const struct vm_part_nic *b)
{
    const struct class_def *c = &schema_classes[CLASS_VIF];
    for (size_t i = 0; i < c->n_fields; i++)
        if (!c->fields[i].is_volatile
            && !value_eq(c->fields[i].ty, record_field(&c->fields[i], a->vif),
                         record_field(&c->fields[i], b->vif)))
            return false;
    return str_eq(a->bridge, b->bridge) && a->mtu == b->mtu
           && a->network_off == b->network_off;
}

int vif_apply(const struct ref *ref, struct err *err)
{
    bool done = !net_real();
    int rc = 0;
    for (int round = 0; !done && round < ROUNDS_MAX; round++) {
        AUTO(vif_part_done) struct vm_part_nic nic, now;
        AUTO(err_done) struct err why = { 0 };
        now = (struct vm_part_nic){ .tap = -1 };
        rc = copy_plugged(ref, &nic, err);
        if (rc <= 0)
            return rc;
        struct net_vif v = wanted(&nic);
        rc = net_vif_set(&v, &why);
        int still = copy_plugged(ref, &now, NULL);
        if (still == 0) /* it was unplugged meanwhile */
            return 0;
        if (rc < 0)
            err_move(err, &why);
        done = rc < 0 || still < 0 || same(&nic, &now);
    }
    return rc;
}

int vif_apply_network(const struct ref *network, struct err *err)
{
    VEC(struct ref) vifs = { 0 };
    int rc = 0;
    db_lock();
    const struct network_rec *n = db_get(CLASS_NETWORK, network);
    for (size_t i = 0; n && i < n->VIFs.n; i++)
        vec_push(&vifs, n->VIFs.v[i]);
    db_unlock();
    for (size_t i = 0; i < vifs.n && rc == 0; i++)
        rc = vif_apply(&vifs.v[i], err);
    vec_done(&vifs);
    return rc;
}

void vif_gone(const struct ref *ref)
{
    AUTO(err_done) struct err err = { 0 };
    bool any = false;
    if (!net_real())
        return;
    db_lock();
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    for (size_t i = 0; vm && i < vm->VIFs.n; i++) {
        const struct vif_rec *vif = db_get(CLASS_VIF, &vm->VIFs.v[i]);
        const struct network_rec *n = db_get(CLASS_NETWORK, &vif->network);
        any |= vif->locking_mode == VIF_LOCKING_MODE_LOCKED
               || vif->locking_mode == VIF_LOCKING_MODE_DISABLED || rate_of(vif) > 0
               || (n && n->default_locking_mode != NETWORK_DEFAULT_LOCKING_MODE_UNLOCKED);
    }
    db_unlock();
    if (any && net_sweep(&err)) /* the next one does it */
        log_debug("rules of interfaces: %s", err.detail ? err.detail : err.code);
}

/* ---- checks -------------------------------------------------------------------------------------------- */

static int check_address(int family, const char *field, const char *text, struct err *err)
{
    uint8_t address[16];
    return inet_pton(family, text, address) == 1
               ? 0
               : err_set(err, ERR_INVALID_IP_ADDRESS_SPECIFIED, field);
}

static int check_addresses(int family, const char *field, const struct set_string *set,
                           struct err *err)
{
    if (set->n > ADDRESSES_MAX)
        return err_set(err, ERR_VALUE_NOT_SUPPORTED, field, "", "at most 256 addresses");
    for (size_t i = 0; i < set->n; i++)
        if (check_address(family, field, set->v[i], err))
            return -1;
    return 0;
}

/* A host without rights cannot look at what passes. */
static int check_mode(int mode, struct err *err)
{
    bool filters = mode == VIF_LOCKING_MODE_LOCKED || mode == VIF_LOCKING_MODE_DISABLED;
    if (!filters || net_real())
        return 0;
    return err_set(err, ERR_VALUE_NOT_SUPPORTED, "locking_mode",
                   mode == VIF_LOCKING_MODE_LOCKED ? "locked" : "disabled",
                   "this host cannot filter what interfaces send: it runs without "
                   "serai-rootd");
}

static int check_qos_type(const char *type, struct err *err)
{
    return !type[0] || str_eq(type, "ratelimit")
               ? 0
               : err_set(err, ERR_VALUE_NOT_SUPPORTED, "qos_algorithm_type", type,
                         "ratelimit, or empty for no limit");
}

static int check_qos_params(const struct map_string_string *params, struct err *err)
{
    const char *kbps = lookup(params, "kbps");
    int64_t n;
    return !kbps || !kbps[0] || parse_range(kbps, 1, UINT32_MAX, &n)
               ? 0
               : err_set(err, ERR_INVALID_VALUE, "qos_algorithm_params:kbps", kbps);
}

int vif_check(const struct vif_rec *vif, struct err *err)
{
    return check_addresses(AF_INET, "ipv4_allowed", &vif->ipv4_allowed, err)
                   || check_addresses(AF_INET6, "ipv6_allowed", &vif->ipv6_allowed, err)
                   || check_mode(vif->locking_mode, err)
                   || check_qos_type(vif->qos_algorithm_type, err)
                   || check_qos_params(&vif->qos_algorithm_params, err)
               ? -1
               : 0;
}

int vif_check_set(struct call *call, const struct ref *self, unsigned field,
                  const void *value, struct err *err)
{
    (void)call, (void)self;
    switch (field) {
    case F_VIF_QOS_ALGORITHM_TYPE: return check_qos_type(*(const char *const *)value, err);
    case F_VIF_QOS_ALGORITHM_PARAMS: return check_qos_params(value, err);
    default: return 0;
    }
}

int vif_after_set(struct call *call, const struct ref *self, unsigned field,
                  struct err *err)
{
    (void)call;
    return field == F_VIF_QOS_ALGORITHM_TYPE || field == F_VIF_QOS_ALGORITHM_PARAMS
               ? vif_apply(self, err)
               : 0;
}

/* ---- calls --------------------------------------------------------------------------------------------- */

/* Set a field and make it true; what the host refuses is taken back. */
static int change(struct call *call, const struct ref *ref, unsigned field,
                  const void *value, struct err *err)
{
    const struct field_def *f = &schema_classes[CLASS_VIF].fields[field];
    void *old = mem_alloc(f->ty->size);
    int rc = -1;
    struct tx *tx = call_tx(call);
    const struct vif_rec *vif = call_get(CLASS_VIF, ref, err);
    if (vif) {
        value_copy(f->ty, old, record_field(f, vif));
        tx_set(tx, ref, CLASS_VIF, field, value);
        rc = tx_commit(tx, err);
    } else {
        tx_abort(tx);
    }
    if (vif && rc == 0 && vif_apply(ref, err)) {
        AUTO(err_done) struct err second = { 0 };
        rc = call_set(call, CLASS_VIF, ref, field, old, &second);
        if (rc == 0)
            IGNORE(vif_apply(ref, NULL)); /* as it was, or as near as can be */
        rc = -1;
    }
    value_done(f->ty, old);
    free(old);
    return rc;
}

int op_vif_set_locking_mode(struct call *call, const struct vif_set_locking_mode_args *a,
                            struct err *err)
{
    return check_mode(a->value, err)
               ? -1
               : change(call, &a->self, F_VIF_LOCKING_MODE, &a->value, err);
}

int op_vif_set_ipv4_allowed(struct call *call, const struct vif_set_ipv4_allowed_args *a,
                            struct err *err)
{
    return check_addresses(AF_INET, "ipv4_allowed", &a->value, err)
               ? -1
               : change(call, &a->self, F_VIF_IPV4_ALLOWED, &a->value, err);
}

int op_vif_set_ipv6_allowed(struct call *call, const struct vif_set_ipv6_allowed_args *a,
                            struct err *err)
{
    return check_addresses(AF_INET6, "ipv6_allowed", &a->value, err)
               ? -1
               : change(call, &a->self, F_VIF_IPV6_ALLOWED, &a->value, err);
}

/* One address more or less. */
static int change_one(struct call *call, const struct ref *ref, unsigned field, bool add,
                      const char *address, struct err *err)
{
    const struct ty *ty = schema_classes[CLASS_VIF].fields[field].ty;
    struct set_string set = { 0 };
    bool there = false;
    struct tx *tx = call_tx(call);
    const struct vif_rec *vif = call_get(CLASS_VIF, ref, err);
    if (!vif) {
        tx_abort(tx);
        return -1;
    }
    value_copy(ty, &set,
               field == F_VIF_IPV4_ALLOWED ? &vif->ipv4_allowed : &vif->ipv6_allowed);
    there = set_find(ty, &set, &address) != SIZE_MAX;
    int rc = add && !there && set.n >= ADDRESSES_MAX ? err_set(
                 err, ERR_VALUE_NOT_SUPPORTED, "address", address, "at most 256 addresses")
                                                     : 0;
    value_done(ty, &set);
    if (rc || add == there) {
        tx_abort(tx);
        return rc;
    }
    if (add)
        tx_set_add(tx, ref, CLASS_VIF, field, &address);
    else
        tx_set_remove(tx, ref, CLASS_VIF, field, &address);
    if (tx_commit(tx, err))
        return -1;
    if (vif_apply(ref, err) == 0)
        return 0;
    tx = call_tx(call);
    if (db_get(CLASS_VIF, ref)) {
        if (add)
            tx_set_remove(tx, ref, CLASS_VIF, field, &address);
        else
            tx_set_add(tx, ref, CLASS_VIF, field, &address);
    }
    IGNORE(tx_commit(tx, NULL)); /* the first error is the one to tell */
    return -1;
}

int op_vif_add_ipv4_allowed(struct call *call, const struct vif_add_ipv4_allowed_args *a,
                            struct err *err)
{
    return check_address(AF_INET, "ipv4_allowed", a->value, err)
               ? -1
               : change_one(call, &a->self, F_VIF_IPV4_ALLOWED, true, a->value, err);
}

int op_vif_remove_ipv4_allowed(struct call *call,
                               const struct vif_remove_ipv4_allowed_args *a,
                               struct err *err)
{
    return change_one(call, &a->self, F_VIF_IPV4_ALLOWED, false, a->value, err);
}

int op_vif_add_ipv6_allowed(struct call *call, const struct vif_add_ipv6_allowed_args *a,
                            struct err *err)
{
    return check_address(AF_INET6, "ipv6_allowed", a->value, err)
               ? -1
               : change_one(call, &a->self, F_VIF_IPV6_ALLOWED, true, a->value, err);
}

int op_vif_remove_ipv6_allowed(struct call *call,
                               const struct vif_remove_ipv6_allowed_args *a,
                               struct err *err)
{
    return change_one(call, &a->self, F_VIF_IPV6_ALLOWED, false, a->value, err);
}

int op_vif_move(struct call *call, const struct vif_move_args *a, struct err *err)
{
    db_lock();
    const void *network = call_get(CLASS_NETWORK, &a->network, err);
    db_unlock();
    int rc = network ? change(call, &a->self, F_VIF_NETWORK, &a->network, err) : -1;
    nat_poke();
    return rc;
}

/* ---- addresses that the guest is to have --------------------------------------------------------------- */

static int check_cidr(int family, const char *field, const char *text, char *bare,
                      size_t size, struct err *err)
{
    const char *slash = strchr(text, '/');
    int64_t prefix;
    size_t len = slash ? (size_t)(slash - text) : size;
    if (len >= size || !parse_range(slash + 1, 1, family == AF_INET ? 32 : 128, &prefix))
        return err_set(err, ERR_INVALID_CIDR_ADDRESS_SPECIFIED, field);
    (void)snprintf(bare, size, "%.*s", (int)len, text);
    return check_address(family, field, bare, NULL)
               ? err_set(err, ERR_INVALID_CIDR_ADDRESS_SPECIFIED, field)
               : 0;
}

struct configure {
    int family;
    unsigned mode, addresses, gateway; /* fields */
    const char *address_name, *gateway_name;
    bool is_static;
    int value; /* of the mode */
    const char *address, *router;
};

/* What the filter would drop is no address to give. */
static bool is_allowed(const struct vif_rec *vif, const struct configure *c,
                       const char *bare) REQUIRES(db_mutex)
{
    const struct set_string *set = c->family == AF_INET ? &vif->ipv4_allowed
                                                        : &vif->ipv6_allowed;
    for (size_t i = 0; i < set->n; i++)
        if (str_eq(set->v[i], bare))
            return true;
    return vif->locking_mode != VIF_LOCKING_MODE_LOCKED;
}

static int configure(struct call *call, const struct ref *ref, const struct configure *c,
                     struct err *err)
{
    const struct ty *ty = schema_classes[CLASS_VIF].fields[c->addresses].ty;
    char bare[INET6_ADDRSTRLEN] = "";
    struct set_string set = { 0 };
    if (c->is_static
        && (check_cidr(c->family, c->address_name, c->address, bare, sizeof(bare), err)
            || (c->router[0] && check_address(c->family, c->gateway_name, c->router, err))))
        return -1;
    struct tx *tx = call_tx(call);
    const struct vif_rec *vif = call_get(CLASS_VIF, ref, err);
    if (!vif || (c->is_static && !is_allowed(vif, c, bare))) {
        tx_abort(tx);
        return vif ? err_set(err, ERR_ADDRESS_VIOLATES_LOCKING_CONSTRAINT, bare) : -1;
    }
    if (c->is_static)
        (void)set_add(ty, &set, &c->address);
    tx_set_enum(tx, ref, CLASS_VIF, c->mode, c->value);
    tx_set(tx, ref, CLASS_VIF, c->addresses, &set);
    tx_set_str(tx, ref, CLASS_VIF, c->gateway, c->is_static ? c->router : "");
    value_done(ty, &set);
    int rc = tx_commit(tx, err);
    nat_poke();
    return rc;
}

int op_vif_configure_ipv4(struct call *call, const struct vif_configure_ipv4_args *a,
                          struct err *err)
{
    struct configure c = { AF_INET,
                           F_VIF_IPV4_CONFIGURATION_MODE,
                           F_VIF_IPV4_ADDRESSES,
                           F_VIF_IPV4_GATEWAY,
                           "address",
                           "gateway",
                           a->mode == VIF_IPV4_CONFIGURATION_MODE_STATIC,
                           a->mode,
                           a->address,
                           a->gateway };
    return configure(call, &a->self, &c, err);
}

int op_vif_configure_ipv6(struct call *call, const struct vif_configure_ipv6_args *a,
                          struct err *err)
{
    struct configure c = { AF_INET6,
                           F_VIF_IPV6_CONFIGURATION_MODE,
                           F_VIF_IPV6_ADDRESSES,
                           F_VIF_IPV6_GATEWAY,
                           "address",
                           "gateway",
                           a->mode == VIF_IPV6_CONFIGURATION_MODE_STATIC,
                           a->mode,
                           a->address,
                           a->gateway };
    return configure(call, &a->self, &c, err);
}
