# SPDX-License-Identifier: Apache-2.0
"""Networks of a daemon in full mode, with real guests on them."""
import os
import pathlib
import sys
import tempfile

import pytest

os.environ["SERAI_MODE"] = "full"
for folder in ("api", "guest", "vm", "jail"):
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / folder))

import guests  # noqa: E402
import netns  # noqa: E402
from guest_builds import build  # noqa: E402
from guests import MIB  # noqa: E402

@pytest.fixture(scope="module")
def world():
    tiny, null = pathlib.Path(build("build-tiny")), pathlib.Path(build("build-null"))
    kernels = {"vmlinuz": tiny / "vmlinuz", "initrd": tiny / "initrd", "null": null, "cmdline": (tiny / "cmdline").read_text().strip()}
    with tempfile.TemporaryDirectory(prefix="seraid-") as path:
        yield from guests.with_daemon(guests.Daemon(path, kernels))


class Api:
    """Of whichever daemon there is now."""

    def __init__(self, world):
        self.world, self.inner = world, world.api()

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def deaths(self):
        """Both daemons die and come again."""
        self.world.kill()
        self.world.restart_rootd()
        self.world.start()
        self.inner = self.world.api()


@pytest.fixture
def api(world):
    return Api(world)


@pytest.fixture
def network(api):
    made = []

    def make(**fields):
        made.append(api.call("network.create", dict({"name_label": "n", "other_config": {}}, **fields)))
        return made[-1]

    make.made = made
    yield make
    for ref in made:
        api.call("network.destroy", ref)


def null_guest(world, api, *networks, name="null", **vif):
    guest = guests.Guest(world, api, name, kernel="null", memory=16 * MIB)
    guest.vifs = [guest.add_vif(network=n, **vif) for n in networks]
    return guest


def taps():
    return netns.devices("tun")


def master(tap):
    return netns.ip("-o link show " + tap).split(" master ")[1].split()[0]


def tap_of(api, guest, device=0):
    return "vif%s.%d" % (guest.get("domid"), device)


def test_a_network_is_a_bridge(world, api, network):
    first, second = network(MTU=1400), network()
    bridges = [api.call("network.get_bridge", n) for n in (first, second)]
    assert len(set(bridges)) == 2
    before = netns.devices("bridge")
    assert not set(bridges) & set(before), "nobody needs them yet"
    guest = null_guest(world, api, first, second)
    try:
        guest.start()
        assert netns.devices("bridge") == sorted(before + bridges)
        assert taps() == [tap_of(api, guest, 0), tap_of(api, guest, 1)]
        assert [master(t) for t in taps()] == bridges
        assert "mtu 1400" in netns.ip("link show " + taps()[0]) and "mtu 1400" in netns.ip("link show " + bridges[0])
        assert api.fails("network.destroy", first).code == "NETWORK_CONTAINS_VIF"
        # live: to another network, out and in again
        api.call("VIF.move", guest.vifs[0], second)
        assert [master(t) for t in taps()] == [bridges[1]] * 2
        guest.call("hard_shutdown")
        assert taps() == []
        guest.start()
        assert [master(t) for t in taps()] == [bridges[1]] * 2, "and it stays there"
        api.deaths()
        assert [master(t) for t in taps()] == [bridges[1]] * 2
        api.call("VIF.move", guest.vifs[0], first)
        assert [master(t) for t in taps()] == bridges
    finally:
        guest.remove()
    assert taps() == []


def test_what_was_left_goes(world, api, network):
    kept, lost = network(), network()
    bridges = {n: api.call("network.get_bridge", n) for n in (kept, lost)}
    guest = null_guest(world, api, kept, lost)
    try:
        guest.start()
        guest.call("hard_shutdown")
        for vif in guest.vifs:
            api.call("VIF.destroy", vif)
        assert set(bridges.values()) <= set(netns.devices("bridge"))
        world.rootd.stop(9)
        api.call("network.destroy", lost)  # nobody can remove the bridge
        world.rootd.start()
        assert bridges[lost] in netns.devices("bridge")
        api.deaths()
        assert bridges[lost] not in netns.devices("bridge") and bridges[kept] in netns.devices("bridge")
        api.call("network.destroy", kept)
        assert bridges[kept] not in netns.devices("bridge")
    finally:
        network.made.clear()
        guest.remove()


def ruleset():
    return netns.run("nft", "list", "ruleset")


