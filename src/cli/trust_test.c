/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/trust.h"

#include "base/mem.h"
#include "base/test.h"

TEST(pins)
{
    static const char text[] = "a:443 AA:BB\nab:443 CC\n[::1]:8443 DD:EE\r\nlast:1 FF";
    static const char *const cases[][2] = { { "a:443", "AA:BB" },      { "ab:443", "CC" },
                                            { "[::1]:8443", "DD:EE" }, { "last:1", "FF" },
                                            { "b:443", NULL },         { "a:44", NULL } };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(free_str) char *pin = trust_find(text, cases[i][0]);
        CHECK(str_eq(pin, cases[i][1]));
    }
    CHECK(trust_find("", "a:443") == NULL);
}

/* Lines of /proc/net/tcp as Linux writes them (Documentation/networking/proc_net_tcp.rst). */
TEST(listeners)
{
    static const char text[] =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid "
        " timeout inode\n"
        "   0: 0100007F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 "
        "       0 1 1\n"
        "   1: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 "
        "       0 2 1\n"
        "   2: 0100007F:20FC 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000 "
        "       0 3 1\n"
        "   3: 00000000000000000000000001000000:20FB 00000000000000000000000000000000:0000 "
        "0A "
        "00000000:00000000 00:00000000 00000000  1000        0 4 1\n";
    CHECK(trust_listener(text, 0x20fb, 1000));
    CHECK(!trust_listener(text, 0x20fb, 1001));
    CHECK(trust_listener(text, 443, 1001));     /* root's */
    CHECK(!trust_listener(text, 0x20fc, 1000)); /* a connection, no listener */
    CHECK(!trust_listener(text, 1, 1000));
    CHECK(!trust_listener("", 443, 0));
}
