# SPDX-License-Identifier: Apache-2.0
"""Bad clients: silent, slow, greedy, wrong and malformed ones, while good requests are answered, and what they cost.
SERAI_ABUSE=full (make abuse) takes the whole numbers; else a part of each, in seconds. Times are figures of bench/api/run,
not of these tests."""
import contextlib
import json
import os
import pathlib
import random
import re
import resource
import socket
import ssl
import threading

import pytest

import facts
import wire
from conftest import with_daemon

FULL = os.environ.get("SERAI_ABUSE") == "full"
SILENT, SILENT_TLS, SLOW = (9500, 500, 200) if FULL else (300, 20, 30)
MUTATIONS = 40000 if FULL else 4000
GROWTH = 32 << 20
DEPTH = 64
BODY = 2 << 20


def resident(daemon):
    text = pathlib.Path("/proc/%d/status" % daemon.process.pid).read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) << 10


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def daemon():
    """One for all of it, so that what each leaves behind adds up."""
    for d in with_daemon():
        with d.api() as api:
            for _ in range(50):
                api.call("VM.get_all_records")
        before = resident(d)
        yield d
        if FULL:  # sanitizers keep what is freed
            grown = resident(d) - before
            assert grown <= GROWTH, "%d KiB more than before" % (grown >> 10)


def post(body, *headers, path="/jsonrpc"):
    body = body.encode() if isinstance(body, str) else body
    head = "POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n" % (path, "".join(h + "\r\n" for h in headers), len(body))
    return head.encode() + body


# Too many, too slow

def test_good_requests_beside_silent_and_slow_ones(daemon):
    with contextlib.ExitStack() as open_:
        tls, slow = wire.insecure_tls(), []
        for _ in range(SILENT):
            open_.enter_context(daemon.connect())
        for _ in range(SILENT_TLS):
            raw = open_.enter_context(wire.Raw(*daemon.host_port(tls=True), tls=tls))
            assert raw.sock.version() == "TLSv1.3"
        for i in range(SLOW):
            raw = open_.enter_context(daemon.connect())
            raw.send(post("x" * 100)[:-60] if i % 2 else "POST / HTTP/1.1\r\nHost:")
            slow.append(raw)
        with daemon.api() as api:
            for _ in range(200):
                assert api.call("pool.get_all")
            for raw in slow[::2]:
                raw.send(" x")  # still alive, and still slow
            for _ in range(200):
                assert api.call("pool.get_all")
        assert slow[0].answer().status == 408 and slow[0].ended()  # however often it sent a little


def test_good_requests_beside_a_greedy_client(daemon):
    stop = threading.Event()

    def greedy():
        with daemon.api() as api:
            while not stop.is_set():
                api.call("VM.get_all_records")

    threads = [threading.Thread(target=greedy) for _ in range(8)]
    for t in threads:
        t.start()
    try:
        with daemon.api() as api:
            for _ in range(200):
                assert api.call("pool.get_all")
    finally:
        stop.set()
        for t in threads:
            t.join()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_tls_versions(daemon, version):
    context = wire.insecure_tls()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    if version in ("TLSv1_2", "TLSv1_3"):
        with wire.Raw(*daemon.host_port(tls=True), tls=context) as raw:
            assert raw.request("GET", "/").status == 200
    else:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            wire.Raw(*daemon.host_port(tls=True), tls=context)


# Too large, too deep

