# SPDX-License-Identifier: Apache-2.0
"""Python's own XML-RPC client, as XenAPI.py and scripts use it."""
import xmlrpc.client

import pytest

import facts
import wire
from conftest import PASSWORD


class Caller:
    """What XenAPI.py does: take the Value, raise the ErrorDescription."""

    def __init__(self, url, **options):
        self.server = xmlrpc.client.ServerProxy(url, **options)
        self.session = self.raw("session.login_with_password", "root", PASSWORD, "1.0", "test")

    def raw(self, method, *params):
        got = self.server
        for part in method.split("."):
            got = getattr(got, part)
        got = got(*params)
        if got["Status"] == "Success":
            return got["Value"]
        assert got["Status"] == "Failure"
        raise wire.ApiError(*got["ErrorDescription"])

    def __call__(self, method, *params):
        return self.raw(method, self.session, *params)


@pytest.fixture(scope="module", params=["http", "https"])
def caller(request, daemon):
    if request.param == "http":
        return Caller(daemon.http)
    return Caller(daemon.https, context=wire.insecure_tls())


def test_list_methods(caller):
    names = caller.server.system.listMethods()
    assert "pool.get_all_records" in names


def test_every_class_parses_and_agrees_with_json(caller, api):
    """All records of all classes by XML-RPC; strings and structure as by JSON-RPC."""
    n = 0
    for name in caller.server.system.listMethods():
        if not name.endswith(".get_all_records"):
            continue
        try:
            xml, json = caller(name), api.call(name)
        except wire.ApiError as e:
            assert e.code == "NOT_IMPLEMENTED" and not facts.MESSAGES[name.split(".")[0]]["get_all_records"].implicit
            continue
        assert set(xml) == set(json), name
        for ref in xml:
            assert set(xml[ref]) == set(json[ref])
            for field, value in json[ref].items():
                got = xml[ref][field]
                if isinstance(value, str) and not isinstance(got, xmlrpc.client.DateTime):
                    assert got == value, (name, field)
                elif isinstance(value, bool):
                    assert got is value
                elif isinstance(value, int):
                    assert got in (str(value), float(value)), (name, field)
                elif isinstance(value, (list, dict)):
                    assert len(got) == len(value), (name, field)
            n += 1
    assert n > 20


def test_types_both_ways(caller):
    vm = caller("VM.clone", caller("VM.get_by_name_label", "Other install media")[0], "xml \u00e4\u6f22 <&>")
    record = caller("VM.get_record", vm)
    assert record["name_label"] == "xml \u00e4\u6f22 <&>" and record["is_a_template"] in (True, False)
    caller("VM.set_user_version", vm, "7")
    assert caller("VM.get_user_version", vm) == "7"
    caller("VM.set_user_version", vm, 8)  # <int>
    assert caller("VM.get_user_version", vm) == "8"
    caller("VM.set_other_config", vm, {"a": "b"})
    assert caller("VM.get_other_config", vm) == {"a": "b"}
    caller("VM.set_tags", vm, ["x", "y"])
    assert sorted(caller("VM.get_tags", vm)) == ["x", "y"]
    caller("VM.destroy", vm)


def test_events(caller):
    batch = caller("event.from", ["*"], "", 0.0)
    assert batch["events"] and batch["token"]
    assert all(type(n) is int for n in batch["valid_ref_counts"].values())
    pool = caller("pool.get_all")[0]
    caller("pool.add_to_other_config", pool, "xml", "event")
    batch = caller("event.from", ["pool"], batch["token"], 10.0)
    assert batch["events"][-1]["snapshot"]["other_config"]["xml"] == "event"
    caller("pool.remove_from_other_config", pool, "xml")


def test_failures(caller):
    with pytest.raises(wire.ApiError) as e:
        caller("VM.get_record", "OpaqueRef:00000000-0000-4000-8000-000000000000")
    assert e.value.code == "HANDLE_INVALID" and e.value.params[0] == "VM"
    with pytest.raises(wire.ApiError) as e:
        caller("VM.get_all", "too", "many")
    assert e.value.code == "MESSAGE_PARAMETER_COUNT_MISMATCH" and e.value.params == ["VM.get_all", "1", "3"]
