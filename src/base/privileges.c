/* SPDX-License-Identifier: Apache-2.0 */
/* Users and capabilities. Keeps no state. */
#include "base/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/parse.h"

int privileges_user(const char *name, uid_t *uid_out, gid_t *gid_out)
{
    int64_t number;
    const struct passwd *pw;

    if (parse_range(name, 0, INT32_MAX, &number)) {
        *uid_out = (uid_t)number;
        *gid_out = (gid_t)number;
        return 0;
    }
    errno = 0;
    pw = getpwnam(name); // NOLINT(concurrency-mt-unsafe): one thread
    if (!pw) {
        errno = errno ? errno : ENOENT;
        return -1;
    }
    *uid_out = pw->pw_uid;
    *gid_out = pw->pw_gid;
    return 0;
}

int privileges_become(const char *name, uid_t uid, gid_t gid)
{
    return initgroups(name, gid) < 0 || setresgid(gid, gid, gid) < 0
                   || setresuid(uid, uid, uid) < 0
               ? -1
               : 0;
}

static bool among(unsigned cap, const unsigned *caps, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (caps[i] == cap)
            return true;
    return false;
}

static int drop_bounding(const unsigned *but, size_t n)
{
    for (unsigned cap = 0; cap < 64; cap++) {
        int there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

        if (there < 0) /* beyond the kernel's last */
            break;
        if (there && !among(cap, but, n) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return -1;
    }
    return 0;
}

int privileges_drop_bounding(void)
{
    return drop_bounding(NULL, 0);
}

int privileges_keep(const unsigned *caps, size_t n)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };

    /* Who lacks CAP_SETPCAP cannot; no_new_privs then does as much. */
    if ((drop_bounding(caps, n) < 0 && errno != EPERM)
        || syscall(SYS_capget, &header, data) < 0)
        return -1;
    for (unsigned i = 0; i < 2; i++) {
        unsigned mask = 0;

        for (unsigned bit = 0; bit < 32; bit++)
            if (among(i * 32 + bit, caps, n))
                mask |= 1U << bit;
        data[i].permitted &= mask;
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0; /* and with it the ambient ones */
    }
    return (int)syscall(SYS_capset, &header, data);
}
