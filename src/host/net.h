/* SPDX-License-Identifier: Apache-2.0 */
/* Networks of this host: bridges, and the taps that machines have on them. With serai-rootd alone; without rights machines
 * have user-mode networking, and nothing here is called. Thread: any. All block up to a minute. */
#ifndef HOST_NET_H
#define HOST_NET_H

#include <net/if.h>

#include "base/err.h"
#include "base/uuid.h"

enum net_lock { NET_UNLOCKED, NET_LOCKED, NET_DISABLED };

/* A virtual interface: what it is connected to, and what it may do. Strings are borrowed. */
struct net_vif {
    char id[UUID_TEXT_SIZE]; /* the VIF's uuid */
    const char *bridge;
    bool make_bridge; /* if it is not there */
    unsigned mtu;
    const char *mac;
    enum net_lock lock;
    const char *const *ipv4, *const *ipv6; /* allowed when locked */
    size_t n_ipv4, n_ipv6;
    uint64_t kib_per_s; /* each way; 0: as fast as can be */
};

/* Are there real networks here? */
bool net_real(void);
/* The name of a device? */
bool net_name_ok(const char *name);

/* Make the tap, bounded and on its bridge. It goes when the last copy of *fd_out, given, is closed.
 * Errors: BRIDGE_NOT_AVAILABLE(bridge), and why. */
int net_tap(const struct net_vif *v, unsigned domid, unsigned device, int *fd_out,
            struct err *err) MUST_CHECK;
/* Change what is in use. Errors: BRIDGE_NOT_AVAILABLE(bridge), and why. */
int net_vif_set(const struct net_vif *v, struct err *err) MUST_CHECK;
/* Errors: BRIDGE_NOT_AVAILABLE(bridge). */
int net_bridge(const char *bridge, bool make, unsigned mtu, struct err *err) MUST_CHECK;
/* Fine if there is none, or one that is not ours. */
int net_unbridge(const char *bridge, struct err *err) MUST_CHECK;

/* Put a card on a bridge, made if it is not there and may be; take it off. Errors: a sentence, given, in *why_out. */
int net_plug(const char *bridge, bool make, unsigned mtu, const char *device,
             char **why_out) MUST_CHECK;
int net_unplug(const char *bridge, const char *device, char **why_out) MUST_CHECK;
/* The name of the bridge that the device is a port of, given; NULL: none. */
char *net_bridge_of(const char *device) MUST_CHECK;

/* A network whose guests share the host's address. hosts: who gets which address by DHCP. */
struct net_nat {
    char id[UUID_TEXT_SIZE]; /* the network's uuid */
    const char *bridge, *router;
    bool make_bridge;
    unsigned mtu, prefix;

    struct net_host {
        const char *mac, *ip;
    } * hosts;

    size_t n_hosts;
};

#define NET_HOSTS_MAX 1000

/* Make it so, whatever was there. *pidfd_out: given; readable when what gives the addresses has ended.
 * Errors: BRIDGE_NOT_AVAILABLE(bridge), and why. */
int net_nat(const struct net_nat *n, int *pidfd_out, struct err *err) MUST_CHECK;
int net_unnat(const char *id, const char *bridge, struct err *err) MUST_CHECK;
/* "02:00:00:00:00:01", and no group's. */
bool net_mac_ok(const char *mac);

/* Remove what the daemon left when it died: bridges of ours that nothing is on, but for these, and bounds. */
int net_keep(const char *const *bridges, size_t n, struct err *err) MUST_CHECK;
/* Forget the bounds of taps that are gone. */
int net_sweep(struct err *err) MUST_CHECK;
#endif
