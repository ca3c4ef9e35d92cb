# SPDX-License-Identifier: Apache-2.0
"""Who may do what: every message by every role, before arguments are looked at; keys of maps; roles made by people."""
import pathlib
import sys
import uuid

import pytest

import facts
import wire
from facts import MESSAGES, SCHEMA

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "api"))
import idl  # noqa: E402

ROLES = SCHEMA["roles"]
KEY_ROLES = {(c.name, f.name): f.key_roles for c in idl.load().classes.values() for f in c.fields if f.key_roles}
NEVER = "19700101T00:00:00Z"


def role(api, name):
    return api.call("role.get_by_name_label", name)[0]


def as_token(daemon, api, name, role_ref, methods=(), objects=(), expires=NEVER):
    token = api.call("serai.token_create", name, role_ref, expires, list(methods), list(objects))
    return wire.Api(*daemon.host_port()).login(name, token)


@pytest.fixture(scope="module")
def users(daemon, api):
    """A session of each role."""
    sessions = {r: as_token(daemon, api, "is-" + r, role(api, r)) for r in ROLES}
    yield sessions
    for s in sessions.values():
        s.close()


def weakest(cls, name):
    return SCHEMA["classes"][cls]["messages"][name][2]


def permitted(r, cls, name):
    """Whether role r may make the call, with some key at least."""
    floors = [weakest(cls, name)]
    for (c, field), keys in KEY_ROLES.items():
        if c == cls and name in ("set_" + field, "add_to_" + field, "remove_from_" + field):
            floors += keys.values()
    return any(r in idl.roles_of(f) for f in floors)


def some_args(types):
    return [facts.some_ref() if t.kind == "ref" else facts.good(t, {}) for t in types]


@pytest.mark.parametrize("r", ROLES)
def test_every_message(users, r):
    seen = {True: 0, False: 0}
    for cls, of_class in MESSAGES.items():
        for name, m in of_class.items():
            if m.no_session:
                continue
            may = permitted(r, cls, name)
            seen[may] += 1
            code = users[r].fails(m.call, *[{}] * 30).code
            if may:
                assert code == ("MESSAGE_REMOVED" if m.removed else "MESSAGE_PARAMETER_COUNT_MISMATCH"), (r, m.call)
                continue
            assert code == "RBAC_PERMISSION_DENIED", (r, m.call)
            for args in ([], ["nonsense"] * len(m.types), some_args(m.types)):
                error = users[r].fails(m.call, *args)
                assert error.code == "RBAC_PERMISSION_DENIED", (r, m.call, args)
                assert error.params[0].startswith("%s.%s" % (cls.lower(), name)), error.params
    assert sum(seen.values()) == 1828 - 2 and min(seen.values()) > 10


def test_the_built_in_user_may_do_everything(api):
    for of_class in MESSAGES.values():
        for m in of_class.values():
            if not m.no_session:
                assert api.fails(m.call, *[{}] * 30).code in ("MESSAGE_REMOVED", "MESSAGE_PARAMETER_COUNT_MISMATCH")


def test_no_session_no_answer(daemon):
    with wire.Api(*daemon.host_port()) as client:
        client.session = facts.some_ref()
        for of_class in MESSAGES.values():
            for m in of_class.values():
                if not m.no_session:
                    assert client.fails(m.call, *some_args(m.types)).code == "SESSION_INVALID", m.call


