/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/provision.h"

#include "api/errors.h"
#include "base/test.h"

static const struct {
    const char *xml;
    int rc;
    size_t n;
} cases[] = {
    { "", 0, 0 },
    { "<provision/>", 0, 0 },
    { "<provision><disk device=\"0\" size=\"8589934592\" sr=\"\" bootable=\"true\" "
      "type=\"system\"/></provision>",
      0, 1 },
    { "<provision><disk device=\"0\" size=\"1\"/><disk device=\"1\" "
      "size=\"2\"/></provision>",
      0, 2 },
    { "<provision><disk device=\"0\" size=\"0\"/></provision>", -1, 0 },
    { "<provision><disk device=\"0\"/></provision>", -1, 0 },
    { "<provision><disk device=\"0\" size=\"-5\"/></provision>", -1, 0 },
    { "<provision><disk device=\"0\" size=\"99999999999999999999\"/></provision>", -1, 0 },
    { "<provision><disk device=\"123456789\" size=\"5\"/></provision>", -1, 0 },
    { "<provision><disk device=\"0\" size=\"5\" sr=\"../../etc\"/></provision>", -1, 0 },
    { "<!DOCTYPE p [<!ENTITY a \"b\">]><provision><disk device=\"0\" "
      "size=\"5\"/></provision>",
      -1, 0 },
    { "<provision>", -1, 0 },
    { "plain text", -1, 0 },
};

TEST(provision_table)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct provision_disk disks[PROVISION_DISKS_MAX];
        size_t n = 0;
        AUTO(err_done) struct err err = { 0 };
        int rc = provision_parse(cases[i].xml, disks, &n, &err);
        if (rc != cases[i].rc || n != cases[i].n)
            test_fail(__FILE__, __LINE__, "case %zu: rc %d, %zu disks", i, rc, n);
        if (rc)
            CHECK_STR(err.code, ERR_INVALID_VALUE);
    }
}

TEST(provision_fields)
{
    struct provision_disk d[PROVISION_DISKS_MAX];
    size_t n;
    CHECK(
        provision_parse(
            "<provision><disk device=\"3\" size=\"4096\" bootable=\"true\" type=\"system\" "
            "sr=\"6B29FC40-CA47-1067-B31D-00DD010662DA\"/></provision>",
            d, &n, NULL)
        == 0);
    CHECK_INT(n, 1);
    CHECK_STR(d[0].device, "3");
    CHECK_INT(d[0].size_bytes, 4096);
    CHECK(d[0].bootable);
    CHECK_INT(d[0].type, VDI_TYPE_SYSTEM);
    CHECK_STR(d[0].sr_uuid, "6b29fc40-ca47-1067-b31d-00dd010662da");
}

TEST(provision_too_many)
{
    AUTO(buf_done) struct buf xml = BUF_INIT(0);
    struct provision_disk d[PROVISION_DISKS_MAX];
    size_t n;
    buf_add_str(&xml, "<provision>");
    for (int i = 0; i <= PROVISION_DISKS_MAX; i++)
        buf_addf(&xml, "<disk device=\"%d\" size=\"5\"/>", i);
    buf_add_str(&xml, "</provision>");
    CHECK(provision_parse(buf_str(&xml), d, &n, NULL) == -1);
}
