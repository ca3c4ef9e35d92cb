/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to root. The first byte is the number of descriptors that come along. */
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "fuzz.h"
#include "rootd/rootd.h"

/* What a verb's function may rely on. */
static void check_taken(const struct request *r)
{
    size_t fds = 0;

    REQUIRE(r->verb >= verbs && r->verb < verbs + n_verbs);
    REQUIRE(r->n_fields <= REQUEST_FIELDS_MAX && r->n_fds <= REQUEST_FDS_MAX);
    for (size_t i = 0; i < r->n_fields; i++) {
        const char *name = r->fields[i].name, *value = r->fields[i].value;
        uint64_t v;

        fds += str_eq(name, "fd");
        if (str_eq(name, "uuid"))
            REQUIRE(strlen(value) == 36 && !strchr(value, '/') && !strchr(value, '.'));
        if (str_eq(name, "memory_max") || str_eq(name, "pids_max")
            || str_eq(name, "cpu_weight"))
            REQUIRE(parse_u64(value, &v) && v > 0);
        if (str_eq(name, "fd") && parse_u64(value, &v))
            REQUIRE(v <= 255);
    }
    REQUIRE(fds == r->n_fds);
    for (size_t i = 0; r->verb->fields[i].type != FIELD_END; i++)
        REQUIRE(r->verb->fields[i].optional || request_text(r, r->verb->fields[i].name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct request r;
    AUTO(free_ptr) char *msg = NULL;
    const char *why = NULL;

    if (size == 0)
        return 0;
    msg = mem_alloc(size);
    memcpy(msg, data + 1, size - 1);
    r.n_fds = data[0] % (REQUEST_FDS_MAX + 1);
    if (request_parse(verbs, n_verbs, msg, size - 1, &r, &why))
        check_taken(&r);
    else
        REQUIRE(why);
    return 0;
}
