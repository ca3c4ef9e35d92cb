# SPDX-License-Identifier: Apache-2.0
"""What is done to the daemon where its processes are killed, one function an operation: it makes what the operation needs and
returns the machine whose life goes on afterwards, if there is one, and the operation."""
import guests
from guests import MIB


def local_sr(api):
    return api.call("pool.get_default_SR", api.pool())


def stream(daemon, api, method, path, body=b""):
    """A request of an HTTP handler; the answer's body. A death ends it with one of GONE."""
    with daemon.connect() as c:
        c.send("%s %s HTTP/1.1\r\nHost: x\r\nCookie: session_id=%s\r\nContent-Length: %d\r\n\r\n"
               % (method, path, api.session, len(body)))
        if not body:
            return c.answer().body
        status, _ = c.head()  # comes before the data is asked for
        assert status == 200
        c.send(body)
        rest = c.read_to_end()
    api.call("pool.get_all")  # a client of the old kind sees no difference between an end and a death
    return rest


def fill(daemon, api, vdi, number):
    """The disk's first MiB is guests.pattern(number)."""
    stream(daemon, api, "PUT", "/import_raw_vdi?vdi=" + vdi, guests.pattern(number))


def null_guest(daemon, api, disks=1):
    vm = guests.Guest(daemon, api, "crash", kernel="null", memory=16 * MIB)
    for i in range(disks):
        fill(daemon, api, vm.add_disk()[0], i + 1)
    return vm


def start(daemon, api):
    vm = null_guest(daemon, api)
    return vm, lambda api: api.call("VM.start", vm.ref, False, False)


def start_paused(daemon, api):
    vm, _ = start(daemon, api)
    return vm, lambda api: api.call("VM.start", vm.ref, True, False)


def tiny(daemon, api):
    vm = guests.Guest(daemon, api, "crash")
    vm.add_disk()
    vm.start_up().raw.close()
    return vm


def clean_shutdown(daemon, api):
    vm = tiny(daemon, api)
    return vm, lambda api: api.call("VM.clean_shutdown", vm.ref)


def clean_reboot(daemon, api):
    vm = tiny(daemon, api)
    return vm, lambda api: api.call("VM.clean_reboot", vm.ref)


def hard_shutdown(daemon, api):
    vm, act = start(daemon, api)
    act(api)
    return vm, lambda api: api.call("VM.hard_shutdown", vm.ref)


def clone(daemon, api):
    vm, _ = start(daemon, api)
    vm.add_disk(4 * MIB)
    return vm, lambda api: api.call("VM.clone", vm.ref, "the clone")


def provision(daemon, api):
    vm = guests.Guest(daemon, api, "crash", kernel="null", memory=16 * MIB)
    vm.call("set_is_a_template", True)
    vm.call("add_to_other_config", "disks", '<provision><disk device="0" size="2097152" sr="" bootable="true"/>'
            '<disk device="1" size="4194304" sr="" bootable="false"/></provision>')
    return vm, lambda api: api.call("VM.provision", vm.ref)


def vdi_create(daemon, api):
    return None, lambda api: guests.new_vdi(api, local_sr(api))


def vdi_copy(daemon, api):
    vdi = guests.new_vdi(api, local_sr(api), sm_config={"type": "raw"})
    with open(guests.disk_file(daemon, api, vdi), "r+b") as f:
        f.write(guests.pattern(1))
    return None, lambda api: api.call("VDI.copy", vdi, local_sr(api), "OpaqueRef:NULL", "OpaqueRef:NULL")


def vdi_clone(daemon, api):
    vdi = guests.new_vdi(api, local_sr(api))
    return None, lambda api: api.call("VDI.clone", vdi, {})


def snapshot(daemon, api):
    vm = null_guest(daemon, api, disks=2)
    return vm, lambda api: api.call("VM.snapshot", vm.ref, "the snapshot")


def snapshot_running(daemon, api):
    vm = null_guest(daemon, api, disks=2)
    vm.start()
    return vm, lambda api: api.call("VM.snapshot", vm.ref, "the snapshot")


def revert(daemon, api):
    vm = null_guest(daemon, api, disks=2)
    snap = api.call("VM.snapshot", vm.ref, "the snapshot")
    vm.start()
    return vm, lambda api: api.call("VM.revert", snap)


def snapshot_destroy(daemon, api):
    vm = null_guest(daemon, api, disks=2)
    shot = api.call("VDI.snapshot", vm.disks[0])
    return vm, lambda api: api.call("VDI.destroy", shot)


