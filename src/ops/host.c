/* SPDX-License-Identifier: Apache-2.0 */
/* The host: what it is, as records, and the calls about it. */
#include <string.h>
#include <sys/klog.h>
#include <time.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/boot.h"
#include "ops/host_ctx.h"
#include "ops/ops.h"
#include "ops/pif.h"

static void put_str(const struct ref *host, struct tx *tx, unsigned field, const char *key,
                    const char *val) REQUIRES(db_mutex)
{
    tx_map_put_str(tx, host, CLASS_HOST, field, key, val ? val : "");
}

/* features: this host's own; features_hvm: what a machine on it has, which is what another host must have too. */
static void put_cpu_info(struct tx *tx, const struct ref *host, const struct inventory *inv)
    REQUIRES(db_mutex)
{
    char own[CPU_FEATURES_MAX];
    cpu_host_words(own);
    const char *given = host_ctx.cpu.features[0] ? host_ctx.cpu.features : own;
    struct ref pool = db_pool_ref();
    AUTO(free_str)
    char *count = str_fmt("%u", inv->cpu_count),
         *sockets = str_fmt("%u", MAX(inv->cpu_sockets, 1u));
    AUTO(free_str)
    char *mhz = str_fmt("%u.000", inv->cpu_mhz), *family = str_fmt("%u", inv->cpu_family);
    AUTO(free_str)
    char *model = str_fmt("%u", inv->cpu_model_number),
         *stepping = str_fmt("%u", inv->cpu_stepping);
    const char *const rows[][2] = { { "cpu_count", count },
                                    { "socket_count", sockets },
                                    { "vendor", inv->cpu_vendor },
                                    { "speed", mhz },
                                    { "modelname", inv->cpu_model },
                                    { "family", family },
                                    { "model", model },
                                    { "stepping", stepping },
                                    { "flags", inv->cpu_flags },
                                    { "features", own },
                                    { "features_hvm", given },
                                    { "features_hvm_host", own },
                                    { "features_pv", given },
                                    { "features_pv_host", own },
                                    { "guest_model", host_ctx.cpu.model } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        put_str(host, tx, F_HOST_CPU_INFO, rows[i][0], rows[i][1]);
        if (db_get(CLASS_POOL, &pool))
            tx_map_put_str(tx, &pool, CLASS_POOL, F_POOL_CPU_INFO, rows[i][0],
                           rows[i][1] ? rows[i][1] : "");
    }
}

