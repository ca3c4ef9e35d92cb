# SPDX-License-Identifier: Apache-2.0
"""Every message of every class, all 1,828 of them, with too many, too few and wrong arguments: the precise code each time."""
import pathlib
import sys

import facts
import wire

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "api"))
import idl  # noqa: E402

CALLS = {"%s.%s" % (cls.name, c.name): c for cls in idl.load().classes.values() for c in cls.calls}

ALL = [m for of_class in facts.MESSAGES.values() for m in of_class.values()]
ENDS_THE_SESSION = ("session.logout", "session.local_logout")


def answer(api, m, args):
    """(code, parameters), or None for a call that was served."""
    try:
        (api.bare if m.no_session else api.call)(m.call, *args)
        return None
    except wire.ApiError as e:
        assert e.code not in ("INTERNAL_ERROR", "SESSION_INVALID", "MESSAGE_METHOD_UNKNOWN"), (m.call, args, e)
        return e.code, e.params


def strange(t):
    """A value of the type that names nothing which exists."""
    if t.kind == "ref":
        return facts.some_ref()
    if t.kind == "set":
        return [strange(t.elem)]
    if t.kind == "map":
        return {str(strange(t.key)): strange(t.elem)}
    if t.kind == "option":
        return strange(t.elem)
    return facts.good(t, {})


def wanted(t, value):
    """The code for a value that is none of the type."""
    if t.kind in ("enum", "ref") and isinstance(value, str):
        return "INVALID_VALUE" if t.kind == "enum" else "HANDLE_INVALID"
    if t.kind == "option":
        return wanted(t.elem, value)
    if t.kind == "set" and isinstance(value, list) and value:
        return wanted(t.elem, value[0])
    if t.kind == "map" and isinstance(value, dict) and value:
        key, inner = list(value.items())[0]  # the key is looked at first
        return wanted(t.key, key) if t.key.kind != "string" else wanted(t.elem, inner)
    return "FIELD_TYPE_ERROR"


def test_there_are_so_many():
    assert len(ALL) == 1828


def test_too_many(api):
    for m in ALL:
        args = [strange(t) for t in m.types] + ["more"] * (3 if m.no_session else 1)
        code, params = answer(api, m, args)
        if m.removed and code == "MESSAGE_REMOVED":
            continue
        assert code == "MESSAGE_PARAMETER_COUNT_MISMATCH", m.call
        assert params == [m.call, str(len(args)), str(len(args) + 1)] or m.no_session, (m.call, params)


def test_none_at_all(api):
    """Nothing where the call needs something; defaults may make it a call."""
    needy = 0
    for m in ALL:
        if not m.types or m.call in ENDS_THE_SESSION or m.no_session:
            continue
        got = answer(api, m, [])
        if got and got[0] == "MESSAGE_PARAMETER_COUNT_MISMATCH":
            assert got[1][0] == m.call and got[1][2] == "1", (m.call, got)
            needy += 1
        else:
            assert m.removed or optional(m), (m.call, got)
    assert needy > 1300


def optional(m):
    """May all parameters be left out? The schema says so by their defaults."""
    return all(p.default is not None for p in CALLS[m.call].params)


def test_wrong_types(api):
    tried = 0
    for m in ALL:
        if m.no_session:
            continue
        for i, t in enumerate(m.types):
            for wrong in facts.bad(t):
                args = [strange(u) for u in m.types]
                args[i] = wrong
                got = answer(api, m, args)
                tried += 1
                assert got, "%s took %r for a %s" % (m.call, wrong, t.text)
                if not (m.removed and got[0] == "MESSAGE_REMOVED"):
                    assert got[0] == wanted(t, wrong), (m.call, i, wrong, got)
    assert tried > 5000


def test_the_session_is_checked_first(api):
    for m in ALL:
        if m.no_session:
            continue
        try:
            api.bare(m.call, facts.some_ref(), *[strange(t) for t in m.types])
            raise AssertionError(m.call)
        except wire.ApiError as e:
            assert e.code == "SESSION_INVALID" or (m.removed and e.code == "MESSAGE_REMOVED"), (m.call, e)
