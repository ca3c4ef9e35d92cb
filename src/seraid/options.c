/* SPDX-License-Identifier: Apache-2.0 */
/* Options, as a table: --name VALUE, --name=VALUE or --name. */
#include "seraid/options.h"

#include <string.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"

const char options_help[] =
    "Usage: seraid [--rootless] [OPTION]...\n"
    "The Serai daemon: serves the XenAPI and runs this host's virtual machines.\n"
    "\n"
    "  --rootless            run as an ordinary user, without serai-rootd\n"
    "  --state DIR           the database and its like (default: /var/lib/serai; "
    "rootless:\n"
    "                        $XDG_STATE_HOME/serai, else ~/.local/state/serai)\n"
    "  --runtime DIR         sockets and what runs (default: /run/serai; rootless:\n"
    "                        $XDG_RUNTIME_DIR/serai)\n"
    "  --https ADDR:PORT     serve HTTPS there (default: 0.0.0.0:443; rootless:\n"
    "                        127.0.0.1:8443, or the next free port); port 0 picks one\n"
    "  --http ADDR:PORT      serve HTTP there, on a loopback address only\n"
    "  --nbd ADDR:PORT       serve disks by NBD there while a network has that purpose\n"
    "                        (default: 0.0.0.0:10809; rootless: not, and on a loopback\n"
    "                        address only)\n"
    "  --password-file FILE  the password of the user root (default: users of the system;\n"
    "                        rootless: STATE/password, made when missing)\n"
    "  --brand NAME          what clients are told they talk to: xcp-ng (the default),\n"
    "                        xenserver or serai, which not all of them accept\n"
    "  --web DIR             the files of the web console (default: those built with this\n"
    "                        program)\n"
    "  --log-level LEVEL     error, warn, info (the default) or debug\n"
    "  --version             print the version and exit\n"
    "  --help                print this text and exit\n"
    "\n"
    "Not rootless:\n"
    "  --user NAME           become that user, when started as root (default: serai)\n"
    "  --admin-group NAME    whose members may do all that root may (default: "
    "serai-admin)\n"
    "  --rootd PATH          where serai-rootd listens (default: /run/serai-rootd/socket)\n"
    "\n"
    "For tests:\n"
    "  --machine fake        machines that are not real\n"
    "  --audit-days N        how long the audit log is kept (default: 365)\n"
    "  --sample-ms N         measure every N milliseconds as if 5 seconds had passed\n"
    "\n"
    "Prints one line, \"ready\" and its addresses, once it answers. Ends on SIGTERM or "
    "SIGINT;\n"
    "running machines stay.\n";

enum option_id {
    OPT_ROOTLESS,
    OPT_STATE,
    OPT_RUNTIME,
    OPT_HTTPS,
    OPT_HTTP,
    OPT_NBD,
    OPT_PASSWORD_FILE,
    OPT_BRAND,
    OPT_WEB,
    OPT_AUDIT_DAYS,
    OPT_USER,
    OPT_ADMIN_GROUP,
    OPT_ROOTD,
    OPT_LOG_LEVEL,
    OPT_MACHINE,
    OPT_SAMPLE_MS,
    OPT_VERSION,
    OPT_HELP
};

static const struct option_row {
    const char *name;
    enum option_id id;
    bool has_value;
} rows[] = {
    { "--rootless", OPT_ROOTLESS, false },
    { "--state", OPT_STATE, true },
    { "--runtime", OPT_RUNTIME, true },
    { "--https", OPT_HTTPS, true },
    { "--http", OPT_HTTP, true },
    { "--nbd", OPT_NBD, true },
    { "--password-file", OPT_PASSWORD_FILE, true },
    { "--brand", OPT_BRAND, true },
    { "--audit-days", OPT_AUDIT_DAYS, true },
    { "--web", OPT_WEB, true },
    { "--user", OPT_USER, true },
    { "--admin-group", OPT_ADMIN_GROUP, true },
    { "--rootd", OPT_ROOTD, true },
    { "--log-level", OPT_LOG_LEVEL, true },
    { "--machine", OPT_MACHINE, true }, /* "fake" or "qemu" */
    { "--sample-ms", OPT_SAMPLE_MS, true },
    { "--version", OPT_VERSION, false },
    { "--help", OPT_HELP, false },
    { "-h", OPT_HELP, false },
};

#define BAD(err, ...) \
    ((void)err_set(err, ERR_INVALID_VALUE, "command line"), err_detail(err, __VA_ARGS__))

/* "127.0.0.1:80", "[::1]:80", "localhost:80"; the port is checked, the address by binding it. */
static int check_addr(const char *name, const char *addr, struct err *err)
{
    const char *colon = strrchr(addr, ':');
    int64_t port;

    if (!colon || colon == addr || !parse_range(colon + 1, 0, 65535, &port))
        return BAD(err, "%s takes an address and a port, as 127.0.0.1:8443, not \"%s\".",
                   name, addr);
    if (addr[0] != '[' && memchr(addr, ':', (size_t)(colon - addr)))
        return BAD(err, "%s: write an IPv6 address in brackets, as [::1]:8443, not \"%s\".",
                   name, addr);
    return 0;
}