def test_what_an_interface_may_send(world, api, network):
    net = network()
    guest = null_guest(world, api, net, MAC="02:00:00:00:00:09", qos_algorithm_type="ratelimit", qos_algorithm_params={"kbps": "300"})
    vif = guest.vifs[0]
    try:
        assert api.call("VIF.get_qos_supported_algorithms", vif) == ["ratelimit"]
        api.call("VIF.set_locking_mode", vif, "locked")
        api.call("VIF.set_ipv4_allowed", vif, ["192.0.2.1"])
        guest.start()
        tap = tap_of(api, guest)
        assert "ip saddr 192.0.2.1 accept" in ruleset() and "limit rate over 300 kbytes/second" in ruleset()
        assert "rate 2457" in netns.run("tc", "qdisc", "show", "dev", tap)
        # each of these at once
        api.call("VIF.add_ipv4_allowed", vif, "192.0.2.2")
        api.call("VIF.add_ipv4_allowed", vif, "192.0.2.2")
        assert "ip saddr { 192.0.2.1, 192.0.2.2 } accept" in ruleset()
        api.call("VIF.remove_ipv4_allowed", vif, "192.0.2.1")
        api.call("VIF.remove_ipv4_allowed", vif, "192.0.2.7")
        assert "ip saddr 192.0.2.2 accept" in ruleset() and api.call("VIF.get_ipv4_allowed", vif) == ["192.0.2.2"]
        api.call("VIF.set_ipv6_allowed", vif, ["2001:db8::1"])
        api.call("VIF.add_ipv6_allowed", vif, "2001:db8::2")
        api.call("VIF.remove_ipv6_allowed", vif, "2001:db8::1")
        assert "ip6 saddr { 2001:db8::2, fe80::ff:fe00:9 } accept" in ruleset()
        api.call("VIF.set_qos_algorithm_params", vif, {"kbps": "700"})
        assert "limit rate over 700 kbytes/second" in ruleset()
        api.call("VIF.set_qos_algorithm_type", vif, "")
        assert "limit rate" not in ruleset() and "tbf" not in netns.run("tc", "qdisc", "show", "dev", tap)
        # the daemon comes again and finds it so, and so it stays
        api.deaths()
        assert "ip saddr 192.0.2.2 accept" in ruleset()
        api.call("VIF.set_locking_mode", vif, "network_default")
        assert tap not in ruleset()
        error = api.fails("network.set_default_locking_mode", net, "disabled")
        assert (error.code, error.params) == ("VIF_IN_USE", [net, vif])
        api.call("VIF.set_locking_mode", vif, "disabled")
        assert '"%s" : jump' % tap in ruleset()
        api.call("network.set_default_locking_mode", net, "disabled")
        api.call("VIF.set_locking_mode", vif, "unlocked")
        assert tap not in ruleset()
        api.call("VIF.set_locking_mode", vif, "network_default")
        assert '"%s" : jump' % tap in ruleset()
        guest.call("hard_shutdown")
        assert tap not in ruleset()
        for method, args, wanted in [
            ("set_ipv4_allowed", [["192.0.2.1", "nonsense"]], ["INVALID_IP_ADDRESS_SPECIFIED", "ipv4_allowed"]),
            ("add_ipv6_allowed", ["192.0.2.1"], ["INVALID_IP_ADDRESS_SPECIFIED", "ipv6_allowed"]),
            ("set_qos_algorithm_type", ["fair"], ["VALUE_NOT_SUPPORTED", "qos_algorithm_type", "fair", "ratelimit, or empty for no limit"]),
            ("set_qos_algorithm_params", [{"kbps": "fast"}], ["INVALID_VALUE", "qos_algorithm_params:kbps", "fast"]),
        ]:
            error = api.fails("VIF." + method, vif, *args)
            assert [error.code, *error.params] == wanted
    finally:
        guest.remove()


def test_bridges_that_are_not_there(world, api, network):
    missing = network(managed=False, bridge="nobr")
    guest = null_guest(world, api, missing)
    try:
        error = guest.fails("start", False, False)
        assert (error.code, error.params) == ("BRIDGE_NOT_AVAILABLE", ["nobr"])
        netns.ip("link add nobr type bridge")
        guest.start()
        assert [master(t) for t in taps()] == ["nobr"]
        guest.call("hard_shutdown")
        assert api.fails("network.create", {"name_label": "n", "other_config": {}, "bridge": "nobr"}).code == "BRIDGE_NAME_EXISTS"
        assert api.fails("network.create", {"name_label": "n", "other_config": {}, "bridge": "no/br"}).code == "INVALID_VALUE"
    finally:
        guest.remove()
        if "nobr" in netns.devices("bridge"):
            netns.ip("link del nobr")
