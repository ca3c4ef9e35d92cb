# SPDX-License-Identifier: Apache-2.0
"""seraid in full mode: what it gave up, machines in jails, deaths of both daemons, users of the system."""
import os
import signal
import pathlib
import subprocess
import sys
import tempfile
import time

import pytest

os.environ["SERAI_MODE"] = "full"
for folder in ("api", "guest", "vm"):
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / folder))

import guests  # noqa: E402
import wire  # noqa: E402
from full import USER  # noqa: E402
from guest_builds import build  # noqa: E402
from guests import MIB  # noqa: E402


def kernels():
    tiny, null = pathlib.Path(build("build-tiny")), pathlib.Path(build("build-null"))
    return {"vmlinuz": tiny / "vmlinuz", "initrd": tiny / "initrd", "null": null, "cmdline": (tiny / "cmdline").read_text().strip()}


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="seraid-") as path:
        yield path


@pytest.fixture
def world(directory):
    yield from guests.with_daemon(guests.Daemon(directory, kernels()))


def status(pid):
    lines = pathlib.Path("/proc/%d/status" % pid).read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def test_nothing_is_left_to_the_daemon(world):
    of = status(world.process.pid)
    assert of["Uid"].split() == of["Gid"].split() == [str(USER)] * 4
    for caps in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
        assert int(of[caps], 16) == 0
    assert of["NoNewPrivs"] == "1" and of["Seccomp"] == "2"
    # Each of its files is its own, not root's.
    for folder in world.state, world.runtime:
        for path in [folder, *folder.rglob("*")]:
            st = path.lstat()
            ours = path.parent.name == "kernels"  # the test's
            assert st.st_uid == USER and (ours or st.st_mode & 0o077 == 0), path


PROBE = """#!/usr/bin/python3
import ctypes, errno, os, socket, sys, xmlrpc.client
libc = ctypes.CDLL(None, use_errno=True)
NEW = [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000]
calls = {"mount": (165, 0, b"/mnt", b"tmpfs", 0, 0), "ptrace": (101, 0, 0, 0, 0), "bpf": (321, 0, 0, 0), "keyctl": (250, 0, 0),
         "init_module": (175, 0, 0, b""), "finit_module": (313, -1, b"", 0), "kexec_load": (246, 0, 0, 0, 0), "setns": (308, -1, 0),
         "pivot_root": (155, b"/", b"/"), "setuid": (105, 0), "userfaultfd": (323, 1), "perf_event_open": (298, 0, 0, 0, 0, 0),
         "process_vm_readv": (310, os.getppid(), 0, 0, 0, 0, 0), "add_key": (248, b"user", b"x", b"x", 1, 0), "open_tree": (428, 0, b"/", 1)}
calls.update(("unshare-%x" % flag, (272, flag)) for flag in NEW)
calls.update(("clone-%x" % flag, (56, flag | 17, 0, 0, 0, 0)) for flag in NEW)
went = []
for name, words in calls.items():
    ctypes.set_errno(0)
    rc = libc.syscall(*words)
    if rc == 0 and name.startswith("clone"):
        os._exit(0)
    if rc != -1 or ctypes.get_errno() != errno.EPERM:
        went.append("%s %d %d" % (name, rc, ctypes.get_errno()))
for family in socket.AF_PACKET, socket.AF_VSOCK, socket.AF_ALG:
    try:
        socket.socket(family, socket.SOCK_RAW if family == socket.AF_PACKET else socket.SOCK_STREAM)
        went.append(str(family))
    except PermissionError:
        pass
print(xmlrpc.client.dumps(({"Status": "Success", "Value": "; ".join(went)},), methodresponse=True))
"""


def test_filter(world):
    """A plug-in is the daemon's child and has its filter: what it may not, the daemon may not."""
    plugin = world.state / "plugins" / "probe"
    plugin.parent.mkdir(exist_ok=True)
    plugin.write_text(PROBE)
    plugin.chmod(0o700)
    world.give(plugin.parent, plugin)
    with world.api() as api:
        assert api.call("host.call_plugin", api.call("host.get_all")[0], "probe", "run", {}) == ""


