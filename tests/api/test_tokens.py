# SPDX-License-Identifier: Apache-2.0
"""API tokens: made and shown once, limited by role, methods and objects, ended by the clock and by hand."""
import base64
import datetime
import hashlib
import os
import re
import subprocess
import time

import pytest

import conftest
import wire
from test_roles import NEVER, as_token, role

LIMIT = 60


def date(seconds):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y%m%dT%H:%M:%SZ")


def refused(daemon, user, password):
    with wire.Api(*daemon.host_port()) as client, pytest.raises(wire.ApiError) as e:
        client.login(user, password)
    return e.value.code == "SESSION_AUTHENTICATION_FAILED"


def test_made_once_and_kept_as_a_digest(daemon, api):
    token = api.call("serai.token_create", "backup", role(api, "vm-operator"), NEVER, [], [])
    assert re.fullmatch("serai-[0-9a-f]{64}", token)
    with wire.Api(*daemon.host_port()).login("backup", token) as user:
        record = user.call("session.get_record", user.session)
        assert (record["auth_user_name"], record["is_local_superuser"]) == ("backup", False)
        assert user.call("VM.get_all") is not None
        assert user.fails("VM.destroy", "x").code == "RBAC_PERMISSION_DENIED"
    ref, record = next((r, v) for r, v in api.call("serai_token.get_all_records").items() if v["name_label"] == "backup")
    assert (record["digest"], record["created_by"]) == ("", "root") and record["last_used"] != NEVER
    assert api.call("serai_token.get_digest", ref) == ""
    assert token not in daemon.log_text()
    stored = b"".join(p.read_bytes() for p in daemon.state.rglob("*") if p.is_file())
    assert token.encode() not in stored and hashlib.sha256(token.encode()).hexdigest().encode() in stored
    # Another name, another token, a part of it: nothing.
    assert refused(daemon, "root", token) and refused(daemon, "backup", token[:-1])
    assert refused(daemon, "backup", token[:-1] + ("0" if token[-1] != "0" else "1"))
    for name in ("backup", "", "root", "x" * 64):
        assert api.fails("serai.token_create", name, role(api, "read-only"), NEVER, [], []).code == "INVALID_VALUE"
    assert api.fails("serai.token_create", "t", api.pool(), NEVER, [], []).code == "HANDLE_INVALID"
    assert api.fails("serai.token_create", "t", role(api, "read-only"), date(-5), [], []).code == "INVALID_VALUE"
    assert api.fails("serai.token_create", "t", role(api, "read-only"), NEVER, ["no.call"], []).code == "INVALID_VALUE"
    assert api.fails("serai.token_create", "t", role(api, "read-only"), NEVER, [], ["x"]).code == "HANDLE_INVALID"
    api.call("serai.token_revoke", ref)
    assert api.fails("serai.token_revoke", ref).code == "HANDLE_INVALID"


