/* SPDX-License-Identifier: Apache-2.0 */
/* Network cards of the host: found, made known, forgotten; put on the bridge of their network, so that guests reach what
 * the card is connected to, and taken off. A card with an address of the host is left alone: nothing here changes the
 * host's addresses. That one is to be plugged in stands in its record (other_config:plugged) from before it is, until it
 * is no longer; at the start such a one is plugged in again. Any thread. */
#include "ops/pif.h"

#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/net.h"
#include "ops/call.h"
#include "ops/host_ctx.h"
#include "ops/vm.h"

static struct ref pif_of(const struct ref *host, const char *device) REQUIRES(db_mutex)
{
    struct ref found = REF_NULL;
    for (struct db_iter it = db_first(CLASS_PIF); it.rec; db_next(&it)) {
        const struct pif_rec *p = it.rec;
        if (str_eq(p->device, device) && ref_eq(&p->host, host) && p->physical)
            found = it.ref;
    }
    return found;
}

static struct ref make_metrics(struct tx *tx) REQUIRES(db_mutex)
{
    return tx_create(tx, CLASS_PIF_METRICS, record_new(&schema_classes[CLASS_PIF_METRICS]),
                     NULL);
}

static struct ref network_for(struct tx *tx, const char *device, size_t i)
    REQUIRES(db_mutex)
{
    AUTO(free_str) char *name = str_fmt("Pool-wide network associated with %s", device);
    struct ref known;
    if (db_find_name(CLASS_NETWORK, name, 0, &known)) /* of a card that was forgotten */
        return known;
    struct network_rec *n = record_new(&schema_classes[CLASS_NETWORK]);
    str_put(&n->name_label, name);
    str_give(&n->bridge, str_fmt("xenbr%zu", i));
    return tx_create(tx, CLASS_NETWORK, n, NULL);
}

static struct ref make_pif(struct tx *tx, const struct ref *host,
                           const struct inventory_nic *nic, size_t i) REQUIRES(db_mutex)
{
    struct pif_rec *p = record_new(&schema_classes[CLASS_PIF]);
    p->network = network_for(tx, nic->name, i);
    p->metrics = make_metrics(tx);
    p->host = *host;
    p->VLAN = -1;
    p->physical = true;
    str_put(&p->device, nic->name);
    return tx_create(tx, CLASS_PIF, p, NULL);
}

/* Where there are real networks a card is attached when it is on its network's bridge. */
static bool is_attached(const struct pif_rec *p, const struct inventory_nic *nic)
    REQUIRES(db_mutex)
{
    const struct network_rec *n = db_get(CLASS_NETWORK, &p->network);
    AUTO(free_str) char *bridge = net_real() ? net_bridge_of(nic->name) : NULL;
    return net_real() ? n && str_eq(bridge, n->bridge) : nic->up;
}

static void tell_truth(struct tx *tx, const struct ref *ref,
                       const struct inventory_nic *nic) REQUIRES(db_mutex)
{
    tx_set_str(tx, ref, CLASS_PIF, F_PIF_MAC, nic->mac);
    tx_set_int(tx, ref, CLASS_PIF, F_PIF_MTU, nic->mtu);
    tx_set_str(tx, ref, CLASS_PIF, F_PIF_IP, nic->ip);
    tx_set_str(tx, ref, CLASS_PIF, F_PIF_NETMASK, nic->netmask);
    tx_set_bool(tx, ref, CLASS_PIF, F_PIF_CURRENTLY_ATTACHED,
                is_attached(db_get(CLASS_PIF, ref), nic));
    tx_set_enum(tx, ref, CLASS_PIF, F_PIF_IP_CONFIGURATION_MODE,
                nic->ip[0] ? IP_CONFIGURATION_MODE_DHCP : IP_CONFIGURATION_MODE_NONE);
    const struct pif_rec *pif = db_get(CLASS_PIF, ref);
    if (ref_is_null(&pif->metrics))
        return;
    tx_set_bool(tx, &pif->metrics, CLASS_PIF_METRICS, F_PIF_METRICS_CARRIER, nic->carrier);
    tx_set_int(tx, &pif->metrics, CLASS_PIF_METRICS, F_PIF_METRICS_SPEED, nic->speed_mbit);
    tx_set_int(tx, &pif->metrics, CLASS_PIF_METRICS, F_PIF_METRICS_LAST_UPDATED,
               clock_wall_us());
}

