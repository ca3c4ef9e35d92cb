# SPDX-License-Identifier: Apache-2.0
"""The life of a machine: what each power operation does to the guest, what the records say, what is refused."""
import os
import signal
import threading
import time

import pytest

import guests
import wire
from guests import MIB

NULL = "OpaqueRef:NULL"
TICK = 0.1  # seconds, in the guest
HALTED = {"export", "start", "start_on", "clone", "copy", "provision", "make_into_template", "destroy", "power_state_reset",
          "changing_VCPUs", "changing_memory_limits", "changing_static_range", "changing_dynamic_range",
          "changing_NVRAM", "changing_shadow_memory", "snapshot"}
RUNNING = {"pause", "clean_shutdown", "clean_reboot", "shutdown", "hard_shutdown", "hard_reboot", "power_state_reset",
           "data_source_op", "snapshot", "snapshot_with_quiesce", "suspend", "checkpoint", "changing_VCPUs_live",
           "changing_memory_live", "awaiting_memory_live", "changing_dynamic_range", "changing_shadow_memory_live", "call_plugin"}
PAUSED = {"unpause", "hard_shutdown", "hard_reboot", "power_state_reset", "data_source_op", "snapshot"}
ALLOWED = {"Halted": HALTED, "Running": RUNNING, "Paused": PAUSED}


@pytest.fixture
def null(daemon, api):
    guest = guests.Guest(daemon, api, "null", kernel="null", memory=16 * MIB)
    yield guest
    guest.remove()


def check_records(api, vm, state):
    """Everything around a VM in a power state; its consoles by protocol."""
    record, live = vm.record(), state != "Halted"
    assert record["power_state"] == state
    assert set(record["allowed_operations"]) == ALLOWED[state]
    assert record["current_operations"] == {}
    host = api.call("host.get_all")[0]
    assert record["resident_on"] == (host if live else NULL)
    assert (vm.ref in api.call("host.get_resident_VMs", host)) == live
    assert (int(record["domid"]) > 0) == live
    assert (vm.pid() is not None) == live == vm.directory().exists()
    consoles = {api.call("console.get_protocol", c): c for c in record["consoles"]}
    assert set(consoles) == ({"rfb", "vt100"} if live else set())
    for console in consoles.values():
        assert api.call("console.get_VM", console) == vm.ref
        assert api.call("console.get_location", console) == \
            "%s/console?uuid=%s" % (vm.daemon.https, api.call("console.get_uuid", console))
    for vbd in record["VBDs"]:
        vbd = api.call("VBD.get_record", vbd)
        assert vbd["currently_attached"] == live
        assert not live or vbd["device"] == "xvd" + chr(ord("a") + int(vbd["userdevice"]))
        assert ("destroy" in api.call("VDI.get_allowed_operations", vbd["VDI"])) != live
    for vif in record["VIFs"]:
        assert api.call("VIF.get_currently_attached", vif) == live
    metrics = api.call("VM_metrics.get_record", record["metrics"])
    assert int(metrics["memory_actual"]) == (int(record["memory_dynamic_max"]) if live else 0)
    assert int(metrics["VCPUs_number"]) == (1 if live else 0)
    return consoles


def started_at(api, vm):
    return api.call("VM_metrics.get_start_time", vm.get("metrics"))


def test_a_whole_life(daemon, api, vm):
    vm.add_disk()
    vm.add_vif()
    vm.boots("vmlinuz", "net=1")
    check_records(api, vm, "Halted")
    line = vm.start_up()
    consoles = check_records(api, vm, "Running")
    pid, domid = vm.pid(), vm.get("domid")
    line.expect(r"^NET 10\.\d+\.\d+\.\d+\r$")
    line.ask("sh ls /sys/block", r"^vda\r$")

    before, asked, _ = line.count()
    vm.call("pause")
    paused = time.monotonic()
    assert check_records(api, vm, "Paused") == consoles
    while line.more(time.monotonic() + 0.3):
        pass  # what was on its way
    assert line.more(time.monotonic() + 0.7) is None, "a paused guest counts"
    waited = time.monotonic() - paused
    vm.call("unpause")
    check_records(api, vm, "Running")
    after, _, answered = line.count()
    assert (after - before) * TICK <= answered - asked - waited + 0.2, "the guest's clock went on while it was paused"

    first = started_at(api, vm)
    vm.call("clean_reboot")
    line.expect(r"^BUTTON\r$")
    assert vm.state() == "Running"
    line.expect(r"^SERAI_TINY_UP\r$")
    assert check_records(api, vm, "Running") == consoles
    assert (vm.pid(), vm.get("domid")) == (pid, domid)
    line.expect(r"^TICK")
    second = started_at(api, vm)
    assert second > first

    line.send("reboot")
    line.expect(r"^SERAI_TINY_UP\r$")
    guests.until("a new start time", lambda: started_at(api, vm) > second)
    assert check_records(api, vm, "Running") == consoles

    vm.call("clean_shutdown")
    line.wait_end()
    assert b"\nBUTTON\r" in line.text[line.seen:]
    check_records(api, vm, "Halted")
    for console in consoles.values():
        assert api.fails("console.get_uuid", console).code == "HANDLE_INVALID"
    guests.check_whole(daemon, api)


