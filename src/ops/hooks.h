/* SPDX-License-Identifier: Apache-2.0 */
/* Implicit creates and destroys with rules of their own; each stands in the file of its class. The contract is
 * ops_create_fn's and ops_destroy_fn's (ops.h). */
#ifndef OPS_HOOKS_H
#define OPS_HOOKS_H

#include "ops/call.h"

int vm_create(struct call *call, void *rec, struct ref *result, struct err *err) MUST_CHECK;
int vm_destroy(struct call *call, const struct ref *self, struct err *err) MUST_CHECK;
int vbd_create(struct call *call, void *rec, struct ref *result, struct err *err)
    MUST_CHECK;
int vbd_destroy(struct call *call, const struct ref *self, struct err *err) MUST_CHECK;
/* vbd_io.c. Errors: INVALID_VALUE. */
int vbd_check(const struct vbd_rec *vbd, struct err *err) MUST_CHECK;
int vbd_check_set(struct call *call, const struct ref *self, unsigned field,
                  const void *value, struct err *err) MUST_CHECK;
int vbd_after_set(struct call *call, const struct ref *self, unsigned field,
                  struct err *err) MUST_CHECK;
int vif_create(struct call *call, void *rec, struct ref *result, struct err *err)
    MUST_CHECK;
int vif_destroy(struct call *call, const struct ref *self, struct err *err) MUST_CHECK;
int vif_check_set(struct call *call, const struct ref *self, unsigned field,
                  const void *value, struct err *err) MUST_CHECK;
int vif_after_set(struct call *call, const struct ref *self, unsigned field,
                  struct err *err) MUST_CHECK;
int vdi_create(struct call *call, void *rec, struct ref *result, struct err *err)
    MUST_CHECK;
/* Errors: VDI_TOO_SMALL, VDI_TOO_LARGE. */
int vdi_check_size(int64_t size, struct err *err) MUST_CHECK;
int vdi_destroy(struct call *call, const struct ref *self, struct err *err) MUST_CHECK;
int pbd_create(struct call *call, void *rec, struct ref *result, struct err *err)
    MUST_CHECK;
int pbd_destroy(struct call *call, const struct ref *self, struct err *err) MUST_CHECK;
int network_create(struct call *call, void *rec, struct ref *result, struct err *err)
    MUST_CHECK;
int network_destroy(struct call *call, const struct ref *self, struct err *err) MUST_CHECK;
int network_check_set(struct call *call, const struct ref *self, unsigned field,
                      const void *value, struct err *err) MUST_CHECK;
int network_after_set(struct call *call, const struct ref *self, unsigned field,
                      struct err *err) MUST_CHECK;
int subject_create(struct call *call, void *rec, struct ref *result, struct err *err)
    MUST_CHECK;
int subject_destroy(struct call *call, const struct ref *self, struct err *err) MUST_CHECK;
int vmss_create(struct call *call, void *rec, struct ref *result, struct err *err)
    MUST_CHECK;
int vmss_destroy(struct call *call, const struct ref *self, struct err *err) MUST_CHECK;
int observer_create(struct call *call, void *rec, struct ref *result, struct err *err)
    MUST_CHECK;
#endif
