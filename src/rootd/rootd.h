/* SPDX-License-Identifier: Apache-2.0 */
/* How this rootd was started, and what it worked out at its start; after that read-only, so that the process made for
 * each request has its copy. And the table of verbs. */
#ifndef ROOTD_ROOTD_H
#define ROOTD_ROOTD_H

#include <sys/types.h>

#include "base/filter.h"
#include "rootd/cgroup.h"
#include "rootd/jail.h"
#include "rootd/request.h"

#define ROOTD_UID_BASE  1879048192U /* the first beyond what systemd gives to containers */
#define ROOTD_UID_COUNT 65536U

struct config {
    const char *socket, *run_dir, *qemu, *shutdown, *nft, *dnsmasq;
    uid_t user; /* whose requests are taken, beside root's */
    gid_t group;
    uint32_t uid_base, uid_count;
    struct cgroup cgroup;
    struct jail jail;
    const char *swtpm;
    struct jail tpm_jail;         /* empty: there is no such program */
    struct filter filter;         /* for what runs in a jail */
    struct filter service_filter; /* for what answers on the network from one */
    char *service_socket;         /* where those are started: service.h */
    pid_t service;                /* the process that starts them */
};

#define NAT_HOSTS_MAX 1024
#define SPAWN_SERVICE "net-" /* before the id: whose uid and cgroup it is */

/* The verbs; what each does and takes stands in verbs.c. */
extern const struct verb verbs[];
extern const size_t n_verbs;

int spawn_vm(const struct config *c, const struct request *r, struct buf *out, int *fd_out);
int spawn_end_vm(const struct config *c, const struct request *r, struct buf *out,
                 int *fd_out);
/* Start a program of the network, with one right: ports below 1024. What runs by that id is ended first; program NULL:
 * that is all. argv: borrowed. */
int spawn_service(const struct config *c, const struct request *r, const char *id,
                  const char *program, char **argv, const struct filter *filter,
                  struct buf *out, int *fd_out);
int service_dhcp(const struct config *c, const struct request *r, struct buf *out,
                 int *fd_out);
int service_end(const struct config *c, const struct request *r, struct buf *out,
                int *fd_out);
int net_nat(const struct config *c, const struct request *r, struct buf *out, int *fd_out);
int net_unnat(const struct config *c, const struct request *r, struct buf *out,
              int *fd_out);
int auth_pam(const struct config *c, const struct request *r, struct buf *out, int *fd_out);
int power_host(const struct config *c, const struct request *r, struct buf *out,
               int *fd_out);
int net_bridge(const struct config *c, const struct request *r, struct buf *out,
               int *fd_out);
int net_unbridge(const struct config *c, const struct request *r, struct buf *out,
                 int *fd_out);
int net_plug(const struct config *c, const struct request *r, struct buf *out, int *fd_out);
int net_unplug(const struct config *c, const struct request *r, struct buf *out,
               int *fd_out);
int net_tap(const struct config *c, const struct request *r, struct buf *out, int *fd_out);
int net_vif(const struct config *c, const struct request *r, struct buf *out, int *fd_out);
int net_keep(const struct config *c, const struct request *r, struct buf *out, int *fd_out);
int net_sweep(const struct config *c, const struct request *r, struct buf *out,
              int *fd_out);
#endif
