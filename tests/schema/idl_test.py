# SPDX-License-Identifier: Apache-2.0
"""What the loader of the schema refuses, and what it derives."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "api"))
import gen  # noqa: E402
import idl  # noqa: E402

BASE = """
EnumDef("ops", [V("go"), V("destroy")])
E("GONE", ["ref"], doc="{0} is gone.")
Class("B", fields=[F("A", Ref("A"), CTOR)])
"""


def load(text):
    with tempfile.TemporaryDirectory() as d:
        (pathlib.Path(d) / "x.py").write_text(BASE + text, encoding="utf-8")
        return idl.load(pathlib.Path(d))


def a(fields="", calls="", more=""):
    return 'Class("A", %sfields=[F("uuid", String, RO), %s], calls=[%s])' % (more, fields, calls)


OPS = 'F("current_operations", Map(String, Enum("ops")), RO, default={}, volatile=True)'

REFUSED = {
    "not a literal": ['E("X" + "Y")', 'E(f"X{1}")', 'E([x for x in "A"][0])'],
    "only EnumDef": ["import os", "x = 1", "def f(): pass"],
    "x.py": ['open("/etc/passwd")', 'E("ODD", foo=1)', "E(", 'F()', "__import__('os')"],
    "class A twice": [a() + "\n" + a()],
    "class a twice": [a() + '\nClass("a")'],
    "enum ops twice": ['EnumDef("ops", [V("x")])'],
    "enum dup: x twice": ['EnumDef("dup", [V("x"), V("x")])'],
    "GONE: twice": ['E("GONE")'],
    "no parameter {1}": ['E("BAD", ["x"], doc="{0} {1}")'],
    "no class C": [a('F("x", Ref("C"), RO)'), a('F("x", Map(Ref("C"), Int), RO)'),
                   a(calls='Call("c", result=RefSet("C"))')],
    "no enum e": [a('F("x", Set(Enum("e")), RO)'), a(calls='Call("c", [P("x", Enum("e"))])')],
    "uuid twice": [a('F("uuid", String, RO)')],
    "get_uuid twice": [a(calls='Call("get_uuid")')],
    "x twice": [a(calls='Call("c", [P("x", Int), P("x", Int)])')],
    "access or life": [a('F("x", Int, "WO")'), a('F("x", Int, RO, life="Old")')],
    "default": [a('F("x", Int, RO, default="1")'), a('F("x", Int, RO, default=True)'),
                a('F("x", Bool, RO, default=1)'), a('F("x", Float, RO, default=1)'),
                a('F("x", Enum("ops"), RO, default="stop")'), a('F("x", Ref("B"), RO, default="")'),
                a('F("x", Set(Int), RO, default=["1"])'), a('F("x", DateTime, RO, default="1970")'),
                a('F("x", Map(String, Int), RO, default={"a": "b"})')],
    "y needs a default": [a(calls='Call("c", [P("x", Int, default=1), P("y", Int)])')],
    "unknown role": [a(calls='Call("c", role="root")'), a('F("x", Int, RW, role="root")'),
                     a(calls='Call("c", role="pool-admin+x")'),
                     a('F("x", Map(String, String), RW, key_roles={"k": "root"})')],
    "a role, but no setter": [a('F("x", Int, RO, role="pool-admin")')],
    "key_roles": [a('F("x", String, RW, key_roles={"k": "pool-admin"})')],
    "life or place": [a(calls='Call("c", on="moon")')],
    "no error LOST": [a(calls='Call("c", errors=["LOST"])')],
    "op stop": [a(OPS, 'Call("c", [P("self", Ref("A"))], op="stop")')],
    "op go": [a(calls='Call("c", [P("self", Ref("A"))], op="go")'), a(OPS, 'Call("c", op="go")')],
    "inverse of another class": [a('F("Bs", RefSet("A"), RO, inverse="B.A")')],
    "no reference back": [a('F("Bs", RefSet("B"), RO, inverse="B.X")'),
                          a() + '\nClass("Z", fields=[F("Bs", RefSet("B"), RO, inverse="B.A")])'],
    "inverse: B.A twice": [a('F("Bs", RefSet("B"), RO, inverse="B.A"), F("Cs", RefSet("B"), RO, inverse="B.A")')],
    "no implicit message create": [a(more='roles={"create": "pool-admin"}, ')],
    "no explicit call A.x": [a() + '\nNOT_YET("P", "w", ["A.x"])'],
    "todo.py names A.c twice": [a(calls='Call("c")') + '\nNOT_YET("P", "w", ["A.c", "A.c"])',
                                a(calls='Call("c")') + '\nNOT_YET("P", "w", ["A.c"])\nNOT_YET("Q", "w", ["A.c"])'],
    "absent.py: no explicit call A.x": [a() + '\nE("X")\nABSENT("X", [], "Why.", ["A.x"])'],
    "absent.py names A.c twice": [a(calls='Call("c")') + '\nE("X")\nABSENT("X", [], "Why.", ["A.c", "A.c"])'],
    "both absent and to do": [a(calls='Call("c")') + '\nE("X")\nABSENT("X", [], "Why.", ["A.c"])\n'
                              'NOT_YET("P", "w", ["A.c"])'],
    "no error": [a(calls='Call("c")') + '\nABSENT("X", [], "Why.", ["A.c"])',
                 a(calls='Call("c")') + '\nE("X", ["p"])\nABSENT("X", [], "Why.", ["A.c"])'],
    "no sentence": [a(calls='Call("c")') + '\nE("X")\nABSENT("X", [], "why", ["A.c"])'],
    "no parameter @p": [a(calls='Call("c")') + '\nE("X", ["p"])\nABSENT("X", ["@p"], "Why.", ["A.c"])'],
}


class Loader(unittest.TestCase):
    def test_refuses(self):
        for reason, texts in REFUSED.items():
            for text in texts:
                with self.subTest(text=text):
                    with self.assertRaises(idl.SchemaError) as caught:
                        load(text)
                    self.assertIn(reason, str(caught.exception))

    def test_derives_messages(self):
        schema = load(a('F("name_label", String, RW, role="vm-operator"), F("m", Map(String, Int), RW), '
                        'F("t", Set(String), RW), F("r", Int, CTOR, life="Deprecated"), ' + OPS,
                        'Call("go", [P("self", Ref("A"))], op="go"), Call("get_z")',
                        'create=True, role="vm-admin", roles={"create": "pool-admin"}, '))
        calls = {c.name: c for c in schema.classes["A"].calls}
        self.assertEqual(sorted(calls), sorted(
            ["get_all", "get_all_records", "get_record", "get_by_uuid", "get_by_name_label", "create",
             "destroy", "get_uuid", "get_name_label", "set_name_label", "get_m", "set_m", "add_to_m",
             "remove_from_m", "get_t", "set_t", "add_t", "remove_t", "get_r", "get_current_operations",
             "go", "get_z"]))
        self.assertEqual(calls["set_name_label"].role, "vm-operator")
        self.assertEqual((calls["create"].role, calls["destroy"].role), ("pool-admin", "vm-admin"))
        self.assertEqual((calls["destroy"].op, calls["get_r"].life), ("destroy", "Deprecated"))
        self.assertEqual([c for c in calls if calls[c].async_], ["create", "destroy", "go"])
        self.assertEqual(calls["get_all_records"].result.text(), "(A ref -> A record) map")

    def test_roles(self):
        self.assertEqual(idl.roles_of("nobody"), [])
        self.assertEqual(idl.roles_of("vm-power-admin"), ["pool-admin", "pool-operator", "vm-power-admin"])
        self.assertEqual(idl.roles_of("pool-admin+client-cert"), ["pool-admin", "client-cert"])
        self.assertEqual(len(idl.roles_of("read-only")), 7)

    def test_check_wants_every_sentence(self):
        schema = load(a())
        missing = [where for where, text in gen.sentences(schema) if not text]
        self.assertEqual(missing, ["enum ops", "enum ops, go", "enum ops, destroy", "class B", "B.A",
                                   "class A", "A.uuid"])

    def test_compare_sees_differences(self):
        ours = gen.expand(load(a()))
        facts = gen.expand(load(a('F("x", Int, RO)')))
        facts["classes"]["A"]["messages"]["get_uuid"][2] = "pool-admin"
        found = "\n".join(gen.differences("", ours, facts))
        for part in ("classes/A/fields/x: only in the facts", "A/messages/get_x: only", "get_uuid/: schema"):
            self.assertIn(part, found)

    def test_c_strings(self):
        self.assertEqual(gen.cstr('a"\\\n\u00e4?'), '"a\\"\\\\\\012\\303\\244?"')


if __name__ == "__main__":
    unittest.main()
