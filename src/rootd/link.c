/* SPDX-License-Identifier: Apache-2.0 */
/* One netlink socket per question: they are few, and nothing has to be kept in step. Keeps no state, runs in the
 * process of a request. */
#include "rootd/link.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/uuid.h"

#define ANSWER_SIZE  32768 /* what the kernel fills at most for one part of a list */
#define REQUEST_SIZE 4096
#define RATE_LATENCY 50 /* ms that a packet waits at most for its turn */
#define RATE_BURST   65536

/* Send h and hand each answer to cb until the kernel says that it is done. */
static int ask(struct nlmsghdr *h, mnl_cb_t cb, void *arg)
{
    AUTO(free_ptr) char *answer = mem_alloc(ANSWER_SIZE);
    struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    unsigned seq = (unsigned)time(NULL), port;
    int rc = -1, saved;

    if (!s)
        return -1;
    h->nlmsg_seq = seq;
    if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == 0
        && mnl_socket_sendto(s, h, h->nlmsg_len) >= 0) {
        port = mnl_socket_get_portid(s);
        do {
            ssize_t n = mnl_socket_recvfrom(s, answer, ANSWER_SIZE);

            rc = n < 0 ? -1 : mnl_cb_run(answer, (size_t)n, seq, port, cb, arg);
        } while (rc > 0); /* MNL_CB_OK: more to come */
    }
    saved = errno;
    (void)mnl_socket_close(s);
    errno = saved;
    return rc;
}

static struct nlmsghdr *request(void *place, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(place);

    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | flags;
    return h;
}

static struct nlmsghdr *link_request(void *place, uint16_t type, uint16_t flags, int index)
{
    struct nlmsghdr *h = request(place, type, flags);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof(*i));

    i->ifi_family = AF_UNSPEC;
    i->ifi_index = index;
    return h;
}

/* ---- what there is ------------------------------------------------------------------------------------- */

static int take_kind(const struct nlattr *a, void *arg)
{
    struct link *l = arg;

    if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
        (void)snprintf(l->kind, sizeof(l->kind), "%s", mnl_attr_get_str(a));
    return MNL_CB_OK;
}

static int take_attribute(const struct nlattr *a, void *arg)
{
    struct link *l = arg;

    switch (mnl_attr_get_type(a)) {
    case IFLA_IFNAME:
        (void)snprintf(l->name, sizeof(l->name), "%s", mnl_attr_get_str(a));
        break;
    case IFLA_IFALIAS:
        (void)snprintf(l->alias, sizeof(l->alias), "%s", mnl_attr_get_str(a));
        break;
    case IFLA_MTU: l->mtu = mnl_attr_get_u32(a); break;
    case IFLA_MASTER: l->master = (int)mnl_attr_get_u32(a); break;
    case IFLA_ADDRESS:
        if (mnl_attr_get_payload_len(a) == sizeof(l->mac))
            memcpy(l->mac, mnl_attr_get_payload(a), sizeof(l->mac));
        break;
    case IFLA_LINKINFO: (void)mnl_attr_parse_nested(a, take_kind, l); break;
    default: break;
    }
    return MNL_CB_OK;
}

struct search {
    bool (*fits)(const struct link *l, const void *what);
    const void *what;
    struct link found;
    int n;
};

static int look(const struct nlmsghdr *h, void *arg)
{
    struct search *s = arg;
    const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
    struct link l = { .index = i->ifi_index, .flags = i->ifi_flags };

    (void)mnl_attr_parse(h, sizeof(*i), take_attribute, &l);
    if (s->fits(&l, s->what) && s->n++ == 0)
        s->found = l;
    return MNL_CB_OK;
}

static int search(struct search *s)
{
    char place[REQUEST_SIZE];

    if (ask(link_request(place, RTM_GETLINK, NLM_F_DUMP, 0), look, s) < 0)
        return -1;
    errno = ENODEV;
    return s->n > 0 ? 0 : -1;
}

static bool has_name(const struct link *l, const void *what)
{
    return str_eq(l->name, what);
}

static bool has_alias(const struct link *l, const void *what)
{
    return str_eq(l->alias, what);
}

static bool has_master(const struct link *l, const void *what)
{
    return l->master == *(const int *)what;
}

int link_find(const char *name, struct link *out)
{
    struct search s = { .fits = has_name, .what = name };

    if (search(&s) < 0)
        return -1;
    *out = s.found;
    return 0;
}

int link_by_alias(const char *alias, struct link *out)
{
    struct search s = { .fits = has_alias, .what = alias };

    if (search(&s) < 0)
        return -1;
    *out = s.found;
    return 0;
}

struct walk {
    struct link *v;
    size_t n, cap;
};