static const struct inventory_nic *nic_of(const struct inventory *inv, const char *device)
{
    for (size_t i = 0; i < inv->n_nics; i++)
        if (str_eq(inv->nics[i].name, device))
            return &inv->nics[i];
    return NULL;
}

/* The address part of "10.0.0.7:443" or "[::1]:443"; NULL: every address is listened on. Given. */
static char *listened_on(void)
{
    const char *text = host_ctx.https_address[0] ? host_ctx.https_address
                                                 : host_ctx.http_address;
    if (str_starts(text, "0.0.0.0:") || str_starts(text, "[::]:"))
        return NULL;
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    return n > 2 && text[0] == '[' ? str_dupn(text + 1, n - 2) : str_dupn(text, n);
}

/* It is the management interface from now on; "" for ip: there is none. */
static void set_management(struct tx *tx, const struct ref *host, const struct ref *pif,
                           const char *ip) REQUIRES(db_mutex)
{
    AUTO(free_str) char *address = listened_on();
    for (struct db_iter it = db_first(CLASS_PIF); it.rec; db_next(&it)) {
        const struct pif_rec *p = it.rec;
        bool is = ref_eq(&it.ref, pif);
        if (p->management != is && ref_eq(&p->host, host))
            tx_set_bool(tx, &it.ref, CLASS_PIF, F_PIF_MANAGEMENT, is);
    }
    tx_set_str(tx, host, CLASS_HOST, F_HOST_ADDRESS,
               address ? address
               : *ip   ? ip
                       : "127.0.0.1");
}

/* The one that was chosen, as long as it has an address; else the first that has one. */
static void choose_management(struct tx *tx, const struct ref *host,
                              const struct inventory *inv) REQUIRES(db_mutex)
{
    struct ref best = REF_NULL;
    const char *ip = "";
    bool chosen = false;
    for (struct db_iter it = db_first(CLASS_PIF); it.rec; db_next(&it)) {
        const struct pif_rec *p = it.rec;
        const struct inventory_nic *nic = nic_of(inv, p->device);
        if (!ref_eq(&p->host, host) || !nic || !nic->ip[0] || chosen
            || !(p->physical || p->management))
            continue;
        const struct pif_rec *first = db_get(CLASS_PIF, &best);
        if (!p->management && first && strcmp(first->device, p->device) <= 0)
            continue;
        best = it.ref;
        ip = nic->ip;
        chosen = p->management;
    }
    for (size_t i = 0; !*ip && i < inv->n_nics; i++) /* no card: a bridge, say */
        ip = inv->nics[i].ip;
    set_management(tx, host, &best, ip);
}

void pif_scan(struct tx *tx, const struct ref *host, const struct inventory *inv)
{
    for (size_t i = 0; i < inv->n_nics; i++) {
        const struct inventory_nic *nic = &inv->nics[i];
        if (!nic->physical)
            continue;
        struct ref ref = pif_of(host, nic->name);
        if (ref_is_null(&ref))
            ref = make_pif(tx, host, nic, i);
        tell_truth(tx, &ref, nic);
    }
    choose_management(tx, host, inv);
}

/* ---- calls --------------------------------------------------------------------------------------------- */

int op_pif_scan(struct call *call, const struct pif_scan_args *a, struct err *err)
{
    AUTO(inventory_done) struct inventory inv = { 0 };
    if (inventory_read(&inv, err))
        return -1;
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_HOST, &a->host, err)) {
        tx_abort(tx);
        return -1;
    }
    pif_scan(tx, &a->host, &inv);
    return tx_commit(tx, err);
}

static bool mac_valid(const char *mac)
{
    for (size_t i = 0; i < 17; i++)
        if (i % 3 == 2 ? mac[i] != ':' : !mac[i] || !strchr("0123456789abcdef", mac[i]))
            return false;
    return mac[17] == '\0';
}