def test_keys_before_references(users):
    """The key decides, whatever the reference is."""
    user, reader = users["vm-operator"], users["read-only"]
    for (cls, field), keys in KEY_ROLES.items():
        base = weakest(cls, "set_" + field)
        for ref in ("nonsense", facts.some_ref(), 17):
            for key, floor in [(k.replace("*", "x"), f) for k, f in keys.items()] + [("other", base)]:
                may = "vm-operator" in idl.roles_of(floor)
                for call, more in (("add_to_", [key, "v"]), ("remove_from_", [key])):
                    code = user.fails("%s.%s%s" % (cls, call, field), ref, *more).code
                    assert (code == "RBAC_PERMISSION_DENIED") != may, (cls, call, field, key, ref, code)
                    assert reader.fails("%s.%s%s" % (cls, call, field), ref, *more).code == "RBAC_PERMISSION_DENIED"
                code = user.fails("%s.set_%s" % (cls, field), facts.some_ref(), {key: "v"}).code
                assert (code == "RBAC_PERMISSION_DENIED") != may, (cls, "set", field, key)


def test_keys_of_new_objects(api, users):
    """Whoever may make a machine may not give it what its role may not set."""
    admin = users["vm-admin"]
    vm = {"name_label": "v", "platform": {"hvm_serial": "tcp:1.2.3.4:5"}, "memory_static_max": 1 << 28, "memory_dynamic_max": 1 << 28,
          "memory_dynamic_min": 1 << 28, "memory_static_min": 1 << 28, "VCPUs_max": 1, "VCPUs_at_startup": 1}
    error = admin.fails("VM.create", vm)
    assert (error.code, error.params[0]) == ("RBAC_PERMISSION_DENIED", "vm.set_platform/key:hvm_serial")
    error = admin.fails("VM.create", dict(vm, platform={}, other_config={"pci": "0/0000:00:1f.3"}))
    assert (error.code, error.params[0]) == ("RBAC_PERMISSION_DENIED", "vm.set_other_config/key:pci")
    ours = admin.call("VM.create", dict(vm, platform={"nx": "true"}, other_config={"folder": "/x"}))
    assert admin.fails("VM.add_to_other_config", ours, "pci", "x").code == "RBAC_PERMISSION_DENIED"
    assert admin.fails("VM.set_other_config", ours, {"folder": "/x", "pci": "x"}).code == "RBAC_PERMISSION_DENIED"
    admin.call("VM.set_other_config", ours, {"folder": "/y"})
    api.call("VM.add_to_other_config", ours, "pci", "x")
    admin.call("VM.set_other_config", ours, {"folder": "/z", "pci": "x"})  # as it is
    admin.call("VM.destroy", ours)


def test_secrets_are_shown_to_operators_only(api, users):
    secret = api.call("secret.create", {"value": "hunter2", "other_config": {}})
    kind = api.call("SR.get_type", api.call("SR.get_all")[0])
    sr = api.call("SR.introduce", str(uuid.uuid4()), "elsewhere", "", kind, "user", False, {})
    pbd = {"host": api.call("host.get_all")[0], "SR": sr,
           "device_config": {"server": "x", "password": "hunter2", "chappassword": "hunter2"}}
    made = api.call("PBD.create", pbd)
    for r in ROLES:
        operator = r in ("pool-admin", "pool-operator")
        for call in (["secret.get_all"], ["secret.get_value", secret], ["secret.get_record", secret],
                     ["secret.get_all_records"]):
            if operator:
                users[r].call(*call)
            else:
                assert users[r].fails(*call).code == "RBAC_PERMISSION_DENIED"
        shown = [users[r].call("PBD.get_record", made), users[r].call("PBD.get_all_records")[made],
                 {"device_config": users[r].call("PBD.get_device_config", made)},
                 [e for e in users[r].call("event.from", ["PBD"], "", 0.0)["events"] if e["ref"] == made][0]["snapshot"]]
        for s in shown:
            assert s["device_config"]["password"] == s["device_config"]["chappassword"] \
                == ("hunter2" if operator else "(hidden)"), r
            assert s["device_config"]["server"] == "x"
    api.call("PBD.destroy", made)
    api.call("SR.forget", sr)
    api.call("secret.destroy", secret)


