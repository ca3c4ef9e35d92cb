# SPDX-License-Identifier: Apache-2.0
"""Every explicit message of every class with what must be refused: wrong counts, wrong types, objects that are not there.
What is not written yet says so with one code."""
import facts
import wire

EXPLICIT = [m for of_class in facts.MESSAGES.values() for m in of_class.values()
            if not m.implicit and not m.removed and not m.no_session]
ENDS_THE_SESSION = ("session.logout", "session.local_logout")


def refusal(api, m, args):
    """The error's code, or None. Never a bug's code, never the loss of the session."""
    try:
        api.call(m.call, *args)
        return None
    except wire.ApiError as e:
        assert e.code not in ("INTERNAL_ERROR", "SESSION_INVALID", "MESSAGE_METHOD_UNKNOWN"), (m.call, args, e)
        return e.code


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


def test_they_are_listed(api):
    names = set(api.bare("system.listMethods"))
    assert len(EXPLICIT) > 400
    assert not [m.call for m in EXPLICIT if m.call not in names]


def test_wrong_count(api):
    for m in EXPLICIT:
        args = [strange(t) for t in m.types] + ["more"]
        error = api.fails(m.call, *args)
        assert error.code == "MESSAGE_PARAMETER_COUNT_MISMATCH", m.call
        assert error.params == [m.call, str(len(args)), str(len(args) + 1)], m.call


def test_wrong_types(api):
    for m in EXPLICIT:
        for i, t in enumerate(m.types):
            for wrong in facts.bad(t):
                args = [strange(u) for u in m.types]
                args[i] = wrong
                assert refusal(api, m, args) is not None, "%s took %r for a %s" % (m.call, wrong, t.text)


def test_objects_that_are_not_there(api):
    written = 0
    for m in EXPLICIT:
        if m.call in ENDS_THE_SESSION or not m.types or m.types[0].kind != "ref":
            continue
        code = refusal(api, m, [strange(t) for t in m.types])
        assert code is not None, m.call
        if m.types[0].name == m.cls:
            assert code == "HANDLE_INVALID", (m.call, code)
        written += code != "NOT_IMPLEMENTED"
    assert written > 50
