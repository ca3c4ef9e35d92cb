# SPDX-License-Identifier: Apache-2.0
"""Changed blocks as clients ask for them: between any two snapshots, without their data, through whatever is done to the disk."""
import base64
import os
import signal

import pytest

import guests
from guests import MIB, new_vdi
from test_disks import put

NULL = "OpaqueRef:NULL"
BLOCK = 65536


@pytest.fixture(scope="module")
def sr(api):
    return api.call("pool.get_default_SR", api.pool())


@pytest.fixture
def world(directory, kernels):
    yield from guests.with_daemon(guests.Daemon(directory, kernels))


def blocks(api, old, new):
    text = base64.b64decode(api.call("VDI.list_changed_blocks", old, new), validate=True)
    size = int(api.call("VDI.get_virtual_size", new))
    assert len(text) == -(-size // BLOCK // 32) * 4
    return {i for i in range(len(text) * 8) if text[i // 8] & 0x80 >> i % 8}


def logs(daemon, api, sr):
    uuid = api.call("SR.get_uuid", sr)
    return sorted(p.name for p in (daemon.state / "sr" / uuid).glob("*.cbt"))


def unknown(api, old, new):
    err = api.fails("VDI.list_changed_blocks", old, new)
    return err.code == "SR_BACKEND_FAILURE" and err.params[0] == "460"


def fill(daemon, api, vdi, n):
    """The first n blocks get other contents."""
    assert put(daemon, api, os.urandom(n * BLOCK), vdi=vdi)["status"] == "success"


def test_disk_of_nobody(daemon, api, sr):
    disk = new_vdi(api, sr, 8 * MIB)
    assert {"enable_cbt", "disable_cbt"} <= set(api.call("VDI.get_allowed_operations", disk))
    assert "list_changed_blocks" not in api.call("VDI.get_allowed_operations", disk)
    early = api.call("VDI.snapshot", disk)
    assert api.fails("VDI.list_changed_blocks", early, disk).code == "VDI_NO_CBT_METADATA"
    assert api.fails("VDI.data_destroy", early).code == "VDI_NO_CBT_METADATA"
    assert api.fails("VDI.data_destroy", disk).code == "OPERATION_NOT_ALLOWED"
    assert api.fails("VDI.enable_cbt", early).code == "OPERATION_NOT_ALLOWED"
    api.call("VDI.enable_cbt", disk)
    api.call("VDI.enable_cbt", disk)
    assert api.call("VDI.get_cbt_enabled", disk) and not api.call("VDI.get_cbt_enabled", early)
    fill(daemon, api, disk, 5)
    one = api.call("VDI.snapshot", disk)
    assert api.call("VDI.get_cbt_enabled", one) and blocks(api, one, disk) == set()
    fill(daemon, api, disk, 3)
    two = api.call("VDI.snapshot", disk)
    api.call("VDI.resize", disk, str(10 * MIB))
    fill(daemon, api, disk, 160)
    three = api.call("VDI.snapshot", disk)
    assert blocks(api, one, two) == {0, 1, 2}
    assert blocks(api, two, three) == blocks(api, one, three) == set(range(160))
    assert api.fails("VDI.list_changed_blocks", early, two).code == "VDI_NO_CBT_METADATA"
    for old, new in ((two, one), (one, one), (disk, two)):
        assert unknown(api, old, new), (old, new)

    clone = api.call("VDI.clone", disk)
    copy = api.call("VDI.copy", disk, sr, NULL, NULL)
    assert not api.call("VDI.get_cbt_enabled", clone) and not api.call("VDI.get_cbt_enabled", copy)
    fill(daemon, api, disk, 2)
    assert blocks(api, three, disk) == {0, 1}
    again = api.call("VDI.snapshot", disk)
    assert blocks(api, three, again) == {0, 1}

    # Without its data a snapshot can be asked for all the same.
    assert "data_destroy" in api.call("VDI.get_allowed_operations", one)
    api.call("VDI.data_destroy", one)
    api.call("VDI.data_destroy", one)
    record = api.call("VDI.get_record", one)
    assert record["type"] == "cbt_metadata" and record["cbt_enabled"] and int(record["physical_utilisation"]) == 0
    assert sorted(record["allowed_operations"]) == ["data_destroy", "destroy", "forget", "list_changed_blocks"]
    api.call("SR.scan", sr)
    assert not api.call("VDI.get_missing", one) and blocks(api, one, two) == {0, 1, 2}
    for method, *more in (("VDI.clone",), ("VDI.copy", sr, NULL, NULL), ("VDI.resize", str(20 * MIB)), ("VDI.snapshot",)):
        assert api.fails(method, one, *more).code == "VDI_INCOMPATIBLE_TYPE", method
    with daemon.connect() as raw:
        assert raw.request("GET", "/export_raw_vdi?vdi=%s&session_id=%s" % (one, api.session)).status != 200

    # What lies between two that are there is not forgotten when its snapshot is.
    api.call("VDI.destroy", two)
    assert blocks(api, one, three) == set(range(160))
    api.call("VDI.destroy", one)
    assert blocks(api, three, again) == {0, 1}
    for vdi in (early, three, again, clone, copy):
        api.call("VDI.destroy", vdi)
    assert len(logs(daemon, api, sr)) == 1
    api.call("VDI.disable_cbt", disk)
    assert not api.call("VDI.get_cbt_enabled", disk) and logs(daemon, api, sr) == []
    api.call("VDI.destroy", disk)
    raw = new_vdi(api, sr, 8 * MIB, sm_config={"type": "raw"})
    assert api.fails("VDI.enable_cbt", raw).code == "SR_OPERATION_NOT_SUPPORTED"
    api.call("VDI.destroy", raw)


def snapshot(api, vm, name):
    snap = api.call("VM.snapshot", vm.ref, name)
    vbd = api.call("VM.get_VBDs", snap)[0]
    return snap, api.call("VBD.get_VDI", vbd)


def write(line, number):
    line.ask("write %d vda" % number, r"WROTE %d\r$" % number)


def test_running(world):
    """Tracking begins and ends under a guest; its disk process and the daemon are killed; it is reverted."""
    mib = set(range(16))  # what the guest's "write" writes

    with world.api() as api:
        vm = guests.Guest(world, api)
        disk = vm.add_disk(size=40 * MIB, userdevice="0")[0]
        line = vm.start_up()
        write(line, 1)
        api.call("VDI.enable_cbt", disk)
        first, one = snapshot(api, vm, "one")
        _, two = snapshot(api, vm, "two")
        assert blocks(api, one, two) == set()
        write(line, 2)
        assert api.fails("VDI.list_changed_blocks", two, disk).code == "VDI_IN_USE"
        api.call("VDI.resize", disk, str(48 * MIB))
        _, three = snapshot(api, vm, "three")
        assert blocks(api, two, three) == mib
        write(line, 3)
        before = world.disk_processes()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        guests.until("another disk process", lambda: world.disk_processes() and world.disk_processes() != before)
        write(line, 4)
    world.kill()
    world.start()
    with world.api() as api:
        vm.api = api
        sr = api.call("pool.get_default_SR", api.pool())
        line = vm.serial()
        write(line, 5)
        _, four = snapshot(api, vm, "four")
        assert mib <= blocks(api, three, four) <= set(range(256)), "what a kill left counts as changed, a region of 16 MiB at a time"
        assert blocks(api, two, four) >= mib
        assert api.fails("VDI.data_destroy", three).code == "VDI_IN_USE"
        api.call("VM.hard_shutdown", vm.ref)
        api.call("VM.revert", first)
        disk = api.call("VBD.get_VDI", api.call("VM.get_VBDs", vm.ref)[0])
        assert api.call("VDI.get_cbt_enabled", disk)
        fill(world, api, disk, 7)
        last, five = snapshot(api, vm, "five")
        assert blocks(api, one, five) == set(range(7))
        assert unknown(api, two, five), "it has nothing to do with it any more"
        for snap in api.call("VM.get_snapshots", vm.ref):
            vdi = api.call("VBD.get_VDI", api.call("VM.get_VBDs", snap)[0])
            api.call("VM.destroy", snap)
            if vdi in (one, five):
                api.call("VDI.data_destroy", vdi)
            else:
                api.call("VDI.destroy", vdi)
        assert blocks(api, one, five) == set(range(7))
        api.call("VDI.destroy", one)
        api.call("VDI.destroy", five)
        assert logs(world, api, sr) == [api.call("VDI.get_location", disk) + ".cbt"]
