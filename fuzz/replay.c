/* SPDX-License-Identifier: Apache-2.0 */
/* replay DIRECTORY: every file of a corpus through the target it is linked with, whole and cut short at some places.
 * Fails when there is none. */
#include <dirent.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "fuzz.h"

#define INPUT_MAX (8 * 1024 * 1024)

/* A copy of exactly its size, so that the address sanitizer sees one byte too many. */
static void run(const char *data, size_t len)
{
    char *copy = mem_resize(NULL, len ? len : 1, 1);
    memcpy(copy, data, len);
    LLVMFuzzerTestOneInput((const uint8_t *)copy, len);
    free(copy);
}

static bool replay(const char *path)
{
    AUTO(buf_done) struct buf b = BUF_INIT(INPUT_MAX);
    if (io_read_file(path, &b) < 0) {
        fprintf(stderr, "%s: %m\n", path);
        return false;
    }
    fprintf(stderr, "%s\n", path);
    run(buf_str(&b), b.len);
    for (size_t i = 1; i < 8 && b.len > 8; i++)
        run(b.data, b.len * i / 8);
    return true;
}

int main(int argc, char **argv)
{
    size_t n = 0;
    bool ok = argc == 2;
    DIR *dir = ok ? opendir(argv[1]) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        AUTO(free_str) char *path = str_fmt("%s/%s", argv[1], e->d_name);
        ok = replay(path) && ok;
        n++;
    }
    if (dir)
        closedir(dir);
    printf("%zu files\n", n);
    return ok && n > 0 ? 0 : 1;
}
