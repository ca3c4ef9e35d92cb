# SPDX-License-Identifier: Apache-2.0
"""The time machine, errors in words, and the audit log over HTTP."""
import datetime
import json
import time
import xmlrpc.client

import conftest
import wire


def now():
    """A moment between what was and what comes: the clock of the records is ours."""
    moments = []
    while len(set(moments)) < 3:
        moments.append(datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    return sorted(set(moments))[1]


def plain(record):
    """Without what is not stored."""
    volatile = {"allowed_operations", "current_operations", "memory_target", "pending_guidances", "requires_reboot"}
    return {k: v for k, v in record.items() if k not in volatile}


def test_records_of_the_past(api):
    vm = api.new_vm("first")
    uuid = api.call("VM.get_uuid", vm)
    sr = api.call("pool.get_default_SR", api.pool())
    vdi = api.call("VDI.create", {"name_label": "d", "name_description": "", "SR": sr, "virtual_size": 1 << 20,
                                  "type": "user", "sharable": False, "read_only": False, "other_config": {}})
    vbd = api.call("VBD.create", {"VM": vm, "VDI": vdi, "userdevice": "autodetect", "bootable": False, "mode": "RW",
                                  "type": "Disk", "empty": False, "other_config": {}, "qos_algorithm_type": "",
                                  "qos_algorithm_params": {}})
    record, moment = api.call("VM.get_record", vm), now()
    api.call("VM.set_name_label", vm, "second")
    api.call("VM.add_to_other_config", vm, "k", "v")
    api.call("VBD.destroy", vbd)
    later = now()
    api.call("VM.destroy", vm)
    for name in (vm, uuid, "second"):
        assert plain(api.call("serai.get_record_at", "VM", name, moment)) == plain(record), name
    past = api.call("serai.get_record_at", "vm", uuid, later)
    assert past["name_label"] == "second" and past["VBDs"] == [] and past["other_config"]["k"] == "v"
    everything = api.call("serai.get_all_records_at", "VM", moment)
    assert plain(everything[vm]) == plain(record) and record["VBDs"] == [vbd]
    assert vm not in api.call("serai.get_all_records_at", "VM", now())
    # Of what is still there, the past of this moment is the present.
    assert {r: plain(v) for r, v in api.call("serai.get_all_records_at", "network", now()).items()} == {
        r: plain(v) for r, v in api.call("network.get_all_records").items()}
    error = api.fails("serai.get_record_at", "VM", uuid, now())
    assert (error.code, error.params[0]) == ("INVALID_VALUE", "time") and "did not exist" in error.explain
    assert api.fails("serai.get_record_at", "VM", "nothing", moment).params[0] == "object"
    assert api.fails("serai.get_record_at", "VM", uuid, "yesterday").params[0] == "time"
    assert api.fails("serai.get_record_at", "session", uuid, moment).params[0] == "class"


def test_xml_says_the_same(daemon, api):
    vm = api.new_vm("in xml")
    moment = now()
    server = xmlrpc.client.ServerProxy(daemon.http, allow_none=True)
    session = server.session.login_with_password("root", conftest.PASSWORD)["Value"]
    record = server.serai.get_record_at(session, "VM", vm, moment)["Value"]
    assert record == {k: v for k, v in server.VM.get_record(session, vm)["Value"].items()} | {
        k: record[k] for k in set(record) - set(plain(record))}
    entry = server.serai.get_history(session, "VM", vm)["Value"][0]
    assert entry["name"] == "in xml" and entry["user"] == "root"
    assert server.serai.explain(session, "VM_IS_TEMPLATE", ["x"])["Value"]["sentence"]
    error = server.serai.get_history(session, "no class", "")
    assert error == {"Status": "Failure", "ErrorDescription": ["INVALID_VALUE", "class", "no class"]}


def test_history_blame_and_differences(api):
    vm = api.new_vm("h1")
    description, before = api.call("VM.get_name_description", vm), now()
    api.call("VM.set_name_label", vm, "h2")
    api.call("VM.set_name_description", vm, "text")
    task = api.call("Async.VM.clone", vm, "h3")
    assert api.wait_task(task)["status"] == "success"
    api.call("VM.set_name_label", vm, "h4")
    api.call("VM.set_name_description", vm, description)
    after = now()
    entries = api.call("serai.get_history", "VM", vm, before, after)
    assert [(e["call"], e["kind"]) for e in entries] == [
        ("VM.set_name_description", "modify"), ("VM.set_name_label", "modify"), ("VM.set_name_description", "modify"),
        ("VM.set_name_label", "modify")]
    assert entries[-1]["changes"] == {"name_label": {"old": "h1", "new": "h2"}}
    assert all(e["user"] == "root" and before < e["time"] < after and e["name"] == "h4" for e in entries)
    assert [e["change"] for e in api.call("serai.get_history", "VM", vm, before, after, 1)] == [entries[0]["change"]]
    (name,) = api.call("serai.get_blame", "VM", vm, "name_label")
    assert (name["value"], name["call"], name["change"]) == ("h4", "VM.set_name_label", entries[1]["change"])
    clone = api.call("VM.get_by_name_label", "h3")[0]
    blame = {b["field"]: b for b in api.call("serai.get_blame", "VM", clone)}
    assert blame["name_label"]["task"] == task and blame["uuid"]["call"] == "VM.clone"
    (difference,) = api.call("serai.get_differences", "VM", vm, before, after)
    assert difference["changes"] == {"name_label": {"old": "h1", "new": "h4"}}
    every = {d["ref"]: d for d in api.call("serai.get_differences", "", "", before, after)}
    assert every[clone]["kind"] == "create" and every[vm]["kind"] == "modify" and task not in every
    assert api.call("serai.get_differences", "VM", vm, after) == []
    api.call("VM.destroy", clone)
    assert clone not in {d["ref"] for d in api.call("serai.get_differences", "", "", before)}
    gone = api.call("serai.get_history", "VM", "h3")[0]
    assert (gone["kind"], gone["call"], gone["name"]) == ("destroy", "VM.destroy", "h3")


def last_change(api, vm):
    return int(api.call("serai.get_history", "VM", vm, "", "", 1)[0]["change"])


def test_undo(daemon, api):
    vm = api.new_vm("u1")
    created = int(api.call("serai.get_history", "VM", vm)[-1]["change"])
    api.call("VM.set_name_label", vm, "u2")
    change = last_change(api, vm)
    assert api.call("serai.undo", change) == ["VM.set_name_label"]
    assert api.call("VM.get_name_label", vm) == "u1"
    assert api.fails("serai.undo", change).code == "OPERATION_NOT_ALLOWED"  # has changed since
    # Of a map only the keys of that change.
    api.call("VM.set_other_config", vm, {"a": "1", "b": "2"})
    api.call("VM.set_other_config", vm, {"a": "x", "b": "2", "c": "3"})
    change = last_change(api, vm)
    api.call("VM.add_to_other_config", vm, "later", "stays")
    api.call("serai.undo", change, "other_config")
    assert api.call("VM.get_other_config", vm) == {"a": "1", "b": "2", "later": "stays"}
    # By the explicit setters, which check what they always check.
    api.call("VM.set_VCPUs_max", vm, 4)
    change = last_change(api, vm)
    api.call("VM.set_VCPUs_at_startup", vm, 4)
    before = api.call("VM.get_VCPUs_max", vm)
    api.fails("serai.undo", change)
    assert api.call("VM.get_VCPUs_max", vm) == before == 4 or before == "4"
    # What cannot be undone says why.
    error = api.fails("serai.undo", created)
    assert error.code == "OPERATION_NOT_ALLOWED" and error.params[0]
    api.call("VM.start", vm, False, False)
    error = api.fails("serai.undo", last_change(api, vm))
    assert error.code == "OPERATION_NOT_ALLOWED" and "No call sets" in error.params[0]
    api.call("VM.hard_shutdown", vm)
    assert api.fails("serai.undo", 1 << 40).params[0] == "change"
    text = b"".join(p.read_bytes() for p in (daemon.state / "audit").glob("*.log")).decode()
    assert '"call":"serai.undo"' in text


def test_secrets_are_not_in_the_past(api):
    vm = api.new_vm("quiet")
    secret = api.call("secret.create", {"value": "canary-h1", "other_config": {}})
    api.call("VM.set_xenstore_data", vm, {"vm-data/key": "canary-h2"})
    api.call("VM.add_to_other_config", vm, "password", "canary-h3")
    moment = now()
    api.call("VM.set_other_config", vm, {"password": "canary-h4", "open": "seen"})
    api.call("secret.destroy", secret)
    answers = [api.call("serai.get_history", "", ""), api.call("serai.get_history", "VM", vm),
               api.call("serai.get_record_at", "VM", vm, moment), api.call("serai.get_blame", "VM", vm),
               api.call("serai.get_differences", "", "", moment), api.call("serai.get_all_records_at", "VM", moment)]
    text = json.dumps(answers)
    assert "canary" not in text and "seen" in text
    for cls in ("secret", "session", "user"):
        assert api.fails("serai.get_history", cls, "").code == "INVALID_VALUE"
    # But what is undone is the real value.
    api.call("serai.undo", last_change(api, vm))
    assert api.call("VM.get_other_config", vm)["password"] == "canary-h3"


def test_retention(daemon, api):
    pool, vm = api.pool(), api.new_vm("forgotten")
    for i in range(60):
        api.call("VM.set_name_description", vm, str(i))
    api.call("pool.add_to_other_config", pool, "history_entries", "20")
    until = time.monotonic() + wire.LIMIT
    while len(api.call("serai.get_history", "VM", vm)) > 20:
        assert time.monotonic() < until
        time.sleep(0.1)  # the housekeeping of an idle store has no event
    error = api.fails("serai.get_record_at", "VM", vm, "2001-01-01T00:00:00Z")
    assert error.params[0] == "time" and "goes back to" in error.explain
    api.call("pool.remove_from_other_config", pool, "history_entries")


def test_errors_in_words(daemon, api):
    vm = api.new_vm("words")
    uuid = api.call("VM.get_uuid", vm)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "VM.clean_shutdown", "params": [api.session, vm]})
    with daemon.connect() as raw:
        error = raw.request("POST", "/jsonrpc", body).json()["error"]
    assert error["message"] == "VM_BAD_POWER_STATE" and error["data"][0] == vm
    assert error["command"] == "serai vm-param-get uuid=%s param-name=power-state" % uuid and error["explain"]
    for code in json.loads((conftest.ROOT / "tests/schema/xenapi.json").read_text())["errors"]:
        words = api.call("serai.explain", code, ["p1", "p2", "p3", "p4"])
        assert len(words["sentence"]) > 10 and words["sentence"] != code and "{" not in words.get("command", ""), code
    assert api.fails("serai.explain", "NO_SUCH_CODE").code == "INVALID_VALUE"


