/* SPDX-License-Identifier: Apache-2.0 */
/* A doubly linked ring through a struct list member. An initialised head or a removed entry
 * points at itself. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/util.h"

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(head)  \
    {                    \
        &(head), &(head) \
    }
#define list_entry(p, type, member) CONTAINER_OF(p, type, member)
#define list_for_each(it, head) \
    for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_for_each_safe(it, head)                                          \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
         it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *e)
{
    e->prev = head->prev;
    e->next = head;
    head->prev->next = e;
    head->prev = e;
}

static inline void list_remove(struct list *e) /* harmless on an entry in no list */
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    list_init(e);
}
#endif
