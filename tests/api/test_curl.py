# SPDX-License-Identifier: Apache-2.0
"""Every handler of HTTP by curl, over TLS, as people and scripts use it: one row each. Unknown users are refused by all."""
import io
import json
import os
import re
import subprocess
import tarfile
import xml.etree.ElementTree as ElementTree

import pytest

import conftest
from test_rrd import until

LIMIT = "60"
WEBSOCKET = ("-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
             "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "-H", "Sec-WebSocket-Protocol: binary")
WHO = ["-u", "root:" + conftest.PASSWORD]


class World:
    """What the rows ask for, made once."""

    def __init__(self, daemon, api, directory):
        self.daemon, self.api, self.directory = daemon, api, directory
        self.vm = api.new_vm("curled")
        api.call("VM.start", self.vm, False, False)
        self.halted = api.new_vm("curled and halted")
        self.sr = api.call("pool.get_default_SR", api.pool())
        self.vdi = api.call("VDI.create", {
            "name_label": "curled", "name_description": "", "SR": self.sr, "virtual_size": 4 << 20, "type": "user",
            "sharable": False, "read_only": False, "other_config": {}})
        self.blob = api.call("VM.create_new_blob", self.vm, "curled", "text/plain", False)
        self.host = api.call("pool.get_master", api.pool())
        self.uuid = {cls: api.call(cls + ".get_uuid", ref) for cls, ref in (("VM", self.vm), ("SR", self.sr), ("host", self.host))}
        self.metadata = self.dump = None

    def close(self):
        self.api.call("VM.hard_shutdown", self.vm)
        for vm in (self.vm, self.halted):
            self.api.call("VM.destroy", vm)
        self.api.call("VDI.destroy", self.vdi)

    def curl(self, *args, who=WHO, fail="-f"):
        """Its output; args end with the path."""
        *options, path = args
        argv = ["curl", "-sSkg", fail, "--max-time", LIMIT, *who, *options, self.daemon.https + path]
        return subprocess.run([a for a in argv if a], capture_output=True, check=True).stdout

    def put(self, path, data, *options):
        """By a task, as clients follow transfers: its record at the end."""
        task = self.api.call("task.create", "curl", "")
        source = self.directory / "body"
        source.write_bytes(data)
        self.curl("-T", str(source), *options, path + ("&" if "?" in path else "?") + "task_id=" + task)
        token, record = "", self.api.call("task.get_record", task)
        while record["status"] == "pending":  # it ends when the answer is on its way
            token = self.api.call("event.from", ["task/" + task], token, 30.0)["token"]
            record = self.api.call("task.get_record", task)
        self.api.call("task.destroy", task)
        assert record["status"] == "success", record["error_info"]
        return record

    def beginning(self, n, *options_and_path):
        """The first n bytes of a stream that does not end by itself."""
        *options, path = options_and_path
        p = subprocess.Popen(["curl", "-sSkgN", "--max-time", LIMIT, *WHO, *options, self.daemon.https + path],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            return p.stdout.read(n)
        finally:
            p.kill()
            p.communicate()


@pytest.fixture(scope="module")
def world(daemon, api, tmp_path_factory):
    w = World(daemon, api, tmp_path_factory.mktemp("curl"))
    yield w
    w.close()


def rpc(w):
    body = {"jsonrpc": "2.0", "id": 7, "method": "VM.get_name_label", "params": [w.api.session, w.vm]}
    got = json.loads(w.curl("-d", json.dumps(body), "-H", "Content-Type: application/json", "/jsonrpc", who=()))
    assert got == {"jsonrpc": "2.0", "id": 7, "result": "curled"}


def cli(w):
    assert w.beginning(len(b"XenSource thin CLI protocol"), "--http0.9", "-d", "", "/cli") == b"XenSource thin CLI protocol"


def web_login(w):
    w.curl("-c", str(w.directory / "jar"), "-H", "Content-Type: application/json",
           "-d", json.dumps({"username": "root", "password": conftest.PASSWORD}), "/web/login", who=())
    assert "session" in (w.directory / "jar").read_text()


def web_session(w):
    web_login(w)
    assert json.loads(w.curl("-b", str(w.directory / "jar"), "/web/session", who=()))


def web_logout(w):
    web_login(w)
    w.curl("-b", str(w.directory / "jar"), "-H", "Origin: " + w.daemon.https, "-H", "Content-Type: application/json", "-d", "{}",
           "/web/logout", who=())
    assert b"401" in w.curl("-w", "%{http_code}", "-b", str(w.directory / "jar"), "/web/session", who=(), fail="")


def audit_log(w):
    lines = [json.loads(line[line.index("{"):]) for line in w.curl("/audit_log?format=json").decode().splitlines()]
    assert any(r.get("call") == "VM.start" for r in lines)
    assert b"VM.start" in w.curl("/audit_log")


def blob(w):
    w.put("/blob?ref=" + w.blob, b"what it holds")
    assert w.curl("/blob?ref=" + w.blob) == b"what it holds"


def raw_vdi(w):
    data = os.urandom(4 << 20)
    w.put("/import_raw_vdi?vdi=%s&format=raw" % w.vdi, data)
    assert w.curl("/export_raw_vdi?vdi=%s&format=raw" % w.vdi) == data
    assert w.curl("-b", "session_id=" + w.api.session, "/export_raw_vdi/?format=raw&vdi=" + w.vdi, who=()) == data


def console_connect(w):
    path = "/console?uuid=" + w.uuid["VM"]
    got = w.beginning(4, "--http1.0", "-X", "CONNECT", path)
    assert got == b"RFB "


def console_websocket(w):
    head = w.beginning(12, "-i", "--http1.1", *WEBSOCKET, "/console?uuid=" + w.uuid["VM"])
    assert head == b"HTTP/1.1 101"


def rrd_updates(w):
    got = json.loads(w.curl("/rrd_updates?start=0&host=true&json=true"))
    assert got["meta"]["columns"] == len(got["meta"]["legend"]) == len(got["data"][0]["values"])
    assert ElementTree.fromstring(w.curl("/rrd_updates?start=0&host=true")).tag == "xport"


def whole_rrd(path):
    def check(w):
        query = path.format(**w.uuid)
        until(lambda: b"200" == w.curl("-o", "/dev/null", "-w", "%{http_code}", query, fail="") or None)
        tree = ElementTree.fromstring(w.curl(query))
        assert tree.tag == "rrd" and tree.findtext("step") == "5" and tree.findall("rra")
        assert json.loads(w.curl(query + ("&" if "?" in query else "?") + "json=true"))["step"] in (5, "5")

    return check


def metadata(w):
    archive = w.curl("/export_metadata?ref=" + w.halted)
    with tarfile.open(fileobj=io.BytesIO(archive)) as t:
        assert t.getnames() == ["ova.xml"]
    record = w.put("/import_metadata", archive)
    (vm,) = re.findall("OpaqueRef:[0-9a-f-]{36}", record["result"])
    assert w.api.call("VM.get_name_label", vm) == "curled and halted"
    w.api.call("VM.destroy", vm)


def system_status(w):
    with tarfile.open(fileobj=io.BytesIO(w.curl("/system-status?output=tar"))) as t:
        assert t.getnames()


def xmldbdump(w):
    dump = w.curl("/pool/xmldbdump")
    assert ElementTree.fromstring(dump).tag == "database"
    w.api.call("VM.hard_shutdown", w.vm)  # nothing may run
    w.put("/pool/xmldbdump?dry_run=true", w.curl("/pool/xmldbdump"))
    w.api.call("VM.start", w.vm, False, False)


def messages(w):
    dump = w.curl("/messages?cls=VM&uuid=" + w.uuid["VM"])
    assert ElementTree.fromstring(b"<r>" + re.sub(rb"<\?xml[^>]*>", b"", dump) + b"</r>") is not None
    w.put("/messages?cls=VM&uuid=" + w.uuid["VM"], dump)


def metrics(w):
    text = w.curl("/metrics").decode()
    assert text.endswith("# EOF\n") and "serai" in text


def page(w):
    assert b"<html" in w.curl("/", who=()).lower()


def page_head(w):
    head = w.curl("-I", "/", who=()).decode()
    assert head.startswith("HTTP/1.1 200") and re.search(r"(?i)content-length: [1-9]", head)


ROWS = {
    ("POST", "/"): rpc,
    ("POST", "/cli"): cli,
    ("POST", "/web/login"): web_login,
    ("POST", "/web/logout"): web_logout,
    ("GET", "/web/session"): web_session,
    ("GET", "/audit_log"): audit_log,
    ("GET", "/blob"): blob,
    ("PUT", "/blob"): blob,
    ("GET", "/export_raw_vdi"): raw_vdi,
    ("PUT", "/import_raw_vdi"): raw_vdi,
    ("CONNECT", "/console"): console_connect,
    ("GET", "/console"): console_websocket,
    ("GET", "/rrd_updates"): rrd_updates,
    ("GET", "/host_rrd"): whole_rrd("/host_rrd"),
    ("GET", "/vm_rrd"): whole_rrd("/vm_rrd?uuid={VM}"),
    ("GET", "/sr_rrd"): whole_rrd("/sr_rrd?uuid={SR}"),
    ("GET", "/export_metadata"): metadata,
    ("PUT", "/import_metadata"): metadata,
    ("GET", "/system-status"): system_status,
    ("GET", "/pool/xmldbdump"): xmldbdump,
    ("PUT", "/pool/xmldbdump"): xmldbdump,
    ("GET", "/messages"): messages,
    ("PUT", "/messages"): messages,
    ("GET", "/metrics"): metrics,
    ("GET", "/"): page,
    ("HEAD", "/"): page_head,
}
FOR_ALL = {("POST", "/"), ("POST", "/cli"), ("POST", "/web/login"), ("POST", "/web/logout"), ("GET", "/"), ("HEAD", "/")}


@pytest.mark.parametrize("check", dict.fromkeys(ROWS.values()), ids=lambda f: f.__name__)
def test_handler(world, check):
    check(world)


@pytest.mark.parametrize("row", sorted(set(ROWS) - FOR_ALL), ids=" ".join)
def test_refused_without_a_user(world, row):
    """Status 401, and the task that was named fails."""
    method, path = row
    task = world.api.call("task.create", "refused", "")
    got = world.curl("-o", "/dev/null", "-w", "%{http_code}", "-X", method, "-H", "Content-Length: 0",
                     *(WEBSOCKET if row == ("GET", "/console") else ()),
                     path + "?uuid=%s&task_id=%s" % (world.uuid["VM"], task), who=(), fail="")
    status = world.api.call("task.get_status", task)
    world.api.call("task.destroy", task)
    assert got == b"401"
    assert status == "failure" or path == "/web/session", status


def test_every_handler_has_its_row():
    """Those of other files are driven there."""
    text = (conftest.ROOT / "src" / "seraid" / "serve.c").read_text()
    routes = set(re.findall(r'\{ HTTP_([A-Z]+), \w+, "([^"]+)", \w+ \}', text))
    assert len(routes) >= len(ROWS) and set(ROWS) <= routes
    tests = "".join(p.read_text() for p in (conftest.ROOT / "tests" / "api").glob("test_*.py"))
    for method, path in routes - set(ROWS):
        assert path in tests, (method, path)
