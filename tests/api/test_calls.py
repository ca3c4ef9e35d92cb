# SPDX-License-Identifier: Apache-2.0
"""Explicit calls that are small, each with its effect."""
import ctypes
import os

import pytest

import conftest

PLUGIN = """#!/usr/bin/python3
import sys, xmlrpc.client as x
if len(sys.argv) != 2:
    sys.exit("one argument")
(nobody, args), fn = x.loads(sys.argv[1])
(session, again), _ = x.loads(sys.stdin.read())
assert nobody == "OpaqueRef:NULL" and again == args
def success(value):
    print(x.dumps(({"Status": "Success", "Value": value},), methodresponse=True))
def fail(*error):
    print(x.dumps(({"Status": "Failure", "ErrorDescription": list(error)},), methodresponse=True))
if fn == "echo":
    success(" ".join("%s=%s" % i for i in sorted(args.items())))
elif fn == "session":
    success(session)
elif fn == "fail":
    fail("XENAPI_PLUGIN_FAILURE", "fail", "Exception", "on purpose")
elif fn == "exit":
    print("some output")
    sys.exit("some error")
elif fn == "noise":
    print("<not an answer")
else:
    fail("UNKNOWN_XENAPI_PLUGIN_FUNCTION", fn)
"""


@pytest.fixture(scope="module")
def host(api):
    return api.call("host.get_all")[0]


@pytest.fixture
def vm(api):
    ref = api.new_vm("small calls")
    yield ref
    if api.call("VM.get_power_state", ref) != "Halted":
        api.call("VM.hard_shutdown", ref)
    api.call("VM.destroy", ref)


def test_plugins(daemon, api, host):
    folder = daemon.state / "plugins"
    error = api.fails("host.call_plugin", host, "hello", "echo", {})
    assert (error.code, error.params) == ("XENAPI_MISSING_PLUGIN", ["hello"])
    folder.mkdir(exist_ok=True)
    plugin = folder / "hello"
    plugin.write_text(PLUGIN)
    plugin.chmod(0o755)
    (folder / "data").write_text("no program")
    (folder / "open").write_text(PLUGIN)
    (folder / "open").chmod(0o777)
    (folder / "link").symlink_to("/bin/true")
    (folder / ".hidden").write_text(PLUGIN)
    (folder / ".hidden").chmod(0o755)

    def call(fn, args=None, **kw):
        return api.call("host.call_plugin", host, kw.get("plugin", "hello"), fn, args or {})

    def fails(fn, plugin="hello"):
        error = api.fails("host.call_plugin", host, plugin, fn, {})
        return [error.code, *error.params]

    assert call("echo", {"a": "1 <&>", "b": "\u00e9"}) == "a=1 <&> b=\u00e9"
    assert call("session") == api.session
    assert fails("fail") == ["XENAPI_PLUGIN_FAILURE", "fail", "Exception", "on purpose"]
    assert fails("none") == ["UNKNOWN_XENAPI_PLUGIN_FUNCTION", "none"]
    assert fails("exit") == ["XENAPI_PLUGIN_FAILURE", "non-zero exit", "some output\n", "some error\n"]
    assert fails("noise")[:2] == ["XENAPI_PLUGIN_FAILURE", "the output is no answer"]
    # Only programs in the folder that nobody else may change.
    for name in ("data", "open", "link", ".hidden", "..", "../hello", "/bin/true", "", "a b", "x/../hello"):
        assert fails("echo", name) == ["XENAPI_MISSING_PLUGIN", name]
    task = api.call("Async.host.call_plugin", host, "hello", "echo", {"x": "y"})
    assert api.wait_task(task)["result"] == "<value>x=y</value>"


def test_the_logs(daemon, api, host):
    vm = api.new_vm("a name for the log")
    api.call("VM.destroy", vm)
    text = api.call("host.get_log", host)
    assert "VM.destroy " + vm in text and text.endswith("\n") and len(text) <= 65536
    assert text in daemon.log_text()
    libc = ctypes.CDLL(None, use_errno=True)
    buf = ctypes.create_string_buffer(1 << 20)
    if libc.klogctl(3, buf, len(buf)) < 0:
        assert api.fails("host.dmesg", host).code == "PERMISSION_DENIED"
    else:
        ours, theirs = api.call("host.dmesg", host), buf.value.decode("ascii", "replace")
        assert set(ours.splitlines()) & set(theirs.splitlines()) or not theirs


def test_scheduling(api, host):
    assert api.call("host.get_sched_gran", host) == "cpu"
    api.call("host.set_sched_gran", host, "cpu")
    error = api.fails("host.set_sched_gran", host, "socket")
    assert error.code == "VALUE_NOT_SUPPORTED" and error.params[:2] == ["sched_gran", "socket"]
    assert api.call("host.get_sched_gran", host) == "cpu"
    api.call("pool.detect_nonhomogeneous_external_auth", api.pool())


