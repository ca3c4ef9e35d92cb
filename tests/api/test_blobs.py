# SPDX-License-Identifier: Apache-2.0
"""Blobs: files that belong to objects, their contents over HTTP."""
import base64
import os

import pytest

import conftest
import test_thin_cli
import wire

BASIC = [("Authorization", "Basic " + base64.b64encode(b"root:" + conftest.PASSWORD.encode()).decode())]


def owner(api, cls):
    if cls == "VM":
        return api.new_vm("has blobs")
    if cls == "network":
        return api.call("network.create", {"name_label": "has blobs", "other_config": {}})
    return api.call(cls + ".get_all")[0]


def cookie(api):
    return [("Cookie", "session_id=" + api.session)]


def get(daemon, query, headers=()):
    with daemon.connect() as c:
        return c.request("GET", "/blob?" + query, headers=headers)


def put(daemon, query, data, headers=()):
    """As clients do: the head alone, then the data after the answer."""
    with daemon.connect() as c:
        lines = ["PUT /blob?%s HTTP/1.1" % query, "Host: test", "Content-Length: %d" % len(data)]
        lines += ["%s: %s" % h for h in headers]
        c.send("\r\n".join(lines) + "\r\n\r\n")
        status, _ = c.head()
        if status == 200 and data:
            c.send(data)
            c.read_to_end()  # the server closes when it has all
        return status


def task(api):
    return api.call("task.create", "blob", "")


def file_of(daemon, api, blob):
    return daemon.state / "blobs" / api.call("blob.get_uuid", blob)


@pytest.mark.parametrize("cls", ["VM", "host", "SR", "pool", "network"])
def test_blobs_of_objects(daemon, api, cls):
    self = owner(api, cls)
    blob = api.call(cls + ".create_new_blob", self, "icon", "image/png", False)
    record = api.call("blob.get_record", blob)
    assert (record["name_label"], record["mime_type"], record["public"], record["size"]) == ("icon", "image/png", False, 0)
    assert api.call(cls + ".get_blobs", self) == {"icon": blob}
    error = api.fails(cls + ".create_new_blob", self, "icon", "image/png")
    assert (error.code, error.params) == ("MAP_DUPLICATE_KEY", [cls, "blobs", self, "icon"])
    assert get(daemon, "ref=" + blob, cookie(api)).body == b""
    data = os.urandom(300000)
    assert put(daemon, "ref=" + blob, data, cookie(api)) == 200
    answer = get(daemon, "uuid=" + record["uuid"], cookie(api))
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, data, "image/png")
    record = api.call("blob.get_record", blob)
    assert record["size"] == len(data) and record["last_updated"] > "2020"
    api.call("blob.destroy", blob)
    assert api.call(cls + ".get_blobs", self) == {} and api.fails("blob.get_uuid", blob).code == "HANDLE_INVALID"
    assert get(daemon, "ref=" + blob, cookie(api)).status == 404
    assert not (daemon.state / "blobs" / record["uuid"]).exists()


def test_a_free_blob(api):
    blob = api.call("blob.create", "text/plain", True)
    api.call("blob.set_name_label", blob, "free")
    api.call("blob.set_public", blob, False)
    assert api.call("blob.get_public", blob) is False
    assert api.call("blob.get_by_name_label", "free") == [blob]
    api.call("blob.destroy", blob)


def test_who_may(daemon, api):
    blob = api.call("blob.create", "text/html", False)
    assert get(daemon, "ref=" + blob).status == 401
    assert get(daemon, "ref=" + blob, BASIC).status == 200
    assert put(daemon, "ref=" + blob, b"x") == 401
    assert put(daemon, "ref=" + blob, b"<b>", BASIC) == 200
    api.call("blob.set_public", blob, True)
    answer = get(daemon, "ref=" + blob)
    assert (answer.status, answer.body) == (200, b"<b>")
    # Nothing for a browser to run.
    assert answer.headers["x-content-type-options"] == "nosniff" and "sandbox" in answer.headers["content-security-policy"]
    assert put(daemon, "ref=" + blob, b"x") == 401, "everybody reads, not writes"
    assert get(daemon, "ref=OpaqueRef:NULL").status == 401 and get(daemon, "", cookie(api)).status == 404
    odd = api.call("blob.create", "text/plain\r\nX-Evil: yes", True)
    answer = get(daemon, "ref=" + odd)
    assert answer.headers["content-type"] == "application/octet-stream" and "x-evil" not in answer.headers


