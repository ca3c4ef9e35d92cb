# SPDX-License-Identifier: Apache-2.0
"""The language of the schema files and their loader.

A schema file is data: calls of the names in VOCABULARY with literal arguments, nothing else. load()
reads all of them, checks everything that can be checked, and returns a Schema. README.md says how
to write one.
"""

import ast
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent

RO, CTOR, RW = "RO", "CTOR", "RW"
ACCESS_TEXT = {RO: "RO/runtime", CTOR: "RO/constructor", RW: "RW"}
LIVES = ("Published", "Prototyped", "Deprecated", "Removed")

# A role name stands for itself and all stronger ones; "+client-cert" adds the certificate role,
# which everything open to read-only has anyway.
ROLES = ("pool-admin", "pool-operator", "vm-power-admin", "vm-admin", "vm-operator", "read-only")
PLACES = ("any", "coordinator", "placement", "host:VM.resident_on", "host:PBD.host", "host:self")


class SchemaError(Exception):
    pass


def is_own(cls):
    """Whether a class is this product's, and not of the XenAPI."""
    return cls == "serai" or cls.startswith("serai_")


def roles_of(text):
    """The list of roles, strongest first, that a role text of the schema stands for."""
    if text == "nobody":
        return []
    name, plus, cert = text.partition("+")
    if name not in ROLES or (plus and cert != "client-cert"):
        raise SchemaError("unknown role " + text)
    out = list(ROLES[: ROLES.index(name) + 1])
    if name == "read-only":
        out.insert(-1, "client-cert")
    elif plus:
        out.append(cert)
    return out


class Type:
    """kind: void string int float bool datetime enum ref record set map option raw."""

    def __init__(self, kind, name=None, key=None, elem=None):
        self.kind, self.name, self.key, self.elem = kind, name, key, elem

    def text(self):
        """As the API reference writes it."""
        k = self.kind
        if k == "enum":
            return "enum " + self.name
        if k in ("ref", "record"):
            return self.name + " " + k
        if k in ("set", "option"):
            return self.elem.text() + " " + k
        if k == "map":
            return "(%s -> %s) map" % (self.key.text(), self.elem.text())
        return self.name or k

    def walk(self):
        yield self
        for part in (self.key, self.elem):
            if part:
                yield from part.walk()


Void, String, Int, Float = Type("void"), Type("string"), Type("int"), Type("float")
Bool, DateTime = Type("bool"), Type("datetime")
# Written by the call itself: nothing that a typed value can hold.
EventBatch, AnyRecord = Type("raw", "an event batch"), Type("raw", "<class> record")
NULL = "OpaqueRef:NULL"


def Enum(name):
    return Type("enum", name)


def Ref(cls):
    return Type("ref", cls)


def Record(cls):
    return Type("record", cls)


def Set(elem):
    return Type("set", elem=elem)


def RefSet(cls):
    return Set(Ref(cls))


def Map(key, elem):
    return Type("map", key=key, elem=elem)


def Option(elem):
    return Type("option", elem=elem)


class Node:
    def __init__(self, **members):
        self.__dict__.update(members)


def V(name, doc=""):
    return Node(name=name, doc=doc)


def F(name, type, access, life="Published", default=None, inverse=None, volatile=False, role=None,
      key_roles=None, unit=None, doc=""):
    return Node(name=name, type=type, access=access, life=life, default=default, inverse=inverse,
                volatile=volatile, role=role, key_roles=key_roles or {}, unit=unit, doc=doc)


def P(name, type, default=None, doc=""):
    return Node(name=name, type=type, default=default, doc=doc)


def Call(name, params=(), result=Void, role="read-only", life="Published", errors=(), op=None,
         on="any", async_=None, session=True, raw=False, doc=""):
    return Node(name=name, params=list(params), result=result, role=role, life=life, op=op, on=on,
                errors=list(errors), async_=async_, session=session, raw=raw, doc=doc,
                kind="EXPLICIT", field=None)


