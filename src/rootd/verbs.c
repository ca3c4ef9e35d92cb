/* SPDX-License-Identifier: Apache-2.0 */
/* All that can be asked of root, on one page. */
#include "rootd/link.h"
#include "rootd/rootd.h"
#include "rootd/vif_rules.h"

#define MIB UINT64_C(1048576)

/* A virtual interface: the bridge that it is on, made if it is not there and may be; what it may send; how many KiB a
 * second, each way. */
#define VIF_FIELDS                                                                      \
    { .name = "uuid", .type = FIELD_UUID }, { .name = "bridge", .type = FIELD_IFNAME }, \
        { .name = "make", .type = FIELD_WORD, .words = "yes no" },                      \
        { "mtu", FIELD_U64, .min = LINK_MTU_MIN, .max = LINK_MTU_MAX },                 \
        { "mode", FIELD_WORD, .words = "unlocked locked disabled" },                    \
        { .name = "mac", .type = FIELD_MAC },                                           \
        { .name = "allow",                                                              \
          .type = FIELD_IP,                                                             \
          .times = VIF_ADDRESSES_MAX,                                                   \
          .optional = true },                                                           \
    {                                                                                   \
        "kbps", FIELD_U64, .min = 1, .max = UINT32_MAX, .optional = true                \
    }

/* A network whose guests reach the outside by translation of addresses: the router's address on its bridge, and the addresses
 * that guests get by DHCP, each mac with the ip of the same place in the list. */
#define NAT_FIELDS                                                                      \
    { .name = "uuid", .type = FIELD_UUID }, { .name = "bridge", .type = FIELD_IFNAME }, \
        { .name = "make", .type = FIELD_WORD, .words = "yes no" },                      \
        { "mtu", FIELD_U64, .min = LINK_MTU_MIN, .max = LINK_MTU_MAX },                 \
        { .name = "router", .type = FIELD_IP },                                         \
        { "prefix", FIELD_U64, .min = 8, .max = 30 },                                   \
        { .name = "mac", .type = FIELD_MAC, .times = NAT_HOSTS_MAX, .optional = true }, \
    {                                                                                   \
        .name = "ip", .type = FIELD_IP, .times = NAT_HOSTS_MAX, .optional = true        \
    }

const struct verb verbs[] = {
    /* Run the hypervisor in a jail of its own, or the program of a TPM. arg: its arguments; fd: a number, or what a
     * descriptor is: the file that gets the pid, or a file that the jail shows as /kernel, /initrd or, to be written to, /state;
     * or the directory of the sockets of its disks, shown as /disks.
     * Reply: pid, uid and a pidfd. */
    { "spawn_vm",
      spawn_vm,
      { { .name = "uuid", .type = FIELD_UUID },
        { "arg", FIELD_TEXT, .max = 65536, .times = 512, .optional = true },
        { "fd", FIELD_FD, .max = 255, .words = "pid kernel initrd state disks",
          .times = REQUEST_FDS_MAX, .optional = true },
        { "memory_max", FIELD_U64, .min = MIB, .max = MIB << 26, .optional = true },
        { "cpu_weight", FIELD_U64, .min = 1, .max = 10000, .optional = true },
        { "pids_max", FIELD_U64, .min = 1, .max = 65536, .optional = true },
        { "program", FIELD_WORD, .words = "qemu swtpm", .optional = true },
        { "kvm", FIELD_WORD, .words = "yes no", .optional = true } } },
    /* End all processes of a VM and remove what spawn_vm made; fine if there is nothing. */
    { "end_vm", spawn_end_vm, { { .name = "uuid", .type = FIELD_UUID } } },
    /* Is this the user's password? */
    { "pam_auth",
      auth_pam,
      { { "user", FIELD_TEXT, .min = 1, .max = 255 },
        { "password", FIELD_TEXT, .max = 1023 },
        { "from", FIELD_TEXT, .max = 255, .optional = true } } },
    { "host_power", power_host, { { "action", FIELD_WORD, .words = "poweroff reboot" } } },
    /* A bridge by that name, up; one that is not ours stays as it is. */
    { "net_bridge",
      net_bridge,
      { { .name = "bridge", .type = FIELD_IFNAME },
        { .name = "make", .type = FIELD_WORD, .words = "yes no" },
        { "mtu", FIELD_U64, .min = LINK_MTU_MIN, .max = LINK_MTU_MAX } } },
    /* Remove it if it is ours; refused while it has ports. */
    { "net_unbridge", net_unbridge, { { .name = "bridge", .type = FIELD_IFNAME } } },
    /* Put a card of the host, which must have no address, on a bridge; take it off. */
    { "net_plug",
      net_plug,
      { { .name = "bridge", .type = FIELD_IFNAME },
        { .name = "make", .type = FIELD_WORD, .words = "yes no" },
        { "mtu", FIELD_U64, .min = LINK_MTU_MIN, .max = LINK_MTU_MAX },
        { .name = "device", .type = FIELD_IFNAME } } },
    { "net_unplug",
      net_unplug,
      { { .name = "bridge", .type = FIELD_IFNAME },
        { .name = "device", .type = FIELD_IFNAME } } },
    /* A tap vifDOMID.DEVICE for a machine that starts. Reply: its name and it. */
    { "net_tap",
      net_tap,
      { VIF_FIELDS,
        { "domid", FIELD_U64, .min = 0, .max = 999999 },
        { "device", FIELD_U64, .min = 0, .max = 99 } } },
    /* The same of a tap that is there. */
    { "net_vif", net_vif, { VIF_FIELDS } },
    /* Let its guests out. Reply: a pidfd of what gives the addresses, which was started anew. */
    { "net_nat", net_nat, { NAT_FIELDS } },
    /* The part of it that is another process's: service.h. */
    { "service_dhcp", service_dhcp, { NAT_FIELDS } },
    /* No longer. */
    { "net_unnat",
      net_unnat,
      { { .name = "uuid", .type = FIELD_UUID },
        { .name = "bridge", .type = FIELD_IFNAME } } },
    { "service_end", service_end, { { .name = "uuid", .type = FIELD_UUID } } },
    /* At the daemon's start: remove our bridges without ports but these, and the rules of taps that are gone. */
    { "net_keep",
      net_keep,
      { { .name = "bridge", .type = FIELD_IFNAME, .times = 900, .optional = true } } },
    /* Remove the rules of taps that are gone. */
    { "net_sweep", net_sweep, { { .type = FIELD_END } } },
};
const size_t n_verbs = ARRAY_SIZE(verbs);
