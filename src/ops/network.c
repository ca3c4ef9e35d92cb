/* SPDX-License-Identifier: Apache-2.0 */
/* Networks. Each is a bridge on the host, made when the first machine needs it (ops/vif.c) and removed with the network.
 * Guests of a host without rights reach the outside by user-mode networking whichever network they are on. */
#include "ops/network.h"

#include "api/errors.h"
#include "api/ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/net.h"
#include "model/ops_lock.h"
#include "ops/hooks.h"
#include "ops/nat.h"
#include "ops/nbd.h"
#include "ops/vif.h"

static void add_ref_text(struct buf *out, const struct ref *ref)
{
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    if (out->len)
        buf_add_str(out, ", ");
    buf_add_str(out, text);
}

static bool bridge_taken(const char *name) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_NETWORK); it.rec; db_next(&it))
        if (str_eq(((const struct network_rec *)it.rec)->bridge, name))
            return true;
    return false;
}

/* The name that it asks for, or the first free one. */
static int choose_bridge(struct network_rec *n, struct err *err) REQUIRES(db_mutex)
{
    if (n->bridge[0] && !net_name_ok(n->bridge))
        return err_set(err, ERR_INVALID_VALUE, "bridge", n->bridge);
    if (n->bridge[0] && bridge_taken(n->bridge))
        return err_set(err, ERR_BRIDGE_NAME_EXISTS, n->bridge);
    for (unsigned i = 0; !n->bridge[0]; i++) {
        AUTO(free_str) char *name = str_fmt("xapi%u", i);
        if (!bridge_taken(name))
            str_put(&n->bridge, name);
    }
    return 0;
}

int network_check_set(struct call *call, const struct ref *self, unsigned field,
                      const void *value, struct err *err)
{
    (void)call, (void)self;
    const int64_t *mtu = value;
    if (field != F_NETWORK_MTU || (*mtu >= 68 && *mtu <= 65521))
        return 0;
    AUTO(free_str) char *text = str_fmt("%lld", (long long)*mtu);
    return err_set(err, ERR_INVALID_VALUE, "MTU", text);
}

int network_after_set(struct call *call, const struct ref *self, unsigned field,
                      struct err *err)
{
    (void)call;
    if (field == F_NETWORK_OTHER_CONFIG)
        nat_poke();
    return field == F_NETWORK_MTU ? vif_apply_network(self, err) : 0;
}

int network_create(struct call *call, void *record, struct ref *result, struct err *err)
{
    struct network_rec *n = record;
    if (n->MTU < 68 || n->MTU > 65521) {
        AUTO(free_str) char *text = str_fmt("%lld", (long long)n->MTU);
        record_free(&schema_classes[CLASS_NETWORK], n);
        return err_set(err, ERR_INVALID_VALUE, "MTU", text);
    }
    str_put(&n->uuid, "");
    struct tx *tx = call_tx(call);
    if (choose_bridge(n, err)) {
        tx_abort(tx);
        record_free(&schema_classes[CLASS_NETWORK], n);
        return -1;
    }
    *result = tx_create(tx, CLASS_NETWORK, n, NULL);
    op_refresh(tx, CLASS_NETWORK, result);
    int rc = tx_commit(tx, err);
    nat_poke();
    return rc;
}

/* An interface in use that leaves the choice to the network. */
static bool follower(const struct network_rec *n, struct ref *out) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < n->VIFs.n; i++) {
        const struct vif_rec *vif = db_get(CLASS_VIF, &n->VIFs.v[i]);
        if (vif->currently_attached
            && vif->locking_mode == VIF_LOCKING_MODE_NETWORK_DEFAULT) {
            *out = n->VIFs.v[i];
            return true;
        }
    }
    return false;
}

