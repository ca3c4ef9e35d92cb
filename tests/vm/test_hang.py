# SPDX-License-Identifier: Apache-2.0
"""A QEMU or a disk process that hangs (SIGSTOP) hangs nobody else: calls that wait for it can be cancelled, end at their
deadline, and can be overtaken by force."""
import contextlib
import os
import signal

import pytest

import guests
from guests import MIB

CANCELLED_IN = 30  # seconds; 10 where nothing else computes
ENDED = ("success", "failure", "cancelled")


@contextlib.contextmanager
def stopped(pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def null(daemon, api, name):
    vm = guests.Guest(daemon, api, name, kernel="null", memory=16 * MIB)
    vm.call("set_VCPUs_max", 2)
    vm.add_disk(userdevice="0")
    vm.extra, vm.vif = vm.add_disk(userdevice="40")[1], None
    vm.start()
    vm.more, vm.vif = vm.add_disk(userdevice="1")[1], vm.add_vif()
    return vm


# name: the call
OF_QEMU = {
    "pause": lambda vm: ("VM.pause", vm.ref),
    "suspend": lambda vm: ("VM.suspend", vm.ref),
    "checkpoint": lambda vm: ("VM.checkpoint", vm.ref, "never"),
    "clean_shutdown": lambda vm: ("VM.clean_shutdown", vm.ref),
    "plug": lambda vm: ("VBD.plug", vm.more),
    "plug a NIC": lambda vm: ("VIF.plug", vm.vif),
    "unplug": lambda vm: ("VBD.unplug", vm.extra),
    "processors": lambda vm: ("VM.set_VCPUs_number_live", vm.ref, 2),
    "resize": lambda vm: ("VDI.resize", vm.disks[0], 16 * MIB),
    "reboot": lambda vm: ("VM.hard_reboot", vm.ref),
}
OF_DISK = {
    "snapshot": lambda vm: ("VM.snapshot", vm.ref, "never"),
    "plug": lambda vm: ("VBD.plug", vm.more),
    "resize": lambda vm: ("VDI.resize", vm.disks[0], 16 * MIB),
}


def status(api, task):
    return api.call("task.get_status", task)


def begin(api, call, *params):
    method, rest = call.split(".")
    return api.call("Async.%s.%s" % (method, rest), *params)


def run(api, vms, table):
    """{name: task} of calls that all wait now."""
    tasks = {name: begin(api, *call(vms[name])) for name, call in table.items()}
    for name, task in tasks.items():
        guests.until("%s under way" % name, lambda n=name, t=task: status(api, t) in ENDED or any(
            api.call(c + ".get_current_operations", ref) for c, ref in
            (("VM", vms[n].ref), ("VBD", vms[n].more), ("VBD", vms[n].extra), ("VIF", vms[n].vif), ("VDI", vms[n].disks[0]))))
    return tasks


@pytest.mark.parametrize("table,processes", [(OF_QEMU, "machines"), (OF_DISK, "disk_processes")], ids=["qemu", "disk"])
def test_what_waits_can_be_cancelled(daemon, api, table, processes):
    vms = {name: null(daemon, api, name) for name in table}
    pids = [p for p, uuid in getattr(daemon, processes)().items() if uuid in [v.uuid for v in vms.values()]]
    assert len(pids) == len(vms)
    with stopped(pids):
        tasks = run(api, vms, table)
        for name, task in tasks.items():
            assert status(api, task) == "pending", (name, api.call("task.get_error_info", task))
            api.call("task.cancel", task)
        late = {}  # all but what ends in time
        with contextlib.suppress(AssertionError):
            guests.until("the end of all", lambda: not late.update({n: status(api, t) for n, t in tasks.items()})
                         and all(v in ENDED for v in late.values()), limit=CANCELLED_IN)
        assert {n: v for n, v in late.items() if v not in ENDED} == {}
        for name, task in tasks.items():
            # a disk that has grown already, unseen by the machine
            assert api.call("task.get_error_info", task)[:1] in ([], ["TASK_CANCELLED"]) or (
                name == "resize" and api.call("task.get_error_info", task) == ["OPERATION_PARTIALLY_FAILED", "VDI.resize"]), name
        for vm in (v for n, v in vms.items() if n in ("pause", "resize")):  # force needs nobody's answer
            vm.call("hard_shutdown")
            assert vm.state() == "Halted"
    for name, vm in vms.items():  # the others go on where they were
        if name in ("suspend", "checkpoint", "snapshot"):
            assert vm.state() == "Running"
            vm.call("pause")
            vm.call("unpause")
            assert vm.get("snapshots") == []
        vm.remove()
    guests.check_whole(daemon, api)