def test_the_guest_powers_itself_off(daemon, api, vm):
    vm.call("set_actions_after_shutdown", "restart")
    line = vm.start_up()
    pid = vm.pid()
    line.send("off")
    line.expect(r"^SERAI_TINY_UP\r$")
    assert vm.state() == "Running" and vm.pid() == pid
    vm.call("set_actions_after_shutdown", "destroy")
    line.send("off")
    vm.wait_state("Halted")
    line.wait_end()
    check_records(api, vm, "Halted")


def test_the_guest_panics(daemon, api, vm):
    line = vm.start_up()
    line.expect("^TICK")
    line.send("panic")
    line.expect("Kernel panic")
    line.expect(r"^SERAI_TINY_UP\r$")
    assert vm.state() == "Running"
    vm.call("set_actions_after_crash", "preserve")
    line.expect("^TICK")
    line.send("panic")
    vm.wait_state("Paused")
    assert vm.pid()
    vm.call("hard_reboot")
    line.expect(r"^SERAI_TINY_UP\r$")
    check_records(api, vm, "Running")
    vm.call("set_actions_after_crash", "destroy")
    line.expect("^TICK")
    line.send("panic")
    vm.wait_state("Halted")
    check_records(api, vm, "Halted")


def test_start_paused(api, null):
    null.start(paused=True)
    check_records(api, null, "Paused")
    with null.serial() as line:
        assert line.more(time.monotonic() + 0.5) is None, "it ran"
        null.call("unpause")
        line.expect("^N\n")
        check_records(api, null, "Running")
    null.call("pause")
    null.call("hard_shutdown")
    check_records(api, null, "Halted")


def test_hard_reboot_keeps_the_machine(api, null):
    null.start()
    with null.serial() as line:
        line.expect("^N\n")
        pid = null.pid()
        null.call("hard_reboot")
        line.expect("^N\n")
        assert null.pid() == pid
        null.call("hard_shutdown")
        line.wait_end()
    check_records(api, null, "Halted")


def test_domid_is_new_with_each_start(null):
    seen = []
    for _ in range(3):
        null.start()
        seen.append(int(null.get("domid")))
        null.call("hard_shutdown")
    assert len(set(seen)) == 3, seen


def test_qemu_dies(daemon, api, null):
    for paused in (False, True):
        null.start(paused)
        os.kill(null.pid(), signal.SIGKILL)
        null.wait_state("Halted")
        check_records(api, null, "Halted")
        guests.check_whole(daemon, api)
    null.start()
    with null.serial() as line:
        line.expect("^N\n")


def test_a_guest_that_ignores_the_button(daemon, api, null):
    """Its clean_shutdown waits; others are refused meanwhile, force is not; events show all of it."""
    null.start()
    token = api.call("event.from", ["vm/" + null.ref], "", 0.0)["token"]
    task = api.call("Async.VM.clean_shutdown", null.ref)
    seen = None
    while not seen:
        batch = api.call("event.from", ["vm/" + null.ref], token, 10.0)
        token = batch["token"]
        assert batch["events"]
        seen = batch["events"][-1]["snapshot"]["current_operations"]
    assert seen == {task: "clean_shutdown"}
    assert set(null.get("allowed_operations")) == {"hard_shutdown", "hard_reboot", "power_state_reset"}
    for call in ("pause", "clean_reboot", "clean_shutdown"):
        error = null.fails(call)
        assert (error.code, error.params) == ("OTHER_OPERATION_IN_PROGRESS", ["VM", null.ref, "clean_shutdown", task])
    api.call("task.cancel", task)
    assert api.wait_task(task)["status"] == "cancelled"
    check_records(api, null, "Running")

    task = api.call("Async.VM.clean_shutdown", null.ref)
    guests.until("the operation", lambda: null.get("current_operations"))
    null.call("hard_shutdown")
    assert api.wait_task(task)["status"] == "success"
    check_records(api, null, "Halted")


def test_wrong_states(api, null):
    ref = null.ref

    def refused(state, call, *params, wanted):
        error = null.fails(call, *params)
        assert (error.code, error.params) == ("VM_BAD_POWER_STATE", [ref, wanted, state]), call

    for call in ("pause", "clean_shutdown", "clean_reboot"):
        refused("halted", call, wanted="running")
    refused("halted", "unpause", wanted="paused")
    assert null.fails("hard_shutdown").code == "VM_BAD_POWER_STATE"
    null.start()
    refused("running", "start", False, False, wanted="halted")
    refused("running", "start", True, False, wanted="halted")
    refused("running", "unpause", wanted="paused")
    for call, params in (("destroy", ()), ("clone", ("x",)), ("provision", ()), ("set_memory_limits", [32 * MIB] * 4)):
        refused("running", call, *params, wanted="halted")
    null.call("pause")
    refused("paused", "pause", wanted="running")
    refused("paused", "clean_shutdown", wanted="running")
    refused("paused", "start", False, False, wanted="halted")
    check_records(api, null, "Paused")
    null.call("hard_shutdown")

    template = api.call("VM.get_by_name_label", "Other install media")[0]
    error = api.fails("VM.start", template, False, False)
    assert (error.code, error.params) == ("VM_IS_TEMPLATE", [template])
    assert api.fails("VM.destroy", template).code in ("VM_CANNOT_DELETE_DEFAULT_TEMPLATE", "OPERATION_NOT_ALLOWED")

    null.call("add_to_blocked_operations", "start", "NOT_TODAY")
    assert "start" not in null.get("allowed_operations")
    error = null.fails("start", False, False)
    assert (error.code, error.params) == ("OPERATION_BLOCKED", [ref, "NOT_TODAY"])
    null.call("remove_from_blocked_operations", "start")
    null.start()
    null.call("hard_shutdown")
    null.call("destroy")
    error = null.fails("start", False, False)
    assert (error.code, error.params) == ("HANDLE_INVALID", ["VM", ref])


