/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as XML: <message><ref/><name/><priority/><cls/><obj_uuid/><timestamp/><uuid/><body/></message>, one after another, as
 * a host hands the messages about a VM to the host that the VM moves to. */
#ifndef OPS_MESSAGE_XML_H
#define OPS_MESSAGE_XML_H

#include "base/uuid.h"
#include "ops/call.h"

/* About which object. */
struct message_about {
    bool one; /* else all */
    int cls;  /* of enum cls */
    char uuid[UUID_TEXT_SIZE];
};

/* cls: "VM" and so on in any case; both NULL: all. Errors: INVALID_VALUE(cls), UUID_INVALID(class, uuid). */
int message_about(const char *cls, const char *uuid, struct message_about *out,
                  struct err *err) MUST_CHECK EXCLUDES(db_mutex);
void message_xml_write(const struct message_about *about, struct buf *out)
    EXCLUDES(db_mutex);
/* Keep the messages of the text that are about that object and not here yet (by uuid). All or none.
 * Errors: IMPORT_ERROR(why), IMPORT_ERROR_PREMATURE_EOF. */
int message_xml_read(struct call *call, const struct message_about *about,
                     ssize_t (*read)(void *arg, void *p, size_t n), void *arg,
                     struct err *err) MUST_CHECK EXCLUDES(db_mutex);
#endif
