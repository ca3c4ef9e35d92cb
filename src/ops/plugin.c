/* SPDX-License-Identifier: Apache-2.0 */
/* host.call_plugin: programs that the owner of this host has put into STATE/plugins. A plug-in is called as XenServer's
 * are: its one argument is a methodCall of the function with the session and the arguments, its output a methodResponse.
 * Since other users of the machine see arguments, the session in there is null; the same call with the session is
 * what the plug-in can read from standard input. Any thread; blocks until the plug-in ends. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "base/proc.h"
#include "ops/call.h"
#include "ops/host_ctx.h"
#include "wire/rpc.h"

#define OUTPUT_MAX ((size_t)1024 * 1024)
#define LIMIT_US   (30 * 60 * US_PER_SEC)

/* A file that is the owner's alone to change. */
static bool trusted(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode)
           && (st.st_uid == geteuid() || st.st_uid == 0)
           && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 && (st.st_mode & S_IXUSR);
}

static char *plugin_path(const char *name, struct err *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789._-";
    bool good = name[0] && name[0] != '.' && !name[strspn(name, plain)];
    AUTO(free_str) char *path = str_fmt("%s/plugins/%s", host_ctx.state_dir, name);
    if (good && trusted(path))
        return TAKE(path);
    (void)err_set(err, ERR_XENAPI_MISSING_PLUGIN, name);
    (void)err_detail(err, "%s/plugins has no such program that only its owner may change",
                     host_ctx.state_dir);
    return NULL;
}

static char *method_call(const struct host_call_plugin_args *a, const struct ref *session)
{
    const struct ty *map = schema_classes[CLASS_HOST].fields[F_HOST_OTHER_CONFIG].ty;
    struct buf b = BUF_INIT(0);
    buf_add_str(&b, "<?xml version='1.0'?><methodCall><methodName>");
    enc_xml_text(&b, a->fn);
    buf_add_str(&b, "</methodName><params><param>");
    enc_ref(&b, ENC_XML, session);
    buf_add_str(&b, "</param><param>");
    enc_value(&b, ENC_XML, map, &a->args);
    buf_add_str(&b, "</param></params></methodCall>");
    return buf_take(&b);
}

static int failure(struct err *err, const char *why, const struct buf *out,
                   const struct buf *errout)
{
    return err_set(err, ERR_XENAPI_PLUGIN_FAILURE, why, buf_str(out), buf_str(errout));
}

/* {Status, Value} or {Status, ErrorDescription}: the plug-in's own error is the call's. */
static int read_answer(const struct buf *out, const struct buf *errout, const char **result,
                       struct err *err)
{
    json_t *answer = xmlrpc_parse_response(buf_str(out), out->len, NULL);
    const char *status = json_string_value(json_object_get(answer, "Status"));
    const json_t *value = json_object_get(answer, "Value"),
                 *why = json_object_get(answer, "ErrorDescription");
    const char *code = rpc_code(json_string_value(json_array_get(why, 0)));
    const char *params[ERR_PARAMS_MAX];
    size_t n = 0;
    int rc = 0;
    for (; n < ERR_PARAMS_MAX && n + 1 < json_array_size(why); n++) {
        const char *p = json_string_value(json_array_get(why, n + 1));
        params[n] = p ? p : "";
    }
    if (str_eq(status, "Success") && json_is_string(value))
        str_put(result, json_string_value(value));
    else if (code)
        rc = err_set_(err, code, params, n);
    else
        rc = failure(err, "the output is no answer", out, errout);
    json_decref(answer);
    return rc;
}

int op_host_call_plugin(struct call *call, const struct host_call_plugin_args *a,
                        const char **result, struct err *err)
{
    const struct ref nobody = REF_NULL;
    AUTO(free_str) char *path = plugin_path(a->plugin, err);
    if (!path)
        return -1;
    AUTO(free_str) char *shown = method_call(a, &nobody);
    AUTO(free_str) char *input = method_call(a, &call->session.ref);
    AUTO(buf_done)
    struct buf out = BUF_INIT(OUTPUT_MAX), errout = BUF_INIT(OUTPUT_MAX);
    struct deadline d = deadline_sooner(&call->deadline, LIMIT_US);
    const char *const argv[] = { path, shown, NULL };
    int status = 0;
    if (proc_run(argv, input, &out, &errout, &d, &status) < 0) {
        char task[REF_TEXT_SIZE];
        ref_text(&call->task, task);
        if (call_cancelled(call))
            return err_set(err, ERR_TASK_CANCELLED, task);
        (void)failure(err, "it cannot be run", &out, &errout);
        return err_detail(err, "%s: %m", path);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return failure(err, "non-zero exit", &out, &errout);
    return read_answer(&out, &errout, result, err);
}
