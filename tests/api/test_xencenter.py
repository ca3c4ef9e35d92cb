# SPDX-License-Identifier: Apache-2.0
"""What XenCenter asks at its start, in its order, with the checks that it makes itself."""
import re

import pytest

import conftest
import facts
import wire


@pytest.fixture(scope="module")
def center(daemon):
    """Logged in over TLS as XenCenter does; what it learned."""
    with wire.Api(*daemon.host_port(tls=True), tls=wire.insecure_tls()) as c:
        c.login("root", conftest.PASSWORD, "2.21", "XenCenter/8.2.3")
        yield c


def everything(center):
    """The cache that its first event.from fills: class -> ref -> record."""
    batch = center.call("event.from", ["*"], "", 30.0)
    cache = {}
    for event in batch["events"]:
        assert event["operation"] == "add", event
        assert set(event) >= {"id", "timestamp", "class", "operation", "ref", "snapshot"}
        cache.setdefault(event["class"].lower(), {})[event["ref"]] = event["snapshot"]
    return batch, cache


def test_start(center):
    pools = center.call("pool.get_all_records")
    assert len(pools) == 1
    pool = next(iter(pools.values()))
    host = center.call("host.get_record", pool["master"])
    version = (host["API_version_major"], host["API_version_minor"])
    assert version == (2, 6) or version >= (2, 8), "it refuses to connect"
    assert re.fullmatch(r"\d+\.\d+\.\d+", host["software_version"]["product_version"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", host["software_version"]["platform_version"])
    assert host["software_version"]["product_brand"] and host["software_version"]["build_number"]
    session = center.session
    assert center.call("session.get_is_local_superuser", session) is True
    assert center.call("session.get_subject", session) == "OpaqueRef:NULL"
    assert center.call("session.get_auth_user_sid", session) == ""
    assert center.call("session.get_rbac_permissions", session) == []
    assert center.call("session.get_originator", session) == "XenCenter/8.2.3"
    roles = center.call("role.get_all_records")
    assert {r["name_label"] for r in roles.values()} >= {"pool-admin", "read-only"}
    # A session is shared by connections; the heartbeat is on another one.
    with wire.Api(**center.where) as second:
        second.session = session
        assert re.match(r"\d{8}T\d\d:\d\d:\d\dZ", second.call("host.get_servertime", pool["master"]))


def test_the_cache_is_whole(center, daemon):
    vm = center.new_vm("in the cache")
    batch, cache = everything(center)
    assert batch["token"] and batch["valid_ref_counts"]
    for cls in facts.FIELDS:
        if cls.lower() not in cache:
            continue
        for ref, record in cache[cls.lower()].items():
            assert set(record) == set(facts.FIELDS[cls]) and None not in record.values(), (cls, ref)
    assert {"pool", "host", "vm", "sr", "pbd", "network", "host_metrics", "vm_metrics", "sm", "host_cpu",
            "task"} - set(cache) <= {"task"}
    # Every reference that it would follow is in the cache, or null.
    known = {ref for records in cache.values() for ref in records} | {"OpaqueRef:NULL"}
    untracked = {"session", "user", "secret", "role"}  # roles it gets by role.get_all_records
    for cls, fields in facts.FIELDS.items():
        for record in cache.get(cls.lower(), {}).values():
            for name, text in fields.items():
                t = facts.Type(text[0])
                values = [record[name]] if t.kind == "ref" else \
                    record[name] if t.kind == "set" and t.elem.kind == "ref" else []
                if t.kind == "ref" and t.name in untracked or t.kind == "set" and t.elem.kind == "ref" \
                        and t.elem.name in untracked:
                    continue
                assert set(values) <= known, (cls, name, values)
    pool = next(iter(cache["pool"].values()))
    host = cache["host"][pool["master"]]
    # What it looks at to draw its tree and to say what is licensed.
    assert pool["restrictions"] and "true" not in pool["restrictions"].values()
    assert not [k for k, v in host["license_params"].items() if k.startswith("restrict_") and v == "true"]
    assert cache["host_metrics"][host["metrics"]]["live"] is True and host["enabled"] is True
    assert pool["default_SR"] in cache["sr"] and cache["vm"][vm]["is_a_template"] is False
    assert float(host["other_config"]["boot_time"]) > 0 and float(host["other_config"]["agent_start_time"]) > 0
    center.call("VM.destroy", vm)


def test_changes_arrive(center):
    batch, _ = everything(center)
    vm = center.new_vm("arrives")
    batch = center.call("event.from", ["*"], batch["token"], 30.0)
    news = {e["ref"]: e for e in batch["events"]}
    assert news[vm]["snapshot"]["name_label"] == "arrives"
    assert "start" in news[vm]["snapshot"]["allowed_operations"]
    center.call("VM.start", vm, False, False)
    batch = center.call("event.from", ["*"], batch["token"], 30.0)
    of_class = {}
    for e in batch["events"]:
        of_class.setdefault(e["class"].lower(), []).append(e)
    assert [e["snapshot"]["name"] for e in of_class["message"]] == ["VM_STARTED"]
    consoles = {e["snapshot"]["protocol"]: e["snapshot"] for e in of_class["console"]}
    assert set(consoles) == {"rfb", "vt100"} and "/console?" in consoles["rfb"]["location"]
    center.call("VM.hard_shutdown", vm)
    batch = center.call("event.from", ["*"], batch["token"], 30.0)
    assert {e["ref"] for e in batch["events"] if e["operation"] == "del"} == {e["ref"] for e in of_class["console"]}
    center.call("VM.destroy", vm)


def test_wrong_password_and_version(daemon):
    with wire.Api(*daemon.host_port(tls=True), tls=wire.insecure_tls()) as c:
        with pytest.raises(wire.ApiError) as caught:
            c.login("root", "no", "2.21", "XenCenter/8.2.3")
        assert caught.value.code == "SESSION_AUTHENTICATION_FAILED" and len(caught.value.params) == 2
        # The form of older servers and clients.
        assert c.login("root", conftest.PASSWORD).session
        assert c.login("root", conftest.PASSWORD, "1.0").session
