# SPDX-License-Identifier: Apache-2.0
"""Where a VM could run, what storage there is, and BIOS strings."""
import os
import uuid
import xml.etree.ElementTree

import pytest

NOTHING = "OpaqueRef:00000000-0000-4000-8000-000000000001"


def fails(api, call, *args):
    error = api.fails(call, *args)
    return [error.code, *error.params]


@pytest.fixture(scope="module")
def host(api):
    return api.call("host.get_all")[0]


@pytest.fixture
def vm(api):
    ref = api.new_vm("somewhere")
    yield ref
    api.call("VM.destroy", ref)


@pytest.fixture
def storage(api, host, tmp_path):
    """A repository of its own: (SR, PBD)."""
    sr = api.call("SR.create", host, {"location": str(tmp_path)}, 0, "own", "", "file", "user", False, {})
    pbd = api.call("SR.get_PBDs", sr)[0]
    yield sr, pbd
    if not api.call("PBD.get_currently_attached", pbd):
        api.call("PBD.plug", pbd)
    api.call("SR.destroy", sr)


@pytest.fixture
def disk(api, vm, storage):
    vdi = api.call("VDI.create", {"SR": storage[0], "virtual_size": 1 << 22, "type": "user"})
    vbd = api.call("VBD.create", {"VM": vm, "VDI": vdi, "userdevice": "0", "mode": "RW", "type": "Disk", "bootable": True,
                                  "empty": False, "other_config": {}, "qos_algorithm_type": "",
                                  "qos_algorithm_params": {}})
    yield vdi
    if not api.call("PBD.get_currently_attached", storage[1]):
        api.call("PBD.plug", storage[1])
    api.call("VBD.destroy", vbd)
    api.call("VDI.destroy", vdi)


def test_can_boot_here(api, host, vm, storage, disk):
    sr, pbd = storage
    api.call("VM.assert_can_boot_here", vm, host)
    assert fails(api, "VM.assert_can_boot_here", vm, NOTHING) == ["HANDLE_INVALID", "host", NOTHING]
    api.call("host.disable", host)
    assert fails(api, "VM.assert_can_boot_here", vm, host) == ["HOST_DISABLED", host]
    api.call("host.enable", host)
    api.call("VM.set_memory_limits", vm, 1 << 40, 1 << 40, 1 << 40, 1 << 40)
    code, needed, available = fails(api, "VM.assert_can_boot_here", vm, host)
    assert (code, int(needed)) == ("HOST_NOT_ENOUGH_FREE_MEMORY", 1 << 40) and int(available) < 1 << 40
    api.call("VM.set_memory_limits", vm, 1 << 27, 1 << 27, 1 << 27, 1 << 27)
    api.call("PBD.unplug", pbd)
    assert fails(api, "VM.assert_can_boot_here", vm, host) == ["VM_REQUIRES_SR", vm, sr]


def test_memory_that_fits(api, vm):
    assert api.call("VM.maximise_memory", vm, (5 << 30) + 12345, False) == 5 << 30
    assert api.call("VM.maximise_memory", vm, -1, True) == 0


def test_recovery(api, vm, storage, disk):
    sr, pbd = storage
    group = api.call("VM_appliance.create", {"name_label": "g", "name_description": ""})
    api.call("VM.set_appliance", vm, group)
    for cls, ref in (("VM", vm), ("VM_appliance", group)):
        api.call(cls + ".assert_can_be_recovered", ref, api.session)
        assert api.call(cls + ".get_SRs_required_for_recovery", ref, api.session) == []
        assert fails(api, cls + ".assert_can_be_recovered", ref, NOTHING) == ["SESSION_INVALID", NOTHING]
    api.call("PBD.unplug", pbd)
    for cls, ref in (("VM", vm), ("VM_appliance", group)):
        assert fails(api, cls + ".assert_can_be_recovered", ref, api.session) == ["VM_REQUIRES_SR", vm, sr]
        assert api.call(cls + ".get_SRs_required_for_recovery", ref, api.session) == [sr]
    api.call("VM_appliance.destroy", group)


