# SPDX-License-Identifier: Apache-2.0
"""Logging in and out, and what a bad session may learn: nothing."""
import base64

import pytest

import wire
from conftest import PASSWORD


@pytest.fixture
def fresh(daemon):
    with wire.Api(*daemon.host_port()) as client:
        yield client


@pytest.mark.parametrize("more", [(), ("2.21",), ("2.21", "a test")])
def test_login_with_two_to_four(fresh, more):
    fresh.login("root", PASSWORD, *more)
    me = fresh.session
    record = fresh.call("session.get_record", me)
    assert record["is_local_superuser"] is True and record["this_host"] == fresh.call("host.get_all")[0]
    if len(more) == 2:
        assert record["originator"] == "a test"
    fresh.call("session.logout")
    assert fresh.fails("pool.get_all").code == "SESSION_INVALID"


@pytest.mark.parametrize("user,password", [("root", ""), ("root", PASSWORD + "x"), ("root", PASSWORD + "\n"),
                                           ("", PASSWORD), ("nobody", PASSWORD), ("root\x01", PASSWORD)])
def test_wrong_passwords(fresh, user, password):
    with pytest.raises(wire.ApiError) as e:
        fresh.login(user, password)
    assert e.value.code == "SESSION_AUTHENTICATION_FAILED" and e.value.params[0] == user


def test_wrong_count(fresh):
    for n in (0, 1, 5):
        with pytest.raises(wire.ApiError) as e:
            fresh.bare("session.login_with_password", *["x"] * n)
        assert e.value.code == "MESSAGE_PARAMETER_COUNT_MISMATCH"
        assert e.value.params == ["session.login_with_password", "4", str(n)]


@pytest.mark.parametrize("session", ["", "x", "OpaqueRef:NULL", "OpaqueRef:00000000-0000-4000-8000-000000000000"])
def test_bad_sessions_come_first(fresh, session):
    """Whatever else is wrong with the call: the session is looked at first."""
    fresh.session = session
    for call in (("VM.get_all",), ("VM.no_such_call",), ("VM.start", 1), ("VM.get_record", "nonsense"), ("No.class",)):
        error = fresh.fails(*call)
        assert error.code == "SESSION_INVALID", call
    assert error.params == [session]


@pytest.mark.parametrize("session", [None, 1, [], {}])
def test_sessions_of_wrong_type(fresh, session):
    fresh.session = session
    assert fresh.fails("VM.get_all").code == "SESSION_INVALID"


def test_another_class_is_no_session(fresh):
    fresh.login("root", PASSWORD)
    pool = fresh.pool()
    fresh.session = pool
    assert fresh.fails("VM.get_all").code == "SESSION_INVALID"


def test_sessions_are_shared_by_connections(daemon, fresh):
    fresh.login("root", PASSWORD)
    with wire.Api(*daemon.host_port()) as other:
        other.session = fresh.session
        assert other.call("host.get_all")


def test_basic_and_cookie_over_http(daemon, fresh):
    fresh.login("root", PASSWORD)
    path = "/export_raw_vdi?vdi=00000000-0000-0000-0000-000000000000"
    token = base64.b64encode(("root:" + PASSWORD).encode()).decode()
    wrong = base64.b64encode(b"root:wrong").decode()
    for headers, query, status in (
            ([], "", 401), ([("Authorization", "Basic " + wrong)], "", 401), ([], "&session_id=x", 401),
            ([("Cookie", "session_id=x")], "&session_id=" + fresh.session, 401),
            ([("Authorization", "Basic " + token)], "", 404), ([], "&session_id=" + fresh.session, 404),
            ([("Cookie", "a=b; session_id=%s" % fresh.session)], "", 404)):
        with daemon.connect() as raw:
            answer = raw.request("GET", path + query, headers=headers)
            assert answer.status == status, (headers, query)
            if status == 401:
                assert answer.headers["www-authenticate"].startswith('Basic realm="')
                assert raw.ended()


def test_no_secret_in_the_log(daemon, fresh):
    fresh.login("root", PASSWORD)
    with pytest.raises(wire.ApiError):
        fresh.bare("session.login_with_password", "root", "a wrong secret")
    fresh.call("session.logout")
    log = daemon.log_text()
    assert PASSWORD not in log and "a wrong secret" not in log and fresh.session not in log