static int collect(const struct nlmsghdr *h, void *arg)
{
    struct walk *w = arg;
    const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);

    if (w->n == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 32;
        w->v = mem_resize(w->v, w->cap, sizeof(w->v[0]));
    }
    w->v[w->n] = (struct link){ .index = i->ifi_index, .flags = i->ifi_flags };
    (void)mnl_attr_parse(h, sizeof(*i), take_attribute, &w->v[w->n++]);
    return MNL_CB_OK;
}

/* All are known before the first is told of, who may be removed. */
int link_each(void (*fn)(const struct link *l, void *arg), void *arg)
{
    char place[REQUEST_SIZE];
    struct walk w = { 0 };
    int rc = ask(link_request(place, RTM_GETLINK, NLM_F_DUMP, 0), collect, &w);

    for (size_t i = 0; rc >= 0 && i < w.n; i++)
        fn(&w.v[i], arg);
    free(w.v);
    return rc < 0 ? -1 : 0;
}

int link_ports(const struct link *bridge)
{
    struct search s = { .fits = has_master, .what = &bridge->index };

    return search(&s) < 0 && errno != ENODEV ? -1 : s.n;
}

/* ---- changes ------------------------------------------------------------------------------------------- */

/* The device then has no link-local address and cannot be reached through it. */
static void put_no_ipv6(struct nlmsghdr *h)
{
    struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
    struct nlattr *inet6 = mnl_attr_nest_start(h, AF_INET6);

    mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(h, inet6);
    mnl_attr_nest_end(h, spec);
}

static int change(int index, const struct link_change *c, bool ipv6)
{
    char place[REQUEST_SIZE];
    struct nlmsghdr *h = link_request(place, RTM_NEWLINK, NLM_F_ACK, index);
    struct ifinfomsg *i = mnl_nlmsg_get_payload(h);

    i->ifi_change = c->up || c->down ? IFF_UP : 0;
    i->ifi_flags = c->up ? IFF_UP : 0;
    if (c->alias)
        mnl_attr_put_strz(h, IFLA_IFALIAS, c->alias);
    if (c->mac)
        mnl_attr_put(h, IFLA_ADDRESS, 6, c->mac);
    if (c->mtu)
        mnl_attr_put_u32(h, IFLA_MTU, c->mtu);
    if (c->master)
        mnl_attr_put_u32(h, IFLA_MASTER, c->master > 0 ? (uint32_t)c->master : 0);
    if (ipv6)
        put_no_ipv6(h);
    return ask(h, NULL, NULL);
}

int link_set(int index, const struct link_change *c)
{
    static const struct link_change nothing;

    /* A host without IPv6 refuses the whole message. */
    if (c->no_ipv6)
        (void)change(index, &nothing, true);
    return change(index, c, false);
}

int link_add_bridge(const char *name, const char *alias, unsigned mtu)
{
    char place[REQUEST_SIZE];
    struct nlmsghdr *h = link_request(place, RTM_NEWLINK,
                                      NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 0);
    struct nlattr *info, *data;
    struct link made;
    uint8_t mac[6];

    random_bytes(mac, sizeof(mac));
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    /* Its own, or it would change with its ports. */
    mnl_attr_put(h, IFLA_ADDRESS, sizeof(mac), mac);
    info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
    data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    mnl_attr_put_u32(h, IFLA_BR_FORWARD_DELAY, 0); /* or a port is deaf for 15 s */
    mnl_attr_put_u8(h, IFLA_BR_MCAST_SNOOPING, 0); /* there is no querier */
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
    if (ask(h, NULL, NULL) < 0 || link_find(name, &made) < 0)
        return -1;
    return link_set(
        made.index,
        &(struct link_change){ .alias = alias, .mtu = mtu, .up = true, .no_ipv6 = true });
}

int link_delete(int index)
{
    char place[REQUEST_SIZE];

    return ask(link_request(place, RTM_DELLINK, NLM_F_ACK, index), NULL, NULL);
}

int link_add_tap(const char *name, int *fd_out)
{
    struct ifreq r = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR) };
    AUTO(close_fd) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0)
        return -1;
    *fd_out = TAKE_FD(fd);
    return 0;
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

struct addresses {
    int index;
    struct link_address *v;
    size_t n;
    struct link_address one; /* being read */
};

static int take_address(const struct nlattr *a, void *arg)
{
    struct addresses *all = arg;
    unsigned type = mnl_attr_get_type(a), want = all->one.family == AF_INET ? 4 : 16;

    /* IPv4 tells the other end of a point-to-point link as ADDRESS. */
    if ((type == IFA_LOCAL || (type == IFA_ADDRESS && all->one.family == AF_INET6))
        && mnl_attr_get_payload_len(a) == want)
        memcpy(all->one.bytes, mnl_attr_get_payload(a), want);
    return MNL_CB_OK;
}

