# SPDX-License-Identifier: Apache-2.0
"""What existing clients call is real. clients.json: method -> tiers, of every method that a client is known to call: gathered from
the sources of xen-api, Xen Orchestra (xo-server, its XAPI and backup libraries), XenCenter, the Terraform and Packer plug-ins for
XenServer, CloudStack's plug-in for it and Python's xmlrpc.client, in the revisions of August 2026 (XenCenter: December 2023).
T1 reading, T2 the life of machines, T3 disks and snapshots, T4 several hosts and their upkeep, T5 backup."""

import json
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "api"))
import idl  # noqa: E402

# T4 that a host alone has no part in: joining and leaving a pool, high availability, bonds, VLANs, moves to other hosts.
SEVERAL_HOSTS = (
    "Bond.create", "Bond.destroy", "VLAN.create", "VLAN.destroy", "VDI.pool_migrate", "VM.assert_can_migrate", "VM.migrate_send",
    "VM.pool_migrate", "SR.assert_can_host_ha_statefile", "host.migrate_receive", "pool.disable_ha", "pool.eject", "pool.enable_ha",
    "pool.join", "pool.set_ha_host_failures_to_tolerate")
# Parts of the product that are being built: nothing else may be missing.
OPEN_PARTS = ("MACHINES", "DISKS")
NO_CLASS = ("system.listMethods",)


def state(schema, calls, name):
    """real, absent, removed, "not yet" or None for what is no call."""
    call = calls.get(name)
    if call is None:
        return None
    if name in schema.not_yet:
        return "not yet"
    if name in schema.absent:
        return "absent"
    return "removed" if call.life == "Removed" else "real"


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = idl.load()
        cls.calls = {"%s.%s" % (k.name, c.name): c for k in cls.schema.classes.values() for c in k.calls}
        facts = json.loads((HERE / "xenapi.json").read_text(encoding="utf-8"))["classes"]
        cls.explicit = ["%s.%s" % (k, m) for k, of in facts.items() for m, row in of["messages"].items() if row[4] == "explicit"]
        cls.tiers = json.loads((HERE / "clients.json").read_text(encoding="utf-8"))

    def test_the_ranking_is_whole(self):
        found = [sum(tier in t.split() for t in self.tiers.values()) for tier in ("T1", "T2", "T3", "T4", "T5")]
        self.assertEqual(found, [148, 151, 61, 132, 6])

    def test_every_method_is_real_or_has_its_reason(self):
        for name in self.tiers:
            if name in NO_CLASS or name in SEVERAL_HOSTS:
                continue
            with self.subTest(name=name):
                how = state(self.schema, self.calls, name)
                self.assertIsNotNone(how, "no such call")
                if how == "not yet":
                    self.assertIn(self.schema.not_yet[name].part, OPEN_PARTS)

    def test_every_real_call_is_made_by_a_test(self):
        """By its whole name: tests that go through all calls alike do not count, which look at answers alone."""
        root = HERE.parent
        texts = [p.read_text(encoding="utf-8") for p in [*root.glob("**/*.py"), *root.glob("**/*.mjs"), *root.glob("**/*.js")]
                 if p.name != pathlib.Path(__file__).name and "node_modules" not in p.parts]
        made = set(re.findall(r'["\'](?:Async\.)?(\w+[._]\w+)["\']', "\n".join(texts)))
        made |= set(re.findall(r"\.xenapi\.(\w+\.\w+)\(", "\n".join(texts)))
        missing = [n for n in self.explicit if state(self.schema, self.calls, n) == "real"
                   and not {n, n.replace(".", "_", 1)} & made]
        self.assertEqual(missing, [])
        self.assertGreater(len(self.explicit), 470)

    def test_what_is_open_says_of_what(self):
        for name, note in self.schema.not_yet.items():
            self.assertIn(note.part, OPEN_PARTS, name)
            self.assertGreater(len(note.what), 3, name)

    def test_the_exceptions_are_calls(self):
        for name in SEVERAL_HOSTS:
            self.assertIn(name, self.calls)


if __name__ == "__main__":
    unittest.main()
