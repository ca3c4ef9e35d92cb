/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual interfaces and bridges. A tap lives as long as the descriptor that its machine holds, and the kernel takes it off
 * its bridge by itself, so nothing of a machine that ended is left but rules, which match the name of a device that is not
 * there (net_sweep removes them). Which interface a tap is stands in its alias; a bridge of ours has one too, and only such
 * a one is ever removed.
 *
 * An interface is bounded before it is put on a bridge. One request at a time works on interfaces. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>

#include "base/mem.h"
#include "rootd/link.h"
#include "rootd/net.h"
#include "rootd/rootd.h"
#include "rootd/vif_rules.h"

#define BRIDGE_ALIAS  "serai network"
#define SCRIPT_MAX    (512U << 10)
#define BYTES_PER_KIB 1024

static int fail(struct buf *out, const char *what)
{
    buf_addf(out, "%s: %m", what);
    return -1;
}

int net_lock(const struct config *c, struct buf *out)
{
    AUTO(free_str) char *path = str_fmt("%s/net-lock", c->run_dir);
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    /* Open until the process ends. */
    return fd < 0 || fcntl(fd, F_SETLKW, &l) < 0 ? fail(out, "lock") : 0;
}

/* ---- bridges ------------------------------------------------------------------------------------------- */

static int make_bridge(const char *name, unsigned mtu, struct link *out)
{
    if (link_find(name, out) == 0)
        return 0;
    if (errno != ENODEV
        || (link_add_bridge(name, BRIDGE_ALIAS, mtu) < 0 && errno != EEXIST))
        return -1;
    return link_find(name, out);
}

/* The bridge of the request, made where it may be. */
int net_get_bridge(const struct request *r, struct link *bridge, struct buf *out)
{
    const char *name = request_text(r, "bridge");
    unsigned mtu = (unsigned)request_u64(r, "mtu", 0);
    int rc = str_eq(request_text(r, "make"), "yes") ? make_bridge(name, mtu, bridge)
                                                    : link_find(name, bridge);

    if (rc < 0 && errno == ENODEV) {
        buf_addf(out, "there is no bridge %s", name);
        return -1;
    }
    if (rc < 0)
        return fail(out, name);
    if (!str_eq(bridge->kind, "bridge")) {
        buf_addf(out, "%s is a device, but no bridge", name);
        return -1;
    }
    return 0;
}

int net_bridge(const struct config *c, const struct request *r, struct buf *out,
               int *fd_out UNUSED)
{
    struct link bridge;
    struct link_change change = { .up = true, .mtu = (unsigned)request_u64(r, "mtu", 0) };

    if (net_lock(c, out) < 0 || net_get_bridge(r, &bridge, out) < 0)
        return -1;
    if (str_eq(bridge.alias, BRIDGE_ALIAS) && link_set(bridge.index, &change) < 0)
        return fail(out, bridge.name);
    return 0;
}

int net_unbridge(const struct config *c, const struct request *r, struct buf *out,
                 int *fd_out UNUSED)
{
    struct link bridge;

    if (net_lock(c, out) < 0)
        return -1;
    if (link_find(request_text(r, "bridge"), &bridge) < 0)
        return errno == ENODEV ? 0 : fail(out, "bridge");
    if (!str_eq(bridge.kind, "bridge") || !str_eq(bridge.alias, BRIDGE_ALIAS))
        return 0; /* not ours */
    if (link_ports(&bridge) != 0) {
        buf_addf(out, "%s has ports", bridge.name);
        return -1;
    }
    return link_delete(bridge.index) < 0 ? fail(out, bridge.name) : 0;
}

static bool is_kept(const struct request *r, const char *name)
{
    for (size_t i = 0; i < r->n_fields; i++)
        if (str_eq(r->fields[i].value, name))
            return true;
    return false;
}

struct rest {
    const struct request *request;
    int bad;
};

