# SPDX-License-Identifier: Apache-2.0
"""Turn the schema into C tables: gen.py KIND OUTPUT. It makes tables, not code paths.

KIND: errors ids records args schema ops ops_table. Without an output file:
    gen.py check           every sentence is written (fails on the first 20 that are missing)
    gen.py count           how much is written: calls, sentences
    gen.py compare FACTS   the schema expands to exactly the facts of that file
"""

import json
import sys

import idl

HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by api/gen.py from the schema. Do not edit. */\n"
ROLE_BITS = {
    "pool-admin": "ROLE_POOL_ADMIN", "pool-operator": "ROLE_POOL_OPERATOR",
    "vm-power-admin": "ROLE_VM_POWER_ADMIN", "vm-admin": "ROLE_VM_ADMIN",
    "vm-operator": "ROLE_VM_OPERATOR", "read-only": "ROLE_READ_ONLY", "client-cert": "ROLE_CLIENT_CERT"}
PLACES = {
    "any": "ON_ANY", "coordinator": "ON_COORDINATOR", "placement": "ON_PLACEMENT",
    "host:VM.resident_on": "ON_VM_RESIDENT", "host:PBD.host": "ON_PBD_HOST", "host:self": "ON_SELF_HOST"}
ACCESS = {idl.RO: "ACCESS_RO", idl.CTOR: "ACCESS_CTOR", idl.RW: "ACCESS_RW"}
IMPLICIT_DOC = {
    "GET_ALL": "List all objects of the class.",
    "GET_ALL_RECORDS": "All objects of the class with their records.",
    "GET_RECORD": "The whole record of an object.",
    "GET_BY_UUID": "The object with the given UUID.",
    "GET_BY_NAME_LABEL": "All objects with the given name.",
    "CREATE": "Make a new object from a record.",
    "DESTROY": "Destroy an object.",
}
SCALARS = {"string": "const char *", "int": "int64_t ", "datetime": "int64_t ", "float": "double ",
           "bool": "bool ", "enum": "int ", "ref": "struct ref ", "record": "void *", "option": "void *"}
# Distinct names of storage; types that share one share the struct.
STORES = {"datetime": "int"}


def upper(name):
    return "".join(ch if ch.isalnum() else "_" for ch in name).upper()


def cstr(text):
    """A C string literal."""
    out = []
    for b in text.encode():
        ch = chr(b)
        out.append("\\" + ch if ch in '"\\' else ch if 32 <= b < 127 else "\\%03o" % b)
    return '"%s"' % "".join(out)


def opt_cstr(text):
    return "NULL" if text is None else cstr(text)


def flag(value):
    return "true" if value else "false"


def store(t):
    """The name of the storage of a type: string, set_ref, map_string_set_string ..."""
    if t.kind == "set":
        return "set_" + store(t.elem)
    if t.kind == "map":
        return "map_%s_%s" % (store(t.key), store(t.elem))
    return STORES.get(t.kind, t.kind)


def c_decl(t, typed=False):
    """The C type of a storage, ready for a name to follow; typed: records by their own struct."""
    if t.kind in ("set", "map"):
        return "struct %s " % store(t)
    if t.kind == "record" and typed:
        return "struct %s_rec *" % t.name.lower()
    return SCALARS[t.kind]


def has_storage(t):
    return t.kind not in ("void", "raw")


def all_types(schema):
    """Every distinct type by its text, parts before wholes."""
    out = {}

    def add(t):
        for part in (t.key, t.elem):
            if part:
                add(part)
        out.setdefault(t.text(), t)

    add(idl.Void)
    add(idl.Map(idl.String, idl.String))
    for cls in schema.classes.values():
        for f in cls.fields:
            add(f.type)
        for c in cls.calls:
            for p in c.params:
                add(p.type)
            add(c.result)
    return out


def guard(name, body, includes=()):
    inc = "".join("#include %s\n" % i for i in includes)
    return "%s#ifndef API_%s_H\n#define API_%s_H\n\n%s%s\n#endif\n" % (
        HEAD, name, name, inc + "\n" if inc else "", body)


def explicit_calls(schema):
    """(class, call) of all calls with a function of their own."""
    for cls in schema.classes.values():
        for c in cls.explicit:
            yield cls, c


