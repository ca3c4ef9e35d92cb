# SPDX-License-Identifier: Apache-2.0
"""Network cards as records."""
import fcntl
import os
import socket
import struct

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


@pytest.fixture
def pif(api, host):
    """A record of a card that does not exist."""
    net = api.call("network.create", {"name_label": "n", "other_config": {}})
    ref = api.call("PIF.db_introduce", "eth99", net, host, "02:00:00:00:00:01", 1500, -1, True, "Static", "192.0.2.7",
                   "255.255.255.0", "192.0.2.1", "192.0.2.2")
    yield ref
    if ref in api.call("PIF.get_all"):
        api.call("PIF.db_forget", ref)
    api.call("network.destroy", net)


def test_a_record_by_hand(api, host, pif):
    record = api.call("PIF.get_record", pif)
    assert {k: record[k] for k in ("device", "host", "MAC", "MTU", "VLAN", "physical", "ip_configuration_mode", "IP", "netmask",
                                   "gateway", "DNS", "managed", "management", "primary_address_type")} == {
        "device": "eth99", "host": host, "MAC": "02:00:00:00:00:01", "MTU": 1500, "VLAN": -1, "physical": True,
        "ip_configuration_mode": "Static", "IP": "192.0.2.7", "netmask": "255.255.255.0", "gateway": "192.0.2.1",
        "DNS": "192.0.2.2", "managed": True, "management": False, "primary_address_type": "IPv4"}
    assert api.call("network.get_PIFs", record["network"]) == [pif]
    api.call("PIF.set_disallow_unplug", pif, True)
    assert api.call("PIF.get_disallow_unplug", pif) is True
    api.call("PIF.set_primary_address_type", pif, "IPv6")
    assert api.call("PIF.get_primary_address_type", pif) == "IPv6"
    api.call("PIF.forget", pif)
    assert fails(api, "PIF.get_record", pif) == ["HANDLE_INVALID", "PIF", pif]
    assert record["metrics"] not in api.call("PIF_metrics.get_all")


def test_the_management_interface_stays(api, host):
    net = api.call("network.create", {"name_label": "m", "other_config": {}})
    pif = api.call("PIF.db_introduce", "eth98", net, host, "02:00:00:00:00:02", 1500, -1, True, "DHCP", "", "", "", "",
                   "OpaqueRef:NULL", "OpaqueRef:NULL", True)
    assert fails(api, "PIF.forget", pif) == ["PIF_IS_MANAGEMENT_INTERFACE", pif]
    assert fails(api, "PIF.set_primary_address_type", pif, "IPv6") == ["PIF_IS_MANAGEMENT_INTERFACE", pif]
    api.call("PIF.db_forget", pif)
    api.call("network.destroy", net)
    assert fails(api, "PIF.db_introduce", "eth98", NOTHING, host, "", 1500, -1, True) == ["HANDLE_INVALID", "network", NOTHING]


def physical(api):
    return {r["device"]: (ref, r["MAC"], r["network"]) for ref, r in api.call("PIF.get_all_records").items() if r["physical"]}


def test_scan_finds_what_was_forgotten(api, host):
    before = physical(api)
    for ref, _, _ in before.values():
        api.call("PIF.db_forget", ref)
    assert physical(api) == {}
    api.call("PIF.scan", host)
    after = physical(api)
    assert {d: v[1:] for d, v in after.items()} == {d: v[1:] for d, v in before.items()}
    api.call("PIF.scan", host)
    assert physical(api) == after
    for device, (ref, mac, _) in after.items():
        assert fails(api, "PIF.introduce", host, mac, device) == ["DUPLICATE_PIF_DEVICE_NAME", device]
        api.call("PIF.db_forget", ref)
        new = api.call("PIF.introduce", host, mac.upper(), device, False)
        assert api.call("PIF.get_managed", new) is False and api.call("PIF.get_MAC", new) == mac


def test_only_what_is_there_is_introduced(api, host):
    assert fails(api, "PIF.introduce", host, "no mac", "eth97") == ["MAC_INVALID", "no mac"]
    assert fails(api, "PIF.introduce", host, "02:00:00:00:00:03", "eth97") == ["INVALID_VALUE", "device", "eth97"]
    assert fails(api, "PIF.scan", NOTHING) == ["HANDLE_INVALID", "host", NOTHING]


