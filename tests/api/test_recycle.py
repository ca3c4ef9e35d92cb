# SPDX-License-Identifier: Apache-2.0
"""The recycle bin: what is destroyed is gone for clients, and can be had back as it was, for as long as it is kept."""
import pytest


MIB = 1 << 20


@pytest.fixture
def sr(api):
    sr = api.call("pool.get_default_SR", api.pool())
    api.call("SR.add_to_other_config", sr, "recycle-hours", "5")
    api.call("pool.add_to_other_config", api.pool(), "recycle-hours", "5")
    yield sr
    api.call("SR.remove_from_other_config", sr, "recycle-hours")
    api.call("pool.remove_from_other_config", api.pool(), "recycle-hours")
    api.call("serai.recycle_empty")


def new_vdi(api, sr, name):
    return api.call("VDI.create", {"name_label": name, "name_description": "kept", "SR": sr, "virtual_size": 4 * MIB,
                                   "type": "user", "sharable": False, "read_only": False, "other_config": {"a": "b"}})


def add_vbd(api, vm, vdi):
    return api.call("VBD.create", {"VM": vm, "VDI": vdi, "userdevice": "0", "bootable": True, "mode": "RW", "type": "Disk",
                                   "empty": False, "other_config": {"k": "v"}, "qos_algorithm_type": "",
                                   "qos_algorithm_params": {}})


def items(api):
    return {v["name_label"]: v for v in api.call("serai_recycled.get_all_records").values()}


def files(daemon, api, sr):
    return sorted(p.name for p in (daemon.state / "sr" / api.call("SR.get_uuid", sr)).iterdir())


def own(record):
    return {k: v for k, v in record.items() if k not in ("VBDs", "snapshot_of", "metrics", "snapshots")}


def test_a_disk(daemon, api, sr):
    vdi = new_vdi(api, sr, "precious")
    record, before = api.call("VDI.get_record", vdi), files(daemon, api, sr)
    promised = int(api.call("SR.get_virtual_allocation", sr))
    api.call("VDI.destroy", vdi)
    assert vdi not in api.call("VDI.get_all") and api.fails("VDI.get_record", vdi).code == "HANDLE_INVALID"
    assert api.fails("VDI.get_by_uuid", record["uuid"]).code == "UUID_INVALID"
    assert int(api.call("SR.get_virtual_allocation", sr)) == promised - 4 * MIB
    assert files(daemon, api, sr) == before
    item = items(api)["precious"]
    assert (item["kind"], item["object_uuid"], item["user"], item["content"]) == ("VDI", record["uuid"], "root", "")
    assert item["destroyed"] < item["expires"]
    api.call("SR.scan", sr)  # its volume is nobody's find
    assert api.fails("VDI.get_by_uuid", record["uuid"]).code == "UUID_INVALID"
    assert api.call("serai.get_storage_debt", sr)["recycled"] == "1"



def test_it_is_back(daemon, api, sr):
    vdi = new_vdi(api, sr, "again")
    record = api.call("VDI.get_record", vdi)
    api.call("VDI.destroy", vdi)
    assert api.call("serai.recycle_restore", "again") == record["uuid"]
    back = api.call("VDI.get_by_uuid", record["uuid"])
    assert own(api.call("VDI.get_record", back)) == own(record) and "again" not in items(api)
    error = api.fails("serai.recycle_restore", "again")
    assert (error.code, error.params) == ("INVALID_VALUE", ["item", "again"]) and "recycle-list" in error.explain
    api.call("VDI.destroy", back)
    before = files(daemon, api, sr)
    api.call("serai.recycle_empty", record["uuid"])
    assert "again" not in items(api) and files(daemon, api, sr) == [n for n in before if record["uuid"] not in n]


def test_a_machine_with_its_disk(daemon, api, sr):
    vm = api.new_vm("whole")
    api.call("VM.add_to_other_config", vm, "x", "y")
    vdi = new_vdi(api, sr, "its disk")
    add_vbd(api, vm, vdi)
    uuid, disk = api.call("VM.get_uuid", vm), api.call("VDI.get_uuid", vdi)
    api.call("VM.destroy", vm)
    api.call("VDI.destroy", vdi)
    assert api.fails("VM.get_by_uuid", uuid).code == "UUID_INVALID"
    assert items(api)["whole"]["disks"] == [disk]
    assert api.call("serai.recycle_restore", "whole") == uuid
    record = api.call("VM.get_record", api.call("VM.get_by_uuid", uuid))
    assert record["name_label"] == "whole" and record["other_config"].get("x") == "y" and record["power_state"] == "Halted"
    [vbd] = record["VBDs"]
    vbd = api.call("VBD.get_record", vbd)
    assert vbd["VDI"] == api.call("VDI.get_by_uuid", disk) and vbd["bootable"] and vbd["other_config"]["k"] == "v"
    assert items(api) == {}
    api.call("VM.destroy", api.call("VM.get_by_uuid", uuid))
    api.call("VDI.destroy", api.call("VDI.get_by_uuid", disk))
    api.call("serai.recycle_empty")
    assert items(api) == {}


def test_off_unless_asked_for(daemon, api):
    sr = api.call("pool.get_default_SR", api.pool())
    vdi, before = new_vdi(api, sr, "gone"), files(daemon, api, sr)
    uuid = api.call("VDI.get_uuid", vdi)
    api.call("VDI.destroy", vdi)
    assert "gone" not in items(api) and files(daemon, api, sr) == [n for n in before if uuid not in n]
