# SPDX-License-Identifier: Apache-2.0
"""The audit log: who did what, without secrets, with both records of every acknowledged call however the daemon ends."""
import base64
import hashlib
import json
import random
import signal
import threading

import conftest
import wire



def records(daemon):
    """All records, each checked against the one before."""
    found, previous = [], "0" * 64
    for path in sorted((daemon.state / "audit").glob("audit-*.log")):
        for line in path.read_bytes().splitlines():
            digest, text = line[:64].decode(), line[65:]
            assert hashlib.sha256(previous.encode() + text).hexdigest() == digest
            previous = digest
            found.append(json.loads(text))
    assert [r["n"] for r in found] == list(range(1, len(found) + 1))
    return found


def calls(daemon, name):
    """(intent, outcome) of all calls of that name."""
    all_of_them = records(daemon)
    outcomes = {r["of"]: r for r in all_of_them if r["kind"] == "outcome"}
    return [(r, outcomes.get(r["n"])) for r in all_of_them if r["kind"] == "intent" and r["call"] == name]


def raw_log(daemon):
    return b"".join(p.read_bytes() for p in (daemon.state / "audit").iterdir()).decode()


def test_a_change_has_both_records(daemon, api):
    vm = api.new_vm("audited")
    uuid = api.call("VM.get_uuid", vm)
    api.call("VM.set_name_label", vm, "renamed")
    (intent, outcome), = calls(daemon, "VM.set_name_label")
    assert intent["user"] == "root" and intent["address"] == "127.0.0.1"
    assert intent["session"] == api.call("session.get_uuid", api.session)
    assert intent["object"] == {"class": "VM", "uuid": uuid, "name": "audited"}
    assert intent["args"] == {"value": "renamed"}
    assert outcome["outcome"] == "done" and outcome["n"] > intent["n"]
    before = len(records(daemon))
    api.call("VM.get_record", vm)
    api.call("VM.get_all")
    assert len(records(daemon)) == before


def test_a_failure_says_why(daemon, api):
    vm = api.new_vm("does not run")
    assert api.fails("VM.clean_shutdown", vm).code == "VM_BAD_POWER_STATE"
    (_, outcome), = calls(daemon, "VM.clean_shutdown")
    assert outcome["outcome"] == "failed" and outcome["error"][0] == "VM_BAD_POWER_STATE"


def test_references_are_resolved(daemon, api):
    vm, network = api.new_vm("with a VIF"), api.call("network.get_all")[0]
    api.call("VIF.create", {"device": "0", "network": network, "VM": vm, "MAC": "", "MTU": 1500, "other_config": {},
                            "qos_algorithm_type": "", "qos_algorithm_params": {}})
    (intent, _), = calls(daemon, "VIF.create")
    (record,) = intent["args"].values()
    assert record["VM"] == "VM %s (with a VIF)" % api.call("VM.get_uuid", vm)
    assert record["network"].startswith("network " + api.call("network.get_uuid", network))


def test_async_calls(daemon, api):
    vm = api.new_vm("later")
    task = api.call("Async.VM.clone", vm, "a clone")
    assert api.wait_task(task)["status"] == "success"
    intent, outcome = calls(daemon, "VM.clone")[-1]
    assert intent["args"]["new_name"] == "a clone" and outcome["task"] == task


def test_refusals(daemon, api):
    try:
        wire.Api(*daemon.host_port()).login("root", "wrong-password-7", "1.0", "my tool")
        raise AssertionError("logged in")
    except wire.ApiError as e:
        assert e.code == "SESSION_AUTHENTICATION_FAILED"
    stranger = wire.Api(*daemon.host_port())
    stranger.session = "OpaqueRef:11111111-2222-3333-4444-555555555555"
    assert stranger.fails("VM.destroy", "OpaqueRef:NULL").code == "SESSION_INVALID"
    stranger.close()
    bad = base64.b64encode(b"root:wrong-password-8").decode()
    with daemon.connect() as raw:
        assert raw.request("GET", "/host_rrd", headers=[("Authorization", "Basic " + bad)]).status == 401
    refused = [r for r in records(daemon) if r["kind"] == "refused"]
    assert [(r["call"], r["error"][0]) for r in refused[-3:]] == [
        ("session.login_with_password", "SESSION_AUTHENTICATION_FAILED"), ("VM.destroy", "SESSION_INVALID"),
        ("http/get_host_rrd", "SESSION_AUTHENTICATION_FAILED")]
    assert refused[-3]["user"] == "root" and refused[-3]["address"] == "127.0.0.1"
    assert "55555555" not in raw_log(daemon)


