/* SPDX-License-Identifier: Apache-2.0 */
/* Networks whose guests share the host's address. For each: the router's address on the bridge, a table of nftables of its
 * own ("ip serai-BRIDGE"), and a dnsmasq that gives addresses to known interfaces alone and answers questions about names.
 * net_nat makes all of it true whatever was there, net_unnat removes it.
 *
 * A host that was no router becomes one for these networks only: what neither comes from one nor goes to one is dropped
 * as before. That it was none is written down first (RUN/no-router), which like the switch itself is gone at the
 * next boot. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/proc.h"
#include "rootd/net.h"
#include "rootd/service.h"
#include "rootd/vif_rules.h"

#define SCRIPT_MAX 8192
#define FORWARD    "/proc/sys/net/ipv4/ip_forward"
#define OTHERS     "ip serai"

static int fail(struct buf *out, const char *what)
{
    buf_addf(out, "%s: %m", what);
    return -1;
}

struct nat {
    const char *bridge;
    struct in_addr router, network, mask;
    unsigned prefix;
    char network_text[INET_ADDRSTRLEN], router_text[INET_ADDRSTRLEN],
        mask_text[INET_ADDRSTRLEN];
};

static int read_nat(const struct request *r, struct nat *n, struct buf *out)
{
    n->bridge = request_text(r, "bridge");
    n->prefix = (unsigned)request_u64(r, "prefix", 24);
    n->mask.s_addr = htonl((uint32_t) ~((UINT64_C(1) << (32 - n->prefix)) - 1));
    if (inet_pton(AF_INET, request_text(r, "router"), &n->router) != 1) {
        buf_add_str(out, "the router needs an IPv4 address");
        return -1;
    }
    n->network.s_addr = n->router.s_addr & n->mask.s_addr;
    (void)inet_ntop(AF_INET, &n->network, n->network_text, sizeof(n->network_text));
    (void)inet_ntop(AF_INET, &n->router, n->router_text, sizeof(n->router_text));
    (void)inet_ntop(AF_INET, &n->mask, n->mask_text, sizeof(n->mask_text));
    return 0;
}

/* ---- rules --------------------------------------------------------------------------------------------- */

static void add_rules(struct buf *b, const struct nat *n)
{
    const char *t = n->bridge;

    buf_addf(b, "add table ip serai-%s\nflush table ip serai-%s\n", t, t);
    buf_addf(b,
             "add chain ip serai-%s out { type nat hook postrouting priority 100; }\n"
             "add chain ip serai-%s through { type filter hook forward priority 0; }\n",
             t, t);
    buf_addf(b, "add rule ip serai-%s out ip saddr %s/%u ip daddr != %s/%u masquerade\n", t,
             n->network_text, n->prefix, n->network_text, n->prefix);
    /* Nobody calls a guest from outside. */
    buf_addf(b,
             "add rule ip serai-%s through oifname \"%s\" iifname != \"%s\" "
             "ct state != { established, related } drop\n",
             t, t, t);
}

static void add_others(struct buf *b, const struct nat *n)
{
    buf_addf(b,
             "add table " OTHERS "\nadd set " OTHERS " ours { type ifname; }\n"
             "add element " OTHERS " ours { \"%s\" }\n"
             "add chain " OTHERS " others { type filter hook forward priority 0; }\n"
             "flush chain " OTHERS " others\n"
             /* Some kernels show bridged packets here, as from and to their bridge. */
             "add rule " OTHERS " others iifname != @ours oifname != @ours "
             "meta iifkind != \"bridge\" drop\n"
             "add rule " OTHERS " others iifname != @ours oifname != @ours "
             "meta oifkind != \"bridge\" drop\n",
             n->bridge);
}

/* 1: it forwards packets; 0: not; -1. */
static int forwards(void)
{
    AUTO(buf_done) struct buf b = BUF_INIT(16);

    return io_read_file(FORWARD, &b) < 0 ? -1 : buf_str(&b)[0] != '0';
}

static int write_small(const char *path, int flags, const char *text)
{
    AUTO(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);
    ssize_t len = (ssize_t)strlen(text);

    return fd >= 0 && write(fd, text, (size_t)len) == len ? 0 : -1;
}

static int let_out(const struct config *c, const struct nat *n, struct buf *out)
{
    AUTO(buf_done) struct buf script = BUF_INIT(SCRIPT_MAX);
    AUTO(free_str) char *mark = str_fmt("%s/no-router", c->run_dir);
    int router = forwards();

    if (router < 0 || (router == 0 && write_small(mark, O_CREAT, "") < 0))
        return fail(out, FORWARD);
    add_rules(&script, n);
    if (access(mark, F_OK) == 0)
        add_others(&script, n);
    if (vif_rules_run(c->nft, &script, out) < 0)
        return -1;
    return router == 0 && write_small(FORWARD, 0, "1\n") < 0 ? fail(out, FORWARD) : 0;
}

/* ---- the bridge's address ------------------------------------------------------------------------------ */