def op_name(cls, c):
    return "%s_%s" % (cls.name.lower(), c.name.lower())


def gen_errors(schema):
    return guard("ERRORS", "\n".join('#define ERR_%s "%s"' % (e, e) for e in schema.errors))


def gen_ids(schema):
    seen = set()

    def enum(tag, names):
        for n in names:
            name = n.split()[0]
            if name in seen:
                raise idl.SchemaError("two things would be called " + name)
            seen.add(name)
        return "enum%s {\n%s\n};\n" % (" " + tag if tag else "", "\n".join("    %s," % n for n in names))

    classes = schema.classes.values()
    out = [enum("class_id", ["CLASS_NONE"] + ["CLASS_" + upper(c.name) for c in classes] + ["CLASS_COUNT"])]
    for cls in classes:
        if cls.fields:
            out.append("/* %s */\n" % cls.name + enum(
                "", ["F_%s_%s" % (upper(cls.name), upper(f.name)) for f in cls.fields]))
    out.append(enum("call_id", ["CALL_%s_%s" % (upper(cls.name), upper(c.name))
                                for cls in classes for c in cls.calls] + ["CALL_COUNT"]))
    for e in schema.enums.values():
        out.append(enum(e.name, ["%s_%s" % (upper(e.name), upper(v.name)) for v in e.values]))
    ops = [op_name(cls, c) for cls, c in explicit_calls(schema)]
    if len(set(ops)) != len(ops):
        raise idl.SchemaError("two functions of the same name")
    return guard("IDS", "\n".join(out))


def gen_records(schema):
    out, done = [], set()
    for t in all_types(schema).values():
        s = store(t)
        if t.kind not in ("set", "map") or s in done or not has_storage(t.elem):
            continue
        done.add(s)
        if t.kind == "set":
            out.append("struct %s {\n    %s*v;\n    size_t n;\n};\n" % (s, c_decl(t.elem)))
        else:
            out.append("struct %s_entry {\n    %skey;\n    %sval;\n};\n" % (s, c_decl(t.key), c_decl(t.elem)))
            out.append("struct %s {\n    struct %s_entry *v;\n    size_t n;\n};\n" % (s, s))
    for cls in schema.classes.values():
        members = ["    %s%s;\n" % (c_decl(f.type, True), f.name)
                   for f in cls.fields if has_storage(f.type)]
        if members:
            out.append("struct %s_rec {\n%s};\n" % (cls.name.lower(), "".join(members)))
    return guard("RECORDS", "\n".join(out), ['"api/ids.h"', '"model/value.h"'])


def gen_args(schema):
    out = []
    for cls, c in explicit_calls(schema):
        members = "".join("    %s%s;\n" % (c_decl(p.type, True), p.name) for p in c.params)
        out.append("struct %s_args {\n%s};\n" % (op_name(cls, c), members or "    char none;\n"))
    return guard("ARGS", "\n".join(out), ['"api/records.h"'])


def result_param(c):
    """The C type of the result parameter, or None."""
    return c_decl(c.result, True) + "*" if has_storage(c.result) and not c.raw else None


def gen_ops(schema):
    out = ["struct call;\n",
           "/* Serves the calls that api/todo.py names: NOT_IMPLEMENTED(call). */",
           "int ops_not_implemented(struct call *call, const void *args, void *result, struct err *err);\n",
           "/* Serves the calls that api/absent.py names: each its own error. */\n"
           "int ops_absent(struct call *call, const void *args, void *result, struct err *err);\n"]
    for cls, c in explicit_calls(schema):
        name, res = op_name(cls, c), result_param(c)
        out.append("int op_%s(struct call *call, const struct %s_args *args, %sstruct err *err) MUST_CHECK;"
                   % (name, name, res + "result, " if res else ""))
    table = """
typedef int (*ops_fn)(struct call *call, const void *args, void *result, struct err *err);

/* NULL: an implicit message, served from the tables. */
extern const ops_fn ops_table[CALL_COUNT];

/* Why a call of api/absent.py fails. params: NULL-terminated; "@name" is a parameter, "$host" this host. */
struct ops_absence {
    const char *code;
    const char *const *params;
    const char *reason;
};
extern const struct ops_absence *const ops_absences[CALL_COUNT]; /* NULL: not absent */"""
    return guard("OPS", "\n".join(out) + "\n" + table, ['"api/args.h"'])


