/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/options.h"

#include <string.h>

#include "base/test.h"

static int parse(const char *line, struct options *out, struct err *err)
{
    static char copy[256];
    static char *argv[16];
    int argc = 0;

    argv[argc++] = copy;
    memcpy(copy, line, strlen(line) + 1);
    for (char *p = copy; *p;) {
        argv[argc++] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = '\0';
    }
    return options_parse(argc, argv, out, err);
}

TEST(good_lines)
{
    static const char *const good[] = {
        "--rootless",
        "--rootless --state /tmp/x --runtime=/tmp/y",
        "--https 0.0.0.0:443",
        "--https [::1]:0",
        "--http 127.0.0.1:0",
        "--http localhost:8080",
        "--http [::1]:8080",
        "--http=127.1.2.3:1",
        "--log-level debug",
        "--brand xenserver",
        "--web /srv/web",
        "--audit-days 30",
        "--machine fake",
        "--password-file /x",
        "--help",
        "-h",
        "--version",
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        AUTO(err_done) struct err err = { 0 };
        struct options o;

        CHECK_INT(parse(good[i], &o, &err), 0);
        CHECK(!err.code);
    }
}

TEST(bad_lines_say_why)
{
    static const struct {
        const char *line, *part;
    } bad[] = {
        { "--nonsense", "Unknown option \"--nonsense\"" },
        { "stray", "Unknown option \"stray\"" },
        { "--state", "--state needs a value" },
        { "--state=", "--state needs a value" },
        { "--rootless=1", "takes no value" },
        { "--https 443", "an address and a port" },
        { "--https :443", "an address and a port" },
        { "--https 1.2.3.4:70000", "an address and a port" },
        { "--https ::1:443", "in brackets" },
        { "--http 10.0.0.7:80", "loopback" },
        { "--http 0.0.0.0:80", "loopback" },
        { "--http 127.evil.example:80", "loopback" },
        { "--http [::]:80", "loopback" },
        { "--brand acme", "xcp-ng, xenserver or serai" },
        { "--audit-days 0", "1 to 36500" },
        { "--log-level loud", "error, warn, info or debug" },
        { "--machine xen", "fake or qemu" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        AUTO(err_done) struct err err = { 0 };
        struct options o;

        CHECK_INT(parse(bad[i].line, &o, &err), -1);
        CHECK(err.detail && strstr(err.detail, bad[i].part));
    }
}

TEST(values_arrive)
{
    AUTO(err_done) struct err err = { 0 };
    struct options o;

    CHECK_INT(parse("--rootless --state /a --runtime /b --https 127.0.0.1:1 --log-level "
                    "warn --machine fake",
                    &o, &err),
              0);
    CHECK(o.rootless && o.fake_machine && !o.help && !o.http);
    CHECK_STR(o.state_dir, "/a");
    CHECK_STR(o.runtime_dir, "/b");
    CHECK_STR(o.https, "127.0.0.1:1");
    CHECK_INT(o.log_level, LOG_WARN);
}
