/* SPDX-License-Identifier: Apache-2.0 */
#include "rootd/request.h"

#include "base/mem.h"
#include "base/test.h"
#include "rootd/rootd.h"

#define UUID "uuid=00000000-0000-4000-8000-00000000000a\0"

static struct request r;

/* Parse len bytes of text with that many descriptors. NULL: taken. */
static const char *parse(const char *text, size_t len, size_t n_fds)
{
    static char copy[REQUEST_BYTES_MAX];
    const char *why;

    memcpy(copy, text, len);
    r.n_fds = n_fds;
    return request_parse(verbs, n_verbs, copy, len, &r, &why) ? NULL : why;
}

#define PARSE(text, n_fds) parse(text, sizeof(text) - 1, n_fds)

TEST(good_requests)
{
    CHECK(!PARSE("verb=end_vm\0" UUID, 0));
    CHECK_STR(r.verb->name, "end_vm");
    CHECK(!PARSE("verb=spawn_vm\0" UUID "arg=-S\0arg=\0fd=3\0fd=pid\0memory_max=2000000\0",
                 2));
    CHECK_INT(request_u64(&r, "memory_max", 0), 2000000);
    CHECK_INT(request_u64(&r, "pids_max", 7), 7);
    CHECK(!request_text(&r, "kvm"));
    CHECK(!PARSE("verb=pam_auth\0user=u\0password=\0", 0));
    CHECK(!PARSE("verb=host_power\0action=reboot\0", 0));
}

TEST(bad_requests)
{
    static const struct {
        const char *text;
        size_t len, n_fds;
        const char *why;
    } bad[] = {

#define BAD(text, n_fds, why) { text, sizeof(text) - 1, n_fds, why }
        BAD("", 0, "not a block of fields"),
        BAD("verb=end_vm", 0, "not a block of fields"),
        BAD("verb=\0", 0, "no such verb"),
        BAD("verb=END_VM\0" UUID, 0, "no such verb"),
        BAD(UUID "verb=end_vm\0", 0, "no such verb"),
        BAD("verb=end_vm\0", 0, "a field is missing"),
        BAD("verb=end_vm\0" UUID UUID, 0, "a field too often"),
        BAD("verb=end_vm\0verb=end_vm\0" UUID, 0, "a field that the verb does not have"),
        BAD("verb=end_vm\0" UUID "arg=x\0", 0, "a field that the verb does not have"),
        BAD("verb=end_vm\0uuid=../../etc\0", 0, "a value out of bounds"),
        BAD("verb=end_vm\0uuid=00000000-0000-4000-8000-00000000000A\0", 0,
            "a value out of bounds"),
        BAD("verb=end_vm\0" UUID, 1, "not as many descriptors as places for them"),
        BAD("verb=spawn_vm\0" UUID "fd=3\0", 0,
            "not as many descriptors as places for them"),
        BAD("verb=spawn_vm\0" UUID "fd=3\0fd=3\0", 2, "two descriptors for one place"),
        BAD("verb=spawn_vm\0" UUID "fd=256\0", 1, "a value out of bounds"),
        BAD("verb=spawn_vm\0" UUID "fd=root\0", 1, "a value out of bounds"),
        BAD("verb=spawn_vm\0" UUID "fd=\0", 1, "a value out of bounds"),
        BAD("verb=spawn_vm\0" UUID "memory_max=-1\0", 0, "a value out of bounds"),
        BAD("verb=spawn_vm\0" UUID "memory_max=1\0", 0, "a value out of bounds"),
        BAD("verb=spawn_vm\0" UUID "memory_max=99999999999999999999\0", 0,
            "a value out of bounds"),
        BAD("verb=spawn_vm\0" UUID "kvm=\0", 0, "a value out of bounds"),
        BAD("verb=spawn_vm\0" UUID "kvm=yes no\0", 0, "a value out of bounds"),
        BAD("verb=pam_auth\0user=\0password=x\0", 0, "a value out of bounds"),
        BAD("verb=host_power\0action=halt; id\0", 0, "a value out of bounds"),
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_STR(parse(bad[i].text, bad[i].len, bad[i].n_fds), bad[i].why);
}

TEST(sizes_have_an_end)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    AUTO(free_ptr) char *name = mem_alloc(257);

    memset(name, 'u', 256);
    fields_add(&b, "verb", "pam_auth");
    fields_add(&b, "user", name);
    fields_add(&b, "password", "p");
    CHECK_STR(parse(b.data, b.len, 0), "a value out of bounds");
    buf_clear(&b);
    fields_add(&b, "verb", "spawn_vm");
    fields_add(&b, "uuid", "00000000-0000-4000-8000-00000000000a");
    for (int i = 0; i < 513; i++)
        fields_add(&b, "arg", "x");
    CHECK_STR(parse(b.data, b.len, 0), "a field too often");
    for (int i = 0; i < REQUEST_FIELDS_MAX; i++)
        fields_add(&b, "arg", "x");
    CHECK_STR(parse(b.data, b.len, 0), "not a block of fields");
}
