# SPDX-License-Identifier: Apache-2.0
"""rootd itself: who may ask, what it makes of bad requests, and a real QEMU's life in its jail."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import uuid

import pytest
from rootd import Refused, Rootd, Vm

QEMU = shutil.which("qemu-system-x86_64")
BASE = ("-nodefaults -no-user-config -S -no-shutdown -display none -vnc none -machine pc-q35-7.2 -m 32M "
        "-chardev socket,id=q,fd=3,server=on,wait=off -mon chardev=q,mode=control "
        "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny").split()
ARGS = BASE + ["-accel", "tcg,thread=multi"]
OTHER_UID = 54321


@pytest.fixture
def rootd():
    with Rootd("--qemu", QEMU) as r:
        yield r


class Guest:
    """A machine that is built and not running, and a monitor to it."""

    def __init__(self, rootd, *fields, base=ARGS, args=(), fds=()):
        self.log = os.memfd_create("log")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("\0" + uuid.uuid4().hex)
            listening.listen(4)
            self.address = listening.getsockname()
            self.vm = rootd.spawn(base + list(args), [(listening.fileno(), 3), (self.log, 1), (self.log, 2), *fds],
                                  *fields)
        os.close(self.log)

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.address)
            with s.makefile("rw") as f:
                assert "QMP" in f.readline()
                for c in "qmp_capabilities", command:
                    f.write(json.dumps({"execute": c}) + "\n")
                    f.flush()
                    while "event" in (answer := json.loads(f.readline())):
                        pass
        return answer["return"]

    def status(self):
        text = pathlib.Path("/proc/%d/status" % self.vm.pid).read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_a_machine_in_its_jail(rootd, tmp_path):
    with open(tmp_path / "pid", "w") as pid:
        g = Guest(rootd, ("memory_max", 1 << 30), ("pids_max", 500), ("cpu_weight", 200), fds=[(pid.fileno(), "pid")])
    other = Guest(rootd)
    assert g.ask("query-status")["status"] == "prelaunch"
    assert (tmp_path / "pid").read_text() == "%d\n" % g.vm.pid
    s = g.status()
    assert g.vm.uid >= 1879048192 and other.vm.uid != g.vm.uid
    assert set(s["Uid"].split()) == set(s["Gid"].split()) == {str(g.vm.uid)}
    assert s["Groups"].strip() == ""
    for cap in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
        assert int(s[cap], 16) == 0
    assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2"
    assert s["NSpid"].split()[-1] == "1"
    for ns in "mnt", "ipc", "uts", "net", "pid", "cgroup":
        theirs = [os.readlink("/proc/%s/ns/%s" % (p, ns)) for p in ("self", g.vm.pid, other.vm.pid)]
        assert len(set(theirs)) == 3
    for line in pathlib.Path("/proc/%d/mountinfo" % g.vm.pid).read_text().splitlines():
        assert {"ro", "nosuid", "nodev"} <= set(line.split()[5].split(",")), line
    assert os.listdir("/proc/%d/root" % g.vm.pid) and not os.path.exists("/proc/%d/root/etc" % g.vm.pid)
    paths = [d / g.vm.uuid for d in rootd.cgroups()]
    assert paths
    for p in paths:
        assert str(g.vm.pid) in (p / "cgroup.procs").read_text().split()
    limits = {f: (p / f).read_text().strip() for p in paths
              for f in ("memory.limit_in_bytes", "memory.max", "pids.max", "cpu.shares", "cpu.weight") if (p / f).exists()}
    for value in limits.values():
        assert value in (str(1 << 30), "500", "2048", "200")
    g.vm.end()
    assert not os.path.exists("/proc/%d" % g.vm.pid) or g.status()["State"][0] == "Z"
    assert not any(p.exists() for p in paths)
    assert other.vm.alive
    g.vm.end()  # again: nothing to do
    other.vm.end()
    assert os.listdir(rootd.dir + "/run/uids") == []


# What each takes from the jail: firmware of three kinds, option ROMs, the accelerator's module.
DEVICES = {
    "seabios": "-device VGA -device virtio-blk-pci,drive=d -blockdev driver=null-co,node-name=d",
    "qboot": "-bios qboot.rom",
    "uefi": "-bios OVMF.fd -device VGA",
    "network boot": "-netdev hubport,id=n,hubid=0 -device virtio-net-pci,netdev=n -device e1000,netdev=m "
                    "-netdev hubport,id=m,hubid=0",
    "usb and sound": "-device qemu-xhci -device usb-tablet -device virtio-scsi-pci -device nvme,serial=1 -device ich9-ahci",
    "shared memory": "-object memory-backend-memfd,id=r,size=32M,share=on -machine memory-backend=r",
}


@pytest.mark.parametrize("name", DEVICES)
def test_the_jail_has_what_it_needs(rootd, name):
    g = Guest(rootd, args=DEVICES[name].split())
    assert g.ask("query-status")["status"] == "prelaunch"
    assert g.ask("cont") == {}
    assert g.ask("query-status")["status"] == "running"


def with_kvm(tmp, mode):
    """A rootd that sees a /dev/kvm of that mode, with a group of its own."""
    make = "mount -t tmpfs none {0} && mknod -m {1} {0}/kvm c 10 232 && chgrp 4242 {0}/kvm && mount --bind {0}/kvm /dev/kvm"
    return Rootd("--qemu", QEMU, prefix=("unshare", "--mount", "--propagation", "private", "sh", "-c",
                                         make.format(tmp, mode) + ' && exec "$@"', "sh"))


@pytest.mark.skipif(not os.path.exists("/dev/kvm"), reason="no /dev/kvm")
def test_kvm_is_one_device_node(tmp_path):
    """Built and not run: whether KVM is any good here is another question."""
    with with_kvm(tmp_path, "660") as rootd:
        g = Guest(rootd, ("kvm", "yes"), base=BASE, args=["-accel", "kvm"])
        assert g.ask("query-kvm") == {"enabled": True, "present": True}
        assert g.status()["Groups"].split() == ["4242"]
        assert os.listdir("/proc/%d/root/dev" % g.vm.pid) == ["kvm"]
        without = Guest(rootd)
        assert not os.path.exists("/proc/%d/root/dev" % without.vm.pid)
        assert without.status()["Groups"].strip() == ""
    with with_kvm(tmp_path, "600") as rootd, pytest.raises(Refused, match="/dev/kvm: Permission denied"):
        Guest(rootd, ("kvm", "yes"))


def test_kernel_and_initrd_are_files_of_the_jail(rootd, tmp_path):
    for name in "kernel", "initrd":
        (tmp_path / name).write_bytes(name.encode() * 1000)
        (tmp_path / name).chmod(0o644)
    with open(tmp_path / "kernel", "rb") as k, open(tmp_path / "initrd", "rb") as i:
        g = Guest(rootd, fds=[(k.fileno(), "kernel"), (i.fileno(), "initrd")])
    root = pathlib.Path("/proc/%d/root" % g.vm.pid)
    assert (root / "kernel").read_bytes() == b"kernel" * 1000
    assert (root / "initrd").read_bytes() == b"initrd" * 1000


def test_guests_outlive_rootd(rootd):
    g = Guest(rootd)
    rootd.stop(signal.SIGKILL)
    assert g.ask("query-status")["status"] == "prelaunch"
    rootd.start()
    assert g.vm.alive
    with pytest.raises(Refused):  # it is still there
        rootd.ask("spawn_vm", ("uuid", g.vm.uuid))
    assert g.vm.alive
    g.vm.end()
    assert g.vm.pidfd < 0 and os.listdir(rootd.dir + "/run/uids") == []


def test_a_start_that_fails_leaves_nothing(rootd, tmp_path):
    directory = os.open(tmp_path, os.O_RDONLY)
    name = str(uuid.uuid4())
    with pytest.raises(Refused, match="kernel: "):
        rootd.ask("spawn_vm", ("uuid", name), ("fd", "kernel"), fds=[directory])
    os.close(directory)
    with open(tmp_path / "pid", "w"):
        pass
    with open(tmp_path / "pid") as readonly, pytest.raises(Refused, match="pid file: "):
        rootd.ask("spawn_vm", ("uuid", name), ("fd", "pid"), fds=[readonly.fileno()])
    assert os.listdir(rootd.dir + "/run/uids") == []
    assert not any((d / name).exists() for d in rootd.cgroups())


def test_many_at_once(rootd):
    """Each start and end in a process of its own, side by side."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        guests = list(pool.map(lambda _: Guest(rootd), range(12)))
        assert len({g.vm.uid for g in guests}) == 12
        assert all(g.vm.alive for g in guests)
        list(pool.map(lambda g: g.vm.end(), guests))
    assert os.listdir(rootd.dir + "/run/uids") == []


