# SPDX-License-Identifier: Apache-2.0
"""Devices of guests that run: discs, disks and network interfaces come and go, and the guest sees it."""
import hashlib
import zlib

import pytest

import guests
from guests import MIB, content, pattern

NULL = "OpaqueRef:NULL"


@pytest.fixture(scope="module")
def library(daemon, api):
    """{name: VDI} of two discs."""
    ref = next(r for r, v in api.call("SR.get_all_records").items() if v["content_type"] == "iso")
    for number in (1, 2):
        (daemon.state / "iso" / ("disc%d.iso" % number)).write_bytes(pattern(number) * 2)
    api.call("SR.scan", ref)
    return {r["name_label"]: v for v, r in api.call("VDI.get_all_records").items() if r["SR"] == ref}


def crc(data):
    return r"^SUM %08x\r$" % zlib.crc32(data)


def shows(line, command, pattern_, limit=guests.LIMIT):
    """Until the guest's shell command says so; the guest is told of devices some time after the host."""
    end = guests.time.monotonic() + limit
    while True:
        line.send("sh " + command)
        text = line.expect(r"(?s)(.*?)^SH \d+\r$").group(1).decode(errors="replace")
        if guests.re.search(pattern_, text):
            return
        assert guests.time.monotonic() < end, text[-2000:]


def code_of(api, call, *params):
    return api.fails(call, *params).code


def test_discs_come_and_go(api, vm, library):
    """And more disks than there are PCI slots for them."""
    drive = vm.add_vbd(NULL, userdevice="3", type="CD", mode="RO", empty=True)
    for number in list(range(4, 25)) + [63]:
        vm.add_disk(MIB, userdevice=str(number))
    record = api.call("VBD.get_record", drive)
    assert api.fails("VBD.create", dict(record, userdevice="64")).code == "INVALID_DEVICE"
    line = vm.start_up()
    shows(line, "ls /sys/block", r"sr0")
    shows(line, "ls /sys/block | grep -c '^vd'; ls /sys/block | grep -c '^sd'", r"20\r?\n2\r?\n")
    for name, number in (("disc1.iso", 1), ("disc2.iso", 2)):
        api.call("VBD.insert", drive, library[name])
        assert api.call("VBD.get_VDI", drive) == library[name] and not api.call("VBD.get_empty", drive)
        assert code_of(api, "VBD.insert", drive, library[name]) == "VBD_NOT_EMPTY"
        shows(line, "dd if=/dev/sr0 bs=1M count=1 2>/dev/null | md5sum",
              guests.re.escape(hashlib.md5(pattern(number)).hexdigest()))
        api.call("VBD.eject", drive)
        assert api.call("VBD.get_empty", drive) and api.call("VBD.get_VDI", drive) == NULL
        assert code_of(api, "VBD.eject", drive) == "VBD_IS_EMPTY"
        shows(line, "dd if=/dev/sr0 bs=1M count=1 of=/dev/null 2>&1", r"(?i)no medium")
    assert {"unplug", "insert"} <= set(api.call("VBD.get_allowed_operations", drive))


def test_disks_and_interfaces_come_and_go(daemon, api, vm):
    """And what the guest reads of its VM: texts of its firmware, and vm-data on a drive of its own."""
    vm.call("set_bios_strings", {"system-manufacturer": "Maker, Inc.", "system-serial-number": "S=1"})
    vm.call("add_to_xenstore_data", "vm-data/color", "blue")
    line = vm.start_up()
    shows(line, "cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_serial", r"Maker, Inc\.\r?\nS=1\r?\n")
    shows(line, "busybox grep -c color=blue /dev/sr0", r"^\s*1\r?\n")
    vif = vm.add_vif()
    disks = []
    # Position 1 has a slot of its own, 40 is on the SCSI controller: the guest has drivers for both.
    for number, device, name in ((1, "1", "vda"), (2, "40", "sda")):
        vdi, vbd = vm.add_disk(userdevice=device)
        assert not api.call("VBD.get_currently_attached", vbd)
        assert "plug" in api.call("VBD.get_allowed_operations", vbd)
        assert api.fails("VBD.unplug", vbd).code == "DEVICE_ALREADY_DETACHED"
        api.call("VBD.plug", vbd)
        assert api.call("VBD.get_currently_attached", vbd)
        error = api.fails("VBD.plug", vbd)
        assert (error.code, error.params) == ("DEVICE_ALREADY_ATTACHED", [vbd])
        assert api.fails("VDI.destroy", vdi).code == "VDI_IN_USE"
        shows(line, "ls /sys/block", name)
        line.ask("write %d %s" % (number, name), r"^WROTE %d\r$" % number)
        assert content(daemon, api, vdi, MIB) == pattern(number)
        disks.append((vbd, name, vdi))
    api.call("VIF.plug", vif)
    shows(line, "busybox ip link", api.call("VIF.get_MAC", vif))
    for vbd, name, vdi in disks:
        api.call("VBD.unplug", vbd)
        assert not api.call("VBD.get_currently_attached", vbd)
        shows(line, "ls /sys/block; echo =", r"^(?!(?s:.*)%s)" % name)
        error = api.fails("VBD.unplug", vbd)
        assert (error.code, error.params) == ("DEVICE_ALREADY_DETACHED", [vbd])
        api.call("VBD.plug", vbd)
        shows(line, "ls /sys/block", name)
        line.ask("sum " + name, crc(pattern(1 if name == "vda" else 2)))
        api.call("VBD.unplug", vbd)
        api.call("VBD.destroy", vbd)
        api.call("VDI.destroy", vdi)
    api.call("VIF.unplug", vif)
    assert not api.call("VIF.get_currently_attached", vif)
    shows(line, "busybox ip link; echo =", r"^(?!(?s:.*)eth)")
    assert code_of(api, "VIF.unplug", vif) == "DEVICE_ALREADY_DETACHED"
    vm.call("pause")
    assert code_of(api, "VIF.plug", vif) == "VM_BAD_POWER_STATE"
    vm.call("hard_shutdown")
    assert code_of(api, "VIF.plug", vif) == "VM_BAD_POWER_STATE"


