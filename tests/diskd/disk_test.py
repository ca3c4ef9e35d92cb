#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""serai-disk from outside: what NBD clients of others see, snapshots and growing under load, killed under load,
a full file system, bad messages. Usage: disk_test.py SERAI_DISK SERAI_VHD"""

import ctypes
import os
import pathlib
import random
import resource
import signal
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from nbdclient import FLUSH, FUA, READ, TRIM, WRITE, ZEROES, Nbd, Server  # noqa: E402

DISK, VHD = (str(pathlib.Path(x).resolve()) for x in sys.argv[1:3])
MIB = 1 << 20


def run(*args, ok=True):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=100, check=False)
    assert not ok or r.returncode == 0, f"{args}: {r.stdout}{r.stderr}"
    return r.stdout + r.stderr


def vhd(*args):
    return run(VHD, *args)


class Disk:
    """A server with one disk, or more."""

    def __init__(self, work, image, **more):
        self.server = Server(DISK, work)
        self.sock = pathlib.Path(work) / "nbd"
        self.server.ask("open", id="d", path=image, nbd=self.sock, write="yes", **more)
        self.uri = f"nbd+unix:///?socket={self.sock}"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.server.end()
        elif self.server.p.poll() is None:
            self.server.stop()


def test_clients_of_others(work):
    image, raw = work / "a.vhd", work / "raw"
    vhd("create", image, "64MiB")
    with open(raw, "wb") as f:
        f.truncate(64 * MIB)
        for at in (0, 5 * MIB + 512, 31 * MIB, 64 * MIB - 4096):
            f.seek(at)
            f.write(random.randbytes(4096))
    with Disk(work, image) as d:
        if shutil.which("nbdinfo"):
            out = run("nbdinfo", d.uri)
            for want in ("can_multi_conn: true", "can_fua: true", "can_trim: true", "base:allocation"):
                assert want in out, out
            assert run("nbdinfo", "--map", d.uri).split()[-1] == "hole,zero"
            run("nbdcopy", "--flush", raw, d.uri)
            run("nbdcopy", d.uri, work / "back")
            assert (work / "back").read_bytes() == raw.read_bytes()
        run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", raw, d.uri)
        assert "identical" in run("qemu-img", "compare", "-f", "raw", "-F", "raw", raw, d.uri)
        run("qemu-io", "-f", "raw", "-c", "write -P 7 3M 4M", "-c", "write -f -P 8 1k 512", "-c", "discard 4M 2M",
            "-c", "write -z 6M 4k", "-c", "read -P 7 3M 1M", "-c", "read -P 0 4M 2M", "-c", "read -P 8 1k 512",
            "-c", "read -P 0 6M 4k", "-c", "read -P 7 6148k 64k", "-c", "flush", d.uri)
        one, two = Nbd(d.sock), Nbd(d.sock)
        one.write(20 * MIB, b"x" * 4096)
        assert two.read(20 * MIB, 4096) == b"x" * 4096
        stats = d.server.ask("stats", id="d")
        assert stats["connections"] == "2" and stats["bytes"] == str(64 * MIB) and stats["stopped"] == "no"
        expect = one.read(0, 32 * MIB) + one.read(32 * MIB, 32 * MIB)
        one.close()
        two.close()
    vhd("check", image)
    vhd("convert", image, work / "end", "--to", "raw")
    assert (work / "end").read_bytes() == expect
    run("qemu-img", "compare", "-f", "raw", "-F", "vpc", work / "end", image)


def test_snapshots_and_growing_under_load(work):
    """All writes of one client carry a number that rises; each layer, read alone, has all up to some number."""
    for name in ("a", "b"):
        vhd("create", work / f"{name}0.vhd", "16MiB")
    server = Server(DISK, work)
    nbd = {}
    for name in ("a", "b"):
        server.ask("open", id=name, path=work / f"{name}0.vhd", nbd=work / name, write="yes")
        nbd[name] = Nbd(work / name)
    stop = threading.Event()
    count = [0]

    def load():
        rng = random.Random(3)
        while not stop.is_set():
            count[0] += 1
            block = rng.randrange(16 * MIB // 4096)
            for name in ("a", "b"):  # b is never ahead of a
                nbd[name].write(block * 4096 if block else 4096, count[0].to_bytes(8, "big") * 512)
                nbd[name].write(0, count[0].to_bytes(8, "big") * 512)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for i in range(1, 6):
            before = count[0]
            while count[0] < before + 40 and thread.is_alive():
                stop.wait(0.001)
            server.ask("snapshot", ("id", "a"), ("path", work / f"a{i}.vhd"), ("id", "b"), ("path", work / f"b{i}.vhd"))
        kind, values = server.try_("snapshot", ("id", "a"), ("path", work / "a9.vhd"), ("id", "b"), ("path", work / "b2.vhd"))
        assert kind == "error" and values["code"] == "EEXIST", values
        assert not (work / "a9.vhd").exists()
        server.ask("resize", id="a", bytes=20 * MIB)
        kind, values = server.try_("resize", id="a", bytes=16 * MIB)
        assert kind == "error", values
    finally:
        stop.set()
        thread.join()
    assert server.ask("stats", id="a")["depth"] == "6"
    bigger = Nbd(work / "a")
    assert bigger.size == 20 * MIB
    bigger.write(20 * MIB - 4096, b"e" * 4096)
    assert bigger.read(16 * MIB, MIB) == bytes(MIB)
    server.stop()
    numbers = []
    for i in range(6):
        for name in ("a", "b"):
            path = work / f"{name}{i}.vhd"
            vhd("check", path)
            (work / f"{name}.raw").unlink(missing_ok=True)
            vhd("convert", path, work / f"{name}.raw", "--to", "raw")
            with open(work / f"{name}.raw", "rb") as f:
                numbers.append(int.from_bytes(f.read(8), "big"))
    pairs = list(zip(numbers[::2], numbers[1::2]))
    assert pairs == sorted(pairs) and pairs[-1][0] == count[0], pairs
    assert all(a - 1 <= b <= a for a, b in pairs), f"not one moment: {pairs}"


class Oracle:
    """What each block of 4 KiB may hold after a kill: its value at the last flush, or any written since."""

    def __init__(self, blocks):
        self.history = {b: [bytes(8)] for b in range(blocks)}
        self.busy = {}  # cookie: blocks
        self.locked = set()

    def check(self, block, data):
        assert data == data[:8] * 512, f"block {block} is torn"
        assert data[:8] in self.history[block], f"block {block}: {data[:8]} is none of {self.history[block]}"

    def flush_point(self):
        return {b: len(h) - 1 for b, h in self.history.items() if b not in self.locked}

    def flushed(self, point):
        for b, n in point.items():
            del self.history[b][:n]
        # later points count from what is left: there is one flush under way at a time


def zero_unit(nbd, oracle, rng, blocks):
    """All of a block of the image; nothing if part of it is being written."""
    first = rng.randrange(blocks // 512) * 512
    unit = range(first, first + 512)
    if not oracle.locked.isdisjoint(unit):
        return False
    oracle.locked.update(unit)
    for b in unit:
        oracle.history[b].append(bytes(8))
    oracle.busy[nbd.send(rng.choice((TRIM, ZEROES)), first * 4096, length=512 * 4096)] = unit
    return True


def load_until_killed(nbd, oracle, rng, serial, kill_after, kill, units=False):
    blocks, done, flush, point = len(oracle.history), 0, None, None
    pending = 0
    try:
        while True:
            while pending < 32:
                if flush is None and rng.random() < 0.03:
                    point, flush = oracle.flush_point(), nbd.send(FLUSH)
                    pending += 1
                    continue
                if units and rng.random() < 0.01:
                    pending += zero_unit(nbd, oracle, rng, blocks)
                    continue
                b = rng.randrange(blocks) if rng.random() < 0.5 else rng.randrange(64)
                if b in oracle.locked:
                    continue
                oracle.locked.add(b)
                zero = rng.random() < 0.1
                value = bytes(8) if zero else next(serial).to_bytes(8, "big")
                oracle.history[b].append(value)
                cookie = (nbd.send(rng.choice((TRIM, ZEROES)), b * 4096, length=4096) if zero
                          else nbd.send(WRITE, b * 4096, value * 512))
                oracle.busy[cookie] = [b]
                pending += 1
            cookie, error, _ = nbd.reply()
            assert error == 0, os.strerror(error)
            pending -= 1
            done += 1
            if cookie == flush:
                oracle.flushed(point)
                flush = None
            else:
                oracle.locked.difference_update(oracle.busy.pop(cookie))
            if done == kill_after:
                kill()
    except (ConnectionError, BrokenPipeError):
        pass


def check_all(work, oracle, image, mib):
    with Disk(work, image) as d:
        nbd = Nbd(d.sock)
        for at in range(0, mib, 8):
            data = nbd.read(at * MIB, 8 * MIB)
            for k in range(0, len(data), 4096):
                b = at * MIB // 4096 + k // 4096
                oracle.check(b, data[k : k + 4096])
                oracle.history[b] = [data[k : k + 8]]
        nbd.flush()
        nbd.close()
    vhd("check", image)


def send_late(stopper):
    try:
        stopper.send(b"merge-stop\nid=d")
    except OSError:
        pass  # it has been killed since


def merge_until_killed(server, work, number, leaf, done, rng, merges):
    """Snapshots and the leaf put back into what it continues, one after the other; some are given up. The leaf's path."""
    stopper = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stopper.connect(str(server.path))
    try:
        while True:
            new = work / f"m{next(number)}.vhd"
            leaf.append(new)
            server.ask("snapshot", ("id", "d"), ("path", new))
            if rng.random() < 0.2:
                threading.Timer(rng.random() * 0.2, send_late, [stopper]).start()
            kind, values = server.try_("merge", id="d")
            if kind == "ok":
                assert not leaf[-2].exists(), "the parent has another name now"
                done.append(server.ask("stats", id="d"))
                merges -= 1
                if merges == 0:
                    server.p.kill()
            else:
                assert values["code"] == "ECANCELED", values
                leaf.append(leaf[-1])
    except (OSError, ValueError, IndexError):
        pass
    finally:
        stopper.close()


