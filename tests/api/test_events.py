# SPDX-License-Identifier: Apache-2.0
"""event.from as clients use it: whole snapshots, order, waiting, barriers, tokens."""
import re
import threading
import time

import pytest

import wire


def everything(api, classes=("*",)):
    return api.call("event.from", list(classes), "", 0.0)


def test_the_beginning_holds_everything(api):
    batch = everything(api)
    assert re.fullmatch(r"\d{20},\d{20}", batch["token"])
    seen = {}
    for e in batch["events"]:
        assert e["operation"] == "add" and e["snapshot"] and e["ref"].startswith("OpaqueRef:")
        assert e["class"] == e["class"].lower()
        seen.setdefault(e["class"], set()).add(e["ref"])
    for cls in ("VM", "host", "pool", "SR", "network"):
        assert seen[cls.lower()] == set(api.call(cls + ".get_all")), cls
    assert not {"session", "event", "user", "secret", "role"} & set(seen)
    assert len(everything(api, ["role"])["events"]) == len(api.call("role.get_all"))
    for cls, count in batch["valid_ref_counts"].items():
        assert isinstance(count, int) and cls == cls.lower()
    assert batch["valid_ref_counts"]["vm"] == len(seen["vm"])


def test_a_change_arrives_with_its_record(api):
    token = everything(api)["token"]
    vm = api.new_vm("watched")
    api.call("VM.set_name_description", vm, "described")
    batch = api.call("event.from", ["vm"], token, 30.0)
    events = [e for e in batch["events"] if e["ref"] == vm]
    assert events[-1]["snapshot"] == api.call("VM.get_record", vm)
    api.call("VM.destroy", vm)
    batch = api.call("event.from", ["VM"], batch["token"], 30.0)
    (event,) = [e for e in batch["events"] if e["ref"] == vm]
    assert event["operation"] == "del" and "snapshot" not in event


def test_made_and_destroyed_is_nothing(api):
    token = everything(api)["token"]
    net = api.call("network.create", {"name_label": "brief", "name_description": "", "other_config": {}})
    api.call("network.destroy", net)
    batch = api.call("event.from", ["network"], token, 0.0)
    assert net not in [e["ref"] for e in batch["events"]]


def test_waiting_wakes_at_once(daemon, api):
    token = everything(api)["token"]
    pool = api.pool()
    got = {}

    def wait():
        with daemon.api() as other:
            got["batch"] = other.call("event.from", ["pool"], token, 50.0)
            got["at"] = time.monotonic()

    thread = threading.Thread(target=wait)
    thread.start()
    began = time.monotonic()
    api.call("pool.add_to_other_config", pool, "wake", "up")
    thread.join()
    assert got["at"] - began < 25 and got["batch"]["events"][0]["ref"] == pool
    api.call("pool.remove_from_other_config", pool, "wake")


def test_nothing_answers_at_the_timeout(api):
    token = everything(api, ["pool_patch"])["token"]
    began = time.monotonic()
    batch = api.call("event.from", ["pool_patch"], token, 0.3)
    assert batch["events"] == [] and batch["token"] and time.monotonic() - began >= 0.29


def test_one_object(api):
    pool, host = api.pool(), api.call("host.get_all")[0]
    batch = everything(api, ["pool/" + pool])
    assert [e["ref"] for e in batch["events"]] == [pool]
    api.call("host.set_name_description", host, "x")
    assert api.call("event.from", ["pool/" + pool], batch["token"], 0.0)["events"] == []


def test_inject_returns_a_token_before_the_event(api):
    pool = api.pool()
    token = api.call("event.inject", "pool", pool)
    assert re.fullmatch(r"\d{20},\d{20}", token)
    batch = api.call("event.from", ["pool"], token, 30.0)
    assert pool in [e["ref"] for e in batch["events"]]
    error = api.fails("event.inject", "VM", pool)
    assert error.code == "HANDLE_INVALID" and error.params[1] == pool


@pytest.mark.parametrize("token", [
    "x", ",", "00000000000000000001", "-1,-1", "9" * 45, "0,0", "1,2", "0" * 20 + "," + "0" * 19,
    "0" * 19 + "," + "0" * 20, "0" * 20 + ";" + "0" * 20, "+" + "0" * 19 + "," + "0" * 20, "9" * 20 + "," + "0" * 20,
    "0" * 20 + "," + "0" * 20 + ","])