static void put_bios(struct tx *tx, const struct ref *host, const struct inventory *inv)
    REQUIRES(db_mutex)
{
    const char *const rows[][2] = { { "bios-vendor", inv->bios_vendor },
                                    { "bios-version", inv->bios_version },
                                    { "system-manufacturer", inv->system_manufacturer },
                                    { "system-product-name", inv->system_product },
                                    { "system-serial-number", inv->system_serial } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        put_str(host, tx, F_HOST_BIOS_STRINGS, rows[i][0], rows[i][1]);
}

static void boot_cpus(struct tx *tx, const struct ref *host, const struct inventory *inv)
    REQUIRES(db_mutex)
{
    size_t have = db_count(CLASS_HOST_CPU);
    for (size_t i = have; i < inv->cpu_count; i++) {
        struct host_cpu_rec *c = record_new(&schema_classes[CLASS_HOST_CPU]);
        c->host = *host;
        c->number = (int64_t)i;
        str_put(&c->vendor, inv->cpu_vendor);
        str_put(&c->modelname, inv->cpu_model);
        str_put(&c->flags, inv->cpu_flags);
        c->speed = inv->cpu_mhz;
        c->family = inv->cpu_family;
        c->model = inv->cpu_model_number;
        (void)tx_create(tx, CLASS_HOST_CPU, c, NULL);
    }
    while (db_count(CLASS_HOST_CPU) > inv->cpu_count) {
        struct ref ref = REF_NULL;
        for (struct db_iter it = db_first(CLASS_HOST_CPU); it.rec; db_next(&it))
            ref = it.ref;
        tx_destroy(tx, &ref);
    }
}

/* The first row of a fresh state directory. */
static struct ref new_host(struct tx *tx, const struct inventory *inv) REQUIRES(db_mutex)
{
    struct host_rec *h = record_new(&schema_classes[CLASS_HOST]);
    str_put(&h->name_label, inv->hostname);
    str_put(&h->name_description, "A Serai host");
    str_put(&h->edition, "free");
    h->enabled = true;
    struct host_metrics_rec *m = record_new(&schema_classes[CLASS_HOST_METRICS]);
    h->metrics = tx_create(tx, CLASS_HOST_METRICS, m, NULL);
    return tx_create(tx, CLASS_HOST, h, NULL);
}

static void put_capabilities(struct tx *tx, const struct ref *host) REQUIRES(db_mutex)
{
    static const char *const caps[] = { "hvm-3.0-x86_32", "hvm-3.0-x86_64" };
    struct set_string set = { 0 };
    const struct ty *ty = schema_classes[CLASS_HOST].fields[F_HOST_CAPABILITIES].ty;
    for (size_t i = 0; i < ARRAY_SIZE(caps); i++)
        (void)set_add(ty, &set, &caps[i]);
    AUTO(free_str) char *accel = str_fmt("accel-%s", host_ctx.accel.name);
    const char *elem = accel;
    (void)set_add(ty, &set, &elem);
    tx_set(tx, host, CLASS_HOST, F_HOST_CAPABILITIES, &set);
    value_done(ty, &set);
}

static void put_version(struct tx *tx, const struct ref *host) REQUIRES(db_mutex)
{
    const char *key, *value;
    tx_set_int(tx, host, CLASS_HOST, F_HOST_API_VERSION_MAJOR, BRAND_API_MAJOR);
    tx_set_int(tx, host, CLASS_HOST, F_HOST_API_VERSION_MINOR, BRAND_API_MINOR);
    tx_set_str(tx, host, CLASS_HOST, F_HOST_API_VERSION_VENDOR, BRAND_API_VENDOR);
    for (size_t i = 0; brand_version(host_ctx.brand, i, &key, &value); i++)
        put_str(host, tx, F_HOST_SOFTWARE_VERSION, key, value);
}

void boot_host(struct tx *tx)
{
    const struct inventory *inv = &host_ctx.inventory;
    struct db_iter it = db_first(CLASS_HOST);
    struct ref host = it.rec ? it.ref : new_host(tx, inv);
    const struct host_rec *h = db_get(CLASS_HOST, &host);
    AUTO(free_str)
    char *booted = str_fmt("%lld.", (long long)(inv->boot_wall_us / US_PER_SEC));
    AUTO(free_str)
    char *started = str_fmt("%lld.", (long long)(clock_wall_us() / US_PER_SEC));
    put_version(tx, &host);
    put_str(&host, tx, F_HOST_SOFTWARE_VERSION, "hostname", inv->hostname);
    put_str(&host, tx, F_HOST_SOFTWARE_VERSION, "linux", inv->kernel);
    put_str(&host, tx, F_HOST_OTHER_CONFIG, "boot_time", booted);
    put_str(&host, tx, F_HOST_OTHER_CONFIG, "agent_start_time", started);
    put_str(&host, tx, F_HOST_OTHER_CONFIG, "serai:accelerator", host_ctx.accel.reason);
    tx_set_str(tx, &host, CLASS_HOST, F_HOST_HOSTNAME, inv->hostname);
    put_capabilities(tx, &host);
    put_cpu_info(tx, &host, inv);
    put_bios(tx, &host, inv);
    boot_cpus(tx, &host, inv);
    pif_scan(tx, &host, inv);
    tx_set_int(tx, &h->metrics, CLASS_HOST_METRICS, F_HOST_METRICS_MEMORY_TOTAL,
               (int64_t)inv->memory_total_bytes);
    tx_set_bool(tx, &h->metrics, CLASS_HOST_METRICS, F_HOST_METRICS_LIVE, true);
    tx_set_int(tx, &h->metrics, CLASS_HOST_METRICS, F_HOST_METRICS_LAST_UPDATED,
               clock_wall_us());
}

/* ---- calls --------------------------------------------------------------------------------------------- */

static int known_host(const struct ref *host, struct err *err)
{
    db_lock();
    const void *rec = call_get(CLASS_HOST, host, err);
    db_unlock();
    return rec ? 0 : -1;
}

int op_host_refresh_pack_info(struct call *call,
                              const struct host_refresh_pack_info_args *a, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_HOST, &a->host, err)) {
        tx_abort(tx);
        return -1;
    }
    put_version(tx, &a->host);
    return tx_commit(tx, err);
}

