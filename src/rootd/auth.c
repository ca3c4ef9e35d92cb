/* SPDX-License-Identifier: Apache-2.0 */
/* Asking PAM about a user's password, service "serai". Runs in the process made for the request, which PAM's modules may
 * leave in any state and which is killed when they take too long. Nothing of the password is logged; all our copies
 * are wiped. */
#include <errno.h>
#include <security/pam_appl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rootd/rootd.h"

#define SERVICE     "serai"
#define FAIL_US     (2 * US_PER_SEC) /* every refusal takes as long, whatever it is for */
#define PROMPTS_MAX 8

static void free_answers(struct pam_response *answers, int n)
{
    for (int i = 0; i < n; i++) {
        if (answers[i].resp) {
            explicit_bzero(answers[i].resp, strlen(answers[i].resp));
            free(answers[i].resp);
        }
    }
    free(answers);
}

/* The password for what is asked without echo, once; who asks for more is refused. */
static int converse(int n, const struct pam_message **msg, struct pam_response **resp_out,
                    void *arg)
{
    struct pam_response *answers;
    int asked = 0;

    if (n <= 0 || n > PROMPTS_MAX)
        return PAM_CONV_ERR;
    answers = mem_array((size_t)n, sizeof(*answers));
    for (int i = 0; i < n; i++) {
        int style = msg[i]->msg_style;

        if (style == PAM_PROMPT_ECHO_OFF && asked++ == 0) {
            answers[i].resp = str_dup(arg);
        } else if (style != PAM_TEXT_INFO && style != PAM_ERROR_MSG) {
            free_answers(answers, n);
            return PAM_CONV_ERR;
        }
    }
    *resp_out = answers;
    return PAM_SUCCESS;
}

/* PAM's own random delay would tell failures apart; ours is fixed. */
static void no_delay(int status UNUSED, unsigned usec UNUSED, void *arg UNUSED)
{
}

static int ask(const char *user, const char *password, const char *from)
{
    struct pam_conv conv = { converse, (void *)(uintptr_t)password };
    void (*delay)(int, unsigned, void *) = no_delay;
    pam_handle_t *h = NULL;
    int rc = pam_start(SERVICE, user, &conv, &h);

    if (rc != PAM_SUCCESS)
        return rc;
    (void)pam_set_item(h, PAM_FAIL_DELAY, (const void *)(uintptr_t)delay);
    if (from)
        (void)pam_set_item(h, PAM_RHOST, from);
    rc = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    if (rc == PAM_SUCCESS)
        rc = pam_acct_mgmt(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    (void)pam_end(h, rc);
    return rc;
}

int auth_pam(const struct config *c UNUSED, const struct request *r, struct buf *out,
             int *fd_out UNUSED)
{
    const char *password = request_text(r, "password");
    struct deadline until = deadline_in(FAIL_US);
    int rc = ask(request_text(r, "user"), password, request_text(r, "from"));

    explicit_bzero((void *)(uintptr_t)password, strlen(password));
    if (rc != PAM_SUCCESS)
        IGNORE(deadline_poll(&until, -1, 0)); /* waits */
    fields_add(out, "answer", rc == PAM_SUCCESS ? "ok" : "refused");
    return 0;
}
