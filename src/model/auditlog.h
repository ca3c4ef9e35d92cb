/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log as files: what is in a line, and whether a log is whole. Written by model/audit.h; read here by the
 * daemon and by the command line, which needs no daemon for it.
 *
 *   DIR/audit-000001.log ...   one record a line: HASH SPACE JSON NEWLINE, where HASH is the SHA-256, in hexadecimal,
 *                              of the previous record's HASH (64 zeros before the first) and this record's JSON
 *   DIR/head                   "N HASH": the newest record known to be on the disk
 *
 * A record is an object with "n" (from 1, without gaps, through all files), "time" and "kind":
 *   begin    the first of each file: "file", "previous" (the HASH before it), "open" (intents without outcome), "damage"
 *            (what a start found wrong with the files before)
 *   intent   a call that is about to run    outcome   how it ended; "of" is the n of its intent
 *   refused  a call that was not let in     session   a login or logout
 *   torn     a start found "bytes" at the end of the file that were no record, as a power cut leaves them
 *   pruned   retention removed all files up to number "files"
 *
 * A power cut can only damage what comes after the head; whatever else does not fit is damage or tampering. */
#ifndef MODEL_AUDITLOG_H
#define MODEL_AUDITLOG_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

#define AUDITLOG_HASH_SIZE 65 /* hexadecimal and NUL */

struct auditlog_chain {
    char hash[AUDITLOG_HASH_SIZE];
};

extern const struct auditlog_chain auditlog_start;

/* Append the line of one record and move the chain on. json: without newline. */
void auditlog_add(struct auditlog_chain *c, struct buf *out, const char *json);
/* Does a line (without its newline) follow? If so the chain moves on, and *json_out points to its JSON. */
bool auditlog_follows(struct auditlog_chain *c, const char *line, size_t len,
                      const char **json_out);

/* Called for each good record in order. Return false to stop. rec: borrowed. */
typedef bool (*auditlog_fn)(const json_t *rec, void *arg);

struct auditlog_query {
    const char *path;   /* the directory, or one file of it */
    unsigned from_file; /* of a directory: begin with this one; 0: with the first */
    auditlog_fn fn;     /* may be NULL */
    void *arg;
};

struct auditlog_report {
    uint64_t first, last; /* n of the first and last good record; 0: none */
    unsigned first_file, last_file;
    uint64_t intents, outcomes, refused, torn;
    uint64_t good_bytes;        /* of the last file */
    uint64_t torn_bytes;        /* behind its last good record */
    struct auditlog_chain head; /* of the last good record */
    char first_time[32], last_time[32];
    char *problem; /* NULL: whole */
};

/* Read a log. 0 also when it is not whole: the report says so. Errors: INTERNAL_ERROR of reading, with a sentence.
 * Blocks on the disk; a log that grows meanwhile is read as far as it is now. */
int auditlog_read(const struct auditlog_query *q, struct auditlog_report *out,
                  struct err *err) MUST_CHECK;
void auditlog_report_done(struct auditlog_report *r);
/* The report in words, some lines. Given. */
char *auditlog_report_text(const struct auditlog_report *r);
/* "audit-000001.log" of 1. Given. */
char *auditlog_file_name(unsigned number);
/* The lowest and highest numbers of files in a directory; 0: none. -1 with errno. */
int auditlog_files(const char *dir, unsigned *first_out, unsigned *last_out) MUST_CHECK;
#endif
