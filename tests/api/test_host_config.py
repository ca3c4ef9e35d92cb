# SPDX-License-Identifier: Apache-2.0
"""Settings of a host, and what stands against emptying it."""
import socket
import subprocess

import pytest

import conftest
import wire

NOTHING = "OpaqueRef:00000000-0000-4000-8000-000000000001"


def fails(api, call, *args):
    error = api.fails(call, *args)
    return [error.code, *error.params]


@pytest.fixture(scope="module")
def host(api):
    return api.call("host.get_all")[0]


def test_emptying_a_host(api, host):
    api.call("host.assert_can_evacuate", host)
    api.call("host.evacuate", host)
    assert api.call("host.get_vms_which_prevent_evacuation", host) == {}
    vms = [api.new_vm("stays %d" % i) for i in range(2)]
    for vm in vms:
        api.call("VM.start", vm, False, False)
    assert api.call("host.get_vms_which_prevent_evacuation", host) == {vm: ["NO_HOSTS_AVAILABLE", vm] for vm in vms}
    code, errors = fails(api, "host.assert_can_evacuate", host)
    assert code == "CANNOT_EVACUATE_HOST"
    assert sorted(errors.split("|")) == sorted("NO_HOSTS_AVAILABLE," + vm for vm in vms)
    code, vm = fails(api, "host.evacuate", host)
    assert code == "NO_HOSTS_AVAILABLE" and vm in vms
    assert all(api.call("VM.get_power_state", vm) == "Running" for vm in vms)
    assert sorted(api.call("pool.check_update_readiness", api.pool(), True)) == sorted(["NO_HOSTS_AVAILABLE", vm]
                                                                                       for vm in vms)
    assert api.call("pool.check_update_readiness", api.pool(), False) == []
    for vm in vms:
        api.call("VM.hard_shutdown", vm)
        api.call("VM.destroy", vm)
    api.call("host.evacuate", host)
    assert api.call("pool.check_update_readiness", api.pool(), True) == []
    assert api.call("host.get_uncooperative_resident_VMs", host) == []


def test_memory_of_the_host_itself(api, host):
    overhead = api.call("host.compute_memory_overhead", host)
    assert overhead == api.call("host.get_memory_overhead", host) and 1 << 20 < overhead < 1 << 32


def test_fields_with_an_old_key(api, host):
    assert fails(api, "host.set_iscsi_iqn", host, "") == ["INVALID_VALUE", "value", ""]
    api.call("host.set_iscsi_iqn", host, "iqn.2026-01.org.example:here")
    api.call("host.set_multipathing", host, True)
    record = api.call("host.get_record", host)
    assert (record["iscsi_iqn"], record["other_config"]["iscsi_iqn"]) == ("iqn.2026-01.org.example:here",) * 2
    assert (record["multipathing"], record["other_config"]["multipathing"]) == (True, "true")
    api.call("host.set_multipathing", host, False)
    assert api.call("host.get_other_config", host)["multipathing"] == "false"


def test_plain_fields(api, host):
    api.call("host.set_power_on_mode", host, "wake-on-lan", {"a": "b"})
    assert api.call("host.get_power_on_mode", host) == "wake-on-lan"
    assert api.call("host.get_power_on_config", host) == {"a": "b"}
    api.call("host.set_numa_affinity_policy", host, "any")
    assert api.call("host.get_numa_affinity_policy", host) == "any"
    assert fails(api, "host.set_numa_affinity_policy", host, "best_effort")[:3] == [
        "VALUE_NOT_SUPPORTED", "numa_affinity_policy", "best_effort"]
    assert fails(api, "host.set_ssl_legacy", host, True)[:3] == ["VALUE_NOT_SUPPORTED", "value", "true"]
    api.call("host.set_ssl_legacy", host, False)
    assert api.call("host.get_ssl_legacy", host) is False
    api.call("host.set_display", host, "enable_on_reboot")
    assert api.call("host.enable_display", host) == "enabled" == api.call("host.get_display", host)
    api.call("host.emergency_clear_mandatory_guidance")
    assert api.call("host.get_pending_guidances", host) == []
    api.call("host.sync_data", host)
    before = api.call("host.get_software_version", host)
    api.call("host.refresh_pack_info", host)
    assert api.call("host.get_software_version", host) == before
    for call in ("host.sync_data", "host.refresh_pack_info", "host.evacuate", "host.enable_display"):
        assert fails(api, call, NOTHING) == ["HANDLE_INVALID", "host", NOTHING], call


