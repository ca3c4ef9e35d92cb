/* SPDX-License-Identifier: Apache-2.0 */
/* VM.call_plugin: what a client may ask of the agent inside a guest. The one plug-in is "guest-agent-operation"; its functions
 * are rows here. A command in the guest runs with all rights there, so it is for those who may do anything with
 * the VM. One call at a time (the operation's entry), and not more than one a second: each keeps a guest's agent from telling
 * about the guest. Any thread; blocks until the guest has answered. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "model/rbac.h"
#include "ops/call.h"
#include "ops/host_ctx.h"
#include "ops/vm.h"

#define PLUGIN        "guest-agent-operation"
#define INTERVAL_US   US_PER_SEC
#define ANSWER_US     (5 * US_PER_SEC)
#define COMMAND_US    (60 * US_PER_SEC) /* unless args:timeout says otherwise */
#define COMMAND_MAX_S 3600
#define LOOK_US       (100 * US_PER_MS)
#define ARGS_MAX      32
#define INPUT_MAX     ((size_t)16 << 10)
#define REMEMBERED    64

static struct mutex plugin_lock = MUTEX_INIT;

/* Which VMs were called last, in a ring: enough to bound the rate of any of them, as each call takes longer than that. */
static struct {
    char uuid[UUID_TEXT_SIZE];
    int64_t at_us;
} last[REMEMBERED] GUARDED_BY(plugin_lock);

static size_t next GUARDED_BY(plugin_lock);

static int not_so_often(const char *uuid, const struct ref *vm, struct err *err)
{
    int64_t now = clock_now_us(), wait = 0;
    mutex_lock(&plugin_lock);
    for (size_t i = 0; i < REMEMBERED; i++)
        if (str_eq(last[i].uuid, uuid))
            wait = MAX(wait, last[i].at_us + INTERVAL_US - now);
    if (wait <= 0) {
        memcpy(last[next].uuid, uuid, UUID_TEXT_SIZE);
        last[next].at_us = now;
        next = (next + 1) % REMEMBERED;
    }
    mutex_unlock(&plugin_lock);
    if (wait <= 0)
        return 0;
    char text[REF_TEXT_SIZE];
    ref_text(vm, text);
    AUTO(free_str) char *every = str_fmt("%.1f", (double)INTERVAL_US / US_PER_SEC);
    AUTO(free_str) char *left = str_fmt("%.1f", (double)wait / US_PER_SEC);
    return err_set(err, ERR_VM_CALL_PLUGIN_RATE_LIMIT, text, every, left);
}

/* ---- the agent ----------------------------------------------------------------------------------------- */

static int agent_refused(const json_t *error, struct err *err)
{
    const char *why = json_string_value(json_object_get(error, "desc"));
    AUTO(free_str) char *text = str_dupn(why ? why : "", why ? strnlen(why, 512) : 0);
    return err_set(err, ERR_XENAPI_PLUGIN_FAILURE, "the guest agent refused", "",
                   utf8_valid(text, strlen(text)) ? text : "");
}

/* *ret_out: given, what it returned. command: taken. */
static int ask(const char *uuid, json_t *command, json_t **ret_out,
               const struct deadline *until, struct err *err)
{
    struct deadline d = deadline_sooner(until, ANSWER_US);
    char *text = command ? json_dumps(command, JSON_COMPACT) : NULL, *reply = NULL;
    json_decref(command);
    if (!text)
        return err_set(err, ERR_INVALID_VALUE, "args", "not UTF-8");
    int rc = host_ctx.machine->agent(uuid, text, &reply, &d, err);
    free(text);
    if (rc)
        return -1;
    json_t *o = json_loads(reply, 0, NULL);
    free_str(&reply);
    json_t *ret = json_incref(json_object_get(o, "return"));
    rc = ret ? 0 : agent_refused(json_object_get(o, "error"), err);
    json_decref(o);
    *ret_out = ret;
    return rc;
}

static json_t *plain(const char *command)
{
    return json_pack("{ss}", "execute", command);
}

/* ---- functions ----------------------------------------------------------------------------------------- */

static const char *arg(const struct vm_call_plugin_args *a, const char *key)
{
    for (size_t i = 0; i < a->args.n; i++)
        if (str_eq(a->args.v[i].key, key))
            return a->args.v[i].val;
    return NULL;
}

static int ping(const char *uuid, const struct vm_call_plugin_args *a,
                const struct deadline *d, char **result, struct err *err)
{
    json_t *ret = NULL;
    (void)a;
    if (ask(uuid, plain("guest-ping"), &ret, d, err))
        return -1;
    json_decref(ret);
    *result = str_dup("pong");
    return 0;
}

/* Text of the guest that was sent as base64; what is not UTF-8 is shown as '?'. Given, never NULL. */
static json_t *output(const json_t *status, const char *key)
{
    const char *coded = json_string_value(json_object_get(status, key));
    size_t len = coded ? strlen(coded) : 0;
    char *text = mem_alloc(len + 4);
    int n = len % 4 == 0 && len > 0 ? EVP_DecodeBlock(
                (unsigned char *)text, (const unsigned char *)coded, (int)len)
                                    : 0;
    if (n > 0)
        n -= (coded[len - 1] == '=') + (coded[len - 2] == '=');
    n = MAX(n, 0);
    text[n] = '\0';
    if (!utf8_valid(text, (size_t)n))
        for (int i = 0; i < n; i++)
            if ((unsigned char)text[i] >= 0x80 || text[i] == '\0')
                text[i] = '?';
    json_t *o = json_stringn(text, (size_t)n);
    free_str(&text);
    return o ? o : json_string("");
}

