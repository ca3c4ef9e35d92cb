/* SPDX-License-Identifier: Apache-2.0 */
/* What rootd is asked about networks. Owns nothing: taps live in the machines' descriptors, bridges and rules in the
 * kernel. Thread: any. */
#include "host/net.h"

#include <errno.h>

#include "api/errors.h"
#include "base/mem.h"
#include "host/root.h"

#define BRIDGES_MAX 900 /* with more networks than that, nothing is removed at the start */
#define SILENT      "serai-rootd does not answer; see whether it runs"

bool net_real(void)
{
    return root_get()->jailed;
}

bool net_name_ok(const char *name)
{
    static const char word[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t len = strlen(name);

    return len > 0 && len < IFNAMSIZ && strspn(name, word) == len && name[0] != '.'
           && name[0] != '-';
}

static struct buf request(const char *verb)
{
    struct buf b = BUF_INIT(ROOT_REQUEST_MAX);

    fields_add(&b, "verb", verb);
    return b;
}

/* Ask; what was wrong goes to *why_out, given, NULL: nothing. fd_out: NULL: none is awaited. */
static int ask(const struct buf *b, int *fd_out, char **why_out)
{
    AUTO(free_ptr) struct root_reply *r = mem_alloc(sizeof(*r));
    const char *why = NULL;

    *why_out = NULL;
    if (root_ask(b, NULL, 0, r, &why) < 0)
        *why_out = str_fmt("%s: %m", SILENT);
    else if (why)
        *why_out = str_dup(why);
    else if (fd_out && r->fd < 0)
        *why_out = str_dup("an answer without a descriptor");
    if (!*why_out && fd_out)
        *fd_out = TAKE_FD(r->fd);
    close_fd(&r->fd);
    return *why_out ? -1 : 0;
}

static void add_vif(struct buf *b, const struct net_vif *v)
{
    static const char *const modes[] = {
        [NET_UNLOCKED] = "unlocked", [NET_LOCKED] = "locked", [NET_DISABLED] = "disabled"
    };

    fields_add(b, "uuid", v->id);
    fields_add(b, "bridge", v->bridge);
    fields_add(b, "make", v->make_bridge ? "yes" : "no");
    fields_add_u64(b, "mtu", v->mtu);
    fields_add(b, "mode", modes[v->lock]);
    fields_add(b, "mac", v->mac);
    for (size_t i = 0; i < v->n_ipv4; i++)
        fields_add(b, "allow", v->ipv4[i]);
    for (size_t i = 0; i < v->n_ipv6; i++)
        fields_add(b, "allow", v->ipv6[i]);
    if (v->kib_per_s)
        fields_add_u64(b, "kbps", v->kib_per_s);
}

static int no_bridge(const char *bridge, const char *why, struct err *err)
{
    err_set(err, ERR_BRIDGE_NOT_AVAILABLE, bridge);
    return err_detail(err, "%s", why);
}

int net_tap(const struct net_vif *v, unsigned domid, unsigned device, int *fd_out,
            struct err *err)
{
    AUTO(buf_done) struct buf b = request("net_tap");
    AUTO(free_str) char *why = NULL;

    add_vif(&b, v);
    fields_add_u64(&b, "domid", domid);
    fields_add_u64(&b, "device", device);
    if (ask(&b, fd_out, &why) < 0)
        return no_bridge(v->bridge, why, err);
    return 0;
}

int net_vif_set(const struct net_vif *v, struct err *err)
{
    AUTO(buf_done) struct buf b = request("net_vif");
    AUTO(free_str) char *why = NULL;

    add_vif(&b, v);
    if (ask(&b, NULL, &why) < 0)
        return no_bridge(v->bridge, why, err);
    return 0;
}

int net_bridge(const char *bridge, bool make, unsigned mtu, struct err *err)
{
    AUTO(buf_done) struct buf b = request("net_bridge");
    AUTO(free_str) char *why = NULL;

    fields_add(&b, "bridge", bridge);
    fields_add(&b, "make", make ? "yes" : "no");
    fields_add_u64(&b, "mtu", mtu);
    return ask(&b, NULL, &why) < 0 ? no_bridge(bridge, why, err) : 0;
}

int net_unbridge(const char *bridge, struct err *err)
{
    AUTO(buf_done) struct buf b = request("net_unbridge");
    AUTO(free_str) char *why = NULL;

    fields_add(&b, "bridge", bridge);
    return ask(&b, NULL, &why) < 0 ? no_bridge(bridge, why, err) : 0;
}

bool net_mac_ok(const char *mac)
{
    for (size_t i = 0; i < 17; i++)
        if (i % 3 == 2 ? mac[i] != ':'
                       : !mac[i] || !strchr("0123456789abcdefABCDEF", mac[i]))
            return false;
    return mac[17] == '\0' && strchr("02468aceACE", mac[1]) != NULL;
}

int net_nat(const struct net_nat *n, int *pidfd_out, struct err *err)
{
    AUTO(buf_done) struct buf b = request("net_nat");
    AUTO(free_str) char *why = NULL;

    fields_add(&b, "uuid", n->id);
    fields_add(&b, "bridge", n->bridge);
    fields_add(&b, "make", n->make_bridge ? "yes" : "no");
    fields_add_u64(&b, "mtu", n->mtu);
    fields_add(&b, "router", n->router);
    fields_add_u64(&b, "prefix", n->prefix);
    for (size_t i = 0; i < n->n_hosts; i++) {
        fields_add(&b, "mac", n->hosts[i].mac);
        fields_add(&b, "ip", n->hosts[i].ip);
    }
    return ask(&b, pidfd_out, &why) < 0 ? no_bridge(n->bridge, why, err) : 0;
}

int net_unnat(const char *id, const char *bridge, struct err *err)
{
    AUTO(buf_done) struct buf b = request("net_unnat");
    AUTO(free_str) char *why = NULL;

    fields_add(&b, "uuid", id);
    fields_add(&b, "bridge", bridge);
    return ask(&b, NULL, &why) < 0 ? no_bridge(bridge, why, err) : 0;
}

int net_plug(const char *bridge, bool make, unsigned mtu, const char *device,
             char **why_out)
{
    AUTO(buf_done) struct buf b = request("net_plug");

    fields_add(&b, "bridge", bridge);
    fields_add(&b, "make", make ? "yes" : "no");
    fields_add_u64(&b, "mtu", mtu);
    fields_add(&b, "device", device);
    return ask(&b, NULL, why_out);
}

int net_unplug(const char *bridge, const char *device, char **why_out)
{
    AUTO(buf_done) struct buf b = request("net_unplug");

    fields_add(&b, "bridge", bridge);
    fields_add(&b, "device", device);
    return ask(&b, NULL, why_out);
}

char *net_bridge_of(const char *device)
{
    AUTO(free_str) char *path = str_fmt("/sys/class/net/%s/master", device);
    char target[256];
    ssize_t n = readlink(path, target, sizeof(target) - 1);

    if (n < 0)
        return NULL;
    target[n] = '\0';
    return str_dup(strrchr(target, '/') ? strrchr(target, '/') + 1 : target);
}

int net_keep(const char *const *bridges, size_t n, struct err *err)
{
    AUTO(buf_done) struct buf b = request("net_keep");
    AUTO(free_str) char *why = NULL;

    if (n > BRIDGES_MAX)
        return net_sweep(err);
    for (size_t i = 0; i < n; i++)
        fields_add(&b, "bridge", bridges[i]);
    return ask(&b, NULL, &why) == 0 ? 0 : no_bridge("", why, err);
}

int net_sweep(struct err *err)
{
    AUTO(buf_done) struct buf b = request("net_sweep");
    AUTO(free_str) char *why = NULL;

    if (ask(&b, NULL, &why) == 0)
        return 0;
    err_set(err, ERR_BRIDGE_NOT_AVAILABLE, "");
    return err_detail(err, "%s", why);
}
