# SPDX-License-Identifier: Apache-2.0
"""Messages told outside, to small servers of the test: mail, webhook, syslog; and the other calls that send something."""
import base64
import email
import email.policy
import hashlib
import hmac
import http.server
import json
import queue
import re
import socket
import ssl
import subprocess
import tarfile
import io
import threading
import time

import pytest

import conftest

LIMIT = 60
SENT, OLD = set(), set()  # names of messages: of this test, of earlier ones (a thread may be late to see those)


def refusing():
    """A bound socket that nobody listens on: connections are refused, and the port stays ours."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s


def wait_log(daemon, text):
    until = time.monotonic() + LIMIT
    while text not in daemon.log_text():
        assert time.monotonic() < until, "never logged: " + text
        time.sleep(0.02)


class Hook(http.server.ThreadingHTTPServer):
    """Keeps what it gets; answers the statuses it is told, the last one again and again."""
    daemon_threads = True

    def __init__(self, *statuses, bound=None, tls=None):
        self.got, self.statuses = queue.Queue(), list(statuses) or [200]
        super().__init__(("127.0.0.1", 0), HookHandler, bind_and_activate=not bound)
        if bound:
            self.socket.close()
            self.socket, self.server_address = bound, bound.getsockname()
            self.server_activate()
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_):
        pass  # a client that goes away

    def next(self):
        while True:
            got = self.got.get(timeout=LIMIT)
            if not got[2].startswith(b"{") or json.loads(got[2])["name"] not in OLD:
                return got


class HookHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
        self.server.got.put((self.path, dict(self.headers), body, status))

    do_PUT = do_POST

    def log_message(self, *_):
        pass


class Mail(threading.Thread):
    """A mail server that takes what it gets; refuse: answers to give to RCPT before it does. tls: its certificate and key,
    from the beginning or after STARTTLS; auth: what it offers, and then takes mail of mailer with the word sesame only."""

    def __init__(self, *refuse, tls=None, starttls=False, auth=None):
        super().__init__(daemon=True)
        self.got, self.refuse = queue.Queue(), list(refuse)
        self.tls, self.starttls, self.auth, self.clear = None, starttls, auth, []
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(tls)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            try:
                if self.tls and not self.starttls:
                    peer = self.tls.wrap_socket(peer, server_side=True)
                with peer, peer.makefile("rwb") as f:
                    self.talk(f, peer)
            except (OSError, ValueError):
                peer.close()

    def say(self, f, line):
        f.write(line + b"\r\n")
        f.flush()

    def log_in(self, f, line):
        words = line.split()
        if words[1] == b"PLAIN":
            given = base64.b64decode(words[2]).split(b"\0")[1:]
        else:
            given = []
            for ask in (b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"):
                self.say(f, b"334 " + ask)
                given.append(base64.b64decode(f.readline()))
        return given == [b"mailer", b"sesame"]

    def talk(self, f, peer, again=False):
        if not again:
            self.say(f, b"220-test\r\n220 ready")
        to, sender, known = [], None, not self.auth
        for line in f:
            verb = line.strip().split(b":")[0].upper()
            if self.starttls and not again:
                self.clear.append(verb.split()[0])
            if verb.startswith(b"EHLO"):
                offers = [b"STARTTLS"] if self.starttls and not again else [b"AUTH " + self.auth] if self.auth else []
                self.say(f, b"\r\n".join(b"250-" + o for o in [b"test", *offers]) + b"\r\n250 8BITMIME")
                continue
            if verb == b"STARTTLS":
                self.say(f, b"220 go on")
                with self.tls.wrap_socket(peer, server_side=True) as safe, safe.makefile("rwb") as g:
                    self.talk(g, safe, True)
                return
            if verb.startswith(b"AUTH"):
                known = self.log_in(f, line)
                self.say(f, b"235 ok" if known else b"535 no")
                continue
            if not known and verb != b"QUIT":
                self.say(f, b"530 who are you?")
                continue
            if verb == b"MAIL FROM":
                sender = line.split(b"<")[1].split(b">")[0]
            elif verb == b"RCPT TO":
                if self.refuse:
                    self.say(f, self.refuse.pop(0))
                    return
                to.append(line.split(b"<")[1].split(b">")[0])
            elif verb == b"DATA":
                self.say(f, b"354 go on")
                lines = []
                for text in f:
                    if text == b".\r\n":
                        break
                    lines.append(text)
                self.got.put((sender, to, email.message_from_bytes(b"".join(lines), policy=email.policy.default)))
            elif verb == b"QUIT":
                return
            self.say(f, b"250 ok")

    def next(self):
        while True:
            got = self.got.get(timeout=LIMIT)
            if got[2]["Subject"].split("] ")[1] not in OLD:
                return got


@pytest.fixture(autouse=True)
def quiet(request):
    """After each test nothing is told any more."""
    OLD.update(SENT)
    SENT.clear()
    yield
    if "api" in request.fixturenames:
        api = request.getfixturevalue("api")
        for key in list(api.call("pool.get_other_config", api.pool())):
            api.call("pool.remove_from_other_config", api.pool(), key)


def settings(api, **keys):
    for key, value in keys.items():
        key = key.replace("_", "-")
        api.call("pool.remove_from_other_config", api.pool(), key)
        api.call("pool.add_to_other_config", api.pool(), key, value)


def message(api, name, priority=1, body="body"):
    assert name not in OLD, "names are used once"
    SENT.add(name)
    ref = api.call("message.create", name, priority, "Pool", api.call("pool.get_uuid", api.pool()), body)
    return api.call("message.get_record", ref)


def test_webhook(daemon, api):
    hook = Hook()
    secret = api.call("secret.create", {"value": "k€y", "other_config": {}})
    settings(api, webhook_secret=api.call("secret.get_uuid", secret), webhook_min_priority="3",
             webhook_url="http://127.0.0.1:%d/in?token=t0ken" % hook.port)
    record = message(api, "HOOK", 3, 'a "body"\n\\ é')
    path, headers, body, _ = hook.next()
    assert path == "/in?token=t0ken" and headers["Content-Type"] == "application/json"
    got = json.loads(body)
    pool = api.call("pool.get_record", api.pool())
    assert got == {"uuid": record["uuid"], "name": "HOOK", "priority": 3, "class": "Pool", "obj_uuid": pool["uuid"],
                   "body": 'a "body"\n\\ é', "timestamp": record["timestamp"], "pool_uuid": pool["uuid"],
                   "pool_name": pool["name_label"], "host_name": api.call("host.get_hostname", api.call("host.get_all")[0])}
    assert headers["X-Serai-Delivery"] == record["uuid"]
    assert headers["X-Serai-Signature"] == "sha256=" + hmac.new("k€y".encode(), body, hashlib.sha256).hexdigest()
    message(api, "QUIET", 4)
    message(api, "LOUD", 2)
    assert json.loads(hook.next()[2])["name"] == "LOUD", "less urgent ones are not told"
    assert "k€y" not in daemon.log_text() and "t0ken" not in daemon.log_text()
    # A secret that is gone: nothing is sent unsigned.
    api.call("secret.destroy", secret)
    wait_log(daemon, "message %s is not delivered" % message(api, "UNSIGNED")["uuid"])
    api.call("pool.remove_from_other_config", api.pool(), "webhook-secret")
    message(api, "AFTER")
    path, headers, body, _ = hook.next()
    assert json.loads(body)["name"] == "AFTER" and "X-Serai-Signature" not in headers
    hook.shutdown()


def test_webhook_tries_again_in_order(api):
    hook = Hook(503, 429, 200, 404, 200)
    settings(api, webhook_url="http://127.0.0.1:%d/" % hook.port)
    for name in ("ONE", "TWO", "THREE"):
        message(api, name)
    told = [(json.loads(body)["name"], status) for _, _, body, status in (hook.next() for _ in range(5))]
    assert told == [("ONE", 503), ("ONE", 429), ("ONE", 200), ("TWO", 404), ("THREE", 200)]
    hook.shutdown()


def test_webhook_by_tls(daemon, api, tmp_path):
    pem = tmp_path / "hook.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", pem,
                    "-out", tmp_path / "cert.pem"], check=True, capture_output=True, timeout=LIMIT)
    pem.write_text(pem.read_text() + (tmp_path / "cert.pem").read_text())
    hook = Hook(tls=pem)
    der = ssl.PEM_cert_to_DER_cert((tmp_path / "cert.pem").read_text())
    print_ = hashlib.sha256(der).hexdigest().upper()
    settings(api, webhook_fingerprint=":".join(print_[i:i + 2] for i in range(0, 64, 2)),
             webhook_url="https://127.0.0.1:%d/" % hook.port)
    message(api, "TLS")
    assert json.loads(hook.next()[2])["name"] == "TLS"
    # Any other certificate is not believed; the test's own call says so.
    error = api.fails("pool.send_test_post", "127.0.0.1", hook.port, "x") if api.call(
        "pool.get_tls_verification_enabled", api.pool()) else None
    if error:
        assert error.code == "SSL_VERIFY_ERROR"
    else:
        assert api.call("pool.send_test_post", "127.0.0.1", hook.port, "x") == "ok"
        assert hook.next()[2] == b"x"
    hook.shutdown()


def test_send_test_post_refusals(api):
    with refusing() as s:
        assert api.fails("pool.send_test_post", "127.0.0.1", s.getsockname()[1], "").code == "CANNOT_CONTACT_HOST"
    plain = Hook()
    error = api.fails("pool.send_test_post", "127.0.0.1", plain.port, "")
    assert (error.code, error.params) == ("TLS_CONNECTION_FAILED", ["127.0.0.1", str(plain.port)])
    for host, port in (("127.0.0.1", 0), ("127.0.0.1", 70000), ("a b", 1), ("x\r\ny", 1), ("", 1)):
        assert api.fails("pool.send_test_post", host, port, "").code == "INVALID_VALUE"
    plain.shutdown()


def test_mail(api):
    mail = Mail()
    settings(api, ssmtp_mailhub="127.0.0.1:%d" % mail.port, mail_destination="a@example.org, b@example.org")
    record = message(api, "MAIL_é", 3, "line\n.\n" + "long " * 400)
    message(api, "TOO_QUIET", 4)
    sender, to, got = mail.next()
    assert to == [b"a@example.org", b"b@example.org"] and sender.startswith(b"noreply@")
    assert got["Subject"].endswith("] MAIL_é") and got["To"] == "a@example.org, b@example.org"
    assert got["Message-ID"].startswith("<" + record["uuid"]) and email.utils.parsedate(got["Date"])
    text = got.get_content()
    assert text.startswith("line\n.\nlong long") and record["uuid"] in text and "Priority:  3" in text
    message(api, "MARK", 1)
    assert mail.next()[2]["Subject"].endswith("MARK"), "TOO_QUIET was not mailed"
    settings(api, mail_min_priority="5", mail_sender="serai@example.org")
    message(api, "LOUDER", 5)
    sender, _, got = mail.next()
    assert sender == b"serai@example.org" and "LOUDER" in got["Subject"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with certificate and key, and the fingerprint."""
    path = tmp_path_factory.mktemp("tls")
    pem = path / "mail.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", pem,
                    "-out", path / "cert.pem"], check=True, capture_output=True, timeout=LIMIT)
    pem.write_text(pem.read_text() + (path / "cert.pem").read_text())
    return pem, hashlib.sha256(ssl.PEM_cert_to_DER_cert((path / "cert.pem").read_text())).hexdigest()


