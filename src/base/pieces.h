/* SPDX-License-Identifier: Apache-2.0 */
/* A long answer without copying what is kept anyway: a buffer of what was written for it, and lists of texts that others
 * hold too, each list with its place in the buffer. A text is made once and never changed, a list only by its one holder;
 * both are freed by their last. */
#ifndef BASE_PIECES_H
#define BASE_PIECES_H

#include <sys/uio.h>

#include "base/buf.h"

struct text {
    unsigned holders; /* atomic */
    unsigned len;
    char p[]; /* no NUL */
};

struct text *text_new(const void *p, size_t len); /* of less than 4 GiB; held once */
void text_drop(struct text *t);                   /* NULL is fine */

struct texts {
    unsigned holders; /* atomic */
    size_t n, room;
    size_t len; /* of all of them */
    struct text *v[];
};

struct texts *texts_new(size_t room); /* empty; held once */
/* Holds t as long as the list lives. No more than there is room for, and before anybody else has the list. */
void texts_add(struct texts *list, struct text *t);
/* Has it one holder, the caller? Then it may be changed, if nobody can get it meanwhile. */
bool texts_mine(const struct texts *list);
void texts_put(struct texts *list, size_t i, struct text *t); /* in the place of another */
struct texts *texts_hold(struct texts *list);                 /* once more */
void texts_drop(struct texts *list);                          /* NULL is fine */

#define PIECES_MAX 4

struct pieces {
    struct piece {
        size_t at; /* so many bytes of the buffer come before it */
        size_t skip;
        struct texts *list;
    } v[PIECES_MAX];

    size_t n;
    size_t len; /* of all of them */
};

void pieces_done(struct pieces *pieces); /* lets go of the lists; fit for AUTO */
/* After what is in b now: the list, held until pieces_done(), without the first skip bytes of its first text. Not more
 * than PIECES_MAX. */
void pieces_add(struct pieces *pieces, const struct buf *b, struct texts *list,
                size_t skip);

/* Walks buffer and pieces in their order. NULL pieces: the buffer alone. */
struct pieces_walk {
    const struct pieces *pieces; /* may be NULL */
    const char *p;               /* the buffer */
    size_t len;
    size_t at, piece, text; /* where the walk is */
};

/* The next vectors, at most n; 0: the end. */
size_t pieces_next(struct pieces_walk *w, struct iovec *out, size_t n);
#endif
