# SPDX-License-Identifier: Apache-2.0
"""VM.import: archives that a server of HTTP has, honest servers and others."""
import socket
import socketserver
import threading
import time

import pytest

import test_roles
from test_disk_formats import storage
from test_thin_cli import serai
from test_transfer import url as export_url
from test_xva import destroy, disks_of, everything, export, machine, nothing_new, refs, volumes  # noqa: F401


class Server(socketserver.ThreadingTCPServer):
    """Each path has a function that answers on the socket. heads: what was asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.heads = {}, []
        self.base = "http://127.0.0.1:%d" % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # who hangs up on purpose is no news

    def page(self, path, body, status="200 OK", headers=(), length=None):
        lines = ["HTTP/1.1 " + status, *headers]
        if length != "none":
            lines.append("Content-Length: %d" % (len(body) if length is None else length))
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self.pages[path] = lambda sock: sock.sendall(head + body)
        return self.base + path


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            got = self.request.recv(4096)
            if not got:
                return
            head += got
        self.server.heads.append(head.decode())
        self.server.pages[head.split()[1].decode().split("?")[0]](self.request)


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.shutdown()
    s.server_close()


@pytest.fixture(scope="module")
def data(daemon, api, machine):  # noqa: F811
    return export(daemon, api, machine[0])


def run(api, url, sr="OpaqueRef:NULL", restore=False, force=False):
    return api.wait_task(api.call("Async.VM.import", url, sr, restore, force))


def why(record):
    assert record["status"] == "failure", record
    return record["error_info"]


def test_it_comes_whole(daemon, api, machine, server, data):  # noqa: F811
    vm, disks = machine
    before = everything(api)
    where = server.page("/v.xva", data)
    made = refs(run(api, where, storage(api)))
    assert len(made) == 1 and disks_of(daemon, api, made[0]) == disks
    assert api.call("VM.get_uuid", made[0]) != api.call("VM.get_uuid", vm)
    assert server.heads[-1].startswith("GET /v.xva HTTP/1.0\r\n")
    destroy(api, made[0])
    # Of a server that announces no length, packed, and waited for; into the default repository.
    packed = server.page("/z", export(daemon, api, vm, use_compression="zstd"), length="none")
    made = api.call("VM.import", packed, "OpaqueRef:NULL", False, False)
    assert disks_of(daemon, api, made[0]) == disks
    destroy(api, made[0])
    # Of a daemon like this; and what follows the archive is not read.
    made = refs(run(api, daemon.http + export_url(api, "/export", ref=vm)))
    assert disks_of(daemon, api, made[0]) == disks
    destroy(api, made[0])
    status, out, err = serai(daemon, "vm-import", "url=" + server.page("/long", data + bytes(1 << 20)))
    assert (status, err) == (0, "")
    made = api.call("VM.get_by_uuid", out.strip())
    destroy(api, made)
    assert everything(api) == before


def test_identity(daemon, api, machine, server):  # noqa: F811
    clone = api.call("VM.clone", machine[0], "goes and comes")
    uuid = api.call("VM.get_uuid", clone)
    where = server.page("/clone", export(daemon, api, clone))
    assert why(run(api, where, restore=True)) == ["DUPLICATE_VM", clone]
    destroy(api, clone)
    made = refs(run(api, where, restore=True))[0]
    assert api.call("VM.get_uuid", made) == uuid
    destroy(api, made)


def test_redirections(daemon, api, machine, server, data):  # noqa: F811
    server.page("/here", data)
    server.page("/path", b"", "302 Found", ["Location: /here?again=1"])
    server.page("/address", b"moved", "307 Temporary Redirect", ["Location: %s/path" % server.base])
    made = refs(run(api, server.base + "/address"))
    destroy(api, made[0])
    assert server.heads[-1].startswith("GET /here?again=1 ")
    server.page("/loop", b"", "301 Moved Permanently", ["Location: /loop"])
    asked = len(server.heads)
    assert why(run(api, server.base + "/loop"))[0] == "IMPORT_ERROR" and 2 < len(server.heads) - asked < 12
    for i, place in enumerate(("ftp://127.0.0.1/x", "//127.0.0.1/x", "here", "file:///etc/passwd", "")):
        where = server.page("/odd%d" % i, b"", "302 Found", ["Location: " + place] if place else [])
        code, text = why(run(api, where))
        assert code == "IMPORT_ERROR" and "no address" in text, place


def test_servers_that_lie_or_fail(daemon, api, server, data):
    before, files = everything(api), volumes(daemon)
    half, most = len(data) // 2, len(data) - 5 * 512 * 20
    # Less than announced; announced as little as comes; announced less than comes; not announced.
    for sent, length in ((0, len(data)), (half, len(data)), (most, most), (len(data), half), (300, "none"), (most, "none")):
        where = server.page("/cut", data[:sent], length=length)
        assert why(run(api, where)) == ["IMPORT_ERROR_PREMATURE_EOF"], (sent, length)
        assert everything(api) == before, (sent, length)
    assert nothing_new(daemon, files)
    assert why(run(api, server.page("/gone", b"<html>", "404 Not Found"))) == [
        "IMPORT_ERROR", "127.0.0.1:%d answered 404" % server.server_address[1]]
    assert why(run(api, server.page("/html", b"<html>" * 1000)))[0].startswith("IMPORT_ERROR")
    chunked = server.page("/chunked", b"0\r\n\r\n", headers=["Transfer-Encoding: chunked"], length="none")
    assert why(run(api, chunked))[0] == "IMPORT_ERROR"
    server.pages["/noise"] = lambda sock: sock.sendall(b"220 this is mail\r\n\r\n")
    server.pages["/mute"] = lambda sock: None
    for path in ("/noise", "/mute"):
        assert why(run(api, server.base + path))[0] == "IMPORT_ERROR", path
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused
        code, text = why(run(api, "http://127.0.0.1:%d/secret-path" % nobody.getsockname()[1]))
    assert code == "IMPORT_ERROR" and "cannot connect" in text and "secret-path" not in text
    for odd in ("", "v.xva", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "http://127.0.0.1:0x50/",
                "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y"):
        assert why(run(api, odd)) == ["INVALID_VALUE", "url", "not an address of HTTP"], odd
    nothing = "OpaqueRef:00000000-0000-4000-8000-000000000001"
    assert why(run(api, server.base + "/v.xva", nothing)) == ["HANDLE_INVALID", "SR", nothing]
    assert everything(api) == before and nothing_new(daemon, files)


def test_cancelled(daemon, api, server, data):
    """While the server keeps silent, before its answer and in the middle of it."""
    before, files = everything(api), volumes(daemon)
    release = threading.Event()

    def slow(sent):
        def answer(sock):
            sock.sendall(sent)
            release.wait(60)
        return answer

    head = b"HTTP/1.0 200 OK\r\n\r\n"
    for sent in (b"", head, head + data[:len(data) // 2]):
        server.pages["/slow"] = slow(sent)
        asked = len(server.heads)
        task = api.call("Async.VM.import", server.base + "/slow", "OpaqueRef:NULL", False, False)
        until = time.monotonic() + 60
        while len(server.heads) == asked or (len(sent) > 100 and everything(api)["VDI"] == before["VDI"]):
            assert time.monotonic() < until
            api.call("event.from", ["vdi"], "", 0.1)
        api.call("task.cancel", task)
        record = api.wait_task(task)
        assert (record["status"], record["error_info"][0]) == ("cancelled", "TASK_CANCELLED")
        assert everything(api) == before and nothing_new(daemon, files)
    release.set()


def test_tls(daemon, api, machine, data):  # noqa: F811
    """The certificate counts once the pool checks certificates."""
    where = daemon.https + export_url(api, "/export", ref=machine[0])
    made = refs(run(api, where))
    destroy(api, made[0])
    api.call("pool.enable_tls_verification")
    code, text = why(run(api, where))
    assert code == "SSL_VERIFY_ERROR" and "not trusted" in text and api.session not in text


def test_who_may_and_what(daemon, api, machine, server, data):  # noqa: F811
    """The call is an operator's; what the archive restores is judged as if made by hand."""
    admin, operator = (test_roles.as_token(daemon, api, "as-" + r, test_roles.role(api, r))
                       for r in ("vm-admin", "pool-operator"))
    error = admin.fails("VM.import", server.base + "/v.xva", "OpaqueRef:NULL", False, False)
    assert (error.code, error.params[0].lower()) == ("RBAC_PERMISSION_DENIED", "vm.import")
    clone = api.call("VM.clone", machine[0], "with a device of the host")
    api.call("VM.add_to_other_config", clone, "pci", "0/0000:00:02.0")  # a key of pool-admins
    where = server.page("/pci", export(daemon, api, clone))
    before, files = everything(api), volumes(daemon)
    error = operator.fails("VM.import", where, "OpaqueRef:NULL", False, False)
    assert error.code == "RBAC_PERMISSION_DENIED" and "pci" in error.params[0]
    assert everything(api) == before and nothing_new(daemon, files)
    made = operator.call("VM.import", server.page("/v.xva", data), "OpaqueRef:NULL", False, False)
    destroy(api, made[0])
    destroy(api, clone)
    admin.close()
    operator.close()


def test_the_address_is_no_ones_business(daemon, api, server):
    server.page("/gone", b"", "404 Not Found")
    record = run(api, server.base + "/gone?password=hunter2")
    assert "hunter2" not in str(record)
    assert "hunter2" not in daemon.log_text()
    logs = [log.read_bytes() for log in (daemon.state / "audit").glob("*.log")]
    assert any(b'VM.import","args":{"url":"(hidden)"' in log for log in logs)
    assert not any(b"hunter2" in log for log in logs)
