/* SPDX-License-Identifier: Apache-2.0 */
#include "xe/xe.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"
#include "model/schema.h"
#include "xe/mock.h"
#include "xe/tables.h"
#include "xe/xe_int.h"

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): uuids inside words come from macros */
#define U(n) #n "-0000-4000-8000-000000000000"
#define R(n) "OpaqueRef:" U(n)
#define WEB  \
    "000000" \
    "10-0000-4000-8000-000000000000"
#define DB   \
    "000000" \
    "11-0000-4000-8000-000000000000"

/* What a line prints, its exit status and its calls, for golden files. */
static void transcript(struct buf *b, struct mock *m, const char *line)
{
    int status = mock_run(m, line);
    const char *code = strstr(mock_errout(m),
                              "Error code: "); /* sentences before it are the schema's */
    buf_addf(b, "$ xe %s\n%s%s%s", line, mock_calls(m), mock_out(m),
             code ? code : mock_errout(m));
    if (status)
        buf_addf(b, "exit %d\n", status);
}

static void golden(const char *name, const char *const *lines, size_t n)
{
    struct mock *m = mock_new();
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    for (size_t i = 0; i < n; i++)
        transcript(&b, m, lines[i]);
    mock_free(m);
    CHECK_GOLDEN(name, buf_str(&b));
}

#define GOLDEN(name, ...)                                    \
    do {                                                     \
        static const char *const lines_[] = { __VA_ARGS__ }; \
        golden(name, lines_, ARRAY_SIZE(lines_));            \
    } while (0)

TEST(lists)
{
    GOLDEN("xe/lists.txt", "vm-list", "template-list", "snapshot-list", "host-list",
           "sr-list", "vdi-list", "vbd-list", "vif-list", "network-list", "pool-list",
           "pbd-list", "console-list", "task-list", "pif-list");
}

TEST(filters)
{
    GOLDEN("xe/filters.txt",
           "vm-list power-state=running is-control-domain=false params=uuid --minimal",
           "vm-list name-label=web params=name-label,power-state",
           "vm-list params=name-label minimal=true", "vm-list tags:contains=prod --minimal",
           "vm-list other-config:owner=me --minimal",
           "vm-list other-config:owner=you --minimal",
           "vm-list resident-on=" U(00000002) " --minimal",
           "sr-list params=name-label,allowed-operations,tags,other-config",
           "sr-list type=iso params=host,name-label",
           "sr-list params=other-config:k --minimal", "vm-list nonsense=1",
           "vm-list params=nonsense",
           "vbd-list vm-name-label=web type=CD params=vdi-name-label,vdi-uuid,attachable",
           "vm-list uuid=" WEB " params=os-version,networks,possible-hosts,snapshot-of",
           "vm-list uuid=" DB " params=os-version,start-time,VCPUs-utilisation,numa-nodes");
}

