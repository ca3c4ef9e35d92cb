# SPDX-License-Identifier: Apache-2.0
"""Disks by NBD as backup programs read them: the door, TLS, who may, and full and delta backups that restore to the same bytes."""
import base64
import contextlib
import os
import random
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import urllib.parse

import pytest

import guests
import wire
from guests import MIB, new_vdi
from test_disks import get, put

NULL = "OpaqueRef:NULL"
BLOCK = 65536
STARTTLS, GO, EXPORT_NAME, STRUCTURED, LIST = 5, 7, 1, 8, 3


@pytest.fixture(scope="module")
def daemon(kernels):
    with tempfile.TemporaryDirectory(prefix="seraid-") as directory:
        yield from guests.with_daemon(guests.Daemon(directory, kernels, "--nbd", "127.0.0.1:0"))


@pytest.fixture(scope="module")
def sr(api):
    return api.call("pool.get_default_SR", api.pool())


@pytest.fixture(scope="module")
def network(api):
    return next(iter(api.call("network.get_all")))


@contextlib.contextmanager
def offered(api, network, disk, purpose):
    """The way to a disk while the network offers it."""
    assert api.call("VDI.get_nbd_info", disk) == []
    api.call("network.add_purpose", network, purpose)
    try:
        guests.until("a way to the disk", lambda: api.call("VDI.get_nbd_info", disk))
        (info,) = api.call("VDI.get_nbd_info", disk)
        assert info["exportname"] == "/%s?session_id=%s" % (api.call("VDI.get_uuid", disk), api.session)
        assert info["address"] == "127.0.0.1" and info["subject"]
        assert info["cert"].startswith("-----BEGIN CERT") and "PRIVATE" not in info["cert"]
        yield info
    finally:
        api.call("network.remove_purpose", network, purpose)
    assert api.call("VDI.get_nbd_info", disk) == []
    guests.until("the door is closed", lambda: is_closed(info))


def is_closed(info):
    try:
        socket.create_connection((info["address"], int(info["port"])), 60).close()
    except ConnectionRefusedError:
        return True
    return False


class Nbd:
    """As Xen Orchestra reads: STARTTLS, EXPORT_NAME with its zeroes, simple replies."""

    def __init__(self, info, tls=True, name=None):
        self.s = socket.create_connection((info["address"], int(info["port"])), 60)
        assert self.get(18) == b"NBDMAGICIHAVEOPT\0\x03"
        self.s.sendall(struct.pack(">I", 1))
        if tls:
            assert self.option(STARTTLS) == (STARTTLS, 1, b"")
            context = ssl.create_default_context(cadata=info["cert"])
            context.check_hostname = False
            self.s = context.wrap_socket(self.s)
        if name is not False:
            data = (name or info["exportname"]).encode()
            self.s.sendall(b"IHAVEOPT" + struct.pack(">II", EXPORT_NAME, len(data)) + data)
            self.size, self.flags = struct.unpack(">QH", self.get(10))
            assert self.get(124) == bytes(124)

    def get(self, n):
        out = b""
        while len(out) < n:
            more = self.s.recv(n - len(out))
            if not more:
                raise ConnectionError("it ended")
            out += more
        return out

    def option(self, option, data=b""):
        self.s.sendall(b"IHAVEOPT" + struct.pack(">II", option, len(data)) + data)
        magic, option, kind, n = struct.unpack(">QIII", self.get(20))
        assert magic == 0x3E889045565A9
        return option, kind, self.get(n)

    def run(self, command, at=0, n=0, data=b""):
        self.s.sendall(struct.pack(">IHHQQI", 0x25609513, 0, command, 7, at, n or len(data)) + data)
        magic, error, cookie = struct.unpack(">IIQ", self.get(16))
        assert (magic, cookie) == (0x67446698, 7)
        return error

    def read(self, at, n):
        assert self.run(0, at, n) == 0
        return self.get(n)

    def close(self):
        self.s.close()


