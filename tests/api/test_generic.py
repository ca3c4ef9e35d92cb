# SPDX-License-Identifier: Apache-2.0
"""Every implicit message of every class with right, wrong-typed and wrongly counted arguments."""
import pytest

import facts
import wire

NOT_TYPES = ("INTERNAL_ERROR", "NOT_IMPLEMENTED", "MESSAGE_METHOD_UNKNOWN", "SESSION_INVALID")
LIVING = [m for m in facts.IMPLICIT if not m.removed]


@pytest.fixture(scope="module")
def refs(api):
    """class -> some object of it, where there is one."""
    found = {}
    api.new_vm("generic")
    for cls, messages in facts.MESSAGES.items():
        if "get_all" in messages and messages["get_all"].implicit and not messages["get_all"].removed:
            found[cls] = next(iter(api.call(cls + ".get_all")), None)
    return found


def outcome(api, method, args):
    """The error's code, or None."""
    try:
        api.call(method, *args)
        return None
    except wire.ApiError as e:
        assert e.code not in NOT_TYPES, "%s%r: %s %s" % (method, args, e.code, e.params)
        return e.code


def test_there_are_all(api):
    assert len(facts.IMPLICIT) == 1349
    names = set(api.bare("system.listMethods"))
    assert not [m.call for m in LIVING if m.call not in names]


def test_removed_messages_say_so(api):
    for m in facts.IMPLICIT:
        if m.removed:
            args = [facts.good(t, {}) for t in m.types]
            assert api.fails(m.call, *args).code == "MESSAGE_REMOVED", m.call


def test_getters_answer(api, refs):
    """Every getter of a class that has an object answers; on one that has none it says HANDLE_INVALID."""
    for m in LIVING:
        if not m.name.startswith("get_"):
            continue
        code = outcome(api, m.call, [facts.good(t, refs) for t in m.types])
        if m.name == "get_by_uuid":
            assert code == "UUID_INVALID", m.call
        elif m.types and m.types[0].kind == "ref":
            assert code == (None if refs.get(m.cls) else "HANDLE_INVALID"), m.call
        else:
            assert code is None, m.call


def test_unknown_objects(api):
    for m in LIVING:
        if m.types and m.types[0].kind == "ref":
            ref = facts.some_ref()
            error = api.fails(m.call, ref, *[facts.good(t, {}) for t in m.types[1:]])
            assert error.code == "HANDLE_INVALID" and error.params == [m.cls, ref], (m.call, error)


def test_wrong_types(api, refs):
    for m in LIVING:
        for i, t in enumerate(m.types):
            for wrong in facts.bad(t):
                args = [facts.good(u, refs) for u in m.types]
                args[i] = wrong
                assert outcome(api, m.call, args) is not None, "%s took %r for a %s" % (m.call, wrong, t.text)


def test_wrong_count(api, refs):
    for m in LIVING:
        args = [facts.good(t, refs) for t in m.types]
        for wrong in ([args[:-1]] if args else []) + [args + ["more"]]:
            error = api.fails(m.call, *wrong)
            assert error.code == "MESSAGE_PARAMETER_COUNT_MISMATCH", m.call
            assert error.params == [m.call, str(len(args) + 1), str(len(wrong) + 1)], m.call


def test_writing_back_what_is_there(api, refs):
    """set_X with the value that get_X gave is accepted, and makes no event."""
    token = api.call("event.from", ["*"], "", 0.0)["token"]
    for m in LIVING:
        if m.name.startswith("set_") and refs.get(m.cls):
            value = api.call("%s.get_%s" % (m.cls, m.name[4:]), refs[m.cls])
            assert outcome(api, m.call, [refs[m.cls], value]) is None, m.call
    events = api.call("event.from", ["*"], token, 0.0)["events"]
    assert not [(e["class"], e["operation"]) for e in events if e["class"] not in ("host_metrics", "task")]


