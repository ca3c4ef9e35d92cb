# SPDX-License-Identifier: Apache-2.0
"""Snapshots, clones and the way back, with the guest's own data, and disk processes that die."""
import os
import signal

import pytest

import guests
from guests import MIB, content, pattern

NULL = "OpaqueRef:NULL"


@pytest.fixture
def world(directory, kernels):
    yield from guests.with_daemon(guests.Daemon(directory, kernels))


def write(line, number, disk="vda"):
    # not at the start of a line: of what the guest says while the daemon is away, the end of a line may be lost
    line.ask("write %d %s" % (number, disk), r"WROTE %d\r$" % number)


def disks_of(api, vm):
    """{userdevice: VDI} of its disks."""
    vbds = [api.call("VBD.get_record", r) for r in api.call("VM.get_VBDs", vm)]
    return {v["userdevice"]: v["VDI"] for v in vbds if v["type"] == "Disk"}


def pending(daemon):
    return guests.files_below(daemon.state / "pending")


def remove(api, vm):
    vdis = disks_of(api, vm).values()
    api.call("VM.destroy", vm)
    for vdi in vdis:
        api.call("VDI.destroy", vdi)


def test_running(daemon, api, vm):
    """Two disks of a running guest at once; back to it; what is dropped is gone from the repository."""
    one, two = vm.add_disk(userdevice="0")[0], vm.add_disk(userdevice="1")[0]
    line = vm.start_up()
    write(line, 1)
    write(line, 2, "vdb")
    snap = api.call("VM.snapshot", vm.ref, "first")
    write(line, 3)
    second = api.call("VM.snapshot", vm.ref, "second", [two])
    write(line, 4)
    record, now = api.call("VM.get_record", snap), api.call("VM.get_record", vm.ref)
    assert (record["is_a_snapshot"], record["is_a_template"], record["power_state"]) == (True, True, "Halted")
    assert record["snapshot_of"] == vm.ref and record["snapshot_info"]["power-state-at-snapshot"] == "Running"
    assert sorted(now["snapshots"]) == sorted([snap, second]) and now["parent"] == second
    assert api.call("VM.get_parent", second) == snap and api.call("VM.get_children", snap) == [second]
    taken = disks_of(api, snap)
    assert list(disks_of(api, second)) == ["0"]
    for number, vdi in (("0", one), ("1", two)):
        shot = api.call("VDI.get_record", taken[number])
        assert shot["is_a_snapshot"] and shot["snapshot_of"] == vdi and shot["VBDs"]
        assert shot["virtual_size"] == api.call("VDI.get_virtual_size", vdi)
        assert taken[number] in api.call("VDI.get_snapshots", vdi)
        assert int(shot["snapshot_time"][:4]) > 2000
    parent = api.call("VDI.get_record", two)["sm_config"]["vhd-parent"]
    assert parent == api.call("VDI.get_uuid", taken["1"])
    assert content(daemon, api, taken["0"], MIB) == pattern(1)
    assert content(daemon, api, taken["1"], MIB) == pattern(2)
    assert content(daemon, api, disks_of(api, second)["0"], MIB) == pattern(3)
    assert content(daemon, api, one, MIB) == pattern(4)
    assert api.fails("VM.start", snap, False, False).code == "VM_IS_TEMPLATE"
    assert api.fails("VM.revert", vm.ref).code == "OPERATION_NOT_ALLOWED"
    assert api.fails("VDI.resize", taken["0"], 16 * MIB).code == "OPERATION_NOT_ALLOWED"
    assert pending(daemon) == []

    uuid = api.call("VDI.get_uuid", one)
    api.call("VM.revert", snap)
    assert vm.state() == "Halted" and disks_of(api, vm.ref) == {"0": one, "1": two}
    assert api.call("VDI.get_uuid", one) == uuid and vm.get("parent") == snap
    line = vm.start_up()
    write(line, 5, "vdb")
    vm.call("hard_shutdown")
    assert content(daemon, api, one, MIB) == pattern(1) and content(daemon, api, two, MIB) == pattern(5)
    assert content(daemon, api, taken["1"], MIB) == pattern(2)
    remove(api, second)
    assert vm.get("snapshots") == [snap] and vm.get("parent") == snap
    remove(api, snap)
    assert content(daemon, api, one, MIB) == pattern(1) and content(daemon, api, two, MIB) == pattern(5)
    vm.remove()
    guests.check_whole(daemon, api)


