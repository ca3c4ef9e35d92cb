/* SPDX-License-Identifier: Apache-2.0 */
/* The pool: its coordinator, which is its one host, wishes about high availability that nothing can follow here, and
 * settings that are kept for the clients that read them. Any thread. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "ops/vm.h"

/* ---- who is coordinator -------------------------------------------------------------------------------- */

/* The one host is it already. */
int op_pool_designate_new_master(struct call *call,
                                 const struct pool_designate_new_master_args *a,
                                 struct err *err)
{
    (void)call;
    db_lock();
    const void *host = call_get(CLASS_HOST, &a->host, err);
    db_unlock();
    return host ? 0 : -1;
}

int op_pool_emergency_transition_to_master(
    struct call *call, const struct pool_emergency_transition_to_master_args *a,
    struct err *err)
{
    (void)call, (void)a, (void)err;
    return 0;
}

/* The members that came back: there are no others. */
int op_pool_recover_slaves(struct call *call, const struct pool_recover_slaves_args *a,
                           struct set_ref *result, struct err *err)
{
    (void)call, (void)a, (void)result, (void)err;
    return 0;
}

/* ---- high availability: what would be, if -------------------------------------------------------------- */

static bool is_protected(const struct vm_rec *vm)
{
    return vm->ha_always_run && str_eq(vm->ha_restart_priority, "restart");
}

/* Machines of a failed host could start again nowhere. */
int op_pool_ha_failover_plan_exists(struct call *call,
                                    const struct pool_ha_failover_plan_exists_args *a,
                                    bool *result, struct err *err)
{
    (void)call, (void)err;
    bool any = false;
    db_lock();
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it))
        any |= is_protected(it.rec);
    *result = a->n <= 0 || (!any && a->n < (int64_t)db_count(CLASS_HOST));
    db_unlock();
    return 0;
}

int op_pool_ha_compute_max_host_failures_to_tolerate(
    struct call *call, const struct pool_ha_compute_max_host_failures_to_tolerate_args *a,
    int64_t *result, struct err *err)
{
    (void)call, (void)a, (void)err;
    *result = 0;
    return 0;
}

int op_pool_ha_compute_hypothetical_max_host_failures_to_tolerate(
    struct call *call,
    const struct pool_ha_compute_hypothetical_max_host_failures_to_tolerate_args *a,
    int64_t *result, struct err *err)
{
    (void)call;
    int rc = 0;
    db_lock();
    for (size_t i = 0; rc == 0 && i < a->configuration.n; i++) {
        const char *wish = a->configuration.v[i].val;
        if (!str_eq(wish, "restart") && !str_eq(wish, "best-effort") && wish[0])
            rc = err_set(err, ERR_INVALID_VALUE, "ha_restart_priority", wish);
        else if (!call_get(CLASS_VM, &a->configuration.v[i].key, err))
            rc = -1;
    }
    db_unlock();
    *result = 0;
    return rc;
}

/* Where each machine would go, or the code of what stands against it. */
int op_pool_ha_compute_vm_failover_plan(
    struct call *call, const struct pool_ha_compute_vm_failover_plan_args *a,
    struct map_ref_map_string_string *result, struct err *err)
{
    const struct ty *ty = call->def->result;
    for (size_t i = 0; i < a->failed_vms.n; i++) {
        AUTO(err_done) struct err why = { 0 };
        struct vm_assert_agile_args vm = { .self = a->failed_vms.v[i] };
        if (op_vm_assert_agile(call, &vm, &why) && str_eq(why.code, ERR_HANDLE_INVALID)) {
            err_move(err, &why);
            return -1;
        }
        const char *code = why.code ? why.code : ERR_HOST_NOT_ENOUGH_FREE_MEMORY;
        struct map_string_string_entry pair = { .key = "error_code", .val = code };
        (void)map_put(ty, result, &vm.self,
                      &(struct map_string_string){ .v = &pair, .n = 1 });
    }
    return 0;
}