def test_maps(api):
    pool = api.pool()
    api.call("pool.remove_from_other_config", pool, "k")
    api.call("pool.add_to_other_config", pool, "k", "v")
    error = api.fails("pool.add_to_other_config", pool, "k", "w")
    assert error.code == "MAP_DUPLICATE_KEY" and error.params == ["pool", "other_config", pool, "k"]
    assert api.call("pool.get_other_config", pool)["k"] == "v"
    api.call("pool.remove_from_other_config", pool, "k")
    api.call("pool.remove_from_other_config", pool, "k")
    assert "k" not in api.call("pool.get_other_config", pool)
    keep = api.call("pool.get_other_config", pool)
    api.call("pool.set_other_config", pool, {"a": "1", "b": ""})
    assert api.call("pool.get_other_config", pool) == {"a": "1", "b": ""}
    api.call("pool.set_other_config", pool, keep)


def test_sets(api):
    pool = api.pool()
    api.call("pool.set_tags", pool, ["x"])
    api.call("pool.add_tags", pool, "y")
    api.call("pool.add_tags", pool, "y")
    assert sorted(api.call("pool.get_tags", pool)) == ["x", "y"]
    api.call("pool.remove_tags", pool, "x")
    api.call("pool.remove_tags", pool, "x")
    assert api.call("pool.get_tags", pool) == ["y"]
    api.call("pool.set_tags", pool, [])


def test_text_survives(api):
    pool = api.pool()
    before = api.call("pool.get_name_description", pool)
    for text in ("", " ", "<&>\"'", "\u00e4\u6f22\U0001f600", "a\nb\tc", "x" * 60000):
        api.call("pool.set_name_description", pool, text)
        assert api.call("pool.get_name_description", pool) == text
        assert api.call("pool.get_record", pool)["name_description"] == text
    api.call("pool.set_name_description", pool, before)


def test_names_and_uuids(api):
    vm = api.new_vm("a name of its own")
    uuid = api.call("VM.get_uuid", vm)
    assert api.call("VM.get_by_uuid", uuid) == vm
    assert api.call("VM.get_by_name_label", "a name of its own") == [vm]
    assert api.call("VM.get_by_name_label", "no such name") == []
    error = api.fails("VM.get_by_uuid", "00000000-0000-0000-0000-000000000000")
    assert error.code == "UUID_INVALID" and error.params[0] == "VM"
    # The same by the underscore name.
    assert api.call("VM_get_by_uuid", uuid) == vm


def test_records_are_whole_and_alike(api):
    """One record by every way is the same, and all of a class have the same keys, none of them null."""
    for cls, messages in facts.MESSAGES.items():
        if "get_all_records" not in messages or not messages["get_all_records"].implicit or \
                messages["get_all_records"].removed:
            continue
        records = api.call(cls + ".get_all_records")
        assert sorted(records) == sorted(api.call(cls + ".get_all"))
        keys = {tuple(sorted(r)) for r in records.values()}
        assert len(keys) <= 1, cls
        for ref, record in records.items():
            assert None not in record.values(), cls
            assert set(record) == set(facts.FIELDS[cls]), cls


def test_create_and_destroy(api):
    net = api.call("network.create", {"name_label": "n", "name_description": "", "MTU": "1400", "other_config": {},
                                      "VIFs": ["nonsense that is not ours to give"][:0], "tags": ["t"]})
    record = api.call("network.get_record", net)
    assert record["name_label"] == "n" and record["MTU"] == 1400 and record["tags"] == ["t"] and record["uuid"]
    api.call("network.destroy", net)
    error = api.fails("network.get_record", net)
    assert error.code == "HANDLE_INVALID" and error.params == ["network", net]


def test_dangling_references_are_refused(api):
    vm = api.new_vm("no dangling")
    error = api.fails("VM.set_affinity", vm, facts.some_ref())
    assert error.code == "HANDLE_INVALID" and error.params[0] == "host"
    error = api.fails("VM.set_affinity", vm, api.pool())  # an object, but of another class
    assert error.code == "HANDLE_INVALID" and error.params[0] == "host"
    record = api.call("VM.get_record", vm)
    count = len(api.call("VM.get_all"))
    error = api.fails("VM.create", dict(record, affinity=facts.some_ref()))
    assert error.code == "HANDLE_INVALID" and error.params[0] == "host"
    assert len(api.call("VM.get_all")) == count


def test_unknown_methods(api):
    for name in ("VM.no_such_call", "NoClass.get_all", "VM", "Async.VM.get_all_records", "Async.VM"):
        assert api.fails(name).code == "MESSAGE_METHOD_UNKNOWN", name