static int set_address(const struct link *bridge, const struct nat *n)
{
    struct link_address want = { .family = AF_INET, .prefix = n->prefix },
                        has[LINK_ADDRESSES_MAX];
    size_t n_has = 0;

    memcpy(want.bytes, &n->router, sizeof(n->router));
    if (link_addresses(bridge->index, AF_INET, has, &n_has) < 0)
        return -1;
    for (size_t i = 0; i < n_has; i++)
        if ((memcmp(has[i].bytes, want.bytes, 4) != 0 || has[i].prefix != want.prefix)
            && link_remove_address(bridge->index, &has[i]) < 0)
            return -1;
    return link_add_address(bridge->index, &want);
}

/* ---- dnsmasq ------------------------------------------------------------------------------------------- */

static const char *nth(const struct request *r, const char *name, size_t at)
{
    for (size_t i = 0; i < r->n_fields; i++)
        if (str_eq(r->fields[i].name, name) && at-- == 0)
            return r->fields[i].value;
    return NULL;
}

static void add_hosts(struct argv *argv, const struct request *r)
{
    uint8_t mac[6];

    for (size_t i = 0; i < NAT_HOSTS_MAX; i++) {
        const char *text = nth(r, "mac", i), *ip = nth(r, "ip", i);

        if (!text || !ip || strchr(ip, ':') || !request_mac(text, mac))
            return;
        argv_addf(argv, "--dhcp-host=%02x:%02x:%02x:%02x:%02x:%02x,%s", mac[0], mac[1],
                  mac[2], mac[3], mac[4], mac[5], ip);
    }
}

int service_dhcp(const struct config *c, const struct request *r, struct buf *out,
                 int *fd_out)
{
    static const char *const fixed[] = {
        "--keep-in-foreground",
        "--user=",
        "--group=",
        "--pid-file=",
        "--leasefile-ro",
        "--no-hosts",
        "--bind-interfaces",
        "--domain-needed",
        "--bogus-priv",
        "--except-interface=lo",
        "--dhcp-authoritative",
        "--no-ping",
        "--log-facility=-",
        "--quiet-dhcp",
        /* Answers to those without an address need a right of the kernel's otherwise. */
        "--dhcp-broadcast",
    };
    struct argv argv = { 0 };
    struct nat n;
    int rc;

    if (read_nat(r, &n, out) < 0)
        return -1;
    argv_add(&argv, c->dnsmasq);
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        argv_add(&argv, fixed[i]);
    argv_addf(&argv, "--interface=%s", n.bridge);
    argv_addf(&argv, "--dhcp-range=%s,static,%s,12h", n.network_text, n.mask_text);
    add_hosts(&argv, r);
    rc = spawn_service(c, r, request_text(r, "uuid"), c->dnsmasq, argv.v,
                       &c->service_filter, out, fd_out);
    argv_done(&argv);
    return rc;
}

int service_end(const struct config *c, const struct request *r, struct buf *out,
                int *fd_out)
{
    return spawn_service(c, r, request_text(r, "uuid"), NULL, NULL, NULL, out, fd_out);
}

/* ---- verbs --------------------------------------------------------------------------------------------- */

static void forward(const struct request *r, const char *verb, struct buf *b)
{
    fields_add(b, "verb", verb);
    for (size_t i = 0; i < r->n_fields; i++)
        fields_add(b, r->fields[i].name, r->fields[i].value);
}

int net_nat(const struct config *c, const struct request *r, struct buf *out, int *fd_out)
{
    AUTO(buf_done) struct buf b = BUF_INIT(REQUEST_BYTES_MAX);
    struct link bridge;
    struct nat n;

    if (read_nat(r, &n, out) < 0 || net_lock(c, out) < 0
        || net_get_bridge(r, &bridge, out) < 0)
        return -1;
    if (set_address(&bridge, &n) < 0)
        return fail(out, "address");
    if (let_out(c, &n, out) < 0)
        return -1;
    forward(r, "service_dhcp", &b);
    return service_ask(c, &b, out, fd_out);
}

int net_unnat(const struct config *c, const struct request *r, struct buf *out,
              int *fd_out UNUSED)
{
    AUTO(buf_done) struct buf script = BUF_INIT(SCRIPT_MAX);
    AUTO(buf_done) struct buf b = BUF_INIT(REQUEST_BYTES_MAX);
    const char *bridge = request_text(r, "bridge");
    int none = -1;

    if (net_lock(c, out) < 0)
        return -1;
    fields_add(&b, "verb", "service_end");
    fields_add(&b, "uuid", request_text(r, "uuid"));
    buf_addf(&script, "add table ip serai-%s\ndelete table ip serai-%s\n", bridge, bridge);
    /* Adding first makes removing what is not there no error. */
    buf_addf(&script,
             "add table " OTHERS "\nadd set " OTHERS " ours { type ifname; }\n"
             "add element " OTHERS " ours { \"%s\" }\n"
             "delete element " OTHERS " ours { \"%s\" }\n",
             bridge, bridge);
    return service_ask(c, &b, out, &none) < 0 || vif_rules_run(c->nft, &script, out) < 0
               ? -1
               : 0;
}