@pytest.mark.parametrize("tls, auth", [("starttls", b"PLAIN LOGIN"), ("yes", b"LOGIN"), ("starttls", None)])
def test_mail_by_tls(daemon, api, certificate, tls, auth):
    mail = Mail(tls=certificate[0], starttls=tls == "starttls", auth=auth)
    secret = api.call("secret.create", {"value": "sesame", "other_config": {}})
    name = "SAFE_%s_%s" % (tls, auth)
    who = {"mail_user": "mailer", "mail_secret": api.call("secret.get_uuid", secret)} if auth else {}
    settings(api, mail_tls=tls, mail_fingerprint=certificate[1], ssmtp_mailhub="127.0.0.1:%d" % mail.port, **who)
    settings(api, mail_destination="a@example.org")
    message(api, name)
    assert name in mail.next()[2]["Subject"]
    assert not set(mail.clear) - {b"EHLO", b"STARTTLS"}
    api.call("secret.destroy", secret)


def test_mail_is_not_sent_to_strangers_or_in_the_open(daemon, api, certificate):
    """Another certificate, no STARTTLS where it is asked for, a password without TLS: nothing goes out, and the log says why."""
    secret = api.call("secret.create", {"value": "sesame", "other_config": {}})
    other = "00" * 32
    for server, keys, why in (
            (Mail(tls=certificate[0], starttls=True), {"mail_tls": "starttls", "mail_fingerprint": other}, "TLS with the mail server"),
            (Mail(), {"mail_tls": "starttls"}, "does not offer STARTTLS"),
            (Mail(), {"mail_tls": "no", "mail_user": "mailer", "mail_secret": api.call("secret.get_uuid", secret)},
             "a password is sent by TLS only")):
        api.call("pool.remove_from_other_config", api.pool(), "mail-destination")
        settings(api, ssmtp_mailhub="127.0.0.1:%d" % server.port, **keys)
        settings(api, mail_destination="a@example.org")
        message(api, "NEVER_" + why.split()[-1])
        wait_log(daemon, why)
        assert server.got.empty()
    api.call("secret.destroy", secret)