class Schema:
    def __init__(self):
        self.enums, self.classes, self.errors = {}, {}, {}
        self.not_yet, self.absent = {}, {}
        self.audit = Node(writes=[], reads=[], sessions=[], frees=[])
        self.secret = Node(params=[], fields=[], keys=[])
        self.commands = {}
        self.param_docs = {}

    # What the schema files may call at their top level.

    def EnumDef(self, name, values, doc=""):
        if name in self.enums:
            raise SchemaError("enum %s twice" % name)
        self.enums[name] = Node(name=name, values=values, doc=doc)

    def Class(self, name, life="Published", role="pool-operator", read="read-only", roles=None,
              kind="object", get_all=True, by_name=True, create=False, accessors=True,
              volatile=False, untracked=False, async_=True, doc="", fields=(), calls=()):
        if name.lower() in (c.lower() for c in self.classes):
            raise SchemaError("class %s twice" % name)
        if kind not in ("object", "struct"):
            raise SchemaError("class %s: kind %s" % (name, kind))
        self.classes[name] = Node(
            name=name, life=life, role=role, read=read, roles=roles or {}, kind=kind, get_all=get_all,
            by_name=by_name, create=create, accessors=accessors and kind == "object",
            volatile=volatile, untracked=untracked, async_=async_, doc=doc, fields=list(fields),
            explicit=list(calls))

    def E(self, code, params=(), doc="", hint=None):
        if code in self.errors or not re.fullmatch(r"[A-Z][A-Z0-9_]*", code):
            raise SchemaError("error %s: twice, or not upper case" % code)
        self.errors[code] = Node(code=code, params=list(params), doc=doc, hint=hint, command=None)

    def COMMANDS(self, commands):
        self.commands = commands

    def NOT_YET(self, part, what, names):
        for name in names:
            if name in self.not_yet:
                raise SchemaError("todo.py names %s twice" % name)
            self.not_yet[name] = Node(part=part, what=what)

    def ABSENT(self, code, params, reason, calls):
        for name in calls:
            if name in self.absent:
                raise SchemaError("absent.py names %s twice" % name)
            self.absent[name] = Node(code=code, params=list(params), reason=reason)

    def AUDIT(self, writes, reads, sessions, frees):
        self.audit = Node(writes=writes, reads=reads, sessions=sessions, frees=frees)

    def PARAMS(self, sentences):
        self.param_docs.update(sentences)

    def SECRET(self, params, fields, keys):
        self.secret = Node(params=params, fields=fields, keys=keys)


def implicit_calls(cls):
    """The messages that follow from a class and its fields."""
    if not cls.accessors:
        return
    me, ref, rec = P("self", Ref(cls.name)), Ref(cls.name), Record(cls.name)
    names = {f.name for f in cls.fields}

    def make(kind, name, params, result, role, life=cls.life, field=None, async_=False):
        call = Call(name, params, result, cls.roles.get(name, role), life=life, async_=async_,
                    doc=None)
        call.kind, call.field = kind, field
        return call

    if cls.get_all:
        yield make("GET_ALL", "get_all", [], Set(ref), cls.read)
        yield make("GET_ALL_RECORDS", "get_all_records", [], Map(ref, rec), cls.read)
    yield make("GET_RECORD", "get_record", [me], rec, cls.read)
    if "uuid" in names:
        yield make("GET_BY_UUID", "get_by_uuid", [P("uuid", String)], ref, cls.read)
    if "name_label" in names and cls.by_name:
        yield make("GET_BY_NAME_LABEL", "get_by_name_label", [P("label", String)], Set(ref), cls.read)
    if cls.create:
        yield make("CREATE", "create", [P("args", rec)], ref, cls.role, async_=True)
        yield make("DESTROY", "destroy", [me], Void, cls.role, async_=True)
    for f in cls.fields:
        yield make("GET_FIELD", "get_" + f.name, [me], f.type, cls.read, f.life, f)
        if f.access != RW:
            continue
        role = f.role or cls.role
        yield make("SET_FIELD", "set_" + f.name, [me, P("value", f.type)], Void, role, f.life, f)
        if f.type.kind == "map":
            key, val = P("key", f.type.key), P("value", f.type.elem)
            yield make("ADD_TO", "add_to_" + f.name, [me, key, val], Void, role, f.life, f)
            yield make("REMOVE_FROM", "remove_from_" + f.name, [me, key], Void, role, f.life, f)
        if f.type.kind == "set":
            val = P("value", f.type.elem)
            yield make("ADD", "add_" + f.name, [me, val], Void, role, f.life, f)
            yield make("REMOVE", "remove_" + f.name, [me, val], Void, role, f.life, f)


def fits(schema, t, v):
    """Whether the literal v is a value of type t."""
    k = t.kind
    if k in ("string", "datetime", "ref", "enum"):
        if not isinstance(v, str):
            return False
        if k == "enum":
            return v in (x.name for x in schema.enums[t.name].values)
        if k == "datetime":
            return re.fullmatch(r"\d{8}T\d\d:\d\d:\d\dZ", v) is not None
        return k == "string" or v.startswith("OpaqueRef:")
    if k == "bool":
        return isinstance(v, bool)
    if k == "int":
        return isinstance(v, int) and not isinstance(v, bool)
    if k == "float":
        return isinstance(v, float)
    if k == "set":
        return isinstance(v, list) and all(fits(schema, t.elem, x) for x in v)
    if k == "map":
        return isinstance(v, dict) and all(
            fits(schema, t.key, a) and fits(schema, t.elem, b) for a, b in v.items())
    return False


