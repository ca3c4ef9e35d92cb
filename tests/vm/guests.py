# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: the daemon with QEMU, a VM and its serial line, and what must hold of everything."""
import importlib.util
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import wire

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 60
MIB = 1 << 20


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Not "import conftest": that is the one of this folder.
base = load("api_conftest", HERE.parent / "api" / "conftest.py")
nbdclient = load("nbdclient", HERE.parent / "diskd" / "nbdclient.py")
PASSWORD, check_log = base.PASSWORD, base.check_log


def until(what, condition, limit=LIMIT, step=0.02):
    """Wait for something that nobody announces; its first true value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "not in %g s: %s" % (limit, what)
        time.sleep(step)


class Daemon(base.Daemon):
    def __init__(self, directory, kernels, *options, build=None, **how):
        super().__init__(directory, *options, **how)
        self.kernels, self.build = kernels, pathlib.Path(build or base.BUILD)
        self.environment = {}
        self.small = None  # (folder, bytes): a file system of its own, in a namespace of the daemon and its machines

    def command(self):
        words = super().command()
        words = words[words.index(str(base.BUILD / "seraid")):]
        at = words.index("--machine")
        words = [str(self.build / "seraid")] + words[1:at] + words[at + 2:]
        if not self.small:
            return words
        script = ('mount -t tmpfs -o size=$1,mode=700 small "$2" && mkdir -p "$2/kernels" && '
                  'cp "$3" "$2/kernels/null" && shift 3 && exec "$@"')
        return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(self.small[1]), str(self.small[0]),
                str(self.kernels["null"])] + words

    def inside(self, path):
        """A path as the daemon sees it."""
        return pathlib.Path("/proc/%d/root" % self.process.pid) / str(path).lstrip("/")

    def start(self):
        folder = self.state / "kernels"
        if not folder.is_dir():
            folder.mkdir(parents=True, mode=0o700)
            self.state.chmod(0o700)
            self.fill(folder)
        saved = dict(os.environ)
        os.environ.update(self.environment)
        try:
            return super().start()
        finally:
            os.environ.clear()
            os.environ.update(saved)

    def fill(self, folder):
        for name in ("vmlinuz", "initrd", "null"):
            shutil.copy(self.kernels[name], folder / name)

    def kill(self):
        """SIGKILL; returns when the process is gone."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(LIMIT)
        self.process.stdout.close()

    def wait_death(self):
        """It dies by itself (a failpoint)."""
        status = self.process.wait(LIMIT)
        self.process.stdout.close()
        return status

    def machine_dirs(self):
        folder = self.runtime / "vm"
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []

    def machines(self):
        """{pid: VM uuid} of every QEMU below our runtime directory, whoever knows of it."""
        return self.processes(".")

    def disk_processes(self):
        """The same of every disk process."""
        return self.processes("disks")

    def processes(self, folder):
        """A process that has ended and is not yet collected is none."""
        found = {}
        for proc in pathlib.Path("/proc").iterdir():
            if not proc.name.isdigit():
                continue
            try:
                cwd = os.readlink(proc / "cwd").removesuffix(" (deleted)")
                state = (proc / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if cwd.startswith(str(self.runtime / folder / "vm")) and state not in "ZX":
                found[int(proc.name)] = pathlib.Path(cwd).name
        return found

    def end_processes(self, pids):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def end_machines(self):
        self.end_processes([*self.machines(), *self.disk_processes()])
        until("every QEMU gone", lambda: not self.machines() and not self.disk_processes())

    def give(self, *paths):
        """What a test put there is to be the daemon's user's."""

    def close(self):
        """When it has ended and its machines too."""


if os.environ.get("SERAI_MODE") == "full":
    sys.path.append(str(HERE.parent / "jail"))
    import full
    Daemon = full.daemon_class(Daemon)


def with_daemon(daemon):
    """For a fixture: started, and at the end stopped, with nothing of it left running."""
    daemon.start()
    try:
        yield daemon
        assert daemon.process.poll() is None, "the daemon died\n" + daemon.log_text()[-4000:]
        status, _ = daemon.stop()
        assert status == 0, daemon.log_text()[-4000:]
        check_log(daemon)
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
        daemon.end_machines()
        daemon.close()


class Console:
    """A console stream: what it says, and lines to it."""

    def __init__(self, daemon, session, query, version="1.0"):
        self.raw = daemon.connect()
        self.raw.send("CONNECT /console?%s HTTP/%s\r\nHost: x\r\nCookie: session_id=%s\r\n\r\n"
                      % (query, version, session))
        status, self.headers = self.raw.head()
        assert status == 200, status
        self.text, self.seen = self.raw.pending, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()

    def more(self, end):
        left = end - time.monotonic()
        if left <= 0 or not select.select([self.raw.sock], [], [], left)[0]:
            return None
        try:
            data = self.raw.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.text += data
        return data

    def expect(self, pattern, limit=LIMIT):
        """Wait for a regular expression in what comes after the last match."""
        end = time.monotonic() + limit
        while True:
            match = re.compile(pattern.encode(), re.M).search(self.text, self.seen)
            if match:
                self.seen = match.end()
                return match
            if not self.more(end):
                told = re.sub(rb"TICK \d+\r?\n", b"", self.text)  # what else it said
                raise AssertionError("%r did not come in %g s; the last was %r, and without its ticks %r"
                                     % (pattern, limit, self.text[-200:], told[-2000:]))

    def send(self, line):
        self.raw.send(line + "\n")

    def ask(self, line, pattern, limit=LIMIT):
        self.send(line)
        return self.expect(pattern, limit)

    def wait_end(self, limit=LIMIT):
        end = time.monotonic() + limit
        while (data := self.more(end)) != b"":
            assert data, "the stream did not end in %g s" % limit

    def count(self):
        """The guest's ticks (ten a second) at some moment between two on our clock: (ticks, asked, answered)."""
        mark = os.urandom(6).hex()  # a new viewer is shown what was said before, earlier answers among it
        self.ask("echo " + mark, r"^ECHO %s\r$" % mark)
        asked = time.monotonic()
        ticks = int(self.ask("count", r"^COUNT (\d+)\r$").group(1))
        return ticks, asked, time.monotonic()


class Guest:
    """A VM of the tiny guest (kernel "null": of the payload that only says N)."""

    def __init__(self, daemon, api, name="guest", kernel="vmlinuz", args="", memory=128 * MIB,
                 template="Other install media"):
        self.daemon, self.api, self.disks = daemon, api, []
        self.ref = api.call("VM.clone", api.call("VM.get_by_name_label", template)[0], name)
        api.call("VM.set_memory_limits", self.ref, *[memory] * 4)
        self.boots(kernel, args)
        api.call("VM.provision", self.ref)
        self.uuid = self.get("uuid")

    def boots(self, kernel, args=""):
        self.call("set_HVM_boot_policy", "")
        self.call("set_HVM_boot_params", {})
        self.call("set_PV_kernel", kernel)
        self.call("set_PV_ramdisk", "initrd" if kernel == "vmlinuz" else "")
        self.call("set_PV_args", (self.daemon.kernels["cmdline"] + " " + args).strip())

    def call(self, method, *params):
        return self.api.call("VM." + method, self.ref, *params)

    def fails(self, method, *params):
        return self.api.fails("VM." + method, self.ref, *params)

    def get(self, field):
        return self.call("get_" + field)

    def state(self):
        return self.get("power_state")

    def record(self):
        return self.get("record")

    def start(self, paused=False):
        self.call("start", paused, False)

    def wait_state(self, wanted, limit=LIMIT):
        """Learned from events, as a client does."""
        end, token = time.monotonic() + limit, ""
        while time.monotonic() < end:
            batch = self.api.call("event.from", ["vm/" + self.ref], token, 2.0)
            token = batch["token"]
            for event in batch["events"]:
                if event.get("snapshot", {}).get("power_state") == wanted and not event["snapshot"]["current_operations"]:
                    return event["snapshot"]
        raise AssertionError("%s after %g s, not %s" % (self.state(), limit, wanted))

    def directory(self):
        return self.daemon.runtime / "vm" / self.uuid

    def pid(self):
        """Of the one QEMU that it has, or None."""
        pids = [pid for pid, uuid in self.daemon.machines().items() if uuid == self.uuid]
        assert len(pids) <= 1, pids
        return pids[0] if pids else None

    def serial(self):
        return Console(self.daemon, self.api.session, "text=true&ref=" + self.ref)

    def start_up(self, limit=LIMIT):
        """Start it and wait until it is up: its serial line. A firmware may have cleared the screen before."""
        self.start()
        line = self.serial()
        line.expect(r"(^|\x1b\[[0-9;]*[A-Za-z])SERAI_TINY_UP\r$", limit)
        return line

    def add_disk(self, size=8 * MIB, **fields):
        sr = self.api.call("pool.get_default_SR", self.api.pool())
        vdi = new_vdi(self.api, sr, size)
        self.disks.append(vdi)
        return vdi, self.add_vbd(vdi, **fields)

    def add_vbd(self, vdi, **fields):
        vbd = {"VM": self.ref, "VDI": vdi, "userdevice": "autodetect", "bootable": False, "mode": "RW", "type": "Disk",
               "unpluggable": True, "empty": False, "other_config": {}, "qos_algorithm_type": "",
               "qos_algorithm_params": {}}
        return self.api.call("VBD.create", dict(vbd, **fields))

    def add_vif(self, **fields):
        vif = {"VM": self.ref, "network": self.api.call("network.get_by_name_label", "Default network")[0], "device": "autodetect", "MAC": "",
               "MTU": 1500, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}}
        return self.api.call("VIF.create", dict(vif, **fields))

    def remove(self):
        try:
            if self.state() != "Halted":
                self.call("hard_shutdown")
            self.disks += [v for v in (self.api.call("VBD.get_VDI", b) for b in self.get("VBDs")
                                       if self.api.call("VBD.get_type", b) == "Disk") if v not in self.disks]
            self.call("destroy")
        except wire.ApiError as e:
            if e.code != "HANDLE_INVALID":
                raise
        for vdi in self.disks:
            try:
                self.api.call("VDI.destroy", vdi)
            except wire.ApiError as e:
                if e.code != "HANDLE_INVALID":
                    raise


