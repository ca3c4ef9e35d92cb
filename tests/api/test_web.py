# SPDX-License-Identifier: Apache-2.0
"""The web console as seraid serves it: files with their headers, the session in a cookie, requests that other sites' pages make."""
import base64
import gzip
import json
import os

import pytest

import conftest
from conftest import PASSWORD
from test_roles import NEVER, role

PAGE = b"<!doctype html><title>Serai</title><script type=module src=/assets/app-1a2b.js></script>"
SCRIPT = b"console.log('x');" * 50


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    (root / "assets").mkdir()
    (root / "index.html").write_bytes(PAGE)
    (root / "assets/app-1a2b.js").write_bytes(SCRIPT)
    (root / "assets/app-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT))
    (root / "assets/app-1a2b.js.br").write_bytes(b"brotli, they say")
    (root / "secret").write_text("no")
    return root


@pytest.fixture(scope="module")
def daemon(site):
    yield from conftest.with_daemon("--web", str(site))


@pytest.fixture(scope="module")
def api(daemon):
    with daemon.api() as client:
        yield client


@pytest.fixture
def raw(daemon):
    with daemon.connect() as connection:
        yield connection


@pytest.fixture
def origin():
    return "http://test"  # wire.Raw names the host "test"


def post(raw, path, body, *headers):
    return raw.request("POST", path, json.dumps(body), [("Content-Type", "application/json"), *headers])


def login(raw, *headers, user="root", password=PASSWORD):
    return post(raw, "/web/login", {"username": user, "password": password}, *headers)


@pytest.fixture
def cookie(raw):
    return login(raw).headers["set-cookie"].split(";")[0]


def rpc(raw, method, *params, headers=()):
    return post(raw, "/jsonrpc", {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}, *headers)


def test_the_page_is_asked_for_again_and_its_files_never(raw):
    page = raw.request("GET", "/")
    assert page.status == 200 and page.body == PAGE
    assert page.headers["cache-control"] == "no-cache" and page.headers["content-type"].startswith("text/html")
    same = raw.request("GET", "/", headers=[("If-None-Match", page.headers["etag"])])
    assert same.status == 304 and same.body == b"" and same.headers["etag"] == page.headers["etag"]
    assert raw.request("GET", "/", headers=[("If-None-Match", '"another"')]).status == 200
    script = raw.request("GET", "/assets/app-1a2b.js")
    assert script.body == SCRIPT and "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"].startswith("text/javascript")
    head = raw.request("HEAD", "/assets/app-1a2b.js")
    assert head.status == 200 and head.headers["content-length"] == str(len(SCRIPT))


def test_files_come_in_the_form_that_the_client_takes(raw):
    def get(accept):
        return raw.request("GET", "/assets/app-1a2b.js", headers=[("Accept-Encoding", accept)])

    packed = get("gzip")
    assert packed.headers["content-encoding"] == "gzip" and gzip.decompress(packed.body) == SCRIPT
    assert "accept-encoding" in packed.headers["vary"].lower()
    assert get("gzip, deflate, br").headers["content-encoding"] == "br"
    assert "content-encoding" not in get("identity").headers


@pytest.mark.parametrize("path", ["/", "/assets/app-1a2b.js"])
def test_what_browsers_are_told_to_refuse(raw, path):
    headers = raw.request("GET", path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'" and policy["form-action"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/secret", "/assets/", "/assets/../secret", "/assets/%2e%2e/secret", "/index.html",
                                  "/assets/app-1a2b.js.gz", "/assets/app-1a2b.js/", "//", "/assets/app-1a2b.js%00"])
def test_nothing_else_of_the_directory_is_served(raw, path):
    assert raw.request("GET", path).status in (400, 404)


def test_the_session_is_in_a_cookie_that_the_page_cannot_read(raw):
    answer = login(raw)
    assert answer.status == 200 and answer.headers["cache-control"] == "no-store"
    name, *flags = [part.strip() for part in answer.headers["set-cookie"].split(";")]
    assert name.startswith("session_id=OpaqueRef:")
    assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/"} <= set(flags)
    assert "OpaqueRef" not in answer.body.decode(), "the page never learns its session"
    told = answer.json()
    assert told["user"] == "root" and told["superuser"] is True and told["permissions"] is None
    again = raw.request("GET", "/web/session", headers=[("Cookie", name)])
    assert again.status == 200 and again.json() == told and "OpaqueRef" not in again.body.decode()