def test_probing(api, host, tmp_path):
    names = sorted(str(uuid.uuid4()) for _ in range(2))
    for name in (*names, "not a uuid"):
        (tmp_path / name).mkdir()
    (tmp_path / str(uuid.uuid4())).write_text("a file")
    config = {"location": str(tmp_path)}
    tree = xml.etree.ElementTree.fromstring(api.call("SR.probe", host, config, "file", {}))
    assert tree.tag == "SRlist" and [e.text.strip() for e in tree.iter("UUID")] == names
    space = os.statvfs(tmp_path)
    found = sorted(api.call("SR.probe_ext", host, config, "file", {}), key=lambda r: r["sr"]["uuid"])
    assert [r["sr"]["uuid"] for r in found] == names
    for name, r in zip(names, found):
        assert r["configuration"] == {"location": str(tmp_path / name)} and r["complete"] is True
        assert r["sr"]["total_space"] == space.f_blocks * space.f_frsize
        assert 0 <= r["sr"]["free_space"] <= r["sr"]["total_space"] and r["sr"]["health"] == "healthy"
    assert fails(api, "SR.probe", host, config, "tape", {}) == ["SR_UNKNOWN_DRIVER", "tape"]
    for place in ("", "relative", str(tmp_path / "missing")):
        assert fails(api, "SR.probe_ext", host, {"location": place}, "file", {}) == [
            "INVALID_VALUE", "device_config:location", place]
    assert fails(api, "SR.probe", NOTHING, config, "file", {}) == ["HANDLE_INVALID", "host", NOTHING]
    # What was found can be taken in.
    sr = api.call("SR.introduce", names[0], "found", "", "file", "user", False, {})
    api.call("PBD.create", {"host": host, "SR": sr, "device_config": found[0]["configuration"]})
    api.call("PBD.plug", api.call("SR.get_PBDs", sr)[0])
    api.call("SR.scan", sr)
    api.call("SR.destroy", sr)


def test_records_of_storage(api, storage, tmp_path):
    sr, pbd = storage
    api.call("SR.set_shared", sr, True)
    assert api.call("SR.get_shared", sr) is True
    api.call("SR.set_shared", sr, False)
    assert api.call("SR.get_shared", sr) is False
    api.call("SR.set_physical_size", sr, 12345)
    assert api.call("SR.get_physical_size", sr) == 12345
    assert fails(api, "SR.set_physical_size", sr, -1) == ["INVALID_VALUE", "value", "-1"]
    api.call("SR.disable_database_replication", sr)
    other = tmp_path / "moved"
    other.mkdir()
    assert fails(api, "PBD.set_device_config", pbd, {"location": str(other)}) == ["DEVICE_ALREADY_ATTACHED", pbd]
    api.call("PBD.unplug", pbd)
    assert fails(api, "PBD.set_device_config", pbd, {"location": "here"}) == ["INVALID_VALUE", "device_config:location", "here"]
    api.call("PBD.set_device_config", pbd, {"location": str(other)})
    api.call("PBD.plug", pbd)
    vdi = api.call("VDI.create", {"SR": sr, "virtual_size": 1 << 22, "type": "user"})
    assert any(api.call("VDI.get_uuid", vdi) in p.name for p in other.iterdir())
    api.call("VDI.destroy", vdi)


def test_bios_strings(api, host, vm):
    for key, value, why in (("colour", "red", "Unknown key"), ("bios-vendor", "", "Value provided is empty"),
                            ("bios-vendor", "x" * 513, "x" * 513 + " has length more than 512 characters"),
                            ("bios-vendor", "a\nb", "a\nb has non-printable ASCII characters")):
        assert fails(api, "VM.set_bios_strings", vm, {key: value}) == ["INVALID_VALUE", key, why]
    api.call("VM.set_bios_strings", vm, {"bios-vendor": "Maker, Inc.", "system-serial-number": "1"})
    assert api.call("VM.get_bios_strings", vm) == {"bios-vendor": "Maker, Inc.", "system-serial-number": "1"}
    for call, arg in (("set", {"bios-vendor": "x"}), ("copy", host)):
        assert fails(api, "VM.%s_bios_strings" % call, vm, arg) == ["VM_BIOS_STRINGS_ALREADY_SET"]
    other = api.new_vm("as the host")
    assert fails(api, "VM.copy_bios_strings", other, NOTHING) == ["HANDLE_INVALID", "host", NOTHING]
    api.call("VM.copy_bios_strings", other, host)
    assert api.call("VM.get_bios_strings", other) == api.call("host.get_bios_strings", host)
    assert api.call("VM.get_affinity", other) == host
    api.call("VM.destroy", other)
