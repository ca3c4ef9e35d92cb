/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"
#include "host/inventory.h"

TEST(the_newest_that_will_do)
{
    static const struct {
        const char *definitions, *vendor, *want;
    } cases[] = {
        { "[]", "GenuineIntel", "Nehalem-v1" },
        { "[{\"name\":\"Haswell-v4\",\"unavailable-features\":[]},"
          "{\"name\":\"Westmere-v2\",\"unavailable-features\":[]}]",
          "GenuineIntel", "Haswell-v4" },
        { "[{\"name\":\"Haswell-v4\",\"unavailable-features\":[\"pcid\",\"spec-ctrl\"]}]",
          "GenuineIntel", "Haswell-v4,-pcid,-spec-ctrl" },
        { "[{\"name\":\"Haswell-v4\",\"unavailable-features\":[\"avx2\"]},"
          "{\"name\":\"Westmere-v2\",\"unavailable-features\":[\"spec-ctrl\"]}]",
          "GenuineIntel", "Westmere-v2,-spec-ctrl" },
        { "[{\"name\":\"Haswell-v4\",\"unavailable-features\":[]},"
          "{\"name\":\"EPYC-v2\",\"unavailable-features\":[\"osvw\"]}]",
          "AuthenticAMD", "EPYC-v2,-osvw" },
        { "[{\"name\":\"host\",\"unavailable-features\":[]},"
          "{\"name\":\"max\",\"unavailable-features\":[]}]",
          "", "Nehalem-v1" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *d = json_loads(cases[i].definitions, 0, NULL);
        char model[CPU_MODEL_MAX];

        CHECK(d);
        cpu_choose(d, cases[i].vendor, model);
        CHECK_STR(model, cases[i].want);
        json_decref(d);
    }
}

TEST(words_in_their_order)
{
    json_t *w = json_loads(
        "[{\"cpuid-register\":\"ECX\",\"cpuid-input-eax\":1,\"features\":2147491841},"
        "{\"cpuid-register\":\"EDX\",\"cpuid-input-eax\":1,\"features\":126614525},"
        "{\"cpuid-register\":\"EBX\",\"cpuid-input-ecx\":0,\"cpuid-input-eax\":7,"
        "\"features\":16},"
        "{\"cpuid-register\":\"EAX\",\"cpuid-input-ecx\":1,\"cpuid-input-eax\":7,"
        "\"features\":1}]",
        0, NULL);
    char words[CPU_FEATURES_MAX];

    cpu_words(w, words);
    CHECK_STR(words, "078bfbfd-80002001-00000000-00000000-00000000-00000010-00000000-"
                     "00000000-00000000-00000000-00000001");
    json_decref(w);
    cpu_host_words(words);
    CHECK_INT(strlen(words), 11 * 9 - 1);
    CHECK(strncmp(words, "00000000", 8) != 0);
}

/* The real QEMU, and the second time what it said. */
TEST(asked_once)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *qemu = inventory_qemu(&err);
    AUTO(free_str) char *path = str_fmt("%s/cpu-baseline", test_dir());
    AUTO(buf_done) struct buf first = BUF_INIT(8192);
    struct cpu_baseline a, b;

    CHECK(qemu);
    cpu_baseline(test_dir(), qemu, "tcg", "GenuineIntel", "a processor", &a);
    CHECK(strstr(a.model, "-v"));
    CHECK(strncmp(a.features, "00000000", 8) != 0);
    CHECK_INT(io_read_file(path, &first), 0);
    CHECK_INT(io_write_file(path, "1 x\nmodel\nwords\n", 16, 0600), 0);
    cpu_baseline(test_dir(), qemu, "tcg", "GenuineIntel", "a processor", &b);
    CHECK_STR(b.model, a.model);
    char *line = strchr(first.data, '\n');
    CHECK(line);
    *line = '\0';
    AUTO(free_str) char *kept = str_fmt("%s\nkept\nwords\n", first.data);
    CHECK_INT(io_write_file(path, kept, strlen(kept), 0600), 0);
    cpu_baseline(test_dir(), qemu, "tcg", "GenuineIntel", "a processor", &b);
    CHECK_STR(b.model, "kept");
    CHECK_STR(b.features, "words");
}