bool options_is_loopback(const char *addr)
{
    const char *colon = strrchr(addr, ':');
    AUTO(free_str) char *host = colon ? str_dupn(addr, (size_t)(colon - addr)) : NULL;
    int64_t part;

    if (!host)
        return false;
    if (str_eq(host, "localhost") || str_eq(host, "[::1]"))
        return true;
    if (!str_starts(host, "127."))
        return false;
    for (char *p = host, *dot; p; p = dot ? dot + 1 : NULL) {
        dot = strchr(p, '.');
        if (dot)
            *dot = '\0';
        if (!parse_range(p, 0, 255, &part))
            return false;
    }
    return true;
}

static int set_machine(struct options *o, const char *value, struct err *err)
{
    o->fake_machine = str_eq(value, "fake");
    if (!o->fake_machine && !str_eq(value, "qemu"))
        return BAD(err, "%s is fake or qemu, not \"%s\".", "--machine", value);
    return 0;
}

static int set_http(struct options *o, const char *value, struct err *err)
{
    if (check_addr("--http", value, err) != 0)
        return -1;
    if (!options_is_loopback(value))
        return BAD(err,
                   "%s serves loopback addresses only (passwords would cross the network), "
                   "not \"%s\".",
                   "--http", value);
    o->http = value;
    return 0;
}

static int set_audit_days(struct options *o, const char *value, struct err *err)
{
    int64_t days;

    if (!parse_range(value, 1, 36500, &days))
        return BAD(err, "%s is 1 to 36500, not \"%s\".", "--audit-days", value);
    o->audit_us = days * 24 * 3600 * US_PER_SEC;
    return 0;
}

static int set_sample_ms(struct options *o, const char *value, struct err *err)
{
    int64_t ms;

    if (!parse_range(value, 1, 60000, &ms))
        return BAD(err, "%s is 1 to 60000, not \"%s\".", "--sample-ms", value);
    o->sample_us = ms * 1000;
    return 0;
}

static int apply(struct options *o, enum option_id id, const char *value, struct err *err)
{
    switch (id) {
    case OPT_ROOTLESS: o->rootless = true; return 0;
    case OPT_STATE: o->state_dir = value; return 0;
    case OPT_RUNTIME: o->runtime_dir = value; return 0;
    case OPT_HTTPS: o->https = value; return check_addr("--https", value, err);
    case OPT_HTTP: return set_http(o, value, err);
    case OPT_NBD: o->nbd = value; return check_addr("--nbd", value, err);
    case OPT_PASSWORD_FILE: o->password_file = value; return 0;
    case OPT_BRAND:
        o->brand = brand_find(value);
        if (!o->brand)
            return BAD(err, "%s is xcp-ng, xenserver or serai, not \"%s\".", "--brand",
                       value);
        return 0;
    case OPT_WEB: o->web_dir = value; return 0;
    case OPT_USER: o->user = value; return 0;
    case OPT_ADMIN_GROUP: o->admin_group = value; return 0;
    case OPT_ROOTD: o->rootd = value; return 0;
    case OPT_LOG_LEVEL:
        if (!log_parse_level(value, &o->log_level))
            return BAD(err, "%s is error, warn, info or debug, not \"%s\".", "--log-level",
                       value);
        return 0;
    case OPT_MACHINE: return set_machine(o, value, err);
    case OPT_AUDIT_DAYS: return set_audit_days(o, value, err);
    case OPT_SAMPLE_MS: return set_sample_ms(o, value, err);
    case OPT_VERSION: o->version = true; return 0;
    case OPT_HELP: o->help = true; return 0;
    }
    return 0;
}

static const struct option_row *find_row(const char *arg, const char **value_out)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t n = strlen(rows[i].name);

        if (strncmp(arg, rows[i].name, n) != 0 || (arg[n] != '\0' && arg[n] != '='))
            continue;
        *value_out = arg[n] == '=' ? arg + n + 1 : NULL;
        return &rows[i];
    }
    return NULL;
}

int options_parse(int argc, char *const *argv, struct options *out, struct err *err)
{
    struct options o = { .log_level = LOG_INFO, .brand = brand_default };

    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        const struct option_row *row = find_row(argv[i], &value);

        if (!row)
            return BAD(err, "Unknown option \"%s\"; see seraid --help.", argv[i]);
        if (!row->has_value && value)
            return BAD(err, "%s takes no value, but \"%s\" was given.", row->name, value);
        if (row->has_value && !value) {
            if (i + 1 == argc)
                return BAD(err, "%s needs a value.", row->name);
            value = argv[++i];
        }
        if (row->has_value && !*value)
            return BAD(err, "%s needs a value.", row->name);
        if (apply(&o, row->id, value ? value : "", err) != 0)
            return -1;
    }
    if (o.rootless && o.nbd && !options_is_loopback(o.nbd))
        return BAD(err,
                   "--nbd: without a host's rights disks are served to this machine "
                   "alone: a loopback address, not \"%s\".",
                   o.nbd);
    *out = o;
    return 0;
}
