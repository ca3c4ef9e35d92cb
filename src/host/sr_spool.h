/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the drivers that are directories: files for what comes in before it is a volume. One with a key stays when its
 * transfer breaks off, so that it can go on, and goes a day after its last byte. Thread: any. */
#ifndef HOST_SR_SPOOL_H
#define HOST_SR_SPOOL_H

#include "host/sr.h"

/* As the driver's spool(). */
int sr_spool_open(const struct sr_config *sr, const char *key, bool make, struct err *err)
    MUST_CHECK;
void sr_spool_forget(const struct sr_config *sr, const char *key);
/* It becomes the file of that name, which must not be there. */
int sr_spool_place(const struct sr_config *sr, const char *key, const char *name,
                   struct err *err) MUST_CHECK;
#endif
