# SPDX-License-Identifier: Apache-2.0
"""What machines and several clients at once do to records. The machines are not real: words of their kernel command line
say what they do once they run."""
import threading
import time
from xml.etree import ElementTree

import pytest

import wire
from conftest import Daemon

SIZE = 2 << 20  # disks are made in steps of 2 MiB
VIF = {"device": "0", "MAC": "", "MTU": 1500, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}}


@pytest.fixture
def kernel(daemon):
    path = daemon.state / "kernels" / "kernel"
    path.write_bytes(b"not looked at")
    return path.name


def guest(api, kernel, words=""):
    vm = api.new_vm("machine")
    api.call("VM.set_HVM_boot_policy", vm, "")
    api.call("VM.set_HVM_boot_params", vm, {})
    api.call("VM.set_PV_kernel", vm, kernel)
    api.call("VM.set_PV_args", vm, words)
    return vm


def wait_state(api, vm, wanted):
    until, token = time.monotonic() + 20, ""
    while time.monotonic() < until:
        batch = api.call("event.from", ["vm/" + vm], token, 2.0)
        token = batch["token"]
        for event in batch["events"]:
            record = event.get("snapshot", {})
            if record.get("power_state") == wanted and not record["current_operations"]:
                return record
    raise AssertionError("still " + api.call("VM.get_power_state", vm))


@pytest.mark.parametrize("word", ["fake:die", "fake:poweroff", "fake:panic"])
def test_what_happens_is_not_blocked(api, kernel, word):
    """blocked_operations protects a VM from calls; the record follows a guest that ends by itself all the same."""
    vm = guest(api, kernel, word)
    api.call("VM.set_actions_after_crash", vm, "destroy")
    api.call("VM.set_blocked_operations", vm, dict.fromkeys(
        ("clean_shutdown", "clean_reboot", "hard_shutdown", "hard_reboot", "power_state_reset"), "VM_IS_PROTECTED"))
    api.call("VM.start", vm, False, False)
    record = wait_state(api, vm, "Halted")
    assert record["consoles"] == [] and record["resident_on"] == "OpaqueRef:NULL"
    api.call("VM.set_blocked_operations", vm, {})
    api.call("VM.destroy", vm)


def hammer(daemon, session, method, params, ended):
    with wire.Api(*daemon.host_port()) as client:
        client.session = session
        try:
            while True:
                client.call(method, *params)
        except wire.ApiError as e:
            ended.append(e.code)


@pytest.mark.parametrize("cls", ["VDI", "VIF", "SR"])
def test_destroyed_while_it_is_written(daemon, api, cls):
    """A writer that found the object must bear that it is gone when its turn comes."""
    sr, net = api.call("pool.get_default_SR", api.pool()), api.call("network.get_all")[0]
    vm = api.new_vm("written")
    for _ in range(40):
        if cls == "VDI":
            ref = api.call("VDI.create", {"name_label": "d", "SR": sr, "virtual_size": 1 << 20, "type": "user"})
            method, params, end = "VDI.set_sharable", (ref, True), "VDI.destroy"
        elif cls == "VIF":
            ref = api.call("VIF.create", dict(VIF, VM=vm, network=net))
            method, params, end = "VIF.move", (ref, net), "VIF.destroy"
        else:
            ref = api.call("SR.introduce", "3d1cbd9e-9c0b-4d35-9f4f-9e0e0e7a4f10", "s", "", "ext", "user", False, {})
            method, params, end = "SR.set_name_label", (ref, "s"), "SR.forget"
        ended = []
        threads = [threading.Thread(target=hammer, args=(daemon, api.session, method, params, ended)) for _ in range(4)]
        for t in threads:
            t.start()
        api.call(end, ref)
        for t in threads:
            t.join()
        assert ended == ["HANDLE_INVALID"] * 4
    api.call("VM.destroy", vm)


def new_vdi(api, size=SIZE):
    return api.call("VDI.create", {"name_label": "d", "SR": api.call("pool.get_default_SR", api.pool()),
                                   "virtual_size": size, "type": "user"})


