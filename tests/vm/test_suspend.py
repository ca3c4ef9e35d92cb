# SPDX-License-Identifier: Apache-2.0
"""Machines whose memory goes to a disk and comes back: what the guest was doing goes on, its memory and disks are what they
were, over restarts and deaths of the daemon, in a machine that was built anew."""
import os

import pytest

import guests
from guests import MIB, content, pattern

NULL = "OpaqueRef:NULL"


@pytest.fixture(scope="module")
def world(kernels, tmp_path_factory):
    directory = tmp_path_factory.mktemp("seraid")
    yield from guests.with_daemon(guests.Daemon(str(directory), kernels))


def fill_memory(line, mib=12):
    """Random bytes in the guest's memory; their sum."""
    line.ask("sh dd if=/dev/urandom of=/random bs=1048576 count=%d 2>/dev/null" % mib, r"^SH 0\r$")
    return memory(line)


def memory(line):
    return line.ask("sh busybox md5sum /random", r"^([0-9a-f]{32})  /random\r$").group(1)


def suspend_vdi(api, vm):
    return api.call("VDI.get_record", vm.get("suspend_VDI"))


def again(world, api, vm):
    """The host was off: no machine is left, and another boot of it has begun."""
    world.kill()
    world.end_machines()
    (world.state / "boot").write_text("another boot")
    world.start()


def test_sleeps_and_goes_on(world):
    """Memory, ticks and disks; devices that came while it ran; the host was off meanwhile."""
    with world.api() as api:
        vm = guests.Guest(world, api, "sleeper")
        one = vm.add_disk(userdevice="0")[0]
        vm.add_vif(device="0")
        vm.add_vbd(NULL, type="CD", mode="RO", empty=True, userdevice="3")
        line = vm.start_up()
        two, vbd = vm.add_disk(userdevice="1")
        far, far_vbd = vm.add_disk(userdevice="30")
        for plugged in (vbd, far_vbd):
            api.call("VBD.plug", plugged)
        api.call("VIF.plug", vm.add_vif(device="1"))
        line.ask("write 1 vda", r"WROTE 1\r$")
        line.ask("write 2 vdb", r"WROTE 2\r$")
        line.ask("write 3 sda", r"WROTE 3\r$")
        total = fill_memory(line)
        ticks, _, _ = line.count()
        assert api.fails("VM.resume", vm.ref, False, False).params[1:] == ["suspended", "running"]
        assert api.fails("VM.set_suspend_VDI", vm.ref, one).code == "VM_BAD_POWER_STATE"
        # What it was built from may be changed while it runs: it is built again from what it was.
        vm.call("add_to_platform", "viridian", "true")
        vm.call("set_PV_args", "nonsense")
        assert vm.call("get_boot_record")["PV_args"] != "nonsense"
        task = api.call("Async.VM.suspend", vm.ref)
        vm.wait_state("Suspended")
        guests.until("the task", lambda: api.call("task.get_status", task) == "success")
        line.wait_end()
        record = vm.record()
        assert (record["resident_on"], record["consoles"], record["domid"]) == (NULL, [], -1)
        assert {"resume", "resume_on", "hard_shutdown", "snapshot"} <= set(record["allowed_operations"])
        assert not {"start", "suspend", "destroy", "clean_shutdown"} & set(record["allowed_operations"])
        stored = suspend_vdi(api, vm)
        assert stored["type"] == "suspend" and api.fails("VDI.destroy", vm.get("suspend_VDI")).code == "VDI_IN_USE"
        assert api.fails("VM.start", vm.ref, False, False).params[1:] == ["halted", "suspended"]
        for vdi, number in ((one, 1), (two, 2), (far, 3)):
            assert content(world, api, vdi, MIB) == pattern(number)
            assert api.fails("VDI.destroy", vdi).code == "VDI_IN_USE"
        assert world.machines() == {} and world.disk_processes() == {}
        late = vm.add_disk(userdevice="2")[1]
    again(world, api, vm)
    with world.api() as api:
        vm.api = api
        assert vm.state() == "Suspended"
        guests.check_whole(world, api)
        vm.call("resume", False, False)
        assert vm.state() == "Running" and vm.get("suspend_VDI") == NULL
        assert len([v for v in api.call("VDI.get_all_records").values() if v["type"] == "suspend"]) == 0
        assert not api.call("VBD.get_currently_attached", late)
        line = vm.serial()
        assert memory(line) == total
        then, _, _ = line.count()
        assert ticks <= then < ticks + 600, "time went on where it stood"
        line.ask("write 4 vdb", r"WROTE 4\r$")
        assert content(world, api, two, MIB) == pattern(4)
        line.ask("sum sda", r"^SUM [0-9a-f]{8}\r$")
        api.call("VBD.unplug", far_vbd)
        guests.check_whole(world, api)
        # Once more, into a machine that stays paused; and thrown away while it sleeps.
        vm.call("suspend")
        vm.call("resume_on", api.call("host.get_all")[0], True, False)
        assert vm.state() == "Paused"
        vm.call("unpause")
        assert memory(vm.serial()) == total
        vm.call("suspend")
        vm.call("hard_shutdown")
        assert vm.state() == "Halted" and vm.get("suspend_VDI") == NULL
        assert api.call("VBD.get_currently_attached", vbd) is False
        vm.remove()
        guests.check_whole(world, api)


