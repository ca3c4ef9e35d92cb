# SPDX-License-Identifier: Apache-2.0
"""Records that group machines and devices: schedules, appliances, device groups, network purposes, observers."""
import pytest


def fails(api, call, *args):
    error = api.fails(call, *args)
    return [error.code, *error.params]


SCHEDULE = {"name_label": "s", "name_description": "", "enabled": True, "type": "snapshot", "retained_snapshots": 7,
            "frequency": "daily", "schedule": {"hour": "3"}}


def test_schedules_are_checked_when_made(api):
    for change, error in (({"retained_snapshots": 0}, ["retained_snapshots", "0"]),
                          ({"retained_snapshots": 11}, ["retained_snapshots", "11"]),
                          ({"schedule": {"hour": "24"}}, ["schedule:hour", "24"]),
                          ({"schedule": {"min": "7"}}, ["schedule:min", "7"]),
                          ({"schedule": {"days": "Monday"}}, ["schedule:days", "Monday"]),
                          ({"schedule": {"second": "1"}}, ["schedule:second", "1"]),
                          ({"frequency": "weekly", "schedule": {"days": "Monday,Someday"}},
                           ["schedule:days", "Monday,Someday"]),
                          ({"frequency": "weekly", "schedule": {"days": "Monday,monday"}},
                           ["schedule:days", "Monday,monday"])):
        assert fails(api, "VMSS.create", dict(SCHEDULE, **change)) == ["INVALID_VALUE", *error]
    assert api.call("VMSS.get_all") == []


def test_a_schedule_fits_its_frequency(api):
    vmss = api.call("VMSS.create", SCHEDULE)

    def schedule():
        return api.call("VMSS.get_schedule", vmss)

    assert schedule() == {"hour": "3", "min": "0"}
    api.call("VMSS.set_frequency", vmss, "weekly")
    assert schedule() == {"hour": "3", "min": "0", "days": "Monday"}
    api.call("VMSS.set_schedule", vmss, {"days": "friday,SUNDAY", "min": "45"})
    assert schedule() == {"hour": "3", "min": "45", "days": "Friday,Sunday"}
    assert fails(api, "VMSS.set_schedule", vmss, {"min": "45", "hour": "x"}) == ["INVALID_VALUE", "schedule:hour", "x"]
    api.call("VMSS.set_frequency", vmss, "hourly")
    assert schedule() == {"min": "45"} and api.call("VMSS.get_frequency", vmss) == "hourly"
    api.call("VMSS.remove_from_schedule", vmss, "min")
    api.call("VMSS.remove_from_schedule", vmss, "min")
    api.call("VMSS.add_to_schedule", vmss, "min", "15")
    assert schedule() == {"min": "15"}
    assert fails(api, "VMSS.add_to_schedule", vmss, "min", "30") == ["MAP_DUPLICATE_KEY", "VMSS", "schedule", vmss, "min"]
    assert fails(api, "VMSS.add_to_schedule", vmss, "hour", "-1") == ["INVALID_VALUE", "schedule:hour", "-1"]
    api.call("VMSS.set_retained_snapshots", vmss, 3)
    assert fails(api, "VMSS.set_retained_snapshots", vmss, 99) == ["INVALID_VALUE", "retained_snapshots", "99"]
    assert api.call("VMSS.get_retained_snapshots", vmss) == 3
    api.call("VMSS.set_type", vmss, "checkpoint")
    assert api.call("VMSS.get_type", vmss) == "checkpoint"
    api.call("VMSS.set_last_run_time", vmss, "20260101T00:00:00Z")
    assert api.call("VMSS.get_last_run_time", vmss) == "20260101T00:00:00Z"
    api.call("VMSS.destroy", vmss)
    assert api.call("VMSS.get_all") == []


@pytest.fixture
def group(api):
    """An appliance of three machines: order 1, 2, 2."""
    ref = api.call("VM_appliance.create", {"name_label": "shop", "name_description": ""})
    vms = [api.new_vm("member %d" % i) for i in range(3)]
    for vm, order in zip(vms, (1, 2, 2)):
        api.call("VM.set_order", vm, order)
        api.call("VM.set_appliance", vm, ref)
    yield ref, vms
    for vm in vms:
        if api.call("VM.get_power_state", vm) != "Halted":
            api.call("VM.hard_shutdown", vm)
        api.call("VM.destroy", vm)
    api.call("VM_appliance.destroy", ref)


def states(api, vms):
    return [api.call("VM.get_power_state", vm) for vm in vms]


def allowed(api, group):
    return sorted(api.call("VM_appliance.get_allowed_operations", group))