def add_vbd(api, vm, vdi, **fields):
    return api.call("VBD.create", dict({"VM": vm, "VDI": vdi, "userdevice": "autodetect", "bootable": False, "mode": "RW",
                                        "type": "Disk", "unpluggable": True, "empty": False, "other_config": {},
                                        "qos_algorithm_type": "", "qos_algorithm_params": {}}, **fields))


def test_a_disk_has_one_writer(api, kernel):
    """The second machine is told so in the API's words, and one that only reads is refused as well."""
    vdi, first, second = new_vdi(api), guest(api, kernel), guest(api, kernel)
    add_vbd(api, first, vdi)
    vbd = add_vbd(api, second, vdi, mode="RO")
    api.call("VM.start", first, False, False)
    error = api.fails("VM.start", second, False, False)
    assert (error.code, error.params) == ("VDI_IN_USE", [vdi, "attach"])
    assert api.call("VM.get_power_state", second) == "Halted"
    error = api.fails("VM.clone", second, "copy of a disk in use")
    assert (error.code, error.params) == ("VDI_IN_USE", [vdi, "clone"])
    api.call("VM.hard_shutdown", first)
    api.call("VM.start", second, False, False)
    api.call("VM.hard_shutdown", second)
    api.call("VBD.destroy", vbd)
    for vm in (first, second):
        api.call("VM.destroy", vm)
    api.call("VDI.destroy", vdi)