int op_host_get_servertime(struct call *call, const struct host_get_servertime_args *a,
                           int64_t *result, struct err *err)
{
    (void)call;
    *result = clock_wall_us();
    return known_host(&a->host, err);
}

/* Without the Z of other dates, which would say that it is UTC. */
int op_host_get_server_localtime(struct call *call,
                                 const struct host_get_server_localtime_args *a,
                                 struct err *err)
{
    int64_t now = clock_wall_us();
    time_t seconds = (time_t)(now / US_PER_SEC);
    struct tm tm;
    char text[20];
    if (known_host(&a->host, err) < 0)
        return -1;
    clock_iso(localtime_r(&seconds, &tm) ? now + (int64_t)tm.tm_gmtoff * US_PER_SEC : now,
              text);
    buf_addf(call->out,
             call->enc == ENC_XML
                 ? "<value><dateTime.iso8601>%.*s</dateTime.iso8601></value>"
                 : "\"%.*s\"",
             (int)strcspn(text, "Z"), text);
    return 0;
}

static int set_enabled(struct call *call, const struct ref *host, bool enabled,
                       struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_HOST, host)) {
        tx_set_bool(tx, host, CLASS_HOST, F_HOST_ENABLED, enabled);
        op_refresh(tx, CLASS_HOST, host);
    }
    return tx_commit(tx, err);
}

int op_host_enable(struct call *call, const struct host_enable_args *a, struct err *err)
{
    return set_enabled(call, &a->host, true, err);
}

int op_host_disable(struct call *call, const struct host_disable_args *a, struct err *err)
{
    return set_enabled(call, &a->host, false, err);
}

int op_host_compute_free_memory(struct call *call,
                                const struct host_compute_free_memory_args *a,
                                int64_t *result, struct err *err)
{
    (void)call;
    uint64_t bytes;
    if (known_host(&a->host, err))
        return -1;
    if (inventory_memory_free(&bytes))
        return err_set(err, ERR_HOST_CANNOT_READ_METRICS);
    *result = (int64_t)bytes;
    return 0;
}

int op_host_list_methods(struct call *call, const struct host_list_methods_args *a,
                         struct set_string *result, struct err *err)
{
    (void)call, (void)a, (void)err;
    result->v = mem_array(CALL_COUNT, sizeof(*result->v));
    for (size_t i = 0; i < CALL_COUNT; i++)
        result->v[result->n++] = str_dup(schema_call_name(&schema_calls[i]));
    return 0;
}

char *host_certificate(struct err *err)
{
    AUTO(buf_done) struct buf pem = BUF_INIT(256 * 1024);
    if (io_read_file(host_ctx.cert_file, &pem)) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "certificate");
        IGNORE(err_detail(err, "reading %s: %m", host_ctx.cert_file));
        return NULL;
    }
    static const char begin[] = "-----BEGIN CERTIFICATE-----",
                      end[] = "-----END CERTIFICATE-----";
    const char *from = strstr(buf_str(&pem), begin), *to = from ? strstr(from, end) : NULL;
    char *text = to ? str_dupn(from, (size_t)(to - from) + strlen(end)) : str_dup("");
    explicit_bzero(pem.data, pem.len); /* the file holds the key as well */
    return text;
}

int op_host_get_server_certificate(struct call *call,
                                   const struct host_get_server_certificate_args *a,
                                   const char **result, struct err *err)
{
    (void)call;
    char *text = known_host(&a->host, err) ? NULL : host_certificate(err);
    if (!text)
        return -1;
    str_give(result, text);
    return 0;
}

int op_host_get_management_interface(struct call *call,
                                     const struct host_get_management_interface_args *a,
                                     struct ref *result, struct err *err)
{
    (void)call;
    int rc = -1;
    db_lock();
    const struct host_rec *host = call_get(CLASS_HOST, &a->host, err);
    for (size_t i = 0; host && i < host->PIFs.n; i++)
        if (((const struct pif_rec *)db_get(CLASS_PIF, &host->PIFs.v[i]))->management) {
            *result = host->PIFs.v[i];
            rc = 0;
        }
    if (host && rc)
        (void)err_set(err, ERR_PIF_NOT_PRESENT, "", "");
    db_unlock();
    return rc;
}

