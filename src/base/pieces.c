/* SPDX-License-Identifier: Apache-2.0 */
/* Shared texts and answers made of them. The counts of holders are atomic: a list leaves the lock of whoever keeps it with
 * an answer, and is let go of when that has been sent, without that lock. The rest is the caller's. */
#include "base/pieces.h"

#include <assert.h>
#include <limits.h>

#include "base/mem.h"

#define AHEAD \
    8 /* texts lie anywhere in memory: their beginnings are fetched before they are wanted */

static void hold(unsigned *holders)
{
    (void)__atomic_fetch_add(holders, 1, __ATOMIC_RELAXED);
}

static bool was_last(unsigned *holders)
{
    return __atomic_fetch_sub(holders, 1, __ATOMIC_ACQ_REL) == 1;
}

struct text *text_new(const void *p, size_t len)
{
    struct text *t;

    assert(len <= UINT_MAX);
    t = mem_resize(NULL, sizeof(*t) + len, 1);
    t->holders = 1;
    t->len = (unsigned)len;
    memcpy(t->p, p, len);
    return t;
}

void text_drop(struct text *t)
{
    if (t && was_last(&t->holders))
        free(t);
}

struct texts *texts_new(size_t room)
{
    struct texts *list = mem_resize(NULL, sizeof(*list) + room * sizeof(list->v[0]), 1);

    *list = (struct texts){ .holders = 1, .room = room };
    return list;
}

void texts_add(struct texts *list, struct text *t)
{
    assert(list->n < list->room);
    hold(&t->holders);
    list->v[list->n++] = t;
    list->len += t->len;
}

bool texts_mine(const struct texts *list)
{
    return __atomic_load_n(&list->holders, __ATOMIC_ACQUIRE) == 1;
}

void texts_put(struct texts *list, size_t i, struct text *t)
{
    assert(texts_mine(list) && i < list->n);
    list->len = list->len - list->v[i]->len + t->len;
    hold(&t->holders);
    text_drop(list->v[i]);
    list->v[i] = t;
}

struct texts *texts_hold(struct texts *list)
{
    hold(&list->holders);
    return list;
}

void texts_drop(struct texts *list)
{
    if (!list || !was_last(&list->holders))
        return;
    for (size_t i = 0; i < list->n; i++)
        text_drop(list->v[i]);
    free(list);
}

void pieces_done(struct pieces *pieces)
{
    for (size_t i = 0; i < pieces->n; i++)
        texts_drop(pieces->v[i].list);
    pieces->n = pieces->len = 0;
}

void pieces_add(struct pieces *pieces, const struct buf *b, struct texts *list, size_t skip)
{
    assert(pieces->n < PIECES_MAX);
    if (list->n == 0)
        return;
    assert(skip <= list->v[0]->len);
    pieces->v[pieces->n++] = (struct piece){ b->len, skip, texts_hold(list) };
    pieces->len += list->len - skip;
}

/* struct iovec serves reading too, so its pointer is not const; nobody writes through it. */
static struct iovec vector(const char *p, size_t len)
{
    return (struct iovec){ .iov_base = (void *)(uintptr_t)p, .iov_len = len };
}

static struct iovec next_text(struct pieces_walk *w)
{
    const struct piece *piece = &w->pieces->v[w->piece];
    const struct texts *list = piece->list;
    const struct text *t = list->v[w->text];
    size_t skip = w->text == 0 ? piece->skip : 0;

    if (w->text + AHEAD < list->n)
        __builtin_prefetch(list->v[w->text + AHEAD]);
    if (++w->text == list->n) {
        w->piece++;
        w->text = 0;
    }
    return vector(t->p + skip, t->len - skip);
}

size_t pieces_next(struct pieces_walk *w, struct iovec *out, size_t n)
{
    size_t count = w->pieces ? w->pieces->n : 0, made = 0;

    while (made < n && (w->at < w->len || w->piece < count)) {
        size_t until = w->piece < count ? w->pieces->v[w->piece].at : w->len;

        if (w->at < until) {
            out[made++] = vector(w->p + w->at, until - w->at);
            w->at = until;
        } else {
            out[made++] = next_text(w);
        }
    }
    return made;
}