def is_not_yet(schema, cls, c):
    """Without a function: to be written, or removed from the API, where no call gets as far."""
    return c.life == "Removed" or "%s.%s" % (cls.name, c.name) in schema.not_yet


def gen_ops_table(schema):
    out, rows = [HEAD + '#include "api/ops.h"\n'], []
    for cls, c in explicit_calls(schema):
        name = op_name(cls, c)
        if is_not_yet(schema, cls, c):
            fn = "ops_not_implemented"
        elif "%s.%s" % (cls.name, c.name) in schema.absent:
            fn = "ops_absent"
        else:
            fn = "call_" + name
            result = ", result" if result_param(c) else ""
            out.append("static int %s(struct call *call, const void *args, void *result, struct err *err)\n"
                       "{\n    return op_%s(call, args%s, err);\n}\n" % (fn, name, result))
        rows.append("    [CALL_%s_%s] = %s," % (upper(cls.name), upper(c.name), fn))
    out.append("const ops_fn ops_table[CALL_COUNT] = {\n%s\n};\n" % "\n".join(rows))
    rows = []
    for name, a in schema.absent.items():
        ident = upper(name)
        out.append("static const char *const params_%s[] = { %s };\n"
                   "static const struct ops_absence absence_%s = { %s, params_%s, %s };" % (
                       ident, ", ".join([cstr(p) for p in a.params] + ["NULL"]), ident, cstr(a.code), ident,
                       cstr(a.reason)))
        rows.append("    [CALL_%s] = &absence_%s," % (ident, ident))
    out.append("\nconst struct ops_absence *const ops_absences[CALL_COUNT] = {\n%s\n};\n" % "\n".join(rows))
    return "\n".join(out)


def zero_json(schema, t):
    """What an unset field holds; None for what has no storage."""
    if t.kind == "enum":
        return json.dumps(schema.enums[t.name].values[0].name)
    return {"string": '""', "int": "0", "float": "0.0", "bool": "false", "option": "null", "set": "[]",
            "datetime": '"19700101T00:00:00Z"', "ref": '"%s"' % idl.NULL, "map": "{}"}.get(t.kind)


def audit_of(schema, cls, c):
    """How a call is audited; None: not at all. audit.py has the rule."""
    name, a = "%s.%s" % (cls.name, c.name), schema.audit
    if name in a.sessions:
        return "AUDIT_SESSION"
    if name in a.reads or c.kind.startswith("GET_") or not idl.roles_of(c.role):
        return None
    read = c.kind == "EXPLICIT" and ("read-only" in idl.roles_of(c.role) or c.name.startswith(("get_", "assert_", "can_")))
    return None if read and name not in a.writes else "AUDIT_FREES" if name in a.frees else "AUDIT_CALL"