def test_mail_refused_and_broken(daemon, api):
    mail = Mail(b"451 later", b"550 never")
    settings(api, mail_destination="a@example.org", ssmtp_mailhub="127.0.0.1:%d" % mail.port)
    message(api, "LATER")   # 451, and then 550
    message(api, "NEXT")
    assert "NEXT" in mail.next()[2]["Subject"]
    settings(api, mail_destination="not\r\nRCPT TO:<evil@example.org>")
    wait_log(daemon, "message %s is not delivered" % message(api, "EVIL")["uuid"])
    settings(api, mail_destination="a@example.org")
    message(api, "GOOD")
    assert "GOOD" in mail.next()[2]["Subject"]


SYSLOG = re.compile(rb"<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (\S+) seraid \d+ (\S+) "
                    rb'\[serai@32473 uuid="(.*?)" class="(.*?)" object="(.*?)" priority="(\d+)" pool="(.*?)"\] \xef\xbb\xbf(.*)',
                    re.S)


def next_line(server, kind):
    if kind != "tcp://":
        return server.recv(65536)
    peer, _ = server.accept()
    peer.settimeout(LIMIT)
    with peer, peer.makefile("rb") as f:
        data = f.read()
    size, line = data.split(b" ", 1)
    assert int(size) == len(line)
    return line


