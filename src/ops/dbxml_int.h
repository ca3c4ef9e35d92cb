/* SPDX-License-Identifier: Apache-2.0 */
/* Inside dbxml*.c: what a text holds, and how fields are called in it. */
#ifndef OPS_DBXML_INT_H
#define OPS_DBXML_INT_H

#include "ops/dbxml.h"

#define DBXML_NAME_SIZE 128
#define DBXML_MAJOR     "5"
#define DBXML_MINOR     "786"

bool dbxml_has(const struct class_def *cls);
bool dbxml_field(const struct field_def *f);
void dbxml_field_name(const char *name, char out[static DBXML_NAME_SIZE]);
/* The value of an attribute as the tree that value_decode() takes; NULL: it is none of that type. */
json_t *dbxml_value(const struct ty *ty, const char *text);
#endif
