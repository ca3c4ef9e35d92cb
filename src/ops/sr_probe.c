/* SPDX-License-Identifier: Apache-2.0 */
/* What storage is there that no record knows: repositories under a location, each a directory named by its uuid. And the
 * calls that correct records of storage by hand. Reading alone: nothing is attached or changed. Any thread. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "ops/storage.h"

#define FOUND_MAX 256 /* repositories of one answer */

struct found {
    char uuid[UUID_TEXT_SIZE];
    char *path;
    struct sr_space space;
};

static void found_free(struct found *found, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free_str(&found[i].path);
    free(found);
}

static const char *location_of(const struct map_string_string *config)
{
    for (size_t i = 0; i < config->n; i++)
        if (str_eq(config->v[i].key, "location"))
            return config->v[i].val;
    return "";
}

static int by_uuid(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->uuid, ((const struct found *)b)->uuid);
}

/* The repositories under a location. Given; NULL with an error. */
static struct found *probe(const char *type, const struct map_string_string *config,
                           size_t *n_out, struct err *err)
{
    const struct sr_ops *ops = sr_by_type(type);
    const char *location = location_of(config);
    if (!ops) {
        (void)err_set(err, ERR_SR_UNKNOWN_DRIVER, type);
        return NULL;
    }
    if (location[0] != '/') {
        (void)err_set(err, ERR_INVALID_VALUE, "device_config:location", location);
        (void)err_detail(err, "the location to look at must be an absolute path");
        return NULL;
    }
    DIR *dir = opendir(location);
    if (!dir) {
        (void)err_set(err, ERR_INVALID_VALUE, "device_config:location", location);
        (void)err_detail(err, "opening %s: %m", location);
        return NULL;
    }
    struct found *found = mem_array(FOUND_MAX, sizeof(*found));
    size_t n = 0;
    struct dirent *e;
    while (n < FOUND_MAX && (e = readdir(dir))) {
        struct uuid u;
        struct found *f = &found[n];
        struct stat st;
        if (!uuid_parse(e->d_name, &u)
            || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0
            || !S_ISDIR(st.st_mode))
            continue;
        uuid_text(&u, f->uuid);
        f->path = str_fmt("%s/%s", location, e->d_name);
        struct sr_config sr = { .path = f->path };
        memcpy(sr.uuid, f->uuid, sizeof(sr.uuid));
        AUTO(err_done) struct err no = { 0 };
        if (ops->space(&sr, &f->space, &no) == 0)
            n++;
        else /* nothing that we may look into */
            free_str(&f->path);
    }
    (void)closedir(dir);
    qsort(found, n, sizeof(*found), by_uuid);
    *n_out = n;
    return found;
}

static int known_host(const struct ref *host, struct err *err)
{
    db_lock();
    const void *rec = call_get(CLASS_HOST, host, err);
    db_unlock();
    return rec ? 0 : -1;
}

/* The answer of XenServer's drivers: a list in XML, white space included. */
int op_sr_probe(struct call *call, const struct sr_probe_args *a, const char **result,
                struct err *err)
{
    (void)call;
    size_t n = 0;
    if (known_host(&a->host, err))
        return -1;
    struct found *found = probe(a->type, &a->device_config, &n, err);
    if (!found)
        return -1;
    AUTO(buf_done) struct buf xml = BUF_INIT(256 * 1024);
    buf_add_str(&xml, "<?xml version=\"1.0\" ?>\n<SRlist>\n");
    for (size_t i = 0; i < n; i++)
        buf_addf(&xml, "\t<SR>\n\t\t<UUID>\n\t\t\t%s\n\t\t</UUID>\n\t</SR>\n",
                 found[i].uuid);
    buf_add_str(&xml, "</SRlist>\n");
    str_put(result, buf_str(&xml));
    found_free(found, n);
    return 0;
}

