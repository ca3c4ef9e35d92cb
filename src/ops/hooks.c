/* SPDX-License-Identifier: Apache-2.0 */
/* The classes whose implicit create, destroy and field writes have rules beyond the schema's. One row each. */
#include "ops/hooks.h"

#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "ops/ops.h"
#include "ops/vm.h"

/* Names that end in lists and files: no control characters, bounded. */
static int check_name(const char *field, const char *value, struct err *err)
{
    if (strlen(value) > 65536)
        return err_set(err, ERR_INVALID_VALUE, field, "longer than 64 KiB");
    return 0;
}

static int vm_check_set(struct call *call, const struct ref *self, unsigned field,
                        const void *value, struct err *err) REQUIRES(db_mutex)
{
    (void)call;
    const struct vm_rec *vm = db_get(CLASS_VM, self);
    switch (field) {
    case F_VM_NAME_LABEL: return check_name("name_label", *(const char *const *)value, err);
    case F_VM_IS_A_TEMPLATE:
        if (*(const bool *)value && vm && vm->power_state != VM_POWER_STATE_HALTED) {
            char text[REF_TEXT_SIZE];
            ref_text(self, text);
            return err_set(err, ERR_VM_BAD_POWER_STATE, text, "halted",
                           vm_state_name(vm->power_state));
        }
        return 0;
    default: return 0;
    }
}

static int pool_check_set(struct call *call, const struct ref *self, unsigned field,
                          const void *value, struct err *err) REQUIRES(db_mutex)
{
    (void)call, (void)self;
    const struct ref *ref = value;
    if ((field == F_POOL_DEFAULT_SR || field == F_POOL_SUSPEND_IMAGE_SR
         || field == F_POOL_CRASH_DUMP_SR)
        && !ref_is_null(ref) && !call_get(CLASS_SR, ref, err))
        return -1;
    return 0;
}

/* Consoles belong to machines: they come and go with them. */
static int console_create(struct call *call, void *rec, struct ref *result, struct err *err)
{
    (void)call, (void)result;
    record_free(&schema_classes[CLASS_CONSOLE], rec);
    return err_set(err, ERR_OPERATION_NOT_ALLOWED, "a console is made when its VM starts");
}

static const struct ops_class_hooks hooks[CLASS_COUNT] = {
    [CLASS_VM] = { .create = vm_create,
                   .destroy = vm_destroy,
                   .check_set = vm_check_set,
                   .refresh_on_set = true },
    [CLASS_VBD] = { .create = vbd_create,
                    .destroy = vbd_destroy,
                    .check_set = vbd_check_set,
                    .after_set = vbd_after_set,
                    .refresh_on_set = true },
    [CLASS_VIF] = { .create = vif_create,
                    .destroy = vif_destroy,
                    .check_set = vif_check_set,
                    .after_set = vif_after_set },
    [CLASS_VDI] = { .create = vdi_create, .destroy = vdi_destroy },
    [CLASS_PBD] = { .create = pbd_create, .destroy = pbd_destroy },
    [CLASS_NETWORK] = { .create = network_create,
                        .destroy = network_destroy,
                        .check_set = network_check_set,
                        .after_set = network_after_set },
    [CLASS_SUBJECT] = { .create = subject_create, .destroy = subject_destroy },
    [CLASS_CONSOLE] = { .create = console_create },
    [CLASS_VMSS] = { .create = vmss_create, .destroy = vmss_destroy },
    [CLASS_OBSERVER] = { .create = observer_create },
    [CLASS_POOL] = { .check_set = pool_check_set },
};

const struct ops_class_hooks *ops_hooks(enum class_id cls)
{
    return &hooks[cls];
}