static void drop_bridge(const struct link *l, void *arg)
{
    struct rest *rest = arg;

    if (str_eq(l->kind, "bridge") && str_eq(l->alias, BRIDGE_ALIAS)
        && !is_kept(rest->request, l->name) && link_ports(l) == 0
        && link_delete(l->index) < 0)
        rest->bad = errno;
}

int net_keep(const struct config *c, const struct request *r, struct buf *out,
             int *fd_out UNUSED)
{
    struct rest rest = { .request = r };

    if (net_lock(c, out) < 0)
        return -1;
    if (link_each(drop_bridge, &rest) < 0)
        return fail(out, "bridges");
    errno = rest.bad;
    return rest.bad ? fail(out, "bridge") : vif_rules_sweep(c->nft, out);
}

/* ---- cards --------------------------------------------------------------------------------------------- */

/* Why it cannot become a port; NULL: it can. An address would be lost with it, and the host perhaps with that. */
static const char *unfit(const struct link *card, const struct link *bridge)
{
    struct link_address all[LINK_ADDRESSES_MAX];
    size_t n = 0;

    if (card->flags & IFF_LOOPBACK || str_eq(card->kind, "bridge")
        || str_eq(card->kind, "tun"))
        return "is no card";
    if (card->master != 0 && card->master != bridge->index)
        return "is a port of another bridge";
    if (link_addresses(card->index, AF_UNSPEC, all, &n) < 0)
        return "does not say which addresses it has";
    for (size_t i = 0; i < n && card->master == 0; i++)
        if (all[i].scope < RT_SCOPE_LINK)
            return "has an address of the host, which the host would lose: make a bridge "
                   "with that address in the host's own configuration, and a network that "
                   "is not managed by its name";
    return NULL;
}

int net_plug(const struct config *c, const struct request *r, struct buf *out,
             int *fd_out UNUSED)
{
    const char *device = request_text(r, "device"), *why;
    struct link_change change = { .up = true, .no_ipv6 = true };
    struct link bridge, card;

    if (net_lock(c, out) < 0)
        return -1;
    if (link_find(device, &card) < 0)
        return fail(out, device);
    if (net_get_bridge(r, &bridge, out) < 0)
        return -1;
    why = unfit(&card, &bridge);
    if (why) {
        buf_addf(out, "%s %s", device, why);
        return -1;
    }
    change.mtu = (unsigned)request_u64(r, "mtu", 0);
    change.master = card.master ? 0 : bridge.index;
    return link_set(card.index, &change) < 0 ? fail(out, device) : 0;
}

/* The bridge stays while machines are on it. */
int net_unplug(const struct config *c, const struct request *r, struct buf *out,
               int *fd_out UNUSED)
{
    struct link_change change = { .master = -1 };
    struct link bridge, card;

    if (net_lock(c, out) < 0)
        return -1;
    if (link_find(request_text(r, "bridge"), &bridge) < 0)
        return errno == ENODEV ? 0 : fail(out, "bridge");
    if (link_find(request_text(r, "device"), &card) == 0 && card.master == bridge.index
        && link_set(card.index, &change) < 0)
        return fail(out, card.name);
    if (str_eq(bridge.alias, BRIDGE_ALIAS) && link_ports(&bridge) == 0
        && link_delete(bridge.index) < 0)
        return fail(out, bridge.name);
    return 0;
}

/* ---- interfaces ---------------------------------------------------------------------------------------- */

static char *vif_alias(const struct request *r)
{
    return str_fmt("serai vif %s", request_text(r, "uuid"));
}

static void read_rules(const struct request *r, struct vif_rules *rules)
{
    const char *mode = request_text(r, "mode");

    rules->lock = str_eq(mode, "locked")     ? VIF_LOCKED
                  : str_eq(mode, "disabled") ? VIF_DISABLED
                                             : VIF_UNLOCKED;
    rules->kib_per_s = request_u64(r, "kbps", 0);
    IGNORE(request_mac(request_text(r, "mac"), rules->mac)); /* the gate has */
    for (size_t i = 0; i < r->n_fields; i++) {
        const char *name = r->fields[i].name, *value = r->fields[i].value;

        if (!str_eq(name, "allow"))
            continue;
        if (inet_pton(AF_INET, value, &rules->ipv4[rules->n_ipv4]) == 1)
            rules->n_ipv4++;
        else if (inet_pton(AF_INET6, value, &rules->ipv6[rules->n_ipv6]) == 1)
            rules->n_ipv6++;
    }
}

