/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels that we meet have no connection tracking in the bridge family, so all rules look at one frame. They are for
 * frames from the guest first of all: its Ethernet address, the sender in ARP, the source in IP, the target and the
 * link-layer option of neighbour discovery; no router advertisements, no VLAN tags, no other protocol. Towards it go
 * frames to its own address and to groups, so that it hears nothing of its neighbours when the bridge floods.
 * Keeps no state; runs in the process of a request. */
#include "rootd/vif_rules.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "rootd/link.h"

#define NFT_US      (20 * US_PER_SEC)
#define LIST_MAX    (8U << 20)
#define BURST_KIB   64U /* beside a second's worth, which the kernel adds */
#define SAID_MAX    2048
#define TABLE       "bridge serai"
#define MAC_MAX     18
#define TARGET      "@th,64,128" /* of a neighbour message: RFC 4861, 4.3 and 4.4 */
#define OPTION      "@th,192,8"  /* kind of its first option */
#define OPTION_ADDR "@th,208,48"

bool vif_rules_any(const struct vif_rules *r)
{
    return r->lock != VIF_UNLOCKED || r->kib_per_s > 0;
}

static void add_base(struct buf *out)
{
    buf_add_str(out, "add table " TABLE "\n"
                     "add map " TABLE " from { type ifname : verdict; }\n"
                     "add map " TABLE " to { type ifname : verdict; }\n"
                     "add chain " TABLE
                     " prerouting { type filter hook prerouting priority -300; }\n"
                     "add chain " TABLE
                     " postrouting { type filter hook postrouting priority 300; }\n"
                     "flush chain " TABLE " prerouting\n"
                     "flush chain " TABLE " postrouting\n"
                     "add rule " TABLE " prerouting iifname vmap @from\n"
                     "add rule " TABLE " postrouting oifname vmap @to\n");
}

static void add_chain(struct buf *out, const char *tap, const char *way)
{
    buf_addf(out, "add chain " TABLE " %s-%s\nflush chain " TABLE " %s-%s\n", tap, way, tap,
             way);
    buf_addf(out, "add element " TABLE " %s { \"%s\" : jump %s-%s }\n", way, tap, tap, way);
}

/* One rule of a chain. */
static void rule(struct buf *out, const struct vif_rules *r, const char *way,
                 const char *fmt, ...) PRINTF(4, 5);

static void rule(struct buf *out, const struct vif_rules *r, const char *way,
                 const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    AUTO(free_str) char *text = str_vfmt(fmt, ap);
    va_end(ap);
    buf_addf(out, "add rule " TABLE " %s-%s %s\n", r->tap, way, text);
}

static void mac_text(const uint8_t mac[static 6], char out[static MAC_MAX])
{
    (void)snprintf(out, MAC_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                   mac[3], mac[4], mac[5]);
}

/* "a, b, c" */
static char *ipv4_set(const struct vif_rules *r)
{
    AUTO(buf_done) struct buf b = BUF_INIT(VIF_ADDRESSES_MAX * 20);
    char text[INET_ADDRSTRLEN];

    for (size_t i = 0; i < r->n_ipv4; i++)
        buf_addf(&b, "%s%s", i ? ", " : "",
                 inet_ntop(AF_INET, &r->ipv4[i], text, sizeof(text)));
    return str_dup(buf_str(&b));
}

/* What every interface makes of its Ethernet address: RFC 4291, appendix A. */
static struct in6_addr link_local(const uint8_t mac[static 6])
{
    return (struct in6_addr){ .s6_addr = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0,
                                           (uint8_t)(mac[0] ^ 2), mac[1], mac[2], 0xff,
                                           0xfe, mac[3], mac[4], mac[5] } };
}

/* The allowed ones and the link-local one; none where none is allowed. */
static size_t ipv6_all(const struct vif_rules *r, struct in6_addr *out)
{
    memcpy(out, r->ipv6, r->n_ipv6 * sizeof(*out));
    if (r->n_ipv6 > 0)
        out[r->n_ipv6] = link_local(r->mac);
    return r->n_ipv6 + (r->n_ipv6 > 0);
}

static void allow_arp(struct buf *out, const struct vif_rules *r, const char *mac,
                      const char *ipv4)
{
    rule(out, r, "from", "ether type arp arp saddr ether != %s drop", mac);
    /* 0.0.0.0 asks whether an address is taken, and tells nobody anything. */
    if (r->n_ipv4 > 0)
        rule(out, r, "from", "ether type arp arp saddr ip { 0.0.0.0, %s } accept", ipv4);
}

static void allow_ipv4(struct buf *out, const struct vif_rules *r, const char *ipv4)
{
    rule(out, r, "from", "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept");
    if (r->n_ipv4 > 0)
        rule(out, r, "from", "ip saddr { %s } accept", ipv4);
}

static void allow_ipv6(struct buf *out, const struct vif_rules *r)
{
    struct in6_addr all[VIF_ADDRESSES_MAX + 1];
    size_t n = ipv6_all(r, all);
    char text[INET6_ADDRSTRLEN];
    const uint8_t *m = r->mac;
    AUTO(free_str)
    char *hex = str_fmt("0x%02x%02x%02x%02x%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
    AUTO(buf_done) struct buf set = BUF_INIT((VIF_ADDRESSES_MAX + 1) * 50);

    if (n == 0)
        return;
    rule(out, r, "from", "icmpv6 type { nd-router-advert, nd-redirect } drop");
    rule(out, r, "from",
         "icmpv6 type nd-neighbor-advert " OPTION " 2 " OPTION_ADDR " != %s drop", hex);
    rule(out, r, "from",
         "icmpv6 type nd-neighbor-solicit " OPTION " 1 " OPTION_ADDR " != %s drop", hex);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *a = all[i].s6_addr;

        buf_addf(&set, "%s%s", i ? ", " : "",
                 inet_ntop(AF_INET6, &all[i], text, sizeof(text)));
        rule(out, r, "from",
             "icmpv6 type nd-neighbor-advert " TARGET
             " 0x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x%02x"
             " ip6 saddr %s accept",
             a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11],
             a[12], a[13], a[14], a[15], text);
    }
    rule(out, r, "from", "icmpv6 type nd-neighbor-advert drop");
    rule(out, r, "from",
         "ip6 saddr :: icmpv6 type { nd-neighbor-solicit, mld2-listener-report } accept");
    rule(out, r, "from", "ip6 saddr { %s } accept", buf_str(&set));
}

