/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as records. Guests of a rootless host reach the outside by user-mode networking whichever network they are on. */
#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/hooks.h"

static void add_ref_text(struct buf *out, const struct ref *ref)
{
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    if (out->len)
        buf_add_str(out, ", ");
    buf_add_str(out, text);
}

int network_create(struct call *call, void *record, struct ref *result, struct err *err)
{
    struct network_rec *n = record;
    if (n->MTU < 68 || n->MTU > 65535) {
        AUTO(free_str) char *text = str_fmt("%lld", (long long)n->MTU);
        record_free(&schema_classes[CLASS_NETWORK], n);
        return err_set(err, ERR_INVALID_VALUE, "MTU", text);
    }
    str_put(&n->uuid, "");
    struct tx *tx = call_tx(call);
    if (!n->bridge[0])
        str_give(&n->bridge, str_fmt("xapi%zu", db_count(CLASS_NETWORK)));
    *result = tx_create(tx, CLASS_NETWORK, n, NULL);
    op_refresh(tx, CLASS_NETWORK, result);
    return tx_commit(tx, err);
}

/* Guests of user-mode networking see nobody else's traffic and are not filtered: unlocked is what is true. */
int op_network_set_default_locking_mode(
    struct call *call, const struct network_set_default_locking_mode_args *a,
    struct err *err)
{
    if (a->value != NETWORK_DEFAULT_LOCKING_MODE_UNLOCKED)
        return err_set(err, ERR_VALUE_NOT_SUPPORTED, "default_locking_mode", "disabled",
                       "this host cannot filter what interfaces send");
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_NETWORK, &a->network))
        tx_set_enum(tx, &a->network, CLASS_NETWORK, F_NETWORK_DEFAULT_LOCKING_MODE,
                    a->value);
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
    tx_destroy(tx, self);
    return tx_commit(tx, err);
}
