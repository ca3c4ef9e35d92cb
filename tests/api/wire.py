# SPDX-License-Identifier: Apache-2.0
"""Small clients for the tests: bytes on a socket, HTTP answers, JSON-RPC calls."""
import json
import socket
import ssl
import time

LIMIT = 60  # seconds that anything may take


class ApiError(Exception):
    def __init__(self, code, *params, explain=None):
        super().__init__(code, *params)
        self.code, self.params, self.explain = code, list(params), explain


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Raw:
    """A connection that sends what it is given and reads HTTP answers."""

    def __init__(self, host=None, port=None, tls=None, unix=None):
        if unix:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(LIMIT)
            self.sock.connect(unix)
        else:
            self.sock = socket.create_connection((host, port), timeout=LIMIT)
        if tls:
            self.sock = tls.wrap_socket(self.sock)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def fill(self):
        data = self.sock.recv(65536)
        self.pending += data
        return bool(data)

    def read_until(self, end):
        while end not in self.pending:
            assert self.fill(), "the connection ended after %r" % self.pending
        text, self.pending = self.pending.split(end, 1)
        return text

    def read(self, n):
        data = bytearray(self.pending)
        while len(data) < n:
            more = self.sock.recv(1 << 18)
            assert more, "the connection ended after %d bytes" % len(data)
            data += more
        self.pending = bytes(data[n:])
        return bytes(data[:n])

    def read_to_end(self):
        try:
            while self.fill():
                pass
        except ConnectionResetError:
            pass
        data, self.pending = self.pending, b""
        return data

    def ended(self):
        """True when the peer has closed (waits for that)."""
        return not self.pending and self.read_to_end() == b""

    def head(self):
        lines = self.read_until(b"\r\n\r\n").decode().split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers[name.strip().lower()] = value.strip()
        version, status = lines[0].split(" ")[:2]
        assert version.startswith("HTTP/1.")
        return int(status), headers

    def answer(self, head_only=False):
        status, headers = self.head()
        if head_only or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(self.read_until(b"\r\n"), 16)
                body += self.read(size)
                self.read(2)
                if size == 0:
                    break
        elif "content-length" in headers:
            body = self.read(int(headers["content-length"]))
        else:
            body = self.read_to_end()
        return Answer(status, headers, body)

    def request(self, method, path, body=b"", headers=(), version="1.1"):
        body = body.encode() if isinstance(body, str) else body
        lines = ["%s %s HTTP/%s" % (method, path, version), "Host: test"]
        lines += ["%s: %s" % h for h in headers]
        if body or method in ("POST", "PUT"):
            lines.append("Content-Length: %d" % len(body))
        try:
            self.send(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        except BrokenPipeError:
            pass  # refused before it was asked: the answer says why
        return self.answer(method == "HEAD")


def insecure_tls():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Api:
    """JSON-RPC 2 over one kept connection."""

    def __init__(self, host=None, port=None, tls=None, unix=None):
        self.where = dict(host=host, port=port, tls=tls, unix=unix)
        self.raw, self.session, self.count = None, None, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.raw:
            self.raw.close()
        self.raw = None

    def bare(self, method, *params):
        """A call as it stands, without the session put in front."""
        if not self.raw:
            self.raw = Raw(**self.where)
        self.count += 1
        body = json.dumps({"jsonrpc": "2.0", "id": self.count, "method": method, "params": list(params)})
        answer = self.raw.request("POST", "/jsonrpc", body, [("Content-Type", "application/json")])
        assert answer.status == 200, "%s: %d %r" % (method, answer.status, answer.body)
        assert answer.headers["content-type"] == "application/json"
        reply = answer.json()
        assert reply["jsonrpc"] == "2.0" and reply["id"] == self.count
        if "error" in reply:
            assert "result" not in reply and reply["error"]["code"] != 0
            raise ApiError(reply["error"]["message"], *reply["error"]["data"], explain=reply["error"].get("explain"))
        return reply["result"]

    def call(self, method, *params):
        return self.bare(method, self.session, *params)

    def login(self, user, password, *more):
        self.session = self.bare("session.login_with_password", user, password, *more)
        return self

    def fails(self, method, *params):
        """The error that the call must end with."""
        try:
            result = self.call(method, *params)
        except ApiError as e:
            return e
        raise AssertionError("%s%r answered %r" % (method, params, result))

    def pool(self):
        return self.call("pool.get_all")[0]

    def new_vm(self, name="test"):
        """A halted VM with nothing in it: a clone of the plain template."""
        template = self.call("VM.get_by_name_label", "Other install media")[0]
        vm = self.call("VM.clone", template, name)
        self.call("VM.provision", vm)
        return vm

    def wait_task(self, task, limit=LIMIT):
        """Its record once it has ended, learned from events."""
        until = time.monotonic() + limit
        token = ""
        while time.monotonic() < until:
            batch = self.call("event.from", ["task/" + task], token, 5.0)
            token = batch["token"]
            for event in batch["events"]:
                if event["ref"] == task and event.get("snapshot", {}).get("status") not in (None, "pending", "cancelling"):
                    return event["snapshot"]
        raise AssertionError("task still pending")
