# SPDX-License-Identifier: Apache-2.0
"""Calls of features that are absent give XenServer's error for that, and the reason in words."""
import pathlib
import sys

import pytest

import facts

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "api"))
import idl  # noqa: E402

ABSENT = idl.load().absent
ALL = {m.call: m for of_class in facts.MESSAGES.values() for m in of_class.values()}


@pytest.fixture(scope="module")
def refs(api):
    found = {cls: api.call(cls + ".get_all")[0] for cls in ("host", "pool", "SR", "network", "PIF")
             if api.call(cls + ".get_all")}
    found["VM"] = api.new_vm("wants what is not there")
    found["VM_appliance"] = api.call("VM_appliance.create", {"name_label": "of them", "name_description": ""})
    found["VDI"] = api.call("VDI.create", {"SR": api.call("pool.get_default_SR", api.pool()), "virtual_size": 1 << 22,
                                           "type": "user"})
    return found


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_absent(api, refs, name):
    a, m = ABSENT[name], ALL[name]
    values = [facts.good(t, refs) for t in m.types]
    # Of classes that have no objects, one that does not exist.
    values = [facts.some_ref() if t.kind == "ref" and v == "OpaqueRef:NULL" else v for t, v in zip(m.types, values)]
    names = [p for p, _ in facts.SCHEMA["classes"][m.cls]["messages"][m.name][0]]
    given = dict(zip(names, values))
    error = api.fails(name, *values)
    want = [refs["host"] if p == "$host" else given[p[1:]] if p.startswith("@") else p for p in a.params]
    assert (error.code, error.params) == (a.code, want)
    if a.code != "HANDLE_INVALID":
        assert a.reason in error.explain


def test_absent_classes_have_no_objects(api):
    for cls in ("Cluster", "Cluster_host", "PGPU", "VGPU", "PVS_site", "PVS_proxy", "PVS_server", "SDN_controller", "tunnel",
                "network_sriov", "DR_task", "pool_update", "pool_patch", "host_patch", "host_crashdump", "crashdump",
                "Repository"):
        assert api.call(cls + ".get_all") == [], cls
