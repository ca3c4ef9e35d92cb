#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What serai-vhd takes beside qemu-img, rounds interleaved, medians with their spread.

bench/vhd.py SERAI_VHD [--rounds N] [--mib SIZE] [--dir DIR]
Import and export: raw, half of it holes, against qemu-img's vpc with the same cache mode (the page cache, and a
sync at the end for both). Coalesce: against `qemu-img commit` of qcow2. Create, snapshot, open and check of 2040 GiB."""

import argparse
import os
import pathlib
import random
import statistics
import struct
import subprocess
import tempfile
import time

MIB = 1 << 20


def settle(directory):
    """Nothing of ours waits to be written."""
    for path in pathlib.Path(directory).iterdir():
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def timed(*args):
    settle(pathlib.Path(args[2]).parent)
    start = time.monotonic()
    subprocess.run([str(a) for a in args], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def synced(path, *args):
    """The time until path is on the disk."""
    settle(path.parent)
    start = time.monotonic()
    subprocess.run([str(a) for a in args], check=True, stdout=subprocess.DEVNULL)
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    return time.monotonic() - start


def raw_with_holes(path, mib, seed):
    rng = random.Random(seed)
    with open(path, "wb") as f:
        for at in range(0, mib, 8):
            f.seek(at * MIB)
            f.write(rng.randbytes(4 * MIB))
        f.truncate(mib * MIB)


def sparse_raw(path, mib, seed, writes):
    rng = random.Random(seed)
    with open(path, "wb") as f:
        f.truncate(mib * MIB)
        for _ in range(writes):
            f.seek(rng.randrange(mib * MIB // 4096) * 4096)
            f.write(rng.randbytes(4096))


def remove(*paths):
    for p in paths:
        pathlib.Path(p).unlink(missing_ok=True)


class Bench:
    def __init__(self, tool, d, mib):
        self.tool, self.d, self.mib = tool, d, mib
        self.rows = {}
        raw_with_holes(d / "half.raw", mib, 1)
        self.prepare_full_table()

    def note(self, row, who, value):
        self.rows.setdefault(row, {}).setdefault(who, []).append(value)

    def move_data(self):
        d = self.d
        self.note("import, MB/s", "serai", self.mib / synced(d / "s.vhd", self.tool, "convert", d / "half.raw",
                                                            d / "s.vhd", "--to", "vhd"))
        self.note("import, MB/s", "qemu-vpc", self.mib / synced(d / "q.vhd", "qemu-img", "convert", "-f", "raw", "-O",
                                                               "vpc", d / "half.raw", d / "q.vhd"))
        self.note("export, MB/s", "serai", self.mib / synced(d / "s.raw", self.tool, "convert", d / "s.vhd",
                                                            d / "s.raw", "--to", "raw"))
        self.note("export, MB/s", "qemu-vpc", self.mib / synced(d / "q.raw", "qemu-img", "convert", "-f", "vpc", "-O",
                                                               "raw", d / "s.vhd", d / "q.raw"))
        remove(d / "s.vhd", d / "q.vhd", d / "s.raw", d / "q.raw")

    def coalesce(self, row, make_child, mib):
        """Both children hold the same; ours is merged into its parent, which takes its name."""
        d = self.d
        make_child(d / "child.raw")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", d / "b.qcow2", f"{self.mib}M"], check=True)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", d / "half.raw", d / "b.qcow2"], check=True)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", d / "child.raw", d / "c.qcow2"], check=True)
        subprocess.run(["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", "b.qcow2",
                        d / "c.qcow2"], check=True)
        self.note(row, "qemu-qcow2", mib / synced(d / "b.qcow2", "qemu-img", "commit", "-q", "-f", "qcow2",
                                                  d / "c.qcow2"))
        subprocess.run([self.tool, "convert", d / "half.raw", d / "b.vhd", "--to", "vhd"], check=True)
        subprocess.run([self.tool, "snapshot", d / "b.vhd", d / "c.vhd"], check=True)
        subprocess.run([self.tool, "write", d / "c.vhd", d / "child.raw"], check=True)
        self.note(row, "serai", mib / synced(d / "c.vhd", self.tool, "coalesce", d / "c.vhd"))
        remove(*d.glob("b.*"), *d.glob("c.*"), d / "child.raw")

    def prepare_full_table(self):
        path = self.d / "full.vhd"
        subprocess.run([self.tool, "create", path, "2040GiB"], check=True)
        with open(path, "r+b") as f:
            f.seek(-512, 2)
            footer = f.read(512)
            first, stride, n = (8192 + 1044480 * 4 + 4096 - 512) // 512, (2 * MIB + 4096) // 512, 1044480
            order = list(range(n))
            random.Random(2).shuffle(order)
            f.seek(8192)
            f.write(struct.pack(f">{n}I", *(first + stride * k for k in order)))
            f.seek((first + stride * n) * 512)
            f.write(footer)

    def tables(self):
        d = self.d
        for row, args in (("create 2040 GiB, ms", ("create", d / "n.vhd", "2040GiB")),
                          ("snapshot 2040 GiB, ms", ("snapshot", d / "n.vhd", d / "m.vhd")),
                          ("check full 2040 GiB, ms", ("check", d / "full.vhd"))):
            self.note(row, "serai", 1000 * timed(self.tool, *args))
        remove(d / "n.vhd", d / "m.vhd")

    def chain(self):
        d = self.d
        subprocess.run([self.tool, "convert", d / "half.raw", d / "l0.vhd", "--to", "vhd"], check=True)
        for i in range(1, 30):
            subprocess.run([self.tool, "snapshot", d / f"l{i - 1}.vhd", d / f"l{i}.vhd"], check=True)
        for _ in range(3):
            self.note("open a chain of 30, ms", "serai", 1000 * timed(self.tool, "info", d / "l29.vhd"))
        remove(*d.glob("l*.vhd"))

    def show(self):
        for row, who in self.rows.items():
            text = "  ".join(f"{name} {statistics.median(v):.0f} ({min(v):.0f}-{max(v):.0f})"
                             for name, v in who.items())
            ratio = ""
            if len(who) == 2:
                other = next(v for name, v in who.items() if name != "serai")
                ratio = f"  ratio {statistics.median(who['serai']) / statistics.median(other):.2f}"
            print(f"{row}: {text}{ratio}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("tool")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--mib", type=int, default=512)
    p.add_argument("--dir")
    o = p.parse_args()
    with tempfile.TemporaryDirectory(dir=o.dir) as tmp:
        b = Bench(os.path.abspath(o.tool), pathlib.Path(tmp), o.mib)
        for i in range(o.rounds):
            b.move_data()
            b.tables()
            b.coalesce("coalesce dense, MB/s", lambda path: raw_with_holes(path, o.mib, 7), o.mib / 2)
            b.coalesce("coalesce sparse 4k, MB/s", lambda path: sparse_raw(path, o.mib, i, 4096), 16)
        b.chain()
        b.show()


if __name__ == "__main__":
    main()
