# SPDX-License-Identifier: Apache-2.0
"""Users of a directory: Debian's slapd, with logins, groups, roles, TLS, and what happens when it is away."""
import os
import subprocess
import tempfile
import time

import pytest

import conftest
import wire
from slapd import Slapd
from test_roles import role

LIMIT = 60


@pytest.fixture(scope="module")
def slapd():
    with tempfile.TemporaryDirectory(prefix="slapd-") as directory:
        server = Slapd(directory).start()
        yield server
        server.stop()


def config(slapd, **more):
    return dict({"uri": slapd.uri, "user": "cn=reader,dc=example,dc=com", "pass": "read it", "user_attribute": "uid",
                 "id_attribute": "entryUUID"}, **more)


@pytest.fixture
def enabled(daemon, api, slapd):
    api.call("pool.enable_external_auth", api.pool(), config(slapd), "example.com", "AD")
    yield
    api.call("pool.disable_external_auth", api.pool())
    for s in api.call("subject.get_all"):
        api.call("subject.destroy", s)


def login(daemon, user, password):
    return wire.Api(*daemon.host_port()).login(user, password)


def refused(daemon, user, password):
    with wire.Api(*daemon.host_port()) as client, pytest.raises(wire.ApiError) as e:
        client.login(user, password)
    return e.value.code


def add(api, name, *roles):
    sid = api.call("auth.get_subject_identifier", name)
    info = api.call("auth.get_subject_information_from_identifier", sid)
    subject = api.call("subject.create", {"subject_identifier": sid, "other_config": info})
    for r in api.call("subject.get_roles", subject):
        api.call("subject.remove_from_roles", subject, r)
    for r in roles:
        api.call("subject.add_to_roles", subject, role(api, r))
    return subject


def test_disabled(daemon, api):
    for call in ("get_subject_identifier", "get_subject_information_from_identifier", "get_group_membership"):
        assert api.fails("auth." + call, "x").code == "AUTH_IS_DISABLED"
    assert refused(daemon, "ann", "ann's word") == "SESSION_AUTHENTICATION_FAILED"
    api.call("pool.disable_external_auth", api.pool())  # nothing to do


def test_enable_and_disable(api, slapd):
    pool, host = api.pool(), api.call("host.get_all")[0]

    def wrong(code, kind="AD", service="example.com", **more):
        error = api.fails("pool.enable_external_auth", pool, config(slapd, **more), service, kind)
        assert error.code == "POOL_AUTH_ENABLE_FAILED" + code and error.params[0] == host, error
        error = api.fails("host.enable_external_auth", host, config(slapd, **more), service, kind)
        assert error.code.replace("AUTH_SETUP", "AUTH_ENABLE_FAILED_SETUP") == "AUTH_ENABLE_FAILED" + code, error

    assert api.fails("pool.enable_external_auth", pool, {}, "example.com", "NIS").code == "AUTH_UNKNOWN_TYPE"
    wrong("", service="")
    wrong("", uri="http://127.0.0.1")
    wrong("", tls="maybe")
    wrong("", user_attribute="uid)(x")
    wrong("", revalidate="0")
    wrong("", colour="blue")
    wrong("_WRONG_CREDENTIALS", **{"pass": "guess"})
    wrong("_UNAVAILABLE", uri="ldapi://%2fnonexistent%2fsocket")
    wrong("_DOMAIN_LOOKUP_FAILED", base="dc=elsewhere,dc=com")
    wrong("_INVALID_TRUSTED_CERTS", ca="no certificate")
    assert (api.call("host.get_external_auth_type", host), api.call("secret.get_all")) == ("", [])
    api.call("pool.enable_external_auth", pool, config(slapd), "example.com", "AD")
    assert api.call("host.get_external_auth_type", host) == "AD"
    assert api.call("host.get_external_auth_service_name", host) == "example.com"
    shown = api.call("host.get_external_auth_configuration", host)
    assert "pass" not in shown and "read it" not in str(api.call("host.get_record", host))
    secret = api.call("secret.get_by_uuid", shown["pass_secret"])
    assert api.call("secret.get_value", secret) == "read it"
    error = api.fails("pool.enable_external_auth", pool, config(slapd), "example.com", "AD")
    assert (error.code, error.params) == ("POOL_AUTH_ALREADY_ENABLED", [host])
    error = api.fails("host.enable_external_auth", host, config(slapd), "example.com", "AD")
    assert (error.code, error.params) == ("AUTH_ALREADY_ENABLED", ["AD", "example.com"])
    api.call("host.disable_external_auth", host)
    assert api.call("host.get_external_auth_configuration", host) == {} and api.call("secret.get_all") == []
    for bad in (0, 9):
        assert api.fails("pool.set_ext_auth_max_threads", pool, bad).code == "VALUE_NOT_SUPPORTED"
    api.call("pool.set_ext_auth_max_threads", pool, 4)
    assert api.call("pool.get_ext_auth_max_threads", pool) == 4


