# SPDX-License-Identifier: Apache-2.0
"""The pool of one host: its coordinator, high availability that cannot be, settings."""
import datetime

import pytest

NOTHING = "OpaqueRef:00000000-0000-4000-8000-000000000001"


def fails(api, call, *args):
    error = api.fails(call, *args)
    return [error.code, *error.params]


@pytest.fixture(scope="module")
def pool(api):
    return api.pool()


def test_the_coordinator(api, pool):
    host = api.call("host.get_all")[0]
    api.call("pool.designate_new_master", host)
    api.call("pool.emergency_transition_to_master")
    assert api.call("pool.get_master", pool) == host
    assert fails(api, "pool.designate_new_master", NOTHING) == ["HANDLE_INVALID", "host", NOTHING]
    assert api.call("pool.recover_slaves") == []


def test_high_availability(api, pool):
    host = api.call("host.get_all")[0]
    vm = api.new_vm("protected")
    assert api.call("pool.ha_compute_max_host_failures_to_tolerate") == 0
    assert api.call("pool.ha_failover_plan_exists", 0) is True
    assert api.call("pool.ha_failover_plan_exists", 1) is False
    compute = "pool.ha_compute_hypothetical_max_host_failures_to_tolerate"
    assert api.call(compute, {vm: "restart"}) == 0
    assert fails(api, compute, {vm: "often"}) == ["INVALID_VALUE", "ha_restart_priority", "often"]
    assert fails(api, compute, {NOTHING: "restart"}) == ["HANDLE_INVALID", "VM", NOTHING]
    assert api.call("pool.ha_compute_vm_failover_plan", [host], [vm]) == {vm: {"error_code": "HOST_NOT_ENOUGH_FREE_MEMORY"}}
    sr = api.call("pool.get_default_SR", pool)
    vdi = api.call("VDI.create", {"SR": sr, "virtual_size": 1 << 22, "type": "user"})
    vbd = api.call("VBD.create", {"VM": vm, "VDI": vdi, "userdevice": "0", "mode": "RW", "type": "Disk", "bootable": True,
                                  "empty": False, "other_config": {}, "qos_algorithm_type": "",
                                  "qos_algorithm_params": {}})
    assert api.call("pool.ha_compute_vm_failover_plan", [host], [vm]) == {
        vm: {"error_code": "HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED"}}
    assert fails(api, "pool.ha_compute_vm_failover_plan", [], [NOTHING]) == ["HANDLE_INVALID", "VM", NOTHING]
    api.call("VBD.destroy", vbd)
    api.call("VDI.destroy", vdi)
    api.call("VM.destroy", vm)
    assert fails(api, "pool.set_ha_host_failures_to_tolerate", pool, -1) == ["INVALID_VALUE", "ha_host_failures_to_tolerate",
                                                                             "-1"]
    api.call("pool.set_ha_host_failures_to_tolerate", pool, 1)
    assert api.call("pool.get_ha_host_failures_to_tolerate", pool) == 1
    api.call("pool.set_ha_host_failures_to_tolerate", pool, 0)
    api.call("pool.disable_redo_log")
    assert api.call("pool.get_redo_log_enabled", pool) is False


def test_high_availability_that_is_off(api, pool):
    """What only makes sure of that succeeds, as on XenServer; what wants it on or ends it does not."""
    vm = api.new_vm("never restarted")
    api.call("pool.ha_prevent_restarts_for", 60)
    api.call("pool.ha_prevent_restarts_for", 0)
    api.call("host.emergency_ha_disable", True)
    assert fails(api, "host.emergency_ha_disable") == ["HA_NOT_ENABLED"]
    assert fails(api, "host.emergency_ha_disable", False) == ["HA_NOT_ENABLED"]
    assert api.call("pool.get_ha_enabled", pool) is False
    assert api.call("VM.get_power_state", vm) == "Halted"
    api.call("VM.destroy", vm)


def test_no_extensions(api):
    host = api.call("host.get_all")[0]
    assert api.call("host.has_extension", host, "Test.test") is False
    for request, method in (('{"method": "Test.test", "params": [], "id": 1}', "Test.test"), ("Test.test", "Test.test"),
                            ('{"method": 1}', '{"method": 1}'), ("[" * 10000, "[" * 10000), ("", "")):
        error = api.fails("host.call_extension", host, request)
        assert [error.code, *error.params] == ["MESSAGE_METHOD_UNKNOWN", method]
        assert "The API has no extensions." in error.explain
    assert fails(api, "host.call_extension", NOTHING, "x") == ["HANDLE_INVALID", "host", NOTHING]


