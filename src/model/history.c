/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the history. The state at a past moment is the present one with every later change taken back. The present
 * is read first: a change that comes in between is then merely taken back too. Thread: any. */
#include "model/history.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "model/db_int.h"

static struct store *store_get(const struct store_ops **ops_out) EXCLUDES(db_mutex)
{
    db_lock();
    *ops_out = db.ops;
    struct store *s = db.store;
    db_unlock();
    return s;
}

int history_list(const struct ref *ref, int64_t from_us, int64_t to_us, store_history_fn fn,
                 void *arg, struct err *err)
{
    struct store_query q = {
        .ref = ref, .from_us = from_us, .to_us = to_us, .newest_first = true
    };
    return history_query(&q, fn, arg, err);
}

int history_query(const struct store_query *q, store_history_fn fn, void *arg,
                  struct err *err)
{
    const struct store_ops *ops;
    struct store *store = store_get(&ops);
    return ops->history(store, q, fn, arg, err);
}

int history_moment(int64_t at_us, int64_t *id_out, struct err *err)
{
    const struct store_ops *ops;
    struct store *store = store_get(&ops);
    struct store_moment m;
    char text[20], oldest[20];
    if (ops->moment(store, at_us, &m, err) < 0)
        return -1;
    if (m.id == 0 && m.oldest_us) {
        clock_iso(at_us, text);
        clock_iso(m.oldest_us, oldest);
        (void)err_set(err, ERR_INVALID_VALUE, "time", text);
        return err_detail(err, "The history goes back to %s.", oldest);
    }
    *id_out = m.id;
    return 0;
}

struct past {
    json_t *state; /* an object, NULL: it does not exist at this point */
    char cls[64];
    bool damaged;
};

static bool take_back(const struct store_history *h, void *arg)
{
    struct past *p = arg;
    size_t len = MIN(strlen(h->cls), sizeof(p->cls) - 1);
    memcpy(p->cls, h->cls, len);
    p->cls[len] = '\0';
    if (h->kind == STORE_CREATE) {
        json_decref(p->state);
        p->state = NULL;
        return true;
    }
    json_error_t why;
    json_t *changes = json_loads(h->changes, 0, &why);
    if (!json_is_object(changes)) {
        p->damaged = true;
        json_decref(changes);
        return false;
    }
    if (!p->state)
        p->state = json_object();
    const char *name;
    json_t *pair;
    json_object_foreach(changes, name, pair)
    {
        if (json_object_set(p->state, name, json_array_get(pair, 0)) < 0)
            p->damaged = true; /* no pair */
    }
    json_decref(changes);
    return !p->damaged;
}

static int past_text(const struct past *p, const struct ref *ref, struct buf *json_out,
                     struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    if (p->damaged) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "the history is damaged");
        return err_detail(err, "the history of %s cannot be read", text);
    }
    if (!p->state)
        return err_set(err, ERR_HANDLE_INVALID, p->cls, text);
    char *json = json_dumps(p->state, JSON_COMPACT);
    buf_add_str(json_out, json ? json : "{}");
    free(json);
    return 0;
}

int history_at(const struct ref *ref, int64_t at_us, struct buf *json_out, struct err *err)
{
    const struct store_ops *ops;
    struct store *store = store_get(&ops);
    AUTO(buf_done) struct buf now = BUF_INIT(0);
    bool found = false;
    if (ops->object(store, ref, &now, &found, err) < 0)
        return -1;
    struct past p = { 0 };
    if (found) {
        json_error_t why;
        p.state = json_loads(buf_str(&now), 0, &why);
        p.damaged = !json_is_object(p.state);
    }
    struct store_query q = {
        .ref = ref, .from_us = at_us + 1, .to_us = INT64_MAX, .newest_first = true
    };
    int rc = p.damaged ? 0 : ops->history(store, &q, take_back, &p, err);
    if (rc == 0)
        rc = past_text(&p, ref, json_out, err);
    json_decref(p.state);
    return rc;
}

/* A whole class */

struct past_class {
    json_t *states;
    bool damaged;
};

static bool keep_state(const struct ref *ref, const char *cls, const char *json, size_t len,
                       void *arg, struct err *err)
{
    struct past_class *p = arg;
    char text[REF_TEXT_SIZE];
    json_t *state = json_loadb(json, len, 0, NULL);
    (void)cls, (void)err;
    ref_text(ref, text);
    p->damaged = p->damaged || !json_is_object(state);
    if (state)
        json_object_set_new(p->states, text, state);
    return true;
}

static bool take_back_one(const struct store_history *h, void *arg)
{
    struct past_class *p = arg;
    char text[REF_TEXT_SIZE];
    ref_text(&h->ref, text);
    struct past one = { .state = json_incref(json_object_get(p->states, text)) };
    p->damaged = p->damaged || !take_back(h, &one);
    if (one.state)
        json_object_set_new(p->states, text, one.state);
    else
        (void)json_object_del(p->states, text); /* it may have come and gone */
    return !p->damaged;
}

int history_class_at(const char *cls, int64_t id, json_t **out, struct err *err)
{
    const struct store_ops *ops;
    struct store *store = store_get(&ops);
    struct past_class p = { .states = json_object() };
    struct store_query q = {
        .cls = cls, .after_id = id, .to_us = INT64_MAX, .newest_first = true
    };
    int rc = ops->objects(store, cls, keep_state, &p, err);
    if (rc == 0)
        rc = ops->history(store, &q, take_back_one, &p, err);
    if (rc == 0 && p.damaged) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "the history is damaged");
        rc = err_detail(err, "the history of class %s cannot be read", cls);
    }
    if (rc < 0)
        json_decref(p.states);
    else
        *out = p.states;
    return rc;
}

/* Retention */

static int64_t setting(const struct map_string_string *map, const char *key, int64_t max)
{
    int64_t n;
    for (size_t i = 0; i < map->n; i++) {
        if (str_eq(map->v[i].key, key) && parse_range(map->v[i].val, 1, max, &n))
            return n;
    }
    return 0;
}

void history_rule(int64_t *age_us_out, int64_t *rows_out)
{
    struct ref ref = db_pool_ref();
    const struct pool_rec *pool = db_get(CLASS_POOL, &ref);
    *age_us_out = *rows_out = 0;
    if (!pool)
        return;
    *age_us_out = setting(&pool->other_config, HISTORY_DAYS_KEY, 36500) * 24 * 3600
                  * US_PER_SEC;
    *rows_out = setting(&pool->other_config, HISTORY_ENTRIES_KEY, INT64_C(1000000000));
}