def test_merged_under_load_and_killed(work):
    """A guest writes and zeroes all the time while leaves go into their parents; whenever it is killed, what was flushed is
    there, and what lies in between is not needed."""
    mib = 24
    rng = random.Random(int.from_bytes(os.urandom(4), "big"))
    serial, number = iter(range(1, 1 << 60)), iter(range(1 << 30))
    oracle = Oracle(mib * MIB // 4096)
    image, done = work / "m.vhd", []
    vhd("create", image, f"{mib}MiB")
    for rounds in range(6):
        by_time = rounds % 2
        d = Disk(work, image, plain="yes" if rounds % 3 == 2 else "no")
        nbd, leaf = Nbd(d.sock), [image]
        merger = threading.Thread(target=merge_until_killed, args=(d.server, work, number, leaf, done, rng, 0 if by_time else 2))
        merger.start()
        load_until_killed(nbd, oracle, rng, serial, rng.randrange(200, 2000) if by_time else 0, d.server.p.kill, units=True)
        d.server.p.wait()
        merger.join()
        d.server.end()
        nbd.close()
        oracle.busy.clear()
        oracle.locked.clear()
        image = next(p for p in reversed(leaf) if p.exists())
        check_all(work, oracle, image, mib)
    assert len(done) >= 6, done


def test_killed_under_load(work):
    blocks = 24 * MIB // 4096
    rng = random.Random(int.from_bytes(os.urandom(4), "big"))
    serial = iter(range(1, 1 << 60))
    oracle = Oracle(blocks)
    image = work / "k0.vhd"
    vhd("create", image, "24MiB")
    for i in range(6):
        d = Disk(work, image, plain="yes" if i % 3 == 2 else "no")
        nbd = Nbd(d.sock)
        load_until_killed(nbd, oracle, rng, serial, rng.randrange(20, 1500), d.server.kill)
        nbd.close()
        oracle.busy.clear()
        oracle.locked.clear()
        check_all(work, oracle, image, 24)
        if i % 2:
            child = work / f"k{i}.vhd"
            vhd("snapshot", image, child)
            image = child


class Guest:
    """What goes on writing while disk processes come and go: it sends again what was not answered, as QEMU does. All that was
    answered is there, flushed or not."""

    def __init__(self, rng, blocks):
        self.rng = rng
        self.now = [bytes(8)] * blocks
        self.busy = {}  # cookie: (cmd, first block, number of blocks, value)
        self.locked = set()
        self.serial = iter(range(1, 1 << 60))

    def send(self, nbd, request):
        cmd, first, n, value = request
        if cmd == WRITE:
            cookie = nbd.send(WRITE, first * 4096, value * 512 * n)
        else:
            cookie = nbd.send(cmd, first * 4096, length=n * 4096)
        self.busy[cookie] = request

    def pick(self):
        rng, blocks = self.rng, len(self.now)
        if rng.random() < 0.01:
            return FLUSH, 0, 0, None
        if rng.random() < 0.02:
            return rng.choice((TRIM, ZEROES)), rng.randrange(blocks // 512) * 512, 512, bytes(8)
        first = rng.randrange(blocks) if rng.random() < 0.5 else rng.randrange(64)
        n = min(rng.choice((1, 1, 1, 1, 3, 40)), blocks - first)
        if rng.random() < 0.1:
            return rng.choice((TRIM, ZEROES)), first, n, bytes(8)
        return WRITE, first, n, next(self.serial).to_bytes(8, "big")

    def again(self, nbd):
        requests, self.busy = list(self.busy.values()), {}
        for request in requests:
            self.send(nbd, request)

    def answered(self, nbd):
        cookie, error, _ = nbd.reply()
        assert error == 0, os.strerror(error)
        _, first, n, value = self.busy.pop(cookie)
        self.now[first : first + n] = [value] * n
        self.locked.difference_update(range(first, first + n))

    def run(self, nbd, until):
        try:
            while True:
                while len(self.busy) < 24:
                    request = self.pick()
                    span = range(request[1], request[1] + request[2])
                    if self.locked.isdisjoint(span):
                        self.locked.update(span)
                        self.busy[-1] = request  # what can be sent no more comes again as well
                        self.send(nbd, request)
                        del self.busy[-1]
                self.answered(nbd)
                if until():
                    return
        except (ConnectionError, BrokenPipeError):
            pass

    def rest(self, nbd):
        while self.busy:
            self.answered(nbd)

    def compare(self, nbd):
        for at in range(0, len(self.now), 512):
            data = nbd.read(at * 4096, 512 * 4096)
            for k in range(512):
                want, got = self.now[at + k] * 512, data[k * 4096 : k * 4096 + 4096]
                assert got == want, f"block {at + k}: {got[:8]} instead of {want[:8]}"


def test_a_guest_goes_on_when_killed(work):
    """SIGKILL, SIGTERM (how it is upgraded) and snapshots in between, with hardly a flush: no answered write is lost."""
    rng = random.Random(int.from_bytes(os.urandom(4), "big"))
    guest = Guest(rng, 24 * MIB // 4096)
    image, journal = work / "g0.vhd", work / "g.journal"
    vhd("create", image, "24MiB")
    for i in range(8):
        plain = "yes" if i % 5 == 4 else "no"
        d = Disk(work, image, journal=journal, plain=plain)
        nbd, left = Nbd(d.sock), [rng.randrange(20, 1200)]

        def until(left=left, d=d, i=i):
            left[0] -= 1
            if left[0] == 0 and i % 4 == 3:
                d.server.p.terminate()
            elif left[0] == 0:
                d.server.p.kill()
            return False

        guest.run(nbd, until)
        d.server.p.wait()
        nbd.close()
        assert journal.exists() == (i % 4 != 3), "it is there while something may be owed"
        d.server.end()
        if i % 3 == 1:  # killed again while it puts into the image what was owed, or before
            server = Server(DISK, work)
            server.s.send(f"open\nid=d\npath={image}\nnbd={work}/nbd\nwrite=yes\njournal={journal}".encode())
            for _ in range(rng.randrange(200)):
                os.sched_yield()
            server.kill()
        d = Disk(work, image, journal=journal, plain=plain)
        nbd = Nbd(d.sock)
        guest.again(nbd)
        guest.rest(nbd)
        guest.compare(nbd)
        if i % 2:
            image = work / f"g{i + 1}.vhd"
            d.server.ask("snapshot", ("id", "d"), ("path", image))
            guest.run(nbd, iter([False] * 99 + [True]).__next__)
            guest.rest(nbd)
            d.server.p.kill()
            d.server.p.wait()
            d.server.end()
        else:
            nbd.close()
            d.server.stop()
            assert not journal.exists()
            vhd("check", image)


def in_small_file_system(work, size):
    """Mount a tmpfs for this process alone; in a user namespace where we are not root."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(0x00020000 | (0 if uid == 0 else 0x10000000)) != 0:
        return False
    if uid:
        pathlib.Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
        pathlib.Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="ascii")
    if libc.mount(None, b"/", None, 0x40000 | 0x4000, None) != 0:
        return False
    small = work / "small"
    small.mkdir()
    return libc.mount(b"tmpfs", os.fsencode(small), b"tmpfs", 0, f"size={size}".encode()) == 0


def full_disk(work):
    assert in_small_file_system(work, "24m"), "no file system of our own can be mounted"
    small = work / "small"
    image = small / "f.vhd"
    vhd("create", image, "64MiB")
    # Reported: the error is the client's, what was there stays.
    with Disk(work, image) as d:
        nbd = Nbd(d.sock)
        results = [nbd.run(WRITE, at * 2 * MIB, bytes([at + 1]) * 4096)[0] for at in range(20)]
        assert results[0] == 0 and results[-1] == 28 and 4 <= results.count(0) < 20, results
        good = [at for at in range(20) if results[at] == 0]
        for at in good:
            assert nbd.read(at * 2 * MIB, 4096) == bytes([at + 1]) * 4096
        nbd.flush()
        nbd.close()
    vhd("check", image)
    # Held: nobody hears of it, and it goes on when there is room.
    with Disk(work, image, enospc="stop") as d:
        nbd = Nbd(d.sock)
        assert all(nbd.read(at * 2 * MIB, 4096) == bytes([at + 1]) * 4096 for at in good)
        cookies = [nbd.send(WRITE, at * 2 * MIB, b"s" * 4096) for at in range(20, 28)]
        kind, values = d.server.message()
        assert (kind, values["name"], values["error"]) == ("event", "stopped", "ENOSPC"), values
        assert d.server.ask("stats", id="d")["stopped"] == "ENOSPC"
        subprocess.run(["mount", "-o", "remount,size=100m", str(small)], check=True)
        d.server.ask("resume", id="d")
        for _ in cookies:
            cookie, error, _ = nbd.reply()
            assert error == 0, os.strerror(error)
        assert nbd.read(27 * 2 * MIB, 4096) == b"s" * 4096
        nbd.close()
    vhd("check", image)


def test_full_disk(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            full_disk(work)
            code = 0
        except BaseException as e:  # noqa: B902 - this is the end of the process
            print(f"# {type(e).__name__}: {e}", flush=True)
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0, "see above"


def test_limits(work):
    """Changed while requests go on; what has been slowed down goes on at once when there is no limit any more."""
    image = work / "l.vhd"
    vhd("create", image, "16MiB")
    with Disk(work, image, iops=50) as d:
        nbd = Nbd(d.sock)

        def seconds(n, length):
            begin = time.monotonic()
            for i in range(n):
                nbd.send(WRITE, (i % 64) * 4096, b"l" * length)
            for _ in range(n):
                assert nbd.reply()[1] == 0
            return time.monotonic() - begin

        assert seconds(40, 4096) > 0.7
        d.server.ask("set", id="d", bytes_per_second=1 << 20)
        assert seconds(8, 65536 * 2) > 0.8  # the first goes at once
        d.server.ask("set", id="d", iops=1)
        cookies = [nbd.send(READ, 0, length=512) for _ in range(40)]
        nbd.send(FLUSH)
        assert nbd.reply()[0] in (cookies[0], cookies[-1] + 1), "a flush has no turn to wait for"
        d.server.ask("set", id="d")
        for _ in cookies:
            assert nbd.reply()[1] == 0
        assert int(d.server.ask("stats", id="d")["limited"]) > 40
        d.server.ask("set", id="d", iops=1)
        for _ in range(5):
            nbd.send(READ, 0, length=512)
        kind, values = d.server.try_("set", id="d", iops="many")
        assert (kind, values["code"]) == ("error", "EINVAL"), values
        nbd.close()
    vhd("check", image)


def test_memory_goes_back_at_rest(work):
    """Little is taken, and of that what says who owns what goes when nobody asks."""
    image = work / "r.vhd"
    vhd("create", image, "512MiB")
    with Disk(work, image) as d:
        nbd = Nbd(d.sock)
        for layer in range(2):
            for at in range(256):
                nbd.write(at * 2 * MIB + layer * 8192, bytes([layer + 1]) * 4096)
            d.server.ask("snapshot", ("id", "d"), ("path", work / f"r{layer}.vhd"))
        assert nbd.read(0, 4096) == b"\1" * 4096
        nbd.flush()
        for at in range(256):
            assert nbd.read(at * 2 * MIB + 8192, 4096) == b"\2" * 4096
        assert int(d.server.ask("stats", id="d")["maps"]) >= 200
        end = time.monotonic() + 60
        while int(d.server.ask("stats", id="d")["maps"]):
            assert time.monotonic() < end
            time.sleep(0.2)
        pss = [int(x.split()[1]) for x in pathlib.Path(f"/proc/{d.server.p.pid}/smaps_rollup").read_text().splitlines() if x.startswith("Pss:")]
        assert pss[0] < 12 << 10 or "san" in os.environ.get("ASAN_OPTIONS", "") + DISK, pss
        assert nbd.read(8192, 4096) == b"\2" * 4096
        nbd.close()
    vhd("check", image)


def test_bad_peers(work):
    image = work / "p.vhd"
    vhd("create", image, "16MiB")
    with Disk(work, image) as d:
        for junk in (b"", b"\0\0\0\3" + b"x" * 100, b"\0\0\0\3IHAVEOPT\0\0\0\7\xff\xff\xff\xff", os.urandom(70000)):
            s = socket.socket(socket.AF_UNIX)
            s.connect(str(d.sock))
            try:
                s.sendall(junk)
            except (BrokenPipeError, ConnectionResetError):
                pass
            s.close()
        nbd = Nbd(d.sock)
        for args, want in (((READ, 16 * MIB, None, 512), 22), ((READ, 1, None, 512), 22), ((WRITE, 16 * MIB, b"x" * 512), 28),
                           ((READ, 0, None, 33 * MIB), 75), ((99, 0, None, 0), 22)):
            nbd.lengths.clear()
            assert nbd.run(*args)[0] == want, args
        nbd.write(0, b"a" * 512, flags=FUA)
        half = Nbd(d.sock)  # goes away in the middle of a write
        half.s.sendall(b"\x25\x60\x95\x13\0\0\0\1" + bytes(8) + bytes(8) + (8 * MIB).to_bytes(4, "big") + b"z" * 5000)
        half.close()
        many = [Nbd(d.sock) for _ in range(4)]  # more than there is memory for at once
        for n in many:
            for i in range(3):
                n.send(READ, 0, length=16 * MIB)
        for n in many:
            for i in range(3):
                assert len(n.reply()[2]) == 16 * MIB
            n.close()
        assert nbd.read(0, 512) == b"a" * 512
        for text, code in (("nonsense", "EINVAL"), ("open\nid=d\npath=x", "EEXIST"), ("open\nid=e\npath=/nonexistent", "ENOENT"),
                           ("flush\nid=e", "ENOENT"), ("flush\nid=d\nwhat=1", "EINVAL"), ("snapshot\nid=d", "EINVAL"),
                           ("snapshot", "EINVAL"), ("=", "EINVAL"), ("\0", "EINVAL"), ("x" * 60000, "EINVAL")):
            d.server.s.send(text.encode())
            kind, values = d.server.message()
            assert (kind, values["code"]) == ("error", code), (text[:40], values)
        nbd.close()
    r = subprocess.run([DISK, "--nbd", str(work / "n"), "/nonexistent"], capture_output=True, text=True, timeout=60, check=False)
    assert r.returncode == 1 and "No such file" in r.stderr, r


def main():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(170)
    tests = [(k, f) for k, f in globals().items() if k.startswith("test_")]
    only = sys.argv[3:]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for i, (name, fn) in enumerate(tests, 1):
        if only and name not in only:
            continue
        # Not in /tmp, which may be a file system without direct I/O.
        with tempfile.TemporaryDirectory(prefix="serai-disk-", dir=os.environ.get("TMPDIR", "/var/tmp")) as work:
            try:
                fn(pathlib.Path(work))
                print(f"ok {i} - {name}", flush=True)
            except (AssertionError, OSError, subprocess.TimeoutExpired) as e:
                failed += 1
                print(f"# {type(e).__name__}: {e}\nnot ok {i} - {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
