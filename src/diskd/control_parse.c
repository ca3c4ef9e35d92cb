/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as text. Pure. */
#include "diskd/control.h"

#include "base/mem.h"

bool control_parse(char *text, size_t len, struct control_message *out)
{
    *out = (struct control_message){ 0 };
    if (len == 0 || len >= CONTROL_MESSAGE_MAX || memchr(text, 0, len))
        return false;
    text[len] = 0;
    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        if (!out->verb) {
            out->verb = line;
            continue;
        }
        char *eq = strchr(line, '=');
        if (!eq || eq == line)
            return false;
        *eq++ = 0;
        if (str_eq(line, "tag")) {
            out->tag = eq;
            continue;
        }
        if (out->n == CONTROL_PAIRS_MAX)
            return false;
        out->pair[out->n].key = line;
        out->pair[out->n++].value = eq;
    }
    return out->verb && *out->verb;
}