int op_pif_introduce(struct call *call, const struct pif_introduce_args *a,
                     struct ref *result, struct err *err)
{
    AUTO(inventory_done) struct inventory inv = { 0 };
    AUTO(free_str) char *mac = str_dup(a->MAC);
    for (char *p = mac; *p; p++)
        *p = *p >= 'A' && *p <= 'F' ? (char)(*p - 'A' + 'a') : *p;
    if (inventory_read(&inv, err))
        return -1;
    const struct inventory_nic *nic = NULL;
    size_t at = 0;
    for (size_t i = 0; i < inv.n_nics; i++)
        if (str_eq(inv.nics[i].name, a->device)) {
            nic = &inv.nics[i];
            at = i;
        }
    if (!mac_valid(mac[0] || !nic ? mac : nic->mac))
        return err_set(err, ERR_MAC_INVALID, mac);
    struct tx *tx = call_tx(call);
    int rc = call_get(CLASS_HOST, &a->host, err) ? 0 : -1;
    struct ref known = rc == 0 ? pif_of(&a->host, a->device) : REF_NULL;
    if (rc == 0 && !ref_is_null(&known))
        rc = err_set(err, ERR_DUPLICATE_PIF_DEVICE_NAME, a->device);
    if (rc == 0 && (!nic || (mac[0] && !str_eq(nic->mac, mac))))
        rc = err_set(err, ERR_INVALID_VALUE, nic ? "MAC" : "device", nic ? mac : a->device);
    if (rc || !nic) {
        tx_abort(tx);
        return -1;
    }
    *result = make_pif(tx, &a->host, nic, at);
    tell_truth(tx, result, nic);
    tx_set_bool(tx, result, CLASS_PIF, F_PIF_MANAGED, a->managed);
    return tx_commit(tx, err);
}

static void drop(struct tx *tx, const struct ref *self) REQUIRES(db_mutex)
{
    struct ref metrics = ((const struct pif_rec *)db_get(CLASS_PIF, self))->metrics;
    if (!ref_is_null(&metrics))
        tx_destroy(tx, &metrics);
    tx_destroy(tx, self);
}

/* The card stays in the machine: scan finds it again. */
int op_pif_forget(struct call *call, const struct pif_forget_args *a, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(&a->self, text);
    struct tx *tx = call_tx(call);
    const struct pif_rec *p = call_get(CLASS_PIF, &a->self, err);
    const char *code = !p                                ? NULL
                       : p->management                   ? ERR_PIF_IS_MANAGEMENT_INTERFACE
                       : !ref_is_null(&p->bond_slave_of) ? ERR_PIF_ALREADY_BONDED
                       : p->VLAN_slave_of.n              ? ERR_PIF_VLAN_STILL_EXISTS
                                                         : NULL;
    if (!p || code) {
        tx_abort(tx);
        return p ? err_set(err, code, text) : -1;
    }
    drop(tx, &a->self);
    return tx_commit(tx, err);
}

int op_pif_db_forget(struct call *call, const struct pif_db_forget_args *a, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_PIF, &a->self, err)) {
        tx_abort(tx);
        return -1;
    }
    drop(tx, &a->self);
    return tx_commit(tx, err);
}

/* What the references must name; null only where the record may do without. */
static int check_refs(const struct pif_db_introduce_args *a, struct err *err)
    REQUIRES(db_mutex)
{
    if (!call_get(CLASS_NETWORK, &a->network, err) || !call_get(CLASS_HOST, &a->host, err))
        return -1;
    if (!ref_is_null(&a->bond_slave_of) && !call_get(CLASS_BOND, &a->bond_slave_of, err))
        return -1;
    if (!ref_is_null(&a->VLAN_master_of) && !call_get(CLASS_VLAN, &a->VLAN_master_of, err))
        return -1;
    return 0;
}

static void copy_field(struct pif_rec *p, unsigned field, const void *value)
{
    const struct field_def *f = &schema_classes[CLASS_PIF].fields[field];
    void *to = record_field(f, p);
    value_done(f->ty, to);
    value_copy(f->ty, to, value);
}

