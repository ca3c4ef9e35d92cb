# SPDX-License-Identifier: Apache-2.0
"""The bytes: envelopes of every encoding, content types, keep-alive, what is refused and how."""
import json
import threading
import xml.etree.ElementTree as ET

import pytest

import wire
from conftest import PASSWORD

XML_HEAD = '<?xml version="1.0"?>'


def xml_call(method, *params):
    values = "".join("<param><value><string>%s</string></value></param>" % p for p in params)
    return "%s<methodCall><methodName>%s</methodName><params>%s</params></methodCall>" % (XML_HEAD, method, values)


def post(raw, path, body, content_type="text/xml"):
    return raw.request("POST", path, body, [("Content-Type", content_type)])


@pytest.fixture
def raw(daemon):
    with daemon.connect() as connection:
        yield connection


def struct_of(answer):
    """{name: text of its value} of the struct in an XML-RPC answer."""
    assert answer.status == 200
    root = ET.fromstring(answer.body)
    members = root.find("params/param/value/struct")
    return {m.find("name").text: "".join(m.find("value").itertext()) for m in members}


def json_call(raw, body, path="/jsonrpc"):
    answer = post(raw, path, json.dumps(body) if not isinstance(body, str) else body, "application/json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


# XML-RPC

def test_xml_on_any_path(raw):
    for path in ("/", "/RPC2", "/xmlrpc", "/any/thing?x=y"):
        answer = post(raw, path, xml_call("session.login_with_password", "root", PASSWORD))
        assert answer.headers["content-type"] == "text/xml"
        assert answer.headers["access-control-allow-origin"] == "*"
        got = struct_of(answer)
        assert got["Status"] == "Success" and got["Value"].startswith("OpaqueRef:")


def test_xml_has_no_space_between_elements(raw, api):
    answer = post(raw, "/", xml_call("host.get_all_records", api.session))
    body = answer.body.decode()
    start = body.index("<methodResponse>")
    assert "> <" not in body[start:] and ">\n" not in body[start:].rstrip("\n")


def test_xml_failure(raw):
    got = struct_of(post(raw, "/", xml_call("VM.get_all", "OpaqueRef:nonsense")))
    assert got["Status"] == "Failure" and got["ErrorDescription"].startswith("SESSION_INVALID")


def test_xml_list_methods_is_a_bare_array(raw):
    answer = post(raw, "/", xml_call("system.listMethods"))
    names = [v.text if v.text else v[0].text
             for v in ET.fromstring(answer.body).findall("params/param/value/array/data/value")]
    assert "VM.start" in names and "VM.get_all_records" in names and "system.listMethods" in names
    assert not [n for n in names if n.startswith("Async")]
    assert len(names) > 1500 and len(set(names)) == len(names)


def test_ints_are_digits_in_xml_and_numbers_in_json(raw, api):
    vm = api.call("VM.get_by_name_label", "Other install media")[0]
    body = post(raw, "/", xml_call("VM.get_memory_static_max", api.session, vm)).body.decode()
    number = api.call("VM.get_memory_static_max", vm)
    assert isinstance(number, int) and "<value>%d</value>" % number in body


def test_json_sent_to_an_xml_path(raw):
    assert json_call(raw, {"jsonrpc": "2.0", "id": 1, "method": "system.listMethods", "params": []}, "/RPC2")["result"]


# JSON-RPC

def test_json_2(raw):
    body = {"jsonrpc": "2.0", "id": 7, "method": "session.login_with_password", "params": ["root", PASSWORD]}
    got = json_call(raw, body)
    assert set(got) == {"jsonrpc", "id", "result"} and got["id"] == 7 and got["jsonrpc"] == "2.0"
    got = json_call(raw, dict(body, id="x", params=["root", "wrong"]))
    assert set(got) == {"jsonrpc", "id", "error"} and got["id"] == "x"
    assert got["error"]["message"] == "SESSION_AUTHENTICATION_FAILED" and got["error"]["code"] != 0
    assert got["error"]["data"][0] == "root" and got["error"]["explain"]


def test_json_1(raw):
    body = {"id": 7, "method": "session.login_with_password", "params": ["root", PASSWORD]}
    got = json_call(raw, body)
    assert got["error"] is None and got["result"].startswith("OpaqueRef:") and got["id"] == 7
    got = json_call(raw, dict(body, params=["root", "wrong"]))
    assert got["result"] is None and got["error"][:2] == ["SESSION_AUTHENTICATION_FAILED", "root"]


def test_json_path_with_slash_and_alias(raw):
    body = {"jsonrpc": "2.0", "id": 1, "method": "system.listMethods", "params": []}
    for path in ("/jsonrpc", "/jsonrpc/", "/json", "/jsonrpc?x=1"):
        assert "VM.start" in json_call(raw, body, path)["result"]


# HTTP

def test_keep_alive_and_pipelined(raw):
    body = xml_call("system.listMethods").encode()
    one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    raw.send(one * 5)
    for _ in range(5):
        answer = raw.answer()
        assert answer.status == 200 and answer.headers.get("connection", "keep-alive").lower() != "close"


def test_http_1_0_closes(raw):
    answer = raw.request("POST", "/", xml_call("system.listMethods"), version="1.0")
    assert answer.status == 200 and raw.ended()


def test_connection_close_is_honoured(raw):
    answer = raw.request("POST", "/", xml_call("system.listMethods"), [("Connection", "close")])
    assert answer.status == 200 and answer.headers["connection"] == "close" and raw.ended()


def test_options(raw):
    answer = raw.request("OPTIONS", "/jsonrpc", headers=[("Origin", "http://x"),
                                                          ("Access-Control-Request-Method", "POST")])
    assert answer.status in (200, 204) and answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "content-type" in answer.headers["access-control-allow-headers"].lower()


def test_head_and_get_page(raw):
    got = raw.request("GET", "/")
    assert got.status == 200 and b"Serai" in got.body and got.headers["content-type"].startswith("text/html")
    head = raw.request("HEAD", "/")
    assert head.status == 200 and head.headers["content-length"] == str(len(got.body))
    assert raw.request("GET", "/").status == 200  # nothing of a body came after the HEAD


@pytest.mark.parametrize("path", ["/nothing", "/no/such/page", "/indexhtml"])
def test_404(raw, path):
    assert raw.request("GET", path).status == 404
    assert raw.request("PUT", path).status == 404


def test_unknown_methods(raw):
    assert raw.request("DELETE", "/").status in (405, 501)


@pytest.mark.parametrize("body", ["", "<", "<methodCall>", "garbage", "<a/>", "<methodCall></methodCall>",
                                  '<!DOCTYPE x [<!ENTITY a "b">]><methodCall><methodName>a</methodName></methodCall>',
                                  "<methodCall><methodName>a</methodName><params><param></methodCall>",
                                  "<value>" * 200, "\x00\x01"])
def test_malformed_xml(daemon, body):
    with daemon.connect() as raw:
        answer = post(raw, "/", body)
        assert answer.status == 500 and len(answer.body.strip()) > 3


@pytest.mark.parametrize("body", ["{", "[]", "{}", "17", '{"method": 1}', '{"method": "a", "params": 3}',
                                  '{"jsonrpc": "2.0", "id": 1}', "[" * 5000, '{"method": "a\\u0000b", "params": []}',
                                  '{"method": "a", "params": []} x', '\xff\xfe'])
def test_malformed_json(daemon, body):
    with daemon.connect() as raw:
        answer = post(raw, "/jsonrpc", body.encode("latin-1"), "application/json")
        assert answer.status == 500 and len(answer.body.strip()) > 3


def test_body_too_large(daemon):
    with daemon.connect() as raw:
        raw.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (2 * 1024 * 1024 + 1))
        assert raw.answer().status == 413
        assert raw.ended()


