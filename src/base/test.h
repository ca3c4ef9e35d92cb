/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests: TEST(name) { CHECK(...); } in x_test.c, linked with the module. Output is TAP.
 * A failed CHECK ends its test, not the run. Run one test by giving its name as an argument. */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include "base/util.h"

typedef void (*test_fn)(void);

struct test_case {
    const char *name;
    test_fn fn;
    struct test_case *next;
};

void test_register(struct test_case *t);
NORETURN void test_fail(const char *file, int line, const char *fmt, ...) PRINTF(3, 4);
/* Compare with the golden file tests/golden/NAME; REGEN=1 rewrites it. */
void test_golden(const char *file, int line, const char *name, const char *got);
/* A fresh empty directory, removed when the run ends. Borrowed. */
const char *test_dir(void);

#define TEST(name_)                                                    \
    static void test_of_##name_(void);                                 \
    __attribute__((constructor)) static void test_reg_##name_(void)    \
    {                                                                  \
        static struct test_case t = { #name_, test_of_##name_, NULL }; \
        test_register(&t);                                             \
    }                                                                  \
    static void test_of_##name_(void)

#define CHECK(cond)                                     \
    do {                                                \
        if (!(cond))                                    \
            test_fail(__FILE__, __LINE__, "%s", #cond); \
    } while (0)
#define CHECK_STR(got, want)                                                   \
    do {                                                                       \
        const char *g_ = (got), *w_ = (want);                                  \
        if (!g_ || !w_ || __builtin_strcmp(g_, w_) != 0)                       \
            test_fail(__FILE__, __LINE__, "%s: got \"%s\", want \"%s\"", #got, \
                      g_ ? g_ : "(null)", w_ ? w_ : "(null)");                 \
    } while (0)
#define CHECK_INT(got, want)                                                        \
    do {                                                                            \
        long long g_ = (long long)(got), w_ = (long long)(want);                    \
        if (g_ != w_)                                                               \
            test_fail(__FILE__, __LINE__, "%s: got %lld, want %lld", #got, g_, w_); \
    } while (0)
#define CHECK_GOLDEN(name, got) test_golden(__FILE__, __LINE__, name, got)
#endif