def test_one_name_at_a_time(rootd):
    """Of starts of the same machine at the same time one succeeds, and the others do not end it."""
    name = str(uuid.uuid4())

    def start(_):
        try:
            reply, got = rootd.ask("spawn_vm", ("uuid", name), *[("arg", a) for a in ARGS if not a.startswith("chardev")],
                                   ("fd", 3), fds=[listening.fileno()])
            return got[0]
        except Refused:
            return -1

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("\0" + name)
        listening.listen(4)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            got = [fd for fd in pool.map(start, range(4)) if fd >= 0]
    assert len(got) == 1
    vm = Vm(rootd, name)
    vm.pidfd = got[0]
    assert vm.alive
    vm.end()
    assert os.listdir(rootd.dir + "/run/uids") == []


@pytest.mark.parametrize("delay", [0, 1, 2, 4, 6, 8, 12, 16, 24])
def test_rootd_is_killed_in_a_start(rootd, delay):
    """All of its processes, at any moment: what is left of the machine ends when it is asked to."""
    name = str(uuid.uuid4())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(rootd.socket)
        s.send("".join("%s=%s\0" % f for f in [("verb", "spawn_vm"), ("uuid", name), ("arg", "-S")]).encode())
        time.sleep(delay / 1000)  # not to wait for something: to be anywhere
        for pid in children(rootd.proc.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        rootd.stop(signal.SIGKILL)
    rootd.start()
    rootd.ask("end_vm", ("uuid", name))
    assert os.listdir(rootd.dir + "/run/uids") == []
    assert not any((d / name).exists() for d in rootd.cgroups())
    pid = Guest(rootd).vm.pid
    assert os.path.exists("/proc/%d" % pid)


def children(pid):
    return [int(p) for p in pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()]


def test_a_hung_machine_ends(rootd):
    g = Guest(rootd)
    g.ask("query-status")
    os.kill(g.vm.pid, signal.SIGSTOP)
    pidfd = os.dup(g.vm.pidfd)
    g.vm.end()
    os.close(pidfd)
    assert os.listdir(rootd.dir + "/run/uids") == []


def ask_as(uid, path):
    code = ("import os, socket, sys\nos.setgid(%d)\nos.setuid(%d)\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "s.settimeout(10)\ntry:\n s.connect(sys.argv[1])\n"
            " s.send(b'verb=end_vm\\0uuid=00000000-0000-4000-8000-000000000000\\0')\n print(s.recv(100))\n"
            "except OSError as e:\n print(type(e).__name__)\n" % (uid, uid))
    return subprocess.run(["/usr/bin/python3", "-c", code, path], stdout=subprocess.PIPE, text=True,
                          timeout=30, check=True).stdout.strip()


def test_only_its_user_may_ask(rootd):
    assert ask_as(12345, rootd.socket) == r"b'ok=1\x00'"
    assert ask_as(OTHER_UID, rootd.socket) == "PermissionError"
    os.chmod(rootd.socket, 0o666)  # and if the file's mode let it
    assert ask_as(OTHER_UID, rootd.socket) in ("b''", "ConnectionResetError", "BrokenPipeError")


def test_bad_requests(rootd):
    null = os.open("/dev/null", os.O_RDWR)
    good = b"verb=end_vm\0uuid=00000000-0000-4000-8000-000000000000\0"
    for data, fds in [(b"\0", ()), (b"x", ()), (good[:-1], ()), (good + b"x=1\0", ()), (good, (null,)),
                      (good, (null,) * 60), (b"verb=mount\0", ()), (b"a" * 130000, ()),
                      (b"verb=spawn_vm\0uuid=../x\0", ()), (b"verb=host_power\0action=now\0", ())]:
        reply, got = rootd.send(data, fds)
        assert reply.get("error") and "ok" not in reply and got == []
    os.close(null)
    assert rootd.send(good)[0] == {"ok": "1"}
    assert rootd.proc.poll() is None


def test_the_silent_hold_up_nobody(rootd):
    silent = []
    for _ in range(20):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(rootd.socket)
        silent.append(s)
    rootd.ask("end_vm", ("uuid", str(uuid.uuid4())))
    for s in silent:
        s.close()


def test_power(rootd):
    said = pathlib.Path(rootd.dir) / "said"
    pathlib.Path(rootd.shutdown).write_text('#!/bin/sh\necho "$@" >>%s\n' % said)
    os.chmod(rootd.shutdown, 0o700)
    rootd.ask("host_power", ("action", "reboot"))
    rootd.ask("host_power", ("action", "poweroff"))
    assert said.read_text() == "-r now\n-P now\n"
    pathlib.Path(rootd.shutdown).write_text("#!/bin/sh\necho not now >&2\nexit 3\n")
    with pytest.raises(Refused, match="status 3: not now"):
        rootd.ask("host_power", ("action", "reboot"))


def test_it_keeps_little(rootd):
    status = dict(line.split(":\t", 1) for line in
                  pathlib.Path("/proc/%d/status" % rootd.proc.pid).read_text().splitlines() if ":\t" in line)
    assert bin(int(status["CapEff"], 16)).count("1") <= 9
    assert status["CapBnd"] == status["CapEff"]
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    fds = [os.readlink("/proc/%d/fd/%s" % (rootd.proc.pid, f)) for f in os.listdir("/proc/%d/fd" % rootd.proc.pid)]
    assert sum(f.startswith("socket:") for f in fds) <= 1 + sum(f.startswith("socket:") for f in (
        os.readlink("/proc/self/fd/%d" % n) for n in range(3)))


@pytest.fixture
def pam(tmp_path):
    """A rootd that sees one user more than the host has, and a service of its own."""
    etc = tmp_path / "pam.d"
    etc.mkdir()
    (etc / "serai").write_text("auth required pam_unix.so nodelay\naccount required pam_unix.so\n")
    hashed = subprocess.run(["openssl", "passwd", "-6", "-salt", "salt", "right word"], stdout=subprocess.PIPE,
                            text=True, check=True).stdout.strip()
    for name, line in ("passwd", "probe:x:54321:54321::/:/bin/false\n"), ("shadow", "probe:%s:19000:0:99999:7:::\n" % hashed):
        (tmp_path / name).write_text(pathlib.Path("/etc/" + name).read_text() + line)
        (tmp_path / name).chmod(0o644 if name == "passwd" else 0o640)
    mounts = " && ".join("mount --bind %s/%s /etc/%s" % (tmp_path, n, n) for n in ("pam.d", "passwd", "shadow"))
    with Rootd("--qemu", QEMU, prefix=("unshare", "--mount", "--propagation", "private", "sh", "-c",
                                       mounts + ' && exec "$@"', "sh")) as r:
        yield r


def answer(rootd, user, password):
    return rootd.ask("pam_auth", ("user", user), ("password", password))[0]["answer"]


def test_passwords(pam):
    assert answer(pam, "probe", "right word") == "ok"
    assert answer(pam, "probe", "wrong") == "refused"
    assert answer(pam, "nobody-here", "right word") == "refused"
    assert answer(pam, "probe", "") == "refused"
    with pytest.raises(Refused):
        answer(pam, "probe", "x" * 5000)
    with pytest.raises(Refused):
        answer(pam, "", "x")


with open("/proc/self/mounts") as mounts:
    V2 = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]


