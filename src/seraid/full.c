/* SPDX-License-Identifier: Apache-2.0 */
/* What a service of the system does at its start. Started as root (no service manager) it makes its directories and becomes
 * its user; started as that user it finds them made. Either way, once the ports are bound nothing is left to it that
 * an ordinary process has not. The question about passwords runs on any thread; all else on the main one. */
#include "seraid/full.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/filter.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/privileges.h"
#include "host/root.h"
#include "model/session.h"

#define NSS_MAX    16384 /* bytes of one user's or group's entry */
#define GROUPS_MAX 1024
/* Longer than serai-rootd takes for a refusal, so that all refusals look alike. */
#define REFUSAL_US (2200 * US_PER_MS)

static const char *admin_group; /* set before the first thread */

static int fail(struct err *err, const char *what, const char *name)
{
    int saved = errno;

    (void)err_set(err, ERR_INTERNAL_ERROR, name);
    errno = saved;
    return err_detail(err, "%s %s: %m.", what, name);
}

void full_defaults(struct options *o)
{
    const struct {
        const char **at, *value;
    } all[] = {
        { &o->state_dir, "/var/lib/serai" },
        { &o->runtime_dir, "/run/serai" },
        { &o->https, o->http ? NULL : "0.0.0.0:443" },
        { &o->nbd, "0.0.0.0:10809" },
        { &o->user, "serai" },
        { &o->admin_group, "serai-admin" },
        { &o->rootd, "/run/serai-rootd/socket" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (!*all[i].at)
            *all[i].at = all[i].value;
}

static int make_for(const char *path, uid_t uid, gid_t gid, struct err *err)
{
    if (io_mkdirs(path, 0700) != 0)
        return fail(err, "Cannot make the directory", path);
    return lchown(path, uid, gid) != 0 ? fail(err, "Cannot give away the directory", path)
                                       : 0;
}

int full_directories(const struct options *o, struct err *err)
{
    uid_t uid;
    gid_t gid;

    if (geteuid() != 0)
        return 0;
    if (privileges_user(o->user, &uid, &gid) != 0)
        return fail(err, "Cannot find the user", o->user);
    if (uid == 0) {
        (void)err_set(err, ERR_INTERNAL_ERROR, o->user);
        return err_detail(err, "%s is root; full mode needs a user of its own.", o->user);
    }
    return make_for(o->state_dir, uid, gid, err) != 0
               ? -1
               : make_for(o->runtime_dir, uid, gid, err);
}

int full_confine(const struct options *o, struct err *err)
{
    struct filter filter = { 0 };
    uid_t uid;
    gid_t gid;
    int rc;

    /* The bounding set first: its right goes with root. */
    if (geteuid() == 0
        && (privileges_user(o->user, &uid, &gid) != 0 || privileges_drop_bounding() != 0
            || privileges_become(o->user, uid, gid) != 0))
        return fail(err, "Cannot become the user", o->user);
    if (filter_compile(FILTER_DAEMON, &filter) != 0)
        return fail(err, "Cannot confine", "seraid");
    rc = privileges_keep(NULL, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && filter_install(&filter) == 0
             ? 0
             : fail(err, "Cannot confine", "seraid");
    filter_done(&filter);
    return rc;
}

/* Users */

/* Names between commas, which no name has; given. */
static char *groups_of(const struct passwd *pw)
{
    AUTO(free_ptr) char *text = mem_alloc(NSS_MAX);
    AUTO(free_ptr) gid_t *groups = mem_array(GROUPS_MAX, sizeof(*groups));
    struct buf names = BUF_INIT(NSS_MAX);
    struct group entry, *found;
    int n = GROUPS_MAX;

    if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
        n = 0;
    for (int i = 0; i < n; i++) {
        found = NULL;
        if (getgrgid_r(groups[i], &entry, text, NSS_MAX, &found) == 0 && found
            && !strchr(found->gr_name, ','))
            buf_addf(&names, "%s%s", names.len ? "," : "", found->gr_name);
    }
    return buf_take(&names);
}

static bool in_group(const struct passwd *pw, const char *name)
{
    AUTO(free_ptr) char *text = mem_alloc(NSS_MAX);
    AUTO(free_ptr) gid_t *groups = mem_array(GROUPS_MAX, sizeof(*groups));
    struct group entry, *found = NULL;
    int n = GROUPS_MAX;

    if (getgrnam_r(name, &entry, text, NSS_MAX, &found) != 0 || !found
        || getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
        return false;
    for (int i = 0; i < n; i++)
        if (groups[i] == found->gr_gid)
            return true;
    return false;
}

/* root, or a member of the group; the groups of others. */
static bool is_admin(const char *user, char **groups_out)
{
    AUTO(free_ptr) char *text = mem_alloc(NSS_MAX);
    struct passwd entry, *found = NULL;

    if (getpwnam_r(user, &entry, text, NSS_MAX, &found) != 0 || !found)
        return false;
    if (found->pw_uid == 0 || in_group(found, admin_group))
        return true;
    *groups_out = groups_of(found);
    return false;
}

static int ask(const char *user, const char *password, const char *from, bool *right_out,
               bool *admin_out, char **groups_out, struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };

    if (root_get()->authenticate(user, password, from, right_out, &cause) != 0) {
        (void)err_set(err, ERR_SESSION_AUTHENTICATION_FAILED, user,
                      "Passwords cannot be checked: serai-rootd does not answer");
        return err_detail(err, "%s", cause.detail ? cause.detail : cause.code);
    }
    *admin_out = *right_out && is_admin(user, groups_out);
    return 0;
}

int full_connect(const struct options *o, struct err *err)
{
    struct session_limits limits = SESSION_LIMITS;

    if (root_connect(o->rootd, err) != 0)
        return err_detail(err, "serai-rootd does not answer at %s; it is started first.",
                          o->rootd);
    if (o->password_file) /* instead of the system's users */
        return 0;
    admin_group = o->admin_group;
    limits.fail_delay_us = REFUSAL_US;
    session_set_limits(&limits);
    session_set_source(ask);
    return 0;
}
