/* SPDX-License-Identifier: Apache-2.0 */
/* One thread makes networks with address translation true, over and over: at the start, when it is told that something has
 * changed, and when what gives the addresses (dnsmasq, by rootd) has ended. A pass chooses a range for a network that
 * has none, which no route of the host overlaps; gives each interface an address, kept in network.assigned_ips; and asks
 * rootd for all of it if it is not what was asked for last. What the daemon leaves when it dies runs on, and is made anew
 * by the first pass. */
#include "ops/nat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"
#include "host/net.h"

#define ROUTES_MAX   (1U << 20)
#define PREFIX       22
#define NETWORKS_MAX 64
#define RETRY_US     (2 * US_PER_SEC)

static int wake = -1; /* eventfd; set before the thread starts */
static bool stopping GUARDED_BY(db_mutex);
static pthread_t worker;
static bool worker_runs;

/* What rootd was asked for. */
struct served {
    char id[UUID_TEXT_SIZE];
    char *bridge, *text;
    int pidfd;
    bool seen; /* in this pass */
};

static VEC(struct served) served; /* the thread's */

/* ---- addresses ----------------------------------------------------------------------------------------- */

struct range {
    uint32_t network, mask; /* host order */
};

static bool overlap(struct range a, struct range b)
{
    uint32_t mask = a.mask & b.mask;
    return (a.network & mask) == (b.network & mask);
}

/* /proc/net/route: the numbers are in network order, read as one of the host's. */
static bool route_overlaps(const char *line, const char *bridge, struct range r)
{
    char name[32];
    unsigned network, mask;
    /* The widths bound what is read. */
    if (sscanf(line, "%31s %8x %*x %*x %*d %*d %*d %8x", name, &network, &mask)
            != 3 // NOLINT(cert-err34-c)
        || mask == 0 || str_eq(name, bridge))
        return false;
    return overlap(r, (struct range){ ntohl(network), ntohl(mask) });
}

static bool collides(const char *routes, const char *bridge, struct range r)
{
    for (const char *line = strchr(routes, '\n'); line && *line; line = strchr(line, '\n'))
        if (route_overlaps(++line, bridge, r))
            return true;
    return false;
}

static const char *lookup(const struct map_string_string *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->v[i].key, key))
            return m->v[i].val;
    return NULL;
}

static bool wants_nat(const struct network_rec *n)
{
    const char *nat = lookup(&n->other_config, "nat");
    return nat && str_eq(nat, "true") && net_name_ok(n->bridge);
}

/* "10.181.0.1" with "255.255.252.0". */
static bool range_of(const struct network_rec *n, struct range *out, uint32_t *router_out)
{
    const char *gateway = lookup(&n->other_config, "gateway");
    const char *netmask = lookup(&n->other_config, "netmask");
    struct in_addr a, m;
    if (!gateway || !netmask || inet_pton(AF_INET, gateway, &a) != 1
        || inet_pton(AF_INET, netmask, &m) != 1)
        return false;
    out->mask = ntohl(m.s_addr);
    out->network = ntohl(a.s_addr) & out->mask;
    *router_out = ntohl(a.s_addr);
    uint32_t hosts = ~out->mask;
    return (hosts & (hosts + 1)) == 0 && hosts >= 3 && hosts < UINT32_C(1) << 24;
}

/* Of another network with address translation. */
static bool range_taken(const struct ref *self, struct range r) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_NETWORK); it.rec; db_next(&it)) {
        struct range other;
        uint32_t router;
        if (!ref_eq(&it.ref, self) && wants_nat(it.rec) && range_of(it.rec, &other, &router)
            && overlap(r, other))
            return true;
    }
    return false;
}

static char *address_text(uint32_t address)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr a = { htonl(address) };
    return str_dup(inet_ntop(AF_INET, &a, text, sizeof(text)));
}

/* 10.181.0.0, 10.182.0.0, ..., then 172.30.0.0, 192.168.180.0: the first that is free. */
static bool choose_range(const struct ref *self, const char *routes, const char *bridge,
                         struct range *out) REQUIRES(db_mutex)
{
    out->mask = ~((UINT32_C(1) << (32 - PREFIX)) - 1);
    for (unsigned i = 0; i < 76; i++) {
        out->network = i < 74    ? 10U << 24 | (181 + i) << 16
                       : i == 74 ? 172U << 24 | 30 << 16
                                 : 192U << 24 | 168 << 16 | 180 << 8;
        if (!collides(routes, bridge, *out) && !range_taken(self, *out))
            return true;
    }
    return false;
}