def test_a_transfer_holds_its_disk(daemon, api, kernel):
    vdi, vm = new_vdi(api), guest(api, kernel)
    add_vbd(api, vm, vdi)
    with daemon.connect() as raw:
        raw.send("PUT /import_raw_vdi?vdi=%s&session_id=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                 % (vdi, api.session, SIZE))
        assert raw.head()[0] == 200
        raw.send(b"x")
        until = time.monotonic() + 20
        while list(api.call("VDI.get_current_operations", vdi).values()) != ["blocked"]:
            assert time.monotonic() < until
        for call in (("VDI.destroy", vdi), ("VM.start", vm, False, False), ("VM.clone", vm, "x")):
            assert api.fails(*call).code == "OTHER_OPERATION_IN_PROGRESS", call
        task = api.call("task.create", "second import", "")
        with daemon.connect() as other:
            other.request("PUT", "/import_raw_vdi?vdi=%s&session_id=%s&task_id=%s" % (vdi, api.session, task), b"y")
        assert api.wait_task(task)["error_info"][0] == "OTHER_OPERATION_IN_PROGRESS"
        api.call("task.destroy", task)
    until = time.monotonic() + 20
    while api.call("VDI.get_current_operations", vdi):
        assert time.monotonic() < until
    api.call("VM.start", vm, False, False)
    export = "/export_raw_vdi?vdi=%s&session_id=%s" % (vdi, api.session)
    with daemon.connect() as raw:
        assert raw.request("GET", export).status == 500
    api.call("VM.hard_shutdown", vm)
    with daemon.connect() as raw:
        answer = raw.request("GET", export)
    assert answer.status == 200 and len(answer.body) == SIZE
    assert api.call("VDI.get_current_operations", vdi) == {}
    api.call("VM.destroy", vm)
    api.call("VDI.destroy", vdi)


def test_devices_made_later_are_not_attached(directory):
    """A daemon that finds a machine again believes its records, not that the machine has all that was added since."""
    daemon = Daemon(directory).start()
    (daemon.state / "kernels" / "kernel").write_bytes(b"")
    api = daemon.api()
    vm, vdi = guest(api, "kernel"), new_vdi(api)
    first = add_vbd(api, vm, new_vdi(api))
    api.call("VM.start", vm, False, False)
    later = add_vbd(api, vm, vdi)
    assert [api.call("VBD.get_currently_attached", v) for v in (first, later)] == [True, False]
    daemon.stop()
    daemon.start()
    api = daemon.api()
    assert api.call("VM.get_power_state", vm) == "Running"
    assert [api.call("VBD.get_currently_attached", v) for v in (first, later)] == [True, False]
    assert [api.call("VDI.get_allowed_operations", vdi).count("destroy")] == [1]
    api.call("VM.hard_shutdown", vm)
    daemon.stop()


def test_numbers_of_processors(api):
    vm = api.new_vm("processors")
    for call, value, field in (("max", 300, "VCPUs_max"), ("max", 0, "VCPUs_max"), ("max", 256, "VCPUs_max"),
                               ("at_startup", 0, "VCPUs_at_startup"), ("at_startup", 2, "VCPUs_at_startup")):
        error = api.fails("VM.set_VCPUs_" + call, vm, value)
        assert (error.code, error.params) == ("INVALID_VALUE", [field, str(value)])
    api.call("VM.set_VCPUs_max", vm, 255)
    api.call("VM.destroy", vm)


def test_a_renamed_template_is_not_made_again(directory):
    daemon = Daemon(directory).start()
    api = daemon.api()
    (template,) = api.call("VM.get_by_name_label", "Other install media")
    count = len(api.call("VM.get_all"))
    api.call("VM.set_name_label", template, "Anything")
    daemon.stop()
    daemon.start()
    api = daemon.api()
    assert api.call("VM.get_name_label", template) == "Anything" and len(api.call("VM.get_all")) == count
    daemon.stop()


def test_memory_is_promised_once(api, kernel):
    """Starts at the same moment never get more together than there is; a start that fails gives back what it had."""
    host = api.call("host.get_all")[0]
    total = int(api.call("host_metrics.get_memory_total", api.call("host.get_metrics", host)))
    vms = [guest(api, kernel) for _ in range(6)]
    refused = guest(api, kernel, "fake:refuse")
    for vm in vms + [refused]:
        api.call("VM.set_memory_limits", vm, *[total // 4 // 4096 * 4096] * 4)
    tasks = [api.call("Async.VM.start", vm, False, False) for vm in vms]
    ends = [api.wait_task(task) for task in tasks]
    running = [vm for vm in vms if api.call("VM.get_power_state", vm) == "Running"]
    assert len(running) == sum(t["status"] == "success" for t in ends) < 4, "four times a quarter leaves nothing for the host"
    for task in ends:
        assert task["status"] == "success" or task["error_info"][0] == "HOST_NOT_ENOUGH_FREE_MEMORY", task
    for vm in running:
        api.call("VM.hard_shutdown", vm)
    api.call("VM.set_memory_limits", refused, *[64 << 20] * 4)
    codes = {api.fails("VM.start", refused, False, False).code for _ in range(total // (64 << 20) + 1)}
    assert codes == {"BOOTLOADER_FAILED"}
    for vm in vms + [refused]:
        api.call("VM.destroy", vm)


def test_templates_say_what_their_systems_want(api):
    """Firmware, bus and limits, in the form that XenServer's clients parse."""
    seen = {}
    for vm in api.call("VM.get_all_records").values():
        if not vm["is_default_template"]:
            continue
        limits = {(e.get("field") or e.get("property")): e.get("max") or e.get("value")
                  for e in ElementTree.fromstring(vm["recommendations"])}
        assert int(limits["memory-static-max"]) >= 1 << 40 and int(limits["vcpus-max"]) >= 32
        assert int(limits["number-of-vbds"]) == 64 and int(limits["number-of-vifs"]) == 16
        seen[vm["name_label"]] = (vm["HVM_boot_params"]["firmware"], vm["platform"].get("secureboot"),
                                  vm["platform"].get("vtpm"), vm["platform"].get("disk-bus"), limits["supports-bios"])
    assert len(seen) > 30
    assert seen["Windows 11"] == ("uefi", "true", "true", "nvme", "no")
    assert seen["Windows Server 2022 (64-bit)"] == ("uefi", "true", None, "nvme", "yes")
    assert seen["Rocky Linux 9"] == ("uefi", "false", None, None, "yes")
    assert seen["Generic Linux BIOS"] == ("bios", None, None, None, "yes")