class Tables:
    """schema.c: everything const, what is equal is shared."""

    def __init__(self, schema):
        self.schema, self.out, self.shared = schema, [], {}
        self.types, self.call_rows = {}, []

    def share(self, prefix, decl, body):
        """The name of a static const table with that body, made at first use."""
        key = (prefix, body)
        if key not in self.shared:
            name = self.shared[key] = "%s_%d" % (prefix, len(self.shared))
            self.out.append("static const %s = {\n%s\n};" % (decl % name, body))
        return self.shared[key]

    def make_enums(self):
        for e in self.schema.enums.values():
            for what, items in (("values", [v.name for v in e.values]), ("docs", [v.doc for v in e.values])):
                self.out.append("static const char *const enum_%s_%s[] = { %s };" % (
                    what, e.name, ", ".join(cstr(i) for i in items)))
            self.out.append("static const struct enum_def enum_%s = { %s, enum_values_%s, enum_docs_%s, %d };"
                            % (e.name, cstr(e.name), e.name, e.name, len(e.values)))

    def make_types(self):
        for i, (text, t) in enumerate(all_types(self.schema).items()):
            self.types[text] = "ty_%d" % i
            row = [".kind = TY_" + t.kind.upper(), ".name = " + cstr(text)]
            if has_storage(t):
                c = c_decl(t).strip()
                row += [".size = sizeof(%s)" % c, ".align = _Alignof(%s)" % c]
            if t.kind in ("ref", "record"):
                row.append(".cls = CLASS_" + upper(t.name))
            if t.kind == "enum":
                row.append(".enm = &enum_" + t.name)
            if t.kind == "set":
                row.append(".entry = sizeof(%s)" % c_decl(t.elem).strip())
            if t.kind == "map":
                entry = "struct %s_entry" % store(t)
                row += [".entry = sizeof(%s)" % entry, ".val_off = offsetof(%s, val)" % entry,
                        ".key = &" + self.types[t.key.text()]]
            if t.elem:
                row.append(".elem = &" + self.types[t.elem.text()])
            self.out.append("static const struct ty ty_%d = { %s };" % (i, ", ".join(row)))

    def ty(self, t):
        return "&" + self.types[t.text()]

    def roles(self, text):
        return " | ".join(ROLE_BITS[r] for r in idl.roles_of(text)) or "0"

    def default(self, value):
        return None if value is None else json.dumps(value, ensure_ascii=False)

    def field_row(self, cls, i, f):
        default = self.default(f.default)
        if default is None and f.access == idl.RO:
            default = zero_json(self.schema, f.type)
        keys = "NULL"
        if f.key_roles:
            rows = ["    { %s, %s }," % (cstr(k), self.roles(r)) for k, r in f.key_roles.items()]
            keys = self.share("keys", "struct map_key_role %s[]", "\n".join(rows + ["    { NULL, 0 },"]))
        row = ["%s, %s, %s, %d" % (
            cstr(f.name), self.ty(f.type), "offsetof(struct %s_rec, %s)" % (cls.name.lower(), f.name)
            if has_storage(f.type) else "0", i)]
        row.append("%s, LIFE_%s" % (ACCESS[f.access], f.life.upper()))
        row.append(flag(f.volatile or f.inverse))
        if f.inverse:
            c, name = f.inverse.split(".")
            row.append("CLASS_%s, F_%s_%s" % (upper(c), upper(c), upper(name)))
        else:
            row.append("0, 0")
        row += [opt_cstr(default), keys, opt_cstr(f.unit), cstr(f.doc),
                flag("%s.%s" % (cls.name, f.name) in self.schema.secret.fields)]
        return "    { %s }," % ", ".join(row)

    def params(self, cls, c):
        """(params table, size of the arguments) of a call."""
        if not c.params:
            return "NULL", "0"
        members = ["%sp%d;" % (c_decl(p.type), i) for i, p in enumerate(c.params)]
        shape = "struct { %s }" % " ".join(members)
        if shape not in self.shared:
            self.shared[shape] = "struct args_%d" % len(self.shared)
            self.out.append("%s { %s };" % (self.shared[shape], " ".join(members)))
        shape = self.shared[shape]
        secrets = self.schema.secret.params
        rows = ["    { %s, %s, offsetof(%s, p%d), %s, %s, %s }," % (
            cstr(p.name), self.ty(p.type), shape, i, opt_cstr(self.default(p.default)), cstr(p.doc),
            flag("%s.%s.%s" % (cls.name, c.name, p.name) in secrets))
            for i, p in enumerate(c.params)]
        return self.share("params", "struct param_def %s[]", "\n".join(rows)), "sizeof(%s)" % shape

    def call_doc(self, c):
        if c.doc is not None:
            return c.doc
        return c.field.doc if c.field else IMPLICIT_DOC[c.kind]

    def call_row(self, cls, c):
        ident = "CALL_%s_%s" % (upper(cls.name), upper(c.name))
        params, size = self.params(cls, c)
        errors = "NULL"
        if c.errors:
            errors = self.share("errors", "char *const %s[]",
                                "    %s, NULL" % ", ".join(cstr(e) for e in c.errors))
        row = [".name = " + cstr(c.name), ".cls = CLASS_" + upper(cls.name), ".id = " + ident,
               ".kind = CALL_KIND_" + c.kind, ".life = LIFE_" + c.life.upper(), ".on = " + PLACES[c.on],
               ".roles = " + self.roles(c.role), ".result = " + self.ty(c.result), ".params = " + params,
               ".n_params = %d" % len(c.params), ".args_size = " + size, ".errors = " + errors,
               ".op = " + opt_cstr(c.op), ".doc = " + cstr(self.call_doc(c))]
        if audit_of(self.schema, cls, c):
            row.append(".audit = " + audit_of(self.schema, cls, c))
        if c.field:
            row.append(".field = F_%s_%s" % (upper(cls.name), upper(c.field.name)))
        for name, value in (("no_session", not c.session), ("has_async", c.async_), ("raw_result", c.raw)):
            if value:
                row.append(".%s = true" % name)
        return "    [%s] = { %s }," % (ident, ", ".join(row))

    def class_row(self, cls):
        lower, names = cls.name.lower(), [f.name for f in cls.fields]
        size = "sizeof(struct %s_rec)" % lower if cls.fields else "0"
        row = [".name = " + cstr(cls.name), ".lower = " + cstr(lower), ".id = CLASS_" + upper(cls.name),
               ".rec_size = " + size, ".life = LIFE_" + cls.life.upper(),
               ".is_object = " + flag(cls.kind == "object"), ".is_volatile = " + flag(cls.volatile),
               ".untracked = " + flag(cls.untracked), ".n_fields = %d" % len(cls.fields)]
        for key, name in (("uuid_field", "uuid"), ("name_field", "name_label")):
            row.append(".%s = %d" % (key, names.index(name) if name in names else -1))
        if cls.fields:
            row.append(".fields = fields_" + lower)
        if cls.calls:
            row.append(".first_call = CALL_%s_%s, .n_calls = %d" % (
                upper(cls.name), upper(cls.calls[0].name), len(cls.calls)))
        row.append(".doc = " + cstr(cls.doc))
        return "    [CLASS_%s] = { %s }," % (upper(cls.name), ", ".join(row))

    def error_row(self, e):
        params = "no_params"
        if e.params:
            params = self.share("names", "char *const %s[]",
                                "    %s, NULL" % ", ".join(cstr(p) for p in e.params))
        return "    { %s, %s, %s, %s, %s }," % (
            cstr(e.code), params, cstr(e.doc), opt_cstr(e.hint), opt_cstr(e.command))

    def text(self):
        self.make_enums()
        self.make_types()
        self.out.append("static const char *const no_params[] = { NULL };")
        classes = self.schema.classes.values()
        for cls in classes:
            rows = [self.field_row(cls, i, f) for i, f in enumerate(cls.fields)]
            if rows:
                self.out.append("static const struct field_def fields_%s[] = {\n%s\n};" % (
                    cls.name.lower(), "\n".join(rows)))
        calls = [(cls, c) for cls in classes for c in cls.calls]
        names = ["    %s," % cstr("%s.%s" % (cls.name, c.name)) for cls, c in calls]
        calls = [self.call_row(cls, c) for cls, c in calls]
        errors = [self.error_row(self.schema.errors[k]) for k in sorted(self.schema.errors)]
        self.out += [
            "const struct call_def schema_calls[CALL_COUNT] = {\n%s\n};" % "\n".join(calls),
            "extern const char *const schema_call_names[CALL_COUNT];\n"
            "const char *const schema_call_names[CALL_COUNT] = {\n%s\n};" % "\n".join(names),
            "const struct class_def schema_classes[CLASS_COUNT] = {\n"
            '    [CLASS_NONE] = { .name = "", .lower = "", .uuid_field = -1, .name_field = -1, .doc = "" },\n'
            "%s\n};" % "\n".join(self.class_row(c) for c in classes),
            "const char *const schema_secret_keys[] = { %s };" % ", ".join(
                [cstr(k) for k in self.schema.secret.keys] + ["NULL"]),
            "/* Sorted by code. */\nconst struct error_def schema_errors[] = {\n%s\n};" % "\n".join(errors),
            "const size_t schema_n_errors = ARRAY_SIZE(schema_errors);"]
        return HEAD + '#include "api/records.h"\n#include "model/schema.h"\n\n' + "\n".join(self.out) + "\n"


