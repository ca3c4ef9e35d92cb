/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of devices and other records that hold what clients configure: GPU and USB groups, the services of a network,
 * observers. Any thread. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "ops/hooks.h"
#include "ops/nbd.h"

/* code(ref, ref, ...), as many as an error can carry. Always -1. */
static int refs_error(const char *code, const struct set_ref *refs, struct err *err)
{
    char text[ERR_PARAMS_MAX][REF_TEXT_SIZE];
    const char *params[ERR_PARAMS_MAX];
    size_t n = MIN(refs->n, (size_t)ERR_PARAMS_MAX);
    for (size_t i = 0; i < n; i++) {
        ref_text(&refs->v[i], text[i]);
        params[i] = text[i];
    }
    return err_set_(err, code, params, n);
}

/* ---- GPU and USB groups -------------------------------------------------------------------------------- */

int op_gpu_group_create(struct call *call, const struct gpu_group_create_args *a,
                        struct ref *result, struct err *err)
{
    struct gpu_group_rec *r = record_new(&schema_classes[CLASS_GPU_GROUP]);
    str_put(&r->name_label, a->name_label);
    str_put(&r->name_description, a->name_description);
    value_copy(schema_classes[CLASS_GPU_GROUP].fields[F_GPU_GROUP_OTHER_CONFIG].ty,
               &r->other_config, &a->other_config);
    struct tx *tx = call_tx(call);
    *result = tx_create(tx, CLASS_GPU_GROUP, r, NULL);
    return tx_commit(tx, err);
}

int op_gpu_group_destroy(struct call *call, const struct gpu_group_destroy_args *a,
                         struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct gpu_group_rec *r = call_get(CLASS_GPU_GROUP, &a->self, err);
    if (r && r->PGPUs.n)
        (void)refs_error(ERR_GPU_GROUP_CONTAINS_PGPU, &r->PGPUs, err);
    else if (r && r->VGPUs.n)
        (void)refs_error(ERR_GPU_GROUP_CONTAINS_VGPU, &r->VGPUs, err);
    if (!r || r->PGPUs.n || r->VGPUs.n) {
        tx_abort(tx);
        return -1;
    }
    tx_destroy(tx, &a->self);
    return tx_commit(tx, err);
}

/* No host has a graphics card that it gives to machines (PGPU has no objects), so a group has room for none. */
int op_gpu_group_get_remaining_capacity(
    struct call *call, const struct gpu_group_get_remaining_capacity_args *a,
    int64_t *result, struct err *err)
{
    (void)call;
    db_lock();
    const void *type = call_get(CLASS_VGPU_TYPE, &a->vgpu_type, err);
    db_unlock();
    *result = 0;
    return type ? 0 : -1;
}

int op_usb_group_create(struct call *call, const struct usb_group_create_args *a,
                        struct ref *result, struct err *err)
{
    struct usb_group_rec *r = record_new(&schema_classes[CLASS_USB_GROUP]);
    str_put(&r->name_label, a->name_label);
    str_put(&r->name_description, a->name_description);
    value_copy(schema_classes[CLASS_USB_GROUP].fields[F_USB_GROUP_OTHER_CONFIG].ty,
               &r->other_config, &a->other_config);
    struct tx *tx = call_tx(call);
    *result = tx_create(tx, CLASS_USB_GROUP, r, NULL);
    return tx_commit(tx, err);
}

int op_usb_group_destroy(struct call *call, const struct usb_group_destroy_args *a,
                         struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct usb_group_rec *r = call_get(CLASS_USB_GROUP, &a->self, err);
    if (r && r->VUSBs.n)
        (void)refs_error(ERR_USB_GROUP_CONTAINS_VUSB, &r->VUSBs, err);
    else if (r && r->PUSBs.n)
        (void)refs_error(ERR_USB_GROUP_CONTAINS_PUSB, &r->PUSBs, err);
    if (!r || r->VUSBs.n || r->PUSBs.n) {
        tx_abort(tx);
        return -1;
    }
    tx_destroy(tx, &a->self);
    return tx_commit(tx, err);
}

/* ---- what a network is for ----------------------------------------------------------------------------- */

static bool has_purpose(const struct network_rec *n, int purpose)
{
    return set_find(schema_classes[CLASS_NETWORK].fields[F_NETWORK_PURPOSE].ty, &n->purpose,
                    &purpose)
           != SIZE_MAX;
}

/* Disks are offered either with or without encryption in the whole pool: a client that asks for the one must not get the
 * other by mistake. */
int op_network_add_purpose(struct call *call, const struct network_add_purpose_args *a,
                           struct err *err)
{
    const char *const *names = call->def->params[1].ty->enm->values;
    int other = a->value == NETWORK_PURPOSE_NBD ? NETWORK_PURPOSE_INSECURE_NBD
                                                : NETWORK_PURPOSE_NBD;
    bool conflict = false;
    struct tx *tx = call_tx(call);
    const struct network_rec *self = call_get(CLASS_NETWORK, &a->self, err);
    if (self && !has_purpose(self, a->value))
        for (struct db_iter it = db_first(CLASS_NETWORK); it.rec; db_next(&it))
            conflict |= has_purpose(it.rec, other);
    if (!self || conflict) {
        tx_abort(tx);
        return self ? err_set(err, ERR_NETWORK_INCOMPATIBLE_PURPOSES, names[a->value],
                              names[other])
                    : -1;
    }
    tx_set_add(tx, &a->self, CLASS_NETWORK, F_NETWORK_PURPOSE, &a->value);
    int rc = tx_commit(tx, err);
    nbd_changed();
    return rc;
}

