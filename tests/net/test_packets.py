# SPDX-License-Identifier: Apache-2.0
"""What passes between interfaces of machines: rootd makes taps, and the test is the guest at their other end."""
import os
import pathlib
import select
import sys
import time
import uuid

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "jail"))

import netns  # noqa: E402
from frames import BROADCAST, Tap, advert, arp, ether, ipv4, ipv6  # noqa: E402
from rootd import Refused, Rootd  # noqa: E402

OUR, PEER, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
IP, PEER_IP, OTHER_IP = "10.9.0.1", "10.9.0.2", "10.9.0.3"
IP6, LOCAL6, PEER_IP6, OTHER_IP6 = "fd00::1", "fe80::ff:fe00:1", "fd00::2", "fd00::3"
DATA = b"some data of a guest, longer than the shortest frame there is"


class Vif:
    """An interface as the daemon asks for it."""

    count = 0

    def __init__(self, rootd, mac, bridge="br0", **fields):
        Vif.count += 1
        self.rootd, self.uuid, self.number = rootd, str(uuid.uuid4()), Vif.count
        self.fields = dict({"bridge": bridge, "make": "yes", "mtu": 1500, "mode": "unlocked", "mac": mac}, **fields)
        reply, (fd,) = rootd.ask("net_tap", *self.words(), ("domid", self.number), ("device", 0))
        self.tap = Tap(fd, reply["name"], mac)
        assert self.tap.name == "vif%d.0" % self.number

    def words(self):
        one = [(k, v) for k, v in self.fields.items() if not isinstance(v, (list, tuple))]
        return [("uuid", self.uuid), *one, *[(k, x) for k, v in self.fields.items() if isinstance(v, (list, tuple)) for x in v]]

    def set(self, **fields):
        self.fields.update(fields)
        self.rootd.ask("net_vif", *self.words())


@pytest.fixture(scope="module")
def rootd():
    with Rootd() as r:
        yield r


@pytest.fixture
def pair(rootd):
    vifs = [Vif(rootd, OUR), Vif(rootd, PEER)]
    yield vifs
    for v in vifs:
        v.tap.close()
    rootd.ask("net_sweep")
    rootd.ask("net_unbridge", ("bridge", "br0"))
    assert netns.devices("bridge") == [] and netns.devices("tun") == []
    assert "vif" not in netns.run("nft", "list", "ruleset")


def passes(vif, peer, frames, marker):
    """Which of the frames arrive: all before a last one, the marker, that does."""
    for f in frames:
        vif.tap.send(f)
    vif.tap.send(marker)
    seen = peer.tap.until(marker)
    return [any(s.startswith(f) for s in seen) for f in frames]


def mark():
    return ipv4(OUR, PEER, IP, PEER_IP, b"marker " + os.urandom(16) + DATA)


GOOD = {
    "its address": ipv4(OUR, PEER, IP, PEER_IP, DATA),
    "to all": ipv4(OUR, BROADCAST, IP, "255.255.255.255", DATA),
    "asking who has": arp(OUR, OUR, IP, PEER_IP),
    "is it taken": arp(OUR, OUR, "0.0.0.0", IP),
    "asking for an address": ipv4(OUR, BROADCAST, "0.0.0.0", "255.255.255.255", DATA, ports=(68, 67)),
    "IPv6": ipv6(OUR, PEER, IP6, PEER_IP6, 128, DATA),
    "link-local": ipv6(OUR, PEER, LOCAL6, PEER_IP6, 128, DATA),
    "neighbour": advert(OUR, PEER, IP6, PEER_IP6, IP6, OUR),
    "is IPv6 taken": ipv6(OUR, "33:33:ff:00:00:01", "::", "ff02::1:ff00:1", 135, bytes(4) + bytes.fromhex("fd" + "00" * 14 + "01")),
}
BAD = {
    "another's Ethernet address": ipv4(OTHER, PEER, IP, PEER_IP, DATA),
    "another's IPv4 address": ipv4(OUR, PEER, OTHER_IP, PEER_IP, DATA),
    "another's address in ARP": arp(OUR, OUR, OTHER_IP, PEER_IP),
    "another's Ethernet address in ARP": arp(OUR, OTHER, IP, PEER_IP),
    "answering DHCP": ipv4(OUR, BROADCAST, OTHER_IP, "255.255.255.255", DATA, ports=(67, 68)),
    "no address at all": ipv4(OUR, PEER, "0.0.0.0", PEER_IP, DATA),
    "another's IPv6 address": ipv6(OUR, PEER, OTHER_IP6, PEER_IP6, 128, DATA),
    "another as neighbour": advert(OUR, PEER, IP6, PEER_IP6, OTHER_IP6, OUR),
    "elsewhere as neighbour": advert(OUR, PEER, IP6, PEER_IP6, IP6, OTHER),
    "a router": ipv6(OUR, "33:33:00:00:00:01", LOCAL6, "ff02::1", 134, bytes(12)),
    "a redirect": ipv6(OUR, PEER, LOCAL6, PEER_IP6, 137, bytes(36)),
    "a VLAN tag": ipv4(OUR, PEER, IP, PEER_IP, DATA, tag=7),
    "another protocol": ether(PEER, OUR, 0x88CC, DATA),
}


