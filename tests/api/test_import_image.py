# SPDX-License-Identifier: Apache-2.0
"""PUT /import_image: images of any kind become disks, and an upload that broke off goes on."""
import json
import os
import signal
import time
import urllib.parse

import pytest

from conftest import Daemon, check_log
from test_disk_formats import MIB, convert, content, failed, get, good, storage
from test_transfer import new_task

SIZE = 6 * MIB


def path(api, sr, fmt, name, **more):
    query = dict(more, sr_id=sr, format=fmt, name=name, session_id=api.session)
    return "/import_image?" + urllib.parse.urlencode(query)


def put(daemon, target, data, headers=(), cut=None):
    """Again while the request before it, whose connection is cut, has not noticed that yet."""
    until = time.monotonic() + 60
    while True:
        answer = put_once(daemon, target, data, headers, cut)
        if answer is None or answer.status != 409:
            return answer
        assert time.monotonic() < until, answer.body


def put_once(daemon, target, data, headers, cut):
    """cut: only so much is sent, and then the connection breaks."""
    with daemon.connect() as raw:
        lines = ["PUT %s HTTP/1.1" % target, "Host: x", "Content-Length: %d" % len(data), *headers]
        raw.send("\r\n".join(lines) + "\r\n\r\n")
        try:
            raw.send(data[:cut])
        except OSError:
            pass  # refused before it was all there
        if cut is not None:
            return None
        return raw.answer()


def made(answer):
    assert answer.status == 201, answer.body
    return json.loads(answer.body)["vdi"]


def offset(daemon, target):
    with daemon.connect() as raw:
        raw.send("HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n" % target)
        answer = raw.answer(head_only=True)
    return int(answer.headers["upload-offset"]) if answer.status == 200 else None


def wait_offset(daemon, target, n):
    until = time.monotonic() + 60
    while offset(daemon, target) != n:
        assert time.monotonic() < until, offset(daemon, target)


def left_over(daemon):
    return [str(p) for p in daemon.dir.rglob(".incoming-*")] + [str(p) for p in daemon.state.glob("pending/*")]


@pytest.mark.parametrize("fmt,qemu", [("raw", None), ("vhd", "vpc"), ("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vhdx", "vhdx")])
def test_formats(daemon, api, tmp_path, fmt, qemu):
    data = content(41, SIZE)
    image = convert(tmp_path, data, qemu, *(["-o", "force_size=on"] if qemu == "vpc" else [])) if qemu else data
    vdi = made(put(daemon, path(api, storage(api), fmt, "disk of " + fmt), image))
    assert get(daemon, api, vdi, "raw") == data
    assert api.call("VDI.get_name_label", vdi) == "disk of " + fmt
    api.call("VDI.destroy", vdi)
    assert left_over(daemon) == []


def test_goes_on(daemon, api):
    data, target = content(42, SIZE, holes=False), path(api, storage(api), "raw", "in parts")
    assert offset(daemon, target) is None
    put(daemon, target, data, cut=2 * MIB)
    wait_offset(daemon, target, 2 * MIB)
    assert offset(daemon, path(api, storage(api), "raw", "another")) is None

    def range_(a, b):
        return ["Content-Range: bytes %d-%d/%d" % (a, b - 1, SIZE)]
    assert put(daemon, target, data[MIB:], range_(MIB, SIZE)).status == 416  # not where it stands
    for bad in ("bytes 5-4/10", "bytes 0-9/5", "bytes */10", "lines 1-2/3", "bytes 0-1/99999999999999999999"):
        assert put(daemon, target, b"xx", ["Content-Range: " + bad]).status == 400
    answer = put(daemon, target, data[2 * MIB:3 * MIB], range_(2 * MIB, 3 * MIB))
    assert answer.status == 202 and answer.headers["upload-offset"] == str(3 * MIB)
    vdi = made(put(daemon, target, data[3 * MIB:], range_(3 * MIB, SIZE) + ["Expect: 100-continue"][:0]))
    assert get(daemon, api, vdi, "raw") == data and offset(daemon, target) is None
    api.call("VDI.destroy", vdi)
    # Begun anew, it is as if nothing had been.
    put(daemon, target, data, cut=2 * MIB)
    wait_offset(daemon, target, 2 * MIB)
    api.call("VDI.destroy", made(put(daemon, target, data)))
    assert left_over(daemon) == []