def test_a_wrong_password_is_told_in_words(raw):
    answer = login(raw, password="wrong")
    assert answer.status == 401 and answer.json()["error"] == "SESSION_AUTHENTICATION_FAILED" and answer.json()["explain"]
    assert "set-cookie" not in answer.headers
    assert post(raw, "/web/login", ["no", "login"]).status == 400
    assert raw.request("GET", "/web/session").status == 401


def test_an_empty_session_is_that_of_the_cookie(raw, cookie):
    mine = [("Cookie", cookie)]
    assert rpc(raw, "pool.get_all", "", headers=mine).json()["result"]
    assert rpc(raw, "pool.get_all", "").json()["error"]["message"] == "SESSION_INVALID"
    assert rpc(raw, "pool.get_all", "OpaqueRef:x", headers=mine).json()["error"]["message"] == "SESSION_INVALID"
    assert raw.request("GET", "/rrd_updates?start=0", headers=mine).status == 200
    out = post(raw, "/web/logout", {}, *mine)
    assert out.status == 200 and "Max-Age=0" in out.headers["set-cookie"]
    assert rpc(raw, "pool.get_all", "", headers=mine).json()["error"]["message"] == "SESSION_INVALID"
    assert raw.request("GET", "/web/session", headers=mine).status == 401


FOREIGN = [[("Origin", "https://evil.example")], [("Origin", "http://test:81")], [("Origin", "null")],
           [("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site"), ("Origin", "http://test")]]


@pytest.mark.parametrize("headers", FOREIGN)
def test_pages_of_other_sites_do_not_act_by_the_cookie(daemon, api, cookie, headers):
    vm = api.new_vm("victim")
    pool = api.pool()
    mine = [("Cookie", cookie), *headers]

    def status(method, path, body=b"", *more):
        with daemon.connect() as raw:
            return raw.request(method, path, body, [*mine, *more]).status

    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "VM.destroy", "params": ["", vm]})
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        assert status("POST", "/jsonrpc", call, ("Content-Type", kind)) == 403
    assert status("POST", "/web/logout", "{}") == 403
    assert status("PUT", "/import_raw_vdi?vdi=x", b"data") == 403
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
               ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode())]
    assert status("GET", "/console?uuid=x", b"", *upgrade) == 403
    assert api.call("VM.get_name_label", vm) == "victim" and pool
    with daemon.connect() as raw:
        assert raw.request("GET", "/web/session", headers=[("Cookie", cookie)]).status == 200, "still logged in"
        assert login(raw, *headers).status == 403, "nobody is logged in behind his back"


def test_the_page_itself_and_programs_may(daemon, cookie, origin, api):
    for headers in ([], [("Origin", origin)], [("Origin", origin), ("Sec-Fetch-Site", "same-origin")]):
        with daemon.connect() as raw:
            assert rpc(raw, "pool.get_all", "", headers=[("Cookie", cookie), *headers]).json()["result"]
    with daemon.connect() as raw:  # a page that logged in by itself and knows its session needs no cookie
        assert rpc(raw, "pool.get_all", api.session, headers=[("Origin", "https://tool.example")]).json()["result"]


def test_what_a_role_may_is_told(api, raw):
    token = api.call("serai.token_create", "reader", role(api, "read-only"), NEVER, [], [])
    told = login(raw, user="reader", password=token).json()
    assert told["roles"] == ["read-only"] and told["superuser"] is False
    may = {name.lower() for name in told["permissions"]}
    assert "vm.get_all_records" in may and "vm.start" not in may


def test_without_files_there_is_a_page_that_says_so(directory):
    daemon = conftest.Daemon(directory, "--web", directory + "/nothing").start()
    with daemon.connect() as raw:
        got = raw.request("GET", "/")
        assert got.status == 200 and b"not built" in got.body and "'none'" in got.headers["content-security-policy"]
    assert daemon.stop()[0] == 0
