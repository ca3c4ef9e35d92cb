/* SPDX-License-Identifier: Apache-2.0 */
/* Named places where a test makes the program die, fail or wait. They exist only in builds with
 * `meson setup -Dfailpoints=true`; elsewhere FAILPOINT() is false and costs nothing.
 *
 *     if (FAILPOINT("vm.start.spawned"))
 *         return err_detail(err, "failpoint"); // any error path; errno is EIO
 *     (void)FAILPOINT("vm.start.committed");   // where only dying or waiting makes sense
 *
 * Environment, read once at start:
 *   SERAI_FAILPOINT=NAME:ACTION[:NTH]  at the NTH hit of NAME (1 if not given), once:
 *       exit        SIGKILL to ourselves
 *       error       FAILPOINT() is true, errno EIO
 *       sleep[=MS]  wait, 1000 ms if not given
 *       stop        SIGSTOP to ourselves, for a test that does something to others meanwhile
 *   SERAI_FAILPOINT=list               do nothing but log
 *   SERAI_FAILPOINT=@FILE              at each hit the plan is what FILE says then, "list" if there is none;
 *                                      hits are counted from when it changed, and every hit is logged
 *   SERAI_FAILPOINT_LOG=FILE           append "point NAME" for each one in the program at its start,
 *                                      and "hit NAME" when one is first reached,
 *                                      and "die NAME" when exit is next
 * A SERAI_FAILPOINT that cannot be read ends the program with status 2. Thread: any. */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include "base/util.h"

#ifdef FAILPOINTS
struct failpoint {
    const char *name;
    unsigned long hits;
};

bool failpoint_hit(struct failpoint *p);

/* The pointers of all points lie side by side in a section, which is how they are listed. */
#    define FAILPOINT(name_)                                                \
        ({                                                                  \
            static struct failpoint failpoint_ = { (name_), 0 };            \
            static struct failpoint *const failpoint_p_                     \
                __attribute__((section("failpoints"), used)) = &failpoint_; \
            failpoint_hit(failpoint_p_);                                    \
        })
#else
#    define FAILPOINT(name_) (false)
#endif
#endif
