# SPDX-License-Identifier: Apache-2.0
"""The thin CLI protocol: one command engine, so what it prints is what serai prints."""
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys

import pytest

import conftest
import thin_client
import wire
from thin_client import ThinClient

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "api" / "cli"))
import rows  # noqa: E402

SERAI = str(conftest.BUILD / "serai")


def serai(daemon, *words):
    env = {"PATH": os.environ["PATH"], "SERAI_SOCKET": daemon.unix, "HOME": str(daemon.dir)}
    p = subprocess.run([SERAI, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       env=env, timeout=60, check=False, text=True)
    return p.returncode, p.stdout, p.stderr


def thin(daemon, *words, **more):
    """As root with the password, over plain TCP."""
    options = {k: more.pop(k) for k in ("files", "line", "typed", "heartbeats", "wrap") if k in more}
    address = more.pop("address", None) or daemon.host_port()
    if "session" not in more and "user" not in more:
        more.update(user="root", password=conftest.PASSWORD)
    return ThinClient(address, **options).run(*words, **more)


SAME = [
    ["vm-list", "params=all"], ["template-list"], ["template-list", "--minimal"], ["host-list", "params=all"],
    ["sr-list", "params=all"], ["network-list", "--minimal"], ["pool-list", "params=all"], ["pif-list"],
    ["template-list", "name-label=Other install media", "params=name-label,uuid"],
    ["help"], ["help", "vm-start"], ["help", "--all"], [],
    ["no-such-command"], ["vm-start"], ["vm-start", "uuid=00000000-0000-0000-0000-000000000000"],
    ["vm-param-get", "param-name=name-label"], ["vm-start", "vm=nobody"], ["vm-list", "nonsense"],
    ["vm-list", "no-such-field=1"], ["sr-list", "type=iso", "minimal=true"], ["task-list"], ["message-list"],
]


@pytest.mark.parametrize("words", SAME, ids=lambda w: " ".join(w) or "nothing")
def test_the_same_text(daemon, api, words):
    def steady(result):  # a field of the moment
        status, out, err = result
        return status, [line for line in out.splitlines() if "memory-free" not in line and "time" not in line], err

    assert steady(thin(daemon, *words)) == steady(serai(daemon, *words))


NOWHERE = "00000000-0000-0000-0000-000000000000"
FILES = ("filename", "file-name")
# What ends the daemon, or reads what each run adds to.
ONCE = ("host-restart-agent", "host-shutdown-agent", "audit-verify")


def typed(param):
    """Something for a parameter that is well-formed and names nothing that exists."""
    param = param.rstrip("-")
    return param + ("k=v" if param.endswith(":") else "=" + NOWHERE if "uuid" in param else "=7")


def every_line():
    """A line of every command with all its parameters, and of every kind of object with what can be done with its fields."""
    for name, selects, required, optional, _ in rows.COMMANDS + rows.OWN_COMMANDS:
        if name in ONCE:
            continue
        params = (required + " " + optional).split()
        yield [name, *(["uuid=" + NOWHERE] if selects else []), *[typed(p) for p in params if p not in FILES]]
    for kind in rows.KINDS:
        yield [kind + "-list", "params=all"]
        for verb in ("list", "get", "set", "add", "remove", "clear"):
            yield [kind + "-param-" + verb, "uuid=" + NOWHERE, "param-name=other-config", "param-key=a"]
    yield ["help", *[r[0] for r in rows.COMMANDS + rows.OWN_COMMANDS]]


def test_every_command_says_the_same(daemon, api):
    made = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}")  # each run makes another object
    moment = re.compile(r"[0-9]{5,}|[0-9]+\.[0-9]+|[0-9]{8}T[0-9:]{8}Z")

    def text(result):
        status, out, err = result
        return status, moment.sub("N", made.sub("U", out)), made.sub("U", err)

    lines = list(every_line())
    assert len(lines) > 390 + 7 * 50
    for words in lines:
        once = text(serai(daemon, *words))
        again = text(thin(daemon, *words, session=api.session))
        assert once == again, words
        assert once[0] in (0, 1) and (once[0] == 0) == (once[2] == ""), (words, once)
        assert "INTERNAL_ERROR" not in once[2], words


