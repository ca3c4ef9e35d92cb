# SPDX-License-Identifier: Apache-2.0
"""Disks in and out as VHD, qcow2 and tar, byte-compared, with other tools on what we write and in what we read."""
import hashlib
import io
import os
import random
import struct
import subprocess
import tarfile
import threading

import pytest

import wire
from test_transfer import new_task, put, url

MIB = 1 << 20
SIZE = 12 * MIB


def storage(api):
    return next(r for r, v in api.call("SR.get_all_records").items() if v["content_type"] != "iso")


def new_disk(api, size=SIZE):
    return api.call("VDI.create", {"name_label": "disk", "name_description": "", "SR": storage(api), "virtual_size": size,
                                   "type": "user", "sharable": False, "read_only": False, "other_config": {}})


@pytest.fixture
def disk(api):
    refs = []

    def make(size=SIZE):
        refs.append(new_disk(api, size))
        return refs[-1]
    yield make
    for ref in refs:
        api.call("VDI.destroy", ref)


def get(daemon, api, vdi, fmt, base=None, version="1.1", **more):
    query = dict(vdi=vdi, format=fmt, **more)
    if base:
        query["base"] = base
    with daemon.connect() as raw:
        answer = raw.request("GET", url(api, "/export_raw_vdi/", **query), version=version)
        assert answer.status == 200, answer.body
        if fmt != "tar":
            assert int(answer.headers["content-length"]) == len(answer.body)
        return answer.body


def send(daemon, api, vdi, fmt, data, length=None, tls=False):
    """The task after it has ended."""
    task = new_task(api)
    with wire.Raw(*daemon.host_port(tls), tls=wire.insecure_tls() if tls else None) as raw:
        assert put(raw, url(api, "/import_raw_vdi/", vdi=vdi, format=fmt, task_id=task), length or len(data))[0] == 200
        try:
            raw.send(data)
        except OSError:
            pass  # refused before it was all there
        if length and length < 1 << 50:
            raw.close()
        return api.wait_task(task)


def good(record):
    assert record["status"] == "success", record["error_info"]


def failed(record, code):
    assert record["status"] == "failure" and record["error_info"][0] == code, record["error_info"]
    return record["error_info"]


