# SPDX-License-Identifier: Apache-2.0
"""Network cards as records."""
import pytest

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
