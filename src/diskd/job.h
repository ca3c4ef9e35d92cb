/* SPDX-License-Identifier: Apache-2.0 */
/* Work on images that no guest waits for, in a process of its own which may be killed at any moment. */
#ifndef DISKD_JOB_H
#define DISKD_JOB_H

#include "base/util.h"

/* Merge the image at argv[0] into its parent; the rest are its children.
 *   all       the children continue the parent, the image goes; without children the parent takes its name
 *   copy      the content only: others may have the image open, nobody writes to it
 *   children  after copy: these continue the parent
 * A failure is one line on standard output, the status and the sentence. Returns the exit status. */
int job_merge(const char *part, char **argv, size_t n) MUST_CHECK;
#endif