def collected(daemon, api, vdi, count):
    """Until the collector is done; each look is a call, which fails when the daemon dies."""
    guests.until("%d volumes" % count, lambda: api.call("VDI.get_uuid", vdi) and len(
        list(guests.disk_file(daemon, api, vdi).parent.glob("*.vhd"))) == count)
    guests.until("no intent", lambda: api.call("VDI.get_uuid", vdi) and not guests.files_below(daemon.state / "pending"))


def collect(daemon, api):
    """Nobody has it open: by a job."""
    vdi = guests.new_vdi(api, local_sr(api))
    shot = api.call("VDI.snapshot", vdi)

    def act(api):
        api.call("VDI.destroy", shot)
        collected(daemon, api, vdi, 1)
    return None, act


def collect_running(daemon, api):
    """The leaf of a machine, after a volume below it that the machine has open too."""
    vm, run = start(daemon, api)
    run(api)
    shots = [api.call("VDI.snapshot", vm.disks[0]) for _ in range(2)]

    def act(api):
        for i, shot in enumerate(shots):
            api.call("VDI.destroy", shot)
            collected(daemon, api, vm.disks[0], 2 - i)
    return vm, act


def tracked(daemon, api):
    """A disk of which it is known what changes."""
    vdi = guests.new_vdi(api, local_sr(api))
    api.call("VDI.enable_cbt", vdi)
    return vdi


def cbt_enable(daemon, api):
    vm, act = start(daemon, api)
    act(api)
    return vm, lambda api: api.call("VDI.enable_cbt", vm.disks[0])


def cbt_disable(daemon, api):
    vdi = tracked(daemon, api)
    return None, lambda api: api.call("VDI.disable_cbt", vdi)


def cbt_snapshot(daemon, api):
    vm, act = start(daemon, api)
    act(api)
    api.call("VDI.enable_cbt", vm.disks[0])
    return vm, lambda api: api.call("VDI.snapshot", vm.disks[0])


def cbt_data_destroy(daemon, api):
    vdi = tracked(daemon, api)
    shot = api.call("VDI.snapshot", vdi)
    return None, lambda api: api.call("VDI.data_destroy", shot)


def vdi_resize(daemon, api):
    vdi = guests.new_vdi(api, local_sr(api))
    return None, lambda api: api.call("VDI.resize", vdi, 16 * MIB)


def vdi_resize_running(daemon, api):
    vm, act = start(daemon, api)
    act(api)
    return vm, lambda api: api.call("VDI.resize", vm.disks[0], 16 * MIB)


def vdi_destroy(daemon, api):
    vdi = guests.new_vdi(api, local_sr(api))
    return None, lambda api: api.call("VDI.destroy", vdi)


def scan(daemon, api):
    sr = next(r for r, v in api.call("SR.get_all_records").items() if v["content_type"] == "iso")
    (daemon.state / "iso" / "a.iso").write_bytes(bytes(4096))
    return None, lambda api: api.call("SR.scan", sr)


def running(daemon, api):
    vm, act = start(daemon, api)
    act(api)
    return vm


def plug_disk(daemon, api):
    vm = running(daemon, api)
    vbd = vm.add_disk(userdevice="1")[1]
    return vm, lambda api: api.call("VBD.plug", vbd)


def unplug_disk(daemon, api):
    """From the SCSI controller, for which the guest is not asked."""
    vm, _ = start(daemon, api)
    vbd = vm.add_disk(userdevice="40")[1]
    vm.start()
    return vm, lambda api: api.call("VBD.unplug", vbd)


def plug_nic(daemon, api):
    vm = running(daemon, api)
    vif = vm.add_vif()
    return vm, lambda api: api.call("VIF.plug", vif)


def insert(daemon, api):
    vm, _ = start(daemon, api)
    vbd = vm.add_vbd("OpaqueRef:NULL", type="CD", mode="RO", empty=True)
    vm.start()
    _, act = scan(daemon, api)
    act(api)
    iso = next(r for r, v in api.call("VDI.get_all_records").items() if v["read_only"])
    return vm, lambda api: api.call("VBD.insert", vbd, iso)


def suspend(daemon, api):
    vm = running(daemon, api)
    return vm, lambda api: api.call("VM.suspend", vm.ref)


def resume(daemon, api):
    vm, act = suspend(daemon, api)
    act(api)
    return vm, lambda api: api.call("VM.resume", vm.ref, False, False)