def gen_schema(schema):
    return Tables(schema).text()


def sentences(schema):
    """(where, text) of everything that must be explained."""
    for e in schema.enums.values():
        yield "enum " + e.name, e.doc
        for v in e.values:
            yield "enum %s, %s" % (e.name, v.name), v.doc
    for cls in schema.classes.values():
        yield "class " + cls.name, cls.doc
        for item in cls.fields + cls.explicit:
            yield "%s.%s" % (cls.name, item.name), item.doc
        for c in cls.explicit:
            for p in c.params:
                yield "%s.%s, %s" % (cls.name, c.name, p.name), p.doc
    names = {p.name for cls in schema.classes.values() for c in cls.explicit for p in c.params}
    for name in schema.param_docs:
        yield "parameter %s in params.py: there is none" % name, name.split(".")[-1] in names
    for e in schema.errors.values():
        yield "error " + e.code, e.doc


def check(schema):
    missing = [where for where, text in sentences(schema) if not text]
    for where in missing[:20]:
        print("no sentence: " + where)
    print("%d of %d sentences missing" % (len(missing), len(list(sentences(schema)))))
    return 1 if missing else 0


def kinds_of_calls(schema, cls):
    """How many of the explicit calls of a class are real, of an absent feature, removed, not yet written."""
    names = ["%s.%s" % (cls.name, c.name) for c in cls.explicit]
    removed = sum(c.life == "Removed" for c in cls.explicit)
    absent, todo = (sum(n in group for n in names) for group in (schema.absent, schema.not_yet))
    return len(names) - absent - removed - todo, absent, removed, todo