def new_vdi(api, sr, size=8 * MIB, **fields):
    vdi = {"name_label": "disk", "name_description": "", "SR": sr, "virtual_size": size, "type": "user",
           "sharable": False, "read_only": False, "other_config": {}}
    return api.call("VDI.create", dict(vdi, **fields))


def disk_file(daemon, api, vdi):
    record = api.call("VDI.get_record", vdi)
    suffix = ".raw" if record["sm_config"].get("type") == "raw" else ".vhd"
    return daemon.state / "sr" / api.call("SR.get_uuid", record["SR"]) / (record["location"] + suffix)


def content(daemon, api, vdi, size=None):
    """The bytes of a disk, as its disk process serves them now or as its files hold them."""
    for vbd in api.call("VDI.get_VBDs", vdi):
        path = daemon.runtime / "disks" / "nbd" / api.call("VM.get_uuid", api.call("VBD.get_VM", vbd)) / (
            api.call("VBD.get_uuid", vbd) + ".sock")
        if path.exists():
            folder = os.open(path.parent, os.O_PATH)  # an address holds no long path
            server = nbdclient.Nbd("/proc/self/fd/%d/%s" % (folder, path.name))
            os.close(folder)
            try:
                total = min(size or server.size, server.size)
                return b"".join(server.read(at, min(MIB, total - at)) for at in range(0, total, MIB))
            finally:
                server.s.close()
    if disk_file(daemon, api, vdi).suffix == ".raw":
        return disk_file(daemon, api, vdi).read_bytes()[:size]
    with tempfile.TemporaryDirectory() as folder:
        raw = pathlib.Path(folder) / "raw"
        # We have no lease: the collector may take a file away between two that we open.
        until("the disk to be readable", lambda: subprocess.run(
            [str(base.BUILD / "serai-vhd"), "convert", str(disk_file(daemon, api, vdi)), str(raw), "--to", "raw"],
            check=False).returncode == 0, step=0.2)
        return raw.read_bytes()[:size]