int op_pif_db_introduce(struct call *call, const struct pif_db_introduce_args *a,
                        struct ref *result, struct err *err)
{
    const struct {
        unsigned field;
        const void *value;
    } rows[] = {
        { F_PIF_DEVICE, &a->device },
        { F_PIF_NETWORK, &a->network },
        { F_PIF_HOST, &a->host },
        { F_PIF_MAC, &a->MAC },
        { F_PIF_MTU, &a->MTU },
        { F_PIF_VLAN, &a->VLAN },
        { F_PIF_PHYSICAL, &a->physical },
        { F_PIF_IP_CONFIGURATION_MODE, &a->ip_configuration_mode },
        { F_PIF_IP, &a->IP },
        { F_PIF_NETMASK, &a->netmask },
        { F_PIF_GATEWAY, &a->gateway },
        { F_PIF_DNS, &a->DNS },
        { F_PIF_BOND_SLAVE_OF, &a->bond_slave_of },
        { F_PIF_VLAN_MASTER_OF, &a->VLAN_master_of },
        { F_PIF_MANAGEMENT, &a->management },
        { F_PIF_OTHER_CONFIG, &a->other_config },
        { F_PIF_DISALLOW_UNPLUG, &a->disallow_unplug },
        { F_PIF_IPV6_CONFIGURATION_MODE, &a->ipv6_configuration_mode },
        { F_PIF_IPV6, &a->IPv6 },
        { F_PIF_IPV6_GATEWAY, &a->ipv6_gateway },
        { F_PIF_PRIMARY_ADDRESS_TYPE, &a->primary_address_type },
        { F_PIF_MANAGED, &a->managed },
        { F_PIF_PROPERTIES, &a->properties },
    };
    struct tx *tx = call_tx(call);
    if (check_refs(a, err)) {
        tx_abort(tx);
        return -1;
    }
    struct pif_rec *p = record_new(&schema_classes[CLASS_PIF]);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        copy_field(p, rows[i].field, rows[i].value);
    p->metrics = make_metrics(tx);
    *result = tx_create(tx, CLASS_PIF, p, NULL);
    return tx_commit(tx, err);
}

int op_pif_set_disallow_unplug(struct call *call,
                               const struct pif_set_disallow_unplug_args *a,
                               struct err *err)
{
    return call_set(call, CLASS_PIF, &a->self, F_PIF_DISALLOW_UNPLUG, &a->value, err);
}

int op_pif_set_primary_address_type(struct call *call,
                                    const struct pif_set_primary_address_type_args *a,
                                    struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(&a->self, text);
    db_lock();
    const struct pif_rec *p = call_get(CLASS_PIF, &a->self, err);
    bool management = p && p->management;
    db_unlock();
    if (!p)
        return -1;
    if (management)
        return err_set(err, ERR_PIF_IS_MANAGEMENT_INTERFACE, text);
    return call_set(call, CLASS_PIF, &a->self, F_PIF_PRIMARY_ADDRESS_TYPE,
                    &a->primary_address_type, err);
}

/* The interface that clients are told to come by. Every address is listened on, so that nobody who comes by another one is
 * cut off, and no address changes. */
static int reconfigure_management(struct call *call, const struct ref *ref, struct err *err)
{
    AUTO(inventory_done) struct inventory inv = { 0 };
    AUTO(free_str) char *only = listened_on();
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    if (inventory_read(&inv, err))
        return -1;
    struct tx *tx = call_tx(call);
    const struct pif_rec *p = call_get(CLASS_PIF, ref, err);
    const struct inventory_nic *nic = p ? nic_of(&inv, p->device) : NULL;
    const char *ip = nic ? nic->ip : "";
    bool already = p && p->management;
    int rc = p ? 0 : -1;
    if (p && !already && !*ip)
        rc = err_set(err, ERR_PIF_HAS_NO_NETWORK_CONFIGURATION, text);
    else if (p && !already && only)
        rc = err_set(err, ERR_PIF_CONFIGURATION_ERROR, text,
                     "the daemon was told to listen on one address alone");
    if (!p || rc || already) {
        tx_abort(tx);
        return rc;
    }
    struct ref host = p->host;
    set_management(tx, &host, ref, ip);
    for (struct db_iter it = db_first(CLASS_CONSOLE); it.rec; db_next(&it))
        vm_console_locate(tx, &it.ref);
    return tx_commit(tx, err);
}

