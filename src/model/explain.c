/* SPDX-License-Identifier: Apache-2.0 */
/* Words for errors, from the error table. */
#include "model/explain.h"

#include <stdlib.h>

#include "model/schema.h"

void explain_fill(struct buf *out, const char *sentence, const struct err *err)
{
    for (const char *p = sentence; *p; p++) {
        if (p[0] == '{' && p[1] >= '0' && p[1] <= '9' && p[2] == '}') {
            size_t i = (size_t)(p[1] - '0');

            if (i < err->n_params)
                buf_add_str(out, err->params[i]);
            p += 2;
        } else {
            buf_add_char(out, *p);
        }
    }
}

static void add_space(struct buf *out)
{
    char last;

    if (out->len == 0)
        return;
    last = out->data[out->len - 1];
    buf_add_str(out, last == '.' || last == '!' || last == '?' ? " " : ". ");
}

static void add_part(struct buf *out, const char *text, const struct err *err)
{
    if (!text || !*text)
        return;
    add_space(out);
    explain_fill(out, text, err);
}

void explain_error(struct buf *out, const struct err *err)
{
    const struct error_def *def = schema_error(err->code);

    if (def) {
        add_part(out, def->sentence, err);
        add_part(out, def->hint, err);
    }
    if (err->detail
        && *err->detail) { /* finished text: nothing in it stands for a parameter */
        add_space(out);
        buf_add_str(out, err->detail);
    }
    if (out->len == 0)
        buf_add_str(out, err->code);
}

/* What a shell would take for more than one plain word cannot be offered to it. */
static bool is_word(const char *text)
{
    for (const char *p = text; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
                     || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_' || *p == '.'
                     || *p == '/' || *p == ':';

        if (!plain)
            return false;
    }
    return *text != '\0';
}

bool explain_command(struct buf *out, const struct err *err, explain_name_fn name,
                     void *arg)
{
    const struct error_def *def = schema_error(err->code);
    AUTO(buf_done) struct buf text = BUF_INIT(0);

    if (!def || !def->command)
        return false;
    for (const char *p = def->command; *p; p++) {
        if (p[0] == '{' && p[1] >= '0' && p[1] <= '9' && p[2] == '}') {
            size_t i = (size_t)(p[1] - '0');
            char *named = i < err->n_params && name ? name(err->params[i], arg) : NULL;
            const char *word = named ? named : i < err->n_params ? err->params[i] : "";
            bool good = is_word(word);

            buf_add_str(&text, good ? word : "");
            free(named);
            if (!good)
                return false;
            p += 2;
        } else {
            buf_add_char(&text, *p);
        }
    }
    buf_add_str(out, buf_str(&text));
    return true;
}
