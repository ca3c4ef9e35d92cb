# SPDX-License-Identifier: Apache-2.0
"""Secrets, accounts of the old kind, subjects and roles as records; the password; nothing is restricted."""
import conftest
import wire

ROLES = ["pool-admin", "pool-operator", "vm-power-admin", "vm-admin", "vm-operator", "read-only"]


def role(api, name):
    return api.call("role.get_by_name_label", name)[0]


def test_secrets(daemon, api):
    secret = api.call("secret.create", {"value": "hunter2", "other_config": {"a": "b"}})
    record = api.call("secret.get_record", secret)
    assert record == {"uuid": record["uuid"], "value": "hunter2", "other_config": {"a": "b"}}
    assert api.call("secret.get_by_uuid", record["uuid"]) == secret
    api.call("secret.set_value", secret, "hunter3")
    api.call("secret.add_to_other_config", secret, "c", "d")
    api.call("secret.remove_from_other_config", secret, "a")
    assert api.call("secret.get_value", secret) == "hunter3"
    assert api.call("secret.get_all_records")[secret]["other_config"] == {"c": "d"}
    # They are in no event.
    classes = {e["class"] for e in api.call("event.from", ["*"], "", 0.0)["events"]}
    assert "pool" in classes and not {"secret", "user", "session"} & classes
    assert "hunter" not in daemon.log_text()
    api.call("secret.destroy", secret)
    assert api.fails("secret.get_record", secret).code == "HANDLE_INVALID"
    assert api.fails("secret.create", {"other_config": {}}).code == "FIELD_TYPE_ERROR"


def test_users_of_the_old_kind(api):
    user = api.call("user.create", {"short_name": "joe", "fullname": "Joe", "other_config": {}})
    api.call("user.set_fullname", user, "Joe Public")
    assert api.call("user.get_record", user)["fullname"] == "Joe Public"
    assert api.call("user.get_short_name", user) == "joe"
    assert api.call("user.get_by_uuid", api.call("user.get_uuid", user)) == user
    api.call("user.destroy", user)
    assert api.fails("user.get_record", user).code == "HANDLE_INVALID"


def test_subjects(api):
    subject = api.call("subject.create", {"subject_identifier": "S-1-5-21-1", "other_config": {"subject-name": "joe"}})
    assert api.call("subject.get_roles", subject) == [role(api, "pool-admin")]
    assert api.fails("subject.create", {"subject_identifier": "S-1-5-21-1"}).code == "SUBJECT_ALREADY_EXISTS"
    assert api.fails("subject.create", {"other_config": {}}).code == "SUBJECT_CANNOT_BE_RESOLVED"
    operator, reader = role(api, "vm-operator"), role(api, "read-only")
    assert api.fails("subject.add_to_roles", subject, role(api, "pool-admin")).code == "ROLE_ALREADY_EXISTS"
    assert api.fails("subject.remove_from_roles", subject, operator).code == "ROLE_NOT_FOUND"
    error = api.fails("subject.add_to_roles", subject, api.pool())
    assert (error.code, error.params) == ("HANDLE_INVALID", ["role", api.pool()])
    api.call("subject.add_to_roles", subject, operator)
    api.call("subject.remove_from_roles", subject, role(api, "pool-admin"))
    assert api.call("subject.get_roles", subject) == [operator]
    names = api.call("subject.get_permissions_name_label", subject)
    assert sorted(names) == sorted(api.call("role.get_permissions_name_label", operator))
    api.call("subject.add_to_roles", subject, reader)
    assert set(api.call("subject.get_permissions_name_label", subject)) == set(names)  # a reader may do less
    api.call("subject.destroy", subject)
    assert api.fails("subject.get_record", subject).code == "HANDLE_INVALID"


