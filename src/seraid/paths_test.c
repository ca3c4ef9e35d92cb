/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/paths.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"

static void check_mode(const char *path, mode_t want)
{
    struct stat st;

    CHECK_INT(lstat(path, &st), 0);
    CHECK_INT(st.st_mode & 07777, want);
}

TEST(given_directories_are_made)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *want = str_fmt("%s/a/b", test_dir());
    AUTO(free_str) char *got = NULL;

    umask(0);
    CHECK_INT(paths_state(want, &got, &err), 0);
    CHECK_STR(got, want);
    check_mode(want, 0700);
}

TEST(relative_ones_become_absolute)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *want = str_fmt("%s/here", test_dir());
    AUTO(free_str) char *got = NULL;

    CHECK_INT(chdir(test_dir()), 0);
    CHECK_INT(paths_runtime("here", &got, &err), 0);
    CHECK_STR(got, want);
    CHECK_INT(chdir("/"), 0);
}

TEST(defaults_follow_the_environment)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *state = str_fmt("%s/xdg/serai", test_dir()), *home = NULL;
    AUTO(free_str) char *got = NULL, *got_home = NULL, *got_run = NULL;

    CHECK_INT(setenv("HOME", test_dir(), 1), 0);
    state[strlen(state) - strlen("/serai")] = '\0';
    CHECK_INT(setenv("XDG_STATE_HOME", state, 1), 0);
    CHECK_INT(paths_state(NULL, &got, &err), 0);
    CHECK(str_starts(got, state) && str_ends(got, "/xdg/serai"));
    CHECK_INT(setenv("XDG_STATE_HOME", "not/absolute", 1), 0); /* to be ignored */
    CHECK_INT(paths_state(NULL, &got_home, &err), 0);
    home = str_fmt("%s/.local/state/serai", test_dir());
    CHECK_STR(got_home, home);
    CHECK_INT(setenv("XDG_RUNTIME_DIR", state, 1), 0);
    CHECK_INT(paths_runtime(NULL, &got_run, &err), 0);
    CHECK_STR(got_run, got);
}

TEST(a_default_place_of_others_is_refused)
{
    AUTO(err_done) struct err open = { 0 }, link = { 0 };
    AUTO(free_str)
    char *base = str_fmt("%s/public", test_dir()), *dir = str_fmt("%s/serai", base);
    AUTO(free_str) char *got = NULL;

    CHECK_INT(io_mkdirs(dir, 0700), 0);
    CHECK_INT(setenv("XDG_RUNTIME_DIR", base, 1), 0);
    CHECK_INT(chmod(dir, 0755), 0);
    CHECK_INT(paths_runtime(NULL, &got, &open), -1);
    CHECK(strstr(open.detail, "--runtime"));
    CHECK_INT(rmdir(dir), 0);
    CHECK_INT(symlink(test_dir(), dir), 0);
    CHECK_INT(paths_runtime(NULL, &got, &link), -1);
    CHECK(strstr(link.detail, "--runtime"));
    CHECK(!got);
}

TEST(what_cannot_be_made_is_named)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str)
    char *file = str_fmt("%s/file", test_dir()), *below = str_fmt("%s/x", file),
         *got = NULL;

    CHECK_INT(io_write_file(file, "", 0, 0600), 0);
    CHECK_INT(paths_state(below, &got, &err), -1);
    CHECK(strstr(err.detail, below) && strstr(err.detail, "Not a directory"));
}

TEST(one_holder_of_the_lock)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(buf_done) struct buf text = BUF_INIT(100);
    AUTO(free_str)
    char *path = str_fmt("%s/seraid.pid", test_dir()),
         *pid = str_fmt("%d\n", (int)getpid());
    int fd = paths_lock(test_dir(), &err);

    CHECK(fd >= 0);
    CHECK_INT(io_read_file(path, &text), 0);
    CHECK_STR(buf_str(&text), pid);
    check_mode(path, 0600);
    CHECK_INT(paths_lock(test_dir(), &err), -1);
    CHECK(strstr(err.detail, "in use by another seraid"));
    close_fd(&fd);
    fd = paths_lock(test_dir(), NULL);
    CHECK(fd >= 0);
    close_fd(&fd);
}