int op_host_has_extension(struct call *call, const struct host_has_extension_args *a,
                          bool *result, struct err *err)
{
    (void)call;
    *result = false;
    return known_host(&a->host, err);
}

/* call: a JSON-RPC request. There are no extensions, so its method is unknown, whatever it is. */
int op_host_call_extension(struct call *call, const struct host_call_extension_args *a,
                           const char **result, struct err *err)
{
    (void)call, (void)result;
    if (known_host(&a->host, err) < 0)
        return -1;
    json_t *request = json_loads(a->call, JSON_REJECT_DUPLICATES, NULL);
    const char *method = json_string_value(json_object_get(request, "method"));
    (void)err_set(err, ERR_MESSAGE_METHOD_UNKNOWN, method ? method : a->call);
    json_decref(request);
    return err_detail(err, "The API has no extensions.");
}

int op_pool_has_extension(struct call *call, const struct pool_has_extension_args *a,
                          bool *result, struct err *err)
{
    (void)call, (void)a, (void)err;
    *result = false;
    return 0;
}

/* Everything acknowledged is on disk already. */
int op_pool_sync_database(struct call *call, const struct pool_sync_database_args *a,
                          struct err *err)
{
    (void)a;
    struct tx *tx = call_tx(call);
    return tx_commit(tx, err);
}

/* The kernel's messages, as far as this user may read them. */
int op_host_dmesg(struct call *call, const struct host_dmesg_args *a, const char **result,
                  struct err *err)
{
    (void)call, (void)a;
    int size = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0);
    AUTO(free_str) char *text = mem_alloc((size_t)MAX(size, 0) + 1);
    int n = size < 0 ? -1 : klogctl(3 /* SYSLOG_ACTION_READ_ALL */, text, size);
    if (n < 0) {
        (void)err_set(err, ERR_PERMISSION_DENIED,
                      "the kernel shows its messages to others");
        return err_detail(err, "reading the kernel's messages: %m");
    }
    for (int i = 0; i < n; i++) /* any bytes may stand there */
        text[i] = text[i] == '\n' || text[i] == '\t' || (text[i] >= ' ' && text[i] <= '~')
                      ? text[i]
                      : '?';
    str_give(result, TAKE(text));
    return 0;
}

int op_host_get_log(struct call *call, const struct host_get_log_args *a,
                    const char **result, struct err *err)
{
    (void)call, (void)a, (void)err;
    str_give(result, log_recent());
    return 0;
}

/* Threads of machines are scheduled one by one, by Linux. */
int op_host_get_sched_gran(struct call *call, const struct host_get_sched_gran_args *a,
                           int *result, struct err *err)
{
    (void)call, (void)a, (void)err;
    *result = HOST_SCHED_GRAN_CPU;
    return 0;
}

int op_host_set_sched_gran(struct call *call, const struct host_set_sched_gran_args *a,
                           struct err *err)
{
    (void)call;
    const struct enum_def *e = call->def->params[1].ty->enm;
    if (a->value == HOST_SCHED_GRAN_CPU)
        return 0; /* as it is */
    return err_set(err, ERR_VALUE_NOT_SUPPORTED, "sched_gran", e->values[a->value],
                   "the host schedules single processors");
}

/* Every host of the pool must know its users by the same directory. */
int op_pool_detect_nonhomogeneous_external_auth(
    struct call *call, const struct pool_detect_nonhomogeneous_external_auth_args *a,
    struct err *err)
{
    (void)call, (void)a;
    const char *type = NULL;
    bool same = true;
    db_lock();
    for (struct db_iter it = db_first(CLASS_HOST); it.rec; db_next(&it)) {
        const struct host_rec *h = it.rec;
        same = same && (!type || str_eq(type, h->external_auth_type));
        type = h->external_auth_type;
    }
    db_unlock();
    return same ? 0 : err_set(err, ERR_POOL_JOINING_EXTERNAL_AUTH_MISMATCH);
}