def test_other_buses(api, vm):
    """NVMe by the VM's word, another bus by the disk's own; and what is no bus is refused. Beside them the processors: a named
    model less what is not to be had here, never the host's own, in sockets as the VM wants them."""
    info = api.call("host.get_cpu_info", api.call("host.get_all")[0])
    model, *missing = info["guest_model"].split(",-")
    assert model not in ("", "host", "max") and info["features_hvm"].count("-") == 10
    vm.call("set_VCPUs_max", 2)
    vm.call("set_VCPUs_at_startup", 2)
    vm.call("remove_from_platform", "cores-per-socket")
    vm.call("add_to_platform", "cores-per-socket", "2")
    vm.add_disk(userdevice="0", other_config={"bus": "scsi"})
    vm.add_disk(userdevice="1")
    vm.call("add_to_platform", "disk-bus", "floppy")
    error = vm.fails("start", False, False)
    assert error.code == "VALUE_NOT_SUPPORTED" and error.params[:2] == ["disk-bus", "floppy"]
    vm.call("remove_from_platform", "disk-bus")
    vm.call("add_to_platform", "disk-bus", "nvme")
    vm.call("add_to_platform", "watchdog", "true")
    line = vm.start_up()
    shows(line, "ls /sys/block", r"(?s)nvme0n1.*sda")
    assert vm.get("last_boot_CPU_flags") == {"vendor": info["vendor"], "features": info["features_hvm"]}
    shows(line, "cat /sys/devices/system/cpu/cpu1/topology/physical_package_id", r"^\s*0\r?\n")
    shows(line, "busybox grep -c ^processor /proc/cpuinfo", r"^\s*2\r?\n")
    flags = {"invpcid", "pcid", "x2apic"} & set(missing)
    shows(line, "busybox grep -m1 ^flags /proc/cpuinfo", r"^(?!(?s:.*) (%s)\b)(?s:.*) ssse3 " % ("|".join(flags) or "none"))
    shows(line, "cat /sys/bus/pci/devices/0000:00:1c.0/device", r"0x25ab")
    sata = vm.add_disk(userdevice="3", other_config={"bus": "sata"})[1]
    assert code_of(api, "VBD.plug", sata) == "OPERATION_NOT_ALLOWED"
    nvme = vm.add_disk(userdevice="2")[1]
    api.call("VBD.plug", nvme)
    shows(line, "ls /sys/block", r"nvme1n1")


def test_a_guest_that_does_not_answer(api, vm):
    """The null payload knows nothing of hot plug: what it does not give stays, and the machine goes on."""
    vm.boots("null")
    disk = vm.add_disk()[1]
    vm.start()
    task = api.call("Async.VBD.unplug", disk)
    guests.until("unplug runs", lambda: api.call("VBD.get_current_operations", disk))
    assert "unplug" in api.call("VBD.get_current_operations", disk).values()
    api.call("task.cancel", task)
    assert api.wait_task(task)["status"] in ("cancelled", "failure")
    assert api.call("VBD.get_currently_attached", disk) and vm.state() == "Running"
    vm.call("hard_shutdown")
    assert not api.call("VBD.get_currently_attached", disk)


def test_adopted_machines_keep_their_devices(directory, kernels):
    """The daemon is killed: afterwards the records say what the machine has, and it goes on from there."""
    for daemon in guests.with_daemon(guests.Daemon(directory, kernels)):
        with daemon.api() as api:
            vm = guests.Guest(daemon, api)
            vbd = vm.add_disk(userdevice="1")[1]
            vif = vm.add_vif(device="1")
            vm.start_up().__exit__()
            late, late_vbd = vm.add_disk(userdevice="2")
            api.call("VBD.unplug", vbd)
            api.call("VIF.unplug", vif)
            api.call("VBD.plug", late_vbd)
        daemon.kill()
        daemon.start()
        with daemon.api() as api:
            vm.api = api
            assert [api.call("VBD.get_currently_attached", v) for v in (vbd, late_vbd)] == [False, True]
            assert not api.call("VIF.get_currently_attached", vif)
            assert api.fails("VDI.destroy", late).code == "VDI_IN_USE"
            api.call("VBD.plug", vbd)
            api.call("VBD.unplug", late_vbd)
            vm.remove()
