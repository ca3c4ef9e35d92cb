/* SPDX-License-Identifier: Apache-2.0 */
/* The set that rootd keeps, each with what it is for. Keeps no state. */
#include "rootd/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const unsigned ours[] = {
    CAP_AUDIT_WRITE,  /* PAM writes the audit log */
    CAP_KILL,         /* processes of other uids */
    CAP_NET_ADMIN,    /* taps and bridges */
    CAP_SETGID,       /* a VM's ids */
    CAP_SETPCAP,      /* its empty bounding set */
    CAP_SETUID,       /* its ids */
    CAP_SYS_ADMIN,    /* namespaces and mounts */
    CAP_SYS_BOOT,     /* power off */
    CAP_SYS_RESOURCE, /* limits of a VM beyond our own */
};

static bool is_ours(unsigned cap)
{
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        if (ours[i] == cap)
            return true;
    return false;
}

static int drop_bounding(bool all)
{
    for (unsigned cap = 0; cap < 64; cap++) {
        int there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

        if (there < 0) /* beyond the kernel's last */
            break;
        if (there && (all || !is_ours(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return -1;
    }
    return 0;
}

int caps_drop_bounding(void)
{
    return drop_bounding(true);
}

int caps_keep_ours(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };

    if (drop_bounding(false) < 0 || syscall(SYS_capget, &header, data) < 0)
        return -1;
    for (unsigned i = 0; i < 2; i++) {
        unsigned mask = 0;

        for (unsigned bit = 0; bit < 32; bit++)
            if (is_ours(i * 32 + bit))
                mask |= 1U << bit;
        data[i].permitted &= mask;
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return (int)syscall(SYS_capset, &header, data);
}
