/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/test.h"

/* A manager's socket bound to name, of which '@' at the start means the abstract name space. */
static int manager(const char *name)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    CHECK(strlen(name) < sizeof(addr.sun_path));
    memcpy(addr.sun_path, name, strlen(name));
    if (name[0] == '@')
        addr.sun_path[0] = '\0';
    CHECK_INT(bind(fd, (struct sockaddr *)&addr,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
              0);
    return fd;
}

TEST(the_manager_is_told)
{
    AUTO(free_str)
    char *path = str_fmt("%s/notify", test_dir()),
         *abstract = str_fmt("@serai-test-%d", (int)getpid());
    const char *const names[] = { path, abstract };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        AUTO(close_fd) int fd = manager(names[i]);
        char got[32] = "";

        CHECK_INT(setenv("NOTIFY_SOCKET", names[i], 1), 0);
        notify_send("READY=1");
        CHECK_INT(recv(fd, got, sizeof(got) - 1, 0), 7);
        CHECK_STR(got, "READY=1");
    }
}

TEST(without_a_manager_nothing_happens)
{
    CHECK_INT(unsetenv("NOTIFY_SOCKET"), 0);
    notify_send("READY=1");
    CHECK_INT(setenv("NOTIFY_SOCKET", "relative", 1), 0);
    notify_send("READY=1");
    CHECK_INT(setenv("NOTIFY_SOCKET", "/no/such/socket", 1), 0);
    notify_send("READY=1"); /* a warning in the log, no more */
}