def test_a_machine_by_thin_cli(daemon, api):
    status, out, err = thin(daemon, "vm-install", "template=Other install media", "new-name-label=thin one")
    assert (status, err) == (0, "")
    uuid = out.strip()
    vm = api.call("VM.get_by_uuid", uuid)
    assert thin(daemon, "vm-start", "vm=thin one") == (0, "", "")
    assert api.call("VM.get_power_state", vm) == "Running"
    status, out, err = thin(daemon, "vm-start", "vm=thin one")
    assert status == 1 and out == "" and "Error code: VM_BAD_POWER_STATE" in err and "Error parameters: " in err
    assert (status, out, err) == serai(daemon, "vm-start", "vm=thin one")
    assert thin(daemon, "vm-shutdown", "vm=thin one", "force=true") == (0, "", "")
    assert api.call("VM.get_power_state", vm) == "Halted"
    assert thin(daemon, "vm-param-set", "uuid=" + uuid, "name-label=two words and = signs") == (0, "", "")
    assert api.call("VM.get_name_label", vm) == "two words and = signs"


def test_who_asks(daemon, api):
    names = thin(daemon, "template-list", "--minimal")
    assert names[0] == 0 and names[1].strip()
    # A session's own line, which must not be logged out by the command.
    assert thin(daemon, "template-list", "--minimal", session=api.session) == names
    assert api.call("session.get_uuid", api.session)
    assert thin(daemon, "template-list", "--minimal", end="\r\n") == names
    # The local socket trusts the user who owns it.
    assert ThinClient(daemon.unix).run("template-list", "--minimal") == names
    context = wire.insecure_tls()
    assert thin(daemon, "template-list", "--minimal", address=daemon.host_port(tls=True),
                wrap=context.wrap_socket) == names
    usage = "\nFor usage run: 'xe help'\n"
    assert thin(daemon, "vm-list", user="root", password="wrong") == (1, "", "Authentication failed" + usage)
    assert thin(daemon, "vm-list", user="root", password=None) == \
        (1, "", "Required parameter not found: password" + usage)
    assert thin(daemon, "vm-list", user=None) == (1, "", "Required parameter not found: username" + usage)
    status, out, err = thin(daemon, "vm-list", session="OpaqueRef:00000000-0000-0000-0000-000000000001")
    assert status == 1 and out == "" and "SESSION_INVALID" in err
    # Nobody is asked for help.
    assert thin(daemon, "help", "vm-start", user=None)[0] == 0


def test_what_the_log_says(daemon, api):
    with open(daemon.log, encoding="utf-8") as log:
        log.seek(0, 2)
        assert thin(daemon, "vm-list")[0] == 0
        assert "xe vm-list from 127.0.0.1: status 0" in log.read()
    assert conftest.PASSWORD not in daemon.log_text()


def new_disk(api, size):
    sr = api.call("pool.get_default_SR", api.pool())
    return api.call("VDI.create", {"SR": sr, "virtual_size": size, "type": "user", "name_label": "d"})


