/* SPDX-License-Identifier: Apache-2.0 */
/* The buckets. Their number is bounded: when there is no room those that are full again go, and if there are none, all.
 * "Others call" is kept as two facts, who called last and when anybody else did, so that nothing is searched. */
#include "seraid/fair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/mem.h"

#define SHARE       8 /* of the machine: within it one finds a processor free */
#define FULL_US     (20 * US_PER_MS) /* may be used at once */
#define REST_MAX_US US_PER_SEC
#define ACTIVE_US   (200 * US_PER_MS) /* who called so lately is still there */
#define CALLERS_MAX 1024
#define KEY_MAX     128

struct caller {
    struct list link;
    char key[KEY_MAX];
    size_t key_len;
    int64_t left_us; /* in the bucket at last_us */
    int64_t last_us;
};

static struct mutex lock = MUTEX_INIT;
static struct hash callers GUARDED_BY(lock);
static struct list all GUARDED_BY(lock) = LIST_INIT(all);
static const struct caller *recent GUARDED_BY(lock); /* who called last */
static int64_t others_us GUARDED_BY(lock);           /* when anybody but him did */
static int64_t processors GUARDED_BY(lock);          /* 0: not yet known */

static int64_t filled(const struct caller *c, int64_t now_us) REQUIRES(lock)
{
    int64_t us = MIN(now_us - c->last_us, 4 * REST_MAX_US);

    return MIN(c->left_us + us * processors / SHARE, (int64_t)FULL_US);
}

static void forget(int64_t now_us, bool even_busy) REQUIRES(lock)
{
    list_for_each_safe(it, &all) {
        struct caller *c = list_entry(it, struct caller, link);

        if (!even_busy && filled(c, now_us) < FULL_US)
            continue;
        if (c == recent)
            recent = NULL;
        (void)hash_remove(&callers, c->key, c->key_len);
        list_remove(&c->link);
        free(c);
    }
}

static struct caller *find(const char *address, const char *agent, int64_t now_us)
    REQUIRES(lock)
{
    char key[KEY_MAX];
    int n = snprintf(key, sizeof(key), "%s %s", address, agent ? agent : "");
    size_t len = MIN((size_t)MAX(n, 0), sizeof(key) - 1);
    struct caller *c = hash_get(&callers, key, len);

    if (c)
        return c;
    if (callers.n >= CALLERS_MAX)
        forget(now_us, false);
    if (callers.n >= CALLERS_MAX)
        forget(now_us, true);
    c = mem_alloc(sizeof(*c));
    memcpy(c->key, key, len);
    c->key_len = len;
    c->left_us = FULL_US;
    c->last_us = now_us;
    list_add_tail(&all, &c->link);
    (void)hash_put(&callers, c->key, len, c); /* it was not there */
    return c;
}

/* Has anybody but c called lately? */
static bool contended(const struct caller *c, int64_t now_us) REQUIRES(lock)
{
    if (c != recent) {
        others_us = recent ? recent->last_us : others_us;
        recent = c;
    }
    return others_us > 0 && now_us - others_us < ACTIVE_US;
}

int64_t fair_charge(const char *address, const char *agent, int64_t used_us, int64_t now_us)
{
    struct caller *c;
    int64_t owed_max_us, rest_us;

    mutex_lock(&lock);
    if (processors == 0)
        processors = MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
    c = find(address, agent, now_us);
    owed_max_us = contended(c, now_us) ? REST_MAX_US * processors / SHARE : 0;
    c->left_us = MAX(filled(c, now_us) - used_us, -owed_max_us);
    rest_us = MAX(-c->left_us * SHARE / processors, (int64_t)0);
    c->last_us = now_us;
    mutex_unlock(&lock);
    return rest_us;
}