def test_refusals_by_role(daemon, api):
    """Of a call, of a map's key, and inside a call that is allowed."""
    vm, task = api.new_vm("audited"), api.call("task.create", "root's", "")
    token = lambda name: api.call("serai.token_create", name, api.call("role.get_by_name_label", name)[0], "19700101T00:00:00Z", [], [])
    with wire.Api(*daemon.host_port()) as reader, wire.Api(*daemon.host_port()) as operator:
        reader.login("read-only", token("read-only"))
        operator.login("vm-operator", token("vm-operator"))
        for user, call, args in ((reader, "VM.destroy", (vm,)), (operator, "VM.add_to_other_config", (vm, "pci", "0/0000:00:00.0")),
                                 (operator, "task.cancel", (task,))):
            assert user.fails(call, *args).code == "RBAC_PERMISSION_DENIED", call
    refused = [(r.get("user"), r["call"], r["error"][0]) for r in records(daemon) if r["kind"] == "refused"]
    assert refused[-2:] == [("read-only", "VM.destroy", "RBAC_PERMISSION_DENIED"),
                            ("vm-operator", "VM.add_to_other_config", "RBAC_PERMISSION_DENIED")]
    intent, outcome = calls(daemon, "task.cancel")[-1]
    assert (intent["user"], outcome["error"][:2]) == ("vm-operator", ["RBAC_PERMISSION_DENIED", "task.destroy/any"])
    api.call("task.destroy", task)


def test_logins_and_logouts(daemon):
    with daemon.api() as other:
        uuid = other.call("session.get_uuid", other.session)
        other.call("session.logout")
    mine = [r for r in records(daemon) if r["kind"] == "session"][-2:]
    assert [r["call"] for r in mine] == ["session.login_with_password", "session.logout"]
    assert mine[0]["user"] == "root" and mine[1].get("session", uuid) == uuid


def test_secrets_stay_out(daemon, api):
    vm = api.new_vm("secretive")
    secret = api.call("secret.create", {"value": "canary-1", "other_config": {}})
    api.call("secret.set_value", secret, "canary-2")
    api.call("VM.set_xenstore_data", vm, {"vm-data/key": "canary-3"})
    api.call("VM.add_to_xenstore_data", vm, "vm-data/other", "canary-4")
    api.call("VM.add_to_other_config", vm, "admin_password", "canary-5")
    api.call("VM.set_other_config", vm, {"api-token": "canary-6", "plain": "seen"})
    api.fails("session.change_password", "canary-7", "canary-8")
    api.fails("pool.join", "host", "root", "canary-9")
    text = raw_log(daemon)
    assert "canary" not in text and conftest.PASSWORD not in text and "wrong-password" not in text
    intent, _ = calls(daemon, "VM.set_other_config")[-1]
    assert intent["args"]["value"] == {"api-token": "(hidden)", "plain": "seen"}



class Writer:
    """Renames one VM until the daemon is gone; knows what was acknowledged."""

    def __init__(self, number):
        self.number, self.vm, self.count, self.acknowledged = number, None, 0, []

    def run(self, daemon, wrong):
        try:
            with daemon.api() as api:
                self.vm = self.vm or api.new_vm("w%d" % self.number)
                while True:
                    self.count += 1
                    name = "w%d-%d" % (self.number, self.count)
                    api.call("VM.set_name_label", self.vm, name)
                    self.acknowledged.append(name)
        except (AssertionError, OSError) as e:
            if not daemon.dying:
                wrong.append(e)
        except BaseException as e:  # noqa: B902  told by the main thread
            wrong.append(e)


def test_kill_9_loses_no_record(directory):
    choice, daemon = random.Random(), conftest.Daemon(directory)
    writers = [Writer(i) for i in range(4)]
    for _ in range(12):
        daemon.start()
        daemon.dying, wrong = False, []
        threads = [threading.Thread(target=w.run, args=(daemon, wrong)) for w in writers]
        goal = sum(len(w.acknowledged) for w in writers) + choice.randint(1, 60)
        for t in threads:
            t.start()
        while sum(len(w.acknowledged) for w in writers) < goal and not wrong:
            threads[0].join(0.002)
        daemon.dying = True
        daemon.stop(signal.SIGKILL)
        for t in threads:
            t.join()
        assert not wrong, wrong
        done = {i["args"]["value"]: o for i, o in calls(daemon, "VM.set_name_label")}
        for w in writers:
            for name in w.acknowledged:
                assert done[name] and done[name]["outcome"] in ("done",), name
    daemon.start()
    every = records(daemon)
    outcomes = {r["of"]: r for r in every if r["kind"] == "outcome"}
    assert all(r["n"] in outcomes for r in every if r["kind"] == "intent")
    # What is in the database has a record, too: at most the last write of each was not answered.
    with daemon.api() as api:
        for w in writers:
            name = api.call("VM.get_name_label", w.vm)
            assert name in {r["args"].get("value") for r in every if r["kind"] == "intent"}
    status, _ = daemon.stop()
    assert status == 0
    conftest.check_log(daemon)