def test_devices(daemon, api, null):
    vdi, vbd = null.add_disk(userdevice="3")
    vif = null.add_vif(device="1")
    with pytest.raises(wire.ApiError) as caught:
        null.add_vbd(vdi, userdevice="3")
    assert (caught.value.code, caught.value.params) == ("DEVICE_ALREADY_EXISTS", ["3"])
    with pytest.raises(wire.ApiError) as caught:
        null.add_vif(device="1")
    assert (caught.value.code, caught.value.params) == ("DEVICE_ALREADY_EXISTS", ["1"])
    null.start()
    assert api.call("VBD.get_device", vbd) == "xvdd"
    error = api.fails("VDI.destroy", vdi)
    assert error.code == "VDI_IN_USE" and error.params[0] == vdi
    for cls, ref in (("VBD", vbd), ("VIF", vif)):
        error = api.fails(cls + ".destroy", ref)
        assert (error.code, error.params) == ("DEVICE_ALREADY_ATTACHED", [ref])
    null.call("hard_shutdown")
    api.call("VBD.destroy", vbd)
    api.call("VIF.destroy", vif)
    assert null.get("VBDs") == [] and null.get("VIFs") == []
    api.call("VDI.destroy", vdi)
    guests.check_whole(daemon, api)


def test_a_vm_from_a_template_with_disks(daemon, api):
    vm = guests.Guest(daemon, api, "with disks", kernel="null", memory=16 * MIB, template="Generic Linux BIOS")
    try:
        [vbd] = vm.get("VBDs")
        vdi = api.call("VDI.get_record", api.call("VBD.get_VDI", vbd))
        assert int(vdi["virtual_size"]) == 10 << 30 and api.call("VBD.get_bootable", vbd)
        assert guests.disk_file(daemon, api, api.call("VBD.get_VDI", vbd)).stat().st_blocks < 100
        assert not vm.get("is_a_template") and "disks" not in vm.get("other_config")
        # A template of one's own, with two disks.
        template = api.call("VM.clone", vm.ref, "mine")
        try:
            for b in api.call("VM.get_VBDs", template):
                api.call("VDI.destroy", api.call("VBD.get_VDI", b))
            assert api.call("VM.get_VBDs", template) == []
            api.call("VM.set_is_a_template", template, True)
            api.call("VM.add_to_other_config", template, "disks",
                     '<provision><disk device="0" size="%d" sr="" bootable="true" type="system"/>'
                     '<disk device="2" size="%d" sr="" bootable="false" type="user"/></provision>' % (4 * MIB, 6 * MIB))
            clone = api.call("VM.clone", template, "two disks")
            try:
                api.call("VM.provision", clone)
                sizes = {api.call("VBD.get_userdevice", b): int(api.call("VDI.get_virtual_size", api.call("VBD.get_VDI", b)))
                         for b in api.call("VM.get_VBDs", clone)}
                assert sizes == {"0": 4 * MIB, "2": 6 * MIB}
            finally:
                for b in api.call("VM.get_VBDs", clone):
                    api.call("VDI.destroy", api.call("VBD.get_VDI", b))
                api.call("VM.destroy", clone)
        finally:
            api.call("VM.destroy", template)
        vm.start()
        check_records(api, vm, "Running")
    finally:
        vm.remove()
    guests.check_whole(daemon, api)


def test_many_at_once(daemon, api):
    """Clients that start, pause and stop at the same time see only their own VM change."""
    vms = [guests.Guest(daemon, api, "many %d" % i, kernel="null", memory=16 * MIB) for i in range(6)]
    wrong = []

    def live(vm):
        try:
            with daemon.api() as client:
                vm.api = client
                for _ in range(2):
                    vm.start()
                    check_records(client, vm, "Running")
                    vm.call("pause")
                    check_records(client, vm, "Paused")
                    vm.call("hard_shutdown")
                    check_records(client, vm, "Halted")
        except BaseException as e:  # noqa: B902  told by the main thread
            wrong.append(e)
        finally:
            vm.api = api

    threads = [threading.Thread(target=live, args=(vm,)) for vm in vms]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    try:
        assert not wrong, wrong
        guests.check_whole(daemon, api)
    finally:
        for vm in vms:
            vm.remove()