def test_locking_mode(api):
    net = api.call("network.create", {"name_label": "n", "other_config": {}})
    api.call("network.set_default_locking_mode", net, "unlocked")
    assert api.fails("network.set_default_locking_mode", net, "disabled").code == "VALUE_NOT_SUPPORTED"
    assert api.call("network.get_default_locking_mode", net) == "unlocked"
    api.call("network.destroy", net)


def test_high_availability_wishes(api, vm):
    for value, always in (("restart", True), ("best-effort", False), ("", False)):
        api.call("VM.set_ha_restart_priority", vm, value)
        assert api.call("VM.get_ha_restart_priority", vm) == value
        assert api.call("VM.get_ha_always_run", vm) is always
    api.call("VM.set_ha_always_run", vm, True)
    assert api.call("VM.get_ha_restart_priority", vm) == "restart"
    assert api.fails("VM.set_ha_restart_priority", vm, "sometimes").code == "INVALID_VALUE"
    api.call("VM.assert_agile", vm)  # it has no disk
    sr = api.call("pool.get_default_SR", api.pool())
    vdi = api.call("VDI.create", {"SR": sr, "virtual_size": 1 << 22, "type": "user"})
    vbd = api.call("VBD.create", {"VM": vm, "VDI": vdi, "userdevice": "0", "mode": "RW", "type": "Disk", "bootable": True,
                                  "empty": False, "other_config": {}, "qos_algorithm_type": "",
                                  "qos_algorithm_params": {}})
    error = api.fails("VM.assert_agile", vm)
    assert (error.code, error.params) == ("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", [sr])
    api.call("VBD.destroy", vbd)
    api.call("VDI.destroy", vdi)


def test_firmware_memory(api, vm):
    api.call("VM.set_NVRAM", vm, {"a": "1"})
    api.call("VM.add_to_NVRAM", vm, "b", "2")
    assert api.call("VM.get_NVRAM", vm) == {"a": "1", "b": "2"}
    error = api.fails("VM.add_to_NVRAM", vm, "b", "3")
    assert (error.code, error.params) == ("MAP_DUPLICATE_KEY", ["VM", "NVRAM", vm, "b"])
    api.call("VM.remove_from_NVRAM", vm, "a")
    api.call("VM.remove_from_NVRAM", vm, "absent")
    assert api.call("VM.get_NVRAM", vm) == {"b": "2"}
    api.call("VM.start", vm, True, False)
    for call, args in (("set_NVRAM", [{}]), ("add_to_NVRAM", ["c", "3"]), ("remove_from_NVRAM", ["b"])):
        assert api.fails("VM." + call, vm, *args).code == "VM_BAD_POWER_STATE", call
    assert api.call("VM.get_NVRAM", vm) == {"b": "2"}


def test_other_fields(api, vm):
    assert api.call("VM.get_boot_record", vm) == api.call("VM.get_record", vm)
    api.call("VM.set_has_vendor_device", vm, True)
    assert api.call("VM.get_has_vendor_device", vm) is True
    appliance = api.call("VM_appliance.create", {"name_label": "both", "name_description": ""})
    api.call("VM.set_appliance", vm, appliance)
    assert api.call("VM_appliance.get_VMs", appliance) == [vm]
    api.call("VM.set_appliance", vm, "OpaqueRef:NULL")
    assert api.call("VM_appliance.get_VMs", appliance) == []
    assert api.fails("VM.set_appliance", vm, vm).code == "HANDLE_INVALID"
    api.call("VM_appliance.destroy", appliance)
    api.call("VM.start", vm, False, False)
    assert api.fails("VM.set_has_vendor_device", vm, False).code == "VM_BAD_POWER_STATE"
    assert api.call("VM.get_boot_record", vm)["power_state"] == "Running"


def test_a_cancelled_plugin_ends(directory):
    daemon = conftest.Daemon(directory).start()
    (daemon.state / "plugins").mkdir()
    plugin = daemon.state / "plugins" / "slow"
    fifo = daemon.dir / "fifo"
    os.mkfifo(fifo)
    plugin.write_text("#!/bin/sh\nexec cat '%s'\n" % fifo)
    plugin.chmod(0o755)
    with daemon.api() as api:
        host = api.call("host.get_all")[0]
        task = api.call("Async.host.call_plugin", host, "slow", "x", {})
        writer = os.open(fifo, os.O_WRONLY)  # returns once the plug-in reads
        api.call("task.cancel", task)
        token, record = "", api.call("task.get_record", task)
        while record["status"] in ("pending", "cancelling"):
            token = api.call("event.from", ["task/" + task], token, 30.0)["token"]
            record = api.call("task.get_record", task)
        assert (record["status"], record["error_info"][0]) == ("cancelled", "TASK_CANCELLED")
        os.close(writer)
    assert daemon.stop()[0] == 0