/* Without high availability no machine is started again behind the caller's back: what the call promises holds. */
int op_pool_ha_prevent_restarts_for(struct call *call,
                                    const struct pool_ha_prevent_restarts_for_args *a,
                                    struct err *err)
{
    (void)call, (void)a, (void)err;
    return 0;
}

/* soft: nobody minds that it is disabled already, as XenServer has it. */
int op_host_emergency_ha_disable(struct call *call,
                                 const struct host_emergency_ha_disable_args *a,
                                 struct err *err)
{
    (void)call;
    return a->soft ? 0 : err_set(err, ERR_HA_NOT_ENABLED);
}

int op_pool_set_ha_host_failures_to_tolerate(
    struct call *call, const struct pool_set_ha_host_failures_to_tolerate_args *a,
    struct err *err)
{
    if (a->value < 0) {
        AUTO(free_str) char *text = str_fmt("%lld", (long long)a->value);
        return err_set(err, ERR_INVALID_VALUE, "ha_host_failures_to_tolerate", text);
    }
    return call_set(call, CLASS_POOL, &a->self, F_POOL_HA_HOST_FAILURES_TO_TOLERATE,
                    &a->value, err);
}

/* There never was one. */
int op_pool_disable_redo_log(struct call *call, const struct pool_disable_redo_log_args *a,
                             struct err *err)
{
    (void)a;
    bool off = false;
    db_lock();
    struct ref pool = db_pool_ref();
    db_unlock();
    return call_set(call, CLASS_POOL, &pool, F_POOL_REDO_LOG_ENABLED, &off, err);
}

/* ---- secrets that settings have ------------------------------------------------------------------------ */

static struct ref make_secret(struct tx *tx, const char *value) REQUIRES(db_mutex)
{
    struct secret_rec *s = record_new(&schema_classes[CLASS_SECRET]);
    str_put(&s->value, value);
    return tx_create(tx, CLASS_SECRET, s, NULL);
}

/* Put another secret (may be null) into a field of the pool; the old one goes. */
static void replace_secret(struct tx *tx, const struct ref *pool, unsigned field,
                           const struct ref *fresh) REQUIRES(db_mutex)
{
    const struct field_def *f = &schema_classes[CLASS_POOL].fields[field];
    struct ref old = *(const struct ref *)record_field(f, db_get(CLASS_POOL, pool));
    tx_set_ref(tx, pool, CLASS_POOL, field, fresh);
    if (!ref_is_null(&old) && db_get(CLASS_SECRET, &old))
        tx_destroy(tx, &old);
}

/* ---- updates ------------------------------------------------------------------------------------------- */

static int set_proxy(struct call *call, const struct ref *self, const char *url,
                     const char *user, const char *password, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_POOL, self, err)) {
        tx_abort(tx);
        return -1;
    }
    struct ref secret = password[0] ? make_secret(tx, password) : REF_NULL;
    tx_set_str(tx, self, CLASS_POOL, F_POOL_REPOSITORY_PROXY_URL, url);
    tx_set_str(tx, self, CLASS_POOL, F_POOL_REPOSITORY_PROXY_USERNAME, user);
    replace_secret(tx, self, F_POOL_REPOSITORY_PROXY_PASSWORD, &secret);
    return tx_commit(tx, err);
}

int op_pool_configure_repository_proxy(struct call *call,
                                       const struct pool_configure_repository_proxy_args *a,
                                       struct err *err)
{
    if (!str_starts(a->url, "http://") && !str_starts(a->url, "https://"))
        return err_set(err, ERR_INVALID_REPOSITORY_PROXY_URL, a->url);
    if (!a->username[0] != !a->password[0] || strchr(a->username, '\n')
        || strchr(a->password, '\n'))
        return err_set(err, ERR_INVALID_REPOSITORY_PROXY_CREDENTIAL);
    return set_proxy(call, &a->self, a->url, a->username, a->password, err);
}

int op_pool_disable_repository_proxy(struct call *call,
                                     const struct pool_disable_repository_proxy_args *a,
                                     struct err *err)
{
    return set_proxy(call, &a->self, "", "", "", err);
}

