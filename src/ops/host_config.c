/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a host, and questions about emptying it. A pool has one host today: nobody else could take its machines, and
 * it is its own coordinator. Any thread. */
#include "ops/host_config.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "ops/host_ctx.h"
#include "ops/vm.h"

/* Read by the thread that accepts connections, which must not wait for anything. */
static atomic_bool https_only;

bool host_https_only(void)
{
    return atomic_load(&https_only);
}

void boot_host_config(struct tx *tx, const struct ref *host)
{
    const struct host_rec *h = db_get(CLASS_HOST, host);
    tx_set_int(tx, host, CLASS_HOST, F_HOST_MEMORY_OVERHEAD,
               (int64_t)VM_HOST_RESERVE_BYTES);
    if (!host_ctx.https_address[0]) /* nobody could reach us any more */
        tx_set_bool(tx, host, CLASS_HOST, F_HOST_HTTPS_ONLY, false);
    atomic_store(&https_only, h->https_only);
}

static int known_host(const struct ref *host, struct err *err)
{
    db_lock();
    const void *rec = call_get(CLASS_HOST, host, err);
    db_unlock();
    return rec ? 0 : -1;
}

/* ---- emptying it --------------------------------------------------------------------------------------- */

/* NO_HOSTS_AVAILABLE(vm): the reason for every machine that runs on a host without others. */
int op_host_get_vms_which_prevent_evacuation(
    struct call *call, const struct host_get_vms_which_prevent_evacuation_args *a,
    struct map_ref_set_string *result, struct err *err)
{
    const struct ty *ty = call->def->result;
    char text[REF_TEXT_SIZE];
    db_lock();
    const struct host_rec *host = call_get(CLASS_HOST, &a->self, err);
    for (size_t i = 0; host && i < host->resident_VMs.n; i++) {
        const struct ref *vm = &host->resident_VMs.v[i];
        if (((const struct vm_rec *)db_get(CLASS_VM, vm))->is_control_domain)
            continue;
        ref_text(vm, text);
        const char *reason[] = { ERR_NO_HOSTS_AVAILABLE, text };
        (void)map_put(ty, result, vm,
                      &(struct set_string){ .v = reason, .n = ARRAY_SIZE(reason) });
    }
    db_unlock();
    return host ? 0 : -1;
}

int op_host_assert_can_evacuate(struct call *call,
                                const struct host_assert_can_evacuate_args *a,
                                struct err *err)
{
    (void)call;
    AUTO(buf_done) struct buf why = BUF_INIT(64 * 1024);
    char text[REF_TEXT_SIZE];
    db_lock();
    const struct host_rec *host = call_get(CLASS_HOST, &a->host, err);
    for (size_t i = 0; host && i < host->resident_VMs.n; i++) {
        const struct ref *vm = &host->resident_VMs.v[i];
        if (((const struct vm_rec *)db_get(CLASS_VM, vm))->is_control_domain)
            continue;
        ref_text(vm, text);
        buf_addf(&why, "%s" ERR_NO_HOSTS_AVAILABLE ",%s", why.len ? "|" : "", text);
    }
    db_unlock();
    if (!host)
        return -1;
    return why.len ? err_set(err, ERR_CANNOT_EVACUATE_HOST, buf_str(&why)) : 0;
}

/* With no machine on it the host is empty already. */
int op_host_evacuate(struct call *call, const struct host_evacuate_args *a, struct err *err)
{
    (void)call;
    char text[REF_TEXT_SIZE] = "";
    db_lock();
    const struct host_rec *host = call_get(CLASS_HOST, &a->host, err);
    for (size_t i = 0; host && !text[0] && i < host->resident_VMs.n; i++) {
        const struct ref *vm = &host->resident_VMs.v[i];
        if (!((const struct vm_rec *)db_get(CLASS_VM, vm))->is_control_domain)
            ref_text(vm, text);
    }
    db_unlock();
    if (!host)
        return -1;
    return text[0] ? err_set(err, ERR_NO_HOSTS_AVAILABLE, text) : 0;
}

/* XenServer knows none either since its guests are not asked any more. */
int op_host_get_uncooperative_resident_vms(
    struct call *call, const struct host_get_uncooperative_resident_vms_args *a,
    struct set_ref *result, struct err *err)
{
    (void)call, (void)result;
    return known_host(&a->self, err);
}

