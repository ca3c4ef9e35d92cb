# SPDX-License-Identifier: Apache-2.0
"""HTTPS: the certificate that is made, what is negotiated, and what peers that speak nonsense get."""
import socket
import ssl
import subprocess

import pytest

import wire
from conftest import PASSWORD, Daemon


def pinned(daemon):
    context = ssl.create_default_context(cadata=(daemon.state / "server.pem").read_text())
    return context


def test_calls_over_tls(daemon):
    with wire.Api(*daemon.host_port(tls=True), tls=wire.insecure_tls()) as client:
        client.login("root", PASSWORD)
        assert client.call("host.get_all_records")


def test_the_certificate_is_for_this_host(daemon):
    context = pinned(daemon)
    for name in ("127.0.0.1", "localhost"):
        with socket.create_connection(daemon.host_port(tls=True), timeout=wire.LIMIT) as sock:
            with context.wrap_socket(sock, server_hostname=name) as tls:
                assert tls.version() in ("TLSv1.2", "TLSv1.3")
    assert (daemon.state / "server.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(daemon, version):
    context = wire.insecure_tls()
    context.minimum_version = context.maximum_version = version
    with wire.Raw(*daemon.host_port(tls=True), tls=context) as raw:
        for _ in range(3):
            assert raw.request("GET", "/").status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_are_refused(daemon):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        wire.Raw(*daemon.host_port(tls=True), tls=context)


def test_nonsense_at_the_tls_port(daemon):
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\x00" * 3000):
        with wire.Raw(*daemon.host_port(tls=True)) as raw:
            try:
                raw.send(data)
                raw.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused already
            raw.read_to_end()
    with wire.Raw(*daemon.host_port(tls=True), tls=wire.insecure_tls()) as raw:
        assert raw.request("GET", "/").status == 200


def test_large_answers_over_tls(daemon, api):
    pool = api.pool()
    before = api.call("pool.get_name_description", pool)
    api.call("pool.set_name_description", pool, "y" * 1500000)
    with wire.Api(*daemon.host_port(tls=True), tls=wire.insecure_tls()) as client:
        client.login("root", PASSWORD)
        assert client.call("pool.get_name_description", pool) == "y" * 1500000
    api.call("pool.set_name_description", pool, before)


def test_a_certificate_is_kept(directory):
    daemon = Daemon(directory, http=None).start()
    first = (daemon.state / "server.pem").read_bytes()
    assert daemon.http is None and daemon.stop()[0] == 0
    daemon = Daemon(directory, http=None).start()
    assert daemon.stop()[0] == 0
    assert (daemon.state / "server.pem").read_bytes() == first


def test_a_broken_certificate_is_said(directory):
    daemon = Daemon(directory)
    daemon.state.mkdir()
    (daemon.state / "server.pem").write_text("no certificate\n")
    done = subprocess.run(daemon.command(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "ready" not in done.stdout
    assert len(done.stderr.strip().splitlines()[-1]) > 20