int op_host_management_reconfigure(struct call *call,
                                   const struct host_management_reconfigure_args *a,
                                   struct err *err)
{
    return reconfigure_management(call, &a->pif, err);
}

int op_pool_management_reconfigure(struct call *call,
                                   const struct pool_management_reconfigure_args *a,
                                   struct err *err)
{
    struct ref pif = REF_NULL;
    char host_text[REF_TEXT_SIZE], text[REF_TEXT_SIZE];
    db_lock();
    struct ref host = db_host_ref();
    const struct network_rec *n = call_get(CLASS_NETWORK, &a->network, err);
    for (size_t i = 0; n && i < n->PIFs.n; i++)
        if (ref_eq(&((const struct pif_rec *)db_get(CLASS_PIF, &n->PIFs.v[i]))->host,
                   &host))
            pif = n->PIFs.v[i];
    db_unlock();
    if (!n)
        return -1;
    ref_text(&host, host_text);
    ref_text(&a->network, text);
    return ref_is_null(&pif) ? err_set(err, ERR_PIF_NOT_PRESENT, host_text, text)
                             : reconfigure_management(call, &pif, err);
}

/* ---- plugging ------------------------------------------------------------------------------------------ */

#define PLUGGED "plugged" /* key of other_config */

struct port {
    char *device, *bridge;
    bool make;
    unsigned mtu;
};

static void port_done(struct port *p)
{
    free_str(&p->device);
    free_str(&p->bridge);
}

static void port_copy(const struct pif_rec *p, const struct network_rec *n,
                      struct port *out) REQUIRES(db_mutex)
{
    *out = (struct port){ .device = str_dup(p->device),
                          .bridge = str_dup(n->bridge),
                          .make = n->managed,
                          .mtu = n->MTU >= 68 && n->MTU <= 65521 ? (unsigned)n->MTU
                                                                 : 1500 };
}

/* What forbids it before anything is tried. */
static int check_pluggable(const struct ref *ref, const struct pif_rec *p, bool plug,
                           struct err *err) REQUIRES(db_mutex)
{
    char text[REF_TEXT_SIZE], vif[REF_TEXT_SIZE];
    ref_text(ref, text);
    if (!net_real())
        return err_set(err, ERR_PIF_CONFIGURATION_ERROR, text,
                       "this host runs without serai-rootd and leaves its cards alone");
    if (!p->physical)
        return err_set(err, ERR_PIF_IS_NOT_PHYSICAL, text);
    if (!p->managed)
        return err_set(err, ERR_PIF_UNMANAGED, text);
    if (!ref_is_null(&p->bond_slave_of))
        return err_set(err, ERR_CANNOT_PLUG_BOND_SLAVE, text);
    if (!net_name_ok(p->device))
        return err_set(err, ERR_PIF_DEVICE_NOT_FOUND);
    if (plug)
        return 0;
    if (p->disallow_unplug)
        return err_set(err, ERR_PIF_DOES_NOT_ALLOW_UNPLUG, text);
    const struct network_rec *n = db_get(CLASS_NETWORK, &p->network);
    for (size_t i = 0; n && i < n->VIFs.n; i++) {
        const struct vif_rec *v = db_get(CLASS_VIF, &n->VIFs.v[i]);
        if (!v->currently_attached)
            continue;
        ref_text(&p->network, text);
        ref_text(&n->VIFs.v[i], vif);
        return err_set(err, ERR_VIF_IN_USE, text, vif);
    }
    return 0;
}

