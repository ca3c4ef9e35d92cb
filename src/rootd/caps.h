/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities. -1 with errno. */
#ifndef ROOTD_CAPS_H
#define ROOTD_CAPS_H

#include "base/util.h"

/* Give up all that rootd does not need, for good. */
int caps_keep_ours(void) MUST_CHECK;
/* Empty the bounding set: no exec of this process's descendants gives any back. */
int caps_drop_bounding(void) MUST_CHECK;
#endif
