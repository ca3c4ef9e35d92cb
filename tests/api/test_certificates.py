# SPDX-License-Identifier: Apache-2.0
"""Certificates: replaced while clients are connected, refused when they do not fit, authorities of the pool."""
import hashlib
import socket
import ssl
import subprocess

import pytest

import conftest
import wire


def fails(api, call, *args):
    error = api.fails(call, *args)
    return [error.code, *error.params]


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def make(folder, name, *options, key=("rsa:2048",)):
    """(certificate, key) as PEM."""
    openssl("req", "-x509", "-newkey", *key, "-nodes", "-subj", "/CN=" + name, "-keyout", str(folder / (name + ".key")),
            "-out", str(folder / (name + ".pem")), *options)
    return (folder / (name + ".pem")).read_text(), (folder / (name + ".key")).read_text()


def ca_config(folder):
    (folder / "index").write_text("")
    (folder / "serial").write_text("01")
    config = folder / "config"
    config.write_text("[ca]\ndefault_ca=a\n[a]\ndatabase={0}/index\nserial={0}/serial\nnew_certs_dir={0}\ndefault_md=sha256\n"
                      "default_crl_days=30\npolicy=p\n[p]\ncommonName=supplied\n".format(folder))
    return str(config)


def make_old(folder):
    """A certificate whose time has passed."""
    key, pem = folder / "old.key", folder / "old.pem"
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=old", "-keyout", str(key), "-out", str(folder / "csr"))
    openssl("ca", "-batch", "-selfsign", "-notext", "-config", ca_config(folder), "-keyfile", str(key), "-in",
            str(folder / "csr"), "-out", str(pem), "-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
    return pem.read_text(), key.read_text()


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pems")
    return {"one": make(folder, "one", "-days", "30"), "two": make(folder, "two", "-days", "30"),
            "ec": make(folder, "ec", "-days", "30", key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")),
            "short": make(folder, "short", "-days", "30", key=("rsa:1024",)),
            "sha1": make(folder, "sha1", "-days", "30", "-sha1"),
            "ed": make(folder, "ed", "-days", "30", key=("ed25519",)),
            "old": make_old(folder)}


def digest(pem):
    raw = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    return ":".join(raw[i:i + 2] for i in range(0, len(raw), 2))


def shown(daemon):
    """The fingerprint of what a new connection sees."""
    with socket.create_connection(daemon.host_port(tls=True), timeout=wire.LIMIT) as plain:
        with wire.insecure_tls().wrap_socket(plain) as tls:
            return digest(ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True)))


def records(api, kind):
    return [r for r in api.call("Certificate.get_all_records").values() if r["type"] == kind]


def test_the_first_certificate_has_a_record(daemon, api):
    host = api.call("host.get_all")[0]
    (record,) = records(api, "host")
    assert record["fingerprint"] == shown(daemon) and record["host"] == host and record["name"] == ""
    assert record["not_before"] < record["not_after"]
    assert len(api.call("host.get_certificates", host)) == 1


def test_a_new_certificate_drops_nobody(directory, pems):
    daemon = conftest.Daemon(directory).start()
    with wire.Api(*daemon.host_port(tls=True), tls=wire.insecure_tls()) as before:
        before.login("root", conftest.PASSWORD)
        host = before.call("host.get_all")[0]
        for name in ("one", "ec"):
            cert, key = pems[name]
            before.call("host.install_server_certificate", host, cert, key, pems["two"][0])
            assert shown(daemon) == digest(cert)
            (record,) = records(before, "host")  # on the connection of the first certificate
            assert record["fingerprint"] == digest(cert)
            assert before.call("host.get_server_certificate", host).strip() == cert.strip()
        daemon.stop()
        daemon.start()
        assert shown(daemon) == digest(pems["ec"][0])
    daemon.stop()
    # As after a crash between the file and its record: the file decides.
    (daemon.state / "server.pem").write_text("".join(pems["two"]))
    daemon.start()
    with daemon.api() as api:
        assert records(api, "host")[0]["fingerprint"] == digest(pems["two"][0]) == shown(daemon)
        api.call("host.reset_server_certificate", host)
        own = shown(daemon)
        assert own != digest(pems["ec"][0]) and records(api, "host")[0]["fingerprint"] == own
        api.call("host.emergency_reset_server_certificate")
        assert shown(daemon) != own and records(api, "host")[0]["fingerprint"] == shown(daemon)
    assert daemon.stop()[0] == 0


