#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""serai-vhd from the outside: what it writes is read by qemu-img and libvhdi too; images of other tools are
grown, re-parented and merged without a change of their content. Usage: tool_test.py SERAI_VHD"""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import corpus_test as corpus  # noqa: E402

run, info, digest = corpus.run, corpus.info, corpus.digest
MIB = 1 << 20
CASES = []


def case(fn):
    CASES.append(fn)
    return fn


def ok(*args):
    r = run(*args)
    assert r.returncode == 0, f"{args}: {r.stderr}"
    return r.stdout


def fails(status, *args):
    r = run(*args)
    assert r.returncode == status and r.stderr, f"{args}: {r.returncode} {r.stdout}{r.stderr}"
    return r.stderr


def raw_of(path):
    out = path.with_suffix(".out")
    ok("convert", path, out, "--to", "raw")
    h = digest(out)
    out.unlink()
    return h


def make_raw(path, size, seed, pieces=60):
    rng = random.Random(seed)
    with open(path, "wb") as f:
        for _ in range(pieces):
            n = rng.choice([512, 4096, 65536, 512 * 77])
            at = rng.randrange(0, size) // 512 * 512
            f.seek(at)
            f.write(rng.randbytes(min(n, size - at)))
        f.truncate(size)


def qemu_size(path):
    out = subprocess.run(["qemu-img", "info", "-f", "vpc", "--output=json", path], capture_output=True, check=True)
    return json.loads(out.stdout)["virtual-size"]


@case
def others_read_what_we_write(d, _images):
    for n, size in enumerate((2 * MIB, 2 * MIB + 512, 100 * MIB + 1536, 505 * MIB, 33 * 1024 * MIB + 512)):
        raw, vhd, back = d / f"{n}.raw", d / f"{n}.vhd", d / f"{n}.back"
        make_raw(raw, size, n)
        ok("convert", raw, vhd, "--to", "vhd")
        assert ": good" in ok("check", vhd)
        assert qemu_size(vhd) == size
        if size < 1024 * MIB:
            subprocess.run(["qemu-img", "convert", "-f", "vpc", "-O", "raw", vhd, back], check=True)
            assert digest(back) == digest(raw) == raw_of(vhd)
        if shutil.which("vhdiinfo"):
            out = subprocess.run(["vhdiinfo", vhd], capture_output=True, text=True, check=True).stdout
            assert f"({size} bytes)" in out, out
            assert "Dynamic" in out


@case
def fixed(d, _images):
    ok("create", d / "f.vhd", "5MiB", "--type", "fixed")
    assert info(d / "f.vhd")["type"] == "fixed" and qemu_size(d / "f.vhd") == 5 * MIB
    fails(1, "resize", d / "f.vhd", "6MiB")


@case
def libvhdi_reads_children(d, _images):
    ok("create", d / "a.vhd", "40MiB")
    ok("snapshot", d / "a.vhd", d / "b.vhd")
    if shutil.which("vhdiinfo"):
        out = subprocess.run(["vhdiinfo", d / "b.vhd"], capture_output=True, text=True, check=True).stdout
        assert "Differential" in out and "a.vhd" in out, out


@case
def grow_images_of_others(d, images):
    for name in ("v-vhdutil-dynamic.vhd", "v-vhdutil-prealloc-md.vhd", "v-qemu-dynamic.vhd", "v-vhdlib-file.vhd",
                 "v-size-not-block-multiple.vhd", "v-batmap-bad-checksum.vhd", "v-garbage-under-clear-bit.vhd"):
        path, before, after = d / name, d / "before", d / "after"
        shutil.copy(images / name, path)
        size = int(info(path)["size"])
        ok("convert", path, before, "--to", "raw")
        for new in (size + 512, 200 * MIB):
            ok("resize", path, new)
            assert ": good" in ok("check", path)
            assert int(info(path)["size"]) == qemu_size(path) == new
        ok("convert", path, after, "--to", "raw")
        os.truncate(before, 200 * MIB)
        assert digest(before) == digest(after), name
        for new in (3000 * MIB, 2040 * 1024 * MIB):
            ok("resize", path, new)
            assert ": good" in ok("check", path)
            assert int(info(path)["size"]) == qemu_size(path) == new
        fails(1, "resize", path, size)
        assert all(int(line.split()[0]) < size for line in ok("map", path).splitlines())
        for f in (before, after, path):
            f.unlink()


@case
def chains_of_others(d, images):
    for f in (images / "v-chain").iterdir():
        shutil.copy(f, d)
    want = {n: raw_of(d / n) for n in ("s1.vhd", "s2.vhd", "clone.vhd", "empty-leaf.vhd")}
    # s1 has two children, its parent base only s1: both move.
    ok("coalesce", d / "s1.vhd")
    assert not (d / "s1.vhd").exists()
    for n in ("s2.vhd", "clone.vhd", "empty-leaf.vhd"):
        assert raw_of(d / n) == want[n], n
        assert ": good" in ok("check", d / n)
    assert info(d / "s2.vhd")["parent"] == info(d / "clone.vhd")["parent"] == "base.vhd"
    assert "another child" in fails(1, "coalesce", d / "s2.vhd")
    (d / "clone.vhd").unlink()
    ok("coalesce", d / "s2.vhd")
    assert raw_of(d / "empty-leaf.vhd") == want["empty-leaf.vhd"]
    ok("coalesce", d / "empty-leaf.vhd")
    assert raw_of(d / "empty-leaf.vhd") == want["empty-leaf.vhd"]
    assert info(d / "empty-leaf.vhd")["depth"] == "1"
    assert sorted(p.name for p in d.iterdir()) == ["empty-leaf.vhd"]


@case
def raw_parents(d, images):
    for f in (images / "v-rawparent").iterdir():
        shutil.copy(f, d)
    want = raw_of(d / "leaf.vhd")
    ok("snapshot", d / "leaf.vhd", d / "top.vhd")
    ok("coalesce", d / "leaf.vhd")
    assert raw_of(d / "top.vhd") == want
    assert info(d / "top.vhd")["parent-uuid"] == "raw"


@case
def reparent(d, _images):
    make_raw(d / "a.raw", 20 * MIB, 7)
    ok("convert", d / "a.raw", d / "a.vhd", "--to", "vhd")
    shutil.copy(d / "a.vhd", d / "copy.vhd")
    ok("convert", d / "a.raw", d / "twin.vhd", "--to", "vhd")
    ok("snapshot", d / "a.vhd", d / "s.vhd")
    ok("reparent", d / "s.vhd", d / "twin.vhd")
    (d / "a.vhd").unlink()
    assert raw_of(d / "s.vhd") == digest(d / "a.raw")
    ok("snapshot", d / "s.vhd", d / "t.vhd")
    assert "made from" in fails(1, "reparent", d / "s.vhd", d / "t.vhd")


@case
def errors(d, _images):
    fails(2, "frobnicate")
    fails(2, "create", d / "x.vhd")
    fails(1, "create", d / "x.vhd", "1MiB")
    fails(1, "create", d / "x.vhd", "2041GiB")
    fails(1, "create", d / "x.vhd", "12 potatoes")
    fails(1, "create", d / "missing" / "x.vhd", "4MiB")
    ok("create", d / "x.vhd", "4MiB")
    fails(1, "create", d / "x.vhd", "4MiB")
    fails(1, "convert", d / "x.vhd", d / "y.vhd", "--to", "qcow2")
    fails(1, "convert", d / "x.vhd", d / "x.vhd", "--to", "raw")
    os.mkfifo(d / "fifo.vhd")
    fails(1, "info", d / "fifo.vhd")
    os.symlink("x.vhd", d / "link.vhd")
    fails(1, "info", d / "link.vhd")
    fails(1, "info", d)
    fails(1, "snapshot", d / "x.vhd", d / "x.vhd")
    assert not (d / "y.vhd").exists()


@case
def a_vhd_in_a_raw_disk_stays_data(d, _images):
    """A guest wrote an image into its raw disk: the copy holds just these bytes."""
    ok("create", d / "inner.vhd", "4MiB")
    ok("convert", d / "inner.vhd", d / "outer.vhd", "--to", "vhd", "--from", "raw")
    ok("convert", d / "outer.vhd", d / "again", "--to", "raw")
    assert digest(d / "again") == digest(d / "inner.vhd")


@case
def large_sparse(d, _images):
    ok("create", d / "big.vhd", "2040GiB")
    ok("snapshot", d / "big.vhd", d / "child.vhd")
    assert qemu_size(d / "big.vhd") == 2040 << 30
    assert int(info(d / "child.vhd")["size"]) == 2040 << 30
    assert ok("map", d / "child.vhd") == ""


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    with tempfile.TemporaryDirectory() as tmp:
        images = corpus.unpack(tmp)
        for n, fn in enumerate(CASES, 1):
            d = pathlib.Path(tmp) / fn.__name__
            d.mkdir()
            try:
                fn(d, images)
                print(f"ok {n} - {fn.__name__}", flush=True)
            except (AssertionError, subprocess.SubprocessError):
                failed += 1
                print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="")
                print(f"not ok {n} - {fn.__name__}", flush=True)
            shutil.rmtree(d)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