def test_sessions_are_found_by_their_own_and_by_admins(daemon, api, users):
    """Who has a session's reference acts in it, and its uuid stands in the audit log, which operators read."""
    mine = api.call("session.get_uuid", api.session)
    for r in ROLES:
        error = users[r].fails("session.get_by_uuid", mine)
        assert (error.code, error.params) == ("UUID_INVALID", ["session", mine]), r
        own = users[r].call("session.get_uuid", users[r].session)
        assert users[r].call("session.get_by_uuid", own) == users[r].session
        assert api.call("session.get_by_uuid", own) == users[r].session
    with as_token(daemon, api, "narrow", role(api, "pool-admin"), ["VM.get_all"]) as narrow:
        assert narrow.fails("session.get_by_uuid", mine).code == "UUID_INVALID"


def test_roles_and_permissions_as_objects(api, users):
    all_names = set(api.call("role.get_permissions_name_label", role(api, "pool-admin")))
    records = api.call("role.get_all_records")
    for ref, r in records.items():
        permissions = api.call("role.get_permissions", ref)
        assert sorted(permissions) == sorted(r["subroles"]) == sorted(api.call("role.get_subroles", ref))
        assert len(permissions) == len(api.call("role.get_permissions_name_label", ref)) > 100
    start = [p for p in records[role(api, "vm-operator")]["subroles"]
             if api.call("role.get_name_label", p) == "vm.start"][0]
    record = api.call("role.get_record", start)
    assert (record["name_label"], record["subroles"], record["is_internal"]) == ("vm.start", [], False)
    assert api.call("role.get_by_uuid", record["uuid"]) == start and start not in api.call("role.get_all")
    assert api.call("role.get_permissions", start) == [start]
    have = {records[x]["name_label"] for x in api.call("role.get_by_permission", start)}
    assert have == set(ROLES[:5])
    assert api.call("role.get_by_permission", role(api, "read-only")) == []
    assert api.fails("role.get_by_permission", facts.some_ref()).code == "HANDLE_INVALID"
    for r in ROLES:
        me = users[r].session
        names = users[r].call("session.get_rbac_permissions", me)
        assert sorted(names) == sorted(api.call("role.get_permissions_name_label", role(api, r))), r
        assert set(names) <= all_names and users[r].call("session.get_is_local_superuser", me) is False
        assert users[r].call("session.get_record", me)["rbac_permissions"] == names
    assert api.call("session.get_rbac_permissions", api.session) == []


def test_roles_that_people_make(daemon, api):
    night = api.call("serai.role_create", "night-shift", "Restarts machines", ["read-only"],
                     ["vm.start", "VM.hard_*", "vm.add_to_other_config/key:pci", "vm.set_name_label", "vm.set_other_config"],
                     ["vm.hard_reboot", "vm.get_uuid"])
    assert api.fails("serai.role_create", "night-shift", "", [], [], []).code == "ROLE_ALREADY_EXISTS"
    assert api.fails("serai.role_create", "x", "", ["root"], [], []).code == "ROLE_NOT_FOUND"
    error = api.fails("serai.role_create", "x", "", [], ["vm.no_such"], [])
    assert (error.code, error.params) == ("INVALID_VALUE", ["allow", "vm.no_such"])
    with as_token(daemon, api, "night", night) as user:
        vm = facts.some_ref()
        for call, may in (("VM.start", True), ("VM.hard_shutdown", True), ("VM.hard_reboot", False),
                          ("VM.get_uuid", False), ("VM.get_power_state", True), ("VM.destroy", False),
                          ("Async.VM.start", True), ("Async.VM.destroy", False), ("VM.set_name_label", True)):
            assert (user.fails(call, vm).code != "RBAC_PERMISSION_DENIED") == may, call
        # A key that is kept for admins is given by its own name only; other keys come with their call.
        for call, key, may in (("add_to_", "pci", True), ("add_to_", "x", False), ("remove_from_", "pci", False)):
            args = [vm, key] + (["v"] if call == "add_to_" else [])
            assert (user.fails("VM.%sother_config" % call, *args).code != "RBAC_PERMISSION_DENIED") == may, (call, key)
        assert user.fails("VM.set_other_config", vm, {"x": "y"}).code == "HANDLE_INVALID"
        assert user.fails("VM.set_other_config", vm, {"pci": "y"}).code == "RBAC_PERMISSION_DENIED"
        names = user.call("session.get_rbac_permissions", user.session)
        assert "vm.start" in names and "vm.hard_reboot" not in names and "vm.get_record" in names
        assert sorted(names) == sorted(api.call("role.get_permissions_name_label", night))
        # Given to a subject; destroyed, it is gone from there and counts no more.
        subject = api.call("subject.create", {"subject_identifier": "S-night", "other_config": {}})
        api.call("subject.add_to_roles", subject, night)
        assert night in api.call("subject.get_roles", subject)
        assert api.fails("serai.role_destroy", role(api, "read-only")).code == "OPERATION_NOT_ALLOWED"
        api.call("serai.role_destroy", night)
        assert night not in api.call("subject.get_roles", subject)
        assert user.fails("VM.get_all").code == "RBAC_PERMISSION_DENIED"
        api.call("subject.destroy", subject)


