/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"

static int parse(const char *line, const char *extra, const char *home, struct options *o,
                 struct err *err)
{
    AUTO(free_str) char *copy = str_dup(line);
    const char *words[32] = { 0 };
    int n = 0;
    for (char *p = copy, *word; (word = strsep(&p, " ")) && n < 32;) {
        if (*word)
            words[n++] = word;
    }
    return options_parse(n, words, extra, home, o, err);
}

/* server|port|username|password|nossl|words... */
static char *summary(const struct options *o)
{
    struct buf b = BUF_INIT(0);
    buf_addf(&b, "%s|%u|%s|%s|%d|", o->server ? o->server : "", o->port,
             o->username ? o->username : "", o->password ? o->password : "", o->nossl);
    for (int i = 0; i < o->argc; i++)
        buf_addf(&b, "%s%s", i ? " " : "", o->argv[i]);
    return buf_take(&b);
}

TEST(words)
{
    static const struct {
        const char *line, *extra, *want;
    } cases[] = {
        { "vm-list", NULL, "|0|||0|vm-list" },
        { "-s h -u root -pw x vm-list params=all", NULL,
          "h|0|root|x|0|vm-list params=all" },
        { "vm-list -s h -p 8443 --minimal", NULL, "h|8443|||0|vm-list --minimal" },
        { "server=h username=u password=p port=1 nossl=true vm-list", NULL,
          "h|1|u|p|1|vm-list" },
        { "vm-list server=h", NULL, "|0|||0|vm-list server=h" },
        { "vm-list", "server=e,port=9,username=a,password=b", "e|9|a|b|0|vm-list" },
        { "-s h -u c vm-list", "server=e,username=a", "h|0|c||0|vm-list" },
        { "-p 8443 vm-list", NULL, "localhost|8443|||0|vm-list" },
        { "-s h --socket /x vm-list", NULL, "|0|||0|vm-list" },
        { "--help", NULL, "|0|||0|help" },
        { "-s h help vm-list", NULL, "h|0|||0|help vm-list" },
        { "image-build tiny -s 4G --output x", NULL,
          "|0|||0|image-build tiny -s 4G --output x" },
        { "", NULL, "|0|||0|" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct options o = { 0 };
        struct err err = { 0 };
        CHECK_INT(parse(cases[i].line, cases[i].extra, NULL, &o, &err), 0);
        AUTO(free_str) char *got = summary(&o);
        CHECK_STR(got, cases[i].want);
        options_done(&o);
    }
}

TEST(mistakes)
{
    static const struct {
        const char *line, *extra, *want;
    } cases[] = {
        { "-s", NULL, "-s needs a value" },
        { "-p 0 vm-list", NULL, "'0' is not a port" },
        { "-p 65536 vm-list", NULL, "'65536' is not a port" },
        { "nossl=maybe vm-list", NULL, "'maybe' is not true or false" },
        { "-z vm-list", NULL, "Unknown option: -z" },
        { "-pwf /nonexistent vm-list", NULL, "/nonexistent: No such file or directory" },
        { "vm-list", "port=x", "XE_EXTRA_ARGS: 'x' is not a port" },
        { "vm-list", "nonsense", "XE_EXTRA_ARGS: 'nonsense' is no option" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct options o = { 0 };
        AUTO(err_done) struct err err = { 0 };
        CHECK_INT(parse(cases[i].line, cases[i].extra, NULL, &o, &err), -1);
        CHECK_STR(err.detail, cases[i].want);
    }
}

TEST(files)
{
    AUTO(free_str)
    char *xe = str_fmt("%s/.xe", test_dir()), *pw = str_fmt("%s/pw", test_dir());
    static const char text[] =
        "# mine\nhostname=far\nusername=me\r\npassword=secret\nother=1\n";
    CHECK_INT(io_write_file(xe, text, strlen(text), 0600), 0);
    CHECK_INT(io_write_file(pw, "from file\nmore", 14, 0600), 0);
    struct options o = { 0 };
    struct err err = { 0 };
    CHECK_INT(parse("vm-list", NULL, test_dir(), &o, &err), 0);
    AUTO(free_str) char *got = summary(&o);
    CHECK_STR(got, "far|0|me|secret|0|vm-list");
    options_done(&o);
    AUTO(free_str) char *line = str_fmt("-pwf %s -u you vm-list", pw);
    CHECK_INT(parse(line, "server=near", test_dir(), &o, &err), 0);
    AUTO(free_str) char *more = summary(&o);
    CHECK_STR(more, "near|0|you|from file|0|vm-list");
    options_done(&o);
}

TEST(socket_places)
{
    struct options o = { 0 };
    AUTO(err_done) struct err err = { 0 };
    CHECK_INT(setenv("SERAI_SOCKET", "/some/where", 1), 0);
    AUTO(free_str) char *from_env = options_socket(&o, &err);
    CHECK_STR(from_env, "/some/where");
    CHECK_INT(unsetenv("SERAI_SOCKET"), 0);
    AUTO(free_str)
    char *dir = str_fmt("%s/serai", test_dir()), *path = str_fmt("%s/seraid.sock", dir);
    CHECK_INT(io_mkdirs(dir, 0700), 0);
    AUTO(close_fd) int fd = io_listen_unix(path, 0600, 1);
    CHECK(fd >= 0);
    CHECK_INT(setenv("XDG_RUNTIME_DIR", test_dir(), 1), 0);
    AUTO(free_str) char *found = options_socket(&o, &err);
    CHECK_STR(found, path);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(io_write_file(path, "x", 1, 0600), 0); /* no socket: not taken */
    AUTO(free_str) char *other = options_socket(&o, &err);
    CHECK(!other || strcmp(other, path) != 0);
}