def test_files_up_and_down(daemon, api):
    vdi = new_disk(api, 4 << 20)
    uuid = api.call("VDI.get_uuid", vdi)
    data = os.urandom(1 << 20)
    files = {"in": data}
    tasks = set(api.call("task.get_all"))
    assert thin(daemon, "vdi-import", "uuid=" + uuid, "filename=in", "format=raw", files=files, heartbeats=3) == (0, "", "")
    assert thin(daemon, "vdi-export", "uuid=" + uuid, "filename=out", "format=raw", files=files) == (0, "", "")
    assert files["out"][:len(data)] == data and len(files["out"]) == 4 << 20
    assert not files["out"][len(data):].strip(b"\0")
    assert set(api.call("task.get_all")) == tasks, "the tasks of the transfers are gone"
    # A file that is not there, and a request that is refused: the reason is the server's.
    status, out, err = thin(daemon, "vdi-import", "uuid=" + uuid, "filename=absent", files=files)
    assert (status, out, err) == (1, "", "Error: The client could not transfer the file\n")
    status, out, err = thin(daemon, "vdi-export", "uuid=" + uuid, "filename=out", "format=vmdk", files=files)
    assert status == 1 and out == "" and "Error code: INVALID_VALUE" in err and "vmdk" in err
    assert set(api.call("task.get_all")) == tasks


def test_console(daemon, api):
    vm = api.new_vm("console by thin cli")
    status, out, err = thin(daemon, "console", "vm=console by thin cli")
    assert status == 1 and out == "" and "has no text console" in err
    api.call("VM.start", vm, False, False)
    client = ThinClient(daemon.host_port(), typed=b"echo this")
    assert client.run("console", "vm=console by thin cli", user="root", password=conftest.PASSWORD) == (0, "", "")
    assert b"echo this" in client.console
    api.call("VM.hard_shutdown", vm)


def test_a_question(daemon, api):
    vm = api.new_vm("to be asked about")
    uuid = api.call("VM.get_uuid", vm)
    status, out, err = thin(daemon, "vm-uninstall", "uuid=" + uuid, line=b"no\n")
    assert api.call("VM.get_uuid", vm) == uuid and "yes" in out, (status, err)
    status, out, err = thin(daemon, "vm-uninstall", "uuid=" + uuid, line=b"yes\n")
    assert (status, err) == (0, "")
    assert api.fails("VM.get_uuid", vm).code == "HANDLE_INVALID"


def test_long_output_is_whole(daemon, api):
    status, out, err = thin(daemon, "help", "--all")
    assert (status, err) == (0, "") and out == serai(daemon, "help", "--all")[1]
    vm = api.new_vm("long")
    text = "x" * 65000 + "\n" + "y" * 100
    api.call("VM.set_name_description", vm, text)
    try:
        words = ["vm-list", "name-label=long", "params=name-description,uuid,name-label"]
        assert thin(daemon, *words) == serai(daemon, *words)
        assert "y" * 100 in thin(daemon, *words)[1]
    finally:
        api.call("VM.destroy", vm)


def post(daemon, body, more=b""):
    with socket.create_connection(daemon.host_port(), timeout=60) as sock:
        sock.sendall(b"POST /cli HTTP/1.0\r\ncontent-length: %d\r\n\r\n" % len(body) + body + more)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_bad_clients(daemon, api):
    """None of them hangs or harms the daemon."""
    greeting = thin_client.MAGIC + struct.pack("<ii", 0, 2)
    assert post(daemon, b"vm-list\n") == greeting
    assert post(daemon, b"vm-list\n", b"y" * 35) == greeting
    assert post(daemon, b"vm-list\n", thin_client.MAGIC + struct.pack("<ii", 1, 0)) == greeting
    assert post(daemon, b"vm\0list\n").startswith(b"HTTP/1.")
    assert post(daemon, b"\n" * 3000).split(b" ")[1] == b"400"
    vdi = api.call("VDI.get_uuid", new_disk(api, 4 << 20)).encode()
    start = b"session_id=%s\nvdi-import\nuuid=%s\nfilename=x\n" % (api.session.encode(), vdi)
    for answer in (b"", b"\xff" * 12, ThinClient.message(9, 4, 0), ThinClient.message(11, 7, -1),
                   ThinClient.message(10, 18) * 50):
        got = post(daemon, start, greeting + answer)
        assert got.startswith(greeting) and b"import_raw_vdi" in got
    assert api.call("VM.get_all_records")