def count(schema):
    missing = sum(not text for _, text in sentences(schema))
    rows = [(cls.name, *kinds_of_calls(schema, cls)) for cls in schema.classes.values() if cls.explicit]
    rows.append(("all explicit", *(sum(column) for column in list(zip(*rows))[1:])))
    print("%-24s %6s %6s %7s %7s" % ("class", "real", "absent", "removed", "not yet"))
    for row in rows:
        print("%-24s %6d %6d %7d %7d" % row)
    print("sentences written: %d of %d" % (len(list(sentences(schema))) - missing,
                                           len(list(sentences(schema)))))
    return 0


def expand(schema):
    """The facts of the schema in the form of tests/schema/xenapi.json: of the XenAPI's part of it."""
    def call(c):
        row = [[[p.name, p.type.text()] for p in c.params], c.result.text(), c.role, c.errors,
               "explicit" if c.kind == "EXPLICIT" else "implicit", c.life]
        return row if c.session else row + ["no session"]

    def field(f):
        row = [f.type.text(), idl.ACCESS_TEXT[f.access], f.life]
        return row if f.default is None else row + [f.default]

    return {
        "roles": list(idl.ROLES),
        "errors": {e.code: e.params for e in schema.errors.values()},
        "enums": {e.name: [v.name for v in e.values] for e in schema.enums.values()},
        "classes": {cls.name: {
            "state": cls.life, "fields": {f.name: field(f) for f in cls.fields},
            "messages": {c.name: call(c) for c in cls.calls}}
            for cls in schema.classes.values() if not idl.is_own(cls.name)}}


def differences(where, ours, facts):
    if isinstance(ours, dict) and isinstance(facts, dict):
        for key in sorted(set(ours) | set(facts)):
            if key not in ours or key not in facts:
                yield "%s: only in the %s" % (where + key, "facts" if key in facts else "schema")
            else:
                yield from differences("%s%s/" % (where, key), ours[key], facts[key])
    elif ours != facts:
        yield "%s: schema %r, facts %r" % (where, ours, facts)


def compare(schema, path):
    with open(path, encoding="utf-8") as f:
        found = list(differences("", expand(schema), json.load(f)))
    for line in found[:50]:
        print(line)
    print("%d differences" % len(found))
    return 1 if found else 0


def main(argv):
    makers = {n[4:]: f for n, f in globals().items() if n.startswith("gen_")}
    try:
        schema = idl.load()
        if len(argv) == 3 and argv[1] in makers:
            text = makers[argv[1]](schema)
            with open(argv[2], "w", encoding="utf-8") as f:
                f.write(text)
            return 0
        if argv[1:] == ["check"]:
            return check(schema)
        if argv[1:] == ["count"]:
            return count(schema)
        if len(argv) == 3 and argv[1] == "compare":
            return compare(schema, argv[2])
    except idl.SchemaError as e:
        print(e, file=sys.stderr)
        return 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
