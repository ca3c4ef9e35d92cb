# SPDX-License-Identifier: Apache-2.0
"""/pool/xmldbdump and /messages: the database kept and restored, messages handed on."""
import base64
import subprocess
import xml.etree.ElementTree as ET

import pytest

import conftest
import wire

BASIC = [("Authorization", "Basic " + base64.b64encode(b"root:" + conftest.PASSWORD.encode()).decode())]
PATH = "/pool/xmldbdump"


def get(daemon, path, headers=()):
    with daemon.connect() as c:
        return c.request("GET", path, headers=headers)


def cookie(api):
    return [("Cookie", "session_id=" + api.session)]


def put(daemon, api, path, body, length=None, close=False):
    """A PUT by a task: its record at the end."""
    task = api.call("task.create", "put", "")
    sep = "&" if "?" in path else "?"
    with daemon.connect() as c:
        c.send("PUT %s%stask_id=%s HTTP/1.1\r\nHost: t\r\nCookie: session_id=%s\r\nContent-Length: %d\r\n\r\n"
               % (path, sep, task, api.session, len(body) if length is None else length))
        status, _ = c.head()
        if status == 200:
            try:
                c.send(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused half-way
            if not close:
                c.read_to_end()
    record = api.wait_task(task)
    api.call("task.destroy", task)
    return record


def dump(daemon, api):
    answer = get(daemon, PATH, cookie(api))
    assert answer.status == 200 and answer.headers["content-type"] == "text/xml"
    return answer.body


def rows(text, table):
    root = ET.fromstring(text)
    return {row.get("ref"): row.attrib for t in root.iter("table") if t.get("name") == table for row in t}


def state(api):
    """What a restored database must give back, by the API."""
    seen = {}
    for cls in ("pool", "host", "VM", "VBD", "VIF", "VDI", "SR", "PBD", "network", "secret", "message", "VM_metrics"):
        seen[cls] = api.call(cls + ".get_all_records")
    for host in seen["host"].values():
        host["other_config"].pop("agent_start_time")
    for metrics in seen["VM_metrics"].values():
        metrics.pop("last_updated")  # lives in memory
    return seen


def test_the_form(daemon, api):
    vm = api.new_vm("a 'quoted' \\ name\n  with \"blanks\" & <signs> 100% é\t")
    api.call("VM.set_tags", vm, ["b", "a 'b'"])
    text = dump(daemon, api)
    root = ET.fromstring(text)
    assert root.tag == "database" and [c.tag for c in root][0] == "manifest"
    pairs = {p.get("key"): p.get("value") for p in root.find("manifest")}
    assert pairs["schema_major_vsn"] == "5" and int(pairs["generation_count"]) > 0
    row = rows(text, "VM")[vm]
    assert row["name__label"] == "a 'quoted' \\ name%n %.with \"blanks\" & <signs> 100%% é%t"
    assert row["tags"] in ("('b' 'a \\'b\\'')", "('a \\'b\\'' 'b')") and row["power_state"] == "Halted"
    assert row["memory__static_max"] == str(api.call("VM.get_memory_static_max", vm))
    assert not rows(text, "session") and not rows(text, "task")
    api.call("VM.destroy", vm)


def test_who_may(daemon, api):
    secret = api.call("secret.create", {"value": "very secret", "other_config": {}})
    assert get(daemon, PATH).status == 401
    assert get(daemon, PATH + "?session_id=OpaqueRef:NULL").status == 401
    answer = get(daemon, PATH + "?nothing=known", BASIC)
    assert answer.status == 200 and b"very secret" in answer.body
    task = api.call("task.create", "get", "")
    assert get(daemon, PATH + "?task_id=" + task, cookie(api)).status == 200
    assert api.wait_task(task)["status"] == "success"
    with daemon.connect() as c:
        assert c.request("PUT", PATH + "?dry_run=maybe", headers=cookie(api)).status == 400
        task = api.call("task.create", "put", "")
    with daemon.connect() as c:
        assert c.request("PUT", PATH + "?task_id=" + task, b"x").status == 401
    assert api.wait_task(task)["error_info"][0] == "SESSION_AUTHENTICATION_FAILED"
    with daemon.connect() as c:  # looks for a redirection
        assert c.request("PUT", PATH, headers=cookie(api)).status == 200
    api.call("secret.destroy", secret)


def test_curl(daemon, api, tmp_path):
    subprocess.run(["curl", "-sSkf", "-u", "root:" + conftest.PASSWORD, "-o", str(tmp_path / "db.xml"),
                    daemon.https + PATH], check=True, timeout=60)
    assert rows((tmp_path / "db.xml").read_text(), "pool")
    task = api.call("task.create", "curl", "")
    subprocess.run(["curl", "-sSkf", "-u", "root:" + conftest.PASSWORD, "-T", str(tmp_path / "db.xml"),
                    daemon.https + PATH + "?dry_run=true&task_id=" + task], check=True, timeout=60)
    assert api.wait_task(task)["status"] == "success"


def test_there_and_back(directory):
    daemon = conftest.Daemon(directory).start()
    with daemon.api() as api:
        vm = api.new_vm("kept")
        network = api.call("network.get_all")[0]
        api.call("VIF.create", {"VM": vm, "network": network, "device": "0", "MAC": "", "other_config": {"a": "b c"}})
        api.call("secret.create", {"value": "s", "other_config": {}})
        api.call("pool.add_to_other_config", api.pool(), "key", "  spaces  ")
        text, before = dump(daemon, api), state(api)
        api.call("VM.destroy", vm)
        other = api.new_vm("made later")
        api.call("pool.remove_from_other_config", api.pool(), "key")
        changed = state(api)
        record = put(daemon, api, PATH + "?dry_run=true", text)
        assert record["status"] == "success" and state(api) == changed
        record = put(daemon, api, PATH, text)
        assert record["status"] == "success", record
        assert state(api) == before
        assert api.fails("VM.get_uuid", other).code == "HANDLE_INVALID"
        assert "start" in api.call("VM.get_allowed_operations", vm)
        api.call("VM.start", vm, False, False)
        record = put(daemon, api, PATH, text)
        assert record["error_info"] == ["VM_BAD_POWER_STATE", vm, "halted", "running"]
        api.call("VM.hard_shutdown", vm)
        running = dump(daemon, api)
    daemon.stop(9)
    daemon.start()
    with daemon.api() as api:
        assert api.call("VM.get_name_label", vm) == "kept"
        # The same by unknown length, cut after the end of the text.
        record = put(daemon, api, PATH, text, length=1 << 50, close=True)
        assert record["status"] == "success", record
        assert state(api)["VM"][vm]["power_state"] == "Halted" and running
    assert daemon.stop()[0] == 0
    conftest.check_log(daemon)


def test_onto_another_host(directory, daemon, api, tmp_path):
    """A dump of one installation on a fresh one of the same machine."""
    text = dump(daemon, api)
    second = conftest.Daemon(str(tmp_path)).start()
    with second.api() as fresh:
        assert fresh.call("pool.get_all") != api.call("pool.get_all")
        record = put(second, fresh, PATH, text)
        assert record["status"] == "success", record
        assert fresh.call("pool.get_all") == api.call("pool.get_all")
        assert fresh.call("host.get_all") == api.call("host.get_all")
        vm = fresh.new_vm("after it")
        fresh.call("VM.start", vm, False, False)
        assert fresh.call("VM.get_resident_on", vm) == api.call("host.get_all")[0]
        fresh.call("VM.hard_shutdown", vm)
    assert second.stop()[0] == 0
    conftest.check_log(second)


BAD = [
    ("not xml at all", "IMPORT_ERROR"), ("<foo/>", "IMPORT_ERROR"), ("", "IMPORT_ERROR_PREMATURE_EOF"),
    ("<database><manifest>", "IMPORT_ERROR_PREMATURE_EOF"), ("<database/>", "RESTORE_INCOMPATIBLE_VERSION"),
    ("<!DOCTYPE x [<!ENTITY a 'b'>]><database/>", "IMPORT_ERROR"),
    ("<database><manifest><pair key='schema_major_vsn' value='4'/></manifest></database>", "RESTORE_INCOMPATIBLE_VERSION"),
    ("<database><manifest><pair key='serai_version' value='1'/></manifest></database>", "IMPORT_ERROR"),
]


@pytest.mark.parametrize("text, code", BAD)
def test_bad_texts(daemon, api, text, code):
    before = state(api)
    record = put(daemon, api, PATH, text.encode() or b" ", close=not text)
    assert record["status"] == "failure" and record["error_info"][0] == code, record
    assert state(api) == before


def test_bent_dumps(daemon, api):
    text, before = dump(daemon, api).decode(), state(api)
    pool = api.call("pool.get_record", api.pool())
    vm = next(iter(before["VM"]))
    for old, new, code in (
            (pool["uuid"], "nonsense", "IMPORT_ERROR"),
            ('<table name="pool">', '<table name="pool"><x><y/></x>', "IMPORT_ERROR"),
            ('<table name="VM">', '<table name="VM"><row ref="%s"/>' % vm, "IMPORT_ERROR"),
            ('<table name="VM">', '<table name="VM"><row ref="OpaqueRef:NULL"/>', "IMPORT_ERROR"),
            ('power_state="Halted"', 'power_state="Flying"', "IMPORT_ERROR"),
            ('tags="()"', 'tags="((("', "IMPORT_ERROR"),
            ('tags="()"', 'tags="%q"', "IMPORT_ERROR"),
            ("</manifest>", '<pair key="serai_redacted" value="true"/></manifest>', "RESTORE_INCOMPATIBLE_VERSION"),
            ('<table name="PIF">', '<table name="PIF"><row ref="OpaqueRef:7a2ae2d3-7ec1-4b5b-a5a0-5c8a1fb7f1d4" device="nope9"'
             ' physical="true" uuid="7a2ae2d3-7ec1-4b5b-a5a0-5c8a1fb7f1d5"/>', "RESTORE_TARGET_MISSING_DEVICE")):
        assert old in text, old
        record = put(daemon, api, PATH, text.replace(old, new, 1).encode())
        assert record["status"] == "failure" and record["error_info"][0] == code, (old, record)
    assert state(api) == before


def test_messages(daemon, api):
    vm = api.new_vm("moves")
    uuid = api.call("VM.get_uuid", vm)
    api.call("message.create", "ONE", 3, "VM", uuid, "body <&> \n text")
    api.call("message.create", "TWO", 1, "VM", uuid, "")
    path = "/messages?cls=VM&uuid=" + uuid
    before = api.call("message.get", "VM", uuid, "19700101T00:00:00Z")
    text = get(daemon, path, cookie(api)).body
    parsed = list(ET.fromstring(b"<m>" + text + b"</m>"))
    assert [{c.tag: c.text or "" for c in m} for m in parsed] == [
        {"ref": ref, **{k: str(v) for k, v in r.items()}} for ref, r in before.items()]
    assert get(daemon, path).status == 401 and get(daemon, path + "&more=unknown", BASIC).status == 200
    assert get(daemon, "/messages?cls=VM&uuid=none", cookie(api)).status == 404
    assert get(daemon, "/messages?cls=Nothing&uuid=" + uuid, cookie(api)).status == 400
    assert b"ONE" in get(daemon, "/messages", cookie(api)).body
    api.call("message.destroy_many", list(before))
    noise = b"<?xml version='1.0'?>" + text.replace(uuid.encode(), api.call("pool.get_uuid", api.pool()).encode(), 1)
    for body, code in ((b"<message>", "IMPORT_ERROR"), (b"<a/>", "IMPORT_ERROR"), (b"<message><cls>X</cls></message>", "IMPORT_ERROR"),
                       (b"<!DOCTYPE a []><message/>", "IMPORT_ERROR"), (b"</m>", "IMPORT_ERROR")):
        assert put(daemon, api, path, body)["error_info"][0] == code, body
    assert put(daemon, api, path, noise)["status"] == "success"
    assert [r["name"] for r in api.call("message.get", "VM", uuid, "19700101T00:00:00Z").values()] == ["TWO"], \
        "what is about another object is left out"
    for _ in range(2):  # what is there stays
        assert put(daemon, api, path, text)["status"] == "success"
    after = api.call("message.get", "VM", uuid, "19700101T00:00:00Z")
    assert sorted(r["uuid"] for r in after.values()) == sorted(r["uuid"] for r in before.values())
    assert {r["name"]: (r["priority"], r["body"], r["timestamp"]) for r in after.values()} == \
        {r["name"]: (r["priority"], r["body"], r["timestamp"]) for r in before.values()}
    api.call("VM.destroy", vm)