/* Guests of user-mode networking see nobody else's traffic and are not filtered: unlocked is what is true. */
int op_network_set_default_locking_mode(
    struct call *call, const struct network_set_default_locking_mode_args *a,
    struct err *err)
{
    char network[REF_TEXT_SIZE], vif[REF_TEXT_SIZE];
    struct ref used;
    if (a->value != NETWORK_DEFAULT_LOCKING_MODE_UNLOCKED && !net_real())
        return err_set(err, ERR_VALUE_NOT_SUPPORTED, "default_locking_mode", "disabled",
                       "this host cannot filter what interfaces send");
    struct tx *tx = call_tx(call);
    const struct network_rec *n = call_get(CLASS_NETWORK, &a->network, err);
    if (!n || (a->value != n->default_locking_mode && follower(n, &used))) {
        if (n) {
            ref_text(&a->network, network);
            ref_text(&used, vif);
            err_set(err, ERR_VIF_IN_USE, network, vif);
        }
        tx_abort(tx);
        return -1;
    }
    tx_set_enum(tx, &a->network, CLASS_NETWORK, F_NETWORK_DEFAULT_LOCKING_MODE, a->value);
    return tx_commit(tx, err);
}

int network_destroy(struct call *call, const struct ref *self, struct err *err)
{
    AUTO(buf_done) struct buf in_use = BUF_INIT(4096);
    struct tx *tx = call_tx(call);
    const struct network_rec *n = call_get(CLASS_NETWORK, self, err);
    if (!n) {
        tx_abort(tx);
        return -1;
    }
    const char *code = n->PIFs.n   ? ERR_NETWORK_CONTAINS_PIF
                       : n->VIFs.n ? ERR_NETWORK_CONTAINS_VIF
                                   : NULL;
    const struct set_ref *users = n->PIFs.n ? &n->PIFs : &n->VIFs;
    for (size_t i = 0; i < users->n; i++)
        add_ref_text(&in_use, &users->v[i]);
    if (code) {
        tx_abort(tx);
        return err_set(err, code, buf_str(&in_use));
    }
    AUTO(free_str) char *bridge = n->managed ? str_dup(n->bridge) : NULL;
    tx_destroy(tx, self);
    if (tx_commit(tx, err))
        return -1;
    AUTO(err_done) struct err why = { 0 };
    nat_poke();
    nbd_changed();
    if (bridge && net_real() && net_unbridge(bridge, &why)) /* the next start does it */
        log_warn("bridge %s stays: %s", bridge, why.detail ? why.detail : why.code);
    return 0;
}

/* The network of the first start reaches the outside here too, once there are real networks. */
static void adopt_first(struct tx *tx) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_NETWORK); it.rec; db_next(&it)) {
        const struct network_rec *n = it.rec;
        if (!str_eq(n->bridge, NETWORK_FIRST_BRIDGE) || n->other_config.n > 0)
            continue;
        tx_map_put_str(tx, &it.ref, CLASS_NETWORK, F_NETWORK_OTHER_CONFIG, "nat", "true");
        return;
    }
}

void network_boot(void)
{
    AUTO(err_done) struct err err = { 0 };
    VEC(char *) keep = { 0 };
    if (!net_real())
        return;
    struct tx *tx = daemon_tx("start-up");
    adopt_first(tx);
    if (tx_commit(tx, &err))
        log_error("the first network: %s", err.code);
    db_lock();
    for (struct db_iter it = db_first(CLASS_NETWORK); it.rec; db_next(&it)) {
        const struct network_rec *n = it.rec;
        if (net_name_ok(n->bridge))
            vec_push(&keep, str_dup(n->bridge));
    }
    db_unlock();
    if (net_keep((const char *const *)keep.v, keep.n, &err)) {
        AUTO(free_str) char *text = err_text(&err);
        log_error("what was left of networks: %s", text);
    }
    for (size_t i = 0; i < keep.n; i++)
        free(keep.v[i]);
    vec_done(&keep);
    if (nat_init(&err))
        log_error("networks with translation of addresses: %s", err.detail);
}