def test_who_is_who(api, enabled):
    ann = api.call("auth.get_subject_identifier", "ann")
    assert {api.call("auth.get_subject_identifier", n) for n in ("ann@example.com", "EXAMPLE\\ann", "Ann")} == {ann}
    info = api.call("auth.get_subject_information_from_identifier", ann)
    assert info["subject-name"] == "ann" and info["subject-sid"] == ann and info["subject-is-group"] == "false"
    assert (info["subject-displayname"], info["subject-upn"]) == ("Ann One", "ann@example.com")
    group = api.call("auth.get_subject_identifier", "operators")
    assert api.call("auth.get_subject_information_from_identifier", group)["subject-is-group"] == "true"
    everybody = api.call("auth.get_subject_identifier", "everybody (all)")
    bob = api.call("auth.get_subject_identifier", "bob")
    circle = api.call("auth.get_subject_identifier", "circle")
    assert sorted(api.call("auth.get_group_membership", bob)) == sorted([group, everybody, circle])
    assert api.call("auth.get_group_membership", ann) == []
    for name in ("nobody", "*", "ann*", "ann)(uid=*", "ann@elsewhere.com", "OTHER\\ann", "", "a" * 3000):
        assert api.fails("auth.get_subject_identifier", name).code == "SUBJECT_CANNOT_BE_RESOLVED", name
    assert api.fails("auth.get_group_membership", "*").code == "SUBJECT_CANNOT_BE_RESOLVED"


def test_login_and_roles(daemon, api, enabled):
    assert refused(daemon, "ann", "ann's word") == "SESSION_AUTHORIZATION_FAILED"  # known there, no role here
    subject = add(api, "ann", "vm-operator")
    for user, password in (("ann", ""), ("ann", "bob's word"), ("nobody", "x"), ("*", "ann's word"), ("operators", "")):
        assert refused(daemon, user, password) == "SESSION_AUTHENTICATION_FAILED", user
    with login(daemon, "ann", "ann's word") as ann:
        record = ann.call("session.get_record", ann.session)
        assert record["subject"] == subject and record["auth_user_name"] == "ann"
        assert record["auth_user_sid"] == api.call("subject.get_subject_identifier", subject)
        assert record["is_local_superuser"] is False
        assert ann.fails("VM.start").code == "MESSAGE_PARAMETER_COUNT_MISMATCH"
        assert ann.fails("VM.destroy").code == "RBAC_PERMISSION_DENIED"
        assert ann.fails("session.change_password", "a", "b").code == "RBAC_PERMISSION_DENIED"
        assert api.call("session.get_all_subject_identifiers") == [record["auth_user_sid"]]
        with login(daemon, "EXAMPLE\\ann", "ann's word") as again:
            assert again.call("session.get_auth_user_sid", again.session) == record["auth_user_sid"]
            api.call("session.logout_subject_identifier", record["auth_user_sid"])
            for s in (ann, again):
                assert s.fails("VM.get_all").code == "SESSION_INVALID"
    assert api.call("session.get_all_subject_identifiers") == []
    assert "'s word" not in daemon.log_text() and "read it" not in daemon.log_text()


def test_roles_by_groups(daemon, api, enabled):
    everybody = add(api, "everybody (all)", "read-only")  # bob is in it through operators
    operators = add(api, "operators", "vm-admin")
    with login(daemon, "bob", "bob's word") as bob:
        assert bob.call("session.get_subject", bob.session) in (everybody, operators)
        assert bob.fails("VM.destroy").code == "MESSAGE_PARAMETER_COUNT_MISMATCH"
        assert bob.fails("host.destroy").code == "RBAC_PERMISSION_DENIED"
    assert refused(daemon, "eve", "eve's word") == "SESSION_AUTHORIZATION_FAILED"