def test_an_appliance_starts_and_stops(api, group):
    ref, vms = group
    assert allowed(api, ref) == ["start"]
    assert fails(api, "VM_appliance.clean_shutdown", ref) == ["OPERATION_NOT_ALLOWED",
                                                              "There are no running VMs in this appliance."]
    api.call("VM_appliance.start", ref, False)
    assert states(api, vms) == ["Running"] * 3
    assert allowed(api, ref) == ["clean_shutdown", "hard_shutdown", "shutdown"]
    assert fails(api, "VM_appliance.start", ref, False)[0] == "OPERATION_NOT_ALLOWED"
    api.call("VM_appliance.hard_shutdown", ref)
    assert states(api, vms) == ["Halted"] * 3
    assert fails(api, "VM_appliance.shutdown", ref) == ["OPERATION_NOT_ALLOWED", "All VMs in this appliance are halted."]
    task = api.call("Async.VM_appliance.start", ref, True)
    assert api.wait_task(task)["status"] == "success"
    assert states(api, vms) == ["Paused"] * 3
    api.call("VM_appliance.hard_shutdown", ref)
    assert allowed(api, ref) == ["start"]


def test_an_empty_appliance_can_do_nothing(api):
    ref = api.call("VM_appliance.create", {"name_label": "empty", "name_description": ""})
    assert allowed(api, ref) == []
    assert fails(api, "VM_appliance.start", ref, False) == ["OPERATION_NOT_ALLOWED", "Appliance has no VMs."]
    api.call("VM_appliance.destroy", ref)


def test_orders_wait_for_each_other(daemon, api, group):
    """The first order's start_delay holds back the second: while it passes, the second is halted."""
    ref, vms = group
    api.call("VM.set_start_delay", vms[0], 3600)
    task = api.call("Async.VM_appliance.start", ref, False)
    token, record = "", {}
    while record.get("power_state") != "Running":
        batch = api.call("event.from", ["VM/" + vms[0]], token, 60.0)
        token = batch["token"]
        for event in batch["events"]:
            if event["operation"] != "del":
                record = event["snapshot"]
    assert states(api, vms) == ["Running", "Halted", "Halted"]
    assert list(api.call("VM_appliance.get_current_operations", ref).values()) == ["start"]
    with daemon.api() as other:
        assert fails(other, "VM_appliance.hard_shutdown", ref)[0] == "OTHER_OPERATION_IN_PROGRESS"
    api.call("task.cancel", task)
    record = api.wait_task(task)
    assert (record["status"], record["error_info"][0]) == ("cancelled", "TASK_CANCELLED")
    assert states(api, vms) == ["Running", "Halted", "Halted"]
    assert api.call("VM_appliance.get_current_operations", ref) == {}
    api.call("VM.set_start_delay", vms[0], 0)
    api.call("VM_appliance.start", ref, False)
    assert states(api, vms) == ["Running"] * 3


def test_what_fails_is_named_and_the_rest_is_done(api, group):
    ref, vms = group
    api.call("VM.add_to_blocked_operations", vms[0], "start", "KEEP_OFF")
    error = api.fails("VM_appliance.start", ref, False)
    assert (error.code, error.params) == ("OPERATION_PARTIALLY_FAILED", ["VM_appliance.start", vms[0]])
    assert states(api, vms) == ["Halted", "Running", "Running"]
    api.call("VM.remove_from_blocked_operations", vms[0], "start")
    api.call("VM_appliance.start", ref, False)
    assert states(api, vms) == ["Running"] * 3


def test_many_of_one_order_start_side_by_side(daemon, api, group):
    """All of one order have started before any delay of theirs is over."""
    ref, vms = group
    for vm in vms:
        api.call("VM.set_order", vm, 5)
        api.call("VM.set_start_delay", vm, 3600)
    task = api.call("Async.VM_appliance.start", ref, False)
    token = ""
    while states(api, vms) != ["Running"] * 3:
        token = api.call("event.from", ["VM"], token, 60.0)["token"]
    api.call("task.cancel", task)
    assert api.wait_task(task)["status"] == "cancelled"


def test_device_groups(api):
    for cls in ("GPU_group", "USB_group"):
        ref = api.call(cls + ".create", "mine", "described", {"a": "b"})
        record = api.call(cls + ".get_record", ref)
        assert (record["name_label"], record["name_description"], record["other_config"]) == ("mine", "described", {"a": "b"})
        api.call(cls + ".destroy", ref)
        assert fails(api, cls + ".get_record", ref) == ["HANDLE_INVALID", cls, ref]
    group = api.call("GPU_group.create")
    nothing = "OpaqueRef:00000000-0000-4000-8000-000000000001"
    assert fails(api, "GPU_group.get_remaining_capacity", group, nothing) == ["HANDLE_INVALID", "VGPU_type", nothing]
    api.call("GPU_group.destroy", group)


def test_purposes_of_networks(api):
    a, b = (api.call("network.create", {"name_label": n, "other_config": {}}) for n in "ab")
    api.call("network.add_purpose", a, "nbd")
    api.call("network.add_purpose", a, "nbd")
    assert api.call("network.get_purpose", a) == ["nbd"]
    for net in (a, b):
        assert fails(api, "network.add_purpose", net, "insecure_nbd") == ["NETWORK_INCOMPATIBLE_PURPOSES", "insecure_nbd",
                                                                          "nbd"]
    api.call("network.add_purpose", b, "nbd")
    for net in (a, b):
        api.call("network.remove_purpose", net, "nbd")
    api.call("network.remove_purpose", a, "nbd")
    api.call("network.add_purpose", b, "insecure_nbd")
    assert api.call("network.get_purpose", b) == ["insecure_nbd"] and api.call("network.get_purpose", a) == []
    for net in (a, b):
        api.call("network.destroy", net)


