#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Changed blocks as serai-disk notes them: exact when nothing dies, never less than what changed when something does.
Usage: cbt_test.py SERAI_DISK SERAI_VHD [TEST]"""

import os
import pathlib
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from nbdclient import FLUSH, TRIM, WRITE, ZEROES, Nbd, Server  # noqa: E402

DISK, VHD = (str(pathlib.Path(x).resolve()) for x in sys.argv[1:3])
MIB, BLOCK = 1 << 20, 65536
AT_INTENTS, AT_BITS = 4096, 20480


def header(size, parent=bytes(16)):
    b = bytearray(512)
    b[:8] = b"seraicbt"
    struct.pack_into(">I", b, 8, 1)
    struct.pack_into(">Q", b, 16, size)
    b[24:40] = parent
    struct.pack_into(">I", b, 12, ~sum(b) & 0xFFFFFFFF)
    return bytes(b)


def make_log(image, size):
    with open(image.with_suffix(".cbt"), "wb") as f:
        f.truncate(8 * MIB)
        f.write(header(size))


def look(image):
    """size, uuid of the parent, regions with an intent, blocks noted."""
    with open(image.with_suffix(".cbt"), "rb") as f:
        b = f.read(8 * MIB)
    assert b[:512] == header(struct.unpack_from(">Q", b, 16)[0], b[24:40])
    (size,) = struct.unpack_from(">Q", b, 16)

    def bits(at, n):
        return {i for i in range(n) if b[at + i // 8] & 0x80 >> i % 8}

    return size, uuid.UUID(bytes=b[24:40]), bits(AT_INTENTS, -(-size // (16 * MIB))), bits(AT_BITS, -(-size // BLOCK))


def changed(image):
    """All that counts as changed, as whoever opens it next sees it."""
    _, _, intents, bits = look(image)
    return bits | {r * 256 + i for r in intents for i in range(256)}


def new_image(work):
    return work / f"{uuid.uuid4()}.vhd"


def create(work, mib):
    image = new_image(work)
    subprocess.run([VHD, "create", image, f"{mib}MiB"], check=True, timeout=60)
    make_log(image, mib * MIB)
    return image


def serve(work, image, **more):
    server = Server(DISK, work)
    server.ask("open", id="d", path=image, nbd=work / "nbd", write="yes", **more)
    return server, Nbd(work / "nbd")


def whole(nbd, mib):
    return b"".join(nbd.read(at * MIB, 8 * MIB) for at in range(0, mib, 8))


def differ(a, b):
    return {i for i in range(len(a) // BLOCK) if a[i * BLOCK : (i + 1) * BLOCK] != b[i * BLOCK : (i + 1) * BLOCK]}


def test_exact(work):
    """What was written, zeroed and trimmed, and nothing else; a log for each snapshot; growing; read only it is left alone."""
    first = create(work, 48)
    server, nbd = serve(work, first)
    nbd.write(5 * BLOCK + 512, b"a" * 512)
    nbd.write(17 * MIB - 4096, b"b" * 8192)
    nbd.write(40 * MIB, b"c" * 4096)
    nbd.run(ZEROES, 9 * BLOCK, length=BLOCK + 512)
    nbd.run(TRIM, 20 * BLOCK, length=512)
    assert nbd.read(0, 4096) == bytes(4096)
    want = {5, 17 * 16 - 1, 17 * 16, 40 * 16, 9, 10, 20}
    assert changed(first) >= want, "durable at once"
    second = new_image(work)
    server.ask("snapshot", ("id", "d"), ("path", second))
    size, parent, intents, bits = look(first)
    assert (size, parent.int, intents, bits) == (48 * MIB, 0, set(), want), (size, parent, intents, bits)
    assert look(second) == (48 * MIB, uuid.UUID(first.stem), set(), set())
    nbd.write(30 * MIB, b"d" * 512)
    server.ask("resize", id="d", bytes=80 * MIB)
    later = Nbd(work / "nbd")
    later.write(79 * MIB, b"e" * 512)
    kind, values = server.try_("snapshot", ("id", "d"), ("path", first))
    assert kind == "error" and values["code"] == "EEXIST", values
    server.ask("merge", id="d")
    later.write(60 * MIB, b"f" * 512)
    nbd.close(), later.close()
    server.stop()
    size, parent, intents, bits = look(second)
    assert (size, parent, intents) == (80 * MIB, uuid.UUID(first.stem), set())
    assert bits == {30 * 16, 79 * 16, 60 * 16}, bits
    server, nbd = serve(work, second)
    nbd.write(0, b"g" * 512)
    nbd.close()
    server.stop()
    assert look(second)[3] == {0, 30 * 16, 79 * 16, 60 * 16}
    before = second.with_suffix(".cbt").read_bytes()
    server = Server(DISK, work)
    server.ask("open", id="d", path=second, nbd=work / "nbd")
    Nbd(work / "nbd").read(0, 512)
    server.stop()
    assert second.with_suffix(".cbt").read_bytes() == before


def test_begun_and_ended_while_it_runs(work):
    image = create(work, 32)
    log = image.with_suffix(".cbt")
    log.unlink()
    server, nbd = serve(work, image)
    nbd.write(0, b"a" * 512)
    assert not log.exists()
    make_log(image, 32 * MIB)
    server.ask("track", id="d")
    nbd.write(20 * MIB, b"b" * 512)
    assert changed(image) == set(range(256, 512))
    server.ask("track", id="d")
    assert look(image)[3] == {320} and not look(image)[2]
    log.unlink()
    server.ask("track", id="d")
    nbd.write(MIB, b"c" * 512)
    log.write_bytes(b"no log" * 1000)
    nbd.close()
    server.stop()
    server, nbd = serve(work, image)  # what cannot be read is begun anew
    nbd.write(0, b"d" * 512)
    nbd.close()
    server.stop()
    assert look(image) == (32 * MIB, uuid.UUID(int=0), set(), {0})


def load_until_killed(nbd, rng, mib, kill_after, kill):
    pending = done = 0
    free, busy = set(range(mib * 16)), {}
    try:
        while True:
            while pending < 24:
                block = rng.choice(tuple(free)) if rng.random() < 0.02 else rng.randrange(mib * 16)
                kind = rng.choice((WRITE, WRITE, WRITE, WRITE, ZEROES, FLUSH))
                if kind == FLUSH and rng.random() < 0.5 or kind != FLUSH and block not in free:
                    continue
                if kind == FLUSH:
                    nbd.send(FLUSH)
                else:
                    free.remove(block)
                    at, n = block * BLOCK + 512 * rng.randrange(100), 512 * rng.randrange(1, 20)
                    cookie = (nbd.send(WRITE, at, rng.randbytes(n)) if kind == WRITE else nbd.send(ZEROES, at, length=n))
                    busy[cookie] = block
                pending += 1
            cookie, error, _ = nbd.reply()
            assert error == 0, os.strerror(error)
            pending -= 1
            done += 1
            if cookie in busy:
                free.add(busy.pop(cookie))
            if done == kill_after:
                kill()
    except (ConnectionError, BrokenPipeError):
        pass


def snapshot_until_killed(server, work, leaves):
    try:
        while True:
            new = new_image(work)
            leaves.append(new)
            server.ask("snapshot", ("id", "d"), ("path", new))
    except (OSError, ValueError, IndexError):
        pass


def chain_changes(leaf, back_to):
    """All noted from one leaf back to a log."""
    out = set()
    while True:
        out |= changed(leaf)
        if leaf == back_to:
            return out
        leaf = leaf.with_name(f"{look(leaf)[1]}.vhd")


def test_never_less_when_killed(work):
    """Whatever is being done when it is killed: what differs from the state before is in the logs since then."""
    mib = 48
    rng = random.Random(int.from_bytes(os.urandom(4), "big"))
    image = create(work, mib)
    before = bytes(mib * MIB)
    for i in range(4):
        server, nbd = serve(work, image, plain="yes" if i == 2 else "no")
        leaves, snapper = [image], None
        if i % 2:
            snapper = threading.Thread(target=snapshot_until_killed, args=(server, work, leaves))
            snapper.start()
        load_until_killed(nbd, rng, mib, rng.randrange(20, 700), server.p.kill)
        server.p.wait()
        if snapper:
            snapper.join()
        server.end()
        nbd.close()
        start, image = image, next(p for p in reversed(leaves) if p.exists())
        assert image.with_suffix(".cbt").exists(), "a leaf has its log before it is there"
        for unused in leaves[leaves.index(image) + 1 :]:
            unused.with_suffix(".cbt").unlink(missing_ok=True)
        server, nbd = serve(work, image)
        now = whole(nbd, mib)
        missed = differ(before, now) - chain_changes(image, start)
        assert not missed, f"changed and not noted: {sorted(missed)[:9]}"
        nbd.close()
        new = new_image(work)
        server.ask("snapshot", ("id", "d"), ("path", new))
        server.stop()
        image, before = new, now
        assert not changed(image)


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
        with tempfile.TemporaryDirectory(prefix="serai-cbt-", dir=os.environ.get("TMPDIR", "/var/tmp")) as work:
            try:
                fn(pathlib.Path(work))
                print(f"ok {i} - {name}", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError) as e:
                failed += 1
                print(f"# {type(e).__name__}: {e}\nnot ok {i} - {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
