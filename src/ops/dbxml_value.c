/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of values in a database dump: white space unescaped, lists read. Pure; bounded by the length of the text and
 * DEPTH_MAX. */
#include <string.h>

#include "base/mem.h"
#include "ops/dbxml_int.h"

#define DEPTH_MAX 8

/* %%, %., %n, %r and %t in place. */
static bool unescape(char *s)
{
    char *to = s;

    for (; *s; s++, to++) {
        *to = *s;
        if (*s != '%')
            continue;
        switch (*++s) {
        case '%': *to = '%'; break;
        case '.':
        case '_': *to = ' '; break;
        case 'n': *to = '\n'; break;
        case 'r': *to = '\r'; break;
        case 't': *to = '\t'; break;
        default: return false;
        }
    }
    *to = '\0';
    return true;
}

static void skip_blanks(const char **p)
{
    *p += strspn(*p, " \t\r\n");
}

/* 'a text', \' and \\ in it. Given; NULL: none. */
static char *take_quoted(const char **p)
{
    AUTO(buf_done) struct buf out = BUF_INIT(0);

    if (*(*p)++ != '\'')
        return NULL;
    for (; **p != '\''; (*p)++) {
        if (**p == '\\')
            (*p)++;
        if (!**p)
            return NULL;
        buf_add_char(&out, **p);
    }
    (*p)++;
    return buf_take(&out);
}

static json_t *take_list(const struct ty *ty, const char **p, int depth);

static json_t *take_member(const struct ty *ty, const char **p, int depth)
{
    AUTO(free_str) char *text = NULL;

    if (ty->kind == TY_SET || ty->kind == TY_MAP)
        return take_list(ty, p, depth + 1);
    text = take_quoted(p);
    return text ? json_string(text) : NULL;
}

/* ('k' member) into map. */
static bool take_pair(const struct ty *ty, const char **p, json_t *map, int depth)
{
    AUTO(free_str) char *key = NULL;
    json_t *value;

    if (*(*p)++ != '(')
        return false;
    skip_blanks(p);
    key = take_quoted(p);
    if (!key)
        return false;
    skip_blanks(p);
    value = take_member(ty->elem, p, depth);
    if (!value || json_object_set_new(map, key, value) != 0)
        return false;
    skip_blanks(p);
    return *(*p)++ == ')';
}

static bool take_one(const struct ty *ty, const char **p, json_t *list, int depth)
{
    json_t *value;

    if (ty->kind == TY_MAP)
        return take_pair(ty, p, list, depth);
    value = take_member(ty->elem, p, depth);
    return value && json_array_append_new(list, value) == 0;
}

static json_t *take_list(const struct ty *ty, const char **p, int depth)
{
    json_t *list = ty->kind == TY_MAP ? json_object() : json_array();

    if (depth > DEPTH_MAX || **p != '(')
        goto bad;
    (*p)++;
    skip_blanks(p);
    while (**p != ')') {
        if (!take_one(ty, p, list, depth))
            goto bad;
        skip_blanks(p);
    }
    (*p)++;
    return list;
bad:
    json_decref(list);
    return NULL;
}

json_t *dbxml_value(const struct ty *ty, const char *text)
{
    AUTO(free_str) char *plain = str_dup(text);
    const char *p = plain;
    json_t *list;

    if (!unescape(plain))
        return NULL;
    if (ty->kind != TY_SET && ty->kind != TY_MAP)
        return json_string(plain);
    list = take_list(ty, &p, 0);
    if (list && *p) {
        json_decref(list);
        return NULL;
    }
    return list;
}