def test_bad_tokens(api, token):
    assert api.fails("event.from", ["*"], token, 0.0).code == "EVENT_FROM_TOKEN_PARSE_FAILURE"


def test_logout_ends_the_wait(daemon, api):
    with daemon.api() as other:
        token = everything(other, ["pool_patch"])["token"]
        result = {}

        def wait():
            try:
                result["got"] = other.call("event.from", ["pool_patch"], token, 50.0)
            except wire.ApiError as e:
                result["code"] = e.code

        thread = threading.Thread(target=wait)
        began = time.monotonic()
        thread.start()
        with wire.Api(*daemon.host_port()) as third:
            third.session = other.session
            third.call("session.logout")
        thread.join()
        assert result == {"code": "SESSION_INVALID"} and time.monotonic() - began < 25


def test_writes_are_seen_in_order(daemon, api):
    """A barrier: whoever sees the second write has seen the first."""
    pool, vm = api.pool(), api.new_vm("barrier")
    token = everything(api)["token"]
    failures = []

    def write():
        with daemon.api() as other:
            for i in range(40):
                other.call("VM.set_name_description", vm, str(i))
                other.call("pool.set_other_config", pool, {"barrier": str(i)})

    thread = threading.Thread(target=write)
    thread.start()
    described = barrier = -1
    while barrier != 39 and not failures:
        batch = api.call("event.from", ["vm", "pool"], token, 10.0)
        token = batch["token"]
        assert batch["events"]
        for e in batch["events"]:
            if e["ref"] == vm and e["snapshot"]["name_description"]:
                described = int(e["snapshot"]["name_description"])
            elif e["ref"] == pool and "barrier" in e["snapshot"]["other_config"]:
                barrier = int(e["snapshot"]["other_config"]["barrier"])
        if described < barrier:
            failures.append((described, barrier))
    thread.join()
    assert not failures
    api.call("pool.set_other_config", pool, {})
    api.call("VM.destroy", vm)


def test_hundreds_wait_and_calls_go_on(daemon, api):
    token = everything(api)["token"]
    pool, woken = api.pool(), []

    def wait():
        with wire.Api(*daemon.host_port()) as client:
            client.session = api.session
            woken.append(client.call("event.from", ["pool"], token, 50.0)["events"][0]["ref"])

    threads = [threading.Thread(target=wait) for _ in range(200)]
    for t in threads:
        t.start()
    for _ in range(50):
        assert api.call("host.get_all")
    api.call("pool.add_to_other_config", pool, "all", "awake")
    for t in threads:
        t.join()
    assert woken == [pool] * 200
    api.call("pool.remove_from_other_config", pool, "all")


def test_the_old_way(daemon, api):
    """event.register, next and unregister, which old scripts know."""
    with daemon.api() as old:
        assert old.fails("event.next").code == "SESSION_NOT_REGISTERED"
        old.call("event.register", ["pool", "VM"])
        vm = api.new_vm("seen the old way")
        seen = []
        while "add" not in [e["operation"] for e in seen if e["ref"] == vm]:
            seen += old.call("event.next")
        last = [e for e in seen if e["ref"] == vm][-1]
        assert (last["class"], last["snapshot"]["uuid"]) == ("vm", api.call("VM.get_uuid", vm))
        assert 0 < last["id"] <= old.call("event.get_current_id")
        # Changes between two calls are one event; what it did not register for is none.
        pool = api.pool()
        for i in range(3):
            api.call("pool.set_name_label", pool, "pool %d" % i)
        api.call("task.destroy", api.call("task.create", "not asked for", ""))
        batch = old.call("event.next")
        while not [e for e in batch if e["ref"] == pool]:
            batch = old.call("event.next")
        assert [e["snapshot"]["name_label"] for e in batch if e["ref"] == pool] == ["pool 2"]
        assert {e["class"] for e in batch} <= {"pool", "vm"}
        # Of one class no longer: only the other's events come.
        old.call("event.unregister", ["pool"])
        api.call("pool.set_name_label", pool, "unseen")
        api.call("VM.destroy", vm)
        seen = old.call("event.next")
        while ("del", vm) not in [(e["operation"], e["ref"]) for e in seen]:
            seen += old.call("event.next")
        assert pool not in [e["ref"] for e in seen]
