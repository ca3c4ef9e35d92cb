/* SPDX-License-Identifier: Apache-2.0 */
/* VBDs and VIFs: the devices of a VM as records. A machine gets them when it is built, or by hotplug.c. */
#include <stdio.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/net.h"
#include "model/ops_lock.h"
#include "ops/hooks.h"
#include "ops/ops.h"
#include "ops/vif.h"
#include "ops/vm.h"

/* ---- VBD --------------------------------------------------------------------------------------------- */

/* A free position for "autodetect"; else the given one, unless taken. */
static int place_vbd(struct vbd_rec *vbd, const struct vm_rec *vm, struct err *err)
    REQUIRES(db_mutex)
{
    bool taken[256] = { false };
    unsigned want, at;
    for (size_t i = 0; i < vm->VBDs.n; i++)
        if (vm_device_position(
                ((const struct vbd_rec *)db_get(CLASS_VBD, &vm->VBDs.v[i]))->userdevice,
                &at))
            taken[at] = true;
    if (!vbd->userdevice[0] || strcmp(vbd->userdevice, "autodetect") == 0) {
        for (want = 0; want < VMSPEC_DISKS_MAX - 1 && taken[want];)
            want++;
        str_give(&vbd->userdevice, str_fmt("%u", want));
    } else if (!vm_device_position(vbd->userdevice, &want) || want >= VMSPEC_DISKS_MAX) {
        return err_set(err, ERR_INVALID_DEVICE, vbd->userdevice);
    }
    return taken[want] ? err_set(err, ERR_DEVICE_ALREADY_EXISTS, vbd->userdevice) : 0;
}

static int check_vbd(struct vbd_rec *vbd, struct err *err) REQUIRES(db_mutex)
{
    const struct vm_rec *vm = call_get(CLASS_VM, &vbd->VM, err);
    if (!vm || vm_check_devices_free(&vbd->VM, err) || place_vbd(vbd, vm, err))
        return -1;
    if (vbd->type == VBD_TYPE_CD && vbd->mode != VBD_MODE_RO)
        return err_set(err, ERR_VBD_CDS_MUST_BE_READONLY);
    if (vbd->type != VBD_TYPE_CD && ref_is_null(&vbd->VDI))
        return err_set(err, ERR_HANDLE_INVALID, "VDI", "OpaqueRef:NULL");
    if (ref_is_null(&vbd->VDI)) {
        vbd->empty = true;
        return 0;
    }
    const struct vdi_rec *vdi = call_get(CLASS_VDI, &vbd->VDI, err);
    if (!vdi)
        return -1;
    vbd->empty = false;
    if (vdi->type == VDI_TYPE_CBT_METADATA) {
        char text[REF_TEXT_SIZE];
        ref_text(&vbd->VDI, text);
        return err_set(err, ERR_VDI_INCOMPATIBLE_TYPE, text, "cbt_metadata");
    }
    if (vdi->read_only && vbd->mode == VBD_MODE_RW) {
        char text[REF_TEXT_SIZE];
        ref_text(&vbd->VDI, text);
        return err_set(err, ERR_VDI_READONLY, text);
    }
    return 0;
}

int vbd_create(struct call *call, void *record, struct ref *result, struct err *err)
{
    struct vbd_rec *vbd = record;
    struct tx *tx = call_tx(call);
    if (check_vbd(vbd, err) || vbd_check(vbd, err)) {
        record_free(&schema_classes[CLASS_VBD], vbd);
        tx_abort(tx);
        return -1;
    }
    vbd->currently_attached = false;
    str_put(&vbd->device, "");
    str_put(&vbd->uuid, "");
    const char *algorithm = "ratelimit";
    (void)set_add(schema_classes[CLASS_VBD].fields[F_VBD_QOS_SUPPORTED_ALGORITHMS].ty,
                  &vbd->qos_supported_algorithms, &algorithm);
    struct ref vdi = vbd->VDI;
    *result = tx_create(tx, CLASS_VBD, vbd, NULL);
    op_refresh(tx, CLASS_VBD, result);
    if (!ref_is_null(&vdi))
        op_refresh(tx, CLASS_VDI, &vdi);
    return tx_commit(tx, err);
}

int vbd_destroy(struct call *call, const struct ref *self, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    struct tx *tx = call_tx(call);
    const struct vbd_rec *vbd = call_get(CLASS_VBD, self, err);
    if (!vbd || vbd->currently_attached) {
        tx_abort(tx);
        return vbd ? err_set(err, ERR_DEVICE_ALREADY_ATTACHED, text) : -1;
    }
    if (vm_check_devices_free(&vbd->VM, err)) {
        tx_abort(tx);
        return -1;
    }
    struct ref vdi = vbd->VDI;
    tx_destroy(tx, self);
    if (!ref_is_null(&vdi))
        op_refresh(tx, CLASS_VDI, &vdi);
    return tx_commit(tx, err);
}

int op_vbd_set_mode(struct call *call, const struct vbd_set_mode_args *a, struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct vbd_rec *vbd = call_get(CLASS_VBD, &a->self, err);
    const struct vm_rec *vm = vbd ? call_get(CLASS_VM, &vbd->VM, err) : NULL;
    bool readonly = vm && vbd->type == VBD_TYPE_CD && a->value != VBD_MODE_RO;
    if (!vm || readonly || vm->power_state != VM_POWER_STATE_HALTED) {
        char text[REF_TEXT_SIZE];
        if (vm)
            ref_text(&vbd->VM, text);
        if (readonly)
            (void)err_set(err, ERR_VBD_CDS_MUST_BE_READONLY);
        else if (vm)
            (void)err_set(err, ERR_VM_BAD_POWER_STATE, text, "halted",
                          vm_state_name(vm->power_state));
        tx_abort(tx);
        return -1;
    }
    tx_set_enum(tx, &a->self, CLASS_VBD, F_VBD_MODE, a->value);
    return tx_commit(tx, err);
}

