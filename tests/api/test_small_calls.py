# SPDX-License-Identifier: Apache-2.0
"""Calls with one plain effect each, that no other test looks at."""
import datetime
import re

import pytest

import conftest

GIB = 1 << 30


def fails(api, *words):
    error = api.fails(*words)
    return [error.code, *error.params]


@pytest.fixture(scope="module")
def host(api):
    return api.call("host.get_all")[0]


@pytest.fixture(scope="module")
def sr(api):
    return api.call("pool.get_default_SR", api.pool())


@pytest.fixture
def vm(api):
    ref = api.new_vm("one effect")
    yield ref
    if api.call("VM.get_power_state", ref) != "Halted":
        api.call("VM.hard_shutdown", ref)
    api.call("VM.destroy", ref)


@pytest.fixture
def vdi(api, sr):
    ref = api.call("VDI.create", {"SR": sr, "virtual_size": 1 << 22, "type": "user"})
    yield ref
    if ref in api.call("VDI.get_all"):
        api.call("VDI.destroy", ref)


def new_vbd(api, vm, vdi, device="0"):
    return api.call("VBD.create", {"VM": vm, "VDI": vdi, "userdevice": device, "mode": "RW", "type": "Disk", "bootable": True,
                                   "empty": False, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})


def memory(api, vm):
    record = api.call("VM.get_record", vm)
    return [record["memory_" + name] for name in ("static_min", "dynamic_min", "dynamic_max", "static_max")]