def test_checking_certificates(api, host):
    pool = api.pool()
    assert fails(api, "host.emergency_reenable_tls_verification") == ["TLS_VERIFICATION_NOT_ENABLED_IN_POOL"]
    api.call("pool.enable_tls_verification")
    assert api.call("pool.get_tls_verification_enabled", pool) and api.call("host.get_tls_verification_enabled", host)
    api.call("host.emergency_disable_tls_verification")
    assert not api.call("host.get_tls_verification_enabled", host)
    api.call("host.emergency_reenable_tls_verification")
    assert api.call("host.get_tls_verification_enabled", host)


def test_no_cache_of_shared_disks(api, host):
    api.call("host.disable_local_storage_caching", host)
    api.call("pool.disable_local_storage_caching", api.pool())
    assert api.call("host.get_local_cache_sr", host) == "OpaqueRef:NULL"


def test_host_names_are_checked(api, host):
    for name, why in (("", "hostname empty"), ("a" * 65, "hostname is too long"), ("-a", "hostname contains invalid characters"),
                      ("a-", "hostname contains invalid characters"), ("a b", "hostname contains invalid characters"),
                      ("a_b", "hostname contains invalid characters")):
        assert fails(api, "host.set_hostname_live", host, name) == ["HOST_NAME_INVALID", why]


def test_the_host_gets_another_name(directory):
    """In a namespace of its own, where that is possible; else the kernel's refusal is passed on."""
    own = ["unshare", "--user", "--uts", "--map-current-user", "--keep-caps"]
    possible = subprocess.run([*own, "hostname", "other"], check=False, capture_output=True).returncode == 0
    daemon = conftest.Daemon(directory)
    daemon.prefix = own if possible else []
    daemon.start()
    with daemon.api() as api:
        host = api.call("host.get_all")[0]
        if possible:
            api.call("host.set_hostname_live", host, "other.example.org")
            assert api.call("host.get_hostname", host) == "other.example.org"
            assert api.call("host.get_software_version", host)["hostname"] == "other.example.org"
            seen = subprocess.run(["nsenter", "--uts", "--target", str(daemon.process.pid), "--user", "--preserve-credentials",
                                   "hostname"], check=True, capture_output=True, text=True)
            assert seen.stdout.strip() == "other.example.org"
        else:
            assert fails(api, "host.set_hostname_live", host, socket.gethostname())[0] == "PERMISSION_DENIED"
    assert daemon.stop()[0] == 0


def test_https_only(directory):
    daemon = conftest.Daemon(directory).start()
    tls = wire.insecure_tls()

    def secure():
        return wire.Api(*daemon.host_port(tls=True), tls=tls).login("root", conftest.PASSWORD)

    def plain_is_open():
        with daemon.connect() as raw:
            try:
                return raw.request("GET", "/").status == 200
            except (AssertionError, ConnectionError):
                return False

    with secure() as api:
        host = api.call("host.get_all")[0]
        assert plain_is_open()
        api.call("host.set_https_only", host, True)
        assert not plain_is_open() and api.call("host.get_https_only", host) is True
    daemon.stop()
    daemon.start()
    assert not plain_is_open()  # kept over a restart
    with wire.Api(unix=daemon.unix) as local:
        local.login("root", conftest.PASSWORD)
        local.call("pool.set_https_only", local.pool(), False)
        assert plain_is_open()
        local.call("host.set_https_only", host, True)
    daemon.stop()
    daemon.listen = ["--http", "127.0.0.1:0"]
    daemon.start()  # without HTTPS the setting would lock everybody out
    assert plain_is_open()
    with daemon.api() as api:
        assert api.call("host.get_https_only", host) is False
        assert fails(api, "host.set_https_only", host, True)[0] == "OPERATION_NOT_ALLOWED"
    assert daemon.stop()[0] == 0
