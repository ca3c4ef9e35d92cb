/* SPDX-License-Identifier: Apache-2.0 */
/* The serial line of one machine: one connection to QEMU, any number of viewers. Lives on the machine thread (a
 * base/loop). Recent output is kept in memory for new viewers and in a log file that is bounded. */
#ifndef HOST_SERIAL_H
#define HOST_SERIAL_H

#include "base/err.h"
#include "base/loop.h"

#define SERIAL_RECENT  (64U << 10)  /* what a new viewer is shown */
#define SERIAL_LOG_MAX (1U << 20)   /* then LOG becomes LOG.1 */
#define SERIAL_BACKLOG (256U << 10) /* what a slow viewer may owe before it misses output */
#define SERIAL_TYPEAHEAD \
    (16U << 10) /* what the guest may owe before viewers have to wait */

struct serial;

/* Take the connected socket to QEMU. log_path: copied, appended to; its tail is what the first viewer sees. Thread: any. */
struct serial *serial_open(struct loop *loop, int fd, const char *log_path);
/* Viewers get end of file. Thread: any; what was posted before is done first. */
void serial_close(struct serial *s);
/* A new viewer's end of a socket: recent output first, then live; what is written goes to the guest. Given. Thread: any. */
int serial_view(struct serial *s, struct err *err) MUST_CHECK;
#endif