def blocks(api, old, new):
    text = base64.b64decode(api.call("VDI.list_changed_blocks", old, new))
    return [i for i in range(len(text) * 8) if text[i // 8] & 0x80 >> i % 8]


def refused(info, name):
    with pytest.raises((ConnectionError, ssl.SSLError)):
        Nbd(info, name=name)


def test_door(daemon, api, sr, network):
    """Who may read what, and what programs of others make of it."""
    data = os.urandom(3 * MIB) + bytes(5 * MIB)
    disk = new_vdi(api, sr, 8 * MIB)
    assert put(daemon, api, data, vdi=disk)["status"] == "success"
    snap = api.call("VDI.snapshot", disk)
    with offered(api, network, snap, "nbd") as info:
        err = api.fails("network.add_purpose", network, "insecure_nbd")
        assert err.code == "NETWORK_INCOMPATIBLE_PURPOSES"
        nbd = Nbd(info)
        assert nbd.size == 8 * MIB and nbd.flags & 3 == 3, "for reading"
        assert nbd.read(0, 4 * MIB) == data[: 4 * MIB] and nbd.read(8 * MIB - 512, 512) == bytes(512)
        assert nbd.run(1, 0, 0, bytes(512)) == 1, "EPERM"
        assert api.call("VDI.get_current_operations", snap)
        assert api.fails("VDI.destroy", snap).code == "OTHER_OPERATION_IN_PROGRESS"
        second = Nbd(info)  # as many as like
        assert second.read(MIB, 512) == data[MIB : MIB + 512]
        second.close()
        nbd.close()
        plain = Nbd(info, tls=False, name=False)
        assert plain.option(LIST)[1] == 0x80000005 and plain.option(STRUCTURED)[1] == 0x80000005, "TLS first"
        plain.close()
        uuid = api.call("VDI.get_uuid", snap)
        with daemon.api() as other:
            gone = other.session
            other.call("session.logout")
        weak = next(r for r in api.call("role.get_all") if api.call("role.get_name_label", r) == "vm-operator")
        token = api.call("serai.token_create", "weak", weak, "19700101T00:00:00Z", [], [])
        operator = wire.Api(*daemon.host_port()).login("weak", token)
        assert operator.fails("VDI.get_nbd_info", snap).code == "RBAC_PERMISSION_DENIED"
        for name in ("", "/" + uuid, "/%s?session_id=OpaqueRef:NULL" % uuid, "/%s?session_id=%s" % (uuid, gone), "/%s?session_id=%s" % (uuid, operator.session),
                     "/%s?session_id=%s" % (api.call("pool.get_uuid", api.pool()), api.session), "/../%s" % uuid, "x" * 4000):
            refused(info, name or "none")
        operator.close()
        kept = Nbd(info)
        assert kept.read(0, 512) == data[:512]
        said = "".join(p.read_text() for p in (daemon.state / "audit").glob("audit-*.log"))
        assert '"nbd/export"' in said and uuid in said and api.session not in said
        api.call("network.remove_purpose", network, "nbd")  # ends who reads, too
        assert kept.s.recv(1) == b""
        kept.close()
        api.call("network.add_purpose", network, "nbd")
        guests.until("the disk is let go", lambda: not api.call("VDI.get_current_operations", snap))
    api.call("VDI.enable_cbt", disk)
    meta = api.call("VDI.snapshot", disk)
    api.call("VDI.data_destroy", meta)
    assert api.fails("VDI.get_nbd_info", meta).code == "VDI_INCOMPATIBLE_TYPE"
    with offered(api, network, snap, "insecure_nbd") as info:
        url = "nbd://%s:%s/%s" % (info["address"], info["port"], urllib.parse.quote(info["exportname"], safe=""))
        said = subprocess.run(["nbdinfo", url], capture_output=True, text=True, timeout=60)
        assert said.returncode == 0 and "is_read_only: true" in said.stdout and "base:allocation" in said.stdout, said
        said = subprocess.run(["nbdinfo", "--map", url], capture_output=True, text=True, timeout=60)
        assert said.returncode == 0 and "hole" in said.stdout, said
        copied = daemon.state / "copied"
        subprocess.run(["nbdcopy", url, copied], check=True, timeout=60)
        assert copied.read_bytes() == data
        said = subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "raw", copied, url], capture_output=True, text=True, timeout=60)
        assert "identical" in said.stdout, said
    guests.until("the disk is let go", lambda: not api.call("VDI.get_current_operations", snap))
    for vdi in (snap, meta, disk):
        api.call("VDI.destroy", vdi)
    assert readers(daemon) == []