TEST(params)
{
    GOLDEN(
        "xe/params.txt", "vm-param-list uuid=" WEB, "sr-param-list uuid=" U(00000003),
        "vm-param-get uuid=" WEB " param-name=power-state",
        "vm-param-get uuid=" WEB " param-name=platform",
        "vm-param-get uuid=" WEB " param-name=platform param-key=acpi",
        "vm-param-get uuid=" WEB " param-name=platform param-key=none",
        "vm-param-get uuid=" WEB " param-name=allowed-VBD-devices",
        "vm-param-get uuid=" WEB, "vm-param-get uuid=none param-name=uuid",
        "vm-param-get param-name=uuid",
        "vm-param-set uuid=" WEB
        " name-label=new other-config:a=b=c VCPUs-max=4 HVM-shadow-multiplier=2.5",
        "vm-param-set uuid=" WEB
        " memory-static-max=2GiB affinity=" U(00000002) " actions-after-crash=Destroy",
        "vm-param-set uuid=" WEB " affinity=",
        "vm-param-set uuid=" WEB " is-a-template=maybe",
        "vm-param-set uuid=" WEB " power-state=running",
        "vm-param-set uuid=" WEB " name-label=x nonsense=1",
        "vm-param-set uuid=" WEB " actions-after-crash=explode",
        "vm-param-add uuid=" WEB " param-name=other-config a=1 b=2",
        "vm-param-add uuid=" WEB " param-name=tags param-key=x",
        "vm-param-add uuid=" WEB " param-name=other-config",
        "vm-param-add uuid=" WEB " param-name=name-label a=1",
        "vm-param-remove uuid=" WEB " param-name=tags param-key=prod",
        "vm-param-remove uuid=" WEB " param-name=other-config param-key=owner",
        "vm-param-clear uuid=" WEB " param-name=other-config",
        "vm-param-clear uuid=" WEB " param-name=tags",
        "vm-param-clear uuid=" WEB " param-name=affinity",
        "vm-param-clear uuid=" WEB " param-name=uuid",
        "network-param-add uuid=" U(00000060) " param-name=purpose param-key=insecure_nbd",
        "pool-param-set uuid=" U(00000001) " default-SR=" U(00000006));
}

TEST(a_refused_getter_hides_no_other_field)
{
    struct mock *m = mock_new();
    mock_refuse(m, "pool.get_license_state", "NOT_IMPLEMENTED", "pool.get_license_state",
                NULL);
    CHECK_INT(mock_run(m, "pool-param-list uuid=" U(00000001)), 0);
    CHECK(strstr(mock_out(m), "license-state ( RO): <unknown>\n")
          && strstr(mock_out(m), "): home\n"));
    CHECK_INT(mock_run(m, "pool-param-get uuid=" U(00000001) " param-name=license-state"),
              1);
    mock_free(m);
}

TEST(json)
{
    struct mock *m = mock_new();
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    mock_env(m)->json = true;
    transcript(&b, m,
               "vm-list power-state=running "
               "params=uuid,VCPUs-max,is-a-template,tags,platform,affinity");
    transcript(&b, m, "vm-param-get uuid=" WEB " param-name=VCPUs-max");
    transcript(&b, m, "vm-list name-label=nobody");
    transcript(&b, m, "vm-disk-list uuid=" WEB);
    mock_free(m);
    CHECK_GOLDEN("xe/json.txt", buf_str(&b));
}

/* A row calls, a function does, or people are told why not: one of them. */
TEST(every_command_is_served_or_says_why_not)
{
    struct mock *m = mock_new();
    size_t served = 0, refused = 0, of_facts = 0;
    for (size_t i = 0; i < xe_n_commands; i++) {
        const struct xe_command *c = &xe_commands[i];
        int ways = (c->call || xe_function(c->name)) + (c->why_not != NULL);
        if (ways != 1)
            test_fail(__FILE__, __LINE__, "%s: %d ways", c->name, ways);
        of_facts += !c->own;
        served += c->why_not == NULL && !c->own;
        if (!c->why_not)
            continue;
        refused++;
        AUTO(free_str)
        char *want = str_fmt("Command not served: %s: %s\n", c->name, c->why_not);
        AUTO(free_str) char *help = str_fmt("help %s", c->name);
        AUTO(free_str)
        char *helped = str_fmt("This command is not served: %s.\n", c->why_not);
        CHECK(strlen(c->why_not) > 10);
        CHECK_INT(mock_run(m, c->name), 1);
        CHECK_STR(mock_errout(m), want);
        CHECK_STR(mock_out(m), "");
        CHECK_STR(mock_calls(m), "");
        CHECK_INT(mock_run(m, help), 0);
        CHECK(strstr(mock_out(m), helped) != NULL);
    }
    printf("# %zu of %zu commands served, %zu say why not\n", served, of_facts, refused);
    CHECK(of_facts >= 382);
    CHECK(served >= 320);
    CHECK_INT(mock_run(m, "caller-list"), 1);
    CHECK_STR(mock_errout(m), "Command not served: caller-list: this version of the API "
                              "has no such objects\n");
    mock_free(m);
}

