/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/test.h"
#include "vhd/vhd_crash.h"
#include "vhd/vhd_image.h"

/* Every workload of up to three operations in turn, in an order that mixes them, then random ones. */
TEST(no_cut_loses_anything)
{
    struct crash_run run = {
        .max_states = 50000, .subsets = 6, .all_below = 3, .verbose = true
    };
    int64_t start = clock_now_us();

    for (uint64_t i = 0; run.states < run.max_states; i++) {
        if (i % 10 == 9)
            crash_workload(&run, CRASH_EXHAUSTIVE + i / 10);
        else
            crash_workload(&run, i * 1999 % CRASH_EXHAUSTIVE);
    }
    printf("# %llu states of %llu workloads in %lld ms\n", (unsigned long long)run.states,
           (unsigned long long)run.workloads,
           (long long)((clock_now_us() - start) / US_PER_MS));
    CHECK_INT(run.violations, 0);
}

/* The harness itself: each of these mistakes in the library must be found. */
static void catches(enum vhd_plant plant, const char *name)
{
    struct crash_run run = { .max_states = 60000, .subsets = 20, .all_below = 6 };

    vhd_plant = plant;
    for (uint64_t i = 0; run.violations == 0 && run.states < run.max_states; i++)
        crash_workload(&run, i * 1999 % CRASH_EXHAUSTIVE);
    vhd_plant = VHD_PLANT_NONE;
    printf("# %s: after %llu states: %s\n", name, (unsigned long long)run.states,
           run.first);
    CHECK(run.violations > 0);
}

TEST(catches_table_before_space)
{
    catches(VHD_PLANT_SPACE_SYNC, "no fsync before the block table");
}

TEST(catches_footer_first)
{
    catches(VHD_PLANT_FOOTER_FIRST, "footer written first");
}

TEST(catches_missing_directory_sync)
{
    catches(VHD_PLANT_DIR_SYNC, "no fsync of the directory");
}

TEST(catches_late_change_bits)
{
    catches(VHD_PLANT_CBT_LATE, "changed-block bits after the answer");
}

TEST(catches_early_removal)
{
    catches(VHD_PLANT_UNLINK_EARLY, "merged image removed early");
}