static void add_lock(struct buf *out, const struct vif_rules *r)
{
    AUTO(free_str) char *ipv4 = ipv4_set(r);
    char mac[MAC_MAX];

    mac_text(r->mac, mac);
    rule(out, r, "from", "ether saddr != %s drop", mac);
    rule(out, r, "from", "ether type { 8021q, 8021ad } drop");
    allow_arp(out, r, mac, ipv4);
    allow_ipv4(out, r, ipv4);
    allow_ipv6(out, r);
    rule(out, r, "from", "drop");
    rule(out, r, "to",
         "ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != %s drop",
         mac);
}

void vif_rules_text(const struct vif_rules *r, struct buf *out)
{
    add_base(out);
    add_chain(out, r->tap, "from");
    add_chain(out, r->tap, "to");
    if (r->lock == VIF_DISABLED) {
        rule(out, r, "from", "drop");
        rule(out, r, "to", "drop");
        return;
    }
    if (r->kib_per_s > 0)
        rule(out, r, "from", "limit rate over %llu kbytes/second burst %u kbytes drop",
             (unsigned long long)r->kib_per_s, BURST_KIB);
    if (r->lock == VIF_LOCKED)
        add_lock(out, r);
}

/* Adding first makes removing what is not there no error. */
static void remove_chain(struct buf *out, const char *tap, const char *way)
{
    add_chain(out, tap, way);
    buf_addf(out, "delete element " TABLE " %s { \"%s\" }\n", way, tap);
    buf_addf(out, "delete chain " TABLE " %s-%s\n", tap, way);
}

void vif_rules_remove_text(const char *tap, struct buf *out)
{
    add_base(out);
    remove_chain(out, tap, "from");
    remove_chain(out, tap, "to");
}

/* ---- running it ---------------------------------------------------------------------------------------- */

static int run(const char *nft, const char *const *argv, const char *input,
               struct buf *said, struct buf *out)
{
    struct deadline d = deadline_in(NFT_US);
    AUTO(buf_done) struct buf why = BUF_INIT(SAID_MAX);
    int status;

    if (proc_run(argv, input, said, &why, &d, &status) < 0) {
        buf_addf(out, "%s: %m", nft);
        return -1;
    }
    if (status == 0)
        return 0;
    buf_addf(out, "nft: %.*s", (int)MIN(why.len, (size_t)400), buf_str(&why));
    for (size_t i = 0; i < out->len; i++)
        if (iscntrl((unsigned char)out->data[i]))
            out->data[i] = ' ';
    return -1;
}

int vif_rules_run(const char *nft, const struct buf *script, struct buf *out)
{
    const char *argv[] = { nft, "-f", "-", NULL };

    if (buf_overflow(script)) {
        buf_add_str(out, "too many rules");
        return -1;
    }
    return run(nft, argv, script->data, NULL, out);
}

/* "\tchain vif3.0-from {": the tap's name, where it is one of ours and gone. */
static bool is_left(const char *line, size_t len, char tap[static IFNAMSIZ])
{
    static const char head[] = "\tchain vif", tail[] = "-from {";
    size_t n = sizeof(head) - 1;
    const char *at = line + n - 3;
    struct link l;

    if (len < n + sizeof(tail) || len - n - sizeof(tail) > IFNAMSIZ - 6
        || memcmp(line, head, n) != 0
        || memcmp(line + len - sizeof(tail) + 1, tail, sizeof(tail) - 1) != 0)
        return false;
    len -= n - 3 + sizeof(tail) - 1;
    for (size_t i = 3; i < len; i++)
        if (at[i] != '.' && !isdigit((unsigned char)at[i]))
            return false;
    (void)snprintf(tap, IFNAMSIZ, "%.*s", (int)len, at);
    return link_find(tap, &l) < 0 && errno == ENODEV;
}

int vif_rules_sweep(const char *nft, struct buf *out)
{
    const char *tables[] = { nft, "list", "tables", NULL };
    const char *rules[] = { nft, "-n", "list", "table", "bridge", "serai", NULL };
    AUTO(buf_done) struct buf all = BUF_INIT(LIST_MAX);
    AUTO(buf_done) struct buf script = BUF_INIT(LIST_MAX);
    char tap[IFNAMSIZ];

    if (run(nft, tables, NULL, &all, out) < 0)
        return -1;
    if (!strstr(buf_str(&all), "table " TABLE "\n"))
        return 0;
    buf_clear(&all);
    if (run(nft, rules, NULL, &all, out) < 0)
        return -1;
    for (const char *line = buf_str(&all); *line;) {
        size_t len = strcspn(line, "\n");

        if (is_left(line, len, tap))
            vif_rules_remove_text(tap, &script);
        line += len + (line[len] == '\n');
    }
    return script.len == 0 ? 0 : vif_rules_run(nft, &script, out);
}
