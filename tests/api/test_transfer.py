# SPDX-License-Identifier: Apache-2.0
"""Disks in and out as raw bytes."""
import os
import time

import pytest

import wire

SIZE = 4 << 20


@pytest.fixture
def vdi(api):
    sr = next(r for r, v in api.call("SR.get_all_records").items() if v["content_type"] != "iso")
    ref = api.call("VDI.create", {"name_label": "disk", "name_description": "", "SR": sr, "virtual_size": SIZE,
                                  "type": "user", "sharable": False, "read_only": False, "other_config": {}})
    yield ref
    api.call("VDI.destroy", ref)


def url(api, path, **query):
    return path + "?" + "&".join("%s=%s" % i for i in dict(query, session_id=api.session).items())


def put(raw, path, length, body=b"", headers=()):
    lines = ["PUT %s HTTP/1.1" % path, "Host: x", "Content-Length: %d" % length] + ["%s: %s" % h for h in headers]
    raw.send(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = raw.head()
    raw.send(body)
    return head


def export(daemon, api, vdi, version="1.1"):
    with daemon.connect() as raw:
        answer = raw.request("GET", url(api, "/export_raw_vdi/", vdi=vdi, format="raw"), version=version)
        assert answer.status == 200 and answer.headers["content-length"] == str(SIZE)
        assert answer.headers["content-disposition"].startswith("attachment")
        if version == "1.1":
            assert raw.request("GET", "/").status == 200  # kept open
        return answer.body


def new_task(api):
    return api.call("task.create", "transfer", "")


def test_there_and_back(daemon, api, vdi):
    assert export(daemon, api, vdi) == bytes(SIZE)
    data = os.urandom(SIZE // 2) + bytes(SIZE // 4) + os.urandom(SIZE - SIZE // 2 - SIZE // 4)
    task = new_task(api)
    with daemon.connect() as raw:
        # The 200 comes before the body.
        assert put(raw, url(api, "/import_raw_vdi", vdi=vdi, task_id=task), SIZE, data)[0] == 200
        record = api.wait_task(task)
    assert record["status"] == "success" and vdi in record["result"]
    assert export(daemon, api, vdi) == data == export(daemon, api, vdi, "1.0")
    uuid = api.call("VDI.get_uuid", vdi)
    assert export(daemon, api, uuid) == data
    # The empty PUT that looks for a redirection changes nothing.
    with daemon.connect() as raw:
        assert raw.request("PUT", url(api, "/import_raw_vdi/", vdi=vdi)).status == 200
    assert export(daemon, api, vdi) == data
    # Zeroes replace what was there.
    task = new_task(api)
    with daemon.connect() as raw:
        assert put(raw, url(api, "/import_raw_vdi", vdi=uuid, task_id=task), SIZE, bytes(SIZE))[0] == 200
        assert api.wait_task(task)["status"] == "success"
    assert export(daemon, api, vdi) == bytes(SIZE)


@pytest.mark.parametrize("tls", [False, True])
def test_unknown_length_ends_with_the_connection(daemon, api, vdi, tls):
    data, task = os.urandom(1 << 20), new_task(api)
    with wire.Raw(*daemon.host_port(tls), tls=wire.insecure_tls() if tls else None) as raw:
        assert put(raw, url(api, "/import_raw_vdi/", vdi=vdi, task_id=task), 1 << 50, data)[0] == 200
    assert api.wait_task(task)["status"] == "success"
    assert export(daemon, api, vdi) == data + bytes(SIZE - len(data))


def test_expect_continue(daemon, api, vdi):
    task, data = new_task(api), os.urandom(4096)
    with daemon.connect() as raw:
        path = url(api, "/import_raw_vdi", vdi=vdi, task_id=task)
        assert put(raw, path, len(data), b"", [("Expect", "100-continue")])[0] == 100
        assert raw.head()[0] == 200
        raw.send(data)
        assert api.wait_task(task)["status"] == "success"


def test_larger_than_the_disk(daemon, api, vdi):
    for length in (SIZE + (1 << 20), 1 << 50):
        task = new_task(api)
        with daemon.connect() as raw:
            put(raw, url(api, "/import_raw_vdi", vdi=vdi, task_id=task), length)
            try:
                raw.send(bytes(SIZE + (1 << 20)))
            except OSError:
                pass  # refused before it was all there
            record = api.wait_task(task)
        assert record["status"] == "failure" and record["error_info"][0] not in ("", "INTERNAL_ERROR")


def test_broken_off(daemon, api, vdi):
    task = new_task(api)
    with daemon.connect() as raw:
        put(raw, url(api, "/import_raw_vdi", vdi=vdi, task_id=task), SIZE, bytes(1000))
    assert api.wait_task(task)["status"] == "failure"


def test_cancelled(daemon, api, vdi):
    task = new_task(api)
    with daemon.connect() as raw:
        put(raw, url(api, "/import_raw_vdi", vdi=vdi, task_id=task), SIZE, bytes(1000))
        api.call("task.cancel", task)
        assert api.wait_task(task)["status"] == "cancelled"


def test_a_silent_probe_holds_no_disk(daemon, api, vdi):
    """xen-api's dummy request announces 2^50 bytes, sends none, and may be cut after the real one has begun."""
    task, data = new_task(api), os.urandom(SIZE)
    with daemon.connect() as probe, daemon.connect() as raw:
        probe.send("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" %
                   (url(api, "/import_raw_vdi", vdi=vdi), 2**50))
        assert put(raw, url(api, "/import_raw_vdi", vdi=vdi, task_id=task), SIZE, data)[0] == 200
        assert api.wait_task(task)["status"] == "success"
    assert export(daemon, api, vdi) == data


def test_chunked_is_refused(daemon, api, vdi):
    with daemon.connect() as raw:
        raw.send("PUT %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" %
                 url(api, "/import_raw_vdi", vdi=vdi))
        assert raw.answer().status in (411, 501)


def test_a_disk_made_for_the_data(daemon, api):
    sr = next(r for r, v in api.call("SR.get_all_records").items() if v["content_type"] != "iso")
    task, data = new_task(api), os.urandom(SIZE)
    with daemon.connect() as raw:
        assert put(raw, url(api, "/import_raw_vdi", sr_id=sr, task_id=task, format="raw"), SIZE, data)[0] == 200
        record = api.wait_task(task)
    assert record["status"] == "success"
    ref = record["result"][record["result"].index("OpaqueRef:"):][:46]
    assert api.call("VDI.get_virtual_size", ref) == SIZE and export(daemon, api, ref) == data
    api.call("VDI.destroy", ref)


def test_a_reader_that_goes_away(daemon, api, vdi):
    for _ in range(3):
        with daemon.connect() as raw:
            raw.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % url(api, "/export_raw_vdi", vdi=vdi))
            raw.read(100)
    until = time.monotonic() + 30
    while api.call("VDI.get_current_operations", vdi) and time.monotonic() < until:
        api.call("event.from", ["vdi/" + vdi], api.call("event.inject", "VDI", vdi), 1.0)
    assert export(daemon, api, vdi) == bytes(SIZE)