/* Write down what is to be; the port is a copy of what that was decided by. */
static int intend(struct call *call, const struct ref *ref, bool plug, struct port *port,
                  struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct pif_rec *p = call_get(CLASS_PIF, ref, err);
    const struct network_rec *n = p ? call_get(CLASS_NETWORK, &p->network, err) : NULL;
    if (!n || check_pluggable(ref, p, plug, err)) {
        tx_abort(tx);
        return -1;
    }
    port_copy(p, n, port);
    if (plug)
        tx_map_put_str(tx, ref, CLASS_PIF, F_PIF_OTHER_CONFIG, PLUGGED, "true");
    else
        tx_map_remove(tx, ref, CLASS_PIF, F_PIF_OTHER_CONFIG, PLUGGED);
    return tx_commit(tx, err);
}

/* What is true now. */
static int record(struct tx *tx, const struct ref *ref, const struct port *port, bool keep,
                  struct err *err) RELEASE(db_mutex)
{
    AUTO(free_str) char *bridge = net_bridge_of(port->device);
    if (db_get(CLASS_PIF, ref)) {
        tx_set_bool(tx, ref, CLASS_PIF, F_PIF_CURRENTLY_ATTACHED,
                    str_eq(bridge, port->bridge));
        if (!keep)
            tx_map_remove(tx, ref, CLASS_PIF, F_PIF_OTHER_CONFIG, PLUGGED);
    }
    return tx_commit(tx, err);
}

static int cannot(const struct ref *ref, const char *why, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    return err_set(err, ERR_PIF_CONFIGURATION_ERROR, text, why);
}

int op_pif_plug(struct call *call, const struct pif_plug_args *a, struct err *err)
{
    AUTO(port_done) struct port port = { 0 };
    AUTO(free_str) char *why = NULL;
    if (intend(call, &a->self, true, &port, err))
        return -1;
    int rc = net_plug(port.bridge, port.make, port.mtu, port.device, &why);
    if (record(call_tx(call), &a->self, &port, rc == 0, rc == 0 ? err : NULL))
        return rc == 0 ? -1 : cannot(&a->self, why, err);
    return rc == 0 ? 0 : cannot(&a->self, why, err);
}

int op_pif_unplug(struct call *call, const struct pif_unplug_args *a, struct err *err)
{
    AUTO(port_done) struct port port = { 0 };
    AUTO(free_str) char *why = NULL;
    if (intend(call, &a->self, false, &port, err))
        return -1;
    int rc = net_unplug(port.bridge, port.device, &why);
    if (record(call_tx(call), &a->self, &port, false, rc == 0 ? err : NULL))
        return rc == 0 ? -1 : cannot(&a->self, why, err);
    return rc == 0 ? 0 : cannot(&a->self, why, err);
}

/* The i-th that is to be plugged in. */
static bool next_port(size_t i, struct ref *ref, struct port *out)
{
    const char *plugged = PLUGGED;
    const struct ty *ty = schema_classes[CLASS_PIF].fields[F_PIF_OTHER_CONFIG].ty;
    bool found = false;
    size_t k = 0;
    db_lock();
    for (struct db_iter it = db_first(CLASS_PIF); it.rec && !found; db_next(&it)) {
        const struct pif_rec *p = it.rec;
        const struct network_rec *n = db_get(CLASS_NETWORK, &p->network);
        if (!n || !net_name_ok(p->device)
            || map_find(ty, &p->other_config, &plugged) == SIZE_MAX || k++ != i)
            continue;
        found = true;
        *ref = it.ref;
        port_copy(p, n, out);
    }
    db_unlock();
    return found;
}

void pif_boot(void)
{
    struct ref ref;
    struct port port = { 0 };
    for (size_t i = 0; net_real() && next_port(i, &ref, &port); i++) {
        AUTO(free_str) char *why = NULL;
        AUTO(err_done) struct err err = { 0 };
        if (net_plug(port.bridge, port.make, port.mtu, port.device, &why))
            log_error("%s cannot be put on %s: %s", port.device, port.bridge, why);
        if (record(daemon_tx("start-up"), &ref, &port, true, &err))
            log_error("%s: %s", port.device, err.code);
        port_done(&port);
    }
}
