/* SPDX-License-Identifier: Apache-2.0 */
#include "rootd/vif_rules.h"

#include <arpa/inet.h>

#include "base/mem.h"
#include "base/test.h"

static struct vif_rules *rules(enum vif_lock lock, uint64_t kib)
{
    struct vif_rules *r = mem_alloc(sizeof(*r));

    *r = (struct vif_rules){
        .tap = "vif7.1", .lock = lock, .mac = { 2, 0, 0, 0, 0, 1 }, .kib_per_s = kib
    };
    return r;
}

/* Which lines of the text are rules of the chain. */
static unsigned count(const struct buf *text, const char *head)
{
    unsigned n = 0;

    for (const char *p = buf_str(text); (p = strstr(p, head)) != NULL; p++)
        n++;
    return n;
}

#define RULE "add rule bridge serai vif7.1-"

TEST(an_unlocked_one_needs_none)
{
    AUTO(free_ptr) struct vif_rules *open = rules(VIF_UNLOCKED, 0);
    AUTO(free_ptr) struct vif_rules *slow = rules(VIF_UNLOCKED, 100);
    AUTO(buf_done) struct buf text = BUF_INIT(65536);

    CHECK(!vif_rules_any(open));
    CHECK(vif_rules_any(slow));
    vif_rules_text(slow, &text);
    CHECK(strstr(buf_str(&text),
                 RULE "from limit rate over 100 kbytes/second burst 64 kbytes drop\n"));
    CHECK_INT(count(&text, RULE), 1);
}

TEST(a_disabled_one_passes_nothing)
{
    AUTO(free_ptr) struct vif_rules *r = rules(VIF_DISABLED, 100);
    AUTO(buf_done) struct buf text = BUF_INIT(65536);

    vif_rules_text(r, &text);
    CHECK(strstr(buf_str(&text), RULE "from drop\n"));
    CHECK(strstr(buf_str(&text), RULE "to drop\n"));
    CHECK_INT(count(&text, RULE), 2);
}

TEST(a_locked_one_passes_what_is_its_own)
{
    AUTO(free_ptr) struct vif_rules *r = rules(VIF_LOCKED, 0);
    AUTO(buf_done) struct buf none = BUF_INIT(65536), some = BUF_INIT(65536);

    vif_rules_text(r, &none);
    CHECK(strstr(buf_str(&none), RULE "from ether saddr != 02:00:00:00:00:01 drop\n"));
    CHECK_INT(count(&none, "accept\n"), 1); /* asking for an address by DHCP */
    CHECK(inet_pton(AF_INET, "10.0.0.1", &r->ipv4[0]) == 1);
    CHECK(inet_pton(AF_INET, "10.0.0.2", &r->ipv4[1]) == 1);
    r->n_ipv4 = 2;
    CHECK(inet_pton(AF_INET6, "fd00::1", &r->ipv6[0]) == 1);
    r->n_ipv6 = 1;
    vif_rules_text(r, &some);
    CHECK(strstr(buf_str(&some), RULE "from ip saddr { 10.0.0.1, 10.0.0.2 } accept\n"));
    CHECK(strstr(buf_str(&some),
                 RULE "from ip6 saddr { fd00::1, fe80::ff:fe00:1 } accept\n"));
    CHECK_INT(count(&some, "nd-neighbor-advert @th,64,128"), 2);
    /* The last word is no. */
    CHECK(strstr(buf_str(&some), RULE "from drop\n" RULE "to "));
}

TEST(the_most_addresses_fit)
{
    AUTO(free_ptr) struct vif_rules *r = rules(VIF_LOCKED, 0);
    AUTO(buf_done) struct buf text = BUF_INIT(512U << 10);

    r->n_ipv4 = r->n_ipv6 = VIF_ADDRESSES_MAX;
    memset(r->ipv4, 0xee, sizeof(r->ipv4));
    memset(r->ipv6, 0xee, sizeof(r->ipv6));
    vif_rules_text(r, &text);
    CHECK(!buf_overflow(&text));
    CHECK_INT(count(&text, "238.238.238.238"), 2 * VIF_ADDRESSES_MAX);
    CHECK_INT(count(&text, "eeee:eeee:eeee:eeee:eeee:eeee:eeee:eeee"),
              2 * VIF_ADDRESSES_MAX);
}