int op_network_remove_purpose(struct call *call,
                              const struct network_remove_purpose_args *a, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_NETWORK, &a->self, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_set_remove(tx, &a->self, CLASS_NETWORK, F_NETWORK_PURPOSE, &a->value);
    int rc = tx_commit(tx, err);
    nbd_changed();
    return rc;
}

/* ---- observers ----------------------------------------------------------------------------------------- */

/* Who of XenServer can record. None does here, so an observer can be kept but not be enabled. */
static int check_components(const struct set_string *set, struct err *err)
{
    static const char *const known[] = { "xapi", "xenopsd", "xapi-clusterd", "smapi" };
    for (size_t i = 0; i < set->n; i++) {
        bool found = false;
        for (size_t j = 0; j < ARRAY_SIZE(known); j++)
            found |= str_eq(set->v[i], known[j]);
        if (!found)
            return err_set(err, ERR_INVALID_VALUE, "component", set->v[i]);
    }
    return 0;
}

/* "bugtool", or an address of http or https with a host name in it. */
static int check_endpoints(const struct set_string *set, struct err *err)
{
    for (size_t i = 0; i < set->n; i++) {
        const char *e = set->v[i], *host = NULL;
        if (str_starts(e, "http://"))
            host = e + strlen("http://");
        else if (str_starts(e, "https://"))
            host = e + strlen("https://");
        size_t n = host
                       ? strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789.-_[]:")
                       : 0;
        if (!str_eq(e, "bugtool") && (n == 0 || (host[n] && host[n] != '/')))
            return err_set(err, ERR_INVALID_VALUE, "endpoint", e);
    }
    return 0;
}

/* Names of attributes as OpenTelemetry has them: lower case, digits, dots and underscores, a letter first. */
static int check_attributes(const struct map_string_string *map, struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < map->n; i++) {
        const char *key = map->v[i].key, *val = map->v[i].val;
        size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789._");
        if (n > 0 && !key[n] && strchr(letters, key[0]) && !strstr(key, "..")
            && key[n - 1] != '.' && strlen(val) <= 4095)
            continue;
        AUTO(free_str) char *pair = str_fmt("%s:%s", key, val);
        return err_set(err, ERR_INVALID_VALUE, "attributes", pair);
    }
    return 0;
}

static int check_hosts(const struct set_ref *hosts, struct err *err)
{
    char text[REF_TEXT_SIZE];
    int rc = 0;
    db_lock();
    for (size_t i = 0; rc == 0 && i < hosts->n; i++)
        if (!db_get(CLASS_HOST, &hosts->v[i])) {
            ref_text(&hosts->v[i], text);
            rc = err_set(err, ERR_INVALID_VALUE, "host", text);
        }
    db_unlock();
    return rc;
}

static int check_enabled(bool enabled, struct err *err)
{
    if (!enabled)
        return 0;
    return err_set(err, ERR_VALUE_NOT_SUPPORTED, "enabled", "true",
                   "no part of this host records spans");
}

int observer_create(struct call *call, void *record, struct ref *result, struct err *err)
{
    struct observer_rec *r = record;
    if (check_components(&r->components, err) || check_endpoints(&r->endpoints, err)
        || check_hosts(&r->hosts, err) || check_attributes(&r->attributes, err)
        || check_enabled(r->enabled, err)) {
        record_free(&schema_classes[CLASS_OBSERVER], r);
        return -1;
    }
    str_put(&r->uuid, "");
    struct tx *tx = call_tx(call);
    *result = tx_create(tx, CLASS_OBSERVER, r, NULL);
    return tx_commit(tx, err);
}

int op_observer_set_hosts(struct call *call, const struct observer_set_hosts_args *a,
                          struct err *err)
{
    if (check_hosts(&a->value, err))
        return -1;
    return call_set(call, CLASS_OBSERVER, &a->self, F_OBSERVER_HOSTS, &a->value, err);
}

int op_observer_set_enabled(struct call *call, const struct observer_set_enabled_args *a,
                            struct err *err)
{
    if (check_enabled(a->value, err))
        return -1;
    return call_set(call, CLASS_OBSERVER, &a->self, F_OBSERVER_ENABLED, &a->value, err);
}

int op_observer_set_attributes(struct call *call,
                               const struct observer_set_attributes_args *a,
                               struct err *err)
{
    if (check_attributes(&a->value, err))
        return -1;
    return call_set(call, CLASS_OBSERVER, &a->self, F_OBSERVER_ATTRIBUTES, &a->value, err);
}

int op_observer_set_endpoints(struct call *call,
                              const struct observer_set_endpoints_args *a, struct err *err)
{
    if (check_endpoints(&a->value, err))
        return -1;
    return call_set(call, CLASS_OBSERVER, &a->self, F_OBSERVER_ENDPOINTS, &a->value, err);
}

int op_observer_set_components(struct call *call,
                               const struct observer_set_components_args *a,
                               struct err *err)
{
    if (check_components(&a->value, err))
        return -1;
    return call_set(call, CLASS_OBSERVER, &a->self, F_OBSERVER_COMPONENTS, &a->value, err);
}