@pytest.mark.parametrize("top", V2[:1])
def test_a_group_kept_for_machines(top):
    """As under systemd: the group that another unit holds; its process makes room, and machines survive us there."""
    name = "serai-test-" + uuid.uuid4().hex[:12]
    group = pathlib.Path(top) / name
    group.mkdir()
    holder = subprocess.Popen(["sleep", "infinity"])
    try:
        (group / "cgroup.procs").write_text(str(holder.pid))
        with Rootd("--qemu", QEMU, "--cgroup-kind", "v2", "--cgroup-parent", "/" + name) as r:
            for _ in range(2):
                assert (group / "cgroup.procs").read_text() == ""
                assert (group / "holder" / "cgroup.procs").read_text().split() == [str(holder.pid)]
                r.stop(9)
                r.start()
            guest = Guest(r)
            vm = guest.vm
            assert (group / r.name / vm.uuid / "cgroup.procs").read_text().split() == [str(vm.pid)]
            r.stop(9)
            r.start()
            assert vm.alive
            vm.end()
            assert not (group / r.name / vm.uuid).exists()
    finally:
        holder.kill()
        holder.wait()
        for folder in group / "holder", group:
            if folder.exists():
                guests_gone(folder)


def guests_gone(folder):
    """Remove a group; one whose last process was just collected may be busy for a moment."""
    end = time.monotonic() + 60
    while True:
        try:
            folder.rmdir()
            return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.01)
