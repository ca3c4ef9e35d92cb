# SPDX-License-Identifier: Apache-2.0
"""The API's facts, and values of its types, good and bad ones."""
import json
import pathlib
import uuid

SCHEMA = json.loads((pathlib.Path(__file__).parents[1] / "schema" / "xenapi.json").read_text())


class Message:
    """A message of a class; params: (name, type) without the session."""

    def __init__(self, cls, name, row):
        params, _, _, _, how, self.state = row[:6]
        self.cls, self.name, self.call = cls, name, "%s.%s" % (cls, name)
        self.types = [Type(t) for _, t in params]
        self.no_session = len(row) > 6
        self.implicit, self.removed = how == "implicit", self.state == "Removed"


class Type:
    """kind: string int float bool datetime enum ref record set map option void other."""

    def __init__(self, text):
        self.text = text.strip()
        t = self.text
        self.elem = self.key = None
        if t.endswith(" set"):
            self.kind, self.elem = "set", Type(strip(t[:-4]))
        elif t.endswith(" option"):
            self.kind, self.elem = "option", Type(strip(t[:-7]))
        elif t.endswith(" map"):
            key, value = split_arrow(strip(t[:-4]))
            self.kind, self.key, self.elem = "map", Type(key), Type(value)
        elif t.endswith(" ref"):
            self.kind, self.name = "ref", t[:-4]
        elif t.endswith(" record"):
            self.kind, self.name = "record", t[:-7]
        elif t.startswith("enum "):
            self.kind, self.name = "enum", t[5:]
        elif t in ("string", "int", "float", "bool", "datetime", "void"):
            self.kind = t
        else:
            self.kind = "other"


def strip(text):
    text = text.strip()
    return text[1:-1].strip() if text.startswith("(") and text.endswith(")") else text


def split_arrow(text):
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0 and text.startswith("->", i):
            return text[:i].strip(), strip(text[i + 2:])
    raise ValueError(text)


def enum_values(name):
    return list(SCHEMA["enums"][name])


def some_ref():
    return "OpaqueRef:%s" % uuid.uuid4()


def good(t, refs):
    """A value of that type; refs: class -> an existing object or None."""
    return {
        "string": lambda: "text", "int": lambda: 1, "float": lambda: 1.5, "bool": lambda: True,
        "datetime": lambda: "20260101T00:00:00Z", "enum": lambda: enum_values(t.name)[0],
        "ref": lambda: refs.get(t.name) or "OpaqueRef:NULL", "record": lambda: {},
        "set": lambda: [good(t.elem, refs)],
        "map": lambda: {str(good(t.key, refs)): good(t.elem, refs)},
        "option": lambda: good(t.elem, refs),
    }[t.kind]()


def bad(t):
    """Values that no type check may let through."""
    wrong = {
        "string": [{}, []], "int": ["x", {}, [], "1.5", 1.5, "9" * 30], "float": ["x", {}, []],
        "bool": ["maybe", {}, [], 7], "datetime": ["yesterday", {}, []],
        "enum": ["no such value", {}, []], "ref": ["no reference", {}, []],
        "record": ["x", [], 1], "set": ["x", {}, 1], "map": ["x", [], 1],
    }.get(t.kind, [])
    if t.kind in ("set", "option"):
        inner = [v for v in bad(t.elem)]
        wrong = wrong + ([[v] for v in inner] if t.kind == "set" else [])
    if t.kind == "map":
        wrong = wrong + [{"k": v} for v in bad(t.elem)]
    return wrong


FIELDS = {name: c["fields"] for name, c in SCHEMA["classes"].items()}
MESSAGES = {name: {m: Message(name, m, row) for m, row in c["messages"].items()}
            for name, c in SCHEMA["classes"].items()}
IMPLICIT = [m for of_class in MESSAGES.values() for m in of_class.values() if m.implicit]
