/* SPDX-License-Identifier: Apache-2.0 */
/* Switching the host off or starting it again, through the system's own program, which ends services in order. */
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "rootd/rootd.h"

#define AT_MOST_US (30 * US_PER_SEC)

int power_host(const struct config *c, const struct request *r, struct buf *out,
               int *fd_out UNUSED)
{
    bool reboot = str_eq(request_text(r, "action"), "reboot");
    const char *argv[] = { c->shutdown, reboot ? "-r" : "-P", "now", NULL };
    struct deadline d = deadline_in(AT_MOST_US);
    AUTO(buf_done) struct buf said = BUF_INIT(1024);
    int status;

    if (proc_run(argv, NULL, NULL, &said, &d, &status) < 0) {
        buf_addf(out, "%s: %m", c->shutdown);
        return -1;
    }
    if (status != 0) {
        buf_addf(out, "%s: status %d: %s", c->shutdown,
                 WIFEXITED(status) ? WEXITSTATUS(status) : -1, buf_str(&said));
        return -1;
    }
    return 0;
}
