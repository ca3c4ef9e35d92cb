# SPDX-License-Identifier: Apache-2.0
"""A network of the test's own: the process that imports this, and all that it starts, has network devices of its own, which
go with it. Nothing is changed on the machine. Must be imported before there is a second thread."""
import ctypes
import fcntl
import os
import socket
import struct
import subprocess

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 1, 0x40

# What fetches something from elsewhere (tests/guest/guest_builds.py) goes back for it.
os.environ["SERAI_OUTER_NET"] = "/proc/%d/fd/%d" % (os.getpid(), os.open("/proc/self/ns/net", os.O_RDONLY))
if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
    raise OSError(ctypes.get_errno(), "unshare")
# /sys/class/net shows the devices of who mounted /sys; the cgroups below it stay.
subprocess.run(["sh", "-ec", """
    mount --make-rprivate /
    held=$(mktemp -d)
    mount --rbind /sys/fs/cgroup "$held"
    mount -t sysfs none /sys
    mount --rbind "$held" /sys/fs/cgroup
    umount -l "$held"
    rmdir "$held"
"""], check=True)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))


def run(*words, **how):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, **how).stdout


def ip(line, **how):
    return run("ip", *line.split(), **how)


def devices(kind):
    return sorted(line.split(":")[1].split("@")[0].strip() for line in ip("-o link show type " + kind).splitlines())


class Host:
    """Another machine: a network namespace, with one end of a cable in it as eth0. `cable` is our end."""

    def __init__(self, cable, address=None):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"], stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"
        self.cable = cable
        ip("link add %s type veth peer name eth0 netns %d" % (cable, self.holder.pid))
        ip("link set %s up" % cable)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", "eth0", "up")
        if address:
            self.run("ip", "address", "add", address, "dev", "eth0")

    def words(self, *words):
        return ["nsenter", "--net=/proc/%d/ns/net" % self.holder.pid, "--", *words]

    def run(self, *words):
        return run(*self.words(*words))

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        if os.path.exists("/proc/self/net") and self.cable in ip("-o link"):
            ip("link del " + self.cable)