static json_t *exec_command(const struct vm_call_plugin_args *a, struct err *err)
{
    const char *path = arg(a, "path"), *input = arg(a, "input");
    json_t *argv = json_array();
    if (!path || !path[0] || (input && strlen(input) > INPUT_MAX)) {
        json_decref(argv);
        (void)err_set(err, ERR_INVALID_VALUE, path && path[0] ? "args:input" : "args:path",
                      path && path[0] ? "longer than 16 KiB" : "a program in the guest");
        return NULL;
    }
    for (unsigned i = 0; i < ARGS_MAX; i++) {
        AUTO(free_str) char *key = str_fmt("arg%u", i);
        const char *value = arg(a, key);
        if (!value)
            break;
        json_array_append_new(argv, json_string(value));
    }
    json_t *args = json_pack("{ss so sb}", "path", path, "arg", argv, "capture-output", 1);
    if (args && input) {
        size_t n = strlen(input);
        char *coded = mem_alloc(4 * ((n + 2) / 3) + 1);
        (void)EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)input, (int)n);
        json_object_set_new(args, "input-data", json_string(coded));
        free_str(&coded);
    }
    json_t *o = args ? json_pack("{ss so}", "execute", "guest-exec", "arguments", args)
                     : NULL;
    if (!o)
        (void)err_set(err, ERR_INVALID_VALUE, "args", "not UTF-8");
    return o;
}

/* The agent tells nobody when a program has ended: it is asked. */
static int wait_exit(const char *uuid, json_int_t pid, json_t **status_out,
                     const struct deadline *d, struct err *err)
{
    for (;;) {
        json_t *status = NULL;
        struct deadline look = deadline_sooner(d, LOOK_US);
        if (ask(uuid,
                json_pack("{ss s{sI}}", "execute", "guest-exec-status", "arguments", "pid",
                          pid),
                &status, d, err))
            return -1;
        if (json_is_true(json_object_get(status, "exited"))) {
            *status_out = status;
            return 0;
        }
        json_decref(status);
        if (deadline_passed(d))
            return err_set(err, ERR_XENAPI_PLUGIN_FAILURE, "the program goes on", "",
                           "give it longer by args:timeout");
        (void)!deadline_poll(&look, -1, 0);
    }
}

static int exec(const char *uuid, const struct vm_call_plugin_args *a,
                const struct deadline *until, char **result, struct err *err)
{
    const char *timeout = arg(a, "timeout");
    int64_t seconds = COMMAND_US / US_PER_SEC;
    if (timeout && !parse_range(timeout, 1, COMMAND_MAX_S, &seconds))
        return err_set(err, ERR_INVALID_VALUE, "args:timeout", timeout);
    struct deadline d = deadline_sooner(until, seconds * US_PER_SEC);
    json_t *command = exec_command(a, err), *started = NULL, *status = NULL;
    if (!command || ask(uuid, command, &started, &d, err))
        return -1;
    json_int_t pid = json_integer_value(json_object_get(started, "pid"));
    json_decref(started);
    if (wait_exit(uuid, pid, &status, &d, err))
        return -1;
    json_t *o = json_pack("{sI so so}", "exitcode",
                          json_integer_value(json_object_get(status, "exitcode")), "stdout",
                          output(status, "out-data"), "stderr", output(status, "err-data"));
    char *text = json_dumps(o, JSON_COMPACT);
    *result = str_dup(text ? text : "{}");
    free(text);
    json_decref(o);
    json_decref(status);
    return 0;
}

static const struct function {
    const char *name;
    int (*run)(const char *uuid, const struct vm_call_plugin_args *a,
               const struct deadline *d, char **result, struct err *err);
    uint8_t roles; /* who may, beside whoever may call plug-ins at all; 0: all of those */
} functions[] = {
    { "ping", ping, 0 },
    { "exec", exec,
      ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN },
};

static const struct function *find(const struct vm_call_plugin_args *a, struct err *err)
{
    if (!str_eq(a->plugin, PLUGIN)) {
        (void)err_set(err, ERR_XENAPI_MISSING_PLUGIN, a->plugin);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
        if (str_eq(functions[i].name, a->fn))
            return &functions[i];
    (void)err_set(err, ERR_XENAPI_PLUGIN_FAILURE, "no such function", a->fn,
                  "ping or exec");
    return NULL;
}

int op_vm_call_plugin(struct call *call, const struct vm_call_plugin_args *a,
                      const char **result, struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    const struct function *f = find(a, err);
    if (!f)
        return -1;
    AUTO(free_str) char *permission = str_fmt("vm.call_plugin/fn:%s", f->name);
    if (f->roles && !rbac_allows_door(&call->session, f->roles, permission)) {
        (void)err_set(err, ERR_RBAC_PERMISSION_DENIED, permission,
                      "a command in a guest is for vm-admin");
        return -1;
    }
    if (!vm_uuid_of(&a->vm, uuid))
        return call_gone(CLASS_VM, &a->vm, err);
    db_lock();
    const struct vm_rec *vm = db_get(CLASS_VM, &a->vm);
    const struct vm_guest_metrics_rec *gm =
        vm ? db_get(CLASS_VM_GUEST_METRICS, &vm->guest_metrics) : NULL;
    bool there = gm && gm->live;
    db_unlock();
    if (!there) {
        char text[REF_TEXT_SIZE];
        ref_text(&a->vm, text);
        return err_set(err, ERR_VM_MISSING_PV_DRIVERS, text);
    }
    if (not_so_often(uuid, &a->vm, err))
        return -1;
    char *text = NULL;
    if (f->run(uuid, a, &call->deadline, &text, err))
        return vm_say_ref(err, uuid, &a->vm);
    str_give(result, text);
    return 0;
}