def test_what_does_not_fit_is_refused(daemon, api, pems):
    host = api.call("host.get_all")[0]
    before = shown(daemon)
    one, two = pems["one"], pems["two"]
    for cert, key, chain, error in (
            (one[0], two[1], "", ["SERVER_CERTIFICATE_KEY_MISMATCH"]),
            ("nothing", one[1], "", ["SERVER_CERTIFICATE_INVALID"]),
            (one[0], "nothing", "", ["SERVER_CERTIFICATE_KEY_INVALID"]),
            (one[0], one[1], "nothing", ["SERVER_CERTIFICATE_CHAIN_INVALID"]),
            (*pems["short"], "", ["SERVER_CERTIFICATE_KEY_RSA_LENGTH_NOT_SUPPORTED", "1024"]),
            (*pems["ed"], "", ["SERVER_CERTIFICATE_KEY_ALGORITHM_NOT_SUPPORTED", "1.3.101.112"]),
            (*pems["sha1"], "", ["SERVER_CERTIFICATE_SIGNATURE_NOT_SUPPORTED"])):
        assert fails(api, "host.install_server_certificate", host, cert, key, chain) == error
    code, now, end = fails(api, "host.install_server_certificate", host, *pems["old"])
    assert (code, end) == ("SERVER_CERTIFICATE_EXPIRED", "20200102T00:00:00Z") and end < now
    assert shown(daemon) == before and "PRIVATE KEY" not in daemon.log_text()


def test_authorities(directory, pems):
    daemon = conftest.Daemon(directory).start()
    cert = pems["one"][0]
    with daemon.api() as api:
        assert api.call("pool.certificate_list") == []
        for name in ("", ".", "..", "../x", "a/b", "-x", "a b", "x" * 201):
            assert fails(api, "pool.install_ca_certificate", name, cert) == ["CERTIFICATE_NAME_INVALID", name]
            assert fails(api, "pool.uninstall_ca_certificate", name) == ["CERTIFICATE_NAME_INVALID", name]
        assert fails(api, "pool.install_ca_certificate", "ca.pem", "nothing") == ["CERTIFICATE_CORRUPT", "ca.pem"]
        assert fails(api, "pool.install_ca_certificate", "ca.pem", pems["old"][0])[0] == "TRUSTED_CERTIFICATE_EXPIRED"
        api.call("pool.install_ca_certificate", "ca.pem", cert)
        api.call("pool.certificate_install", "other.pem", pems["two"][0])
        assert fails(api, "pool.install_ca_certificate", "ca.pem", cert) == ["CERTIFICATE_ALREADY_EXISTS", "ca.pem"]
        assert api.call("pool.certificate_list") == ["ca.pem", "other.pem"]
        assert {r["name"]: r["fingerprint"] for r in records(api, "ca")} == {"ca.pem": digest(cert),
                                                                             "other.pem": digest(pems["two"][0])}
        assert (daemon.state / "certs" / "ca.pem").read_text() == cert
    daemon.stop()
    # A crash between file and record leaves the one without the other: the files decide.
    (daemon.state / "certs" / "ca.pem").rename(daemon.state / "certs" / "renamed.pem")
    daemon.start()
    with daemon.api() as api:
        assert sorted(r["name"] for r in records(api, "ca")) == ["other.pem", "renamed.pem"]
        (daemon.state / "certs" / "third.pem").write_text(pems["ec"][0])
        api.call("pool.certificate_sync")
        assert sorted(r["name"] for r in records(api, "ca")) == ["other.pem", "renamed.pem", "third.pem"]
        for name in ("other.pem", "renamed.pem"):
            api.call("pool.uninstall_ca_certificate", name)
        api.call("pool.certificate_uninstall", "third.pem")
        assert fails(api, "pool.certificate_uninstall", "third.pem") == ["CERTIFICATE_DOES_NOT_EXIST", "third.pem"]
        assert records(api, "ca") == [] == api.call("pool.certificate_list")
    assert daemon.stop()[0] == 0


def test_revocations(api, daemon, pems, tmp_path):
    (tmp_path / "ca.pem").write_text(pems["one"][0])
    (tmp_path / "ca.key").write_text(pems["one"][1])
    openssl("ca", "-gencrl", "-config", ca_config(tmp_path), "-cert", str(tmp_path / "ca.pem"), "-keyfile",
            str(tmp_path / "ca.key"), "-out", str(tmp_path / "crl"))
    crl = (tmp_path / "crl").read_text()
    assert fails(api, "pool.crl_install", "../x", crl) == ["CRL_NAME_INVALID", "../x"]
    assert fails(api, "pool.crl_install", "x", pems["one"][0]) == ["CRL_CORRUPT", "x"]
    api.call("pool.crl_install", "x", crl)
    assert fails(api, "pool.crl_install", "x", crl) == ["CRL_ALREADY_EXISTS", "x"]
    assert api.call("pool.crl_list") == ["x"] and (daemon.state / "crls" / "x").read_text() == crl
    api.call("pool.crl_uninstall", "x")
    assert fails(api, "pool.crl_uninstall", "x") == ["CRL_DOES_NOT_EXIST", "x"]
    assert api.call("pool.crl_list") == []