int op_host_compute_memory_overhead(struct call *call,
                                    const struct host_compute_memory_overhead_args *a,
                                    int64_t *result, struct err *err)
{
    (void)call;
    *result = (int64_t)VM_HOST_RESERVE_BYTES;
    return known_host(&a->host, err);
}

/* ---- settings ------------------------------------------------------------------------------------------ */

/* The screen belongs to the host's own system: no graphics card is given to machines. */
int op_host_enable_display(struct call *call, const struct host_enable_display_args *a,
                           int *result, struct err *err)
{
    *result = HOST_DISPLAY_ENABLED;
    return call_set(call, CLASS_HOST, &a->host, F_HOST_DISPLAY, result, err);
}

/* Letters, digits, dots, and hyphens inside, as XenServer takes them. */
static int check_hostname(const char *name, struct err *err)
{
    size_t n = strlen(name);
    if (n == 0)
        return err_set(err, ERR_HOST_NAME_INVALID, "hostname empty");
    if (n > 64) /* what Linux keeps */
        return err_set(err, ERR_HOST_NAME_INVALID, "hostname is too long");
    if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
            != n
        || name[0] == '-' || name[n - 1] == '-')
        return err_set(err, ERR_HOST_NAME_INVALID, "hostname contains invalid characters");
    return 0;
}

int op_host_set_hostname_live(struct call *call,
                              const struct host_set_hostname_live_args *a, struct err *err)
{
    if (check_hostname(a->hostname, err) || known_host(&a->host, err))
        return -1;
    if (sethostname(a->hostname, strlen(a->hostname)) != 0) {
        (void)err_set(err, ERR_PERMISSION_DENIED,
                      "this daemon may not change the host's name");
        return err_detail(err, "sethostname: %m; use hostnamectl as root");
    }
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_HOST, &a->host)) {
        tx_set_str(tx, &a->host, CLASS_HOST, F_HOST_HOSTNAME, a->hostname);
        tx_map_put_str(tx, &a->host, CLASS_HOST, F_HOST_SOFTWARE_VERSION, "hostname",
                       a->hostname);
    }
    return tx_commit(tx, err);
}

/* Old clients read and write the key of other_config, so the two go together. */
static int set_with_key(struct call *call, const struct ref *host, unsigned field,
                        const void *value, const char *key, const char *text,
                        struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_HOST, host)) {
        tx_set(tx, host, CLASS_HOST, field, value);
        tx_map_put_str(tx, host, CLASS_HOST, F_HOST_OTHER_CONFIG, key, text);
    }
    return tx_commit(tx, err);
}

int op_host_set_iscsi_iqn(struct call *call, const struct host_set_iscsi_iqn_args *a,
                          struct err *err)
{
    if (!a->value[0])
        return err_set(err, ERR_INVALID_VALUE, "value", a->value);
    return set_with_key(call, &a->host, F_HOST_ISCSI_IQN, &a->value, "iscsi_iqn", a->value,
                        err);
}

int op_host_set_multipathing(struct call *call, const struct host_set_multipathing_args *a,
                             struct err *err)
{
    return set_with_key(call, &a->host, F_HOST_MULTIPATHING, &a->value, "multipathing",
                        a->value ? "true" : "false", err);
}

int op_host_set_power_on_mode(struct call *call,
                              const struct host_set_power_on_mode_args *a, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_HOST, &a->self)) {
        tx_set_str(tx, &a->self, CLASS_HOST, F_HOST_POWER_ON_MODE, a->power_on_mode);
        tx_set(tx, &a->self, CLASS_HOST, F_HOST_POWER_ON_CONFIG, &a->power_on_config);
    }
    return tx_commit(tx, err);
}

/* Linux lays the threads of machines out by itself. */
int op_host_set_numa_affinity_policy(struct call *call,
                                     const struct host_set_numa_affinity_policy_args *a,
                                     struct err *err)
{
    const struct enum_def *e = call->def->params[1].ty->enm;
    if (a->value != HOST_NUMA_AFFINITY_POLICY_ANY
        && a->value != HOST_NUMA_AFFINITY_POLICY_DEFAULT_POLICY)
        return err_set(err, ERR_VALUE_NOT_SUPPORTED, "numa_affinity_policy",
                       e->values[a->value], "machines are not bound to NUMA nodes");
    return call_set(call, CLASS_HOST, &a->self, F_HOST_NUMA_AFFINITY_POLICY, &a->value,
                    err);
}