/* fresh: it cannot have rules yet. */
static int bound(const struct config *c, const struct request *r, const struct link *tap,
                 bool fresh, struct buf *out)
{
    AUTO(free_ptr) struct vif_rules *rules = mem_alloc(sizeof(*rules));
    AUTO(buf_done) struct buf script = BUF_INIT(SCRIPT_MAX);

    read_rules(r, rules);
    memcpy(rules->tap, tap->name, sizeof(rules->tap));
    if (vif_rules_any(rules))
        vif_rules_text(rules, &script);
    else if (!fresh)
        vif_rules_remove_text(tap->name, &script);
    if (script.len > 0 && vif_rules_run(c->nft, &script, out) < 0)
        return -1;
    if ((!fresh || rules->kib_per_s > 0)
        && link_set_rate(tap->index, rules->kib_per_s * BYTES_PER_KIB) < 0)
        return fail(out, "rate");
    return 0;
}

/* What the bridge must not take for an address of its own. */
static const uint8_t tap_mac[6] = { 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff };

static int set_up(const struct config *c, const struct request *r, const char *name,
                  const struct link *bridge, struct buf *out)
{
    AUTO(free_str) char *alias = vif_alias(r);
    struct link_change before = { .alias = alias,
                                  .mac = tap_mac,
                                  .mtu = (unsigned)request_u64(r, "mtu", 0),
                                  .no_ipv6 = true };
    struct link_change after = { .master = bridge->index, .up = true };
    struct link tap;

    if (link_find(name, &tap) < 0 || link_set(tap.index, &before) < 0)
        return fail(out, name);
    if (bound(c, r, &tap, true, out) < 0)
        return -1;
    return link_set(tap.index, &after) < 0 ? fail(out, bridge->name) : 0;
}

int net_tap(const struct config *c, const struct request *r, struct buf *out, int *fd_out)
{
    AUTO(free_str)
    char *name = str_fmt("vif%llu.%llu", (unsigned long long)request_u64(r, "domid", 0),
                         (unsigned long long)request_u64(r, "device", 0));
    AUTO(close_fd) int fd = -1;
    struct link bridge;

    if (net_lock(c, out) < 0 || net_get_bridge(r, &bridge, out) < 0)
        return -1;
    if (link_add_tap(name, &fd) < 0)
        return fail(out, name);
    if (set_up(c, r, name, &bridge, out) < 0)
        return -1;
    fields_add(out, "name", name);
    *fd_out = TAKE_FD(fd);
    return 0;
}

int net_vif(const struct config *c, const struct request *r, struct buf *out,
            int *fd_out UNUSED)
{
    AUTO(free_str) char *alias = vif_alias(r);
    struct link bridge, tap;
    struct link_change change = { .mtu = (unsigned)request_u64(r, "mtu", 0) };

    if (net_lock(c, out) < 0 || net_get_bridge(r, &bridge, out) < 0)
        return -1;
    if (link_by_alias(alias, &tap) < 0)
        return fail(out, "the interface");
    if (bound(c, r, &tap, false, out) < 0)
        return -1;
    change.master = tap.master == bridge.index ? 0 : bridge.index;
    return link_set(tap.index, &change) < 0 ? fail(out, bridge.name) : 0;
}

int net_sweep(const struct config *c, const struct request *r UNUSED, struct buf *out,
              int *fd_out UNUSED)
{
    return net_lock(c, out) < 0 ? -1 : vif_rules_sweep(c->nft, out);
}