def pattern(number):
    """What the guest's `write NUMBER` leaves in the first MiB."""
    return b"".join(((number * 2654435761 + i) & 0xFFFFFFFF).to_bytes(4, "little") for i in range(MIB // 4))


def files_below(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []


def volumes_amiss(daemon, api):
    """What is not as it should be with volumes; the collector may be at work on it."""
    vdis = list(api.call("VDI.get_all_records").values())
    folder = daemon.state / "pending"
    try:
        texts = {n: (folder / n).read_text() for n in files_below(folder)}
    except FileNotFoundError:
        return ["an intent has just gone"]
    inner = [n for n, text in texts.items() if text.endswith(" inner")]
    local = [v["location"] + (".raw" if v["sm_config"].get("type") == "raw" else ".vhd")
             for v in vdis if api.call("SR.get_content_type", v["SR"]) != "iso" and v["type"] != "cbt_metadata"]
    local += [i["volume"] + ".vhd" for i in api.call("serai_recycled.get_all_records").values() if i["volume"]]
    there = files_below(daemon.state / "sr")
    logs = [name for name in there if name.endswith(".cbt")]
    there = [name for name in there if name not in logs]
    own = {v["location"] + ".cbt" for v in vdis if v["cbt_enabled"] and not v["is_a_snapshot"]}
    return ([("an intent that is not of a volume which others continue", n, texts[n]) for n in texts if n not in inner]
            + [("what nothing continues", n) for n in inner if not local]
            + [("a log of changes without its disk", n) for n in logs if not any(v["cbt_enabled"] for v in vdis)]
            + [("a disk without its log", n) for n in own.difference(logs)]
            + ([("not one volume for each disk", there, local, inner)] if there != sorted(local + [n + ".vhd" for n in inner])
               else []))


def check_whole(daemon, api):
    """What must be true at any quiet moment, above all after a crash."""
    machines = daemon.machines()
    records = {r["uuid"]: r for r in api.call("VM.get_all_records").values()}
    live = sorted(u for u, r in records.items() if r["power_state"] in ("Running", "Paused"))
    assert sorted(machines.values()) == live == daemon.machine_dirs(), "one QEMU and one directory for each live VM"
    for record in records.values():
        if record["is_a_template"] or record["is_control_domain"]:
            continue
        running = record["power_state"] in ("Running", "Paused")
        sleeps = record["power_state"] == "Suspended"
        assert (record["suspend_VDI"] != "OpaqueRef:NULL") == sleeps
        assert record["current_operations"] == {}, record
        assert (record["resident_on"] != "OpaqueRef:NULL") == running
        assert len(record["consoles"]) == (2 if running else 0)
        assert (int(record["domid"]) >= 0) == running
        for cls, refs in (("VBD", record["VBDs"]), ("VIF", record["VIFs"])):
            for ref in refs:
                assert running or sleeps or not api.call(cls + ".get_currently_attached", ref)
    tpms = daemon.state / "tpm"
    assert (sorted(p.name for p in tpms.iterdir()) if tpms.is_dir() else []) == sorted(
        r["uuid"] for r in api.call("VTPM.get_all_records").values()), "a file for each TPM"
    last = []
    try:
        until("volumes at rest", lambda: last.__setitem__(slice(None), volumes_amiss(daemon, api)) or not last)
    except AssertionError:
        assert not last, last
    assert set(daemon.disk_processes().values()) <= set(live), "no disk process without its machine"
    folder = daemon.runtime / "disks" / "vm"  # one that died is followed by another
    until("a disk process for each that has disks", lambda: (sorted(p.name for p in folder.iterdir()) if folder.is_dir()
                                                             else []) == sorted(daemon.disk_processes().values()))
    plugged = {(api.call("VM.get_uuid", v["VM"]), v["uuid"] + ".sock") for v in api.call("VBD.get_all_records").values()
               if v["currently_attached"]}
    there = {(path.parent.name, path.name) for path in (daemon.runtime / "disks" / "nbd").glob("*/*.sock")}
    assert there <= plugged, "a socket of a disk that is not there"
    assert [t["name_label"] for t in api.call("task.get_all_records").values() if t["status"] == "pending"] == []
    for cls in ("VDI", "SR", "VBD", "VIF"):
        for record in api.call(cls + ".get_all_records").values():
            assert record["current_operations"] == {}, record
