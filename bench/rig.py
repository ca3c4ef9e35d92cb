# SPDX-License-Identifier: Apache-2.0
"""What the figures are taken with: seraid in directories of its own, a VM whose serial log is watched, and bare QEMU."""
import ctypes
import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("SERAI_BUILD") or ROOT / "build").resolve()
sys.path += [str(ROOT / "tests" / "api"), str(ROOT / "tests" / "guest")]

import guest_builds  # noqa: E402
import wire  # noqa: E402

LIMIT = 60  # seconds for anything
PASSWORD = "bench"
MIB = 1 << 20
now = time.monotonic


class BenchError(Exception):
    """One sentence: no figure can be taken."""


def wait_for(fds, until, what):
    """The descriptors of these that can be read."""
    ready = select.select(fds, [], [], max(0, until - now()))[0]
    if not ready:
        raise BenchError("not in %d s: %s" % (LIMIT, what))
    return ready


class Api(wire.Api):
    """A kept TLS connection; a call may be sent and answered in two steps."""

    def __init__(self, host, port):
        super().__init__(host, port, tls=wire.insecure_tls())
        self.raw = wire.Raw(**self.where)
        self.raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.login("root", PASSWORD)

    def send(self, method, *params):
        self.count += 1
        body = json.dumps({"jsonrpc": "2.0", "id": self.count, "method": method, "params": [self.session, *params]})
        self.raw.send("POST /jsonrpc HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                      % (len(body), body))

    def answer(self):
        reply = self.raw.answer().json()
        if "error" in reply:
            raise wire.ApiError(reply["error"]["message"], *reply["error"]["data"])
        return reply["result"]


class Daemon:
    """seraid --rootless. Its state is in the build directory, because /tmp may be in memory, where durable costs nothing;
    its runtime directory where a user's is, or in /tmp, because paths of sockets are short."""

    def __init__(self):
        self.program = BUILD / "seraid"
        if not os.access(self.program, os.X_OK):
            raise BenchError("%s is not built: run make" % self.program)
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="bench-state-", dir=BUILD))
        self.runtime = pathlib.Path(tempfile.mkdtemp(prefix="serai-bench-", dir=os.environ.get("XDG_RUNTIME_DIR")))
        (self.runtime / "password").write_text(PASSWORD)
        self.log = self.runtime / "log"
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self.end_machines()
            shutil.rmtree(self.state, ignore_errors=True)
            shutil.rmtree(self.runtime, ignore_errors=True)

    def mode(self):
        return ["--rootless"]

    def kernels(self, files):
        """Put them where seraid looks: {name: file}."""
        folder = self.state / "kernels"
        folder.mkdir(mode=0o700, exist_ok=True)
        for target, source in files.items():
            shutil.copy(source, folder / target)
        return folder

    def start(self):
        """Returns the seconds until it was ready."""
        with open(self.log, "ab") as log:
            began = now()
            self.process = subprocess.Popen(
                [self.program, *self.mode(), "--state", self.state, "--runtime", self.runtime / "run",
                 "--https", "127.0.0.1:0", "--password-file", self.runtime / "password"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        wait_for([self.process.stdout], began + LIMIT, "seraid ready")
        line = self.process.stdout.readline()
        took = now() - began
        words = line.decode().split()
        if not words or words[0] != "ready":
            raise BenchError("seraid did not start: " + (self.log.read_text().strip().splitlines() or ["?"])[-1])
        address = next(w for w in words if w.startswith("https://"))
        self.host, port = address[len("https://"):].rsplit(":", 1)
        self.port = int(port)
        return took

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                status = self.process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                status = self.process.wait()
            self.process.stdout.close()
            self.process = None
            if status:
                raise BenchError("seraid ended with status %d" % status)

    def end_machines(self):
        """After a failure: the machines that seraid left running."""
        for pid_file in self.runtime.glob("run/vm/*/pid"):
            try:
                pid = int(pid_file.read_text())
                if os.readlink("/proc/%d/cwd" % pid) == str(pid_file.parent):
                    os.kill(pid, signal.SIGKILL)
            except (OSError, ValueError):
                pass

    def processor_seconds(self):
        """What all its threads have used so far: its clock by clock_getcpuclockid(3)."""
        return time.clock_gettime_ns(~self.process.pid << 3 | 2) * 1e-9

    def api(self):
        return Api(self.host, self.port)

    def resident_bytes(self):
        for line in pathlib.Path("/proc/%d/status" % self.process.pid).read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise BenchError("no VmRSS")


class FullDaemon(Daemon):
    """seraid as a service runs: a user of its own, machines in jails through a serai-rootd of its own. Needs root."""
    USER = 12345

    def __init__(self):
        super().__init__()
        os.environ["SERAI_BUILD"] = str(BUILD)
        sys.path.append(str(ROOT / "tests" / "jail"))
        import netns  # noqa: F401  bridges and rules are made in a network of our own
        import rootd
        self.runtime.chmod(0o711)
        for path in self.state, self.runtime / "password":
            os.chown(path, self.USER, self.USER)
        self.rootd = rootd.Rootd(user=self.USER)

    def mode(self):
        return ["--user", str(self.USER), "--rootd", self.rootd.socket]

    def kernels(self, files):
        folder = super().kernels(files)
        for path in folder, *folder.iterdir():
            os.chown(path, self.USER, self.USER)

    def end_machines(self):
        for group in self.rootd.cgroups()[:1]:
            for vm in group.iterdir():
                if vm.is_dir() and vm.name.startswith("net-"):
                    self.rootd.ask("service_end", ("uuid", vm.name[4:]))
                elif vm.is_dir():
                    self.rootd.ask("end_vm", ("uuid", vm.name))
        self.rootd.close()


class Inotify:
    """Enough of inotify(7) to see a file being made and written."""
    MODIFY, MOVED_TO, CREATE = 0x2, 0x80, 0x100

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0:
            raise BenchError("no inotify: " + os.strerror(ctypes.get_errno()))

    def close(self):
        os.close(self.fd)

    def add(self, path, mask):
        return self.libc.inotify_add_watch(self.fd, os.fsencode(path), mask) >= 0

    def drain(self):
        try:
            while os.read(self.fd, 65536):
                pass
        except BlockingIOError:
            pass


class Vm:
    """A VM that boots a kernel directly, its serial line watched from outside: the log that seraid writes as the guest
    speaks. The time until that log is taken as seraid's; nothing is subtracted."""

    def __init__(self, daemon, api, name, files, args="", memory=128 * MIB):
        self.daemon, self.api = daemon, api
        daemon.kernels(files)
        # a jail has them under other names
        self.files = {place: str(daemon.state / "kernels" / name) for place, name in zip(("/kernel", "/initrd"), files)}
        template = api.call("VM.get_by_name_label", "Other install media")[0]
        self.ref = api.call("VM.clone", template, name)
        api.call("VM.set_memory_limits", self.ref, *[memory] * 4)
        api.call("VM.set_HVM_boot_policy", self.ref, "")
        api.call("VM.set_HVM_boot_params", self.ref, {})
        kernel, *initrd = files
        api.call("VM.set_PV_kernel", self.ref, kernel)
        api.call("VM.set_PV_ramdisk", self.ref, initrd[0] if initrd else "")
        api.call("VM.set_PV_args", self.ref, args)
        # No screen: with one QEMU boots through SeaBIOS, whose 100 ms and more vary by more than the bound.
        api.call("VM.remove_from_platform", self.ref, "vga")
        api.call("VM.add_to_platform", self.ref, "vga", "false")
        api.call("VM.provision", self.ref)
        self.vms = daemon.runtime / "run" / "vm"
        self.dir = self.vms / api.call("VM.get_uuid", self.ref)

    def said(self, marker):
        try:
            return marker in (self.dir / "serial.log").read_bytes()
        except OSError:
            return False

    def start(self, marker):
        """Seconds from the call until the guest has said the marker, and until the call was answered."""
        watch = Inotify()
        try:
            watch.add(self.vms, Inotify.CREATE)
            began, seen, answered = now(), None, None
            until = began + LIMIT
            self.api.send("VM.start", self.ref, False, False)
            watched = False
            while seen is None or answered is None:
                fds = [watch.fd] if seen is None else []
                fds += [self.api.raw.sock] if answered is None else []
                ready = wait_for(fds, until, "VM.start and %r on the serial line" % marker)
                if watch.fd in ready:
                    watch.drain()
                    watched = watched or watch.add(self.dir, Inotify.MODIFY)
                    if self.said(marker):
                        seen = now() - began
                if self.api.raw.sock in ready:
                    self.api.answer()
                    answered = now() - began
            return seen, answered
        finally:
            watch.close()

    def hard_shutdown(self):
        """Seconds that the call takes."""
        began = now()
        self.api.send("VM.hard_shutdown", self.ref)
        self.api.answer()
        return now() - began

    def command_line(self):
        """Of its running QEMU."""
        pid = int((self.dir / "pid").read_text())
        words = [os.fsdecode(a) for a in pathlib.Path("/proc/%d/cmdline" % pid).read_bytes().split(b"\0")[:-1]]
        return [self.files.get(w, w) for w in words]


class Bare:
    """The same QEMU command line without the daemon. Two arguments differ: there is no -S, since nobody is there who lets
    the guest go; and the serial line is connected from the start, since QEMU drops what a guest says before somebody has
    connected. The listening sockets that the command line counts on are made here, before the clock runs."""
    QMP, SERIAL, AGENT = 3, 4, 5

    def __init__(self, command_line):
        self.argv = []
        for word in command_line:
            if word.startswith("socket,id=serial,"):
                word = "socket,id=serial,fd=%d" % self.SERIAL
            if word != "-S":
                self.argv.append(word)
        for name, fd in (("qmp", self.QMP), ("serial", self.SERIAL), ("agent", self.AGENT)):
            if not any(w.startswith("socket,id=%s,fd=%d" % (name, fd)) for w in self.argv):
                raise BenchError("QEMU's command line has no %s on descriptor %d: teach bench/rig.py the new one" % (name, fd))
        self.dir = tempfile.mkdtemp(prefix="serai-bench-")
        self.pid, self.pidfd, self.open = None, None, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        shutil.rmtree(self.dir, ignore_errors=True)

    def listener(self, name):
        path = os.path.join(self.dir, name)
        if os.path.exists(path):
            os.unlink(path)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.bind(path)
        s.listen(4)
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(path)
        self.open += [s, client]
        return s, client

    def start(self, marker):
        """Seconds from before the fork until the guest has said the marker."""
        qmp, self.monitor = self.listener("qmp")
        agent, client = self.listener("agent")
        client.close()
        line, line_end = socket.socketpair()
        self.open += [line, line_end]
        actions, copies = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0)], []
        actions += [(os.POSIX_SPAWN_OPEN, fd, os.path.join(self.dir, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                    for fd in (1, 2)]
        for s, target in ((qmp, self.QMP), (line_end, self.SERIAL), (agent, self.AGENT)):
            # Sources above all targets, or one would overwrite the next.
            copies.append(fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, 100))
            actions.append((os.POSIX_SPAWN_DUP2, copies[-1], target))
        began = now()
        self.pid = os.posix_spawn(self.argv[0], self.argv, os.environ, file_actions=actions, setsid=True)
        self.pidfd = os.pidfd_open(self.pid)
        # Ours no longer, or the end of QEMU would not end the line.
        for fd in copies:
            os.close(fd)
        line_end.close()
        text = b""
        while marker not in text:
            wait_for([line], began + LIMIT, "%r from bare QEMU" % marker)
            data = line.recv(65536)
            if not data:
                with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as f:
                    raise BenchError("bare QEMU ended: " + f.read()[-300:].strip())
            text += data
        return now() - began

    def qmp(self, command):
        self.monitor.sendall(b'{"execute":"%s"}\n' % command)

    def quit(self):
        """Seconds from the command until the process is gone."""
        self.monitor.settimeout(LIMIT)
        self.qmp(b"qmp_capabilities")
        text = b""
        while b'"return"' not in text:  # the greeting, then the answer
            data = self.monitor.recv(65536)
            if not data:
                raise BenchError("bare QEMU's monitor closed")
            text += data
        began = now()
        self.qmp(b"quit")
        wait_for([self.pidfd], began + LIMIT, "bare QEMU's end")
        took = now() - began
        self.end()
        return took

    def end(self):
        if self.pid is not None:
            if not select.select([self.pidfd], [], [], 0)[0]:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
            os.close(self.pidfd)
            self.pid = None
        for s in self.open:
            s.close()
        self.open = []


def pairs(vm, marker, n, progress=lambda i: None):
    """n interleaved pairs of starts and ends, in changing order: lists of seconds by name. One more comes before
    them, uncounted: it gives the command line, and warms what both then find warm."""
    vm.start(marker)
    times = {k: [] for k in ("start", "answer", "bare", "shutdown", "quit", "processor")}
    with Bare(vm.command_line()) as bare:
        vm.hard_shutdown()
        bare.start(marker)
        bare.quit()

        def ours():
            used = vm.daemon.processor_seconds()
            seen, answered = vm.start(marker)
            times["start"].append(seen)
            times["answer"].append(answered)
            times["shutdown"].append(vm.hard_shutdown())
            times["processor"].append(vm.daemon.processor_seconds() - used)

        def theirs():
            times["bare"].append(bare.start(marker))
            times["quit"].append(bare.quit())

        for i in range(n):
            for step in (ours, theirs) if i % 2 else (theirs, ours):
                step()
            progress(i + 1)
    return times


def in_parallel(n, prepare):
    """n processes at once: each calls prepare(i), which answers a function; when all have, each calls that. What these
    returned (JSON), and the seconds from the first's beginning to the last's end."""
    held, go = os.pipe()
    children = []
    for i in range(n):
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(go)
                with os.fdopen(w, "w") as f:
                    work = prepare(i)
                    f.write("!")
                    f.flush()
                    os.read(held, 1)  # its end: go
                    began = now()
                    json.dump((work(), began, now()), f)
                status = 0
            except Exception:  # pylint: disable=broad-except
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(w)
        children.append((pid, os.fdopen(r)))
    for _, f in children:
        f.read(1)
    os.close(go)
    os.close(held)
    texts = []
    for pid, f in children:
        with f:
            texts.append(f.read())
    if any([os.waitpid(pid, 0)[1] for pid, _ in children]):
        raise BenchError("a client of the bench failed")
    results, began, ended = zip(*(json.loads(t) for t in texts))
    return results, max(ended) - min(began)


def guest(name):
    """The null payload or the tiny Linux, built if it is not: {name in the kernel folder: file}, the kernel first, and its
    arguments."""
    built = pathlib.Path(guest_builds.build("build-" + name))
    if name == "null":
        return {"null": built}, ""
    return {"vmlinuz": built / "vmlinuz", "initrd": built / "initrd"}, (built / "cmdline").read_text().strip()


def qemu_version(argv0):
    out = subprocess.run([argv0, "--version"], capture_output=True, text=True, check=True).stdout
    return out.splitlines()[0]
