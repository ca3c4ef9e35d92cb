# SPDX-License-Identifier: Apache-2.0
"""Check rows.py against the schema and write its C tables (src/xe/tables.h): gen_cli.py OUTPUT.

gen_cli.py compare FACTS checks rows.py against a file of facts about the command line instead.
"""

import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import idl  # noqa: E402
import rows  # noqa: E402
from gen import cstr, opt_cstr, upper  # noqa: E402

FLAGS = {"s": "SET", "m": "MAP", "l": "LIST", "h": "HIDDEN", "e": "COSTLY", "L": "LOWER",
         "C": "CAPITAL", "O": "DOTTED", "V": "VALUES"}
TYPES = {"string": "TEXT", "datetime": "TEXT", "int": "INT", "bool": "BOOL", "float": "FLOAT",
         "map": "MAP_", "ref": "REF", "enum": "ENUM"}
SPECIAL = {"F": "FILE", "N": "BASENAME", "x": "ABSENT", "h": "HOST", "p": "POOL"}
RESULTS = {"text": "TEXT", "list": "LIST", "map": "MAP", "records": "RECORDS"}


class Rows:
    def __init__(self):
        self.schema = idl.load()
        self.out = []

    def fail(self, where, why):
        raise SystemExit("rows.py: %s: %s" % (where, why))

    def field(self, cls, name):
        found = [f for f in self.schema.classes[cls].fields if f.name == name]
        return found[0] if found else None

    def call(self, where, name, must=True):
        cls, _, call = name.partition(".")
        calls = self.schema.classes[cls].calls if cls in self.schema.classes else []
        found = [c for c in calls if c.name == call]
        if must and not found:
            self.fail(where, "no call " + name)
        return found[0] if found else None

    # Types of values that people type.

    def typed(self, t):
        """(type, class or values, list) of a parameter of the schema's type t."""
        many = t.kind == "set"
        t = t.elem if many else t
        detail = None
        if t.kind == "ref":
            detail = t.name
        if t.kind == "enum":
            detail = "/".join(v.name for v in self.schema.enums[t.name].values)
        return TYPES[t.kind], detail, many

    def path(self, where, cls, path):
        """The path with the class of every reference on it: "VM:VM>uuid". And the field it begins with."""
        if path[0] in "@?":
            return path, None
        steps = path.split(">")
        out, first = [], None
        for i, step in enumerate(steps):
            if step[0] == "!":
                t = self.call(where, step[1:].rstrip("@")).result
            else:
                f = self.field(cls, step)
                if not f:
                    self.fail(where, "%s has no field %s" % (cls, step))
                first = first or f
                t = f.type
            if i == len(steps) - 1:
                out.append(step)
                break
            t = t.elem if t.kind in ("set", "map") else t
            if t.kind != "ref":
                self.fail(where, step + " is no reference")
            cls = t.name
            out.append(step + ":" + cls)
        return ">".join(out), first

    # KINDS

    def kind_field(self, kind, cls, text, shown):
        parts = text.split()
        name, path, flags = parts[0], (parts[1:] or ["-"])[0], "".join(parts[2:])
        where = kind + " " + name
        api = name.replace("-", "_")
        path = api if path == "-" else path
        if cls not in self.schema.classes:
            path = "?"
        path, first = self.path(where, cls, path)
        api = first.name if first else api
        setter = self.call(where, "%s.set_%s" % (cls, api), False)
        add_to = self.call(where, "%s.add_%s%s" % (cls, "to_" if "m" in flags else "", api), False)
        bits = [FLAGS[x] for x in flags if x != "s"]
        bits += ["SHOWN"] if name in shown else []
        bits += ["ADD"] if ("m" in flags or "l" in flags) and add_to else []
        kind_type, detail, many = "TEXT", None, False
        if "s" in flags and setter:
            bits.append("SET")
            kind_type, detail, many = self.typed(setter.params[-1].type)
        elif "s" in flags and path != "?":
            self.fail(where, "no setter")
        return "    {%s, %s, %s, %s, XE_%s, %s, %s}," % (
            cstr(name), cstr(path), cstr(api), opt_cstr(detail), kind_type,
            "true" if many else "false", " | ".join("XE_" + b for b in bits) or "0")

    def kinds(self):
        table = []
        for kind in sorted(rows.KINDS):
            cls, shown, fields = rows.KINDS[kind]
            texts = [x.strip() for x in fields.split("|")]
            names = [x.split()[0] for x in texts]
            shown = [x for x in shown.split() if x in names]
            tag = upper(kind).lower()
            self.out.append("static const struct xe_field fields_%s[] = {" % tag)
            self.out += [self.kind_field(kind, cls, x, shown) for x in texts]
            self.out.append("};\n")
            table.append("    {%s, %s, fields_%s, %d}," % (
                cstr(kind), opt_cstr(cls if cls in self.schema.classes else None), tag, len(texts)))
        self.out += ["const struct xe_kind xe_kinds[] = {"] + table + ["};"]
        self.out.append("const size_t xe_n_kinds = %d;\n" % len(table))

    # COMMANDS

    def arg(self, where, text, t, key, required):
        """One argument as C. t: the schema's type of what it becomes."""
        param, _, default = text.partition("=")
        param, _, special = param.partition(":")
        typ, detail, many = self.typed(t) if t else ("TEXT", None, False)
        if text[0] == "#":
            json.loads(text[1:])
            typ, detail, many, param, default = "LITERAL", text[1:], False, "", ""
        elif text == "@":
            typ, many, param = "SELECTED", False, ""
        elif text in ("@pool", "@local"):
            typ, many, param = ("POOL" if text == "@pool" else "HOST"), False, ""
        elif special:
            typ, many = SPECIAL[special], False
        for name in param.split("|"):
            if name and name not in self.known:
                self.fail(where, "%s is no parameter of it" % name)
        self.used.update(param.split("|"))
        optional = bool(param) and not (set(param.split("|")) & required)
        return "    {%s, %s, %s, %s, XE_%s, %s, %s}," % (
            opt_cstr(key), cstr(param), opt_cstr(detail), opt_cstr(default or None), typ,
            "true" if many else "false", "true" if optional else "false")

    def args(self, where, call, tokens, required):
        record = "{" in tokens
        tokens = [x for x in tokens if x not in "{}" and x[0] != "~"]
        if record:
            cls = call.params[0].type.name
            pairs = [x.partition("=")[::2] for x in tokens]
            for key, _ in pairs:
                if not self.field(cls, key):
                    self.fail(where, "%s has no field %s" % (cls, key))
            return record, [self.arg(where, v, self.field(cls, k).type, k, required) for k, v in pairs]
        if len(tokens) > len(call.params) or any(p.default is None for p in call.params[len(tokens):]):
            self.fail(where, "%s takes %d arguments" % (call.name, len(call.params)))
        return record, [self.arg(where, x, p.type, None, required) for x, p in zip(tokens, call.params)]

    def words(self, text):
        return cstr(" ".join(w.rstrip(":-") for w in text.split()))

    def command(self, row, own):
        name, selects, required, optional, text = row
        self.known = set(w.rstrip(":-") for w in (required + " " + optional).split()) | {"force"}
        self.used = set()
        head = "%s, %s, %s, %s" % (cstr(name), opt_cstr(selects or None), self.words(required),
                                   self.words(optional))
        tail = "%s, %s, %s" % (str(name in rows.HIDDEN.split()).lower(), str(own).lower(),
                               str(name in rows.FORCED.split()).lower())
        why = self.not_served.pop(name, None)
        if why and text:
            self.fail(name, "it has a call, and a reason not to be served")
        if not text:
            return "    {%s, .hidden = %s, .own = %s, .forced = %s, .why_not = %s}," % (head, *tail.split(", "), opt_cstr(why))
        body, *hooks = text.split(" & ")
        body, _, result = body.partition(" > ")
        method, *tokens = re.findall(r'\S*#"[^"]*"|\S+', body)
        method, _, forced = method.partition("|")
        self.used.update(t[1:] for t in tokens if t[0] == "~")
        if "@" in tokens:  # these select
            self.used |= {"uuid", "snapshot-uuid", selects, selects + "-uuid"}
        call = self.call(name, method)
        cls = method.partition(".")[0]
        forced = cls + "." + forced if forced else None
        if forced:
            self.call(name, forced)
            self.used.add("force")
        record, args = self.args(name, call, tokens, set(required.split()))
        n_args, hook_methods = len(args), []
        for hook in hooks:
            hook_call, param = hook.split()
            hook_methods.append(hook_call)
            args.append(self.arg(name, param, self.call(name, hook_call).params[-1].type, None, set()))
        tag = upper(name).lower()
        self.out.append("static const struct xe_arg args_%s[] = {" % tag)
        self.out += args or ["    {0}"]
        self.out.append("};")
        if hooks:
            self.out.append("static const char *const hooks_%s[] = {%s};" % (
                tag, ", ".join(cstr(h) for h in hook_methods)))
        kind, _, rest = result.partition(" ")
        path = None
        if kind in RESULTS:
            kind, rest = RESULTS[kind], None
        elif kind == "uuids":
            kind = "UUIDS"
        elif kind:
            path, _ = self.path(name, kind, rest or "uuid")
            kind, rest = "UUID", kind
        ignored = " ".join(sorted((set(self.words(optional)[1:-1].split()) - self.used)))
        return ("    {%s, %s, %s, args_%s, %d, %d, %s, %s, XE_RESULT_%s, %s, %s, %s, %s}," % (
            head, cstr(method), opt_cstr(forced), tag, n_args, len(hooks),
            "hooks_" + tag if hooks else "NULL", str(record).lower(), kind or "NONE",
            opt_cstr(rest or None), opt_cstr(path), cstr(ignored), tail + ", NULL"))

    def commands(self):
        self.not_served = {name: why for why, names in rows.NOT_SERVED for name in names.split()}
        table = [self.command((*r[:3], (r[3] + " " + rows.OWN_OPTIONS.get(r[0], "")).strip(), *r[4:]), False)
                 for r in rows.COMMANDS]
        table += [self.command(r, True) for r in rows.OWN_COMMANDS]
        names = [r[0] for r in rows.COMMANDS + rows.OWN_COMMANDS]
        if len(set(names)) != len(names):
            self.fail("COMMANDS", "a name twice")
        if self.not_served:
            self.fail("NOT_SERVED", "no such command: " + " ".join(self.not_served))
        self.out += ["", "const struct xe_command xe_commands[] = {"] + table + ["};"]
        self.out.append("const size_t xe_n_commands = %d;" % len(table))