static bool in_use(const struct network_rec *n) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < n->VIFs.n; i++)
        if (((const struct vif_rec *)db_get(CLASS_VIF, &n->VIFs.v[i]))->currently_attached)
            return true;
    return false;
}

/* It has one that is free, or that guests use already; else it gets one. False: none is left. */
static bool settle_range(struct tx *tx, const struct ref *ref, const char *routes)
    REQUIRES(db_mutex)
{
    const struct network_rec *n = db_get(CLASS_NETWORK, ref);
    struct range r;
    uint32_t router;
    if (range_of(n, &r, &router)) {
        if (in_use(n) || !collides(routes, n->bridge, r))
            return true;
        log_warn("network %s: its addresses are routed elsewhere; it gets others", n->uuid);
    }
    if (!choose_range(ref, routes, n->bridge, &r)) {
        log_error("network %s: no range of addresses is free", n->uuid);
        return false;
    }
    AUTO(free_str) char *gateway = address_text(r.network + 1);
    AUTO(free_str) char *netmask = address_text(r.mask);
    AUTO(free_str) char *begin = address_text(r.network + 2);
    AUTO(free_str) char *end = address_text((r.network | ~r.mask) - 1);
    tx_map_put_str(tx, ref, CLASS_NETWORK, F_NETWORK_OTHER_CONFIG, "gateway", gateway);
    tx_map_put_str(tx, ref, CLASS_NETWORK, F_NETWORK_OTHER_CONFIG, "netmask", netmask);
    tx_map_put_str(tx, ref, CLASS_NETWORK, F_NETWORK_OTHER_CONFIG, "ip_begin", begin);
    tx_map_put_str(tx, ref, CLASS_NETWORK, F_NETWORK_OTHER_CONFIG, "ip_end", end);
    return true;
}

/* ---- who gets which ------------------------------------------------------------------------------------ */

/* The fixed one that the interface is to have, without its prefix; 0: none. */
static uint32_t fixed_address(const struct vif_rec *vif)
{
    char text[INET_ADDRSTRLEN + 1];
    struct in_addr a;
    if (vif->ipv4_configuration_mode != VIF_IPV4_CONFIGURATION_MODE_STATIC
        || vif->ipv4_addresses.n == 0)
        return 0;
    (void)snprintf(text, sizeof(text), "%.*s",
                   (int)MIN(strcspn(vif->ipv4_addresses.v[0], "/"), sizeof(text) - 1),
                   vif->ipv4_addresses.v[0]);
    return inet_pton(AF_INET, text, &a) == 1 ? ntohl(a.s_addr) : 0;
}

struct plan {
    struct range range;
    uint32_t router;

    struct {
        struct ref vif;
        uint32_t address;
    } v[NET_HOSTS_MAX];

    size_t n;
};

static bool plan_has(const struct plan *p, uint32_t address)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].address == address)
            return true;
    return false;
}

static bool plan_knows(const struct plan *p, const struct ref *vif)
{
    for (size_t i = 0; i < p->n; i++)
        if (ref_eq(&p->v[i].vif, vif))
            return true;
    return false;
}

static bool plan_add(struct plan *p, const struct ref *vif, uint32_t address)
{
    uint32_t last = p->range.network | ~p->range.mask;
    if (p->n == NET_HOSTS_MAX || address <= p->range.network || address >= last
        || address == p->router || plan_has(p, address) || plan_knows(p, vif))
        return false;
    p->v[p->n].vif = *vif;
    p->v[p->n++].address = address;
    return true;
}

/* Of a machine; those of templates and snapshots are only drawings. */
static bool is_real(const struct vif_rec *vif) REQUIRES(db_mutex)
{
    const struct vm_rec *vm = db_get(CLASS_VM, &vif->VM);
    return vm && !vm->is_a_template && !vm->is_a_snapshot && net_mac_ok(vif->MAC);
}