def test_our_own_calls_are_for_admins(users):
    for r in ROLES[1:]:
        for call in ("serai.role_create", "serai.role_destroy", "serai.token_create", "serai.token_revoke",
                     "serai_token.get_all_records", "serai_token.get_digest"):
            assert users[r].fails(call).code == "RBAC_PERMISSION_DENIED", call
    assert not [m for m in users["pool-admin"].bare("system.listMethods") if m.startswith("serai_")]


def test_a_task_is_its_users(daemon, api, users):
    """Others than pool operators cancel, change and destroy only their own, by any session of theirs, and no door of HTTP
    ends another's."""
    operator, stranger = users["vm-operator"], users["vm-power-admin"]
    task = operator.call("task.create", "mine", "")
    for name, args in (("cancel", ()), ("destroy", ()), ("set_status", ("success",)), ("set_progress", (0.5,)),
                       ("set_result", ("x",)), ("set_error_info", (["X"],))):
        error = stranger.fails("task." + name, task, *args)
        assert (error.code, error.params[0]) == ("RBAC_PERMISSION_DENIED", "task.destroy/any"), name
    with daemon.connect() as raw:
        door = "/rrd_updates?start=0&session_id=%s&task_id=%s" % (stranger.session, task)
        assert raw.request("GET", door).status == 403
    record = api.call("task.get_record", task)
    assert (record["status"], record["progress"], record["error_info"]) == ("pending", 0, [])
    operator.call("task.set_progress", task, 0.5)
    operator.call("task.cancel", task)
    assert api.call("task.get_status", task) == "cancelling"
    operator.call("task.destroy", task)
    other = operator.call("task.create", "mine too", "")
    users["pool-operator"].call("task.cancel", other)
    users["pool-operator"].call("task.destroy", other)


def test_a_command_in_a_guest_is_for_those_who_may_do_anything_with_it(api, users):
    vm = api.call("VM.clone", api.call("VM.get_by_name_label", "Other install media")[0], "commands")
    api.call("VM.set_is_a_template", vm, False)
    api.call("VM.start", vm, False, False)
    try:
        for r, codes in (("vm-operator", ("RBAC_PERMISSION_DENIED", "VM_MISSING_PV_DRIVERS")),
                         ("vm-admin", ("VM_MISSING_PV_DRIVERS", "VM_MISSING_PV_DRIVERS"))):
            for fn, code in zip(("exec", "ping"), codes):
                error = users[r].fails("VM.call_plugin", vm, "guest-agent-operation", fn, {"path": "/bin/true"})
                assert error.code == code, (r, fn, error)
    finally:
        api.call("VM.hard_shutdown", vm)
        api.call("VM.destroy", vm)
