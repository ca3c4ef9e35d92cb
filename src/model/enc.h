/* SPDX-License-Identifier: Apache-2.0 */
/* Values straight to answer bytes, without a tree in between: JSON for JSON-RPC and the store, XML for
 * XML-RPC and task results. No white space between elements (a client takes a blank text node for a
 * value), ints as digits in a bare <value>, doubles always with a decimal part in XML, dates as
 * dateTime.iso8601, void as the empty string. Characters that XML 1.0 does not allow become U+FFFD. */
#ifndef MODEL_ENC_H
#define MODEL_ENC_H

#include "model/schema.h"

enum enc { ENC_JSON, ENC_XML };

void enc_value(struct buf *out, enum enc enc, const struct ty *ty, const void *p);
void enc_record(struct buf *out, enum enc enc, const struct class_def *cls,
                const void *rec);

/* Hand-made answers. Members and items keep their own comma state in first. */
void enc_struct_begin(struct buf *out, enum enc enc);
void enc_member_begin(struct buf *out, enum enc enc, const char *name, bool *first);
void enc_member_end(struct buf *out, enum enc enc);
void enc_struct_end(struct buf *out, enum enc enc);
void enc_array_begin(struct buf *out, enum enc enc);
void enc_item_begin(struct buf *out, enum enc enc, bool *first);
void enc_array_end(struct buf *out, enum enc enc);
void enc_string(struct buf *out, enum enc enc, const char *s);
void enc_int(struct buf *out, enum enc enc, int64_t v);
void enc_int32(struct buf *out, enum enc enc,
               int32_t v); /* a real <i4> (valid_ref_counts) */
void enc_bool(struct buf *out, enum enc enc, bool v);
void enc_ref(struct buf *out, enum enc enc, const struct ref *r);
void enc_date(struct buf *out, enum enc enc, int64_t wall_us);

/* Only the characters of a string, escaped for the inside of "..." or an element. */
void enc_json_text(struct buf *out, const char *s);
void enc_xml_text(struct buf *out, const char *s);
#endif