def wait_until_gone(client):
    """Waits for events until the session ends."""
    until = time.monotonic() + LIMIT
    token = ""
    while time.monotonic() < until:
        try:
            token = client.call("event.from", ["pool"], token, 10.0)["token"]
        except wire.ApiError as e:
            assert e.code == "SESSION_INVALID"
            return
    raise AssertionError("the session goes on")


def test_whoever_is_gone_is_logged_out(daemon, api, slapd):
    api.call("pool.enable_external_auth", api.pool(), config(slapd, revalidate="1"), "example.com", "LDAP")
    add(api, "bob", "read-only")
    eve_subject = add(api, "eve", "read-only")
    with login(daemon, "bob", "bob's word") as bob, login(daemon, "eve", "eve's word") as eve:
        before = eve.call("session.get_validation_time", eve.session)
        until = time.monotonic() + LIMIT
        while eve.call("session.get_validation_time", eve.session) == before:
            assert time.monotonic() < until
            eve.call("event.from", ["task"], "", 0.2)
        slapd.modify("dn: uid=bob,dc=example,dc=com\nchangetype: delete\n")  # away for a moment, which ends nothing
        wait_until_gone(bob)
        assert eve.call("pool.get_all")
        for r in api.call("subject.get_roles", eve_subject):
            api.call("subject.remove_from_roles", eve_subject, r)
        wait_until_gone(eve)
    # A directory that is away lets nobody in, and the built-in user as ever.
    slapd.stop()
    assert refused(daemon, "ann", "ann's word") == "SESSION_AUTHENTICATION_FAILED"
    assert api.fails("auth.get_subject_identifier", "ann").code == "AUTH_SERVICE_ERROR"
    with daemon.api() as root:
        assert root.call("pool.get_all")
    slapd.start()
    assert api.call("auth.get_subject_identifier", "ann")
    api.call("pool.disable_external_auth", api.pool())
    for s in api.call("subject.get_all"):
        api.call("subject.destroy", s)


def test_tls(daemon, api, slapd):
    uri = "ldap://127.0.0.1:%d" % slapd.port()
    pool, pem = api.pool(), (slapd.dir / "cert.pem").read_text()
    error = api.fails("pool.enable_external_auth", pool, config(slapd, uri=uri), "example.com", "AD")
    assert error.code == "POOL_AUTH_ENABLE_FAILED_SETUP_TLS_CONNECTION"  # not a certificate that the system trusts
    api.call("pool.enable_external_auth", pool, config(slapd, uri=uri, ca=pem), "example.com", "AD")
    assert api.call("auth.get_subject_identifier", "ann")
    api.call("pool.disable_external_auth", pool)
    api.call("pool.enable_external_auth", pool, config(slapd, uri=uri, tls="none"), "example.com", "AD")
    assert api.call("auth.get_subject_identifier", "ann")
    api.call("pool.disable_external_auth", pool)


def test_commands(daemon, api, slapd):
    def serai(*args):
        env = dict(os.environ, SERAI_SOCKET=daemon.unix)
        done = subprocess.run([str(conftest.BUILD / "serai"), *args], env=env, capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0, done
        return done.stdout.strip()

    serai("pool-enable-external-auth", "auth-type=AD", "service-name=example.com",
          *["config:%s=%s" % pair for pair in config(slapd).items()])
    uuid = serai("subject-add", "subject-name=ann")
    serai("subject-role-add", "uuid=" + uuid, "role-name=vm-operator")
    serai("subject-role-remove", "uuid=" + uuid, "role-name=pool-admin")
    with login(daemon, "ann", "ann's word") as ann:
        assert ann.fails("VM.destroy").code == "RBAC_PERMISSION_DENIED" and ann.call("VM.get_all") is not None
        serai("subject-remove", "subject-uuid=" + uuid)
        assert ann.fails("VM.get_all").code == "SESSION_INVALID"
    serai("pool-disable-external-auth")


def test_settings_outlive_a_crash(directory, slapd):
    daemon = conftest.Daemon(directory).start()
    with daemon.api() as api:
        api.call("pool.enable_external_auth", api.pool(), config(slapd), "example.com", "AD")
        add(api, "ann", "read-only")
    daemon.stop(9)
    daemon.start()
    with login(daemon, "ann", "ann's word") as ann:
        assert ann.call("VM.get_all") is not None and ann.fails("VM.start").code == "RBAC_PERMISSION_DENIED"
    assert daemon.stop()[0] == 0
