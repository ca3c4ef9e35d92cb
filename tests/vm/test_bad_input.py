# SPDX-License-Identifier: Apache-2.0
"""What a VM must not be started with, and hosts that have run out of something: each its own code, nothing half done."""
import errno
import json
import os
import signal

import pytest

import guests
from guests import MIB


@pytest.fixture
def null(daemon, api):
    guest = guests.Guest(daemon, api, "null", kernel="null", memory=16 * MIB)
    yield guest
    guest.remove()


def refused(daemon, api, vm, code, *params):
    """The start is refused; the daemon, the other machines and the records do not notice."""
    for paused in (False, True):
        error = vm.fails("start", paused, False)
        assert error.code == code, (error.code, error.params)
        assert tuple(error.params[:len(params)]) == params
        assert vm.state() == "Halted" and vm.get("current_operations") == {} and vm.pid() is None
    guests.check_whole(daemon, api)
    return error


def test_kernels(daemon, api, null, directory):
    folder = daemon.state / "kernels"
    outside = guests.pathlib.Path(directory) / "null"
    outside.write_bytes(daemon.kernels["null"].read_bytes())
    (folder / "link").symlink_to(outside)
    (folder / "loop").symlink_to("loop")
    (folder / "folder").mkdir()
    (folder / "empty").write_bytes(b"")
    (folder / "text").write_bytes(b"this is no kernel\n" * 100)
    for name in ("no such kernel", str(outside), "../../" + outside.name, "../state/../../null", "link", "loop", "folder", ".",
                 "..", "/dev/zero", "/etc/passwd", "null\nx", "x" * 5000, "text", "empty"):
        null.call("set_PV_kernel", name)
        error = refused(daemon, api, null, "BOOTLOADER_FAILED", null.ref)
        assert "/etc/passwd" not in error.params[1]
    null.call("set_PV_kernel", "null")
    for name in ("no such ramdisk", "../seraid.db", "link"):
        null.call("set_PV_ramdisk", name)
        refused(daemon, api, null, "BOOTLOADER_FAILED", null.ref)
    null.call("set_PV_ramdisk", "")
    # The same by its full path, and by a link that stays inside, is fine.
    (folder / "inside").symlink_to("null")
    for name in (str(folder / "null"), "inside", "./null"):
        null.call("set_PV_kernel", name)
        null.start()
        with null.serial() as line:
            line.expect("^N\n")
        null.call("hard_shutdown")


def test_nothing_to_boot_from(api, null):
    """As a PC does: it runs and finds nothing."""
    null.call("set_PV_kernel", "")
    null.call("set_HVM_boot_policy", "BIOS order")
    null.add_vbd("OpaqueRef:NULL", type="CD", mode="RO", empty=True)
    null.start()
    assert null.state() == "Running" and null.pid()
    null.call("hard_shutdown")


def test_too_much_memory(daemon, api, null):
    null.call("set_memory_limits", *[1 << 50] * 4)
    error = refused(daemon, api, null, "HOST_NOT_ENOUGH_FREE_MEMORY", str(1 << 50))
    assert 0 <= int(error.params[1]) < 1 << 50


def test_a_missing_disk(daemon, api, null):
    vdi, _ = null.add_disk()
    path = guests.disk_file(daemon, api, vdi)
    away = daemon.dir / "away"
    os.rename(path, away)
    for paused in (False, True):
        error = null.fails("start", paused, False)
        assert (error.code, error.params[1]) == ("VDI_MISSING", vdi)
        assert null.state() == "Halted" and null.pid() is None
    path.symlink_to(away)  # not ours to follow
    assert null.fails("start", False, False).code in ("VDI_MISSING", "SR_BACKEND_FAILURE")
    path.unlink()
    path.mkdir()
    assert null.fails("start", False, False).code in ("VDI_MISSING", "SR_BACKEND_FAILURE")
    path.rmdir()
    os.rename(away, path)
    null.start()
    guests.check_whole(daemon, api)


def test_a_missing_cd(daemon, api, null):
    library = next(r for r, v in api.call("SR.get_all_records").items() if v["content_type"] == "iso")
    image = daemon.state / "iso" / "gone.iso"
    image.write_bytes(bytes(4096))
    api.call("SR.scan", library)
    vdi = api.call("VDI.get_by_name_label", "gone.iso")[0]
    drive = null.add_vbd(vdi, type="CD", mode="RO", empty=False)
    image.unlink()
    assert null.fails("start", False, False).code == "VDI_MISSING"
    assert null.state() == "Halted" and null.pid() is None
    api.call("VBD.eject", drive)
    null.start()