def audit_log(daemon, query="", password=conftest.PASSWORD):
    with daemon.connect() as raw:
        session = daemon.api().session
        del password
        return raw.request("GET", "/audit_log?session_id=%s%s" % (session, query))


def test_the_audit_log_over_http(daemon, api):
    vm = api.new_vm("it's named")
    uuid = api.call("VM.get_uuid", vm)
    api.fails("VM.clean_shutdown", vm)
    since = now()
    api.call("VM.set_name_label", vm, "after")
    answer = audit_log(daemon)
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain")
    lines = answer.body.decode().splitlines()
    assert any("'DENIED'" not in x and "'ALLOWED' 'ERROR:VM_BAD_POWER_STATE' 'API' 'VM.clean_shutdown'" in x for x in lines)
    assert any("'VM.clone'" in x and "'root' 'ALLOWED' 'OK' 'API'" in x for x in lines)
    lines = audit_log(daemon, "&since=" + since).body.decode().splitlines()
    changes = [x for x in lines if "session." not in x and "http/" not in x]
    assert len(changes) == 1
    assert "'VM.set_name_label' (('self' 'it\\'s named' '%s' '') ('value' 'after' '' ''))" % uuid in changes[0]
    raw = audit_log(daemon, "&format=json").body
    files = b"".join(p.read_bytes() for p in sorted((daemon.state / "audit").glob("*.log")))
    assert files.startswith(raw) and len(raw) > 1000
    assert audit_log(daemon, "&since=soon").status == 400
    with daemon.connect() as nobody:
        assert nobody.request("GET", "/audit_log").status == 401
    report = api.call("serai.audit_verify")
    assert report["whole"] == "true" and report["problem"] == "" and int(report["records"]) > 5


