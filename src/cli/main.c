/* SPDX-License-Identifier: Apache-2.0 */
/* serai, also run as xe: options, then the command engine; the few commands that are no API calls are here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/options.h"
#include "cli/remote.h"
#include "model/auditlog.h"
#include "xe/xe.h"

/* The guest builders lie beside the sources while the program runs from its build directory, else in libexec. */
static int image_build(int argc, char *const *argv)
{
    static const struct {
        const char *name, *program;
    } kinds[] = { { "debian12", "build-debian" }, { "tiny", "build-tiny" } };

    const char *program = NULL;
    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(kinds); i++) {
        if (str_eq(argv[1], kinds[i].name))
            program = kinds[i].program;
    }
    if (!program) {
        (void)fputs(
            "Usage: serai image-build debian12|tiny [--output FILE] [--cache DIR] ...\n",
            stderr);
        return 1;
    }
    char self[4096] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    AUTO(free_str)
    char *beside = slash ? str_fmt("%.*s/../tools/guest/%s", (int)(slash - self), self,
                                   program)
                         : str_dup("");
    AUTO(free_str) char *installed = str_fmt(LIBEXECDIR "/serai/guest/%s", program);
    const char *path = access(beside, X_OK) == 0 ? beside : installed;
    char **args = mem_array((size_t)argc + 2, sizeof(*args));
    args[0] = (char *)(uintptr_t)path;
    args[1] = str_dup("--progress");
    for (int i = 2; i < argc; i++)
        args[i] = argv[i];
    (void)execv(path, args);
    (void)fprintf(stderr, "Error: %s: %m\n", path);
    free(args[1]);
    free(args);
    return 1;
}

/* "audit-verify FILE-OR-DIRECTORY", "audit-verify filename=...": needs no daemon. -1: no file is named. */
static int audit_verify(int argc, char *const *argv)
{
    const char *path = argc > 1 ? argv[1] : NULL;
    if (path && str_starts(path, "filename="))
        path += 9;
    if (!path || *path == '-')
        return -1;
    AUTO(err_done) struct err err = { 0 };
    struct auditlog_report r = { 0 };
    struct auditlog_query q = { .path = path };
    if (auditlog_read(&q, &r, &err) < 0) {
        (void)fprintf(stderr, "Error: %s\n", err.detail);
        return 1;
    }
    AUTO(free_str) char *text = auditlog_report_text(&r);
    (void)fputs(text, stdout);
    int status = r.problem ? 1 : 0;
    auditlog_report_done(&r);
    return status;
}

/* "template-import FILE ..." is "template-import filename=FILE ...", and so for image-import */
static void name_file(struct options *o)
{
    bool takes_file = o->argc > 0
                      && (str_eq(o->argv[0], "template-import")
                          || str_eq(o->argv[0], "image-import"));
    for (int i = 1; i < o->argc && takes_file; i++) {
        if (strchr(o->argv[i], '=') || str_starts(o->argv[i], "-"))
            continue;
        char *named = str_fmt("filename=%s", o->argv[i]);
        free(o->argv[i]);
        o->argv[i] = named;
        return;
    }
}

static int finish(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fputs("Error: the output could not be written\n", stderr);
        return 1;
    }
    return status;
}

static int run(struct options *o)
{
    if (o->version) {
        (void)puts("serai " SERAI_VERSION " (thin CLI protocol 0.2)");
        return finish(0);
    }
    if (o->argc && str_eq(o->argv[0], "image-build"))
        return image_build(o->argc, o->argv);
    int verified = o->argc && str_eq(o->argv[0], "audit-verify")
                       ? audit_verify(o->argc, o->argv)
                       : -1;
    if (verified >= 0)
        return finish(verified);
    name_file(o);
    if (remote_catch_signals() < 0) {
        (void)fprintf(stderr, "Error: signals: %m\n");
        return 1;
    }
    struct remote *r = remote_new(o, false);
    struct xe_env env = remote_env(r);
    int status = xe_run(&env, o->argc, (const char *const *)o->argv);
    remote_free(r);
    return finish(status);
}

/* serai __complete WORD...: what may stand for the last word. The words before it may be options. */
static int complete(int argc, const char *const *words, const char *extra, const char *home)
{
    AUTO(options_done) struct options o = { 0 };
    AUTO(err_done) struct err ignored = { 0 };
    if (argc == 0 || options_parse(argc - 1, words, extra, home, &o, &ignored) < 0)
        return 1;
    o.argv = mem_resize(o.argv, (size_t)o.argc + 1, sizeof(*o.argv));
    o.argv[o.argc++] = str_dup(words[argc - 1]);
    if (o.server && (!o.username || !o.password) && o.argc > 1)
        return 1; /* nobody may be asked now */
    struct remote *r = remote_new(&o, true);
    struct xe_env env = remote_env(r);
    int status = xe_complete(&env, o.argc, (const char *const *)o.argv);
    remote_free(r);
    return finish(status);
}

int main(int argc, char **argv)
{
    AUTO(options_done) struct options o = { 0 };
    AUTO(err_done) struct err err = { 0 };
    const char *extra = getenv("XE_EXTRA_ARGS"), *home = getenv("HOME");
    const char *const *words = (const char *const *)argv + 1;
    if (argc > 1 && str_eq(words[0], "__complete"))
        return complete(argc - 2, words + 1, extra, home);
    if (options_parse(argc - 1, words, extra, home, &o, &err) < 0) {
        (void)fprintf(stderr, "%s\nFor usage run: 'xe help'\n",
                      err.detail ? err.detail : "Bad options");
        return 1;
    }
    for (int i = 1; i + 1 < argc; i++) { /* not for the list of processes */
        if (str_eq(argv[i], "-pw"))
            explicit_bzero(argv[i + 1], strlen(argv[i + 1]));
    }
    return run(&o);
}