def test_observers(api):
    new = {"name_label": "o", "name_description": "", "hosts": [], "attributes": {}, "endpoints": ["bugtool"],
           "components": ["xapi"], "enabled": False}
    assert fails(api, "Observer.create", dict(new, components=["kitchen"])) == ["INVALID_VALUE", "component", "kitchen"]
    assert fails(api, "Observer.create", dict(new, enabled=True))[:3] == ["VALUE_NOT_SUPPORTED", "enabled", "true"]
    ref = api.call("Observer.create", new)
    host = api.call("host.get_all")
    for name, good, bad, what in (("endpoints", ["https://zipkin.example.org:9411/api"], ["ftp://x"], "endpoint"),
                                  ("attributes", {"a.b_c": "1"}, {"Big": "1"}, "attributes"),
                                  ("components", ["smapi", "xenopsd"], ["x"], "component"),
                                  ("hosts", host, ["OpaqueRef:00000000-0000-4000-8000-000000000001"], "host")):
        api.call("Observer.set_" + name, ref, good)
        assert fails(api, "Observer.set_" + name, ref, bad)[:2] == ["INVALID_VALUE", what]
        stored = api.call("Observer.get_" + name, ref)
        assert stored == good if isinstance(good, dict) else sorted(stored) == sorted(good)
    assert fails(api, "Observer.set_enabled", ref, True)[0] == "VALUE_NOT_SUPPORTED"
    api.call("Observer.set_enabled", ref, False)
    api.call("Observer.destroy", ref)


def test_a_schedule_runs(daemon, api):
    """What came due while nobody looked is made up for, once; the oldest snapshots go, with their disks and memory."""
    vmss = api.call("VMSS.create", dict(SCHEDULE, frequency="hourly", schedule={"min": "0"}, enabled=False,
                                        type="snapshot", retained_snapshots=2))
    vm = api.new_vm("scheduled")
    sr = api.call("pool.get_default_SR", api.pool())
    disk = api.call("VDI.create", {"name_label": "d", "name_description": "", "SR": sr, "virtual_size": 1 << 20, "type": "user",
                                   "sharable": False, "read_only": False, "other_config": {}})
    api.call("VBD.create", {"VM": vm, "VDI": disk, "userdevice": "0", "bootable": False, "mode": "RW", "type": "Disk",
                            "unpluggable": True, "empty": False, "other_config": {}, "qos_algorithm_type": "",
                            "qos_algorithm_params": {}})
    disks = len(api.call("VDI.get_all"))
    api.call("VM.set_snapshot_schedule", vm, vmss)
    assert api.call("VMSS.get_VMs", vmss) == [vm]
    assert fails(api, "VMSS.destroy", vmss)[0] == "VMSS_HAS_VM"

    def taken():
        return sorted((r for r in api.call("VM.get_all_records").values() if r["snapshot_of"] == vm and r["is_vmss_snapshot"]),
                      key=lambda r: r["snapshot_time"])

    api.call("VMSS.set_last_run_time", vmss, "20200101T00:00:00Z")
    assert taken() == []  # it is not enabled
    token = api.call("event.from", ["vmss/" + vmss], "", 0.0)["token"]
    api.call("VMSS.set_enabled", vmss, True)
    while api.call("VMSS.get_last_run_time", vmss) == "20200101T00:00:00Z":
        batch = api.call("event.from", ["vmss/" + vmss], token, 60.0)
        assert batch["events"], "it did not run in a minute"
        token = batch["token"]
    api.call("VMSS.set_enabled", vmss, False)
    [first] = taken()
    assert first["snapshot_schedule"] == "OpaqueRef:NULL" and first["name_label"].startswith("scheduled-")
    api.call("VM.start", vm, False, False)
    api.call("VMSS.set_type", vmss, "checkpoint")
    assert api.call("VMSS.snapshot_now", vmss) == "1 of 1 machines"
    assert [r["power_state"] for r in taken()] == ["Halted", "Suspended"]
    for _ in range(2):
        assert api.call("VMSS.snapshot_now", vmss) == "1 of 1 machines"
    assert len(taken()) == 2 and first["uuid"] not in [r["uuid"] for r in taken()]
    assert len(api.call("VDI.get_all")) == disks + 4, "a disk and a memory each"
    api.call("VM.add_to_blocked_operations", vm, "checkpoint", "NO")
    assert api.call("VMSS.snapshot_now", vmss).startswith("0 of 1 machines; OPERATION_BLOCKED")
    told = [m for m in api.call("message.get_all_records").values() if m["name"] == "VMSS_SNAPSHOT_FAILED"]
    assert len(told) == 1 and told[0]["obj_uuid"] == api.call("VM.get_uuid", vm)
    api.call("VM.set_snapshot_schedule", vm, "OpaqueRef:NULL")
    api.call("VMSS.destroy", vmss)
    api.call("VM.hard_shutdown", vm)
