/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to an LDAP directory (OpenLDAP, Active Directory and their like). Each opens a connection of its own and is
 * bounded in time by timeout_us for everything together, whatever the server does; only the resolver of host names has a
 * limit of its own. Blocks; thread: any but the loop's. */
#ifndef HOST_DIRECTORY_H
#define HOST_DIRECTORY_H

#include "base/err.h"

enum directory_tls {
    DIRECTORY_TLS_NONE, /* passwords go in the clear: for a unix socket, or where somebody asked for it */
    DIRECTORY_TLS_START, /* ldap: and STARTTLS before anything else */
    DIRECTORY_TLS_ALWAYS /* ldaps: */
};

/* Borrowed texts. */
struct directory_config {
    const char *uri; /* "ldaps://dc1.example.com" */
    const char *base;
    const char *user, *password; /* to look things up with; NULL or "": anonymously */
    const char *ca_file;         /* NULL: the system's */
    const char
        *user_attribute; /* the name that people log in with: "sAMAccountName", "uid" */
    const char *id_attribute;     /* never changes: "objectSid", "entryUUID" */
    const char *member_attribute; /* of groups: the names of those in them */
    enum directory_tls tls;
    int64_t timeout_us;
};

struct directory_entry {
    char *dn, *id, *name, *display, *mail;
    bool is_group, disabled;
};

void directory_entry_done(struct directory_entry *e);

/* Can it be asked at all? Errors: AUTH_ENABLE_FAILED_WRONG_CREDENTIALS, _UNAVAILABLE, _DOMAIN_LOOKUP_FAILED,
 * AUTH_SETUP_TLS_CONNECTION, AUTH_ENABLE_FAILED (text). */
int directory_probe(const struct directory_config *c, struct err *err) MUST_CHECK;

/* found_out false: nobody, or more than one, is called that. Errors: AUTH_SERVICE_ERROR(text). */
int directory_by_name(const struct directory_config *c, const char *name,
                      struct directory_entry *out, bool *found_out, struct err *err)
    MUST_CHECK;
int directory_by_id(const struct directory_config *c, const char *id,
                    struct directory_entry *out, bool *found_out, struct err *err)
    MUST_CHECK;
/* Is it the password of the user of this name? out: filled when it is. */
int directory_login(const struct directory_config *c, const char *name,
                    const char *password, struct directory_entry *out, bool *right_out,
                    struct err *err) MUST_CHECK;
/* The identifiers of all groups that it is in, also through others. *ids_out: given, each free(). */
int directory_groups(const struct directory_config *c, const char *dn, char ***ids_out,
                     size_t *n_out, struct err *err) MUST_CHECK;

/* Text for the inside of a filter: whatever it holds stays a value (RFC 4515). Given. */
char *directory_escape(const char *text) MUST_CHECK;
/* "S-1-5-21-..." of a binary security identifier; NULL: it is none. Given. */
char *directory_sid_text(const uint8_t *sid, size_t n) MUST_CHECK;
#endif
