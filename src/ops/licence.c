/* SPDX-License-Identifier: Apache-2.0 */
/* The licence as records and calls. There is one edition, which never expires. */
#include "ops/licence.h"

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "ops/ops.h"

#define EDITION "free"
#define NEVER   "20991231T00:00:00Z" /* clients count the days until then */

/* A client hides what a key says is restricted; some take an absent key for a restriction. */
static const char *const restrictions[] = { "restrict_ad",
                                            "restrict_batch_hotfix_apply",
                                            "restrict_cbt",
                                            "restrict_checkpoint",
                                            "restrict_cifs",
                                            "restrict_connection",
                                            "restrict_cpu_masking",
                                            "restrict_dmc",
                                            "restrict_dr",
                                            "restrict_email_alerting",
                                            "restrict_export_resource_data",
                                            "restrict_hotfix_apply",
                                            "restrict_intellicache",
                                            "restrict_live_patching",
                                            "restrict_lab",
                                            "restrict_netapp",
                                            "restrict_nested_virt",
                                            "restrict_pci_device_for_auto_update",
                                            "restrict_pool_attached_storage",
                                            "restrict_pool_secret_rotation",
                                            "restrict_pool_size",
                                            "restrict_pooling",
                                            "restrict_qos",
                                            "restrict_rbac",
                                            "restrict_read_caching",
                                            "restrict_set_vcpus_number_live",
                                            "restrict_ssl_legacy_switch",
                                            "restrict_storage_choices",
                                            "restrict_storage_xen_motion",
                                            "restrict_usb_passthrough",
                                            "restrict_vm_memory_introspection",
                                            "restrict_vm_schedule_snapshot",
                                            "restrict_vmss",
                                            "restrict_vtpm",
                                            "restrict_web_selfservice",
                                            "restrict_xen_motion" };

void boot_licence(struct tx *tx, const struct ref *pool, const struct ref *host)
{
    const char *edition = EDITION;
    tx_set_str(tx, host, CLASS_HOST, F_HOST_EDITION, EDITION);
    tx_set_add(tx, host, CLASS_HOST, F_HOST_EDITIONS, &edition);
    tx_map_put_str(tx, host, CLASS_HOST, F_HOST_LICENSE_PARAMS, "sku_type", EDITION);
    tx_map_put_str(tx, host, CLASS_HOST, F_HOST_LICENSE_PARAMS, "expiry", NEVER);
    for (size_t i = 0; i < ARRAY_SIZE(restrictions); i++) {
        tx_map_put_str(tx, host, CLASS_HOST, F_HOST_LICENSE_PARAMS, restrictions[i],
                       "false");
        tx_map_put_str(tx, pool, CLASS_POOL, F_POOL_RESTRICTIONS, restrictions[i], "false");
    }
}

int op_pool_get_license_state(struct call *call,
                              const struct pool_get_license_state_args *a,
                              struct map_string_string *result, struct err *err)
{
    (void)call, (void)a, (void)err;
    static const char *const rows[][2] = { { "edition", EDITION }, { "expiry", "never" } };
    const struct ty *ty = schema_classes[CLASS_POOL].fields[F_POOL_RESTRICTIONS].ty;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        (void)map_put(ty, result, &rows[i][0], &rows[i][1]);
    return 0;
}

/* The one that there is was applied at start. */
static int apply(const char *edition, struct err *err)
{
    return str_eq(edition, EDITION) ? 0 : err_set(err, ERR_INVALID_EDITION, edition);
}

int op_host_apply_edition(struct call *call, const struct host_apply_edition_args *a,
                          struct err *err)
{
    (void)call;
    return apply(a->edition, err);
}

int op_pool_apply_edition(struct call *call, const struct pool_apply_edition_args *a,
                          struct err *err)
{
    (void)call;
    return apply(a->edition, err);
}

/* There is none: the free edition is what this call leads to. */
int op_host_license_remove(struct call *call, const struct host_license_remove_args *a,
                           struct err *err)
{
    (void)call, (void)a, (void)err;
    return 0;
}