def test_repository_proxy(api, pool):
    def proxy():
        record = api.call("pool.get_record", pool)
        return [record["repository_proxy_" + k] for k in ("url", "username", "password")]

    set_proxy = "pool.configure_repository_proxy"
    assert fails(api, set_proxy, pool, "ftp://x", "", "") == ["INVALID_REPOSITORY_PROXY_URL", "ftp://x"]
    for user, password in (("u", ""), ("", "p"), ("u\n", "p"), ("u", "p\n")):
        assert fails(api, set_proxy, pool, "http://x", user, password) == ["INVALID_REPOSITORY_PROXY_CREDENTIAL"]
    assert proxy() == ["", "", "OpaqueRef:NULL"]
    api.call(set_proxy, pool, "http://proxy:3128", "u", "first secret")
    first = proxy()[2]
    assert proxy()[:2] == ["http://proxy:3128", "u"] and api.call("secret.get_value", first) == "first secret"
    api.call(set_proxy, pool, "https://proxy", "u", "second secret")
    assert api.call("secret.get_value", proxy()[2]) == "second secret"
    assert fails(api, "secret.get_value", first) == ["HANDLE_INVALID", "secret", first]
    second = proxy()[2]
    api.call("pool.disable_repository_proxy", pool)
    assert proxy() == ["", "", "OpaqueRef:NULL"]
    assert fails(api, "secret.get_value", second) == ["HANDLE_INVALID", "secret", second]


def test_update_schedule(api, pool):
    for day in (-1, 7):
        assert fails(api, "pool.configure_update_sync", pool, "weekly", day) == ["INVALID_UPDATE_SYNC_DAY", str(day)]
    api.call("pool.configure_update_sync", pool, "weekly", 6)
    assert (api.call("pool.get_update_sync_frequency", pool), api.call("pool.get_update_sync_day", pool)) == ("weekly", 6)
    api.call("pool.configure_update_sync", pool, "daily", 3)
    assert (api.call("pool.get_update_sync_frequency", pool), api.call("pool.get_update_sync_day", pool)) == ("daily", 0)
    assert fails(api, "pool.set_update_sync_enabled", pool, True) == ["NO_REPOSITORIES_CONFIGURED"]
    api.call("pool.set_update_sync_enabled", pool, False)
    assert api.call("pool.get_update_sync_enabled", pool) is False
    api.call("pool.set_repositories", pool, [])
    assert fails(api, "pool.set_repositories", pool, [NOTHING]) == ["HANDLE_INVALID", "Repository", NOTHING]


def test_telemetry(api, pool):
    def day(n):
        return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=n)).strftime("%Y%m%dT%H:%M:%SZ")

    limit = {"daily": 2, "weekly": 14, "monthly": 62}[api.call("pool.get_telemetry_frequency", pool)]
    late = day(limit + 1)
    assert fails(api, "pool.set_telemetry_next_collection", pool, late) == ["TELEMETRY_NEXT_COLLECTION_TOO_LATE", late]
    soon = day(limit - 1)
    api.call("pool.set_telemetry_next_collection", pool, soon)
    assert api.call("pool.get_telemetry_next_collection", pool) == soon
    api.call("pool.reset_telemetry_uuid", pool)
    first = api.call("pool.get_telemetry_uuid", pool)
    value = api.call("secret.get_value", first)
    api.call("pool.reset_telemetry_uuid", pool)
    second = api.call("pool.get_telemetry_uuid", pool)
    assert len(value) == 36 and api.call("secret.get_value", second) != value
    assert fails(api, "secret.get_value", first)[0] == "HANDLE_INVALID"


def test_guest_agents(api, pool):
    for key, value in (("auto_update_enabled", "perhaps"), ("auto_update_url", "file:///x"), ("colour", "red")):
        assert fails(api, "pool.add_to_guest_agent_config", pool, key, value) == ["INVALID_VALUE", "guest_agent_config",
                                                                                  "%s = %s" % (key, value)]
    api.call("pool.add_to_guest_agent_config", pool, "auto_update_url", "https://updates.example.org/")
    assert fails(api, "pool.add_to_guest_agent_config", pool, "auto_update_url", "https://x")[0] == "MAP_DUPLICATE_KEY"
    assert api.call("pool.get_guest_agent_config", pool) == {"auto_update_url": "https://updates.example.org/"}
    api.call("pool.remove_from_guest_agent_config", pool, "auto_update_url")
    assert api.call("pool.get_guest_agent_config", pool) == {}


def test_what_is_off_can_be_switched_off(api, pool):
    api.call("pool.disable_client_certificate_auth", pool)
    assert api.call("pool.get_client_certificate_auth_enabled", pool) is False
    api.call("pool.disable_ssl_legacy", pool)
    assert api.call("host.get_ssl_legacy", api.call("host.get_all")[0]) is False


def test_threads_that_judge_passwords(daemon, api, pool):
    set_threads = "pool.set_local_auth_max_threads"
    assert fails(api, set_threads, pool, 0) == ["INVALID_VALUE", "value", "0"]
    api.call(set_threads, pool, 1)
    assert api.call("pool.get_local_auth_max_threads", pool) == 1
    daemon.api().close()  # one is enough to log in