def test_an_unlocked_interface_sends_anything(pair):
    vif, peer = pair
    assert all(passes(vif, peer, [*GOOD.values(), *BAD.values()], mark()))


@pytest.mark.parametrize("live", [False, True])
def test_a_locked_interface_sends_what_is_its_own(rootd, pair, live):
    vif, peer = pair
    allowed = {"mode": "locked", "allow": [IP, IP6]}
    if live:
        vif.set(**allowed)
    else:
        vif.tap.close()
        vif = pair[0] = Vif(rootd, OUR, **allowed)
    assert dict(zip(GOOD, passes(vif, peer, GOOD.values(), mark()))) == {k: True for k in GOOD}
    assert dict(zip(BAD, passes(vif, peer, BAD.values(), mark()))) == {k: False for k in BAD}
    vif.set(allow=[IP, OTHER_IP])
    assert passes(vif, peer, [BAD["another's IPv4 address"], GOOD["IPv6"], GOOD["link-local"]], mark()) == [True, False, False]
    vif.set(mode="unlocked")
    assert all(passes(vif, peer, BAD.values(), mark()))


def test_a_locked_interface_does_not_hear_its_neighbours(rootd, pair):
    vif, peer = pair
    vif.set(mode="locked", allow=[IP])
    stray = ipv4(PEER, OTHER, PEER_IP, OTHER_IP, DATA)  # unknown to the bridge: to every port
    marker = ipv4(PEER, OUR, PEER_IP, IP, DATA)
    peer.tap.send(stray)
    peer.tap.send(marker)
    assert stray not in vif.tap.until(marker)


def test_a_disabled_interface_is_deaf_and_dumb(rootd, pair):
    vif, peer = pair
    third = Vif(rootd, OTHER)
    try:
        vif.set(mode="disabled")
        for f in [*GOOD.values(), *BAD.values()]:
            vif.tap.send(f)
        marker = ipv4(OTHER, BROADCAST, OTHER_IP, "255.255.255.255", DATA)
        third.tap.send(marker)
        assert peer.tap.until(marker)[:-1] == []
        vif.set(mode="unlocked")
        third.tap.send(marker)
        assert vif.tap.until(marker) == [marker], "not what was sent while it was disabled"
    finally:
        third.tap.close()


def flood(vif, peer, seconds):
    """What arrives when one sends all it can, in bytes, and in how many seconds."""
    frame, got, end = ipv4(OUR, PEER, IP, PEER_IP, bytes(1400)), 0, time.monotonic() + seconds
    start = time.monotonic()
    while time.monotonic() < end:
        for _ in range(20):
            try:
                vif.tap.send(frame)
            except BlockingIOError:
                break
        while select.select([peer.tap.fd], [], [], 0)[0]:
            got += len(os.read(peer.tap.fd, 65536))
    return got, time.monotonic() - start


def test_rates(pair):
    vif, peer = pair
    kib = 500
    free = flood(vif, peer, 1)[0]
    assert free > 8 * kib * 1024, "the test can send more than the bound"
    for slow in vif, peer:  # what it sends, what it gets
        slow.set(kbps=kib)
        got, seconds = flood(vif, peer, 2)
        # and what was saved up: a second's worth and 64 KiB; 64 KiB and 50 ms
        assert 0.3 * kib * 1024 * seconds < got < 1.05 * kib * 1024 * (seconds + 1) + 200000, (got, seconds, free)
        del slow.fields["kbps"]
        slow.set()
    assert flood(vif, peer, 1)[0] > 8 * kib * 1024