def test_refusals(world):
    """A place for the memory that is missing or too small, a cancelled task, memory that is none: the guest goes on."""
    with world.api() as api:
        vm = guests.Guest(world, api, "refuser")
        line = vm.start_up()
        total = fill_memory(line, 4)
        pool = api.pool()
        sr = api.call("pool.get_suspend_image_SR", pool)
        iso = next(r for r, v in api.call("SR.get_all_records").items() if v["content_type"] == "iso")
        api.call("pool.set_suspend_image_SR", pool, NULL)
        assert vm.fails("suspend").code == "VM_NO_SUSPEND_SR"
        vm.call("set_suspend_SR", iso)
        assert vm.fails("suspend").code == "SR_OPERATION_NOT_SUPPORTED"
        vm.call("set_suspend_SR", sr)
        assert vm.state() == "Running" and memory(line) == total
        task = api.call("Async.VM.suspend", vm.ref)
        api.call("task.cancel", task)
        status = guests.until("the end", lambda: api.call("task.get_status", task) not in ("pending", "cancelling")
                              and api.call("task.get_status", task))
        assert status in ("cancelled", "success")
        if status == "success":
            vm.call("resume", False, False)
            line = vm.serial()
        assert vm.state() == "Running" and memory(line) == total
        vm.call("suspend")
        other = guests.new_vdi(api, sr)
        assert vm.fails("set_suspend_VDI", other).code == "SUSPEND_IMAGE_NOT_ACCESSIBLE"
        mine = vm.get("suspend_VDI")
        copy = api.call("VDI.copy", mine, sr, NULL, NULL)
        vm.call("set_suspend_VDI", copy)
        api.call("VDI.destroy", mine)
        api.call("VDI.destroy", other)
        vm.call("resume", False, False)
        assert memory(vm.serial()) == total
        api.call("pool.set_suspend_image_SR", pool, sr)
        vm.remove()
        guests.check_whole(world, api)


# Numbers on its disk one after the other, each in a place of its own, while memory changes; it stands still at a number when it
# is asked to.
PLACES = 8192
LOAD = ('i=0; while :; do i=$((i+1)); printf "%%08d" $i | busybox dd of=/dev/vda bs=512 count=1 seek=$((i%%%d)) '
        'conv=sync,notrunc,fsync 2>/dev/null; if [ -e /hold ]; then echo $i >/held; while [ -e /hold ]; do busybox sleep 0.05; '
        'done; rm /held; fi; done' % PLACES)


def held(world, api, line, vdi):
    """The load's number; every number before it is on the disk: what memory knows to be written, is."""
    number = int(line.ask("sh echo >/hold; until [ -s /held ]; do busybox sleep 0.05; done; echo HELD $(cat /held)",
                          r"^HELD (\d+)\r$").group(1))
    line.expect(r"^SH 0\r$")
    disk = content(world, api, vdi, PLACES * 512)
    for i in range(max(1, number - PLACES + 1), number + 1):
        at = i % PLACES * 512
        assert disk[at:at + 8] == b"%08d" % i, (i, number, disk[at:at + 8])
    line.ask("sh rm /hold; while [ -e /held ]; do busybox sleep 0.05; done", r"^SH 0\r$")
    return number


def anew(vm):
    """Its serial line, past what was said before."""
    line, mark = vm.serial(), os.urandom(6).hex()
    line.send("")
    line.ask("echo " + mark, r"^ECHO %s\r$" % mark)
    return line


def test_checkpoint_under_load(world):
    """On the way back its memory and its disk are of one moment, and it runs on."""
    with world.api() as api:
        vm = guests.Guest(world, api, "loaded")
        one = vm.add_disk(userdevice="0")[0]
        line = vm.start_up()
        total = fill_memory(line)
        line.ask("sh sh -c '%s' >/dev/null 2>&1 &" % LOAD, r"^SH 0\r$")
        held(world, api, line, one)
        task = api.call("Async.VM.checkpoint", vm.ref, "the checkpoint")
        guests.until("the task", lambda: api.call("task.get_status", task) != "pending")
        assert api.call("task.get_status", task) == "success", api.call("task.get_error_info", task)
        [snap] = vm.get("snapshots")
        record = api.call("VM.get_record", snap)
        assert (record["power_state"], record["is_a_snapshot"]) == ("Suspended", True)
        assert record["snapshot_info"]["power-state-at-snapshot"] == "Running"
        assert {"revert", "clone", "destroy"} <= set(record["allowed_operations"])
        assert api.fails("VM.resume", snap, False, False).code == "VM_IS_TEMPLATE"
        assert api.fails("VDI.destroy", record["suspend_VDI"]).code == "VDI_IN_USE"
        assert vm.state() == "Running"
        here = held(world, api, line, one)
        line.ask("sh rm /random", r"^SH 0\r$")
        for _ in range(2):  # a checkpoint can be gone back to again and again
            api.call("VM.revert", snap)
            assert vm.state() == "Suspended"
            guests.check_whole(world, api)
            vm.call("resume", False, False)
            line = anew(vm)
            assert memory(line) == total
            then = held(world, api, line, one)
            assert then < here + 1000
            guests.until("it runs on", lambda: held(world, api, line, one) > then)
            line.ask("sh rm /random", r"^SH 0\r$")
        vm.call("hard_shutdown")
        clone = api.call("VM.clone", snap, "of a checkpoint")
        assert api.call("VM.get_power_state", clone) == "Halted"
        for ref in (clone, snap):
            vdis = [api.call("VBD.get_VDI", b) for b in api.call("VM.get_VBDs", ref)]
            api.call("VM.destroy", ref)
            for vdi in vdis:
                api.call("VDI.destroy", vdi)
        assert [v for v in api.call("VDI.get_all_records").values() if v["type"] == "suspend"] == []
        assert api.call("VDI.get_virtual_size", one)
        vm.remove()
        guests.check_whole(world, api)