def compare(path):
    """rows.py has every command, parameter, kind and field of the facts, and their flags."""
    facts = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    bad = []
    ours = {r[0]: r for r in rows.COMMANDS}
    for name, c in facts["commands"].items():
        row = ours.get(name)
        want = [c["selects"] or "", set(c["required"]), set(c["optional"]) - {""}]
        got = row and [row[1], set(row[2].split()), set(row[3].split())]
        if got != want:
            bad.append("command %s: %s, not %s" % (name, got, want))
    for name, k in facts["kinds"].items():
        fields = [x.split() for x in rows.KINDS[name][2].split("|")] if name in rows.KINDS else []
        flags = {f[0]: f[2] if len(f) > 2 else "" for f in fields}
        for f in k["fields"]:
            want = [f["map"], f["setlike"], f["hidden"], f["expensive"]]
            if f["name"] not in flags or [x in flags[f["name"]] for x in "mlhe"] != want:
                bad.append("%s: field %s" % (name, f["name"]))
    for line in bad:
        print("#", line)
    return bad


def main():
    if sys.argv[1] == "compare":
        sys.exit(1 if compare(sys.argv[2]) else 0)
    r = Rows()
    r.kinds()
    r.commands()
    head = ["/* SPDX-License-Identifier: Apache-2.0 */", "/* Made by api/cli/gen_cli.py. Do not edit. */",
            '#include "xe/tables.h"', ""]
    pathlib.Path(sys.argv[1]).write_text("\n".join(head + r.out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