def content(seed, size=SIZE, holes=True):
    r = random.Random(seed)
    data = bytearray(size)
    for _ in range(3):
        n = r.randrange(1, 80) * 4096
        at = r.randrange(0, (size - n) // 512) * 512
        data[at:at + n] = r.randbytes(n)
    if not holes:
        data = bytearray(r.randbytes(size))
    return bytes(data)


def patched(data, seed):
    r = random.Random(seed)
    out = bytearray(data)
    for _ in range(3):
        n = r.randrange(1, 9) * 512
        at = r.randrange(0, (len(data) - n) // 512) * 512
        out[at:at + n] = r.randbytes(n) if r.random() < 0.8 else bytes(n)
    return bytes(out)


def qemu(tmp_path, image, fmt):
    (tmp_path / "in").write_bytes(image)
    subprocess.run(["qemu-img", "convert", "-f", fmt, "-O", "raw", tmp_path / "in", tmp_path / "out"], check=True)
    return (tmp_path / "out").read_bytes()


def vhd_parts(image):
    """(type, uuid, parent's uuid, {block: bytes}) of a stream whose blocks are in order and close together."""
    footer, header = image[:512], image[512:1536]
    assert image[-512:] == footer and footer[:8] == b"conectix" and header[:8] == b"cxsparse"
    table, entries = struct.unpack(">QxxxxI", header[16:32])
    blocks, last = {}, 0
    for i, sector in enumerate(struct.unpack(">%dI" % entries, image[table:table + 4 * entries])):
        if sector == 0xffffffff:
            continue
        assert sector * 512 == last + 2 * MIB + 512 or not blocks
        last = sector * 512
        assert image[last:last + 512] == b"\xff" * 512
        blocks[i] = image[last + 512:last + 512 + 2 * MIB]
    assert not blocks or last + 512 + 2 * MIB == len(image) - 512
    return struct.unpack(">I", footer[60:64])[0], footer[68:84], header[40:56], blocks


@pytest.mark.parametrize("tls", [False, True])
def test_vhd_there_and_back(daemon, api, disk, tmp_path, tls):
    data = content(1)
    vdi, other = disk(), disk()
    good(send(daemon, api, vdi, "raw", data))
    image = get(daemon, api, vdi, "vhd")
    assert len(image) < SIZE * 0.9  # it is sparse
    assert vhd_parts(image)[0] == 3
    assert qemu(tmp_path, image, "vpc") == data
    good(send(daemon, api, other, "vhd", image, tls=tls))
    assert get(daemon, api, other, "raw") == data
    # A client that does not know the length keeps the connection open: the footer ends it.
    with wire.Raw(*daemon.host_port(tls), tls=wire.insecure_tls() if tls else None) as raw:
        task = new_task(api)
        put(raw, url(api, "/import_raw_vdi/", vdi=other, format="vhd", task_id=task), 1 << 50, image)
        good(api.wait_task(task))
    assert get(daemon, api, other, "raw", version="1.0") == data


def test_others_read_what_we_write(daemon, api, disk, tmp_path):
    data, vdi = content(2), disk()
    good(send(daemon, api, vdi, "raw", data))
    (tmp_path / "v.vhd").write_bytes(get(daemon, api, vdi, "vhd"))
    info = subprocess.run(["vhdiinfo", tmp_path / "v.vhd"], check=True, capture_output=True, text=True).stdout
    assert "Dynamic" in info and str(SIZE) in info
    image = get(daemon, api, vdi, "qcow2")
    assert qemu(tmp_path, image, "qcow2") == data
    subprocess.run(["qemu-img", "check", "-f", "qcow2", tmp_path / "in"], check=True)
    assert get(daemon, api, disk(), "qcow2") and qemu(tmp_path, get(daemon, api, disk(), "qcow2"), "qcow2") == bytes(SIZE)


@pytest.mark.parametrize("options", ["subformat=dynamic,force_size=on", "subformat=fixed,force_size=on"])
def test_vhds_of_qemu(daemon, api, disk, tmp_path, options):
    data, vdi = content(3), disk()
    (tmp_path / "r").write_bytes(data)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", options, tmp_path / "r", tmp_path / "v"], check=True)
    good(send(daemon, api, vdi, "vhd", (tmp_path / "v").read_bytes()))
    assert get(daemon, api, vdi, "raw") == data


def convert(tmp_path, data, fmt, *options):
    (tmp_path / "r").write_bytes(data)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", fmt, *options, tmp_path / "r", tmp_path / ("i." + fmt)],
                   check=True)
    return (tmp_path / ("i." + fmt)).read_bytes()


def volumes(daemon):
    return sorted(p.name for p in daemon.state.rglob("*.vhd")) + sorted(p.name for p in daemon.state.glob("pending/*"))


def new_from(daemon, api, fmt, data, length=None):
    """The task of an import that makes its disk."""
    task = new_task(api)
    with daemon.connect() as raw:
        assert put(raw, url(api, "/import_raw_vdi/", sr_id=storage(api), format=fmt, task_id=task), length or len(data))[0] == 200
        raw.send(data)
        if length and length < 1 << 50:
            raw.close()
        return api.wait_task(task)


@pytest.mark.parametrize("fmt,options", [("qcow2", ["-c"]), ("vmdk", ["-o", "subformat=streamOptimized"]), ("vhdx", [])])
def test_seekable_formats(daemon, api, disk, tmp_path, fmt, options):
    data, vdi = content(31), disk()
    good(send(daemon, api, vdi, "raw", content(32, holes=False)))
    image = convert(tmp_path, data, fmt, *options)
    good(send(daemon, api, vdi, fmt, image))
    assert get(daemon, api, vdi, "raw") == data
    record = new_from(daemon, api, fmt, image)
    good(record)
    made = record["result"][record["result"].index("OpaqueRef:"):][:46]
    assert get(daemon, api, made, "raw") == data
    api.call("VDI.destroy", made)
    failed(send(daemon, api, disk(4 * MIB), fmt, image), "VDI_TOO_SMALL")
    before, files = api.call("VDI.get_all"), volumes(daemon)
    for broken in (image[:len(image) // 3], b"not an image at all" * 100, b""):
        failed(new_from(daemon, api, fmt, broken or b"x"), "IMPORT_ERROR")
    failed(new_from(daemon, api, fmt, image[:5000], length=len(image)), "IMPORT_ERROR_PREMATURE_EOF")
    # An image is what its sender calls it, never what it looks like.
    other = "vmdk" if fmt == "qcow2" else "qcow2"
    failed(new_from(daemon, api, other, image), "IMPORT_ERROR")
    assert api.call("VDI.get_all") == before and volumes(daemon) == files


def test_images_that_refer_to_files(daemon, api, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 100000)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", tmp_path / "b"], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=%s,data_file_raw=on" % (tmp_path / "d"),
                    tmp_path / "f", "2M"], check=True)
    (tmp_path / "v").write_text('# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n'
                                'createType="monolithicFlat"\nRW 1000 FLAT "%s" 0\n' % secret)
    before, files = api.call("VDI.get_all"), volumes(daemon)
    for name, fmt in (("b", "qcow2"), ("f", "qcow2"), ("v", "vmdk")):
        failed(new_from(daemon, api, fmt, (tmp_path / name).read_bytes()), "IMPORT_ERROR")
    assert api.call("VDI.get_all") == before and volumes(daemon) == files


def test_disks_made_for_images(daemon, api, tmp_path):
    data = content(33)
    for options in ("subformat=dynamic,force_size=on", "subformat=fixed,force_size=on"):
        record = new_from(daemon, api, "vhd", convert(tmp_path, data, "vpc", "-o", options))
        good(record)
        made = record["result"][record["result"].index("OpaqueRef:"):][:46]
        assert get(daemon, api, made, "raw") == data
        api.call("VDI.destroy", made)
    failed(new_from(daemon, api, "raw", b"x" * 600, length=1 << 49), "VDI_TOO_LARGE")
    failed(new_from(daemon, api, "tar", archive(entry("Ref:7/00000001", PIECE))), "INVALID_VALUE")


def test_tar(daemon, api, disk):
    data, vdi, other = content(4), disk(), disk()
    good(send(daemon, api, vdi, "raw", data))
    archive = get(daemon, api, vdi, "tar")
    names = tarfile.open(fileobj=io.BytesIO(archive)).getnames()
    assert names[0].endswith("/00000000") and names[-1].endswith("/%08d.xxhash" % (SIZE // MIB - 1))
    good(send(daemon, api, other, "raw", content(5, holes=False)))
    good(send(daemon, api, other, "tar", archive))  # what is left out is zero
    assert get(daemon, api, other, "raw") == data


def test_delta_rounds(daemon, api, disk):
    """Full, then deltas, then restored: into one disk that follows, and into a clone of a restored base."""
    data, vdi, copy = content(6), disk(), disk()
    good(send(daemon, api, vdi, "raw", data))
    snapshots = [api.call("VDI.snapshot", vdi)]
    good(send(daemon, api, copy, "vhd", get(daemon, api, snapshots[0], "vhd")))
    for round_ in range(5):
        data = patched(data, round_)
        good(send(daemon, api, vdi, "raw", data))
        snapshots.append(api.call("VDI.snapshot", vdi))
        image = get(daemon, api, snapshots[-1], "vhd", base=snapshots[-2])
        kind, _, parent, blocks = vhd_parts(image)
        assert kind == 4 and len(blocks) <= SIZE // MIB // 2
        assert parent.hex() == api.call("VDI.get_uuid", snapshots[-2]).replace("-", "")
        clone = api.call("VDI.clone", copy)
        good(send(daemon, api, clone, "vhd", image))
        assert get(daemon, api, clone, "raw") == data
        api.call("VDI.destroy", clone)
        good(send(daemon, api, copy, "vhd", image))
        assert get(daemon, api, copy, "raw") == data
    # Over several rounds at once, and back again.
    for vdi_, base in ((snapshots[-1], snapshots[0]), (snapshots[1], snapshots[4])):
        fresh = disk()
        good(send(daemon, api, fresh, "raw", get(daemon, api, base, "raw")))
        good(send(daemon, api, fresh, "vhd", get(daemon, api, vdi_, "vhd", base=base)))
        assert get(daemon, api, fresh, "raw") == get(daemon, api, vdi_, "raw")
    for ref in snapshots:
        api.call("VDI.destroy", ref)


def test_unchanged_delta_is_empty(daemon, api, disk):
    vdi = disk()
    good(send(daemon, api, vdi, "raw", content(7)))
    a, b = api.call("VDI.snapshot", vdi), api.call("VDI.snapshot", vdi)
    assert vhd_parts(get(daemon, api, b, "vhd", base=a))[3] == {}
    api.call("VDI.destroy", a)
    api.call("VDI.destroy", b)


def test_two_exports_at_once(daemon, api, disk):
    data, vdi = content(8), disk()
    good(send(daemon, api, vdi, "raw", data))
    snapshot = api.call("VDI.snapshot", vdi)
    got = []
    threads = [threading.Thread(target=lambda: got.append(get(daemon, api, snapshot, "raw"))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == [data] * 3
    api.call("VDI.destroy", snapshot)


def entry(name, data=b"", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    return info, data


def archive(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


PIECE = b"x" * MIB
SHA1 = hashlib.sha1(PIECE).hexdigest().encode()


def test_old_checksums(daemon, api, disk):
    vdi = disk(2 * MIB)
    good(send(daemon, api, vdi, "tar", archive(entry("Ref:7/00000001", PIECE), entry("Ref:7/00000001.checksum", SHA1))))
    assert get(daemon, api, vdi, "raw") == bytes(MIB) + PIECE


BAD_TARS = {
    "path": ([entry("../../etc/passwd", b"x")], "IMPORT_ERROR_UNEXPECTED_FILE"),
    "absolute": ([entry("/etc/passwd", b"x")], "IMPORT_ERROR_UNEXPECTED_FILE"),
    "link": ([entry("Ref:1/00000000", kind=tarfile.SYMTYPE, link="/etc/passwd")], "IMPORT_ERROR"),
    "hard link": ([entry("Ref:1/00000000", kind=tarfile.LNKTYPE, link="ova.xml")], "IMPORT_ERROR"),
    "device": ([entry("Ref:1/00000000", kind=tarfile.BLKTYPE)], "IMPORT_ERROR"),
    "directory": ([entry("Ref:1", kind=tarfile.DIRTYPE)], "IMPORT_ERROR"),
    "large piece": ([entry("Ref:1/00000000", PIECE + b"x")], "IMPORT_ERROR"),
    "out of order": ([entry("Ref:1/00000001", PIECE), entry("Ref:1/00000000", PIECE)], "IMPORT_ERROR"),
    "twice": ([entry("Ref:1/00000001", PIECE), entry("Ref:1/00000001", PIECE)], "IMPORT_ERROR"),
    "after a short one": ([entry("Ref:1/00000000", b"x"), entry("Ref:1/00000001", PIECE)], "IMPORT_ERROR"),
    "two disks": ([entry("Ref:1/00000000", PIECE), entry("Ref:2/00000000", PIECE)], "IMPORT_ERROR"),
    "wrong sum": ([entry("Ref:1/00000000", PIECE), entry("Ref:1/00000000.checksum", b"0" * 40)],
                  "IMPORT_ERROR_SOME_CHECKSUMS_FAILED"),
    "wrong hash": ([entry("Ref:1/00000000", PIECE), entry("Ref:1/00000000.xxhash", b"0" * 16)],
                   "IMPORT_ERROR_SOME_CHECKSUMS_FAILED"),
    "sum of another": ([entry("Ref:1/00000000", PIECE), entry("Ref:1/00000001.checksum", SHA1)], "IMPORT_ERROR"),
    "beyond the disk": ([entry("Ref:1/00000000", PIECE), entry("Ref:1/00000064", PIECE)], "VDI_TOO_SMALL"),
    "far beyond": ([entry("Ref:1/4294967295", PIECE)], "VDI_TOO_SMALL"),
    "beyond all": ([entry("Ref:1/99999999999999999999", PIECE)], "IMPORT_ERROR_UNEXPECTED_FILE"),
    "nothing": ([], "IMPORT_ERROR"),
}


def test_bad_archives(daemon, api, disk):
    vdi = disk()
    for name, (entries, code) in BAD_TARS.items():
        record = send(daemon, api, vdi, "tar", archive(*entries))
        assert record["status"] == "failure" and record["error_info"][0] == code, (name, record["error_info"])
    failed(send(daemon, api, vdi, "tar", b"this is no archive" * 100), "IMPORT_ERROR")
    assert api.call("VDI.get_current_operations", vdi) == {}


def test_bad_vhds(daemon, api, disk):
    vdi, small = disk(), disk(4 * MIB)
    good(send(daemon, api, vdi, "raw", content(9)))
    image = bytearray(get(daemon, api, vdi, "vhd"))
    failed(send(daemon, api, small, "vhd", bytes(image)), "VDI_TOO_SMALL")
    for cut in (0, 100, 512, 1000, 1536, 1540, 5000, len(image) // 2, len(image) - 512, len(image) - 1):
        failed(send(daemon, api, vdi, "vhd", bytes(image[:cut]), length=len(image)), "IMPORT_ERROR_PREMATURE_EOF")
    assert send(daemon, api, vdi, "vhd", bytes(image[:-1]), length=1 << 49)["status"] == "failure"
    for at in (70, 600):  # the footer, the header
        spoilt = bytearray(image)
        spoilt[at] ^= 1
        failed(send(daemon, api, vdi, "vhd", bytes(spoilt)), "IMPORT_ERROR")
    # Two blocks in one place, and one that lies in the header.
    for sector in (struct.unpack(">I", bytes(image[1536:1540]))[0], 1):
        spoilt = bytearray(image)
        for i in range(6):
            spoilt[1536 + 4 * i:1540 + 4 * i] = struct.pack(">I", sector if sector != 0xffffffff else 3)
        failed(send(daemon, api, vdi, "vhd", bytes(spoilt)), "IMPORT_ERROR")
    failed(send(daemon, api, vdi, "vhd", os.urandom(MIB)), "IMPORT_ERROR")
    # What a guest wrote into its disk is looked at by nobody.
    written = bytes(image[:SIZE]).ljust(SIZE, b"\0")
    good(send(daemon, api, vdi, "raw", written))
    assert get(daemon, api, vdi, "raw") == written


def test_cancelled_and_refused(daemon, api, disk):
    vdi = disk()
    image = get(daemon, api, vdi, "vhd")
    task = new_task(api)
    with daemon.connect() as raw:
        put(raw, url(api, "/import_raw_vdi", vdi=vdi, format="vhd", task_id=task), len(image), image[:700])
        api.call("task.cancel", task)
        assert api.wait_task(task)["status"] == "cancelled"
    for query in ({"format": "vmdk9"}, {"format": "qcow2", "base": vdi}, {"format": "vhd", "base": vdi}):
        task = new_task(api)
        with daemon.connect() as raw:
            answer = raw.request("GET", url(api, "/export_raw_vdi", vdi=vdi, task_id=task, **query))
        assert answer.status in (404, 500)
        failed(api.wait_task(task), "INVALID_VALUE")
    assert get(daemon, api, vdi, "raw") == bytes(SIZE)