class Checker:
    def __init__(self, schema):
        self.s, self.bad = schema, []

    def need(self, ok, fmt, *args):
        if not ok:
            self.bad.append(fmt % args)
        return ok

    def names(self, where, items):
        seen = set()
        for n in items:
            self.need(n not in seen, "%s: %s twice", where, n)
            seen.add(n)

    def type(self, where, t):
        ok = True
        for part in t.walk():
            if part.kind in ("ref", "record"):
                ok &= self.need(part.name in self.s.classes, "%s: no class %s", where, part.name)
            if part.kind == "enum":
                ok &= self.need(part.name in self.s.enums, "%s: no enum %s", where, part.name)
        return ok

    def role(self, where, text):
        try:
            roles_of(text)
        except SchemaError as e:
            self.bad.append("%s: %s" % (where, e))

    def field(self, cls, f):
        where = "%s.%s" % (cls.name, f.name)
        self.need(f.access in ACCESS_TEXT and f.life in LIVES, "%s: access or life", where)
        if not self.type(where, f.type):
            return
        if f.default is not None:
            self.need(fits(self.s, f.type, f.default), "%s: default %r", where, f.default)
        if f.role:
            self.role(where, f.role)
            self.need(f.access == RW, "%s: a role, but no setter", where)
        for r in f.key_roles.values():
            self.role(where, r)
        self.need(not f.key_roles or (f.type.kind == "map" and f.access == RW), "%s: key_roles", where)
        if f.inverse:
            other, _, name = f.inverse.partition(".")
            back = [x for x in self.s.classes[other].fields if x.name == name] \
                if other in self.s.classes else []
            self.need(f.type.text() == other + " ref set", "%s: inverse of another class", where)
            self.need(back and back[0].type.text() == cls.name + " ref" and f.access != RW,
                      "%s: %s is no reference back", where, f.inverse)

    def call(self, cls, c):
        where = "%s.%s" % (cls.name, c.name)
        self.need(c.life in LIVES and c.on in PLACES, "%s: life or place", where)
        self.role(where, c.role)
        self.type(where, c.result)
        self.names(where, [p.name for p in c.params])
        optional = False
        for p in c.params:
            if not self.type(where, p.type):
                continue
            self.need(p.default is not None or not optional, "%s: %s needs a default", where, p.name)
            if p.default is not None:
                optional = True
                self.need(fits(self.s, p.type, p.default), "%s: default of %s", where, p.name)
        for e in c.errors:
            self.need(e in self.s.errors, "%s: no error %s", where, e)
        if c.op:
            first = c.params[0].type if c.params else Void
            ops = [f.type.elem.name for k in self.s.classes.values() if k.name == first.name
                   for f in k.fields if f.name == "current_operations"]
            self.need(first.kind == "ref" and ops and c.op in (v.name for v in self.s.enums[ops[0]].values),
                      "%s: op %s is no operation of its first parameter", where, c.op)

    def absent(self, name, a):
        cls, _, what = name.partition(".")
        calls = [c for c in getattr(self.s.classes.get(cls), "explicit", []) if c.name == what]
        self.need(calls, "absent.py: no explicit call %s", name)
        error = self.s.errors.get(a.code)
        self.need(error and len(error.params) == len(a.params), "absent.py: %s: no error %s with %d parameters",
                  name, a.code, len(a.params))
        self.need(a.reason.endswith("."), "absent.py: %s: the reason is no sentence", name)
        for p in a.params:
            self.need(not p.startswith("@") or not calls or p[1:] in [q.name for q in calls[0].params],
                      "absent.py: %s has no parameter %s", name, p)

    def audit(self):
        calls = {"%s.%s" % (cls.name, c.name): c for cls in self.s.classes.values() for c in cls.calls}
        fields = {"%s.%s" % (cls.name, f.name) for cls in self.s.classes.values() for f in cls.fields}
        for n in self.s.audit.writes + self.s.audit.reads + self.s.audit.sessions:
            self.need(n in calls, "audit.py: no call %s", n)
        for n in self.s.secret.fields:
            self.need(n in fields, "audit.py: no field %s", n)
        for n in self.s.secret.params:
            call, _, param = n.rpartition(".")
            self.need(call in calls and param in (p.name for p in calls[call].params), "audit.py: no parameter %s", n)
        for k in self.s.secret.keys:
            self.need(k == k.lower(), "audit.py: key %s", k)

    def run(self):
        self.audit()
        for e in self.s.enums.values():
            self.names("enum " + e.name, [v.name for v in e.values])
            self.need(e.values and len(e.values) <= 64, "enum %s: 1 to 64 values", e.name)
        inverses = []
        for cls in self.s.classes.values():
            self.need(cls.life in LIVES, "%s: life", cls.name)
            self.names(cls.name, [f.name for f in cls.fields])
            self.names(cls.name + " calls", [c.name for c in cls.calls])
            for f in cls.fields:
                self.field(cls, f)
                inverses += [f.inverse] if f.inverse else []
            for c in cls.calls:
                self.call(cls, c)
            implicit = {c.name for c in cls.calls if c.kind != "EXPLICIT"}
            for n in cls.roles:
                self.need(n in implicit, "%s: no implicit message %s", cls.name, n)
        self.names("inverse", inverses)
        explicit = {"%s.%s" % (cls.name, c.name) for cls in self.s.classes.values()
                    for c in cls.explicit}
        for n in sorted(set(self.s.not_yet) - explicit):
            self.bad.append("todo.py: no explicit call " + n)
        for n in sorted(set(self.s.not_yet) & set(self.s.absent)):
            self.bad.append("%s is both absent and to do" % n)
        for n, a in self.s.absent.items():
            self.absent(n, a)
        for e in self.s.errors.values():
            for n in re.findall(r"\{(\d+)\}", e.doc + (e.hint or "") + (e.command or "")):
                self.need(int(n) < len(e.params), "error %s: no parameter {%s}", e.code, n)
        if self.bad:
            raise SchemaError("\n".join(self.bad))