int op_pool_configure_update_sync(struct call *call,
                                  const struct pool_configure_update_sync_args *a,
                                  struct err *err)
{
    bool weekly = a->update_sync_frequency == UPDATE_SYNC_FREQUENCY_WEEKLY;
    if (weekly && (a->update_sync_day < 0 || a->update_sync_day > 6)) {
        AUTO(free_str) char *text = str_fmt("%lld", (long long)a->update_sync_day);
        return err_set(err, ERR_INVALID_UPDATE_SYNC_DAY, text);
    }
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_POOL, &a->self)) {
        tx_set_enum(tx, &a->self, CLASS_POOL, F_POOL_UPDATE_SYNC_FREQUENCY,
                    a->update_sync_frequency);
        tx_set_int(tx, &a->self, CLASS_POOL, F_POOL_UPDATE_SYNC_DAY,
                   weekly ? a->update_sync_day : 0);
    }
    return tx_commit(tx, err);
}

/* Without a repository there is nothing to fetch (Repository.introduce says why there is none). */
int op_pool_set_update_sync_enabled(struct call *call,
                                    const struct pool_set_update_sync_enabled_args *a,
                                    struct err *err)
{
    if (a->value)
        return err_set(err, ERR_NO_REPOSITORIES_CONFIGURED);
    return call_set(call, CLASS_POOL, &a->self, F_POOL_UPDATE_SYNC_ENABLED, &a->value, err);
}

int op_pool_set_repositories(struct call *call, const struct pool_set_repositories_args *a,
                             struct err *err)
{
    if (a->value.n)
        return call_gone(CLASS_REPOSITORY, &a->value.v[0], err);
    return call_set(call, CLASS_POOL, &a->self, F_POOL_REPOSITORIES, &a->value, err);
}

/* What stands against updating the hosts now: each an error code with its parameters. */
int op_pool_check_update_readiness(struct call *call,
                                   const struct pool_check_update_readiness_args *a,
                                   struct set_set_string *result, struct err *err)
{
    (void)err;
    char text[REF_TEXT_SIZE];
    db_lock();
    for (struct db_iter it = db_first(CLASS_VM); a->requires_reboot && it.rec;
         db_next(&it)) {
        const struct vm_rec *vm = it.rec;
        if (ref_is_null(&vm->resident_on) || vm->is_control_domain)
            continue;
        ref_text(&it.ref, text);
        const char *reason[] = { ERR_NO_HOSTS_AVAILABLE, text };
        (void)set_add(call->def->result, result,
                      &(struct set_string){ .v = reason, .n = ARRAY_SIZE(reason) });
    }
    db_unlock();
    return 0;
}

/* ---- the rest ------------------------------------------------------------------------------------------ */

int op_pool_set_telemetry_next_collection(
    struct call *call, const struct pool_set_telemetry_next_collection_args *a,
    struct err *err)
{
    static const int days[] = { [TELEMETRY_FREQUENCY_DAILY] = 2,
                                [TELEMETRY_FREQUENCY_WEEKLY] = 14,
                                [TELEMETRY_FREQUENCY_MONTHLY] = 62 };
    db_lock();
    const struct pool_rec *pool = call_get(CLASS_POOL, &a->self, err);
    int64_t most = pool ? days[pool->telemetry_frequency] * 86400 * US_PER_SEC : 0;
    db_unlock();
    if (!pool)
        return -1;
    if (a->value > clock_wall_us() + most) {
        const struct ty *ty = call->def->params[1].ty;
        AUTO(buf_done) struct buf text = BUF_INIT(128);
        enc_value(&text, ENC_JSON, ty, &a->value);
        AUTO(free_str) char *bare = str_dupn(buf_str(&text) + 1, text.len - 2);
        return err_set(err, ERR_TELEMETRY_NEXT_COLLECTION_TOO_LATE, bare);
    }
    return call_set(call, CLASS_POOL, &a->self, F_POOL_TELEMETRY_NEXT_COLLECTION, &a->value,
                    err);
}

