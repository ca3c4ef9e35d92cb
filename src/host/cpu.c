/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU says of each model which of its features it cannot give here (under TCG, or under KVM on this processor). A model of which
 * only features are missing that software asks for one by one (mitigations, timers, transactions) will do, with those switched off
 * by name, so that the machine is the same wherever it is built. One of which instructions are missing that programs of
 * its generation take for granted will not. Owns no state. */
#include "host/cpu.h"

#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "host/qemu.h"

#define ASK_US     (10 * US_PER_SEC)
#define ANSWER_MAX (1U << 20)
#define LEAST      "Nehalem-v1"

static const char *const intel[] = {
    "Icelake-Server-v4", "Cascadelake-Server-v4",
    "Skylake-Server-v4", "Skylake-Client-v3",
    "Broadwell-v4",      "Haswell-v4",
    "IvyBridge-v2",      "SandyBridge-v2",
    "Westmere-v2",       "Nehalem-v2",
    "qemu64-v1",         NULL,
};
static const char *const amd[] = {
    "EPYC-Milan-v1", "EPYC-Rome-v2",  "EPYC-v2",   "Opteron_G5-v1",
    "Opteron_G4-v1", "Opteron_G3-v1", "qemu64-v1", NULL,
};
/* Features whose absence no program of the model's time trips over. */
static const char *const spare[] = {
    "amd-ssbd",  "amd-stibp",    "arch-capabilities",
    "clzero",    "hle",          "ibpb",
    "ibrs",      "ibrs-all",     "invpcid",
    "mds-no",    "nrip-save",    "osvw",
    "pcid",      "perfctr-core", "pschange-mc-no",
    "rdctl-no",  "rtm",          "skip-l1dfl-vmentry",
    "spec-ctrl", "ssbd",         "stibp",
    "taa-no",    "topoext",      "tsc-deadline",
    "wbnoinvd",  "x2apic",       "xsaveerptr",
    "xsaves",
};

static bool is_spare(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(spare); i++)
        if (str_eq(spare[i], name))
            return true;
    return false;
}

/* The model less what is missing. False: too much is. */
static bool fits(const json_t *definition, const char *name, struct buf *out)
{
    const json_t *missing = json_object_get(definition, "unavailable-features");

    buf_clear(out);
    buf_add_str(out, name);
    for (size_t i = 0; i < json_array_size(missing); i++) {
        const char *feature = json_string_value(json_array_get(missing, i));

        if (!feature || !is_spare(feature))
            return false;
        buf_addf(out, ",-%s", feature);
    }
    return !buf_overflow(out);
}

static const json_t *find(const json_t *definitions, const char *name)
{
    for (size_t i = 0; i < json_array_size(definitions); i++) {
        const json_t *d = json_array_get(definitions, i);
        const char *own = json_string_value(json_object_get(d, "name"));

        if (own && str_eq(own, name))
            return d;
    }
    return NULL;
}

void cpu_choose(const json_t *definitions, const char *vendor,
                char out[static CPU_MODEL_MAX])
{
    bool is_amd = str_eq(vendor, "AuthenticAMD") || str_eq(vendor, "HygonGenuine");
    AUTO(buf_done) struct buf model = BUF_INIT(CPU_MODEL_MAX - 1);

    memcpy(out, LEAST, sizeof(LEAST));
    for (const char *const *name = is_amd ? amd : intel; *name; name++) {
        const json_t *d = find(definitions, *name);

        if (d && fits(d, *name, &model)) {
            memcpy(out, buf_str(&model), model.len + 1);
            return;
        }
    }
}

/* Words as Xen orders them, which clients compare as they are. */
static const struct word {
    unsigned leaf, subleaf;
    const char *reg;
} words[] = {
    { 1, 0, "EDX" },          { 1, 0, "ECX" },          { 0x80000001, 0, "EDX" },
    { 0x80000001, 0, "ECX" }, { 0xd, 1, "EAX" },        { 7, 0, "EBX" },
    { 7, 0, "ECX" },          { 0x80000007, 0, "EDX" }, { 0x80000008, 0, "EBX" },
    { 7, 0, "EDX" },          { 7, 1, "EAX" },
};

static unsigned word_of(const json_t *list, const struct word *w)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        const char *reg = json_string_value(json_object_get(o, "cpuid-register"));
        json_int_t leaf = json_integer_value(json_object_get(o, "cpuid-input-eax"));
        json_int_t sub = json_integer_value(json_object_get(o, "cpuid-input-ecx"));

        if (reg && str_eq(reg, w->reg) && leaf == (json_int_t)w->leaf
            && sub == (json_int_t)w->subleaf)
            return (unsigned)json_integer_value(json_object_get(o, "features"));
    }
    return 0;
}

static unsigned word_here(const struct word *w)
{
    unsigned a = 0, b = 0, c = 0, d = 0;

    if (!__get_cpuid_count(w->leaf, w->subleaf, &a, &b, &c, &d))
        return 0;
    return w->reg[1] == 'A' ? a : w->reg[1] == 'B' ? b : w->reg[1] == 'C' ? c : d;
}