def test_machines_outlive_both_daemons(world):
    with world.api() as api:
        guest = guests.Guest(world, api)
        null = guests.Guest(world, api, "null", kernel="null", memory=16 * MIB)
        tpm = api.call("VTPM.get_uuid", api.call("VTPM.create", guest.ref, False))
        with guest.start_up() as line:
            line.ask("sh cat /sys/class/tpm/tpm0/tpm_version_major", "^2\r$")
            # It began without a disk: the one that comes later is behind the same door, for each process that serves it.
            vdi, vbd = guest.add_disk()
            api.call("VBD.plug", vbd)
            guests.until("the disk", lambda: line.ask("sh ls /sys/block | tr '\\n' ' '; echo END", r"^(.*)END\r$").group(1).find(b"vda") >= 0)
            line.ask("write 7", "WROTE 7\r$")
            for number in (8, 9):
                [process] = world.disk_processes()
                os.kill(process, signal.SIGKILL)
                line.ask("write %d" % number, r"WROTE %d\r$" % number)
            before = line.count()
        null.start()
        pids = {g.uuid: g.pid() for g in (guest, null)}
        pids[tpm], = world.groups()[tpm]
        uids = {status(pid)["Uid"].split()[0] for pid in pids.values()}
        assert len(uids) == 3 and not uids & {"0", str(USER)}
        for pid in pids.values():
            of = status(pid)
            assert int(of["CapBnd"], 16) == 0 and of["Seccomp"] == "2" and os.readlink("/proc/%d/cwd" % pid) == "/"
    world.kill()
    world.restart_rootd()
    world.start()
    with world.api() as api:
        guest.api = null.api = api
        assert {**{g.uuid: g.pid() for g in (guest, null)}, tpm: world.groups()[tpm][0]} == pids
        with guest.serial() as line:
            after = line.count()
            assert after[0] > before[0]
            line.ask("echo still here", "^ECHO still here\r$")
        with guests.Console(world, api.session, "ref=" + guest.ref) as screen:
            screen.expect("^RFB 003.008\n")
        guests.check_whole(world, api)
        # rootd away: a running machine is none of its business, a start says what is wrong and leaves nothing
        world.rootd.stop(9)
        guest.call("pause")
        guest.call("unpause")
        other = guests.Guest(world, api, "other", kernel="null", memory=16 * MIB)
        assert "serai-rootd" in " ".join(other.fails("start", False, False).params)
        world.rootd.start()
        assert other.state() == "Halted"
        guests.check_whole(world, api)
        other.start()
        for g in (guest, null, other):
            g.call("hard_shutdown")
        assert world.groups() == {}
        assert guests.content(world, api, vdi, MIB) == guests.pattern(9)
        guests.check_whole(world, api)


