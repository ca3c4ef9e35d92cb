# SPDX-License-Identifier: Apache-2.0
"""The escape drill: a probe in the hypervisor's place, beside a second machine that it goes for."""
import os
import socket
import subprocess

import pytest
from rootd import BUILD, Rootd

PROBE = str(BUILD / "tests" / "jail" / "jail-probe")
with open("/proc/self/mounts") as mounts:
    KINDS = {line.split()[2] for line in mounts}
KINDS = [kind for kind, fs in (("v1", "cgroup"), ("v2", "cgroup2")) if fs in KINDS]


@pytest.fixture(params=KINDS)
def rootd(request):
    with Rootd("--qemu", PROBE, "--cgroup-kind", request.param) as r:
        yield r


class Host:
    """What there is to get at: a file and sockets for everybody, and another machine."""

    def __init__(self, rootd, tmp):
        os.chmod(tmp, 0o777)
        for parent in list(tmp.parents)[:-2]:
            os.chmod(parent, os.stat(parent).st_mode | 0o011)
        self.file = tmp / "file"
        self.file.write_text("host")
        self.file.chmod(0o666)
        self.unix = self.listen(socket.AF_UNIX, str(tmp / "socket"))
        self.qmp = self.listen(socket.AF_UNIX, str(tmp / "qmp"))
        self.abstract = self.listen(socket.AF_UNIX, "\0" + rootd.name)
        self.tcp = self.listen(socket.AF_INET, ("127.0.0.1", 0))
        for name in "socket", "qmp":
            (tmp / name).chmod(0o666)
        self.out = os.memfd_create("victim")
        self.victim = rootd.spawn(["sit"], [(self.out, 1), (self.qmp.fileno(), 3)])
        self.args = ["file=%s" % self.file, "socket=%s" % (tmp / "socket"), "qmp=%s" % (tmp / "qmp"),
                     "abstract=" + rootd.name, "port=%d" % self.tcp.getsockname()[1],
                     "pid=%d" % self.victim.pid, "uid=%d" % self.victim.uid, "rootd=" + rootd.socket]

    @staticmethod
    def listen(family, address):
        s = socket.socket(family)
        s.bind(address)
        s.listen(16)
        return s

    def close(self):
        for s in self.unix, self.qmp, self.abstract, self.tcp:
            s.close()
        os.close(self.out)


@pytest.fixture
def host(rootd, tmp_path):
    h = Host(rootd, tmp_path)
    yield h
    h.close()


def results(text):
    lines = text.split("\n")
    assert lines[-2].startswith("done "), text
    return dict(line.split(" ", 1) for line in lines[:-2])


def drill(rootd, host, *first):
    out = os.memfd_create("probe")
    vm = rootd.spawn([*first, *host.args], [(out, 1), (out, 2)])
    assert vm.uid != host.victim.uid
    assert vm.wait(60)
    os.lseek(out, 0, os.SEEK_SET)
    with os.fdopen(out) as f:
        return results(f.read())


@pytest.mark.parametrize("first", [[], ["qemu"]], ids=["rootd's filter", "and QEMU's"])
def test_no_way_out(rootd, host, first):
    got = drill(rootd, host, *first)
    assert len(got) >= 40
    assert [name for name, how in got.items() if not how.startswith("blocked")] == []
    assert host.victim.alive


def test_no_more_processes_than_allowed():
    with Rootd("--qemu", PROBE) as rootd:
        if not any((d / "pids.max").exists() or (d / "pids.current").exists() for d in rootd.cgroups()):
            pytest.fail("this machine bounds no processes")
        out = os.memfd_create("probe")
        vm = rootd.spawn(["multiply"], [(out, 1)], ("pids_max", 50))
        assert vm.wait(60)
        os.lseek(out, 0, os.SEEK_SET)
        with os.fdopen(out) as f:
            assert f.read() == "multiplied 49\n"


def test_the_probe_can_succeed(rootd, host):
    """As root and without a jail nearly all of it does, or the drill would say nothing."""
    run = subprocess.run([PROBE, "control", *host.args], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    blocked = {name: how for name, how in results(run.stdout).items() if how != "escaped"}
    # what no root may do in a mount namespace of its own, or what not every kernel has
    assert len(blocked) <= 30, blocked
    for name in ("host_file_write", "etc_shadow", "core_pattern", "create_in_root", "socket_of_host",
                 "socket_abstract", "socket_of_other_qmp", "socket_of_rootd", "socket_raw", "tcp_to_host",
                 "kill_other", "pidfd_of_other", "ptrace_other", "mount_tmpfs", "chroot_", "device_node", "exec_shell",
                 "namespace_of_other", "cgroup_list", "new_net_ns", "other_vm_uid", "file_handle"):
        assert name not in blocked