/* Fixed ones first, then those that have one keep it, then the others take the lowest. */
static void make_plan(const struct network_rec *n, struct plan *p) REQUIRES(db_mutex)
{
    const struct map_ref_string *had = &n->assigned_ips;
    for (size_t i = 0; i < n->VIFs.n; i++) {
        const struct vif_rec *vif = db_get(CLASS_VIF, &n->VIFs.v[i]);
        if (is_real(vif))
            (void)plan_add(p, &n->VIFs.v[i], fixed_address(vif));
    }
    for (size_t i = 0; i < had->n; i++) {
        const struct vif_rec *vif = db_get(CLASS_VIF, &had->v[i].key);
        struct in_addr a;
        if (vif && db_get(CLASS_NETWORK, &vif->network) == n && is_real(vif)
            && inet_pton(AF_INET, had->v[i].val, &a) == 1)
            (void)plan_add(p, &had->v[i].key, ntohl(a.s_addr));
    }
    uint32_t next = p->range.network + 2;
    for (size_t i = 0; i < n->VIFs.n && p->n < NET_HOSTS_MAX; i++) {
        if (!is_real(db_get(CLASS_VIF, &n->VIFs.v[i])) || plan_knows(p, &n->VIFs.v[i]))
            continue;
        while (next < (p->range.network | ~p->range.mask)
               && !plan_add(p, &n->VIFs.v[i], next))
            next++;
    }
}

static void record_plan(struct tx *tx, const struct ref *ref, const struct plan *p)
    REQUIRES(db_mutex)
{
    const struct ty *ty = schema_classes[CLASS_NETWORK].fields[F_NETWORK_ASSIGNED_IPS].ty;
    struct map_ref_string map = { 0 };
    for (size_t i = 0; i < p->n; i++) {
        AUTO(free_str) char *text = address_text(p->v[i].address);
        const char *val = text;
        (void)map_put(ty, &map, &p->v[i].vif, &val);
    }
    tx_set(tx, ref, CLASS_NETWORK, F_NETWORK_ASSIGNED_IPS, &map);
    value_done(ty, &map);
}

/* ---- asking rootd -------------------------------------------------------------------------------------- */

static struct served *served_get(const char *id)
{
    for (size_t i = 0; i < served.n; i++)
        if (str_eq(served.v[i].id, id))
            return &served.v[i];
    struct served s = { .pidfd = -1 };
    memcpy(s.id, id, sizeof(s.id));
    vec_push(&served, s);
    return &served.v[served.n - 1];
}

static bool ended(int pidfd)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    return pidfd < 0 || poll(&p, 1, 0) != 0;
}

/* All that rootd is told, as one text; and the hosts of it. */
struct wish {
    struct net_nat nat;
    char *bridge, *router, *text;
    char *macs[NET_HOSTS_MAX], *ips[NET_HOSTS_MAX];
};

static void wish_free(struct wish *w)
{
    for (size_t i = 0; i < w->nat.n_hosts; i++) {
        free(w->macs[i]);
        free(w->ips[i]);
    }
    free(w->nat.hosts);
    free(w->bridge);
    free(w->router);
    free(w->text);
    free(w);
}

static struct wish *make_wish(const struct network_rec *n, const struct plan *p)
    REQUIRES(db_mutex)
{
    struct wish *w = mem_alloc(sizeof(*w));
    AUTO(buf_done) struct buf text = BUF_INIT(1U << 20);
    w->bridge = str_dup(n->bridge);
    w->router = address_text(p->router);
    w->nat = (struct net_nat){ .bridge = w->bridge,
                               .router = w->router,
                               .make_bridge = n->managed,
                               .mtu = n->MTU >= 68 && n->MTU <= 65521 ? (unsigned)n->MTU
                                                                      : 1500,
                               .prefix = (unsigned)__builtin_popcount(p->range.mask),
                               .hosts = mem_array(p->n + 1, sizeof(*w->nat.hosts)) };
    memcpy(w->nat.id, n->uuid, sizeof(w->nat.id));
    buf_addf(&text, "%s %s/%u %u", w->bridge, w->router, w->nat.prefix, w->nat.mtu);
    for (size_t i = 0; i < p->n; i++) {
        const struct vif_rec *vif = db_get(CLASS_VIF, &p->v[i].vif);
        size_t at = w->nat.n_hosts++;
        w->macs[at] = str_dup(vif->MAC);
        w->ips[at] = address_text(p->v[i].address);
        w->nat.hosts[at] = (struct net_host){ w->macs[at], w->ips[at] };
        buf_addf(&text, " %s=%s", w->macs[at], w->ips[at]);
    }
    w->text = str_dup(buf_str(&text));
    return w;
}

/* False: try again later. */
static bool grant(const struct wish *w)
{
    AUTO(err_done) struct err err = { 0 };
    struct served *s = served_get(w->nat.id);
    s->seen = true;
    if (str_eq(s->text, w->text) && !ended(s->pidfd))
        return true;
    if (s->text && ended(s->pidfd))
        log_warn("network %s: what gives addresses has ended and is started again", s->id);
    close_fd(&s->pidfd);
    free_str(&s->text);
    free_str(&s->bridge);
    s->bridge = str_dup(w->bridge);
    if (net_nat(&w->nat, &s->pidfd, &err) == 0) {
        s->text = str_dup(w->text);
        return true;
    }
    AUTO(free_str) char *text = err_text(&err);
    log_error("network %s: %s", s->id, text);
    return false;
}

