/* SPDX-License-Identifier: Apache-2.0 */
/* What one virtual interface may send and receive, as rules of nftables in a table of our own ("bridge serai"): two chains
 * for each interface that is bounded, found by the name of its tap in two maps. One script is one transaction of the
 * kernel. The texts are pure. */
#ifndef ROOTD_VIF_RULES_H
#define ROOTD_VIF_RULES_H

#include <net/if.h>
#include <netinet/in.h>

#include "base/buf.h"

#define VIF_ADDRESSES_MAX 512

enum vif_lock { VIF_UNLOCKED, VIF_LOCKED, VIF_DISABLED };

struct vif_rules {
    char tap[IFNAMSIZ];
    enum vif_lock lock;
    uint8_t mac[6];
    struct in_addr ipv4[VIF_ADDRESSES_MAX];
    size_t n_ipv4;
    struct in6_addr ipv6[VIF_ADDRESSES_MAX];
    size_t n_ipv6;
    uint64_t kib_per_s; /* that it may send; 0: no bound */
};

/* Whether it needs rules at all. */
bool vif_rules_any(const struct vif_rules *r);
/* In place of what there was for the tap. */
void vif_rules_text(const struct vif_rules *r, struct buf *out);
void vif_rules_remove_text(const char *tap, struct buf *out);

/* Run a script. Errors: a sentence in out. */
int vif_rules_run(const char *nft, const struct buf *script, struct buf *out) MUST_CHECK;
/* Remove the rules of taps that are gone. */
int vif_rules_sweep(const char *nft, struct buf *out) MUST_CHECK;
#endif
