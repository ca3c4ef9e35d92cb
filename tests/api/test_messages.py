# SPDX-License-Identifier: Apache-2.0
"""Messages: made by clients and by the daemon, kept over a restart, delivered as events."""
import re

import pytest

import conftest

POOL_MESSAGE = ("TEST", 3, "Pool")


def create(api, name="TEST", priority=3, body="body"):
    uuid = api.call("pool.get_uuid", api.pool())
    return api.call("message.create", name, priority, "Pool", uuid, body)


def messages_of(api, vm):
    """(name, priority, body) of the messages about a VM, in order."""
    records = api.call("message.get", "VM", api.call("VM.get_uuid", vm), "19700101T00:00:00Z")
    assert all(r["cls"] == "VM" for r in records.values())
    return [(r["name"], r["priority"], r["body"]) for r in records.values()]


def test_create_and_read(api):
    pool = api.call("pool.get_uuid", api.pool())
    ref = create(api, body="first <&> \u00e9")
    record = api.call("message.get_record", ref)
    assert record == {"uuid": record["uuid"], "name": "TEST", "priority": 3, "cls": "Pool", "obj_uuid": pool,
                      "timestamp": record["timestamp"], "body": "first <&> \u00e9"}
    assert re.fullmatch(r"2\d{7}T\d\d:\d\d:\d\dZ", record["timestamp"])
    assert api.call("message.get_by_uuid", record["uuid"]) == ref
    assert ref in api.call("message.get_all") and api.call("message.get_all_records")[ref] == record
    assert api.call("message.get_since", "19700101T00:00:00Z")[ref] == record
    assert api.call("message.get_since", "20990101T00:00:00Z") == {}
    assert api.call("message.get", "Pool", pool, "19700101T00:00:00Z")[ref] == record
    assert api.call("message.get", "Host", pool, "19700101T00:00:00Z") == {}
    assert api.call("message.get", "Pool", record["uuid"], "19700101T00:00:00Z") == {}
    assert api.call("message.get_all_records_where", "true") == api.call("message.get_all_records")
    assert api.call("message.get_all_records_where", 'field "name" = "TEST"')[ref] == record
    assert api.call("message.get_all_records_where", 'field "priority"="3"')[ref] == record
    assert api.call("message.get_all_records_where", 'field "name" = "OTHER"') == {}
    assert api.call("message.get_all_records_where", 'field "obj__uuid"="%s"' % pool)[ref] == record
    for bad in ("nonsense", 'field "name"', 'field "no such"="x"', 'field "name"="x" and', 'field "name'):
        assert api.fails("message.get_all_records_where", bad).code == "INVALID_VALUE", bad


def test_refusals(api):
    host = api.call("host.get_uuid", api.call("host.get_all")[0])
    error = api.fails("message.create", "X", 1, "VM", host, "")
    assert (error.code, error.params) == ("UUID_INVALID", ["VM", host])
    assert api.fails("message.create", "X", 1, "VM", host, "x" * 70000).code == "INVALID_VALUE"
    assert api.fails("message.create", "X", 1, "Nothing", host, "").code == "INVALID_VALUE"
    assert api.fails("message.get_by_uuid", host).code == "UUID_INVALID"


def test_destroy(api):
    one, two, three = create(api), create(api), create(api)
    api.call("message.destroy", one)
    assert api.fails("message.get_record", one).code == "HANDLE_INVALID"
    # All or none.
    assert api.fails("message.destroy_many", [two, one]).params == ["message", one]
    assert api.call("message.get_record", two)
    api.call("message.destroy_many", [two, three, two])
    assert not {two, three} & set(api.call("message.get_all"))


def test_events(api):
    token = api.call("event.from", ["message"], "", 0.0)["token"]
    ref = create(api, name="EVENT")
    batch = api.call("event.from", ["message"], token, 30.0)
    assert [(e["class"], e["operation"], e["ref"]) for e in batch["events"]] == [("message", "add", ref)]
    assert batch["events"][0]["snapshot"]["name"] == "EVENT"
    api.call("message.destroy", ref)
    batch = api.call("event.from", ["message"], batch["token"], 30.0)
    assert [(e["operation"], e["ref"]) for e in batch["events"]] == [("del", ref)]


def test_the_life_of_a_machine(api):
    vm = api.new_vm("told of")
    host = api.call("host.get_record", api.call("host.get_all")[0])
    started = ("VM_STARTED", 5, "VM 'told of' started on host: %s (uuid: %s)" % (host["name_label"], host["uuid"]))
    api.call("VM.start", vm, False, False)
    api.call("VM.clean_reboot", vm)
    api.call("VM.hard_reboot", vm)
    api.call("VM.pause", vm)
    api.call("VM.unpause", vm)
    api.call("VM.clean_shutdown", vm)
    api.call("VM.start", vm, False, False)
    api.call("VM.hard_shutdown", vm)
    api.fails("VM.hard_shutdown", vm)  # nothing to tell
    assert messages_of(api, vm) == [
        started, ("VM_REBOOTED", 5, "VM 'told of' rebooted cleanly"),
        ("VM_REBOOTED", 5, "VM 'told of' rebooted forcibly"), ("VM_SHUTDOWN", 5, "VM 'told of' shutdown"),
        started, ("VM_SHUTDOWN", 5, "VM 'told of' shutdown forcibly")]


def wait_halted(api, vm):
    token = ""
    while api.call("VM.get_power_state", vm) != "Halted":
        token = api.call("event.from", ["VM/" + vm], token, 30.0)["token"]


@pytest.mark.parametrize("words, name, priority, body", [
    ("fake:poweroff", "VM_SHUTDOWN", 5, "shutdown"), ("fake:panic", "VM_CRASHED", 2, "crashed"),
    ("fake:die", "VM_CRASHED", 2, "crashed")])
def test_what_a_guest_does_by_itself(daemon, api, words, name, priority, body):
    (daemon.state / "kernels" / "k").write_bytes(b"k")
    vm = api.new_vm("alone")
    api.call("VM.set_HVM_boot_policy", vm, "")
    api.call("VM.set_HVM_boot_params", vm, {})
    api.call("VM.set_PV_kernel", vm, "k")
    api.call("VM.set_PV_args", vm, words)
    api.call("VM.set_actions_after_crash", vm, "destroy")
    api.call("VM.start", vm, False, False)
    wait_halted(api, vm)
    told = messages_of(api, vm)
    assert told[0][0] == "VM_STARTED" and told[1:] == [(name, priority, "VM 'alone' " + body)]


def test_a_restart_keeps_them(directory):
    daemon = conftest.Daemon(directory).start()
    with daemon.api() as api:
        ref = create(api, body="kept")
        before = api.call("message.get_all_records")
        assert before[ref]["body"] == "kept"
    daemon.stop(9)
    daemon.start()
    with daemon.api() as api:
        assert api.call("message.get_all_records") == before
        batch = api.call("event.from", ["message"], "", 0.0)
        assert {e["ref"] for e in batch["events"]} == set(before)
    assert daemon.stop()[0] == 0


@pytest.mark.parametrize("words", [["message-list"]])
def test_the_command_line(api, daemon, words):
    import test_thin_cli
    ref = create(api, name="BY_CLI")
    status, out, err = test_thin_cli.thin(daemon, *words)
    assert (status, err) == (0, "") and "BY_CLI" in out
    assert (status, out, err) == test_thin_cli.serai(daemon, *words)
    uuid = api.call("message.get_record", ref)["uuid"]
    assert test_thin_cli.thin(daemon, "message-destroy", "uuid=" + uuid) == (0, "", "")
    assert ref not in api.call("message.get_all")
