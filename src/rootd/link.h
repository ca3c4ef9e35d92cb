/* SPDX-License-Identifier: Apache-2.0 */
/* Network devices of the host, by rtnetlink: finding, making, changing. Nothing is remembered: the kernel is asked each
 * time. All functions return -1 with errno; ENODEV: there is no such device. Any process with the right to. */
#ifndef ROOTD_LINK_H
#define ROOTD_LINK_H

#include <net/if.h>
#include <netinet/in.h>

#include "base/util.h"

#define LINK_ALIAS_MAX 128
#define LINK_MTU_MIN   68
#define LINK_MTU_MAX   65521 /* of a tap */

struct link {
    int index, master; /* master: index of the bridge that it is a port of; 0: none */
    char name[IFNAMSIZ], kind[IFNAMSIZ], alias[LINK_ALIAS_MAX];
    uint8_t mac[6];
    unsigned mtu, flags;
};

int link_find(const char *name, struct link *out) MUST_CHECK;
int link_by_alias(const char *alias, struct link *out) MUST_CHECK;
int link_each(void (*fn)(const struct link *l, void *arg), void *arg) MUST_CHECK;
/* How many ports a bridge has; -1. */
int link_ports(const struct link *bridge) MUST_CHECK;

/* What is to change; zero: stays. */
struct link_change {
    const char *alias;
    const uint8_t *mac;
    unsigned mtu;
    int master; /* index; -1: none any more */
    bool up, down;
    bool no_ipv6; /* no address of its own making */
};

int link_set(int index, const struct link_change *c) MUST_CHECK;
/* A bridge that forwards at once, never speaks and has no address. */
int link_add_bridge(const char *name, const char *alias, unsigned mtu) MUST_CHECK;
int link_delete(int index) MUST_CHECK;
/* A tap that is there until fd, given, is closed everywhere. */
int link_add_tap(const char *name, int *fd_out) MUST_CHECK;

/* An address of a device. */
struct link_address {
    int family;        /* AF_INET, AF_INET6 */
    uint8_t bytes[16]; /* 4 of them for IPv4 */
    unsigned prefix, scope;
};

#define LINK_ADDRESSES_MAX 64

/* Those of the family, AF_UNSPEC: all; at most LINK_ADDRESSES_MAX. */
int link_addresses(int index, int family, struct link_address *out, size_t *n_out)
    MUST_CHECK;
/* Fine if it is there, or is not. */
int link_add_address(int index, const struct link_address *a) MUST_CHECK;
int link_remove_address(int index, const struct link_address *a) MUST_CHECK;
/* Bound what goes out of the device to so many bytes a second; 0: no bound. */
int link_set_rate(int index, uint64_t bytes_per_s) MUST_CHECK;
#endif
