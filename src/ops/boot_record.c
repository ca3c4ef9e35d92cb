/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON object of fields by name. Owns no state. */
#include "ops/boot_record.h"

#include <jansson.h>

#include "api/errors.h"
#include "base/mem.h"

static const unsigned kept[] = {
    F_VM_MEMORY_STATIC_MAX, F_VM_MEMORY_DYNAMIC_MAX, F_VM_VCPUS_MAX,
    F_VM_PLATFORM,          F_VM_PV_KERNEL,          F_VM_PV_RAMDISK,
    F_VM_PV_ARGS,           F_VM_HVM_BOOT_POLICY,    F_VM_HVM_BOOT_PARAMS,
    F_VM_BIOS_STRINGS,      F_VM_OTHER_CONFIG,       F_VM_XENSTORE_DATA,
};

char *boot_record_text(const struct vm_rec *vm)
{
    const struct class_def *cls = &schema_classes[CLASS_VM];
    AUTO(buf_done) struct buf out = BUF_INIT(0);
    bool first = true;
    enc_struct_begin(&out, ENC_JSON);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        const struct field_def *f = &cls->fields[kept[i]];
        enc_member_begin(&out, ENC_JSON, f->name, &first);
        enc_value(&out, ENC_JSON, f->ty, record_field(f, (void *)vm));
        enc_member_end(&out, ENC_JSON);
    }
    enc_struct_end(&out, ENC_JSON);
    return str_dup(buf_str(&out));
}

int boot_record_apply(struct vm_rec *vm, struct err *err)
{
    const struct class_def *cls = &schema_classes[CLASS_VM];
    if (!vm->last_booted_record[0])
        return 0;
    json_t *o = json_loads(vm->last_booted_record, 0, NULL);
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(kept) && rc == 0; i++) {
        const struct field_def *f = &cls->fields[kept[i]];
        const json_t *v = json_object_get(o, f->name);
        void *at = record_field(f, vm);
        if (!v)
            continue;
        value_done(f->ty, at);
        value_init(f->ty, at);
        rc = value_decode(f->ty, v, f->name, at, err);
    }
    json_decref(o);
    return rc;
}