def sectors(line, disk, size):
    line.ask("sh cat /sys/block/%s/size" % disk, r"^%d\r$" % (size // 512))


def test_grows(daemon, api, vm):
    """An image, over a snapshot and again, and a raw disk grow under a guest, which sees it and writes to the end."""
    one, _ = vm.add_disk(userdevice="0")
    raw = guests.new_vdi(api, api.call("VDI.get_SR", one), sm_config={"type": "raw"})
    vm.disks.append(raw)
    vm.add_vbd(raw, userdevice="1")
    line = vm.start_up()
    write(line, 1)
    write(line, 2, "vdb")
    for size in (16, 24, 40):
        api.call("VDI.resize", one, size * MIB)
        assert int(api.call("VDI.get_virtual_size", one)) == size * MIB
        sectors(line, "vda", size * MIB)
        if size == 16:
            shot = api.call("VDI.snapshot", one)
    api.call("VDI.resize", raw, 12 * MIB - 1)  # rounded up
    sectors(line, "vdb", 12 * MIB)
    line.ask("sh echo SERAI | dd of=/dev/vda bs=512 seek=%d conv=fsync && echo at the end" % (40 * MIB // 512 - 1), r"^at the end\r$")
    error = api.fails("VDI.resize", one, 8 * MIB)
    assert (error.code, error.params) == ("VDI_TOO_SMALL", [one, str(40 * MIB)])
    assert api.fails("VDI.resize", one, 2041 << 30).code == "VDI_TOO_LARGE"
    [process] = daemon.disk_processes()
    os.kill(process, signal.SIGKILL)
    guests.until("another one", lambda: [p for p in daemon.disk_processes() if p != process])
    write(line, 3)
    bytes_now = content(daemon, api, one)
    assert bytes_now[:MIB] == pattern(3) and bytes_now[-512:].startswith(b"SERAI\n") and len(bytes_now) == 40 * MIB
    assert int(api.call("VDI.get_virtual_size", shot)) == 16 * MIB
    assert content(daemon, api, shot, MIB) == pattern(1)
    assert pending(daemon) == []
    vm.call("hard_shutdown")
    assert content(daemon, api, raw, MIB) == pattern(2)
    api.call("VDI.destroy", shot)
    vm.remove()
    guests.check_whole(daemon, api)


def test_halted_and_clones(daemon, api, vm):
    one, _ = vm.add_disk(userdevice="0", size=64 * MIB)
    line = vm.start_up()
    write(line, 7)
    line.ask("sh sync; echo done", r"^done\r$")
    vm.call("hard_shutdown")
    shot = api.call("VDI.snapshot", one)
    clone = api.call("VDI.clone", one, {})
    twin = api.call("VM.clone", vm.ref, "twin")
    snap = api.call("VM.snapshot", vm.ref, "halted")
    child = api.call("VM.clone", snap, "of the snapshot")
    vdis = [shot, clone, disks_of(api, twin)["0"], disks_of(api, snap)["0"], disks_of(api, child)["0"], one]
    assert len(set(vdis)) == 6
    for vdi in vdis:
        assert content(daemon, api, vdi, 2 * MIB) == pattern(7) + bytes(MIB)
        assert int(api.call("VDI.get_virtual_size", vdi)) == 64 * MIB
    for vdi in (clone, one, disks_of(api, twin)["0"]):  # what they share is stored once
        assert int(api.call("VDI.get_physical_utilisation", vdi)) < MIB
    line = vm.start_up()
    write(line, 8)
    vm.call("hard_shutdown")
    assert content(daemon, api, one, MIB) == pattern(8)
    for vdi in vdis[:-1]:
        assert content(daemon, api, vdi, MIB) == pattern(7)
    full = api.call("VDI.copy", clone, api.call("VDI.get_SR", one), NULL, NULL)
    assert "vhd-parent" not in api.call("VDI.get_sm_config", full)
    assert content(daemon, api, full, MIB) == pattern(7)
    # In any order, and all files go.
    api.call("VM.destroy", twin)
    api.call("VM.destroy", child)
    api.call("VM.destroy", snap)
    for vdi in (vdis[2], shot, vdis[4], full, vdis[3], clone):
        api.call("VDI.destroy", vdi)
        assert content(daemon, api, one, MIB) == pattern(8)
    vm.remove()
    guests.check_whole(daemon, api)


def volumes(daemon, api, vdi):
    folder = guests.disk_file(daemon, api, vdi).parent
    return sorted(p.name for p in folder.glob("*.vhd"))


def until_volumes(daemon, api, vdi, count):
    guests.until("%d volumes" % count, lambda: len(volumes(daemon, api, vdi)) == count)
    guests.until("quiet", lambda: not [p for p in pending(daemon) if p + ".vhd" not in volumes(daemon, api, vdi)])


def test_chains_shrink(daemon, api, vm):
    """What nobody needs any more goes by itself: under a running guest, under two that share it, and with nobody at work."""
    one, _ = vm.add_disk(userdevice="0")
    line = vm.start_up()
    write(line, 1)
    first = api.call("VDI.snapshot", one)
    write(line, 2)
    second = api.call("VDI.snapshot", one)
    write(line, 3)
    assert len(volumes(daemon, api, one)) == 3
    api.call("VDI.destroy", first)  # the second goes into the first's volume, below the guest's
    until_volumes(daemon, api, one, 2)
    assert content(daemon, api, second, MIB) == pattern(2) and content(daemon, api, one, MIB) == pattern(3)
    guests.until("the parent's name", lambda: api.call("VDI.get_sm_config", one).get("vhd-parent")
                 == api.call("VDI.get_uuid", second))
    write(line, 4)
    api.call("VDI.destroy", second)  # the guest's own goes into what is left
    until_volumes(daemon, api, one, 1)
    guests.until("no parent", lambda: "vhd-parent" not in api.call("VDI.get_sm_config", one))
    assert content(daemon, api, one, MIB) == pattern(4)
    write(line, 5)
    third = api.call("VDI.snapshot", one)
    write(line, 6)
    vm.call("hard_shutdown")
    shared = api.call("VDI.clone", one, {})
    twin = guests.Guest(daemon, api, "twin")
    try:
        twin.add_vbd(shared, userdevice="0")
        twin_line = twin.start_up()
        line = vm.start_up()
        write(line, 7)
        write(twin_line, 8)
        assert len(volumes(daemon, api, one)) == 4
        api.call("VDI.destroy", third)  # two machines' processes let go of one volume
        until_volumes(daemon, api, one, 3)
        write(line, 9)
        assert content(daemon, api, one, MIB) == pattern(9) and content(daemon, api, shared, MIB) == pattern(8)
        for process in daemon.disk_processes():
            os.kill(process, signal.SIGKILL)
        write(line, 10)
        write(twin_line, 11)
        assert content(daemon, api, one, MIB) == pattern(10) and content(daemon, api, shared, MIB) == pattern(11)
    finally:
        twin.remove()
    until_volumes(daemon, api, one, 1)  # the other's half was the last reason for it
    vm.call("hard_shutdown")
    assert content(daemon, api, one, MIB) == pattern(10)
    shot = api.call("VDI.snapshot", one)
    api.call("VDI.destroy", shot)  # nobody has it open: by a job
    until_volumes(daemon, api, one, 1)
    assert content(daemon, api, one, MIB) == pattern(10) and pending(daemon) == []
    vm.remove()
    guests.check_whole(daemon, api)


def test_a_disk_process_dies(world):
    """The guest goes on with another one; what it flushed is there; also when the daemon was away, and under snapshots."""
    with world.api() as api:
        vm = guests.Guest(world, api, "disks")
        one, _ = vm.add_disk()
        line = vm.start_up()
        write(line, 10)
        # Each dd hands its part to the disk, no flush after it: what is answered is there, whoever answered it.
        line.ask("sh dd if=/dev/urandom of=/r bs=32k count=96 2>/dev/null; echo made", r"^made\r$")
        line.send("sh for i in $(seq 0 95); do dd if=/r of=/dev/vda bs=32k skip=$i seek=$i count=1 2>/dev/null; echo PART $i; done")
        for i, sig in enumerate((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)):
            line.expect("PART %d\r$" % (24 * (i + 1)))
            [process] = world.disk_processes()
            os.kill(process, sig)
            guests.until("another one", lambda p=process: [q for q in world.disk_processes() if q != p])
        line.expect("PART 95\r$")
        os.kill(list(world.disk_processes())[0], signal.SIGKILL)
        line.ask("sh echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=32k count=96 2>/dev/null | cmp - /r && echo as it was", r"^as it was\r$")
        [first] = world.disk_processes()
        os.kill(first, signal.SIGKILL)
        guests.until("another one", lambda: [p for p in world.disk_processes() if p != first])
        write(line, 11)
        assert content(world, api, one, MIB) == pattern(11)
        snap = api.call("VM.snapshot", vm.ref, "s")
        write(line, 12)
        [second] = world.disk_processes()
        os.kill(second, signal.SIGKILL)
        guests.until("a third", lambda: [p for p in world.disk_processes() if p != second])
        write(line, 13)
        world.kill()
        [third] = world.disk_processes()
        world.start()
    with world.api() as api:
        vm.api = api
        assert list(world.disk_processes()) == [third]
        line = vm.serial()
        write(line, 14)
        world.kill()
        os.kill(third, signal.SIGKILL)
        world.start()
    with world.api() as api:
        vm.api = api
        guests.until("a fourth", lambda: [p for p in world.disk_processes() if p != third])
        line = vm.serial()
        write(line, 15)
        assert content(world, api, one, MIB) == pattern(15)
        assert content(world, api, disks_of(api, snap)["0"], MIB) == pattern(11)
        vm.call("hard_shutdown")
        assert world.disk_processes() == {}
        remove(api, snap)
        vm.remove()
        guests.check_whole(world, api)