TEST(rows)
{
    struct mock *m = mock_new();
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    mock_answer(m, "VM.clone", "\"" R(00000014) "\"");
    mock_answer(m, "VDI.create", "\"" R(00000030) "\"");
    mock_answer(m, "VBD.create", "\"" R(00000020) "\"");
    mock_answer(m, "SR.create", "\"" R(00000003) "\"");
    mock_answer(m, "host.get_data_sources",
                "[{\"name_label\":\"cpu0\",\"enabled\":true},{\"name_label\":\"cpu1\"}]");
    mock_answer(m, "pool.certificate_list", "[\"a\",\"b,c\"]");
    static const char *const lines[] = {
        "vm-pause uuid=" WEB,
        "vm-shutdown vm=web",
        "vm-shutdown vm=web power-state=running",
        "vm-shutdown vm=web power-state=running --force",
        "vm-shutdown vm=nobody",
        "vm-shutdown",
        "vm-pause power-state=running",
        "vm-pause name-label=web --multiple",
        "vm-pause power-state=running nonsense=1",
        "vm-clone uuid=" DB " new-name-label=copy%20of%20db new-name-description=x",
        "vm-clone vm=debian12 new-name-label=y",
        "vm-clone vm=debian12",
        "vm-pause vm=debian12",
        "vdi-create sr-uuid=" U(
            00000003) " name-label=d virtual-size=8GiB sm-config:a=b type=System",
        "vdi-create sr-uuid=" U(00000003) " name-label=d virtual-size=big",
        "vdi-create sr-uuid=" U(00000003) " name-label=d",
        "vbd-create vm-uuid=" WEB " device=1 type=cd mode=ro",
        "vbd-create vm-uuid=" WEB " device=1 vdi-uuid=" U(00000030) " bootable=true",
        "vbd-unplug uuid=" U(00000020) " --force",
        "vbd-unplug uuid=" U(00000020) " timeout=3",
        "sr-create name-label=s type=dir device-config:location=/x shared=true "
        "physical-size=1KiB",
        "sr-scan uuid=" U(00000003) " nonsense=1",
        "sr-scan uuid=" U(00000009),
        "host-disable",
        "host-data-source-list host=alpha",
        "pool-certificate-list",
        "pool-certificate-list --minimal",
        "pool-certificate-install filename=/tmp/dir/ca.pem",
        "pif-reconfigure-ip uuid=" U(00000061) " mode=dhcp",
        "host-apply-edition edition=free",
        "host-refresh-server-certificate host=alpha",
        "host-reset-server-certificate",
        "host-reset-server-certificate host=nobody",
        "vm-memory-balloon uuid=" WEB " target=1GiB",
        "snapshot-reset-powerstate snapshot-uuid=" U(00000015) " --force",
        "snapshot-reset-powerstate snapshot-uuid=" U(00000015),
        "vm-reset-powerstate uuid=" WEB " force=false",
        "vm-reset-powerstate uuid=" WEB " dry-run=true",
        "vm-reset-powerstate uuid=" WEB " force=true",
        "pool-restore-database file-name=/a/b",
        "host-emergency-ha-disable",
        "host-emergency-ha-disable soft=true --force",
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        transcript(&b, m, lines[i]);
    mock_free(m);
    CHECK_GOLDEN("xe/rows.txt", buf_str(&b));
}

TEST(hosts_and_reports)
{
    struct mock *m = mock_new();
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    mock_answer(m, "pool.ha_compute_vm_failover_plan",
                "{\"" R(00000010) "\":{\"host\":\"x\"}}");
    mock_answer(m, "pool.ha_compute_hypothetical_max_host_failures_to_tolerate", "0");
    mock_answer(m, "VM.get_bios_strings", "{\"bios-vendor\":\"Xen\"}");
    static const char *const lines[] = {
        "host-get-cpu-features",
        "pool-get-cpu-features",
        "message-destroy-all before=20260215T00:00:00Z priority=2",
        "message-destroy-all after=20260115T00:00:00Z",
        "message-destroy-all",
        "message-destroy-all before=yesterday",
        "pool-ha-compute-hypothetical-max-host-failures-to-tolerate vm-uuid=" WEB,
        "pool-ha-compute-vm-failover-plan host-uuids=" U(00000002),
        "pool-install-trusted-certificate filename=/tmp/dir/ca.pem ca=true",
        "pool-install-trusted-certificate filename=/tmp/dir/ca.pem ca=false",
        "host-bugreport-upload host=alpha url=https://x/ http_proxy=p",
        "diagnostic-vm-status uuid=" WEB,
        "vm-crashdump-list uuid=" WEB,
        "vm-is-bios-customized uuid=" WEB,
        "vm-recover uuid=" WEB " force=true",
        "host-get-system-status host=alpha filename=f output=tar entries=a,b-c",
        "host-get-system-status host=alpha filename=f entries=a&b",
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        transcript(&b, m, lines[i]);
    mock_free(m);
    CHECK_GOLDEN("xe/hosts.txt", buf_str(&b));
}

TEST(machines)
{
    struct mock *m = mock_new();
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    mock_answer(m, "VM.clone", "\"" R(00000012) "\"");
    mock_answer(m, "VM.copy", "\"" R(00000014) "\"");
    mock_answer(m, "host.get_vms_which_prevent_evacuation",
                "{\"" R(00000010) "\":[\"VM_REQUIRES_SR\",\"x\"]}");
    mock_answer(m, "session.get_all_subject_identifiers", "[\"u1\",\"u2\"]");
    mock_answer(m, "host.call_plugin", "\"plugin says\"");
    mock_answer(m, "VM.import", "[\"" R(00000010) "\"]");
    static const char *const lines[] = {
        "vm-start uuid=" DB,
        "vm-start uuid=" DB " on=alpha paused=true",
        "vm-start uuid=" DB " on=beta",
        "vm-resume uuid=" DB " --force",
        "vm-install template=debian12 new-name-label=new",
        "vm-install template=debian12 new-name-label=new sr-name-label=ISOs",
        "vm-install template=web new-name-label=new",
        "vm-install template=nothing new-name-label=new",
        "vm-install new-name-label=new",
        "vm-uninstall uuid=" WEB,
        "vm-uninstall uuid=" WEB " --force",
        "template-uninstall template-uuid=" WEB " force=true",
        "snapshot-uninstall uuid=" U(00000015) " force=true",
        "vm-migrate uuid=" WEB " host=alpha live=true",
        "vm-migrate uuid=" WEB " remote-master=x",
        "vm-disk-list uuid=" WEB,
        "vm-disk-list uuid=" WEB " vbd-params= --minimal",
        "vm-cd-list uuid=" WEB,
        "vm-vif-list vm=" WEB,
        "vm-cd-insert uuid=" WEB " cd-name=debian.iso",
        "vm-cd-insert uuid=" WEB " cd-name=none.iso",
        "vm-cd-insert uuid=" DB " cd-name=debian.iso",
        "vm-cd-eject uuid=" WEB,
        "cd-list",
        "vm-disk-remove uuid=" DB " device=0",
        "vm-disk-remove uuid=" DB " device=7",
        "message-create name=x priority=5 body=y vm-uuid=none",
        "host-cpu-info",
        "host-is-in-emergency-mode",
        "host-get-vms-which-prevent-evacuation uuid=" U(00000002),
        "vm-call-host-plugin vm-uuid=" WEB " plugin=p fn=f args:a=b",
        "vm-call-host-plugin vm-uuid=" DB " plugin=p fn=f",
        "session-subject-identifier-logout-all",
        "vdi-import uuid=" U(00000030) " filename=/a/b.raw",
        "vdi-export uuid=" U(00000030) " filename=/a/b.vhd format=vhd base=" U(00000031),
        "vdi-export uuid=" U(00000030) " filename=/a/b.vhd format=a&b",
        "vm-export uuid=" DB " filename=/a/b.xva compress=zstd include-snapshots=false",
        "vm-import filename=/a/b.xva sr-uuid=" U(00000003),
        "vm-import filename=/a/b.xva url=http://x",
        "vm-import url=http://x/y.xva sr-uuid=" U(00000003) " preserve=true",
        "vm-import url=http://x/y.xva --force",
        "vm-import url=http://x/y.xva vdi:a=b",
        "vm-import",
        "console uuid=" WEB,
        "vm-console uuid=" DB,
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        transcript(&b, m, lines[i]);
    mock_answer(m, "VDI.create", "\"" R(00000030) "\"");
    mock_answer(m, "VM.create", "\"" R(00000012) "\"");
    mock_answer(m, "VBD.create", "\"" R(00000020) "\"");
    mock_answer(m, "VIF.create", "\"" R(00000025) "\"");
    transcript(&b, m,
               "template-import filename=/a/disk.raw name-label=debian12 memory=512MiB");
    transcript(
        &b, m,
        "template-import kernel=vmlinuz ramdisk=initrd args=console=ttyS0 name-label=tiny");
    transcript(&b, m, "template-import name-label=tiny");
    transcript(&b, m,
               "vif-create vm-uuid=" WEB
               " network-uuid=" U(00000060) " device=1 mac=random");
    mock_refuse(m, "VIF.create", "DEVICE_ALREADY_EXISTS", "1", NULL);
    transcript(&b, m, "template-import filename=/a/disk.raw name-label=debian12");
    transcript(&b, m, "vm-disk-add uuid=" DB " disk-size=1GiB device=1");
    mock_free(m);
    CHECK_GOLDEN("xe/machines.txt", buf_str(&b));
}

TEST(uninstall_asks)
{
    struct mock *m = mock_new();
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    mock_say(m, "no");
    transcript(&b, m, "vm-uninstall uuid=" DB);
    CHECK_STR(mock_calls(m), "");
    mock_say(m, "yes");
    transcript(&b, m, "vm-uninstall uuid=" DB);
    CHECK(strstr(mock_calls(m), "VM.destroy") && strstr(mock_calls(m), "VDI.destroy"));
    mock_free(m);
    CHECK_GOLDEN("xe/uninstall.txt", buf_str(&b));
}

TEST(event_wait_returns_at_a_match)
{
    struct mock *m = mock_new();
    mock_answer(m, "event.from",
                "{\"token\":\"1,1\",\"events\":[{\"class\":\"vm\",\"ref\":\"OpaqueRef:1\","
                "\"snapshot\":"
                "{\"power_state\":\"Halted\"}},{\"class\":\"vm\",\"ref\":\"OpaqueRef:2\","
                "\"operation\":\"del\"},"
                "{\"class\":\"vm\",\"ref\":\"OpaqueRef:1\",\"snapshot\":{\"power_state\":"
                "\"Running\"}}]}");
    CHECK_INT(mock_run(m, "event-wait class=vm power-state=running"), 0);
    CHECK_STR(mock_calls(m), "event.from [[\"VM\"], \"\", 30.0]\n");
    CHECK_INT(mock_run(m, "event-wait class=nonsense"), 1);
    CHECK_INT(mock_run(m, "event-wait class=vm nonsense=1"), 1);
    mock_free(m);
}

TEST(errors)
{
    struct mock *m = mock_new();
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    mock_refuse(m, "VM.pause", "VM_IS_TEMPLATE", R(00000010), NULL);
    mock_refuse(m, "SR.scan", "SR_BACKEND_FAILURE_47", "", "The SR is not available");
    mock_refuse(m, "VM.suspend", "SESSION_AUTHENTICATION_FAILED", "root", "no");
    static const char *const lines[] = {
        "vm-pause uuid=" WEB,   "sr-scan uuid=" U(00000003),
        "vm-suspend uuid=" WEB, "no-such-command",
        "vm-list oops",         "help vm-clone",
        "help nonsense",        "host-all-editions nonsense=1",
        "diagnostic-gc-stats"
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        transcript(&b, m, lines[i]);
    CHECK_INT(mock_run(m, "vm-pause uuid=" WEB), 1);
    CHECK(strstr(mock_errout(m), "vm: " WEB " (web)\n"));
    const char *sentence = schema_error("VM_IS_TEMPLATE")->sentence;
    CHECK(strncmp(mock_errout(m), sentence, strcspn(sentence, "{")) == 0);
    mock_free(m);
    CHECK_GOLDEN("xe/errors.txt", buf_str(&b));
    struct err err = { 0 };
    (void)!err_set(&err, "HANDLE_INVALID", "VM", "OpaqueRef:x");
    AUTO(free_str) char *text = xe_error_text(&err);
    CHECK(strstr(text, "Error code: HANDLE_INVALID\nError parameters: VM, OpaqueRef:x\n"));
    err_done(&err);
}

/* Every kind over a record with the schema's defaults: nothing is unknown to the API, nothing crashes. */
TEST(every_kind)
{
    struct mock *m = mock_new();
    size_t served = 0;
    for (size_t i = 0; i < xe_n_kinds; i++) {
        const struct xe_kind *k = &xe_kinds[i];
        CHECK(i == 0 || strcmp(xe_kinds[i - 1].name, k->name) < 0);
        AUTO(free_str) char *list = str_fmt("%s-list params=all", k->name);
        AUTO(free_str) char *shown = str_fmt("%s-list", k->name);
        CHECK_INT(mock_run(m, list), k->cls ? 0 : 1);
        CHECK_INT(mock_run(m, shown), k->cls ? 0 : 1);
        if (!k->cls)
            continue;
        CHECK(schema_class(k->cls) != NULL);
        AUTO(free_str)
        char *one = str_fmt("%s-param-list uuid=99999999-0000-4000-8000-000000000000",
                            k->name);
        if (mock_run(m, one) == 0)
            CHECK(strstr(mock_out(m), "uuid ( RO)") != NULL);
        served++;
    }
    printf("# %zu of %zu kinds served\n", served, xe_n_kinds);
    CHECK(served >= 46);
    mock_free(m);
}

TEST(functions_have_rows)
{
    const struct xe_function *const tables[] = { xe_vm_functions,   xe_disk_functions,
                                                 xe_misc_functions, xe_file_functions,
                                                 xe_past_functions, xe_more_functions };
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct xe_function *f = tables[i]; f->name; f++) {
            const struct xe_command *c = xe_command(f->name);
            CHECK(c && !c->call);
        }
    }
}

TEST(completion)
{
    struct mock *m = mock_new();
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    static const char *const lines[] = {
        "vm-par",
        "vm-clone ",
        "vm-clone vm=",
        "vm-start uuid=000000",
        "vm-list power-state=",
        "vm-list params=name-label,pow",
        "vm-param-get uuid=" WEB " param-name=VCPUs",
        "vbd-plug uuid=",
        "vm-install template=",
        "sr-param-set uuid=x ",
        "snapshot-revert snapshot-uuid=",
        "nonsense x",
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        CHECK_INT(mock_complete(m, lines[i]), 0);
        buf_addf(&b, "$ %s\n%s", lines[i], mock_out(m));
    }
    mock_free(m);
    CHECK_GOLDEN("xe/completion.txt", buf_str(&b));
}

/* NOLINTEND(bugprone-suspicious-missing-comma) */