def export_vhd(daemon, api, vdi, base=None):
    path = "/export_raw_vdi?vdi=%s&format=vhd&session_id=%s%s" % (vdi, api.session, "&base=" + base if base else "")
    with daemon.connect() as raw:
        answer = raw.request("GET", path)
        assert answer.status == 200
        return answer.body


def import_vhd(daemon, api, vdi, data):
    assert put(daemon, api, data, vdi=vdi, format="vhd")["status"] == "success"


def change(daemon, api, disk, rng, held):
    """Some blocks of the disk get other contents, by an import that leaves the rest."""
    now = bytearray(held)
    for _ in range(rng.randrange(1, 5)):
        at, n = rng.randrange(len(now) // 512) * 512, rng.randrange(1, 300) * 512
        now[at : at + n] = rng.randbytes(min(n, len(now) - at))
    assert put(daemon, api, bytes(now), vdi=disk)["status"] == "success"
    return bytes(now)


def test_delta_backups(daemon, api, sr, network):
    """Rounds of full and delta by changed blocks over NBD with TLS, and by differences as VHD; what is restored is what was
    snapshot. A reader's server is killed in between: it reads again."""
    rng = random.Random(11)
    disk = new_vdi(api, sr, 8 * MIB)
    api.call("VDI.enable_cbt", disk)
    held = change(daemon, api, disk, rng, bytes(8 * MIB))
    last = api.call("VDI.snapshot", disk)
    with offered(api, network, disk, "nbd"):
        (info,) = api.call("VDI.get_nbd_info", last)
        nbd = Nbd(info)
        backup = bytearray(nbd.read(0, 8 * MIB))
        nbd.close()
        assert bytes(backup) == held
        restored = new_vdi(api, sr, 8 * MIB)
        import_vhd(daemon, api, restored, export_vhd(daemon, api, last))
        for number in range(4):
            held = change(daemon, api, disk, rng, held)
            snap = api.call("VDI.snapshot", disk)
            delta = export_vhd(daemon, api, snap, last) if number % 2 == 0 else None
            (info,) = api.call("VDI.get_nbd_info", snap)
            changed = blocks(api, last, snap)
            assert {i for i in range(128) if held[i * BLOCK : (i + 1) * BLOCK] != backup[i * BLOCK : (i + 1) * BLOCK]} <= set(changed)
            nbd = Nbd(info)
            for i in changed:
                if number == 1 and i == changed[0]:
                    for pid in readers(daemon):
                        os.kill(pid, signal.SIGKILL)
                    with pytest.raises((ConnectionError, ssl.SSLError)):
                        nbd.read(0, 512)
                    nbd.close()
                    nbd = Nbd(info)
                backup[i * BLOCK : (i + 1) * BLOCK] = nbd.read(i * BLOCK, BLOCK)
            nbd.close()
            assert bytes(backup) == held, "round %d" % number
            if delta:
                import_vhd(daemon, api, restored, delta)
                assert get(daemon, api, restored) == held
            else:
                assert put(daemon, api, held, vdi=restored)["status"] == "success"
            guests.until("the disk is let go", lambda: not api.call("VDI.get_current_operations", snap))
            if number % 2:
                api.call("VDI.data_destroy", last)
                assert blocks(api, last, snap) == changed
            api.call("VDI.destroy", last)
            last = snap
        guests.until("the disk is let go", lambda: not api.call("VDI.get_current_operations", last))
    for vdi in (last, disk, restored):
        api.call("VDI.destroy", vdi)


def readers(daemon):
    """Pids of the servers of NBD connections."""
    out = []
    for pid in (int(p) for p in os.listdir("/proc") if p.isdigit()):
        try:
            words = open("/proc/%d/cmdline" % pid, "rb").read().split(b"\0")
        except OSError:
            continue
        if b"--nbd-fd" in words and any(w.startswith(str(daemon.state).encode()) for w in words):
            out.append(pid)
    return out