/* Nothing older than TLS 1.2 has ever been spoken here. */
int op_host_set_ssl_legacy(struct call *call, const struct host_set_ssl_legacy_args *a,
                           struct err *err)
{
    if (a->value)
        return err_set(err, ERR_VALUE_NOT_SUPPORTED, "value", "true",
                       "Legacy SSL support has been removed");
    return call_set(call, CLASS_HOST, &a->self, F_HOST_SSL_LEGACY, &a->value, err);
}

static int set_https_only(struct call *call, const struct ref *host, bool value,
                          struct err *err)
{
    if (value && !host_ctx.https_address[0])
        return err_set(err, ERR_OPERATION_NOT_ALLOWED,
                       "without an HTTPS address nobody could reach this host");
    if (call_set(call, CLASS_HOST, host, F_HOST_HTTPS_ONLY, &value, err))
        return -1;
    atomic_store(&https_only, value);
    return 0;
}

int op_host_set_https_only(struct call *call, const struct host_set_https_only_args *a,
                           struct err *err)
{
    return set_https_only(call, &a->self, a->value, err);
}

int op_pool_set_https_only(struct call *call, const struct pool_set_https_only_args *a,
                           struct err *err)
{
    db_lock();
    struct ref host = db_host_ref();
    db_unlock();
    return set_https_only(call, &host, a->value, err);
}

/* There is no second copy of anything: what is acknowledged is on disk. */
int op_host_sync_data(struct call *call, const struct host_sync_data_args *a,
                      struct err *err)
{
    if (known_host(&a->host, err))
        return -1;
    struct tx *tx = call_tx(call);
    return tx_commit(tx, err);
}

int op_host_emergency_clear_mandatory_guidance(
    struct call *call, const struct host_emergency_clear_mandatory_guidance_args *a,
    struct err *err)
{
    (void)a;
    struct set_enum none = { 0 };
    db_lock();
    struct ref host = db_host_ref();
    db_unlock();
    return call_set(call, CLASS_HOST, &host, F_HOST_PENDING_GUIDANCES, &none, err);
}

/* ---- checking the certificates of others --------------------------------------------------------------- */

static int set_verification(struct call *call, bool pool_too, bool value, struct err *err)
{
    struct tx *tx = call_tx(call);
    struct ref host = db_host_ref(), pool = db_pool_ref();
    tx_set_bool(tx, &host, CLASS_HOST, F_HOST_TLS_VERIFICATION_ENABLED, value);
    if (pool_too)
        tx_set_bool(tx, &pool, CLASS_POOL, F_POOL_TLS_VERIFICATION_ENABLED, value);
    return tx_commit(tx, err);
}

int op_pool_enable_tls_verification(struct call *call,
                                    const struct pool_enable_tls_verification_args *a,
                                    struct err *err)
{
    (void)a;
    return set_verification(call, true, true, err);
}

int op_host_emergency_disable_tls_verification(
    struct call *call, const struct host_emergency_disable_tls_verification_args *a,
    struct err *err)
{
    (void)a;
    return set_verification(call, false, false, err);
}

int op_host_emergency_reenable_tls_verification(
    struct call *call, const struct host_emergency_reenable_tls_verification_args *a,
    struct err *err)
{
    (void)a;
    db_lock();
    struct ref ref = db_pool_ref();
    const struct pool_rec *pool = db_get(CLASS_POOL, &ref);
    bool enabled = pool && pool->tls_verification_enabled;
    db_unlock();
    if (!enabled)
        return err_set(err, ERR_TLS_VERIFICATION_NOT_ENABLED_IN_POOL);
    return set_verification(call, false, true, err);
}

/* ---- the cache of shared disks, which there is none of -------------------------------------------------- */

int op_host_disable_local_storage_caching(
    struct call *call, const struct host_disable_local_storage_caching_args *a,
    struct err *err)
{
    struct ref none = REF_NULL;
    return call_set(call, CLASS_HOST, &a->host, F_HOST_LOCAL_CACHE_SR, &none, err);
}

int op_pool_disable_local_storage_caching(
    struct call *call, const struct pool_disable_local_storage_caching_args *a,
    struct err *err)
{
    (void)a;
    struct ref none = REF_NULL;
    db_lock();
    struct ref host = db_host_ref();
    db_unlock();
    return call_set(call, CLASS_HOST, &host, F_HOST_LOCAL_CACHE_SR, &none, err);
}
