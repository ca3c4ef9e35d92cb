/* SPDX-License-Identifier: Apache-2.0 */
/* The entries are one table, which capabilities and bundles both come from. Their keys are XenServer's, since clients
 * select by them. Any thread; blocks on files and on whoever takes the archive. */
#include "ops/report.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "ops/archive.h"
#include "ops/dbxml.h"
#include "ops/host_ctx.h"
#include "ops/stats.h"

#define FILE_MAX_BYTES ((size_t)4 << 20)

static void write_versions(struct buf *out)
{
    const struct inventory *inv = &host_ctx.inventory;
    const char *key, *value;
    struct utsname u;

    for (size_t i = 0; brand_version(host_ctx.brand, i, &key, &value); i++)
        buf_addf(out, "%s: %s\n", key, value);
    if (uname(&u) == 0)
        buf_addf(out, "kernel: %s %s %s\n", u.sysname, u.release, u.machine);
    buf_addf(out,
             "hostname: %s\nqemu: %s\naccelerator: %s (%s)\nrootless: %s\nstate: %s\n"
             "runtime: %s\nhttps: %s\nhttp: %s\n",
             inv->hostname, host_ctx.qemu ? host_ctx.qemu : "none", host_ctx.accel.name,
             host_ctx.accel.reason, host_ctx.rootless ? "yes" : "no", host_ctx.state_dir,
             host_ctx.runtime_dir, host_ctx.https_address, host_ctx.http_address);
}

static void write_database(struct buf *out)
{
    dbxml_write(out, true);
}

static void write_log(struct buf *out)
{
    AUTO(free_str) char *text = log_recent();

    buf_add_str(out, text);
}

static void write_rrds(struct buf *out)
{
    struct stats_tables all = { .host = true, .sr_uuid = "all" };

    stats_updates(&all, RRD_XML, out);
}

/* One file each; path or fn. */
static const struct entry {
    const char *key, *file, *path;
    void (*fn)(struct buf *out);
    const char *pii; /* what it may tell of people: no, maybe, yes */
    bool by_default;
} entries[] = {
    { "xenserver-config", "versions.txt", NULL, write_versions, "no", true },
    { "xenserver-databases", "xapi-db.xml", NULL, write_database, "maybe", true },
    { "xenserver-logs", "seraid.log", NULL, write_log, "maybe", true },
    { "hardware-info", "cpuinfo", "/proc/cpuinfo", NULL, "no", true },
    { "hardware-info", "meminfo", "/proc/meminfo", NULL, "no", true },
    { "kernel-info", "version", "/proc/version", NULL, "no", true },
    { "kernel-info", "modules", "/proc/modules", NULL, "no", true },
    { "network-config", "net-dev", "/proc/net/dev", NULL, "maybe", true },
    { "network-config", "net-route", "/proc/net/route", NULL, "maybe", true },
    { "disk-info", "mounts", "/proc/self/mounts", NULL, "maybe", true },
    { "disk-info", "partitions", "/proc/partitions", NULL, "no", true },
    { "system-load", "loadavg", "/proc/loadavg", NULL, "no", true },
    { "system-load", "vmstat", "/proc/vmstat", NULL, "no", true },
    { "xapi-subprocess", "seraid-status", "/proc/self/status", NULL, "no", true },
    { "xapi-subprocess", "seraid-limits", "/proc/self/limits", NULL, "no", true },
    { "persistent-stats", "rrd.xml", NULL, write_rrds, "maybe", false },
};

static bool first_of_key(size_t i)
{
    return i == 0 || !str_eq(entries[i].key, entries[i - 1].key);
}

void report_capabilities(struct buf *out)
{
    buf_add_str(out, "<?xml version=\"1.0\" ?><system-status-capabilities>");
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
        const struct entry *e = &entries[i];

        if (first_of_key(i))
            buf_addf(out,
                     "<capability content-type=\"text/plain\" default-checked=\"%s\" "
                     "key=\"%s\" max-size=\"%zu\" max-time=\"10\" min-size=\"1\" "
                     "min-time=\"1\" pii=\"%s\"/>",
                     e->by_default ? "yes" : "no", e->key, FILE_MAX_BYTES, e->pii);
    }
    buf_add_str(out, "</system-status-capabilities>");
}

bool report_format(const char *name, enum report_format *out)
{
    static const char *const names[] = { "tar", "tar.bz2", "zip" };

    *out = REPORT_TAR_BZ2;
    for (size_t i = 0; name && i < ARRAY_SIZE(names); i++) {
        if (str_eq(name, names[i])) {
            *out = (enum report_format)i;
            return true;
        }
    }
    return !name;
}

/* "a,b" has "b" */
static bool listed(const char *list, const char *key)
{
    size_t n = strlen(key);

    for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, key, n) == 0 && (p[n] == ',' || p[n] == '\0'))
            return true;
    return false;
}

static void contents(const struct entry *e, struct buf *out)
{
    if (e->fn) {
        e->fn(out);
        return;
    }
    out->max = FILE_MAX_BYTES;
    if (io_read_file(e->path, out) != 0)
        buf_addf(out, "\n%s: %m\n", e->path);
    out->max = 0;
}

static int add_all(struct archive *a, const char *list, const char *stamp)
{
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
        const struct entry *e = &entries[i];
        AUTO(buf_done) struct buf text = BUF_INIT(0);
        AUTO(free_str) char *name = str_fmt("bug-report-%s/%s", stamp, e->file);

        if (!(list ? listed(list, e->key) : e->by_default))
            continue;
        contents(e, &text);
        if (archive_add(a, name, buf_str(&text), text.len) != 0)
            return -1;
    }
    return archive_end(a);
}

int report_write(const char *list, const char *stamp, enum report_format format,
                 report_sink_fn sink, void *arg, struct err *err)
{
    struct archive *a = archive_new(format, clock_wall_us() / US_PER_SEC, sink, arg);
    int rc = add_all(a, list, stamp);

    archive_free(a);
    return rc == 0 ? 0
                   : err_set(err, ERR_SYSTEM_STATUS_RETRIEVAL_FAILED,
                             "the archive could not be written to its end");
}

/* ---- calls -------------------------------------------------------------------------------------------- */

int op_host_get_system_status_capabilities(
    struct call *call UNUSED, const struct host_get_system_status_capabilities_args *a,
    const char **result, struct err *err)
{
    struct buf xml = BUF_INIT(0);
    const void *rec;

    db_lock();
    rec = call_get(CLASS_HOST, &a->host, err);
    db_unlock();
    if (!rec)
        return -1;
    report_capabilities(&xml);
    str_give(result, buf_take(&xml));
    return 0;
}
