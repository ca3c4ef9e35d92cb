/* SPDX-License-Identifier: Apache-2.0 */
/* Test code: files in memory that can be copied in microseconds, a log of everything done to them, and the
 * means to build what a disk may hold after a power cut from a part of that log. Also makes the n-th
 * call fail. One directory; names are without one. One thread. */
#ifndef VHD_VHD_SIM_H
#define VHD_VHD_SIM_H

#include "base/vec.h"
#include "vhd/vhd_io.h"

#define SIM_FILES  64
#define SIM_NAME   32
#define SIM_CHUNKS 32 /* of 2 MiB each */

struct sim_chunk;

struct sim_file {
    bool used;
    uint64_t size;
    struct sim_chunk *chunk[SIM_CHUNKS];
};

struct sim_name {
    char name[SIM_NAME]; /* "": free */
    int file;
};

struct sim_fs {
    struct sim_file file[SIM_FILES];
    struct sim_name name[SIM_FILES];
};

enum sim_type {
    SIM_WRITE, /* data; never grows */
    SIM_GROW,  /* the size is at least bytes */
    SIM_CUT,   /* the size is bytes */
    SIM_PUNCH,
    SIM_FSYNC,
    SIM_LINK, /* name -> file */
    SIM_UNLINK,
    SIM_RENAME, /* name -> name2 */
    SIM_FSYNC_DIR,
    SIM_EVENT, /* of the workload: code, a, b, name */
};

struct sim_op {
    enum sim_type type;
    int file;
    uint64_t offset, len;
    uint8_t *data;
    char name[SIM_NAME], name2[SIM_NAME];
    int code;
    uint64_t a, b;
};

struct sim {
    struct sim_fs fs;
    bool recording;
    VEC(struct sim_op) log;
    int handle[64]; /* file, -1: free */
    long fail_at;   /* calls until one fails; 0: never */
    int fail_errno;
    bool fail_sticky;
    long calls;
};

void sim_init(struct sim *s);
void sim_done(struct sim *s);
void sim_start_log(struct sim *s); /* forgets the log */
struct vhd_io sim_io(struct sim *s);
void sim_event(struct sim *s, int code, uint64_t a, uint64_t b, const char *name);

void sim_fs_copy(struct sim_fs *to, const struct sim_fs *from); /* to: done or zeroed */
void sim_fs_done(struct sim_fs *fs);
/* keep: for writes of several sectors, which of them; bit i%64 of keep for sector i. */
void sim_fs_apply(struct sim_fs *fs, const struct sim_op *op, uint64_t keep);
void sim_fs_trim(struct sim_fs *fs); /* drop what lies behind the ends of files */
int sim_fs_find(const struct sim_fs *fs, const char *name);
void sim_fs_read(const struct sim_fs *fs, int file, void *p, size_t len, uint64_t offset);
void sim_fs_write(struct sim_fs *fs, int file, const void *p, size_t len, uint64_t offset);
int sim_fs_import(struct sim_fs *fs, const char *name, const void *p,
                  size_t len); /* a new file */
#endif
