/* SPDX-License-Identifier: Apache-2.0 */
/* All that can be asked of root, on one page. */
#include "rootd/rootd.h"

#define MIB UINT64_C(1048576)

const struct verb verbs[] = {
    /* Run the hypervisor in a jail of its own. arg: its arguments; fd: a number, or what a descriptor is: the file
     * that gets the pid, or a file that the jail shows as /kernel or /initrd. Reply: pid, uid and a pidfd. */
    { "spawn_vm",
      spawn_vm,
      { { .name = "uuid", .type = FIELD_UUID },
        { "arg", FIELD_TEXT, .max = 65536, .times = 512, .optional = true },
        { "fd", FIELD_FD, .max = 255, .words = "pid kernel initrd",
          .times = REQUEST_FDS_MAX, .optional = true },
        { "memory_max", FIELD_U64, .min = MIB, .max = MIB << 26, .optional = true },
        { "cpu_weight", FIELD_U64, .min = 1, .max = 10000, .optional = true },
        { "pids_max", FIELD_U64, .min = 1, .max = 65536, .optional = true },
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
};
const size_t n_verbs = ARRAY_SIZE(verbs);