@pytest.fixture
def users(directory):
    """Two users and a group that the host has not, and a PAM service for them."""
    etc = pathlib.Path(directory) / "etc"
    (etc / "pam.d").mkdir(parents=True)
    (etc / "pam.d" / "serai").write_text("auth required pam_unix.so nodelay\naccount required pam_unix.so\n")
    hashed = subprocess.run(["openssl", "passwd", "-6", "-salt", "salt", "right word"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout.strip()
    added = {"passwd": "ann:x:54321:54321::/:/bin/false\nbob:x:54322:54322::/:/bin/false\n",
             "shadow": "ann:%s:19000:0:99999:7:::\nbob:%s:19000:0:99999:7:::\n" % (hashed, hashed),
             "group": "serai-admin:x:54399:ann\nmakers:x:54398:ann,bob\n"}
    for name, lines in added.items():
        (etc / name).write_text(pathlib.Path("/etc/" + name).read_text() + lines)
        (etc / name).chmod(0o640 if name == "shadow" else 0o644)
    mounts = [(etc / n, "/etc/" + n) for n in ("pam.d", *added)]
    yield from guests.with_daemon(guests.Daemon(directory, kernels(), mounts=mounts, password=None))


def login(daemon, user, password):
    began = time.monotonic()
    try:
        with wire.Api(*daemon.host_port()) as api:
            session = api.login(user, password).session
            name, root = api.call("session.get_auth_user_name", session), api.call("session.get_is_local_superuser", session)
            return name, root, time.monotonic() - began
    except wire.ApiError as e:
        return e.code, e.params[0], time.monotonic() - began


def test_users_of_the_system(users):
    assert login(users, "ann", "right word")[:2] == ("ann", True)
    assert login(users, "bob", "right word")[:2] == ("SESSION_AUTHORIZATION_FAILED", "bob")
    took = []
    for user, password in ("ann", "wrong"), ("bob", "wrong"), ("nobody-here", "wrong"), ("ann", ""):
        code, who, seconds = login(users, user, password)
        assert (code, who) == ("SESSION_AUTHENTICATION_FAILED", user)
        took.append(seconds)
    assert min(took) >= 2.2
    with wire.Api(*users.host_port()).login("ann", "right word") as api:
        # Bob gets what a subject of his group gives.
        subject = api.call("subject.create", {"subject_identifier": "local-group:makers", "other_config": {}})
        for role in api.call("subject.get_roles", subject):
            api.call("subject.remove_from_roles", subject, role)
        assert login(users, "bob", "right word")[0] == "SESSION_AUTHORIZATION_FAILED"
        api.call("subject.add_to_roles", subject, api.call("role.get_by_name_label", "read-only")[0])
        with wire.Api(*users.host_port()).login("bob", "right word") as bob:
            assert bob.call("host.get_all")
            assert bob.fails("VM.clone", bob.call("VM.get_by_name_label", "Other install media")[0], "x").code == "RBAC_PERMISSION_DENIED"
        assert api.fails("session.change_password", "right word", "other").code == "CHANGE_PASSWORD_REJECTED"
        users.rootd.stop()
        assert login(users, "ann", "right word")[0] == "SESSION_AUTHENTICATION_FAILED"
        users.rootd.start()
    assert login(users, "ann", "right word")[:2] == ("ann", True)
    assert "right word" not in users.log_text()


def test_the_host_is_switched_off(world):
    """Guests go first: one by itself, a paused one by its plug."""
    shutdown = pathlib.Path(world.rootd.shutdown)
    said = pathlib.Path(world.rootd.dir) / "said"
    shutdown.write_text('#!/bin/sh\necho "$@" >%s\n' % said)
    shutdown.chmod(0o755)
    with world.api() as api:
        host = api.call("host.get_all")[0]
        guest = guests.Guest(world, api)
        guest.start_up().raw.close()
        paused = guests.Guest(world, api, "paused", kernel="null", memory=16 * MIB)
        paused.start(paused=True)
        assert api.fails("host.reboot", host).code == "HOST_NOT_DISABLED"
        api.call("host.disable", host)
        assert {"shutdown", "reboot"} <= set(api.call("host.get_allowed_operations", host))
        api.call("host.reboot", host)
        assert said.read_text() == "-r now\n"
        assert guest.state() == paused.state() == "Halted" and world.machines() == {}
        guests.check_whole(world, api)
        api.call("host.shutdown", host)
        assert said.read_text() == "-P now\n"
        shutdown.write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
        error = api.fails("host.shutdown", host)
        assert error.code == "OPERATION_NOT_ALLOWED" and "no such luck" in error.params[0]


def test_machines_start_with_the_host(world):
    """Once per boot, in order, those that are told to where the pool allows it."""
    with world.api() as api:
        null = [guests.Guest(world, api, "null %d" % i, kernel="null", memory=16 * MIB) for i in range(3)]
        for order, guest in (1, null[0]), (0, null[1]):
            guest.call("add_to_other_config", "auto_poweron", "true")
            guest.call("set_order", order)
        host = api.call("host.get_all")[0]
        api.call("host.disable", host)

    def again(boot):
        world.kill()
        if boot:  # what a new boot looks like
            (world.state / "boot").write_text("another boot")
            world.give(world.state / "boot")
        world.start()

    again(boot=True)
    with world.api() as api:
        assert api.call("host.get_enabled", host)
        assert {api.call("VM.get_power_state", guest.ref) for guest in null} == {"Halted"}  # the pool does not say so
        api.call("pool.add_to_other_config", api.pool(), "auto_poweron", "true")
    again(boot=False)
    assert world.machines() == {}
    again(boot=True)
    with world.api() as api:
        for guest in null:
            guest.api = api
        for guest in null[:2]:
            guest.wait_state("Running")
        first, second = (api.call("VM_metrics.get_start_time", g.get("metrics")) for g in (null[1], null[0]))
        assert first <= second and null[2].state() == "Halted"
        guests.until("remembered", lambda: (world.state / "boot").read_text() != "another boot")
        pid = null[0].pid()
        null[1].call("hard_shutdown")
    again(boot=False)
    with world.api() as api:
        for guest in null:
            guest.api = api
        assert null[1].state() == "Halted" and null[0].pid() == pid
        null[0].call("hard_shutdown")
