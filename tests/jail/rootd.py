# SPDX-License-Identifier: Apache-2.0
"""A rootd of the test's own: its run directory, socket and cgroups are named after the test and gone with it."""
import os
import pathlib
import select
import shutil
import socket
import subprocess
import tempfile
import uuid

BUILD = pathlib.Path(os.environ["SERAI_BUILD"])


class Refused(Exception):
    pass


class Rootd:
    def __init__(self, *options, user=12345, prefix=()):
        self.dir = tempfile.mkdtemp(prefix="serai-rootd-")
        os.chmod(self.dir, 0o711)
        self.socket = self.dir + "/run/socket"
        self.name = "serai-test-" + uuid.uuid4().hex[:12]
        self.shutdown = self.dir + "/shutdown"
        self.vms = []
        self.options = [*prefix, str(BUILD / "serai-rootd"), "--run-dir", self.dir + "/run",
                        "--socket", self.socket, "--cgroup", self.name, "--user", str(user),
                        "--shutdown", self.shutdown, *options]
        self.start()

    def start(self):
        self.proc = subprocess.Popen(self.options, stdout=subprocess.PIPE)
        assert self.proc.stdout.readline() == b"ready\n"

    def stop(self, sig=15):
        self.proc.send_signal(sig)
        status = self.proc.wait(10)
        self.proc.stdout.close()
        return status

    def send(self, data, fds=()):
        """One request as bytes: the reply's fields and descriptors."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(30)
            s.connect(self.socket)
            try:
                socket.send_fds(s, [data], list(fds))
                reply, got, _, _ = socket.recv_fds(s, 65536, 4)
            except (BrokenPipeError, ConnectionResetError):
                reply, got = b"", []
        pairs = [f.split("=", 1) for f in reply.decode().split("\0")[:-1]]
        return dict(pairs), got

    def ask(self, verb, *fields, fds=()):
        data = "".join("%s=%s\0" % f for f in [("verb", verb), *fields]).encode()
        reply, got = self.send(data, fds)
        if reply.get("ok") != "1":
            for fd in got:
                os.close(fd)
            raise Refused(reply.get("error", "no reply"))
        return reply, got

    def spawn(self, args, fds, *fields):
        """fds: [(descriptor, place)]. A Vm."""
        vm = Vm(self, str(uuid.uuid4()))
        self.vms.append(vm)
        reply, got = self.ask("spawn_vm", ("uuid", vm.uuid), *[("arg", a) for a in args],
                              *[("fd", place) for _, place in fds], *fields,
                              fds=[fd for fd, _ in fds])
        vm.pid, vm.uid, vm.pidfd = int(reply["pid"]), int(reply["uid"]), got[0]
        return vm

    def cgroups(self):
        """All directories of VMs."""
        found = []
        for root in pathlib.Path("/sys/fs/cgroup").iterdir():
            for top, dirs, _ in os.walk(root):
                if self.name in dirs:
                    found.append(pathlib.Path(top) / self.name)
                    dirs.clear()
        return found

    def close(self):
        for vm in self.vms:
            try:
                vm.end()
            except (Refused, OSError):
                pass
        if self.proc.poll() is None:
            self.stop()
        for d in self.cgroups():
            for sub in d.iterdir():
                if sub.is_dir():
                    sub.rmdir()
            d.rmdir()
        shutil.rmtree(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Vm:
    def __init__(self, rootd, name):
        self.rootd, self.uuid, self.pidfd = rootd, name, -1

    def end(self):
        self.rootd.ask("end_vm", ("uuid", self.uuid))
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def wait(self, seconds):
        p = select.poll()
        p.register(self.pidfd, select.POLLIN)
        return bool(p.poll(seconds * 1000))

    @property
    def alive(self):
        return not self.wait(0)