def test_bodies_too_large(daemon):
    for head in ("Content-Length: %d\r\n\r\n" % (BODY + 1), "Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (BODY + 1)):
        with daemon.connect() as raw:
            raw.send("POST /jsonrpc HTTP/1.1\r\nHost: x\r\n" + head)
            assert raw.answer().status == 413 and raw.ended()


@pytest.mark.parametrize("levels", [DEPTH - 2, DEPTH + 1])
def test_depth(daemon, api, levels):
    """Of a value in the parameters; what is within the limit is judged by its type."""
    value = "[" * levels + "]" * levels
    body = '{"jsonrpc":"2.0","id":1,"method":"pool.set_name_label","params":["%s","x",%s]}' % (api.session, value)
    xml = ("<methodCall><methodName>pool.set_name_label</methodName><params><param><value>%s</value></param><param><value>x</value>"
           "</param><param>%s</param></params></methodCall>"
           % (api.session, "<value><array><data>" * levels + "</data></array></value>" * levels))
    for text in (body, xml):
        with daemon.connect() as raw:
            raw.send(post(text))
            answer = raw.answer()
        if levels < DEPTH - 1:
            assert answer.status == 200 and b"HANDLE_INVALID" in answer.body  # "x" is none
        else:
            assert answer.status == 500 and b"nested too deeply" in answer.body


def test_document_types_are_refused(daemon):
    bomb = "".join('<!ENTITY a%d "%s">' % (i, "&a%d;" % (i - 1) * 10 if i else "lol") for i in range(10))
    for dtd in ("<!DOCTYPE a>", "<!DOCTYPE a [%s]>" % bomb, '<!DOCTYPE a SYSTEM "file:///etc/passwd">'):
        with daemon.connect() as raw:
            raw.send(post("<?xml version='1.0'?>%s<methodCall><methodName>&a9;</methodName></methodCall>" % dtd, path="/"))
            answer = raw.answer()
            assert answer.status == 500 and b"document type" in answer.body


# Wrong

def code_of(t, bad):
    """What a value that is none of its type is answered with; of a map the key is looked at first."""
    if t.kind == "map" and isinstance(bad, dict) and t.key.kind != "string":
        bad = {"enum": "no such value", "ref": "no reference"}.get(t.key.kind, bad)
    if "no such value" in repr(bad):
        return "INVALID_VALUE"
    return "HANDLE_INVALID" if "no reference" in repr(bad) else "FIELD_TYPE_ERROR"


def test_every_message_with_wrong_arguments(api):
    """All of them, explicit ones too: the count, then each parameter's type, each by the one code."""
    wrong = []
    n = 0
    for cls, messages in facts.MESSAGES.items():
        for m in messages.values():
            n += 1
            call = api.bare if m.no_session else api.call
            good = [facts.good(t, {}) for t in m.types]
            tries = [(good + ["more"], "MESSAGE_PARAMETER_COUNT_MISMATCH")]
            for i, t in enumerate(m.types):
                for bad in facts.bad(t):
                    tries.append((good[:i] + [bad] + good[i + 1:], code_of(t, bad)))
            if m.removed:
                tries = [(args, "MESSAGE_REMOVED") for args, _ in tries]
            for args, code in tries:
                try:
                    call(m.call, *args)
                    wrong.append((m.call, args, "answered"))
                except wire.ApiError as e:
                    if e.code != code:
                        wrong.append((m.call, args, e.code))
    assert n == 1828
    assert not wrong, "%d, such as %r" % (len(wrong), wrong[:20])


# Malformed

def mutate(rng, data):
    """One to four small damages, as fuzzers make them."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            data[at:at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del data[at:at + rng.randint(1, 20)]
        elif kind == 2:
            data[at:at] = rng.choice([b"<", b">", b"&", b'"', b"\\", b"\0", b"\r\n", b"\xff\xfe", b"{", b"[" * 70, b"<value>" * 70,
                                      b"9" * 40, b"%00", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
        elif kind == 3:
            data[at:at] = data[max(0, at - rng.randint(1, 200)):at]
        elif kind == 4:
            other = rng.randrange(len(data) + 1)
            data[min(at, other):max(at, other)] = data[min(at, other):max(at, other)][::-1]
        else:
            data = data[:at]
        data = data or bytearray(b"x")
    return bytes(data)


def answered_or_closed(raw, data):
    """Everything sent and the end told: the daemon must end it, with or without a word."""
    try:
        raw.send(data)
        raw.sock.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError, OSError):
        pass
    return raw.read_to_end()


def test_mutations(daemon, api):
    call = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "pool.get_all_records", "params": [api.session]})
    xml = ("<?xml version='1.0'?><methodCall><methodName>VM.get_record</methodName><params><param><value><string>%s</string></value>"
           "</param><param><value><struct><member><name>a</name><value><array><data><value><int>1</int></value></data></array>"
           "</value></member></struct></value></param></params></methodCall>" % api.session)
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(xml), xml.encode())
    get = b"GET /rrd_updates?start=1&host=true HTTP/1.1\r\nHost: x\r\nCookie: session_id=%s\r\n\r\n" % api.session.encode()
    statuses = set()
    for seed in range(MUTATIONS):
        rng = random.Random(seed)
        kind = seed % 5
        if kind == 0:
            data = post(mutate(rng, call.encode()))
        elif kind == 1:
            data = post(mutate(rng, xml.encode()), path="/")
        else:
            data = mutate(rng, (chunked, get, post(call))[kind - 2])
        with daemon.connect() as raw:
            answer = answered_or_closed(raw, data)
        assert not answer or answer.startswith(b"HTTP/1.1 "), (seed, answer[:80])
        statuses.add(answer[9:12])
        assert b"INTERNAL_ERROR" not in answer, (seed, answer)
    assert {b"200", b"400", b"500"} <= statuses
    assert api.call("pool.get_all")