def test_values_that_make_no_machine(daemon, api, null):
    for field, value in (("cores-per-socket", "x"), ("machine", "no-such-machine"), ("machine", "q35,accel=xen")):
        platform = null.get("platform")
        null.call("set_platform", {**platform, field: value})
        error = null.fails("start", False, False)
        assert error.code in ("INVALID_VALUE", "VALUE_NOT_SUPPORTED", "BOOTLOADER_FAILED"), (field, value, error.code)
        assert null.state() == "Halted" and null.pid() is None
        null.call("set_platform", platform)
    guests.check_whole(daemon, api)
    # Text goes to QEMU as it is: commas and quotes of an option list included.
    null.call("set_name_label", 'a,b="c",file=/etc/passwd \u00e9\n')
    null.call("set_PV_args", 'x,y="z"')
    null.start()
    with null.serial() as line:
        line.expect("^N\n")


def test_a_full_disk(directory, kernels):
    daemon = guests.Daemon(directory, kernels)
    daemon.state.mkdir(mode=0o700)
    daemon.small = (daemon.state, 8 * MIB)
    for daemon in guests.with_daemon(daemon):
        with daemon.api() as api:
            full_disk(daemon, api)


def fill(path):
    """Until nothing fits any more."""
    with open(path, "ab", buffering=0) as f:
        size = MIB
        while size:
            try:
                f.write(bytes(size))
            except OSError as e:
                assert e.errno == errno.ENOSPC
                size //= 2


def full_disk(daemon, api):
    vms = [guests.Guest(daemon, api, "vm %d" % i, kernel="null", memory=16 * MIB) for i in range(4)]
    runs, stops, dies, starts = vms
    victim = guests.Guest(daemon, api, "victim", kernel="null", memory=16 * MIB)
    disk = api.call("VDI.create", {"name_label": "big", "name_description": "", "SR": api.call("pool.get_default_SR", api.pool()),
                                   "virtual_size": MIB, "type": "user", "sharable": False, "read_only": False, "other_config": {}})
    for vm in (runs, stops, dies):
        vm.start()
    pid = runs.pid()
    filler = daemon.inside(daemon.state) / "filler"
    fill(filler)

    def no_space(call, *params):
        error = api.fails(call, *params)
        assert error.code == "OUT_OF_SPACE", (call, error.code, error.params)

    # Small changes may still find room in the database's file; a large one does not.
    no_space("VM.set_name_description", runs.ref, "x" * MIB)
    big = {"big": "x" * MIB}
    no_space("VM.set_other_config", runs.ref, big)
    fill(filler)
    while True:  # what is left of the file's own space
        try:
            api.call("VM.set_name_description", starts.ref, os.urandom(2000).hex())
        except guests.wire.ApiError as e:
            assert e.code == "OUT_OF_SPACE"
            break
    assert runs.record()["name_description"] != "x" * MIB and "big" not in runs.get("other_config")
    error = starts.fails("start", False, False)
    assert error.code == "OUT_OF_SPACE" and starts.pid() is None and starts.state() == "Halted"
    assert api.fails("VM.clone", runs.api.call("VM.get_by_name_label", "Other install media")[0], "x").code == "OUT_OF_SPACE"
    error = api.fails("VDI.create", {"name_label": "d", "name_description": "", "SR": api.call(
        "pool.get_default_SR", api.pool()), "virtual_size": MIB, "type": "user", "sharable": False, "read_only": False,
        "other_config": {}})
    assert error.code in ("OUT_OF_SPACE", "SR_FULL"), error.code
    # What cannot be recorded in the audit log is not done. It is full once it has no room for a call as long as the next.
    while starts.fails("hard_shutdown").code != "OUT_OF_SPACE":
        fill(filler)
    error = stops.fails("hard_shutdown")
    assert (error.code, error.params) == ("OUT_OF_SPACE", [str(daemon.state / "audit")])
    # What makes room goes through all the same, and is recorded.
    api.call("VDI.destroy", disk)
    api.call("VM.destroy", victim.ref)
    log = [json.loads(line[65:]) for p in sorted(daemon.inside(daemon.state / "audit").glob("audit-*.log"))
           for line in p.read_bytes().splitlines()]
    freed = {r["n"]: r["call"] for r in log if r["kind"] == "intent" and r["call"] in ("VDI.destroy", "VM.destroy")}
    assert sorted(freed.values()) == ["VDI.destroy", "VM.destroy"]
    assert [r["outcome"] for r in log if r["kind"] == "outcome" and r["of"] in freed] == ["done", "done"]
    fill(filler)
    assert starts.fails("set_name_description", "x").code == "OUT_OF_SPACE"
    # Machines go their way; the records follow when there is room.
    os.kill(dies.pid(), signal.SIGKILL)
    guests.until("QEMU gone", lambda: sorted(daemon.machines().values()) == sorted([runs.uuid, stops.uuid]))
    for vm in (runs, stops):
        assert vm.state() == "Running" and vm.get("current_operations") == {}
    assert runs.pid() == pid
    filler.unlink()
    runs.call("set_name_description", "room again")
    dies.wait_state("Halted")
    stops.call("hard_shutdown")
    guests.check_whole(daemon, api)
    starts.start()
    assert runs.pid() == pid
    for vm in (runs, starts):
        vm.call("hard_shutdown")
    guests.check_whole(daemon, api)
