# SPDX-License-Identifier: Apache-2.0
"""Networks of a daemon in full mode, with real guests on them."""
import ipaddress
import os
import pathlib
import subprocess
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


def default_network(api):
    return api.call("network.get_by_name_label", "Default network")[0]


def settled(api, net):
    """Until the daemon has made it so."""
    config = guests.until("a range of addresses", lambda: api.call("network.get_other_config", net).get("ip_begin") and
                          api.call("network.get_other_config", net))
    assert config["nat"] == "true"
    return config


def dnsmasq(world, uuid):
    def alive():
        return next((pid for pid in world.services().get(uuid, []) if "dnsmasq" in pathlib.Path("/proc/%d/cmdline" % pid).read_text()), None)
    return guests.until("dnsmasq", alive)


@pytest.fixture
def outside():
    host = netns.Host("cable0", "198.51.100.2/24")
    netns.ip("address add 198.51.100.1/24 dev cable0")
    yield host
    host.close()


SERVER = """
import socket
s = socket.create_server(("198.51.100.2", 7777))
print("ready", flush=True)
while True:
    c, (who, _) = s.accept()
    c.sendall(("you are %s\\n" % who).encode())
    c.close()
"""


def test_guests_reach_the_outside(world, api, outside):
    net = default_network(api)
    config, uuid = settled(api, net), api.call("network.get_uuid", net)
    assert "Uid:\t0" not in pathlib.Path("/proc/%d/status" % dnsmasq(world, uuid)).read_text()
    server = subprocess.Popen(outside.words("python3", "-c", SERVER), stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"
    guest = guests.Guest(world, api, args="net=1")
    vif = guest.add_vif()
    try:
        with guest.start_up() as line:
            address = line.expect(r"NET ([0-9.]+)\r$").group(1).decode()
            assert ipaddress.ip_address(address) in ipaddress.ip_network("%s/%s" % (config["gateway"], config["netmask"]), strict=False)
            assert api.call("network.get_assigned_ips", net) == {vif: address}
            # out of it, as the host
            line.ask("sh busybox nc 198.51.100.2 7777 </dev/null", r"^you are 198\.51\.100\.1\r?$")
            # and not in
            outside.run("ip", "route", "add", "default", "via", "198.51.100.1")
            line.ask("sh busybox nc -l -p 99 -e /bin/busybox echo hello </dev/null >/dev/null 2>&1 & echo listening", "^listening")
            assert subprocess.run(outside.words("python3", "-c", CONNECT, address, "3"), stdout=subprocess.PIPE, check=True).stdout == b"timeout\n"
            assert subprocess.run([sys.executable, "-c", CONNECT, address, "60"], stdout=subprocess.PIPE, check=True).stdout == b"connected\n"
            # names are answered, by what comes again when it dies
            first = dnsmasq(world, uuid)
            os.kill(first, 9)
            guests.until("another dnsmasq", lambda: dnsmasq(world, uuid) != first)
            second = dnsmasq(world, uuid)
            api.deaths()
            guests.until("one of the new daemon's", lambda: dnsmasq(world, uuid) != second)
        with guest.serial() as line:
            line.ask("sh busybox udhcpc -q -n -t 20 -T 1 -A 1 -i eth0 -s /net.sh >/dev/null 2>&1; echo again", "^again")
            assert api.call("network.get_assigned_ips", net) == {vif: address}
            # another interface, of a fixed address, plugged in while it runs
            fixed = str(ipaddress.ip_address(config["ip_begin"]) + 500)
            other = guest.add_vif()
            api.call("VIF.configure_ipv4", other, "Static", fixed + "/22", config["gateway"])
            assert api.call("VIF.get_ipv4_addresses", other) == [fixed + "/22"]
            api.call("VIF.plug", other)
            assert len(taps()) == 2
            guests.until("its address", lambda: api.call("network.get_assigned_ips", net).get(other) == fixed)
            api.call("VIF.unplug", other)
            assert len(taps()) == 1
            api.call("VIF.destroy", other)
        guest.call("hard_shutdown")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
        guest.remove()


CONNECT = """
import socket, sys, time
end = time.monotonic() + float(sys.argv[2])
while True:
    try:
        socket.create_connection((sys.argv[1], 99), timeout=max(0.1, end - time.monotonic())).close()
        print("connected")
        break
    except ConnectionRefusedError:
        time.sleep(0.05)  # not listening yet
    except OSError:
        print("timeout")
        break
"""


def test_what_is_refused_of_addresses(api, world, network):
    net = network()
    guest = null_guest(world, api, net)
    vif = guest.vifs[0]
    try:
        for call, args, wanted in [
            ("configure_ipv4", ["Static", "192.0.2.1", ""], ["INVALID_CIDR_ADDRESS_SPECIFIED", "address"]),
            ("configure_ipv4", ["Static", "192.0.2.1/33", ""], ["INVALID_CIDR_ADDRESS_SPECIFIED", "address"]),
            ("configure_ipv4", ["Static", "192.0.2.1/24", "x"], ["INVALID_IP_ADDRESS_SPECIFIED", "gateway"]),
            ("configure_ipv6", ["Static", "192.0.2.1/24", ""], ["INVALID_CIDR_ADDRESS_SPECIFIED", "address"]),
        ]:
            error = api.fails("VIF." + call, vif, *args)
            assert [error.code, *error.params] == wanted
        api.call("VIF.set_locking_mode", vif, "locked")
        error = api.fails("VIF.configure_ipv6", vif, "Static", "2001:db8::1/64", "")
        assert [error.code, *error.params] == ["ADDRESS_VIOLATES_LOCKING_CONSTRAINT", "2001:db8::1"]
        api.call("VIF.add_ipv6_allowed", vif, "2001:db8::1")
        api.call("VIF.configure_ipv6", vif, "Static", "2001:db8::1/64", "2001:db8::2")
        record = api.call("VIF.get_record", vif)
        assert (record["ipv6_configuration_mode"], record["ipv6_addresses"], record["ipv6_gateway"]) == (
            "Static", ["2001:db8::1/64"], "2001:db8::2")
        api.call("VIF.configure_ipv6", vif, "None", "", "")
        assert api.call("VIF.get_ipv6_addresses", vif) == []
    finally:
        guest.remove()


def test_a_network_of_ones_own_with_translation(world, api, network):
    with open("/proc/net/route") as f:
        assert "user0" in f.read()
    net = network(other_config={"nat": "true"})
    config, bridge = settled(api, net), api.call("network.get_bridge", net)
    assert config["gateway"] != settled(api, default_network(api))["gateway"]
    pid = dnsmasq(world, api.call("network.get_uuid", net))
    assert config["gateway"] in netns.ip("address show " + bridge)
    api.call("network.destroy", net)
    network.made.clear()
    guests.until("all of it is gone", lambda: bridge not in netns.devices("bridge") and not os.path.exists("/proc/%d" % pid)
                 and bridge not in ruleset())


def test_a_card_on_a_bridge(world, api, outside):
    """One without an address of the host: guests then are where it is connected to."""
    host = api.call("host.get_all")[0]
    mac = pathlib.Path("/sys/class/net/cable0/address").read_text().strip()
    pif = api.call("PIF.introduce", host, mac, "cable0")
    net = api.call("PIF.get_network", pif)
    bridge = api.call("network.get_bridge", net)
    guest = guests.Guest(world, api)
    guest.add_vif(network=net)
    try:
        error = api.fails("PIF.plug", pif)
        assert (error.code, error.params[0]) == ("PIF_CONFIGURATION_ERROR", pif) and "has an address of the host" in error.params[1]
        assert "198.51.100.1/24" in netns.ip("address show cable0"), "it keeps it"
        error = guest.fails("start", False, False)
        assert (error.code, error.params) == ("REQUIRED_PIF_IS_UNPLUGGED", [pif])
        netns.ip("address del 198.51.100.1/24 dev cable0")
        api.call("PIF.plug", pif)
        api.call("PIF.plug", pif)
        assert master("cable0") == bridge and api.call("PIF.get_currently_attached", pif) is True
        with guest.start_up() as line:
            line.ask("sh busybox ip link set eth0 up && busybox ip addr add 198.51.100.9/24 dev eth0 && echo there", "^there")
            line.ask("sh while ! busybox ping -c 1 -W 1 198.51.100.2 >/dev/null; do :; done; echo answered", "^answered")
        error = api.fails("PIF.unplug", pif)
        assert (error.code, error.params) == ("VIF_IN_USE", [net, api.call("network.get_VIFs", net)[0]])
        api.deaths()
        assert master("cable0") == bridge and api.call("PIF.get_currently_attached", pif) is True
        guest.call("hard_shutdown")
        # the host comes again without it: it is plugged in anew
        netns.ip("link del " + bridge)
        api.deaths()
        assert master("cable0") == bridge and api.call("PIF.get_currently_attached", pif) is True
        api.call("PIF.set_disallow_unplug", pif, True)
        assert api.fails("PIF.unplug", pif).code == "PIF_DOES_NOT_ALLOW_UNPLUG"
        api.call("PIF.set_disallow_unplug", pif, False)
        api.call("PIF.unplug", pif)
        assert "master" not in netns.ip("link show cable0") and bridge not in netns.devices("bridge")
        assert api.call("PIF.get_currently_attached", pif) is False
        assert "plugged" not in api.call("PIF.get_other_config", pif)
    finally:
        guest.remove()
        api.call("PIF.forget", pif)