def first_address():
    """Of this machine, of a real card; None: it has none."""
    for device in sorted(os.listdir("/sys/class/net")):
        if os.path.exists("/sys/class/net/%s/device" % device):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                try:
                    return socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack("256s", device.encode()))[20:24])
                except OSError:
                    pass
    return None


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_the_address_that_clients_are_told(directory, listen):
    """Who listens everywhere is reached by his management interface, never at 0.0.0.0."""
    daemon = conftest.Daemon(directory, https=listen).start()
    with daemon.api() as api:
        host = api.call("host.get_all")[0]
        address = api.call("host.get_address", host)
        assert address not in ("0.0.0.0", "::", "")
        wanted = first_address()
        if wanted:
            assert address == wanted == api.call("PIF.get_IP", api.call("host.get_management_interface", host))
        vm = api.new_vm("with a screen")
        api.call("VM.start", vm, False, False)
        port = daemon.https.rsplit(":", 1)[1]
        for console in api.call("VM.get_consoles", vm):
            assert api.call("console.get_location", console).startswith("https://%s:%s/console?uuid=" % (address, port))
        api.call("VM.hard_shutdown", vm)
    assert daemon.stop()[0] == 0


def test_the_management_interface_is_one_with_an_address(api, host, pif):
    network = api.call("PIF.get_network", pif)
    before = api.call("host.get_record", host)["address"]
    assert fails(api, "host.management_reconfigure", pif) == ["PIF_HAS_NO_NETWORK_CONFIGURATION", pif]
    assert fails(api, "pool.management_reconfigure", network) == ["PIF_HAS_NO_NETWORK_CONFIGURATION", pif]
    assert fails(api, "host.management_reconfigure", NOTHING) == ["HANDLE_INVALID", "PIF", NOTHING]
    assert fails(api, "pool.management_reconfigure", NOTHING) == ["HANDLE_INVALID", "network", NOTHING]
    empty = api.call("network.create", {"name_label": "of no card", "other_config": {}})
    assert fails(api, "pool.management_reconfigure", empty) == ["PIF_NOT_PRESENT", host, empty]
    api.call("network.destroy", empty)
    assert api.call("host.get_record", host)["address"] == before
    for ref, record in api.call("PIF.get_all_records").items():
        if record["management"]:  # it is already
            api.call("host.management_reconfigure", ref)
            api.call("pool.management_reconfigure", record["network"])
            assert api.call("host.get_management_interface", host) == ref


def test_another_management_interface(directory):
    """Of two, in a network of their own; the choice outlives a restart, but not the address."""
    daemon = conftest.Daemon(directory, https="0.0.0.0:0", http=None)
    own = ["--net", "--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--net", "--mount"]
    # /sys/class/net shows the devices of who mounted /sys.
    daemon.prefix = ["unshare", *own, "sh", "-ec",
                     "mount -t sysfs none /sys; ip link add one type veth peer name two; ip address add 192.0.2.11/24 dev one; "
                     "test -e \"$0\" || ip address add 192.0.2.12/24 dev two; exec \"$@\"", directory + "/gone"]
    daemon.start()

    def state(api):
        host = api.call("host.get_record", api.call("host.get_all")[0])
        return host["address"], sorted(p["device"] for p in api.call("PIF.get_all_records").values() if p["management"])

    def login():
        return wire.Api(unix=daemon.unix).login("root", conftest.PASSWORD)

    with login() as api:
        host, net = api.call("host.get_all")[0], api.call("network.get_all")[0]
        pifs = [api.call("PIF.db_introduce", device, net, host, "02:00:00:00:00:0%d" % i, 1500, -1, True, "Static", "", "", "", "")
                for i, device in enumerate(("one", "two"))]
        api.call("host.management_reconfigure", pifs[0])
        assert state(api) == ("192.0.2.11", ["one"])
        vm = api.new_vm("with a screen")
        api.call("VM.start", vm, False, False)
        api.call("host.management_reconfigure", pifs[1])
        assert state(api) == ("192.0.2.12", ["two"])
        assert "//192.0.2.12:" in api.call("console.get_location", api.call("VM.get_consoles", vm)[0])
        api.call("VM.hard_shutdown", vm)
    daemon.stop(9)
    daemon.start()
    with login() as api:
        assert state(api) == ("192.0.2.12", ["two"])
    daemon.stop()
    open(directory + "/gone", "w", encoding="ascii").close()
    daemon.start()
    with login() as api:
        assert state(api) == ("192.0.2.11", ["one"])
    assert daemon.stop()[0] == 0
