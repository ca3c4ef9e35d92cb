/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/list.h"
#include "base/test.h"
#include "base/vec.h"

TEST(strings)
{
    AUTO(free_str) char *a = str_fmt("%s-%d", "x", 5);
    AUTO(free_str) char *b = str_dupn("abcdef", 3);
    CHECK_STR(a, "x-5");
    CHECK_STR(b, "abc");
    CHECK(str_dup(NULL) == NULL);
    CHECK(str_eq(NULL, NULL) && !str_eq(NULL, "") && str_eq("a", "a") && !str_eq("a", "b"));
    CHECK(str_starts("abc", "ab") && !str_starts("a", "ab") && str_starts("", ""));
    CHECK(str_ends("abc", "bc") && !str_ends("c", "bc") && str_ends("x", ""));
}

TEST(allocations_are_zeroed)
{
    AUTO(free_ptr) uint8_t *p = mem_array(1000, 3);
    for (size_t i = 0; i < 3000; i++)
        CHECK(p[i] == 0);
    AUTO(free_ptr) void *nothing = mem_alloc(0);
    CHECK(nothing != NULL);
}

TEST(too_large_aborts)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(STDERR_FILENO);
        volatile size_t count = SIZE_MAX / 2; /* hidden from the compiler's own check */
        free(mem_array(count, 3));
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST(close_fd_keeps_errno)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int dup_fd = fd;
    CHECK(fd >= 0);
    errno = ENOTDIR;
    close_fd(&fd);
    CHECK_INT(errno, ENOTDIR);
    close_fd(&dup_fd); /* closed already: EBADF inside */
    CHECK_INT(errno, ENOTDIR);
    CHECK_INT(fcntl(dup_fd, F_GETFD), -1);
}

TEST(take_leaves_nothing_behind)
{
    char *p = str_dup("x");
    AUTO(free_str) char *q = TAKE(p);
    CHECK(p == NULL);
    CHECK_STR(q, "x");
    int fd = 7;
    CHECK_INT(TAKE_FD(fd), 7);
    CHECK_INT(fd, -1);
}

TEST(vectors)
{
    VEC(int) v = { 0 };
    for (int i = 0; i < 100; i++)
        vec_push(&v, i);
    CHECK_INT(v.n, 100);
    vec_remove(&v, 0);
    vec_remove(&v, 98);
    vec_remove(&v, 50);
    CHECK_INT(v.n, 97);
    CHECK_INT(v.v[0], 1);
    CHECK_INT(v.v[49], 50);
    CHECK_INT(v.v[50], 52);
    CHECK_INT(v.v[96], 98);
    vec_done(&v);
    CHECK(v.v == NULL && v.n == 0);
}

struct item {
    int value;
    struct list link;
};

TEST(lists)
{
    struct list head = LIST_INIT(head);
    struct item items[4];
    CHECK(list_empty(&head));
    for (int i = 0; i < 4; i++) {
        items[i].value = i;
        list_add_tail(&head, &items[i].link);
    }
    list_remove(&items[1].link);
    list_remove(&items[1].link); /* harmless */
    int seen = 0;
    list_for_each(it, &head)
        seen = seen * 10 + list_entry(it, struct item, link)->value;
    CHECK_INT(seen, 23); /* 0, 2, 3 */
    list_for_each_safe(it, &head)
        list_remove(it);
    CHECK(list_empty(&head));
}

TEST(min_and_max_nest_and_evaluate_once)
{
    int calls = 0;
    CHECK_INT(MIN(MAX(calls++, -5), MIN(9, 8)), 0);
    CHECK_INT(calls, 1);
}