static void *make_stat(const struct found *f)
{
    struct sr_stat_rec *s = record_new(&schema_classes[CLASS_SR_STAT]);
    const struct field_def *uuid = &schema_classes[CLASS_SR_STAT].fields[F_SR_STAT_UUID];
    const char *text = f->uuid, **copy = mem_alloc(uuid->ty->elem->size);
    value_copy(uuid->ty->elem, copy, &text);
    s->uuid = copy;
    s->total_space = (int64_t)f->space.physical_size_bytes;
    s->free_space = (int64_t)(f->space.physical_size_bytes
                              - MIN(f->space.physical_used_bytes,
                                    f->space.physical_size_bytes));
    s->health = SR_HEALTH_HEALTHY;
    return s;
}

int op_sr_probe_ext(struct call *call, const struct sr_probe_ext_args *a,
                    struct set_record *result, struct err *err)
{
    (void)call;
    size_t n = 0;
    if (known_host(&a->host, err))
        return -1;
    struct found *found = probe(a->type, &a->device_config, &n, err);
    if (!found)
        return -1;
    const struct class_def *cls = &schema_classes[CLASS_PROBE_RESULT];
    result->v = mem_array(n + 1, sizeof(*result->v));
    for (size_t i = 0; i < n; i++) {
        struct probe_result_rec *r = record_new(cls);
        const char *key = "location", *val = found[i].path;
        (void)map_put(cls->fields[F_PROBE_RESULT_CONFIGURATION].ty, &r->configuration, &key,
                      &val);
        r->complete = true;
        void **stat = mem_alloc(sizeof(*stat));
        *stat = make_stat(&found[i]);
        r->sr = stat;
        result->v[result->n++] = r;
    }
    found_free(found, n);
    return 0;
}

/* ---- records by hand ----------------------------------------------------------------------------------- */

/* One host more or less can use it: as XenServer has it, only what several use already cannot be made local. */
int op_sr_set_shared(struct call *call, const struct sr_set_shared_args *a, struct err *err)
{
    char text[ERR_PARAMS_MAX][REF_TEXT_SIZE];
    const char *params[ERR_PARAMS_MAX];
    size_t n = 0;
    struct tx *tx = call_tx(call);
    const struct sr_rec *sr = call_get(CLASS_SR, &a->sr, err);
    if (!sr || (!a->value && sr->PBDs.n > 1)) {
        for (; sr && n < MIN(sr->PBDs.n, (size_t)ERR_PARAMS_MAX); n++) {
            ref_text(&sr->PBDs.v[n], text[n]);
            params[n] = text[n];
        }
        tx_abort(tx);
        return n ? err_set_(err, ERR_SR_HAS_MULTIPLE_PBDS, params, n) : -1;
    }
    tx_set_bool(tx, &a->sr, CLASS_SR, F_SR_SHARED, a->value);
    return tx_commit(tx, err);
}

int op_sr_set_physical_size(struct call *call, const struct sr_set_physical_size_args *a,
                            struct err *err)
{
    if (a->value < 0) {
        AUTO(free_str) char *text = str_fmt("%lld", (long long)a->value);
        return err_set(err, ERR_INVALID_VALUE, "value", text);
    }
    return call_set(call, CLASS_SR, &a->self, F_SR_PHYSICAL_SIZE, &a->value, err);
}

/* The database is copied to no storage (SR.enable_database_replication), so it stops nowhere. */
int op_sr_disable_database_replication(struct call *call,
                                       const struct sr_disable_database_replication_args *a,
                                       struct err *err)
{
    (void)call, (void)a, (void)err;
    return 0;
}

/* Where the repository is from the next plug on. */
int op_pbd_set_device_config(struct call *call, const struct pbd_set_device_config_args *a,
                             struct err *err)
{
    const char *location = location_of(&a->value);
    char text[REF_TEXT_SIZE];
    if (location[0] != '/') {
        (void)err_set(err, ERR_INVALID_VALUE, "device_config:location", location);
        return err_detail(err, "the location of a repository must be an absolute path");
    }
    struct tx *tx = call_tx(call);
    const struct pbd_rec *pbd = call_get(CLASS_PBD, &a->self, err);
    if (!pbd || pbd->currently_attached) {
        ref_text(&a->self, text);
        tx_abort(tx);
        return pbd ? err_set(err, ERR_DEVICE_ALREADY_ATTACHED, text) : -1;
    }
    tx_set(tx, &a->self, CLASS_PBD, F_PBD_DEVICE_CONFIG, &a->value);
    return tx_commit(tx, err);
}
