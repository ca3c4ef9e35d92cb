/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the history. The state at a past moment is the present one with every later change taken back. The present
 * is read first: a change that comes in between is then merely taken back too. Thread: any. */
#include "model/history.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
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
    const struct store_ops *ops;
    struct store *store = store_get(&ops);
    struct store_query q = {
        .ref = ref, .from_us = from_us, .to_us = to_us, .newest_first = true
    };
    return ops->history(store, &q, fn, arg, err);
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
