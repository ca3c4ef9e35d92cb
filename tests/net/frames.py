# SPDX-License-Identifier: Apache-2.0
"""Frames as a guest sends them, through the descriptor of its tap; what arrives there."""
import os
import select
import socket
import struct

HEADER = bytes(10)  # virtio_net_hdr: nothing to be computed
BROADCAST = "ff:ff:ff:ff:ff:ff"
LIMIT = 60


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ether(to, source, kind, payload):
    return mac(to) + mac(source) + struct.pack("!H", kind) + payload


def arp(source, sender_mac, sender_ip, target_ip, to=BROADCAST):
    return ether(to, source, 0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac(sender_mac) + socket.inet_aton(sender_ip)
                 + bytes(6) + socket.inet_aton(target_ip))


def ipv4(source, to, sender, receiver, data, ports=(1000, 2000), tag=None):
    udp = struct.pack("!HHHH", *ports, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton(sender), socket.inet_aton(receiver))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    if tag is None:
        return ether(to, source, 0x0800, head + udp)
    return ether(to, source, 0x8100, struct.pack("!HH", tag, 0x0800) + head + udp)


def ipv6(source, to, sender, receiver, kind, body, hops=255):
    """ICMPv6."""
    a, b = socket.inet_pton(socket.AF_INET6, sender), socket.inet_pton(socket.AF_INET6, receiver)
    icmp = bytes([kind, 0, 0, 0]) + body
    pseudo = a + b + struct.pack("!II", len(icmp), 58)
    icmp = icmp[:2] + struct.pack("!H", checksum(pseudo + icmp)) + icmp[4:]
    return ether(to, source, 0x86DD, struct.pack("!IHBB", 0x60000000, len(icmp), 58, hops) + a + b + icmp)


def advert(source, to, sender, receiver, target, link):
    """I am `target`, at `link`."""
    return ipv6(source, to, sender, receiver, 136, struct.pack("!I", 0x60000000) + socket.inet_pton(socket.AF_INET6, target)
                + b"\2\1" + mac(link))


class Tap:
    def __init__(self, fd, name, address):
        self.fd, self.name, self.mac = fd, name, address
        os.set_blocking(fd, False)

    def send(self, frame):
        os.write(self.fd, HEADER + frame)

    def get(self, limit=LIMIT):
        """The next frame."""
        assert select.select([self.fd], [], [], limit)[0], "nothing came"
        return os.read(self.fd, 65536)[len(HEADER):]

    def until(self, wanted, limit=LIMIT):
        """All frames up to that one, which is the last."""
        seen = []
        while True:
            seen.append(self.get(limit))
            if seen[-1].startswith(wanted):
                return seen

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
