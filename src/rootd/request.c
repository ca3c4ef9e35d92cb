/* SPDX-License-Identifier: Apache-2.0 */
/* The gate before everything that root does. Keeps no state, opens nothing; runs in the process made for the request. */
#include "rootd/request.h"

#include <arpa/inet.h>
#include <net/if.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/uuid.h"

static bool is_word(const char *words, const char *value)
{
    size_t len = strlen(value);

    for (const char *w = words; w && *w && len > 0;) {
        size_t n = strcspn(w, " ");

        if (n == len && memcmp(w, value, n) == 0)
            return true;
        w += n + (w[n] == ' ');
    }
    return false;
}

static bool in_range(const struct field_rule *rule, const char *value)
{
    uint64_t v;

    return parse_u64(value, &v) && v >= rule->min && v <= rule->max;
}

/* The canonical form only: it becomes a file's name. */
static bool is_uuid(const char *value)
{
    struct uuid u;

    return uuid_parse(value, &u) && value[strspn(value, "0123456789abcdef-")] == '\0';
}

static bool is_ifname(const char *value)
{
#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
    size_t len = strlen(value);

    return len > 0 && len < IFNAMSIZ && strchr(WORD, value[0])
           && strspn(value, WORD ".-") == len;
#undef WORD
}

bool request_mac(const char *text, uint8_t out[static 6])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t mac[6] = { 0 };

    if (strlen(text) != 17)
        return false;
    for (size_t i = 0; i < 17; i++) {
        char ch = text[i];
        const char *at = strchr(digits,
                                ch >= 'A' && ch <= 'F' ? (char)(ch - 'A' + 'a') : ch);

        if (i % 3 == 2 ? ch != ':' : !at)
            return false;
        if (i % 3 != 2)
            mac[i / 3] = (uint8_t)(mac[i / 3] << 4 | (uint8_t)(at - digits));
    }
    memcpy(out, mac, sizeof(mac));
    return (mac[0] & 1) == 0;
}

static bool is_mac(const char *value)
{
    uint8_t mac[6];

    return request_mac(value, mac);
}

static bool is_address(int family, const char *value)
{
    uint8_t address[16];

    return inet_pton(family, value, address) == 1;
}

static bool value_ok(const struct field_rule *rule, const char *value)
{
    size_t len = strlen(value);

    switch (rule->type) {
    case FIELD_UUID: return is_uuid(value);
    case FIELD_U64: return in_range(rule, value);
    case FIELD_TEXT: return len >= rule->min && len <= rule->max;
    case FIELD_WORD: return is_word(rule->words, value);
    case FIELD_IFNAME: return is_ifname(value);
    case FIELD_MAC: return is_mac(value);
    case FIELD_IP: return is_address(AF_INET, value) || is_address(AF_INET6, value);
    case FIELD_FD: return in_range(rule, value) || is_word(rule->words, value);
    case FIELD_END: break;
    }
    return false;
}

static const struct field_rule *find_rule(const struct verb *v, const char *name,
                                          size_t *at_out)
{
    for (size_t i = 0; i < ARRAY_SIZE(v->fields) && v->fields[i].type != FIELD_END; i++)
        if (str_eq(v->fields[i].name, name)) {
            *at_out = i;
            return &v->fields[i];
        }
    return NULL;
}

/* Two descriptors may not go to the same place. */
static bool fd_is_twice(const struct request *r, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (str_eq(r->fields[i].name, r->fields[at].name)
            && str_eq(r->fields[i].value, r->fields[at].value))
            return true;
    return false;
}

static const char *check(const struct request *r)
{
    size_t seen[ARRAY_SIZE(r->verb->fields)] = { 0 };
    size_t n_fds = 0;

    for (size_t i = 0; i < r->n_fields; i++) {
        size_t at = 0;
        const struct field_rule *rule = find_rule(r->verb, r->fields[i].name, &at);

        if (!rule)
            return "a field that the verb does not have";
        if (seen[at]++ >= MAX(rule->times, 1U))
            return "a field too often";
        if (!value_ok(rule, r->fields[i].value))
            return "a value out of bounds";
        if (rule->type == FIELD_FD && (n_fds++ >= REQUEST_FDS_MAX || fd_is_twice(r, i)))
            return "two descriptors for one place";
    }
    for (size_t i = 0; i < ARRAY_SIZE(seen) && r->verb->fields[i].type != FIELD_END; i++)
        if (seen[i] == 0 && !r->verb->fields[i].optional)
            return "a field is missing";
    return n_fds == r->n_fds ? NULL : "not as many descriptors as places for them";
}

bool request_parse(const struct verb *table, size_t n_verbs, char *msg, size_t len,
                   struct request *out, const char **why_out)
{
    size_t n = 0;

    *why_out = "not a block of fields";
    if (!fields_parse(msg, len, out->fields, ARRAY_SIZE(out->fields), &n))
        return false;
    *why_out = "no such verb";
    out->verb = NULL;
    for (size_t i = 0; i < n_verbs && str_eq(out->fields[0].name, "verb"); i++)
        if (str_eq(table[i].name, out->fields[0].value))
            out->verb = &table[i];
    if (!out->verb)
        return false;
    out->n_fields = n - 1;
    memmove(out->fields, out->fields + 1, out->n_fields * sizeof(out->fields[0]));
    *why_out = check(out);
    return !*why_out;
}

const char *request_text(const struct request *r, const char *name)
{
    return fields_get(r->fields, r->n_fields, name);
}

uint64_t request_u64(const struct request *r, const char *name, uint64_t otherwise)
{
    const char *text = request_text(r, name);
    uint64_t v;

    return text && parse_u64(text, &v) ? v : otherwise;
}
