/* SPDX-License-Identifier: Apache-2.0 */
/* vhd_crash_run FIRST COUNT [SUBSETS [ALL-BELOW]]: check the workloads FIRST..FIRST+COUNT-1 and print
 * "states N violations N". Status 1 if there was a violation; each is on stderr, and the same command
 * shows it again. tools/crash-storage adds many runs up. */
#include <inttypes.h>

#include "base/parse.h"
#include "vhd/vhd_crash.h"

int main(int argc, char **argv)
{
    struct crash_run run = { .subsets = 200, .all_below = 8, .verbose = true };
    uint64_t first, count, n;

    if (argc < 3 || !parse_u64(argv[1], &first) || !parse_u64(argv[2], &count)) {
        (void)fprintf(stderr, "usage: vhd_crash_run FIRST COUNT [SUBSETS [ALL-BELOW]]\n");
        return 2;
    }
    if (argc > 3 && parse_u64(argv[3], &n))
        run.subsets = (unsigned)n;
    if (argc > 4 && parse_u64(argv[4], &n))
        run.all_below = (unsigned)MIN(n, UINT64_C(16));
    for (uint64_t i = 0; i < count; i++)
        crash_workload(&run, first + i);
    printf("states %" PRIu64 " violations %" PRIu64 "\n", run.states, run.violations);
    return run.violations ? 1 : 0;
}