def test_expires_and_survives(directory):
    daemon = Daemon(directory).start()
    try:
        api = daemon.api()
        data, sr = content(43, SIZE, holes=False), storage(api)
        target = path(api, sr, "raw", "survivor")
        put(daemon, target, data, cut=MIB)
        wait_offset(daemon, target, MIB)
        daemon.stop(signal.SIGKILL)
        daemon.start()
        api = daemon.api()
        target, old = path(api, sr, "raw", "survivor"), path(api, sr, "raw", "too old")
        assert offset(daemon, target) == MIB
        vdi = made(put(daemon, target, data[MIB:], ["Content-Range: bytes %d-%d/%d" % (MIB, SIZE - 1, SIZE)]))
        assert get(daemon, api, vdi, "raw") == data
        put(daemon, old, data, cut=MIB)
        wait_offset(daemon, old, MIB)
        for file in left_over(daemon):
            os.utime(file, (time.time() - 86500,) * 2)
        assert offset(daemon, old) is None
        made(put(daemon, path(api, sr, "raw", "x"), data))
        assert left_over(daemon) == []
        check_log(daemon)
    finally:
        daemon.stop()


def test_refused(daemon, api):
    sr, data = storage(api), content(44, SIZE)
    iso = next(r for r, v in api.call("SR.get_all_records").items() if v["content_type"] == "iso")
    before = api.call("VDI.get_all")
    for target, status in ((path(api, sr, "tar", "x"), 400), (path(api, sr, "nothing", "x"), 400),
                           (path(api, sr, "raw", ""), 400), (path(api, "OpaqueRef:NULL", "raw", "x"), 422),
                           (path(api, iso, "raw", "x"), 422), (path(api, sr, "iso", "x"), 422),
                           (path(api, sr, "qcow2", "x"), 422), (path(api, sr, "vhd", "x"), 422)):
        assert put(daemon, target, data).status == status, target
    with daemon.connect() as raw:
        raw.send("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path(api, sr, "raw", "x"), 1 << 49))
        assert raw.answer().status == 507
    with daemon.connect() as raw:
        assert raw.request("PUT", "/import_image?sr_id=%s&format=raw&name=x" % sr, b"x").status == 401
    assert api.call("VDI.get_all") == before and left_over(daemon) == []


def test_with_a_task(daemon, api):
    sr, data = storage(api), content(45, SIZE)
    task = new_task(api)
    assert put(daemon, path(api, sr, "raw", "by task", task_id=task), data).status == 200
    record = api.wait_task(task)
    good(record)
    vdi = record["result"][record["result"].index("OpaqueRef:"):][:46]
    assert get(daemon, api, vdi, "raw") == data
    api.call("VDI.destroy", vdi)
    task = new_task(api)
    with daemon.connect() as raw:
        raw.send("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path(api, sr, "raw", "c", task_id=task), SIZE))
        assert raw.head()[0] == 200
        raw.send(data[:1000])
        api.call("task.cancel", task)
        assert api.wait_task(task)["status"] == "cancelled"
    until = time.monotonic() + 60
    while left_over(daemon):
        assert time.monotonic() < until
    task = new_task(api)
    put(daemon, path(api, sr, "vhd", "bad", task_id=task), data)
    failed(api.wait_task(task), "IMPORT_ERROR")


def test_an_iso_into_a_library(daemon, api, tmp_path):
    library = tmp_path / "library"
    library.mkdir()
    host = api.call("host.get_all")[0]
    sr = api.call("SR.create", host, {"location": str(library)}, "0", "isos", "", "iso", "iso", True, {})
    try:
        data = os.urandom(300 * 2048)
        vdi = made(put(daemon, path(api, sr, "iso", "a disc.iso"), data))
        assert (library / "a disc.iso").read_bytes() == data
        record = api.call("VDI.get_record", vdi)
        assert record["name_label"] == "a disc.iso" and record["SR"] == sr
        before = sorted(p.name for p in library.iterdir())
        for name in ("a disc.iso", "a disc", "../escape", ".hidden", "a/b"):
            assert put(daemon, path(api, sr, "iso", name), data).status == 400, name
        assert put(daemon, path(api, sr, "raw", "x"), data).status == 422
        assert sorted(p.name for p in library.iterdir()) == before and not (tmp_path / "escape.iso").exists()
    finally:
        for pbd in api.call("SR.get_PBDs", sr):
            api.call("PBD.unplug", pbd)
        api.call("SR.forget", sr)
