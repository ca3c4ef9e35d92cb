# SPDX-License-Identifier: Apache-2.0
"""Consoles: who may open them and how the streams begin. The bytes themselves come from a machine that is not real."""
import base64
import os

import pytest

import facts
from conftest import PASSWORD


@pytest.fixture(scope="module")
def vm(api):
    ref = api.new_vm("console")
    api.call("VM.start", ref, False, False)
    yield ref
    api.call("VM.hard_shutdown", ref)
    api.call("VM.destroy", ref)


def connect(raw, path, headers=(), version="1.0"):
    lines = ["CONNECT %s HTTP/%s" % (path, version), "Host: x"] + ["%s: %s" % h for h in headers]
    raw.send("\r\n".join(lines) + "\r\n\r\n")
    return raw.head()


def test_connect_by_every_name(daemon, api, vm):
    console = next(c for c in api.call("VM.get_consoles", vm) if api.call("console.get_protocol", c) == "rfb")
    uuid = api.call("VM.get_uuid", vm)
    names = ["ref=" + vm, "ref=" + console, "uuid=" + uuid, "uuid=" + api.call("console.get_uuid", console)]
    for name in names:
        with daemon.connect() as raw:
            status, _ = connect(raw, "/console?" + name, [("Cookie", "session_id=" + api.session)])
            assert status == 200, name
            assert raw.read(4) == b"RFB ", name
    with daemon.connect() as raw:
        assert connect(raw, "/console?%s&session_id=%s" % (names[0], api.session), version="1.1")[0] == 200
        assert raw.read(4) == b"RFB "
    token = base64.b64encode(("root:" + PASSWORD).encode()).decode()
    with daemon.connect() as raw:
        assert connect(raw, "/console?" + names[2], [("Authorization", "Basic " + token)])[0] == 200


def test_text(daemon, api, vm):
    """The serial line, asked for by its console record or by a word; what is typed goes in and comes back."""
    serial = next(c for c in api.call("VM.get_consoles", vm) if api.call("console.get_protocol", c) == "vt100")
    for name in ("ref=" + serial, "ref=%s&text=1" % vm, "uuid=%s&text=true" % api.call("VM.get_uuid", vm)):
        with daemon.connect() as raw:
            assert connect(raw, "/console?%s&session_id=%s" % (name, api.session))[0] == 200, name
            raw.read_until(b"\r\n")
            raw.send(b"typed")
            assert raw.read(5) == b"typed"


def test_location_is_where_we_listen(daemon, api, vm):
    for console in api.call("VM.get_consoles", vm):
        assert api.call("console.get_location", console).startswith(daemon.https + "/console?")


def test_websocket(daemon, api, vm):
    key = base64.b64encode(os.urandom(16)).decode()
    path = "/console?uuid=%s&session_id=%s" % (api.call("VM.get_uuid", vm), api.session)
    with daemon.connect() as raw:
        raw.send("GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\nSec-WebSocket-Key: %s\r\n\r\n"
                 % (path, key))
        status, headers = raw.head()
        assert status == 101 and headers["sec-websocket-protocol"] == "binary"
        frame = raw.read(2)
        assert frame[0] == 0x82 and raw.read(4) == b"RFB "
        raw.send(b"\x88\x80\x00\x00\x00\x00")  # close
        assert b"\x88" in raw.read_to_end()


def test_refusals(daemon, api, vm):
    for query, status in (("", 404), ("uuid=x", 404), ("ref=" + facts.some_ref(), 404), ("ref=" + api.pool(), 404)):
        with daemon.connect() as raw:
            assert connect(raw, "/console?%s&session_id=%s" % (query, api.session))[0] == status
    with daemon.connect() as raw:
        status, headers = connect(raw, "/console?ref=" + vm)
        assert status == 401 and "www-authenticate" in headers
    with daemon.connect() as raw:
        assert raw.request("GET", "/console?ref=%s&session_id=%s" % (vm, api.session)).status == 400
    halted = api.new_vm("halted")
    with daemon.connect() as raw:
        assert connect(raw, "/console?ref=%s&session_id=%s" % (halted, api.session))[0] == 404
    api.call("VM.destroy", halted)