@pytest.mark.parametrize("kind", ["", "udp://", "tcp://"])
def test_syslog(api, kind):
    host = api.call("host.get_all")[0]
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp://" else socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(LIMIT)
        if kind == "tcp://":
            server.listen(5)
        api.call("host.set_logging", host, {"syslog_destination": "%s127.0.0.1:%d" % (kind, server.getsockname()[1])})
        api.call("host.syslog_reconfigure", host)
        api.call("host.set_logging", host, {"syslog_destination": "bad host"})
        assert api.fails("host.syslog_reconfigure", host).params == ["syslog_destination", "bad host"]
        name = "SYSLOG_" + (kind[:3] or "plain")
        record = message(api, name, 2, 'b "x] \\')
        got = None
        while not got or got[4] != name.encode():  # earlier tests' messages may still come
            line = next_line(server, kind)
            got = SYSLOG.fullmatch(line)
            assert got and (got[4] == name.encode() or got[4].decode() in OLD), line
        assert int(got[1]) == 3 * 8 + 3 and got[5].decode() == record["uuid"]
        assert got[6] == b"Pool" and got[8] == b"2" and got[10] == name.encode() + b': b "x] \\'
        api.call("host.set_logging", host, {})
        api.call("host.syslog_reconfigure", host)


def test_what_waits_survives_a_kill(directory):
    bound = refusing()
    port = bound.getsockname()[1]
    daemon = conftest.Daemon(directory).start()
    with daemon.api() as api:
        settings(api, webhook_url="http://127.0.0.1:%d/" % port)
        place = daemon.state / "deliver" / "webhook"
        token = ""
        while not place.exists():
            token = api.call("event.from", ["pool"], token, 0.1)["token"]
        names = ["W%d" % i for i in range(20)]
        for name in names:
            message(api, name)
    daemon.stop(9)
    daemon.start()
    hook = Hook(bound=bound)
    got = [json.loads(hook.next()[2])["name"] for _ in names]
    assert got == names
    # Told once: nothing comes again after another kill, once the place is on disk.
    with daemon.api() as api:
        last = api.call("message.get_all_records_where", 'field "name" = "W19"')
        (record,) = last.values()
        while record["uuid"] not in place.read_text():
            api.call("event.from", ["pool"], "", 0.1)
    daemon.stop(9)
    daemon.start()
    with daemon.api() as api:
        message(api, "LAST")
    assert json.loads(hook.next()[2])["name"] == "LAST"
    assert daemon.stop()[0] == 0
    hook.shutdown()
    conftest.check_log(daemon)


def test_a_hung_server_holds_nobody_up(directory):
    """Neither calls nor the end of the daemon wait for it."""
    daemon = conftest.Daemon(directory).start()
    with socket.create_server(("127.0.0.1", 0)) as hung:
        port = hung.getsockname()[1]
        with daemon.api() as api:
            settings(api, webhook_url="http://127.0.0.1:%d/" % port, mail_destination="a@b.c",
                     ssmtp_mailhub="127.0.0.1:%d" % port)
            for i in range(5):
                message(api, "M%d" % i)
            hung.settimeout(LIMIT)
            peers = [hung.accept()[0], hung.accept()[0]]  # both wait for an answer now
            message(api, "STILL")
        status, seconds = daemon.stop()
        assert status == 0 and seconds < 30
        for peer in peers:
            peer.close()


def test_bugreport_upload(api):
    host = api.call("host.get_all")[0]
    sink = Hook(201)
    api.call("host.bugreport_upload", host, "http://127.0.0.1:%d/in/" % sink.port, {"filename": "my report"})
    path, _, body, _ = sink.next()
    assert path == "/in/my%20report"
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:bz2") as t:
        assert any(n.endswith("/xapi-db.xml") for n in t.getnames())
    sink.statuses = [403]
    error = api.fails("host.bugreport_upload", host, "http://127.0.0.1:%d/x" % sink.port, {})
    assert error.code == "SYSTEM_STATUS_RETRIEVAL_FAILED" and "403" in error.params[0]
    assert api.fails("host.bugreport_upload", host, "ftp://x/", {}).code == "INVALID_VALUE"
    sink.shutdown()