int op_vbd_assert_attachable(struct call *call, const struct vbd_assert_attachable_args *a,
                             struct err *err)
{
    (void)call;
    return op_check(CLASS_VBD, &a->self, VBD_OPERATIONS_ATTACH, err);
}

/* ---- VIF --------------------------------------------------------------------------------------------- */

void vif_random_mac(char out[static 18])
{
    uint8_t b[6];
    random_bytes(b, sizeof(b));
    b[0] = (uint8_t)((b[0] & 0xfc) | 0x02); /* unicast, locally administered */
    (void)snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
                   b[5]);
}

static bool mac_valid(const char *mac)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    if (strlen(mac) != 17)
        return false;
    for (size_t i = 0; i < 17; i++)
        if (i % 3 == 2 ? mac[i] != ':' : !strchr(hex, mac[i]))
            return false;
    return strchr("02468aceACE", mac[1]) != NULL; /* no multicast address */
}

static int check_vif(struct vif_rec *vif, struct err *err) REQUIRES(db_mutex)
{
    const struct vm_rec *vm = call_get(CLASS_VM, &vif->VM, err);
    int64_t n;
    if (!vm || !call_get(CLASS_NETWORK, &vif->network, err)
        || vm_check_devices_free(&vif->VM, err) || vif_check(vif, err))
        return -1;
    bool taken[VMSPEC_NICS_MAX] = { false };
    for (size_t i = 0; i < vm->VIFs.n; i++)
        if (parse_range(((const struct vif_rec *)db_get(CLASS_VIF, &vm->VIFs.v[i]))->device,
                        0, VMSPEC_NICS_MAX - 1, &n))
            taken[n] = true;
    if (!vif->device[0] || strcmp(vif->device, "autodetect") == 0) {
        for (n = 0; n < VMSPEC_NICS_MAX - 1 && taken[n];)
            n++;
        str_give(&vif->device, str_fmt("%d", (int)n));
    } else if (!parse_range(vif->device, 0, VMSPEC_NICS_MAX - 1, &n)) {
        return err_set(err, ERR_INVALID_DEVICE, vif->device);
    }
    if (taken[n])
        return err_set(err, ERR_DEVICE_ALREADY_EXISTS, vif->device);
    if (!vif->MAC[0]) {
        char mac[18];
        vif_random_mac(mac);
        str_put(&vif->MAC, mac);
        vif->MAC_autogenerated = true;
    } else if (!mac_valid(vif->MAC)) {
        return err_set(err, ERR_MAC_INVALID, vif->MAC);
    }
    return 0;
}

int vif_create(struct call *call, void *record, struct ref *result, struct err *err)
{
    struct vif_rec *vif = record;
    struct tx *tx = call_tx(call);
    if (check_vif(vif, err)) {
        record_free(&schema_classes[CLASS_VIF], vif);
        tx_abort(tx);
        return -1;
    }
    vif->currently_attached = false;
    str_put(&vif->uuid, "");
    if (vif->MTU <= 0)
        vif->MTU = ((const struct network_rec *)db_get(CLASS_NETWORK, &vif->network))->MTU;
    if (net_real()) {
        const char *algorithm = "ratelimit";
        (void)set_add(schema_classes[CLASS_VIF].fields[F_VIF_QOS_SUPPORTED_ALGORITHMS].ty,
                      &vif->qos_supported_algorithms, &algorithm);
    }
    *result = tx_create(tx, CLASS_VIF, vif, NULL);
    op_refresh(tx, CLASS_VIF, result);
    return tx_commit(tx, err);
}

int vif_destroy(struct call *call, const struct ref *self, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    struct tx *tx = call_tx(call);
    const struct vif_rec *vif = call_get(CLASS_VIF, self, err);
    if (!vif || vif->currently_attached) {
        tx_abort(tx);
        return vif ? err_set(err, ERR_DEVICE_ALREADY_ATTACHED, text) : -1;
    }
    if (vm_check_devices_free(&vif->VM, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_destroy(tx, self);
    return tx_commit(tx, err);
}

/* ---- console ------------------------------------------------------------------------------------------ */

int console_resolve(const char *ref_or_uuid, char vm_uuid_out[static UUID_TEXT_SIZE],
                    bool *text_out, struct err *err)
{
    struct ref ref;
    const struct vm_rec *vm = NULL;
    db_lock();
    bool known = ref_parse(ref_or_uuid, &ref) && !ref_is_null(&ref);
    known = known || db_find_uuid(CLASS_CONSOLE, ref_or_uuid, &ref)
            || db_find_uuid(CLASS_VM, ref_or_uuid, &ref);
    const struct console_rec *console = known ? db_get(CLASS_CONSOLE, &ref) : NULL;
    if (console) {
        *text_out = console->protocol == CONSOLE_PROTOCOL_VT100;
        vm = db_get(CLASS_VM, &console->VM);
    } else if (known) {
        vm = db_get(CLASS_VM, &ref);
    }
    bool live = vm && vm->consoles.n > 0;
    if (live)
        memcpy(vm_uuid_out, vm->uuid, UUID_TEXT_SIZE);
    db_unlock();
    return live ? 0 : err_set(err, ERR_HANDLE_INVALID, "console", ref_or_uuid);
}