int op_pool_reset_telemetry_uuid(struct call *call,
                                 const struct pool_reset_telemetry_uuid_args *a,
                                 struct err *err)
{
    struct uuid random = uuid_new();
    char uuid[UUID_TEXT_SIZE];
    uuid_text(&random, uuid);
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_POOL, &a->self, err)) {
        tx_abort(tx);
        return -1;
    }
    struct ref secret = make_secret(tx, uuid);
    replace_secret(tx, &a->self, F_POOL_TELEMETRY_UUID, &secret);
    return tx_commit(tx, err);
}

/* What the guests' agents are told about updating themselves. */
static bool agent_setting_fits(const char *key, const char *value)
{
    if (str_eq(key, "auto_update_enabled"))
        return str_eq(value, "true") || str_eq(value, "false");
    if (str_eq(key, "auto_update_url"))
        return str_starts(value, "http://") || str_starts(value, "https://");
    return false;
}

int op_pool_add_to_guest_agent_config(struct call *call,
                                      const struct pool_add_to_guest_agent_config_args *a,
                                      struct err *err)
{
    const struct ty *ty = schema_classes[CLASS_POOL].fields[F_POOL_GUEST_AGENT_CONFIG].ty;
    if (!agent_setting_fits(a->key, a->value)) {
        AUTO(free_str) char *pair = str_fmt("%s = %s", a->key, a->value);
        return err_set(err, ERR_INVALID_VALUE, "guest_agent_config", pair);
    }
    char text[REF_TEXT_SIZE];
    ref_text(&a->self, text);
    struct tx *tx = call_tx(call);
    const struct pool_rec *pool = call_get(CLASS_POOL, &a->self, err);
    if (!pool || map_find(ty, &pool->guest_agent_config, &a->key) != SIZE_MAX) {
        tx_abort(tx);
        return pool ? err_set(err, ERR_MAP_DUPLICATE_KEY, "pool", "guest_agent_config",
                              text, a->key)
                    : -1;
    }
    tx_map_put_str(tx, &a->self, CLASS_POOL, F_POOL_GUEST_AGENT_CONFIG, a->key, a->value);
    return tx_commit(tx, err);
}

int op_pool_remove_from_guest_agent_config(
    struct call *call, const struct pool_remove_from_guest_agent_config_args *a,
    struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_POOL, &a->self, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_map_remove(tx, &a->self, CLASS_POOL, F_POOL_GUEST_AGENT_CONFIG, a->key);
    return tx_commit(tx, err);
}

int op_pool_disable_client_certificate_auth(
    struct call *call, const struct pool_disable_client_certificate_auth_args *a,
    struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_POOL, &a->self)) {
        tx_set_bool(tx, &a->self, CLASS_POOL, F_POOL_CLIENT_CERTIFICATE_AUTH_ENABLED,
                    false);
        tx_set_str(tx, &a->self, CLASS_POOL, F_POOL_CLIENT_CERTIFICATE_AUTH_NAME, "");
    }
    return tx_commit(tx, err);
}

int op_pool_disable_ssl_legacy(struct call *call,
                               const struct pool_disable_ssl_legacy_args *a,
                               struct err *err)
{
    (void)a;
    bool off = false;
    db_lock();
    struct ref host = db_host_ref();
    db_unlock();
    return call_set(call, CLASS_HOST, &host, F_HOST_SSL_LEGACY, &off, err);
}

/* ---- how many passwords are judged at the same time (model/session.c keeps to it) ------------------------ */

int op_pool_set_local_auth_max_threads(struct call *call,
                                       const struct pool_set_local_auth_max_threads_args *a,
                                       struct err *err)
{
    if (a->value >= 1)
        return call_set(call, CLASS_POOL, &a->self, F_POOL_LOCAL_AUTH_MAX_THREADS,
                        &a->value, err);
    AUTO(free_str) char *text = str_fmt("%lld", (long long)a->value);
    return err_set(err, ERR_INVALID_VALUE, "value", text);
}
