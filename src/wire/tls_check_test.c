/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tls_check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"
#include "wire/conn.h"

/* A file of certificate and key, as the daemon makes it. */
static char *make_pem(void)
{
    static const char *const names[] = { "localhost" };
    char dir[] = "/tmp/tls-check-XXXXXX";
    CHECK(mkdtemp(dir) != NULL);
    AUTO(free_str) char *path = str_fmt("%s/pem", dir);
    AUTO(buf_done) struct buf text = BUF_INIT(64 * 1024);
    CHECK(tls_make_self_signed(path, names, 1, NULL) == 0);
    CHECK(io_read_file(path, &text) == 0);
    (void)unlink(path);
    (void)rmdir(dir);
    return str_dup(buf_str(&text));
}

static void refused(const char *cert, const char *key, const char *chain, const char *code)
{
    struct tls_certificate c;
    AUTO(err_done) struct err err = { 0 };
    CHECK(tls_server_check(cert, key, chain, &c, &err) == -1);
    CHECK_STR(err.code, code);
}

TEST(facts)
{
    AUTO(free_str) char *pem = make_pem();
    struct tls_certificate c;
    CHECK(tls_certificate_read(pem, &c) == 0);
    int64_t now = clock_wall_us();
    CHECK(c.not_before_us < now && now < c.not_after_us);
    CHECK_INT(strlen(c.fingerprint), 32 * 3 - 1);
    CHECK_INT(strspn(c.fingerprint, "0123456789ABCDEF:"), 32 * 3 - 1);
    CHECK(tls_certificate_read("", &c) == -1);
    CHECK(tls_certificate_read(
              "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &c)
          == -1);
}

TEST(server)
{
    AUTO(free_str) char *one = make_pem();
    AUTO(free_str) char *two = make_pem();
    struct tls_certificate c;
    CHECK(tls_server_check(one, one, "", &c, NULL) == 0);
    CHECK(tls_server_check(one, one, two, &c, NULL) == 0);
    refused(one, two, "", ERR_SERVER_CERTIFICATE_KEY_MISMATCH);
    refused(one, "", "", ERR_SERVER_CERTIFICATE_KEY_INVALID);
    refused("", one, "", ERR_SERVER_CERTIFICATE_INVALID);
    refused(one, one, "no chain", ERR_SERVER_CERTIFICATE_CHAIN_INVALID);
    AUTO(free_str) char *broken = str_fmt("%s-----BEGIN CERTIFICATE-----\nAAAA\n", two);
    refused(one, one, broken, ERR_SERVER_CERTIFICATE_CHAIN_INVALID);
}

TEST(time)
{
    int64_t now = clock_wall_us();
    struct tls_certificate early = { now + 3600 * US_PER_SEC, now + 7200 * US_PER_SEC, "" },
                           late = { 0, now - 3600 * US_PER_SEC, "" },
                           good = { 0, now + 3600 * US_PER_SEC, "" };
    AUTO(err_done) struct err a = { 0 }, b = { 0 };
    CHECK(tls_certificate_check_time(&good, "E", "L", NULL) == 0);
    CHECK(tls_certificate_check_time(&early, "E", "L", &a) == -1);
    CHECK_STR(a.code, "E");
    CHECK(tls_certificate_check_time(&late, "E", "L", &b) == -1);
    CHECK_STR(b.code, "L");
    CHECK_INT(b.n_params, 2);
    CHECK_INT(strlen(b.params[1]), strlen("20260101T00:00:00Z"));
}