def test_memory_of_a_halted_machine(api, vm):
    api.call("VM.set_memory", vm, 2 * GIB)
    assert memory(api, vm)[1:] == [2 * GIB] * 3
    api.call("VM.set_memory_static_range", vm, GIB // 2, 3 * GIB)
    assert memory(api, vm) == [GIB // 2, 2 * GIB, 2 * GIB, 3 * GIB]
    for name, value in (("dynamic_min", GIB), ("static_min", GIB // 4), ("static_max", 4 * GIB), ("dynamic_max", 3 * GIB)):
        call = {"dynamic_min": "VM.set_memory_dynamic_min", "dynamic_max": "VM.set_memory_dynamic_max",
                "static_min": "VM.set_memory_static_min", "static_max": "VM.set_memory_static_max"}[name]
        api.call(call, vm, value)
        assert api.call("VM.get_memory_" + name, vm) == value
    assert memory(api, vm) == [GIB // 4, GIB, 3 * GIB, 4 * GIB]
    for call, value in (("VM.set_memory_dynamic_min", 4 * GIB), ("VM.set_memory_dynamic_max", 5 * GIB),
                        ("VM.set_memory_static_max", GIB), ("VM.set_memory_static_min", 2 * GIB)):
        assert fails(api, call, vm, value) == ["MEMORY_CONSTRAINT_VIOLATION_ORDER"], call
    assert fails(api, "VM.set_memory_static_range", vm, 4 * GIB, GIB)[0] == "MEMORY_CONSTRAINT_VIOLATION_ORDER"
    assert memory(api, vm) == [GIB // 4, GIB, 3 * GIB, 4 * GIB]
    small = api.call("VM.compute_memory_overhead", vm)
    api.call("VM.set_memory", vm, 16 * GIB)
    assert 0 < small <= api.call("VM.compute_memory_overhead", vm) < GIB


def test_memory_of_a_running_machine(api, host, vm):
    api.call("VM.set_memory_limits", vm, GIB // 4, GIB, GIB // 4, GIB)
    free = api.call("host.compute_free_memory", host)
    assert free == int(api.call("host.compute_free_memory", host)) and free > 0
    api.call("VM.start_on", vm, host, False, False)
    assert api.call("VM.get_resident_on", vm) == host
    api.call("VM.set_memory_target_live", vm, GIB // 2)
    assert memory(api, vm)[1:3] == [GIB // 2, GIB // 2]
    api.call("VM.wait_memory_target_live", vm)
    assert api.call("VM_metrics.get_memory_actual", api.call("VM.get_metrics", vm)) == GIB // 2
    assert fails(api, "VM.set_memory_target_live", vm, 2 * GIB)[0] == "MEMORY_CONSTRAINT_VIOLATION_ORDER"
    api.call("VM.pause", vm)
    assert fails(api, "VM.set_memory_static_range", vm, GIB, GIB) == ["VM_BAD_POWER_STATE", vm, "halted", "paused"]


def test_shadow_memory(api, vm):
    api.call("VM.set_HVM_shadow_multiplier", vm, 2.5)
    assert api.call("VM.get_HVM_shadow_multiplier", vm) == 2.5
    assert fails(api, "VM.set_HVM_shadow_multiplier", vm, 0.5)[0] == "INVALID_VALUE"
    api.call("VM.start", vm, False, False)
    api.call("VM.set_shadow_multiplier_live", vm, 3)
    assert api.call("VM.get_HVM_shadow_multiplier", vm) == 3.0


def test_power(api, host, vm):
    assert fails(api, "VM.start_on", vm, vm, False, False) == ["HANDLE_INVALID", "host", vm]
    api.call("VM.start_on", vm, host, True, False)
    assert api.call("VM.get_power_state", vm) == "Paused"
    api.call("VM.unpause", vm)
    api.call("VM.suspend", vm)
    assert fails(api, "VM.set_is_a_template", vm, True)[0] in ("VM_BAD_POWER_STATE", "OPERATION_NOT_ALLOWED")
    assert fails(api, "VM.set_VCPUs_max", vm, 2) == ["VM_BAD_POWER_STATE", vm, "halted", "suspended"]
    assert fails(api, "VM.set_has_vendor_device", vm, True) == ["VM_BAD_POWER_STATE", vm, "halted", "suspended"]
    api.call("VM.resume_on", vm, host, True, False)
    assert (api.call("VM.get_power_state", vm), api.call("VM.get_resident_on", vm)) == ("Paused", host)
    api.call("VM.unpause", vm)
    api.call("VM.shutdown", vm)
    assert api.call("VM.get_power_state", vm) == "Halted"
    api.call("VM.start", vm, False, False)
    domid = api.call("VM.get_domid", vm)
    api.call("VM.power_state_reset", vm)
    assert (api.call("VM.get_power_state", vm), api.call("VM.get_resident_on", vm)) == ("Halted", "OpaqueRef:NULL")
    api.call("VM.start", vm, False, False)  # nothing of the first one is in the way
    assert api.call("VM.get_domid", vm) != domid


def test_what_is_allowed(api, vm):
    assert "start" in api.call("VM.get_allowed_operations", vm)
    assert api.call("VM.assert_operation_valid", vm, "start") == ""
    assert fails(api, "VM.assert_operation_valid", vm, "pause") == ["VM_BAD_POWER_STATE", vm, "running", "halted"]
    api.call("VM.add_to_blocked_operations", vm, "start", "not today")
    assert fails(api, "VM.assert_operation_valid", vm, "start") == ["OPERATION_BLOCKED", vm, "not today"]
    api.call("VM.update_allowed_operations", vm)
    assert "start" not in api.call("VM.get_allowed_operations", vm)
    api.call("VM.remove_from_blocked_operations", vm, "start")


def test_kinds_of_hardware(api, vm):
    """domain_type and the boot policy of old are two sides of one thing, as on XenServer."""
    def both():
        return api.call("VM.get_domain_type", vm), api.call("VM.get_HVM_boot_policy", vm)

    assert both() == ("hvm", "BIOS order")
    api.call("VM.set_domain_type", vm, "pv")
    assert both() == ("pv", "")
    api.call("VM.set_HVM_boot_policy", vm, "BIOS order")
    assert both() == ("hvm", "BIOS order")
    api.call("VM.set_HVM_boot_policy", vm, "")
    assert both() == ("pv", "")
    api.call("VM.set_domain_type", vm, "hvm")
    assert both() == ("hvm", "BIOS order")
    assert fails(api, "VM.set_domain_type", vm, "unspecified") == ["INVALID_VALUE", "domain_type", "unspecified"]
    assert both() == ("hvm", "BIOS order")


def test_delays(api, vm):
    api.call("VM.set_shutdown_delay", vm, 7)
    assert api.call("VM.get_shutdown_delay", vm) == 7
    assert fails(api, "VM.set_shutdown_delay", vm, -1) == ["INVALID_VALUE", "shutdown_delay", "-1"]
    assert api.call("VM.get_shutdown_delay", vm) == 7


def test_where_it_may_run_and_what_may_be_added(api, host, vm, vdi):
    assert api.call("VM.get_possible_hosts", vm) == [host]
    assert api.call("VM.get_cooperative", vm) is True
    disks, nics = api.call("VM.get_allowed_VBD_devices", vm), api.call("VM.get_allowed_VIF_devices", vm)
    vbd = new_vbd(api, vm, vdi, disks[-1])  # the last that is offered is accepted
    network = api.call("network.get_all")[0]
    vif = {"device": nics[-1], "network": network, "VM": vm, "MAC": "", "MTU": 1500, "other_config": {},
           "qos_algorithm_type": "", "qos_algorithm_params": {}}
    last = api.call("VIF.create", vif)
    assert api.call("VM.get_allowed_VBD_devices", vm) == disks[:-1]
    assert api.call("VM.get_allowed_VIF_devices", vm) == nics[:-1]
    beyond = str(int(nics[-1]) + 1)
    assert fails(api, "VIF.create", dict(vif, device=beyond)) == ["INVALID_DEVICE", beyond]
    api.call("VIF.destroy", last)
    api.call("VBD.destroy", vbd)


def test_disks_of_a_machine(api, vm, vdi):
    vbd = new_vbd(api, vm, vdi)
    for mode in ("RO", "RW"):
        api.call("VBD.set_mode", vbd, mode)
        assert api.call("VBD.get_mode", vbd) == mode
    api.call("VBD.assert_attachable", vbd)
    api.call("VBD.set_unpluggable", vbd, True)
    api.call("VM.start", vm, False, False)
    assert fails(api, "VBD.assert_attachable", vbd) == ["DEVICE_ALREADY_ATTACHED", vbd]
    assert fails(api, "VBD.set_mode", vbd, "RO") == ["VM_BAD_POWER_STATE", vm, "halted", "running"]
    assert api.call("VBD.get_mode", vbd) == "RW"
    assert fails(api, "VDI.forget", vdi)[:2] == ["VDI_IN_USE", vdi]
    api.call("VBD.unplug_force", vbd)
    assert api.call("VBD.get_currently_attached", vbd) is False
    api.call("VBD.assert_attachable", vbd)
    api.call("VBD.plug", vbd)
    assert api.call("VBD.get_currently_attached", vbd) is True
    network = api.call("network.get_all")[0]
    vif = api.call("VIF.create", {"device": "0", "network": network, "VM": vm, "MAC": "", "MTU": 1500, "other_config": {},
                                  "qos_algorithm_type": "", "qos_algorithm_params": {}})
    api.call("VIF.plug", vif)
    assert api.call("VIF.get_currently_attached", vif) is True
    api.call("VIF.unplug_force", vif)
    assert api.call("VIF.get_currently_attached", vif) is False
    api.call("VM.hard_shutdown", vm)
    api.call("VIF.destroy", vif)
    api.call("VBD.destroy", vbd)


def test_fields_of_a_disk(api, sr, vm, vdi):
    api.call("VDI.set_name_label", vdi, "its name")
    api.call("VDI.set_name_description", vdi, "what it is")
    api.call("SR.set_name_description", sr, "where disks lie")
    record = api.call("VDI.get_record", vdi)
    assert (record["name_label"], record["name_description"]) == ("its name", "what it is")
    assert api.call("SR.get_name_description", sr) == "where disks lie"
    api.call("VDI.set_read_only", vdi, True)
    assert api.call("VDI.get_read_only", vdi) is True
    assert fails(api, "VBD.create", {"VM": vm, "VDI": vdi, "userdevice": "0", "mode": "RW", "type": "Disk"})[:2] == [
        "VDI_READONLY", vdi]
    api.call("VDI.set_read_only", vdi, False)
    for value in (True, False):
        api.call("VDI.set_sharable", vdi, value)
        assert api.call("VDI.get_sharable", vdi) is value
    uuid, location = record["uuid"], record["location"]
    api.call("VDI.update", vdi)
    assert api.call("VDI.get_location", vdi) == location
    # What is forgotten stays on the storage, and a scan finds it again.
    api.call("VDI.forget", vdi)
    assert vdi not in api.call("VDI.get_all") and fails(api, "VDI.get_by_uuid", uuid) == ["UUID_INVALID", "VDI", uuid]


def test_forgetting_storage(api, host, tmp_path):
    """Its records go, what lies on it stays, and comes back with it."""
    sr = api.call("SR.create", host, {"location": str(tmp_path)}, 0, "left", "", "file", "user", False, {})
    uuid = api.call("SR.get_uuid", sr)
    disk = api.call("VDI.create", {"SR": sr, "virtual_size": 1 << 22, "type": "user"})
    disk_uuid = api.call("VDI.get_uuid", disk)
    held = sorted(p.name for p in tmp_path.iterdir())
    assert held and fails(api, "SR.forget", sr)[0] == "SR_HAS_PBD"
    for pbd in api.call("SR.get_PBDs", sr):
        api.call("PBD.unplug", pbd)
    api.call("SR.forget", sr)
    assert fails(api, "SR.get_record", sr) == ["HANDLE_INVALID", "SR", sr]
    assert disk not in api.call("VDI.get_all") and sorted(p.name for p in tmp_path.iterdir()) == held
    again = api.call("SR.introduce", uuid, "back", "", "file", "user", False, {})
    pbd = api.call("PBD.create", {"host": host, "SR": again, "device_config": {"location": str(tmp_path)}, "other_config": {}})
    api.call("PBD.plug", pbd)
    api.call("SR.scan", again)
    assert disk_uuid in [api.call("VDI.get_uuid", v) for v in api.call("SR.get_VDIs", again)]
    api.call("PBD.unplug", pbd)
    api.call("SR.forget", again)


def test_kinds_of_storage(api):
    drivers = {r["type"] for r in api.call("SM.get_all_records").values()}
    assert set(api.call("SR.get_supported_types")) == drivers >= {"ext", "file", "iso"}


def test_recovery_needs_nothing_from_elsewhere(api, sr, vm, vdi):
    appliance = api.call("VM_appliance.create", {"name_label": "saved", "name_description": ""})
    api.call("VM.set_appliance", vm, appliance)
    assert api.call("VM.get_SRs_required_for_recovery", vm, api.session) == []
    vbd = new_vbd(api, vm, vdi)
    for cls, ref in (("VM", vm), ("VM_appliance", appliance)):
        wanted = {"VM": "VM.get_SRs_required_for_recovery", "VM_appliance": "VM_appliance.get_SRs_required_for_recovery"}[cls]
        sure = {"VM": "VM.assert_can_be_recovered", "VM_appliance": "VM_appliance.assert_can_be_recovered"}[cls]
        assert api.call(wanted, ref, api.session) in ([], [sr])
        api.call(sure, ref, api.session)  # its storage is here
        for call in (wanted, sure):
            assert fails(api, call, ref, "OpaqueRef:NULL")[0] == "SESSION_INVALID"
    api.call("VBD.destroy", vbd)
    api.call("VM.set_appliance", vm, "OpaqueRef:NULL")
    api.call("VM_appliance.destroy", appliance)


def test_groups_of_usb_devices(api):
    group = api.call("USB_group.create", "sticks", "on the left", {"a": "b"})
    record = api.call("USB_group.get_record", group)
    assert [record[k] for k in ("name_label", "name_description", "other_config", "PUSBs")] == [
        "sticks", "on the left", {"a": "b"}, []]
    api.call("USB_group.destroy", group)
    assert group not in api.call("USB_group.get_all")


def test_the_host(api, host):
    pif = api.call("host.get_management_interface", host)
    assert api.call("PIF.get_management", pif) is True and api.call("PIF.get_host", pif) == host
    names = api.call("host.list_methods")
    assert {"VM.start", "host.list_methods", "event.from"} <= set(names) and len(names) > 1800
    assert api.call("pool.has_extension", api.pool(), "any") is False


def test_local_time(directory):
    """That of the host's time zone, and not marked as UTC."""
    daemon = conftest.Daemon(directory)
    daemon.prefix = ["env", "TZ=XST-5:30"]
    daemon.start()
    with daemon.api() as api:
        host = api.call("host.get_all")[0]
        before = api.call("host.get_servertime", host)
        text = api.call("host.get_server_localtime", host)
        local = datetime.datetime.strptime(text, "%Y%m%dT%H:%M:%S")
        ahead = local - datetime.datetime.strptime(before, "%Y%m%dT%H:%M:%SZ")
        assert datetime.timedelta(hours=5, minutes=30) <= ahead < datetime.timedelta(hours=5, minutes=40)
        body = ("<methodCall><methodName>host.get_server_localtime</methodName><params><param><value>%s</value></param><param>"
                "<value>%s</value></param></params></methodCall>" % (api.session, host))
        with daemon.connect() as raw:
            answer = raw.request("POST", "/", body, [("Content-Type", "text/xml")]).body.decode()
        assert re.search(r"<value><dateTime.iso8601>\d{8}T\d\d:\d\d:\d\d</dateTime.iso8601></value>", answer), answer
    assert daemon.stop()[0] == 0


def test_measurements_that_are_kept_or_not(api, host, sr, vm):
    api.call("VM.start", vm, False, False)
    for cls, ref in (("host", host), ("SR", sr)):
        named = api.call(cls + ".get_data_sources", ref)[0]["name_label"]
        record = {"host": "host.record_data_source", "SR": "SR.record_data_source"}[cls]
        forget = {"host": "host.forget_data_source_archives", "SR": "SR.forget_data_source_archives"}[cls]

        def kept():
            return [d["enabled"] for d in api.call(cls + ".get_data_sources", ref) if d["name_label"] == named]

        api.call(forget, ref, named)
        assert kept() == [False]
        api.call(record, ref, named)
        assert kept() == [True]
        assert fails(api, record, ref, "no such thing")[0] == "INVALID_VALUE"


def test_blobs(api, host, sr):
    network = api.call("network.get_all")[0]
    for call, ref, field in (("host.create_new_blob", host, "host.get_blobs"), ("SR.create_new_blob", sr, "SR.get_blobs"),
                             ("network.create_new_blob", network, "network.get_blobs")):
        blob = api.call(call, ref, "notes", "text/plain", True)
        assert api.call(field, ref) == {"notes": blob}
        assert api.call("blob.get_mime_type", blob) == "text/plain"
        api.call("blob.destroy", blob)


def test_databases_of_other_pools(api, sr, vdi):
    assert api.call("VDI.read_database_pool_uuid", vdi) == ""
    assert fails(api, "VDI.open_database", vdi) == ["VDI_INCOMPATIBLE_TYPE", vdi, "user"]
    metadata = api.call("VDI.create", {"SR": sr, "virtual_size": 1 << 22, "type": "metadata"})
    assert fails(api, "VDI.open_database", metadata)[0] == "COULD_NOT_IMPORT_DATABASE"
    api.call("VDI.destroy", metadata)


def test_results_that_clients_put_into_their_tasks(api):
    task = api.call("task.create", "theirs", "")
    api.call("task.set_result", task, "<value>1</value>")
    api.call("task.set_error_info", task, ["A", "B"])
    record = api.call("task.get_record", task)
    assert (record["result"], record["error_info"]) == ("<value>1</value>", ["A", "B"])
    api.call("task.destroy", task)


def test_numbers_of_events(api, vm):
    before = api.call("event.get_current_id")
    api.call("VM.set_name_label", vm, "changed")
    assert api.call("event.get_current_id") > before


def test_logging_in_without_the_pool(daemon, api):
    session = api.bare("session.slave_local_login_with_password", "root", conftest.PASSWORD)
    assert api.bare("session.get_auth_user_name", session, session) == "root"
    assert api.bare("session.local_logout", session) == ""
    with daemon.api() as other:
        other.session = session
        assert fails(other, "session.get_auth_user_name", session) == ["SESSION_INVALID", session]


def test_fields_of_an_observer(api, host):
    ref = api.call("Observer.create", {"name_label": "o", "name_description": "", "hosts": [], "attributes": {},
                                       "endpoints": ["bugtool"], "components": ["xapi"], "enabled": False})
    for call, field, value in (("Observer.set_attributes", "attributes", {"a": "b"}),
                               ("Observer.set_components", "components", ["xenopsd"]),
                               ("Observer.set_endpoints", "endpoints", ["http://127.0.0.1:1/"]),
                               ("Observer.set_hosts", "hosts", [host])):
        api.call(call, ref, value)
        assert api.call("Observer.get_record", ref)[field] == value
    api.call("Observer.destroy", ref)
