/* SPDX-License-Identifier: Apache-2.0 */
/* Owns connections to a directory; keeps none. Names from people reach the server only as escaped values of filters,
 * never as parts of a distinguished name. An empty password is refused here: for LDAP it would mean to log in as
 * nobody, which works (RFC 4513, 5.1.2). Thread: any. */
#include "host/directory.h"

#include <ldap.h>
#include <strings.h>
#include <sys/time.h>

#include "api/errors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"

#define GROUPS_MAX 1000 /* of one user: a directory gone wrong ends here */
#define DISABLED   2    /* of userAccountControl: ACCOUNTDISABLE, [MS-ADTS] 2.2.16 */

struct peer {
    LDAP *ld;
    const struct directory_config *config;
    struct deadline until;
};

static void close_peer(struct peer *p)
{
    if (p->ld)
        (void)ldap_unbind_ext_s(p->ld, NULL, NULL);
    p->ld = NULL;
}

void directory_entry_done(struct directory_entry *e)
{
    free(e->dn);
    free(e->id);
    free(e->name);
    free(e->display);
    free(e->mail);
    *e = (struct directory_entry){ 0 };
}

char *directory_escape(const char *text)
{
    struct buf out = BUF_INIT(0);
    for (const char *p = text; *p; p++) {
        if (strchr("*()\\", *p) || (unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
            buf_addf(&out, "\\%02x", (unsigned char)*p);
        else
            buf_add_char(&out, *p);
    }
    return buf_take(&out);
}

/* Revision, count, authority (6 bytes, big endian), then 32-bit numbers, little endian: [MS-DTYP] 2.4.2.2. */
char *directory_sid_text(const uint8_t *sid, size_t n)
{
    struct buf out = BUF_INIT(0);
    uint64_t authority = 0;
    if (n < 8 || sid[0] != 1 || n != 8 + (size_t)sid[1] * 4)
        return NULL;
    for (size_t i = 2; i < 8; i++)
        authority = authority << 8 | sid[i];
    buf_addf(&out, "S-1-%llu", (unsigned long long)authority);
    for (size_t i = 8; i < n; i += 4)
        buf_addf(&out, "-%lu",
                 (unsigned long)sid[i] | (unsigned long)sid[i + 1] << 8
                     | (unsigned long)sid[i + 2] << 16 | (unsigned long)sid[i + 3] << 24);
    return buf_take(&out);
}

/* What is left of the time, for the next step. */
static struct timeval time_left(const struct peer *p)
{
    int64_t us = MAX(deadline_left_us(&p->until), US_PER_MS);
    return (struct timeval){ .tv_sec = us / US_PER_SEC, .tv_usec = us % US_PER_SEC };
}

static void limit_time(const struct peer *p)
{
    struct timeval t = time_left(p);
    (void)ldap_set_option(p->ld, LDAP_OPT_NETWORK_TIMEOUT, &t);
    (void)ldap_set_option(p->ld, LDAP_OPT_TIMEOUT, &t);
}

static int set_tls(const struct peer *p)
{
    int need = LDAP_OPT_X_TLS_DEMAND, fresh = 0;
    if (p->config->tls == DIRECTORY_TLS_NONE)
        return LDAP_SUCCESS;
    int rc = ldap_set_option(p->ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &need);
    if (rc == LDAP_SUCCESS && p->config->ca_file)
        rc = ldap_set_option(p->ld, LDAP_OPT_X_TLS_CACERTFILE, p->config->ca_file);
    return rc == LDAP_SUCCESS ? ldap_set_option(p->ld, LDAP_OPT_X_TLS_NEWCTX, &fresh) : rc;
}

static int open_peer(struct peer *p, const struct directory_config *c, bool *tls_out)
{
    int version = LDAP_VERSION3;
    *p = (struct peer){ .config = c, .until = deadline_in(c->timeout_us) };
    *tls_out = false;
    int rc = ldap_initialize(&p->ld, c->uri);
    if (rc != LDAP_SUCCESS)
        return rc;
    (void)ldap_set_option(p->ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    (void)ldap_set_option(p->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    limit_time(p);
    *tls_out = true;
    rc = set_tls(p);
    if (rc == LDAP_SUCCESS && c->tls == DIRECTORY_TLS_START)
        rc = ldap_start_tls_s(p->ld, NULL, NULL);
    *tls_out = rc != LDAP_SUCCESS;
    return rc;
}

static int bind_as(const struct peer *p, const char *dn, const char *password)
{
    char *copy = str_dup(password ? password : "");
    struct berval cred = { .bv_len = strlen(copy), .bv_val = copy };
    limit_time(p);
    int rc = ldap_sasl_bind_s(p->ld, dn, LDAP_SASL_SIMPLE, &cred, NULL, NULL, NULL);
    explicit_bzero(copy, strlen(copy));
    free(copy);
    return rc;
}

static bool has_text(const char *s)
{
    return s && *s;
}

/* Connected and ready for searches. *tls_out: the failure was TLS's. */
static int connect_peer(struct peer *p, const struct directory_config *c, bool *tls_out)
{
    int rc = open_peer(p, c, tls_out);
    if (rc == LDAP_SUCCESS && has_text(c->user))
        rc = bind_as(p, c->user, c->password);
    return rc;
}

static int service_error(int rc, struct err *err)
{
    return err_set(err, ERR_AUTH_SERVICE_ERROR, ldap_err2string(rc));
}

static int probe_error(const struct directory_config *c, int rc, bool tls, struct err *err)
{
    const char *text = ldap_err2string(rc);
    if (tls && rc != LDAP_SERVER_DOWN && rc != LDAP_TIMEOUT)
        return err_set(err, ERR_AUTH_SETUP_TLS_CONNECTION, text);
    if (rc == LDAP_INVALID_CREDENTIALS || rc == LDAP_INAPPROPRIATE_AUTH)
        return err_set(err, ERR_AUTH_ENABLE_FAILED_WRONG_CREDENTIALS, text);
    if (rc == LDAP_NO_SUCH_OBJECT || rc == LDAP_INVALID_DN_SYNTAX)
        return err_set(err, ERR_AUTH_ENABLE_FAILED_DOMAIN_LOOKUP_FAILED, c->base);
    if (rc == LDAP_SERVER_DOWN || rc == LDAP_TIMEOUT || rc == LDAP_CONNECT_ERROR
        || rc == LDAP_UNAVAILABLE || rc == LDAP_BUSY)
        return err_set(err, ERR_AUTH_ENABLE_FAILED_UNAVAILABLE, text);
    return err_set(err, ERR_AUTH_ENABLE_FAILED, text);
}

/* At most `most` entries of the whole tree. *found_out: given, ldap_msgfree(), on success. */
static int search(const struct peer *p, const char *base, int scope, const char *filter,
                  int most, LDAPMessage **found_out)
{
    const struct directory_config *c = p->config;
    char *attrs[] = { (char *)(uintptr_t)c->id_attribute,
                      (char *)(uintptr_t)c->user_attribute,
                      (char *)(uintptr_t) "cn",
                      (char *)(uintptr_t) "displayName",
                      (char *)(uintptr_t) "mail",
                      (char *)(uintptr_t) "objectClass",
                      (char *)(uintptr_t) "userAccountControl",
                      NULL };
    struct timeval t = time_left(p);
    LDAPMessage *found = NULL;
    if (deadline_passed(&p->until))
        return LDAP_TIMEOUT;
    limit_time(p);
    int rc = ldap_search_ext_s(p->ld, base, scope, filter, attrs, 0, NULL, NULL, &t, most,
                               &found);
    if (rc == LDAP_SUCCESS)
        *found_out = found;
    else
        (void)ldap_msgfree(found);
    return rc;
}

/* The first value as text; NULL: none. Given. */
static char *value_text(const struct peer *p, LDAPMessage *entry, const char *attribute)
{
    struct berval **v = ldap_get_values_len(p->ld, entry, attribute);
    char *text = NULL;
    if (v && v[0] && strcasecmp(attribute, "objectSid") == 0)
        text = directory_sid_text((const uint8_t *)v[0]->bv_val, v[0]->bv_len);
    else if (v && v[0])
        text = str_dupn(v[0]->bv_val, v[0]->bv_len);
    ldap_value_free_len(v);
    return text;
}

static bool is_group(const struct peer *p, LDAPMessage *entry)
{
    static const char *const classes[] = { "group", "groupOfNames", "groupOfUniqueNames",
                                           "posixGroup", "groupOfMembers" };
    struct berval **v = ldap_get_values_len(p->ld, entry, "objectClass");
    bool found = false;
    for (size_t i = 0; v && v[i] && !found; i++) {
        for (size_t k = 0; k < ARRAY_SIZE(classes) && !found; k++)
            found = strlen(classes[k]) == v[i]->bv_len
                    && strncasecmp(classes[k], v[i]->bv_val, v[i]->bv_len) == 0;
    }
    ldap_value_free_len(v);
    return found;
}

/* False: an entry without an identifier, which nobody could be given a role by. */
static bool read_entry(const struct peer *p, LDAPMessage *entry,
                       struct directory_entry *out)
{
    char *dn = ldap_get_dn(p->ld, entry);
    AUTO(free_str) char *control = value_text(p, entry, "userAccountControl");
    uint64_t bits;
    out->dn = str_dup(dn ? dn : "");
    ldap_memfree(dn);
    out->id = value_text(p, entry, p->config->id_attribute);
    out->name = value_text(p, entry, p->config->user_attribute);
    out->display = value_text(p, entry, "displayName");
    out->mail = value_text(p, entry, "mail");
    if (!out->name)
        out->name = value_text(p, entry, "cn");
    if (!out->display)
        out->display = str_dup(out->name);
    out->is_group = is_group(p, entry);
    out->disabled = control && parse_u64(control, &bits) && (bits & DISABLED);
    return has_text(out->id) && has_text(out->name);
}

/* The only entry that the filter fits. */
static int find_one(const struct peer *p, const char *filter, struct directory_entry *out,
                    bool *found_out)
{
    LDAPMessage *found = NULL;
    int rc = search(p, p->config->base, LDAP_SCOPE_SUBTREE, filter, 2, &found);
    *found_out = false;
    if (rc == LDAP_SIZELIMIT_EXCEEDED)
        return LDAP_SUCCESS; /* more than one */
    if (rc != LDAP_SUCCESS)
        return rc;
    if (ldap_count_entries(p->ld, found) == 1)
        *found_out = read_entry(p, ldap_first_entry(p->ld, found), out);
    if (!*found_out)
        directory_entry_done(out);
    (void)ldap_msgfree(found);
    return LDAP_SUCCESS;
}

int directory_probe(const struct directory_config *c, struct err *err)
{
    AUTO(close_peer) struct peer p = { 0 };
    LDAPMessage *found = NULL;
    bool tls;
    int rc = connect_peer(&p, c, &tls);
    if (rc == LDAP_SUCCESS)
        rc = search(&p, c->base, LDAP_SCOPE_BASE, "(objectClass=*)", 1, &found);
    (void)ldap_msgfree(found);
    return rc == LDAP_SUCCESS ? 0 : probe_error(c, rc, tls, err);
}

static int find(const struct directory_config *c, const char *filter,
                struct directory_entry *out, bool *found_out, struct err *err)
{
    AUTO(close_peer) struct peer p = { 0 };
    bool tls;
    int rc = connect_peer(&p, c, &tls);
    if (rc == LDAP_SUCCESS)
        rc = find_one(&p, filter, out, found_out);
    return rc == LDAP_SUCCESS ? 0 : service_error(rc, err);
}

static char *filter_of(const char *attribute, const char *value)
{
    AUTO(free_str) char *safe = directory_escape(value);
    return str_fmt("(%s=%s)", attribute, safe);
}

/* Users by the name that they log in with, groups by theirs. */
int directory_by_name(const struct directory_config *c, const char *name,
                      struct directory_entry *out, bool *found_out, struct err *err)
{
    AUTO(free_str) char *safe = directory_escape(name);
    AUTO(free_str)
    char *filter = str_fmt("(|(%s=%s)(&(cn=%s)(|(objectClass=group)(objectClass="
                           "groupOfNames)(objectClass=groupOfUniqueNames))))",
                           c->user_attribute, safe, safe);
    return find(c, filter, out, found_out, err);
}

int directory_by_id(const struct directory_config *c, const char *id,
                    struct directory_entry *out, bool *found_out, struct err *err)
{
    AUTO(free_str) char *filter = filter_of(c->id_attribute, id);
    return find(c, filter, out, found_out, err);
}

int directory_login(const struct directory_config *c, const char *name,
                    const char *password, struct directory_entry *out, bool *right_out,
                    struct err *err)
{
    AUTO(close_peer) struct peer p = { 0 };
    AUTO(directory_entry_done) struct directory_entry user = { 0 };
    AUTO(free_str) char *filter = filter_of(c->user_attribute, name);
    bool tls, found = false;
    *right_out = false;
    int rc = connect_peer(&p, c, &tls);
    if (rc == LDAP_SUCCESS)
        rc = find_one(&p, filter, &user, &found);
    if (rc != LDAP_SUCCESS)
        return service_error(rc, err);
    if (!found || user.is_group || user.disabled || !*password)
        return 0;
    rc = bind_as(&p, user.dn, password);
    if (rc == LDAP_INVALID_CREDENTIALS || rc == LDAP_INAPPROPRIATE_AUTH
        || rc == LDAP_INSUFFICIENT_ACCESS || rc == LDAP_UNWILLING_TO_PERFORM
        || rc == LDAP_CONSTRAINT_VIOLATION)
        return 0;
    if (rc != LDAP_SUCCESS)
        return service_error(rc, err);
    *out = user;
    user = (struct directory_entry){ 0 };
    *right_out = true;
    return 0;
}

/* Groups */

struct names {
    VEC(char *) dns; /* found so far; those at and behind next are to be asked about */
    VEC(char *) ids;
    size_t next;
};

static void names_done(struct names *n)
{
    for (size_t i = 0; i < n->dns.n; i++)
        free(n->dns.v[i]);
    for (size_t i = 0; i < n->ids.n; i++)
        free(n->ids.v[i]);
    vec_done(&n->dns);
    vec_done(&n->ids);
}

static void add_group(struct names *n, struct directory_entry *e)
{
    for (size_t i = 0; i < n->dns.n; i++) {
        if (strcasecmp(n->dns.v[i], e->dn) == 0)
            return;
    }
    vec_push(&n->dns, TAKE(e->dn));
    vec_push(&n->ids, TAKE(e->id));
}

static int groups_of(const struct peer *p, const char *dn, struct names *n)
{
    AUTO(free_str) char *filter = filter_of(p->config->member_attribute, dn);
    LDAPMessage *found = NULL;
    int rc = search(p, p->config->base, LDAP_SCOPE_SUBTREE, filter, GROUPS_MAX, &found);
    if (rc != LDAP_SUCCESS)
        return rc;
    for (LDAPMessage *e = ldap_first_entry(p->ld, found); e && n->dns.n < GROUPS_MAX;
         e = ldap_next_entry(p->ld, e)) {
        AUTO(directory_entry_done) struct directory_entry group = { 0 };
        if (read_entry(p, e, &group))
            add_group(n, &group);
    }
    (void)ldap_msgfree(found);
    return LDAP_SUCCESS;
}

int directory_groups(const struct directory_config *c, const char *dn, char ***ids_out,
                     size_t *n_out, struct err *err)
{
    AUTO(close_peer) struct peer p = { 0 };
    AUTO(names_done) struct names n = { 0 };
    bool tls;
    int rc = connect_peer(&p, c, &tls);
    if (rc == LDAP_SUCCESS)
        rc = groups_of(&p, dn, &n);
    while (rc == LDAP_SUCCESS && n.next < n.dns.n)
        rc = groups_of(&p, n.dns.v[n.next++], &n);
    if (rc != LDAP_SUCCESS)
        return service_error(rc, err);
    *n_out = n.ids.n;
    *ids_out = n.ids.v;
    n.ids.v = NULL;
    n.ids.n = n.ids.cap = 0;
    return 0;
}