static void end_unseen(void)
{
    for (size_t i = 0; i < served.n;) {
        struct served *s = &served.v[i];
        AUTO(err_done) struct err err = { 0 };
        if (s->seen) {
            i++;
            continue;
        }
        if (s->bridge
            && (net_unnat(s->id, s->bridge, &err) || net_unbridge(s->bridge, &err)))
            log_warn("network %s: %s", s->id, err.detail ? err.detail : err.code);
        close_fd(&s->pidfd);
        free_str(&s->text);
        free_str(&s->bridge);
        served.v[i] = served.v[--served.n];
    }
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

static struct wish *settle(const struct ref *ref, const char *routes)
{
    AUTO(free_ptr) struct plan *p = mem_alloc(sizeof(*p));
    AUTO(err_done) struct err err = { 0 };
    struct wish *w = NULL;
    struct tx *tx = daemon_tx("addresses of guests");
    const struct network_rec *n = db_get(CLASS_NETWORK, ref);
    if (n && wants_nat(n) && settle_range(tx, ref, routes)
        && range_of(n, &p->range, &p->router)) {
        make_plan(n, p);
        record_plan(tx, ref, p);
        w = make_wish(n, p);
    }
    if (tx_commit(tx, &err) == 0)
        return w;
    log_error("addresses of guests: %s", err.code);
    if (w)
        wish_free(w);
    return NULL;
}

static bool pass(void)
{
    AUTO(buf_done) struct buf routes = BUF_INIT(ROUTES_MAX);
    VEC(struct ref) networks = { 0 };
    bool done = io_read_file("/proc/net/route", &routes) == 0;
    for (size_t i = 0; i < served.n; i++)
        served.v[i].seen = false;
    db_lock();
    for (struct db_iter it = db_first(CLASS_NETWORK); it.rec; db_next(&it))
        if (wants_nat(it.rec) && networks.n < NETWORKS_MAX)
            vec_push(&networks, it.ref);
    db_unlock();
    for (size_t i = 0; i < networks.n && done; i++) {
        struct wish *w = settle(&networks.v[i], buf_str(&routes));
        done = w && grant(w);
        if (w)
            wish_free(w);
    }
    if (done)
        end_unseen();
    vec_done(&networks);
    return done;
}

/* Until it is poked, something has ended, or (after a failure) for a while. */
static void wait_for_news(bool done)
{
    struct pollfd p[NETWORKS_MAX + 1] = { { .fd = wake, .events = POLLIN } };
    uint64_t n;
    for (size_t i = 0; i < served.n && i < NETWORKS_MAX; i++)
        p[i + 1] = (struct pollfd){ .fd = served.v[i].pidfd, .events = POLLIN };
    (void)poll(p, (nfds_t)MIN(served.n, (size_t)NETWORKS_MAX) + 1,
               done ? -1 : (int)(RETRY_US / US_PER_MS));
    (void)!read(wake, &n, sizeof(n)); /* it does not wait */
}

static bool must_stop(void)
{
    db_lock();
    bool stop = stopping;
    db_unlock();
    return stop;
}

static void *nat_main(void *arg)
{
    (void)arg;
    while (!must_stop())
        wait_for_news(pass());
    for (size_t i = 0; i < served.n; i++) {
        close_fd(&served.v[i].pidfd);
        free_str(&served.v[i].text);
        free_str(&served.v[i].bridge);
    }
    vec_done(&served);
    return NULL;
}

void nat_poke(void)
{
    uint64_t one = 1;
    if (wake >= 0)
        (void)!write(wake, &one, sizeof(one)); /* full: it is awake */
}

int nat_init(struct err *err)
{
    if (!net_real())
        return 0;
    wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0 || thread_start(&worker, "nat", 256, nat_main, NULL)) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "nat");
        return err_detail(err, "starting a thread: %m");
    }
    worker_runs = true;
    return 0;
}

void nat_done(void)
{
    if (!worker_runs)
        return;
    db_lock();
    stopping = true;
    db_unlock();
    nat_poke();
    (void)pthread_join(worker, NULL);
    worker_runs = false;
    close_fd(&wake);
}
