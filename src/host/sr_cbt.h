/* SPDX-License-Identifier: Apache-2.0 */
/* Logs of changed blocks as files of a directory repository, UUID.cbt beside UUID.vhd (vhd/vhd_cbt.h). Thread: any; blocking. */
#ifndef HOST_SR_CBT_H
#define HOST_SR_CBT_H

#include "host/sr.h"

#define SR_CBT_TMP ".cbt.new" /* the library's */

extern const struct sr_logs sr_cbt_logs;
#endif