def test_body_as_large_as_allowed(daemon):
    body = '{"jsonrpc": "2.0", "id": 1, "method": "system.listMethods", "params": []}'
    with daemon.connect() as raw:
        assert post(raw, "/jsonrpc", body.ljust(2 * 1024 * 1024), "application/json").status == 200


BAD_HEADS = {
    "two lengths": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "length and chunked": "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded": "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "negative length": "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "no version": "GET /\r\n\r\n",
    "space in name": "GET / HTTP/1.1\r\nA b: c\r\n\r\n",
    "not HTTP": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "bad escape": "GET /%zz HTTP/1.1\r\n\r\n",
    "version 3": "GET / HTTP/3.0\r\n\r\n",
    "too long": "GET /%s HTTP/1.1\r\n\r\n" % ("a" * 20000),
    "too many headers": "GET / HTTP/1.1\r\n%s\r\n" % "".join("H%d: x\r\n" % i for i in range(200)),
}


@pytest.mark.parametrize("name", sorted(BAD_HEADS))
def test_bad_heads(daemon, name):
    with daemon.connect() as raw:
        raw.send(BAD_HEADS[name].encode("latin-1"))
        answer = raw.answer()
        assert 400 <= answer.status < 600
        assert raw.ended()


def test_chunked_rpc(raw):
    body = xml_call("system.listMethods").encode()
    raw.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in (body[:10], body[10:]):
        raw.send(b"%x\r\n%s\r\n" % (len(part), part))
    raw.send(b"0\r\n\r\n")
    assert raw.answer().status == 200


def test_expect_continue(raw):
    body = xml_call("system.listMethods").encode()
    raw.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
    assert raw.head()[0] == 100
    raw.send(body)
    assert raw.answer().status == 200


def test_the_unix_socket_needs_no_password(daemon):
    with wire.Api(unix=daemon.unix) as client:
        client.login("", "")
        assert client.call("session.get_is_local_superuser", client.session) is True
        assert client.call("host.get_all")


def test_broken_requests_disturb_nobody(daemon, api):
    """Peers that vanish at every point of a request."""
    body = xml_call("host.get_all_records", api.session).encode()
    whole = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    for cut in range(0, len(whole) + 1, 7):
        with daemon.connect() as raw:
            raw.send(whole[:cut])
    assert api.call("host.get_all")


def test_many_at_once(daemon):
    failures = []

    def work():
        try:
            with daemon.api() as client:
                for _ in range(20):
                    assert client.call("pool.get_all_records")
        except Exception as e:  # told by the main thread
            failures.append(e)

    threads = [threading.Thread(target=work) for _ in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_silent_connections_hold_nobody_up(daemon):
    silent = [daemon.connect() for _ in range(300)]
    slow = [daemon.connect() for _ in range(60)]
    try:
        for raw in slow:
            raw.send("POST / HTTP/1.1\r\nHost:")
        with daemon.api() as client:
            assert client.call("pool.get_all")
        assert silent[0].request("GET", "/").status == 200
    finally:
        for raw in silent + slow:
            raw.close()


def test_a_head_that_never_ends(daemon):
    """Ten seconds from its first byte, then the daemon gives up; what it sends is a refusal, not silence."""
    with daemon.connect() as raw:
        raw.send("GET / HTTP/1.1\r\nHost:")
        assert raw.answer().status == 408 and raw.ended()
