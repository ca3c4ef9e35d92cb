/* SPDX-License-Identifier: Apache-2.0 */
/* NUMBER -> UUID comes first when a uid is taken and goes first when it is released: a number without its way back
 * belongs to nobody, and a way back to a number that points elsewhere means nothing. */
#include "rootd/uids.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/uuid.h"

#define LINK_MAX_ 64

static bool link_is(int dir, const char *name, const char *want)
{
    char text[LINK_MAX_];
    ssize_t n = readlinkat(dir, name, text, sizeof(text) - 1);

    if (n < 0)
        return false;
    text[n] = '\0';
    return str_eq(text, want);
}

static int open_dir(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Starting anywhere, so that a uid is not given again soon. */
static int take_number(int dir, const char *uuid, uint32_t base, uint32_t count,
                       char number[static LINK_MAX_], uint32_t *uid_out)
{
    uint32_t start;

    random_bytes(&start, sizeof(start));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t uid = base + (uint32_t)(((uint64_t)start + i) % count);

        (void)snprintf(number, LINK_MAX_, "%u", uid);
        if (symlinkat(uuid, dir, number) == 0) {
            *uid_out = uid;
            return 0;
        }
        if (errno != EEXIST)
            return -1;
    }
    errno = EUSERS;
    return -1;
}

int uids_take(const char *path, const char *uuid, uint32_t base, uint32_t count,
              uint32_t *uid_out)
{
    AUTO(close_fd) int dir = open_dir(path);
    char number[LINK_MAX_];
    uint32_t uid;

    if (dir < 0 || take_number(dir, uuid, base, count, number, &uid) < 0)
        return -1;
    if (symlinkat(number, dir, uuid) < 0) {
        int saved = errno;

        (void)unlinkat(dir, number, 0); /* else uids_sweep finds it */
        errno = saved;
        return -1;
    }
    *uid_out = uid;
    return 0;
}

int uids_release(const char *path, const char *uuid)
{
    AUTO(close_fd) int dir = open_dir(path);
    char number[LINK_MAX_];
    ssize_t n = dir < 0 ? -1 : readlinkat(dir, uuid, number, sizeof(number) - 1);

    if (n < 0)
        return dir >= 0 && errno == ENOENT ? 0 : -1;
    number[n] = '\0';
    if (link_is(dir, number, uuid) && unlinkat(dir, number, 0) < 0)
        return -1;
    return unlinkat(dir, uuid, 0);
}

int uids_sweep(const char *path)
{
    AUTO(close_fd) int dir = open_dir(path);
    DIR *list = dir < 0 ? NULL : opendir(path);

    if (!list)
        return -1;
    for (struct dirent *e; (e = readdir(list)) != NULL;) {
        char uuid[LINK_MAX_];
        uint64_t number;
        ssize_t n;

        if (!parse_u64(e->d_name, &number))
            continue;
        n = readlinkat(dir, e->d_name, uuid, sizeof(uuid) - 1);
        if (n < 0)
            continue;
        uuid[n] = '\0';
        if (!link_is(dir, uuid, e->d_name))
            (void)unlinkat(dir, e->d_name, 0); /* it only takes up a number */
    }
    closedir(list);
    return 0;
}
