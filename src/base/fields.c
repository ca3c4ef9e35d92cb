/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of fields. Owns nothing, allocates only what buf.h does; one pass over the message, no state. */
#include "base/fields.h"

#include "base/mem.h"

void fields_add(struct buf *b, const char *name, const char *value)
{
    buf_add_str(b, name);
    buf_add_char(b, '=');
    buf_add(b, value, strlen(value) + 1);
}

void fields_add_u64(struct buf *b, const char *name, uint64_t value)
{
    AUTO(free_str) char *text = str_fmt("%llu", (unsigned long long)value);

    fields_add(b, name, text);
}

static bool name_ok(const char *name)
{
    return name[0] && name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] == '\0';
}

bool fields_parse(char *msg, size_t len, struct field *out, size_t max, size_t *n_out)
{
    size_t n = 0;

    if (len == 0 || msg[len - 1] != '\0')
        return false;
    for (size_t at = 0; at < len; n++) {
        char *name = msg + at, *eq = strchr(name, '=');

        if (n == max || !eq)
            return false;
        at += strlen(name) + 1;
        *eq = '\0';
        if (!name_ok(name))
            return false;
        out[n] = (struct field){ name, eq + 1 };
    }
    *n_out = n;
    return true;
}

const char *fields_get(const struct field *f, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(f[i].name, name))
            return f[i].value;
    return NULL;
}