def test_revoked_with_its_sessions(daemon, api):
    user = as_token(daemon, api, "gone", role(api, "read-only"))
    other = as_token(daemon, api, "stays", role(api, "read-only"))
    waiting = wire.Api(*daemon.host_port())
    waiting.session = user.session
    ref = next(r for r, v in api.call("serai_token.get_all_records").items() if v["name_label"] == "gone")
    batch = waiting.call("event.from", ["pool"], "", 0.0)
    body = '{"jsonrpc": "2.0", "id": 1, "method": "event.from", "params": ["%s", ["pool"], "%s", 60.0]}' % (
        user.session, batch["token"])
    waiting.raw.send(("POST /jsonrpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                      % (len(body), body)).encode())
    api.call("serai.token_revoke", ref)
    assert waiting.raw.answer().json()["error"]["message"] == "SESSION_INVALID"
    assert user.fails("VM.get_all").code == "SESSION_INVALID"
    assert other.call("VM.get_all") is not None
    for s in (user, other, waiting):
        s.close()


def test_revoked_with_its_work(daemon, api):
    """What runs on with nobody who may want it is asked to stop; what others began is not."""
    user = as_token(daemon, api, "works", role(api, "vm-operator"))
    task, other = user.call("task.create", "mine", ""), api.call("task.create", "another's", "")
    ref = next(r for r, v in api.call("serai_token.get_all_records").items() if v["name_label"] == "works")
    api.call("serai.token_revoke", ref)
    assert [api.call("task.get_status", t) for t in (task, other)] == ["cancelling", "pending"]
    for t in (task, other):
        api.call("task.destroy", t)
    user.close()


def brief_session(daemon, api):
    """A session that ends by the clock, and its token; longer on a machine so slow that it would be over already."""
    for seconds in (3, 12, 48):
        name = "brief-%d" % seconds
        try:
            token = api.call("serai.token_create", name, role(api, "read-only"), date(seconds), [], [])
            return wire.Api(*daemon.host_port()).login(name, token), name, token
        except wire.ApiError as e:
            assert e.code in ("INVALID_VALUE", "SESSION_AUTHENTICATION_FAILED")
    raise AssertionError("every token was over before it was used")


def test_the_clock_ends_running_sessions(daemon, api):
    user, name, token = brief_session(daemon, api)
    until = time.monotonic() + LIMIT
    batch = {"token": ""}
    with pytest.raises(wire.ApiError) as e:
        while time.monotonic() < until:  # each waits for events until the session's end
            batch = user.call("event.from", ["pool"], batch["token"], 60.0)
    assert e.value.code == "SESSION_INVALID"
    user.close()
    assert refused(daemon, name, token)


def test_limited_to_methods(daemon, api):
    with as_token(daemon, api, "fence", role(api, "vm-power-admin"), ["vm.get_*", "VM.hard_reboot"]) as user:
        assert user.call("VM.get_all") is not None
        assert user.fails("VM.hard_reboot", api.pool()).code == "HANDLE_INVALID"
        for call in ("VM.start", "VM.destroy", "host.get_all", "pool.get_all_records", "event.from", "secret.get_all"):
            assert user.fails(call).code == "RBAC_PERMISSION_DENIED", call
        names = user.call("session.get_rbac_permissions", user.session)
        assert "vm.hard_reboot" in names and "vm.start" not in names
        status = daemon_get(daemon, "/rrd_updates?start=0&session_id=" + user.session)
        assert status == 403
        user.call("session.logout")
    # Not more than its role, whatever is listed.
    with as_token(daemon, api, "small", role(api, "read-only"), ["vm.*"]) as user:
        assert user.fails("VM.start").code == "RBAC_PERMISSION_DENIED"


def daemon_get(daemon, path, headers=()):
    with daemon.connect() as raw:
        return raw.request("GET", path, b"", headers).status


def test_limited_to_objects(daemon, api):
    mine, other = api.new_vm("mine"), api.new_vm("other")
    network = api.call("network.get_all")[0]
    with as_token(daemon, api, "tenant", role(api, "vm-admin"), [], [mine, network]) as user:
        assert user.call("VM.get_all") == [mine] and list(user.call("VM.get_all_records")) == [mine]
        assert user.call("VM.get_by_name_label", "other") == [] and user.call("VM.get_by_name_label", "mine") == [mine]
        assert user.fails("VM.get_by_uuid", api.call("VM.get_uuid", other)).code == "UUID_INVALID"
        user.call("VM.set_name_label", mine, "still mine")
        for call in (["VM.get_record", other], ["VM.set_name_label", other, "x"], ["VM.clone", other, "x"],
                     ["Async.VM.start", other, False, False], ["host.get_record", api.call("host.get_all")[0]],
                     ["VIF.create", {"VM": other, "network": network}], ["VM.get_snapshots", other],
                     ["VM.create", {"name_label": "x"}], ["SR.get_record", api.call("SR.get_all")[0]]):
            assert user.fails(*call).code == "RBAC_PERMISSION_DENIED", call
        seen = {e["ref"] for e in user.call("event.from", ["*"], "", 0.0)["events"]}
        assert seen == {mine, network}
        about = api.call("VM.get_uuid", other)
        told = api.call("message.create", "TOLD", 3, "VM", about, "of another")
        assert user.call("message.get_all") == []
        for reads in (["get_all_records"], ["get_all_records_where", "true"], ["get_since", NEVER], ["get", "VM", about, NEVER]):
            assert user.call("message." + reads[0], *reads[1:]) == {}, reads
        assert user.fails("message.get_by_uuid", api.call("message.get_record", told)["uuid"]).code == "UUID_INVALID"
        assert user.fails("message.get_record", told).code == "RBAC_PERMISSION_DENIED"
        task = user.call("Async.VM.start", mine, False, False)
        assert user.call("task.get_status", task)
        api.wait_task(task)
        api.call("VM.hard_shutdown", mine)
        assert daemon_get(daemon, "/rrd_updates?start=0&session_id=" + user.session) == 403
    with as_token(daemon, api, "importer", role(api, "pool-operator"), [], [mine]) as user:  # it names none of its objects
        assert user.fails("VM.import", "http://127.0.0.1:1/x", "OpaqueRef:NULL", False, False).code == "RBAC_PERMISSION_DENIED"
    for vm in (mine, other):
        api.call("VM.destroy", vm)


def test_basic_authentication(daemon, api):
    token = api.call("serai.token_create", "stats", role(api, "read-only"), NEVER, [], [])
    basic = base64.b64encode(b"stats:" + token.encode()).decode()
    assert daemon_get(daemon, "/rrd_updates?start=0", [("Authorization", "Basic " + basic)]) == 200


def test_commands(daemon, api):
    def serai(*args, ok=True):
        env = dict(os.environ, SERAI_SOCKET=daemon.unix)
        done = subprocess.run([str(conftest.BUILD / "serai"), *args], env=env, capture_output=True, text=True, timeout=LIMIT)
        assert (done.returncode == 0) == ok, done
        return done.stdout.strip() if ok else done.stderr

    token = serai("token-create", "name-label=cron", "role=read-only", "expires=30d", "methods=vm.*,host.get_all")
    with wire.Api(*daemon.host_port()).login("cron", token) as user:
        assert user.call("host.get_all") and user.fails("SR.get_all").code == "RBAC_PERMISSION_DENIED"
        assert "role ( RO): read-only" in serai("token-list", "name-label=cron")
        uuid = serai("token-list", "name-label=cron", "--minimal")
        serai("token-revoke", "uuid=" + uuid)
        assert user.fails("host.get_all").code == "SESSION_INVALID"
    assert serai("token-list", "name-label=cron", "--minimal") == ""
    assert "expires" in serai("token-create", "name-label=x", "role=read-only", "expires=soon", ok=False)
    made = serai("role-create", "name-label=starter", "base=read-only", "allow=vm.start", "deny=secret.*")
    assert "starter" in serai("role-list", "uuid=" + made)
    serai("role-destroy", "uuid=" + made)


def test_kept_over_a_crash(directory):
    daemon = conftest.Daemon(directory).start()
    with daemon.api() as api:
        role_made = api.call("serai.role_create", "keeper", "", ["read-only"], ["vm.start"], [])
        token = api.call("serai.token_create", "kept", role_made, NEVER, [], [])
    daemon.stop(9)
    daemon.start()
    with wire.Api(*daemon.host_port()).login("kept", token) as user:
        assert user.fails("VM.start").code == "MESSAGE_PARAMETER_COUNT_MISMATCH"
        assert user.fails("VM.destroy").code == "RBAC_PERMISSION_DENIED"
    assert daemon.stop()[0] == 0