static int add_to_addresses(const struct nlmsghdr *h, void *arg)
{
    struct addresses *all = arg;
    const struct ifaddrmsg *i = mnl_nlmsg_get_payload(h);

    if ((int)i->ifa_index != all->index || all->n == LINK_ADDRESSES_MAX)
        return MNL_CB_OK;
    all->one = (struct link_address){ .family = i->ifa_family,
                                      .prefix = i->ifa_prefixlen,
                                      .scope = i->ifa_scope };
    (void)mnl_attr_parse(h, sizeof(*i), take_address, all);
    all->v[all->n++] = all->one;
    return MNL_CB_OK;
}

static struct nlmsghdr *address_request(void *place, uint16_t type, uint16_t flags,
                                        int index, const struct link_address *a)
{
    struct nlmsghdr *h = request(place, type, flags);
    struct ifaddrmsg *i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
    size_t len = a->family == AF_INET ? 4 : 16;

    i->ifa_family = (uint8_t)a->family;
    i->ifa_prefixlen = (uint8_t)a->prefix;
    i->ifa_scope = (uint8_t)a->scope;
    i->ifa_index = (uint32_t)index;
    if (a->family != AF_UNSPEC && index) {
        mnl_attr_put(h, IFA_LOCAL, len, a->bytes);
        mnl_attr_put(h, IFA_ADDRESS, len, a->bytes);
    }
    return h;
}

int link_addresses(int index, int family, struct link_address *out, size_t *n_out)
{
    char place[REQUEST_SIZE];
    struct addresses all = { .index = index, .v = out };
    struct link_address any = { .family = family };

    if (ask(address_request(place, RTM_GETADDR, NLM_F_DUMP, 0, &any), add_to_addresses,
            &all)
        < 0)
        return -1;
    *n_out = all.n;
    return 0;
}

int link_add_address(int index, const struct link_address *a)
{
    char place[REQUEST_SIZE];
    struct nlmsghdr *h = address_request(
        place, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, index, a);

    if (a->family == AF_INET && a->prefix < 31) {
        uint32_t all = 0;

        memcpy(&all, a->bytes, sizeof(all));
        all |= htonl((uint32_t)((UINT64_C(1) << (32 - a->prefix)) - 1));
        mnl_attr_put(h, IFA_BROADCAST, sizeof(all), &all);
    }
    return ask(h, NULL, NULL);
}

int link_remove_address(int index, const struct link_address *a)
{
    char place[REQUEST_SIZE];

    if (ask(address_request(place, RTM_DELADDR, NLM_F_ACK, index, a), NULL, NULL) == 0)
        return 0;
    return errno == EADDRNOTAVAIL ? 0 : -1;
}

static struct nlmsghdr *rate_request(void *place, uint16_t type, uint16_t flags, int index)
{
    struct nlmsghdr *h = request(place, type, (uint16_t)(flags | NLM_F_ACK));
    struct tcmsg *t = mnl_nlmsg_put_extra_header(h, sizeof(*t));

    t->tcm_family = AF_UNSPEC;
    t->tcm_ifindex = index;
    t->tcm_parent = TC_H_ROOT;
    mnl_attr_put_strz(h, TCA_KIND, "tbf");
    return h;
}

int link_set_rate(int index, uint64_t bytes_per_s)
{
    char place[REQUEST_SIZE];
    struct tc_tbf_qopt q = { .rate = { .linklayer = TC_LINKLAYER_ETHERNET } };
    struct nlmsghdr *h;
    struct nlattr *options;

    if (bytes_per_s == 0) {
        int rc = ask(rate_request(place, RTM_DELQDISC, 0, index), NULL, NULL);

        return rc < 0 && errno != ENOENT && errno != EINVAL ? -1 : 0;
    }
    q.rate.rate = (uint32_t)MIN(bytes_per_s, (uint64_t)UINT32_MAX);
    q.limit = (uint32_t)MIN(RATE_BURST + bytes_per_s / 1000 * RATE_LATENCY,
                            (uint64_t)INT32_MAX);
    h = rate_request(place, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index);
    options = mnl_attr_nest_start(h, TCA_OPTIONS);
    mnl_attr_put(h, TCA_TBF_PARMS, sizeof(q), &q);
    mnl_attr_put_u32(h, TCA_TBF_BURST, RATE_BURST);
    if (bytes_per_s > UINT32_MAX)
        mnl_attr_put_u64(h, TCA_TBF_RATE64, bytes_per_s);
    mnl_attr_nest_end(h, options);
    return ask(h, NULL, NULL);
}
