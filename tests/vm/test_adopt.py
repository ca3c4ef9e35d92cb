# SPDX-License-Identifier: Apache-2.0
"""Guests outlive the daemon: killed, ended, away while a guest or a QEMU ends."""
import json
import os
import signal
import socket
import subprocess
import time

import pytest

import guests
import wire
from guests import MIB
from test_lifecycle import TICK, check_records

STALL = 1.0  # the most that a counter may lag behind


def null(daemon, api, name="null"):
    return guests.Guest(daemon, api, name, kernel="null", memory=16 * MIB)


@pytest.fixture
def world(directory, kernels):
    daemon = guests.Daemon(directory, kernels)
    yield from guests.with_daemon(daemon)


def lag(before, after):
    """By how much the counter fell behind the clock, at least: from the one answer to the next question."""
    return (after[1] - before[2]) - TICK * (after[0] - before[0])


def wait_off(vm):
    """Ask QEMU itself until its guest is off."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(guests.LIMIT)
        s.connect(str(vm.directory() / "qmp.sock"))
        stream = s.makefile("rw", encoding="ascii")

        def ask(command):
            stream.write(json.dumps({"execute": command}) + "\n")
            stream.flush()
            while True:
                line = json.loads(stream.readline())
                if "return" in line:
                    return line["return"]

        stream.readline()  # the greeting
        ask("qmp_capabilities")
        guests.until("the guest is off", lambda: ask("query-status")["status"] == "shutdown")


def test_killed_with_guests_running(world):
    with world.api() as api:
        vms = [guests.Guest(world, api, "guest %d" % i) for i in range(2)] + [null(world, api)]
        vms[0].add_disk()
        vms[0].add_vif()
        for vm in vms:
            vm.start()
        lines = [vm.serial() for vm in vms]
        lines[2].expect("^N\n")
        before = []
        for line in lines[:2]:
            line.expect(r"^SERAI_TINY_UP\r$")
            before.append(line.count())
        paused = null(world, api, "paused")
        paused.start(paused=True)
        vms.append(paused)
        pids = {vm.uuid: vm.pid() for vm in vms}
        domids = [vm.get("domid") for vm in vms]
        consoles = [sorted(vm.get("consoles")) for vm in vms]
    for _ in range(3):
        world.kill()
        assert {uuid: pid for pid, uuid in world.machines().items()} == pids
        world.start()
    with world.api() as api:
        for vm in vms:
            vm.api = api
        assert {uuid: pid for pid, uuid in world.machines().items()} == pids
        for vm, domid, console in zip(vms, domids, consoles):
            check_records(api, vm, "Paused" if vm is paused else "Running")
            assert (vm.get("domid"), sorted(vm.get("consoles"))) == (domid, console)
        guests.check_whole(world, api)
        for vm, tick in zip(vms[:2], before):
            with vm.serial() as line:
                late = lag(tick, line.count())
                print("lag %.2f s" % late)
                assert late < STALL
                line.ask("echo still here", r"^ECHO still here\r$")
        with guests.Console(world, api.session, "ref=" + vms[0].ref) as screen:
            screen.expect("^RFB 003.008\n")
        paused.call("unpause")
        with paused.serial() as line:
            line.expect("^N\n")
        vms[0].call("clean_shutdown")
        # A guest that goes on by itself is still followed.
        with vms[1].serial() as line:
            line.send("off")
            vms[1].wait_state("Halted")
        os.kill(vms[2].pid(), signal.SIGKILL)
        vms[2].wait_state("Halted")
        paused.call("hard_shutdown")
        for vm in vms:
            check_records(api, vm, "Halted")
        guests.check_whole(world, api)


def test_ended_with_guests_running(world):
    with world.api() as api:
        vm = null(world, api)
        vm.start()
        pid = vm.pid()
    status, seconds = world.stop()
    assert status == 0 and seconds < 2
    assert world.machines() == {pid: vm.uuid}
    world.start()
    assert world.start_seconds < 3
    with world.api() as api:
        vm.api = api
        check_records(api, vm, "Running")
        assert vm.pid() == pid
        vm.call("hard_reboot")
        with vm.serial() as line:
            line.expect("^N\n")
        vm.call("hard_shutdown")


def test_what_ended_while_nobody_looked(world):
    """A guest that powered itself off, a QEMU that died; and one that was in the middle of its clean shutdown."""
    with world.api() as api:
        off, asked = guests.Guest(world, api, "off"), guests.Guest(world, api, "asked")
        died = null(world, api, "died")
        lines = []
        for vm in (off, asked, died):
            vm.start()
            lines.append(vm.serial())
        for line in lines[:2]:
            line.expect(r"^SERAI_TINY_UP\r$")
        # In one piece: when the first has answered, the second is in the guest's buffer.
        lines[0].ask("sh sleep 0.3; echo go; sleep 1\noff", r"^go\r$")
        task = api.call("Async.VM.clean_shutdown", asked.ref)
        guests.until("the operation", lambda: asked.get("current_operations"))
        world.kill()
        os.kill(died.pid(), signal.SIGKILL)
    guests.until("QEMU gone", lambda: died.uuid not in world.machines().values())
    wait_off(off)
    world.start()
    with world.api() as api:
        for vm in (off, asked, died):
            vm.api = api
        for vm in (off, died):
            check_records(api, vm, "Halted")
        assert api.call("task.get_status", task) == "failure"
        try:
            asked.call("clean_shutdown")  # it may have died before it pressed the button
        except wire.ApiError as e:
            assert e.code == "VM_BAD_POWER_STATE"
        check_records(api, asked, "Halted")
        guests.check_whole(world, api)
        died.start()
        with died.serial() as line:
            line.expect("^N\n")


def test_a_second_daemon_is_refused(world, kernels):
    with world.api() as api:
        vm = null(world, api)
        vm.start()
        pid = vm.pid()
        second = guests.Daemon(world.dir, kernels)
        done = subprocess.run(second.command(), capture_output=True, text=True, timeout=guests.LIMIT)
        assert done.returncode == 1 and done.stdout == "" and "in use by another seraid" in done.stderr
        check_records(api, vm, "Running")
        assert vm.pid() == pid
        vm.call("hard_shutdown")


def test_rubbish_is_removed(world):
    """What a crash may leave in the runtime directory, and a QEMU of a VM that nobody knows any more."""
    with world.api() as api:
        vm = null(world, api)
        vm.start()
        pid, uuid = vm.pid(), vm.uuid
    world.kill()
    folder = world.runtime / "vm"
    (folder / "not a uuid").mkdir()
    half = folder / "00000000-0000-4000-8000-000000000001"
    half.mkdir()
    (half / "spec.json").write_text("{")
    (half / "pid").write_text("%d\n" % os.getpid())
    world.give(folder / "not a uuid", half, *half.iterdir())
    os.rename(world.state, world.dir / "state.old")
    world.start()
    assert world.machines() == {} and not os.path.exists("/proc/%d/exe" % pid)
    assert world.machine_dirs() == []
    with world.api() as api:
        assert api.fails("VM.get_by_uuid", uuid).code == "UUID_INVALID"
        guests.check_whole(world, api)


def test_a_hanging_qemu_does_not_stop_the_start(world):
    with world.api() as api:
        vm, other = null(world, api, "hangs"), null(world, api, "fine")
        vm.start()
        other.start()
        pid = vm.pid()
    world.kill()
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        world.start()
        assert time.monotonic() - began < 10
        with world.api() as api:
            vm.api = other.api = api
            assert vm.state() == "Running" and vm.pid() == pid
            check_records(api, other, "Running")
            vm.call("hard_shutdown")
            check_records(api, vm, "Halted")
            guests.check_whole(world, api)
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