def end_suspended(daemon, api):
    vm, act = suspend(daemon, api)
    act(api)
    return vm, lambda api: api.call("VM.hard_shutdown", vm.ref)


def checkpoint(daemon, api):
    vm = running(daemon, api)
    return vm, lambda api: api.call("VM.checkpoint", vm.ref, "the checkpoint")


def revert_memory(daemon, api):
    vm, act = checkpoint(daemon, api)
    snap = act(api)
    return vm, lambda api: api.call("VM.revert", snap)


def checkpoint_destroy(daemon, api):
    vm, act = checkpoint(daemon, api)
    snap = act(api)
    return vm, lambda api: api.call("VM.destroy", snap)


def more_processors(daemon, api):
    vm, act = start(daemon, api)
    vm.call("set_VCPUs_max", 2)
    act(api)
    return vm, lambda api: api.call("VM.set_VCPUs_number_live", vm.ref, 2)


def less_memory(daemon, api):
    vm, act = start(daemon, api)
    vm.call("set_memory_limits", 8 * MIB, 16 * MIB, 8 * MIB, 16 * MIB)
    act(api)
    return vm, lambda api: api.call("VM.set_memory_dynamic_range", vm.ref, 8 * MIB, 12 * MIB)


def scheduled(daemon, api):
    vm = null_guest(daemon, api, disks=2)
    vmss = api.call("VMSS.create", {"name_label": "s", "name_description": "", "enabled": False, "type": "snapshot",
                                    "retained_snapshots": 1, "frequency": "daily", "schedule": {}})
    vm.call("set_snapshot_schedule", vmss)
    api.call("VMSS.snapshot_now", vmss)
    return vm, lambda api: api.call("VMSS.snapshot_now", vmss)


def vtpm_create(daemon, api):
    vm = null_guest(daemon, api, disks=0)
    return None, lambda api: api.call("VTPM.create", vm.ref, False)


def vtpm_destroy(daemon, api):
    _, act = vtpm_create(daemon, api)
    vtpm = act(api)
    return None, lambda api: api.call("VTPM.destroy", vtpm)


def recycled(daemon, api):
    """A machine with two disks, in the bin."""
    vm = null_guest(daemon, api, disks=2)
    for cls, ref in (("SR", local_sr(api)), ("pool", api.pool())):
        api.call(cls + ".add_to_other_config", ref, "recycle-hours", "5")
    vm.call("destroy")
    for vdi in vm.disks:
        api.call("VDI.destroy", vdi)
    return vm.uuid


def recycle_restore(daemon, api):
    uuid = recycled(daemon, api)
    return None, lambda api: api.call("serai.recycle_restore", uuid)


def recycle_empty(daemon, api):
    recycled(daemon, api)
    return None, lambda api: api.call("serai.recycle_empty")


def import_xva(daemon, api):
    vm = null_guest(daemon, api, disks=2)
    archive = stream(daemon, api, "GET", "/export?ref=" + vm.ref)
    return vm, lambda api: stream(daemon, api, "PUT", "/import", archive)


def import_metadata(daemon, api):
    vm = null_guest(daemon, api)
    archive = stream(daemon, api, "GET", "/export_metadata?ref=" + vm.ref)
    return vm, lambda api: stream(daemon, api, "PUT", "/import_metadata", archive)


# Those that come by most are first: the ones after them are killed at what is new and little more (test_crash_points.py).
OPERATIONS = [
    scheduled, more_processors, less_memory, suspend, resume, end_suspended, checkpoint, revert_memory,
    checkpoint_destroy, plug_disk, unplug_disk, plug_nic, insert, start, start_paused, hard_shutdown, clone,
    provision, vdi_create, vdi_copy, vdi_clone, snapshot, snapshot_running, revert, snapshot_destroy, cbt_enable,
    cbt_disable, cbt_snapshot, cbt_data_destroy, vdi_resize, vdi_resize_running, collect, collect_running,
    vdi_destroy, scan, vtpm_create, vtpm_destroy, recycle_restore, recycle_empty, import_xva, import_metadata]
# Those that need a guest that boots.
SLOW = [clean_shutdown, clean_reboot]
# More than one thing, each whole: a snapshot and the removal of old ones, the end of a machine and the return to a snapshot,
# one disk or item after the other.
IN_STEPS = [scheduled, revert, revert_memory, collect, collect_running, recycle_restore, recycle_empty, clean_reboot]