static void write_words(const json_t *list, char out[static CPU_FEATURES_MAX])
{
    AUTO(buf_done) struct buf b = BUF_INIT(CPU_FEATURES_MAX - 1);

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        buf_addf(&b, "%s%08x", i ? "-" : "",
                 list ? word_of(list, &words[i]) : word_here(&words[i]));
    memcpy(out, buf_str(&b), b.len + 1);
}

void cpu_words(const json_t *feature_words, char out[static CPU_FEATURES_MAX])
{
    json_t *none = json_array();

    write_words(feature_words ? feature_words : none, out);
    json_decref(none);
}

void cpu_host_words(char out[static CPU_FEATURES_MAX])
{
    write_words(NULL, out);
}

/* What a machine that is built for it answers to one command. Given; NULL: nothing. */
static json_t *ask(const char *qemu, const char *accel, const char *cpu,
                   const char *command)
{
    const char *const argv[] = { qemu,
                                 "-nodefaults",
                                 "-no-user-config",
                                 "-machine",
                                 qemu_default_machine(),
                                 "-accel",
                                 accel,
                                 "-cpu",
                                 cpu,
                                 "-m",
                                 "16",
                                 "-S",
                                 "-display",
                                 "none",
                                 "-qmp",
                                 "stdio",
                                 NULL };
    AUTO(free_str)
    char *input = str_fmt(
        "{\"execute\":\"qmp_capabilities\"}\n%s\n{\"execute\":\"quit\"}\n", command);
    AUTO(buf_done) struct buf out = BUF_INIT(ANSWER_MAX), errout = BUF_INIT(4096);
    struct deadline d = deadline_in(ASK_US);
    json_t *answer = NULL;
    int status;

    if (proc_run(argv, input, &out, &errout, &d, &status) < 0) {
        log_warn("asking QEMU for processors: %m");
        return NULL;
    }
    for (char *line = out.data; line && *line && !answer;) {
        size_t n = strcspn(line, "\n");
        json_t *o = json_loadb(line, n, 0, NULL);
        json_t *ret = json_object_get(o, "return");

        if (json_array_size(ret))
            answer = json_incref(ret);
        json_decref(o);
        line += n + (line[n] == '\n');
    }
    if (!answer)
        log_warn("asking QEMU for processors: it ended with %d: %.200s", status,
                 buf_str(&errout));
    return answer;
}

static char *cache_key(const char *qemu, const char *accel, const char *host_model)
{
    struct stat st = { 0 };

    if (stat(qemu, &st) < 0)
        return str_dup("");
    return str_fmt("1 %s %lld %lld %s %s", qemu, (long long)st.st_size,
                   (long long)st.st_mtim.tv_sec, accel, host_model);
}

/* Three lines: what it holds for, the model, the words. */
static bool cached(const char *path, const char *key, struct cpu_baseline *out)
{
    AUTO(buf_done) struct buf text = BUF_INIT(8192);
    char *line[3], *p;

    if (io_read_file(path, &text) < 0 || !text.len)
        return false;
    p = text.data;
    for (size_t i = 0; i < 3; i++) {
        char *end = strchr(p, '\n');

        if (!end)
            return false;
        *end = '\0';
        line[i] = p;
        p = end + 1;
    }
    if (!str_eq(line[0], key) || strlen(line[1]) >= sizeof(out->model)
        || strlen(line[2]) >= sizeof(out->features))
        return false;
    memcpy(out->model, line[1], strlen(line[1]) + 1);
    memcpy(out->features, line[2], strlen(line[2]) + 1);
    return true;
}

void cpu_baseline(const char *cache_dir, const char *qemu, const char *accel,
                  const char *vendor, const char *host_model, struct cpu_baseline *out)
{
    AUTO(free_str) char *path = str_fmt("%s/cpu-baseline", cache_dir);
    AUTO(free_str) char *key = cache_key(qemu, accel, host_model);
    AUTO(buf_done) struct buf text = BUF_INIT(0);

    *out = (struct cpu_baseline){ 0 };
    if (cached(path, key, out))
        return;
    json_t *definitions = ask(qemu, accel, "qemu64-v1",
                              "{\"execute\":\"query-cpu-definitions\"}");
    cpu_choose(definitions, vendor, out->model);
    json_t *have = definitions ? ask(qemu, accel, out->model,
                                     "{\"execute\":\"qom-get\",\"arguments\":{\"path\":"
                                     "\"/machine/unattached/device[0]\",\"property\":"
                                     "\"feature-words\"}}")
                               : NULL;
    cpu_words(have, out->features);
    buf_addf(&text, "%s\n%s\n%s\n", key, out->model, out->features);
    if (have && io_write_file(path, text.data, text.len, 0600) < 0)
        log_warn("%s: %m", path);
    json_decref(definitions);
    json_decref(have);
}
