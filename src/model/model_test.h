/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of model/: a store that fails or waits when told, the whole database as text, and random changes. */
#ifndef MODEL_MODEL_TEST_H
#define MODEL_MODEL_TEST_H

#include "base/test.h"
#include "model/db_int.h"

/* Everything in memory that a transaction may change, generations and order included. Given. */
char *dump_memory(void) EXCLUDES(db_mutex);
/* What must be the same after a restart: stored fields, order of creation, inverse sets, names. Given. */
char *dump_stored(void) EXCLUDES(db_mutex);

/* The SQLite store with a bad day now and then. */
extern const struct store_ops test_store_ops;
void test_store_fail(
    long nth, long how_many); /* the nth commit from now (1: the next) and those after it */
void test_store_hold(bool on);   /* commits wait inside until it is off */
void test_store_wait_held(void); /* until one does */

void test_open(const char *dir);        /* the plain store */
void test_open_fails(const char *dir);  /* test_store_ops */
void test_reopen_same(const char *dir); /* memory must equal what comes back from disk */

extern const struct tx_who test_who;

struct ref make_vm(struct tx *tx, const char *name) REQUIRES(db_mutex);
struct ref make_vdi(struct tx *tx, const char *name) REQUIRES(db_mutex);
struct ref make_vbd(struct tx *tx, struct ref vm, struct ref vdi) REQUIRES(db_mutex);

struct rng {
    uint64_t s;
};

uint64_t rng_next(struct rng *r);
size_t rng_below(struct rng *r, size_t n);
void random_change(struct tx *tx, struct rng *r)
    REQUIRES(db_mutex); /* one step: make, set, link, rename, destroy */
#endif
