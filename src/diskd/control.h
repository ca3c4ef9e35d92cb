/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket of serai-disk: SOCK_SEQPACKET, one message one request, one reply each, in any order.
 * A message is lines: the verb, then key=value. Values have no line break. Keys a verb does not know are
 * an error, so that nothing that was asked for is silently left out.
 *
 *   open      id, path (the leaf's); or descriptors with the message: base first, leaf last
 *             write=yes, raw-base=yes, nbd=PATH, nbd-fd=yes (the last descriptor listens),
 *             plain=yes (no io_uring), enospc=stop|report (report), eio=stop|report (report),
 *             iops=N, bytes-per-second=N (no limit)
 *             journal=PATH: what is owed to the image is kept there and put into it at the next open with the same path
 *   set       id               and the last four of open, which then hold from now on: those not named as if not named there
 *   close     id               flush, make the image whole, release it
 *   flush     id
 *   stats     id               counters; bytes, depth, connections, stopped, backend, hold-us, hold-max-us
 *   snapshot  id, path, id, path, ...    all at one moment; path: the new leaf, beside the old
 *   resize    id, bytes
 *   merge     id               the leaf into its parent, whose only child it is, while I/O runs: the parent is the leaf, and
 *                              has its name, when the reply comes
 *   merge-stop id              it is given up unless it is at its very end; the reply comes when it is over
 *   relink    id, path         the layer at path is let go of: its parent holds the same. ok too if there is none
 *   resume    id               requests that an error has stopped are tried again
 *   quit                       close all disks, then end
 *
 * tag=TEXT may be in any request and is then in its reply. Replies: "ok" or "error" with code= (a status
 * such as ENOENT or VHD_INVALID) and text=. To every client comes "event" with name=stopped, id=, error=
 * when requests are held by the policy, and name=resumed, id= when they go on; who connects later
 * is told what is stopped by then.
 * Thread: control, which waits for no disk. */
#ifndef DISKD_CONTROL_H
#define DISKD_CONTROL_H

#include "base/loop.h"

#define CONTROL_MESSAGE_MAX 8192

struct control;

struct control *control_new(struct loop *l,
                            int listen_fd); /* listening, SEQPACKET; taken; NULL: errno */
/* One request as if from the socket (the command line's); reply is logged if it is an error. fd: that came with it; -1: none. */
void control_run(struct control *c, const char *message, int fd);
void control_quit(struct control *c); /* stops the loop when all disks are closed */
bool control_failed(
    const struct control *c); /* a request of control_run failed, or a close */
void control_on_failure(struct control *c, void (*fn)(void *arg), void *arg); /* then */
void control_free(struct control *c); /* after the loop has ended */

/* Pure: the lines of a message. */
#define CONTROL_PAIRS_MAX 64

struct control_message {
    const char *verb;
    const char *tag; /* NULL: none */

    struct {
        const char *key, *value;
    } pair[CONTROL_PAIRS_MAX];

    size_t n;
};

/* Cuts text up; false: not of that form. */
bool control_parse(char *text, size_t len, struct control_message *out);
#endif