def test_tampering_is_told_by_the_api(daemon, api):
    path = daemon.state / "audit" / "audit-000001.log"
    text = path.read_bytes()
    path.write_bytes(text.replace(b"VM.clone", b"VM.c1one", 1))
    report = api.call("serai.audit_verify")
    path.write_bytes(text + path.read_bytes()[len(text):])
    assert report["whole"] == "false" and "altered" in report["problem"]


def test_a_token_for_one_object_sees_no_other_past(daemon, api):
    mine, other = api.new_vm("mine"), api.new_vm("other")
    moment = now()
    role = api.call("role.get_by_name_label", "vm-operator")[0]
    token = api.call("serai.token_create", "limited", role, "19700101T00:00:00Z", [], [mine])
    with wire.Api(*daemon.host_port()) as limited:
        limited.login("limited", token)
        assert limited.call("serai.get_history", "VM", mine)
        assert limited.call("serai.get_record_at", "VM", mine, moment)["name_label"] == "mine"
        for method, *params in (("get_history", "VM", other), ("get_history", "VM", ""), ("get_blame", "VM", other),
                                ("get_record_at", "VM", other, moment), ("get_all_records_at", "VM", moment),
                                ("get_differences", "", "", moment)):
            assert limited.fails("serai." + method, *params).code == "RBAC_PERMISSION_DENIED", method
