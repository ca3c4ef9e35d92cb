#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images by other tools: each is accepted with the content that the manifest states, recovered and repaired,
or rejected with one sentence; quickly and in little memory. Usage: corpus_test.py SERAI_VHD"""

import hashlib
import json
import pathlib
import resource
import subprocess
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).parent
TOOL = str(pathlib.Path(sys.argv[1]).resolve())
SECONDS = 20
# Address space; the sanitizers' shadow needs far more, so it is left off there.
BYTES = 192 << 20


def limit():
    if "--no-limit" not in sys.argv:
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))


def run(*args):
    return subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True, timeout=SECONDS,
                          preexec_fn=limit, check=False)


def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            h.update(piece)
    return h.hexdigest()


def info(path):
    r = run("info", path)
    assert r.returncode == 0, f"info: {r.stderr}"
    return dict(line.split(": ", 1) for line in r.stdout.splitlines())


def check_content(image, path, out):
    got = info(path)
    assert int(got["size"]) == image["virtual_size"], got
    assert got["type"] == image["type"], got
    if "sha256" in image:
        r = run("convert", path, out, "--to", "raw")
        assert r.returncode == 0, r.stderr
        found = digest(out)
        out.unlink()
        assert found == image["sha256"], f"content is {found}"


def accept(image, path, out):
    check_content(image, path, out)
    r = run("check", path)
    assert r.returncode == 0 and ": good" in r.stdout, r.stdout + r.stderr


def recover(image, path, out):
    check_content(image, path, out)
    assert info(path)["needs-repair"] == "true"
    r = run("repair", path)
    assert r.returncode == 0, r.stderr
    accept(image, path, out)


def reject(image, path, out):
    for r in (run("check", path), run("info", path), run("convert", path, out, "--to", "raw")):
        assert r.returncode == 1, f"status {r.returncode}: {r.stdout}"
        assert r.stderr.startswith("serai-vhd: ") and r.stderr.count("\n") == 1, r.stderr
        assert not out.exists()
    print(f"#   {r.stderr.strip().replace(str(path.parent), '.')}")


def unpack(tmp):
    """The images, sparse: most of one is zeros. Their directory."""
    with tarfile.open(HERE / "corpus.tar.xz") as tar:
        for m in tar:
            to = pathlib.Path(tmp) / m.name
            to.parent.mkdir(parents=True, exist_ok=True)
            if not m.isfile():
                continue
            with open(to, "wb") as f, tar.extractfile(m) as src:
                while piece := src.read(65536):
                    if piece.count(0) == len(piece):
                        f.seek(len(piece), 1)
                    else:
                        f.write(piece)
                f.truncate(m.size)
    return pathlib.Path(tmp) / "vhd-corpus"


def main():
    images = json.loads((HERE / "MANIFEST.json").read_text())["images"]
    failed = 0
    print(f"1..{len(images)}")
    with tempfile.TemporaryDirectory() as tmp:
        where = unpack(tmp)
        for n, image in enumerate(images, 1):
            path = where / image["file"]
            try:
                {"accept": accept, "recover": recover, "reject": reject}[image["expect"]](
                    image, path, pathlib.Path(tmp) / "out.raw")
                print(f"ok {n} - {image['file']}")
            except (AssertionError, subprocess.TimeoutExpired) as e:
                failed += 1
                print(f"not ok {n} - {image['file']}: {e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