def test_permissions(api):
    names = {r: api.call("role.get_permissions_name_label", role(api, r)) for r in ROLES}
    for r in ROLES:
        assert len(names[r]) == len(set(names[r])) > 100, r
    # A stronger role may do all that a weaker one may, and more.
    for strong, weak in zip(ROLES, ROLES[1:]):
        assert set(names[strong]) > set(names[weak]), (strong, weak)
    for name, weakest in (("vm.start", "vm-operator"), ("vm.get_record", "read-only"), ("vm.create", "vm-admin"),
                          ("subject.create", "pool-admin"), ("secret.get_value", "pool-operator"),
                          ("vm.add_to_other_config/key:folder", "vm-operator")):
        have = {api.call("role.get_name_label", r) for r in api.call("role.get_by_permission_name_label", name)}
        assert have == set(ROLES[:ROLES.index(weakest) + 1]), name
        assert [r for r in ROLES if name in names[r]] == ROLES[:ROLES.index(weakest) + 1]
    assert api.call("role.get_by_permission_name_label", "no.such") == []
    assert "session.change_password" not in names["pool-admin"]  # the built-in user's alone


def test_nothing_is_restricted(api):
    host, pool = api.call("host.get_all")[0], api.pool()
    restrictions = api.call("pool.get_restrictions", pool)
    assert len(restrictions) > 20 and set(restrictions.values()) == {"false"}
    params = api.call("host.get_license_params", host)
    assert {k: v for k, v in params.items() if k.startswith("restrict_")} == restrictions
    assert params["expiry"] > "2090" and api.call("host.get_edition", host) == "free"
    assert api.call("host.get_editions", host) == ["free"]
    assert api.call("pool.get_license_state", pool) == {"edition": "free", "expiry": "never"}
    for call, self in (("host.apply_edition", host), ("pool.apply_edition", pool)):
        api.call(call, self, "free")
        assert (api.fails(call, self, "premium").code, api.call("host.get_edition", host)) == ("INVALID_EDITION", "free")
    api.call("host.license_remove", host)


def test_subject_logout_spares_the_built_in_user(daemon, api):
    with daemon.api() as other:
        api.call("session.logout_subject_identifier", "")
        api.call("session.logout_subject_identifier", "S-1-5-21-9")
        assert other.call("session.get_uuid", other.session)


def test_change_password(directory):
    daemon = conftest.Daemon(directory).start()
    with daemon.api() as api:
        error = api.fails("session.change_password", "wrong", "new")
        assert error.code == "SESSION_AUTHENTICATION_FAILED"
        for bad in ("", "x" * 512, "two\nlines"):
            assert api.fails("session.change_password", conftest.PASSWORD, bad).code == "CHANGE_PASSWORD_REJECTED"
        assert api.bare("session.login_with_password", "root", conftest.PASSWORD)
        api.call("session.change_password", conftest.PASSWORD, "a new one")
        assert api.call("pool.get_all")  # this session goes on
    daemon.stop(9)
    daemon.start()
    with wire.Api(*daemon.host_port()) as api:
        api.login("root", "a new one")
        try:
            wire.Api(*daemon.host_port()).login("root", conftest.PASSWORD)
            raise AssertionError("the old password still works")
        except wire.ApiError as e:
            assert e.code == "SESSION_AUTHENTICATION_FAILED"
    assert (daemon.dir / "password").stat().st_mode & 0o777 == 0o600
    assert "a new one" not in daemon.log_text()
    assert daemon.stop()[0] == 0


def test_subjects_of_the_system(api):
    """Users and groups of the host need no directory: what they may is settled before the first of them logs in."""
    for id_, group in (("local:alice", "false"), ("local-group:makers", "true")):
        assert api.call("auth.get_subject_identifier", id_) == id_
        info = api.call("auth.get_subject_information_from_identifier", id_)
        assert (info["subject-name"], info["subject-is-group"]) == (id_.split(":")[1], group)
        assert api.call("auth.get_group_membership", id_) == []
        ref = api.call("subject.create", {"subject_identifier": id_, "other_config": info})
        api.call("subject.destroy", ref)
    assert api.fails("auth.get_subject_identifier", "alice").code == "AUTH_IS_DISABLED"
    assert api.fails("auth.get_subject_identifier", "local:").code == "AUTH_IS_DISABLED"