VOCABULARY = {n: globals()[n] for n in (
    "RO", "CTOR", "RW", "NULL", "Void", "String", "Int", "Float", "Bool", "DateTime", "EventBatch",
    "AnyRecord", "Enum", "Ref", "Record", "Set", "RefSet", "Map", "Option", "V", "F", "P", "Call")}
TOP = ("EnumDef", "Class", "E", "NOT_YET", "ABSENT", "AUDIT", "SECRET", "COMMANDS", "PARAMS")
LITERAL = (ast.Constant, ast.List, ast.Dict, ast.Tuple, ast.Set, ast.Name, ast.Load, ast.Call,
           ast.keyword, ast.UnaryOp, ast.USub)


def param_doc(schema, cls, call, p):
    """What params.py says, else what follows from the type or from the field of that name."""
    fields = {f.name: f for f in cls.fields}
    own = schema.param_docs.get("%s.%s.%s" % (cls.name, call.name, p.name))
    field = fields.get(p.name) or (p.name == "value" and next(
        (fields[call.name[len(start):]] for start in ("set_", "add_to_", "remove_from_", "add_") if call.name.startswith(start)
         and call.name[len(start):] in fields), None))
    if own or (p.type.kind != "ref" and not field):
        return own or schema.param_docs.get(p.name, "")
    return field.doc if field else "The %s." % p.type.name


def run_file(schema, path):
    """Run a schema file after making sure that it is nothing but data."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    names = dict(VOCABULARY, __builtins__={}, **{n: getattr(schema, n) for n in TOP})
    for stmt in tree.body:
        if not isinstance(stmt, ast.Expr) or not isinstance(stmt.value, (ast.Call, ast.Constant)):
            raise SchemaError("%s:%d: only %s" % (path.name, stmt.lineno, ", ".join(TOP)))
        for node in ast.walk(stmt.value):
            if not isinstance(node, LITERAL):
                raise SchemaError("%s:%d: not a literal" % (path.name, node.lineno))
    exec(compile(tree, str(path), "exec"), names)  # pylint: disable=exec-used


def load(directory=HERE):
    schema = Schema()
    for path in sorted(directory.glob("*.py")):
        if path.name in ("idl.py", "gen.py"):
            continue
        try:
            run_file(schema, path)
        except (TypeError, NameError, SyntaxError) as e:
            raise SchemaError("%s: %s" % (path.name, e)) from e
    for cls in schema.classes.values():
        for c in cls.explicit:
            if c.async_ is None:
                c.async_ = cls.async_ and not c.name.startswith("get_") and c.session
            for p in c.params:
                p.doc = p.doc or param_doc(schema, cls, c, p)
        cls.calls = sorted(list(implicit_calls(cls)) + cls.explicit, key=lambda c: c.name)
        ops = [f.type.elem.name for f in cls.fields if f.name == "current_operations"]
        for c in cls.calls:
            if c.kind == "DESTROY" and ops and ops[0] in schema.enums \
                    and any(v.name == "destroy" for v in schema.enums[ops[0]].values):
                c.op = "destroy"
    for code, command in schema.commands.items():
        if code not in schema.errors:
            raise SchemaError("commands.py: no error " + code)
        schema.errors[code].command = command
    Checker(schema).run()
    return schema