def test_moving_between_networks(rootd, pair):
    vif, peer = pair
    far = Vif(rootd, OTHER, bridge="br1", mtu=9000)
    try:
        vif.set(bridge="br1", mtu=9000)
        marker = mark()
        vif.tap.send(marker)
        assert far.tap.until(marker)
        assert "mtu 9000" in netns.ip("link show " + vif.tap.name)
        third = ipv4(OTHER, BROADCAST, OTHER_IP, "255.255.255.255", DATA)
        vif.set(bridge="br0", mtu=1500)
        far.tap.send(third)
        vif.tap.send(marker)
        assert peer.tap.until(marker) == [marker]
    finally:
        far.tap.close()
        rootd.ask("net_unbridge", ("bridge", "br1"))


def test_what_is_refused(rootd, pair):
    vif, _ = pair
    netns.ip("link add cable type veth peer name cable2")
    try:
        for verb, fields, why in [
            ("net_vif", dict(vif.fields, bridge="nobr", make="no"), "there is no bridge nobr"),
            ("net_vif", dict(vif.fields, bridge="cable"), "cable is a device, but no bridge"),
            ("net_vif", dict(vif.fields, bridge="a/b"), "a value out of bounds"),
            ("net_vif", dict(vif.fields, bridge="-x"), "a value out of bounds"),
            ("net_vif", dict(vif.fields, bridge="0123456789abcdef"), "a value out of bounds"),
            ("net_vif", dict(vif.fields, mac="03:00:00:00:00:01"), "a value out of bounds"),
            ("net_vif", dict(vif.fields, mac="02:00:00:00:00:0g"), "a value out of bounds"),
            ("net_vif", dict(vif.fields, mode="locked", allow="1.2.3.4 } accept"), "a value out of bounds"),
            ("net_vif", dict(vif.fields, mode="locked", allow="fd00::1/64"), "a value out of bounds"),
            ("net_vif", dict(vif.fields, kbps=0), "a value out of bounds"),
            ("net_unbridge", {"bridge": "br0"}, "br0 has ports"),
        ]:
            words = [("uuid", vif.uuid)] * (verb == "net_vif") + list(fields.items())
            with pytest.raises(Refused) as e:
                rootd.ask(verb, *words)
            assert str(e.value) == why, fields
        with pytest.raises(Refused, match="the interface: No such device"):
            rootd.ask("net_vif", ("uuid", str(uuid.uuid4())), *vif.words()[1:])
    finally:
        netns.ip("link del cable")


def test_bridges_of_others_stay(rootd):
    netns.ip("link add theirs type bridge")
    try:
        rootd.ask("net_bridge", ("bridge", "theirs"), ("make", "no"), ("mtu", 9000))
        assert "mtu 1500" in netns.ip("link show theirs")
        rootd.ask("net_unbridge", ("bridge", "theirs"))
        assert netns.devices("bridge") == ["theirs"]
        rootd.ask("net_bridge", ("bridge", "ours"), ("make", "yes"), ("mtu", 1400))
        assert "mtu 1400" in netns.ip("link show ours") and netns.ip("-6 address show dev ours") == ""
        rootd.ask("net_unbridge", ("bridge", "ours"))
        rootd.ask("net_unbridge", ("bridge", "ours"))
        assert netns.devices("bridge") == ["theirs"]
    finally:
        netns.ip("link del theirs")


def test_rules_outlive_rootd_and_go_with_the_tap(rootd, pair):
    vif, peer = pair
    vif.set(mode="locked", allow=[IP])
    rootd.stop(9)
    rootd.start()
    assert passes(vif, peer, [BAD["another's IPv4 address"]], mark()) == [False]
    rootd.ask("net_sweep")
    assert passes(vif, peer, [BAD["another's IPv4 address"]], mark()) == [False]
    vif.tap.close()
    assert vif.tap.name in netns.run("nft", "list", "ruleset")
    rootd.ask("net_sweep")
    assert vif.tap.name not in netns.run("nft", "list", "ruleset")


