# SPDX-License-Identifier: Apache-2.0
"""The consoles of a running machine: the screen and the serial line, by CONNECT and by WebSocket."""
import base64
import hashlib
import os

import pytest

import guests
import wire
from guests import Console

GREETING = b"RFB 003.008\n"


@pytest.fixture(scope="module")
def up(daemon, api):
    """One guest that runs throughout, with its serial line."""
    vm = guests.Guest(daemon, api, "console")
    line = vm.start_up()
    yield vm, line
    vm.remove()


@pytest.fixture
def names(api, up):
    """{protocol: ways to name that console}"""
    vm, _ = up
    found = {}
    for ref in vm.get("consoles"):
        found[api.call("console.get_protocol", ref)] = ["ref=" + ref, "uuid=" + api.call("console.get_uuid", ref)]
    found["rfb"] += ["ref=" + vm.ref, "uuid=" + vm.uuid]
    return found


class WebSocket:
    """A client after RFC 6455, as small as a test needs it."""

    def __init__(self, daemon, session, query, tls=False):
        self.raw = wire.Raw(*daemon.host_port(tls), tls=wire.insecure_tls() if tls else None)
        key = base64.b64encode(os.urandom(16)).decode()
        self.raw.send("GET /console?%s&session_id=%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\nSec-WebSocket-Key: %s\r\n\r\n"
                      % (query, session, key))
        status, headers = self.raw.head()
        assert status == 101 and headers["sec-websocket-protocol"] == "binary"
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert headers["sec-websocket-accept"] == base64.b64encode(accept).decode()
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()

    def send(self, data, opcode=2):
        mask = os.urandom(4)
        assert len(data) < 126
        self.raw.send(bytes([0x80 | opcode, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def frame(self):
        """(opcode, payload), or None at the end."""
        try:
            head = self.raw.read(2)
            size = head[1] & 0x7F
            if size == 126:
                size = int.from_bytes(self.raw.read(2), "big")
            elif size == 127:
                size = int.from_bytes(self.raw.read(8), "big")
            assert not head[1] & 0x80, "a server does not mask"
            return head[0] & 0xF, self.raw.read(size)
        except (AssertionError, ConnectionResetError):
            return None

    def expect(self, text):
        while text not in self.data:
            frame = self.frame()
            assert frame, "the stream ended after %r" % self.data[-500:]
            assert frame[0] == 2, frame
            self.data += frame[1]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_connect(daemon, api, names, version):
    for query in names["rfb"]:
        with Console(daemon, api.session, query, version) as screen:
            screen.expect("^RFB 003.008\n")
    for query in names["vt100"] + [names["rfb"][2] + "&text=true"]:
        with Console(daemon, api.session, query, version) as line:
            line.ask("echo by " + query.split("=")[0], r"^ECHO by \w+\r$")


def handshake(send, read):
    """As far as the size of the screen."""
    assert read(12) == GREETING
    send(GREETING)
    types = read(read(1)[0])
    assert 1 in types
    send(b"\x01")
    assert read(4) == bytes(4)
    send(b"\x01")
    head = read(24)
    width, height = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:4], "big")
    read(int.from_bytes(head[20:24], "big"))
    return width, height


def test_the_screen_answers(daemon, api, names):
    """The whole of RFB's opening, on plain HTTP and on TLS, and by WebSocket."""
    for tls in (False, True):
        with wire.Raw(*daemon.host_port(tls), tls=wire.insecure_tls() if tls else None) as raw:
            raw.send("CONNECT /console?%s&session_id=%s HTTP/1.0\r\n\r\n" % (names["rfb"][1], api.session))
            assert raw.head()[0] == 200
            width, height = handshake(raw.send, raw.read)
            assert width >= 640 and height >= 400
        with WebSocket(daemon, api.session, names["rfb"][0], tls) as ws:
            def read(n):
                while len(ws.data) < n:
                    opcode, data = ws.frame()
                    assert opcode == 2
                    ws.data += data
                data, ws.data = ws.data[:n], ws.data[n:]
                return data
            assert handshake(ws.send, read) == (width, height)
            ws.send(b"", 8)
            while (frame := ws.frame()) and frame[0] != 8:
                pass
            assert frame and ws.frame() is None


def test_two_viewers_and_a_websocket(daemon, api, names):
    query = names["vt100"][1]
    with Console(daemon, api.session, query) as one, Console(daemon, api.session, query) as two, \
            WebSocket(daemon, api.session, query) as three:
        one.send("echo from one")
        two.send("echo from two")
        three.send(b"echo from three\n")
        for line in (one, two):
            for who in ("one", "two", "three"):
                line.seen = 0
                line.expect("^ECHO from %s\r$" % who)
        three.expect(b"\nECHO from one\r\n")
        three.send(b"ping", 9)
        one.raw.close()
        two.ask("echo alone", "^ECHO alone\r$")
    with Console(daemon, api.session, query) as late:
        late.expect("^ECHO alone\r$")  # what was said before it came


def test_large_output_is_whole(daemon, api, names):
    with Console(daemon, api.session, names["vt100"][0]) as line:
        line.send("sh i=0; while [ $i -lt 400 ]; do echo line $i of many that are long enough to fill buffers; i=$((i+1)); done")
        line.expect(r"^SH 0\r$")
        numbers = [int(w.split()[1]) for w in line.text.split(b"\r\n") if w.startswith(b"line ")]
        assert numbers == list(range(400))


def refused(daemon, query, headers=()):
    with daemon.connect() as raw:
        raw.send("CONNECT /console?%s HTTP/1.0\r\n%s\r\n" % (query, "".join("%s: %s\r\n" % h for h in headers)))
        return raw.head()[0]


def test_refusals(daemon, api, names):
    query = names["rfb"][1]
    assert refused(daemon, query) == 401
    assert refused(daemon, query + "&session_id=OpaqueRef:00000000-0000-4000-8000-000000000000") == 401
    session = "&session_id=" + api.session
    for name in ("uuid=00000000-0000-4000-8000-000000000000", "ref=OpaqueRef:00000000-0000-4000-8000-000000000000",
                 "ref=" + api.pool(), "uuid=", "x=y"):
        assert refused(daemon, name + session) == 404, name
    halted = guests.Guest(daemon, api, "halted", kernel="null")
    assert refused(daemon, "ref=" + halted.ref + session) == 404
    halted.remove()


def test_streams_end_with_the_machine(daemon, api):
    vm = guests.Guest(daemon, api, "ends", kernel="null")
    for how in ("hard_shutdown", "kill"):
        vm.start()
        with vm.serial() as line, Console(daemon, api.session, "ref=" + vm.ref) as screen, \
                WebSocket(daemon, api.session, "ref=%s" % vm.ref) as ws:
            line.expect("^N\n")
            screen.expect("^RFB 003.008\n")
            ws.expect(GREETING)
            if how == "kill":
                os.kill(vm.pid(), 9)
            else:
                vm.call(how)
            line.wait_end()
            screen.wait_end()
            while ws.frame():
                pass
        vm.wait_state("Halted")
    vm.remove()
