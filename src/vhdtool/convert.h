/* SPDX-License-Identifier: Apache-2.0 */
/* Between raw files and VHD, flat and sparse. */
#ifndef VHDTOOL_CONVERT_H
#define VHDTOOL_CONVERT_H

#include "base/err.h"

/* out must not exist; a failure leaves none. A VHD in is read with its parents. */
int convert(const char *in, bool in_raw, const char *out, bool out_raw, struct err *err)
    MUST_CHECK;
/* Write what is not zero in a raw file to the same place of an image. */
int convert_onto(const char *raw, const char *image, struct err *err) MUST_CHECK;
#endif
