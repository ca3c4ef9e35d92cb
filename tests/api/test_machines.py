# SPDX-License-Identifier: Apache-2.0
"""What machines and several clients at once do to records. The machines are not real: words of their kernel command line
say what they do once they run."""
import threading
import time

import pytest

import wire

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
