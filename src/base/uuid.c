/* SPDX-License-Identifier: Apache-2.0 */
/* Random uuids (RFC 4122, version 4) and random bytes from the kernel. Thread: any. */
#include "base/uuid.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static void from_kernel(void *p, size_t len)
{
    uint8_t *at = p;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            abort();
        at += n;
        len -= (size_t)n;
    }
}

#define STOCK 512

/* Few bytes at a time are taken from a stock of the thread's own, and wiped there: a system call each would cost more than
 * all else. Children of ours run another program at once, so none shares a stock. */
void random_bytes(void *p, size_t len)
{
    static _Thread_local uint8_t stock[STOCK];
    static _Thread_local size_t left;

    if (len > STOCK / 8) {
        from_kernel(p, len);
        return;
    }
    if (len > left) {
        from_kernel(stock, STOCK);
        left = STOCK;
    }
    left -= len;
    memcpy(p, stock + left, len);
    explicit_bzero(stock + left, len);
}

struct uuid uuid_new(void)
{
    struct uuid u;
    random_bytes(u.b, sizeof(u.b));
    u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40);
    u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
    return u;
}

static bool dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void uuid_text(const struct uuid *u, char out[static UUID_TEXT_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    char *at = out;
    for (size_t i = 0; i < sizeof(u->b); i++) {
        if (dash_before(i))
            *at++ = '-';
        *at++ = hex[u->b[i] >> 4];
        *at++ = hex[u->b[i] & 15];
    }
    *at = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool uuid_parse(const char *s, struct uuid *out)
{
    struct uuid u;
    if (strlen(s) != UUID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < sizeof(u.b); i++) {
        if (dash_before(i) && *s++ != '-')
            return false;
        int high = hex_value(s[0]), low = hex_value(s[1]);
        if (high < 0 || low < 0)
            return false;
        u.b[i] = (uint8_t)(high << 4 | low);
        s += 2;
    }
    *out = u;
    return true;
}