def test_tasks_tell_the_end(daemon, api):
    blob = api.call("blob.create", "text/plain")
    good, missing, broken = task(api), task(api), task(api)
    assert put(daemon, "ref=%s&task_id=%s" % (blob, good), b"one", cookie(api)) == 200
    assert api.wait_task(good)["status"] == "success"
    assert put(daemon, "uuid=none&task_id=" + missing, b"x", cookie(api)) == 404
    assert api.wait_task(missing)["error_info"] == ["UUID_INVALID", "blob", "none"]
    with daemon.connect() as c:  # a body that ends early leaves the old contents
        c.send("PUT /blob?ref=%s&task_id=%s HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\nCookie: session_id=%s\r\n\r\n"
               % (blob, broken, api.session))
        assert c.head()[0] == 200
        c.send(b"short")
    assert api.wait_task(broken)["error_info"] == ["IMPORT_ERROR_PREMATURE_EOF"]
    assert get(daemon, "ref=" + blob, cookie(api)).body == b"one" and api.call("blob.get_size", blob) == 3
    assert [p.name for p in (daemon.state / "blobs").iterdir() if p.name == api.call("blob.get_uuid", blob)]
    # The empty request that looks for redirections changes nothing.
    assert put(daemon, "ref=" + blob, b"", cookie(api)) == 200
    assert get(daemon, "ref=" + blob, cookie(api)).body == b"one"
    # No known length: the end of the connection is the end.
    with daemon.connect() as c:
        c.send("PUT /blob?ref=%s HTTP/1.0\r\nCookie: session_id=%s\r\nContent-Length: %d\r\n\r\n"
               % (blob, api.session, 1 << 50))
        assert c.head()[0] == 200
        c.send(b"two and more")
        c.sock.shutdown(1)
        c.read_to_end()
    assert get(daemon, "ref=" + blob, cookie(api)).body == b"two and more"


def test_a_vm_takes_its_blobs_with_it(daemon, api):
    vm = api.new_vm("with a blob")
    blob = api.call("VM.create_new_blob", vm, "x", "text/plain")
    clone = api.call("VM.clone", vm, "without")
    assert api.call("VM.get_blobs", clone) == {}
    api.call("VM.destroy", vm)
    assert api.fails("blob.get_uuid", blob).code == "HANDLE_INVALID"
    api.call("VM.destroy", clone)


def test_restart(directory):
    daemon = conftest.Daemon(directory).start()
    with daemon.api() as api:
        blob = api.call("blob.create", "text/plain")
        assert put(daemon, "ref=" + blob, b"kept", cookie(api)) == 200
        kept = file_of(daemon, api, blob)
    daemon.stop(9)
    stranger = kept.parent / "00000000-0000-0000-0000-000000000000"
    stranger.write_bytes(b"left over")
    kept.write_bytes(b"longer than before")  # as after a crash between file and record
    daemon.start()
    with daemon.api() as api:
        assert api.call("blob.get_size", blob) == 18 and not stranger.exists()
        assert get(daemon, "ref=" + blob, cookie(api)).body == b"longer than before"
    assert daemon.stop()[0] == 0


def test_the_command_line(daemon, api, tmp_path):
    pool = api.call("pool.get_uuid", api.pool())
    files = {"in": b"by thin cli"}
    status, out, err = test_thin_cli.thin(daemon, "blob-create", "name=cli", "pool-uuid=" + pool, "mime-type=text/plain")
    assert (status, err) == (0, "")
    uuid = out.strip()
    assert test_thin_cli.thin(daemon, "blob-put", "uuid=" + uuid, "filename=in", files=files) == (0, "", "")
    assert test_thin_cli.thin(daemon, "blob-get", "uuid=" + uuid, "filename=out", files=files) == (0, "", "")
    assert files["out"] == b"by thin cli"
    target = tmp_path / "got"
    assert test_thin_cli.serai(daemon, "blob-get", "uuid=" + uuid, "filename=" + str(target)) == (0, "", "")
    assert target.read_bytes() == b"by thin cli"
    with wire.Api(*daemon.host_port()) as other:
        other.session = api.session
        other.call("blob.destroy", other.call("blob.get_by_uuid", uuid))
