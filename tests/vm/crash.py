# SPDX-License-Identifier: Apache-2.0
"""Processes killed at a point of an operation, and what must hold afterwards: test_crash_points.py and tools/crash share this.

World.die() is one such death. In the life of the daemon that checked the death before, it makes what the operation needs,
then says (in a file that the daemon reads at each point, base/failpoint.h) where to die, and begins the operation. The next
life is looked at: the invariants of check_whole(), the operation done or undone and never half, the disks with what they
had, machines not touched, a client with an old token as wise as a new one, the operation works; then all is cleared away.

SERAI_BUILD_FP names a build with -Dfailpoints=true (default: SERAI_BUILD)."""
import os
import pathlib
import re
import signal
import threading
import time

import guests
import wire
from crash_operations import IN_STEPS

BUILD = pathlib.Path(os.environ.get("SERAI_BUILD_FP") or guests.base.BUILD).resolve()
SOURCES = pathlib.Path(__file__).resolve().parents[2] / "src"
GONE = (AssertionError, OSError)  # how a client sees the death
COUNTED = ("VM", "VBD", "VDI", "VIF", "VTPM", "VM_metrics", "console", "serai_recycled")
COMPARED = ("VM", "VBD", "VDI", "VIF", "SR", "console", "VM_metrics", "pool", "host")
INJECTED = "a failpoint"  # the cause of an error that a point made
COLLECTOR = ("gc.", "disks.job.")  # a thread of its own, which comes by after the call too


def only_passed():
    """Points at which nothing can fail, where dying alone makes sense."""
    return {name for path in SOURCES.rglob("*.c") for name in re.findall(r'\(void\)FAILPOINT\("([^"]+)"\)', path.read_text())}


def counts(api):
    """How many there are of what operations make."""
    return [len(api.call(c + ".get_all")) for c in COUNTED]


def apply(seen, events):
    for event in events:
        key = (event["class"].lower(), event["ref"])
        if event["operation"] == "del":
            seen.pop(key, None)
        else:
            seen[key] = event["snapshot"]


def differing(api, seen):
    """(class, ref) of what `seen` has otherwise than the daemon has it now."""
    for cls in COMPARED:
        now = api.call(cls + ".get_all_records")
        known = {ref: record for (c, ref), record in seen.items() if c == cls.lower()}
        for ref in known.keys() | now.keys():
            if known.get(ref) != now.get(ref):
                yield cls, ref, known.get(ref), now.get(ref)


def check_events(api, seen, token):
    """A client that kept its token over the crash knows the same as one that asks anew, as soon as nothing changes."""
    end = time.monotonic() + guests.LIMIT
    while True:
        try:
            batch = api.call("event.from", ["*"], token, 0.0)
        except wire.ApiError as e:
            # The new daemon does not know what went before it: the client is told to start over, and does.
            assert e.code == "EVENTS_LOST" and token
            seen, token = {}, ""
            continue
        token = batch["token"]
        apply(seen, batch["events"])
        if batch["events"]:
            assert time.monotonic() < end
            continue
        others = list(differing(api, seen))
        if not others:
            return
        assert time.monotonic() < end, others


def take_all(api):
    seen, token = {}, ""
    while True:
        batch = api.call("event.from", ["*"], token, 0.0)
        token = batch["token"]
        apply(seen, batch["events"])
        if not batch["events"]:
            return seen, token


def check_starts(api, vm):
    vm.api = api
    if vm.state() != "Halted":
        vm.call("hard_shutdown")
    if vm.get("is_a_template"):
        vm.call("provision")
    vm.boots("null")
    vm.start()
    with vm.serial() as line:
        line.expect("^N\n")
    vm.call("hard_shutdown")


def clear(daemon, api):
    """Everything that a test made goes; what cannot go is a leftover."""
    for cls, refs in (("pool", api.call("pool.get_all")), ("SR", api.call("SR.get_all"))):
        for ref in refs:
            api.call(cls + ".remove_from_other_config", ref, "recycle-hours")
    for ref, record in api.call("VM.get_all_records").items():
        if record["is_default_template"] or record["is_control_domain"]:
            continue
        if record["power_state"] != "Halted" and not record["is_a_snapshot"]:
            api.call("VM.hard_shutdown", ref)
        api.call("VM.destroy", ref)
    for ref, record in api.call("VDI.get_all_records").items():
        if api.call("SR.get_content_type", record["SR"]) != "iso":
            api.call("VDI.destroy", ref)
    for ref in api.call("VMSS.get_all"):
        api.call("VMSS.destroy", ref)
    api.call("serai.recycle_empty")
    for path in (daemon.state / "iso").glob("*.iso"):
        path.unlink()
    for ref in api.call("SR.get_all"):
        api.call("SR.scan", ref)
    guests.check_whole(daemon, api)
    assert api.call("VDI.get_all") == []


def states(api):
    """The machines that are not templates, by name (without a time in it) and what they are doing."""
    return sorted((re.sub(r"\d{8}T.*", "", r["name_label"]), r["power_state"]) for r in api.call("VM.get_all_records").values()
                  if not r["is_default_template"] and not r["is_control_domain"])


def signature(api):
    return counts(api), states(api)


class World:
    """A daemon whose processes are killed again and again."""

    def __init__(self, directory, kernels):
        self.log, self.plan = (pathlib.Path(directory) / n for n in ("points", "plan"))
        self.daemon = guests.Daemon(directory, kernels, build=BUILD)
        self.clean = True
        self.client, self.kills, self.slowest = None, 0, 0.0
        self.reached, self.points = set(), set()  # of the daemon; a disk process has its own
        self.records = {}  # operation: Record

    def arm(self, plan="list"):
        """What happens at points from now on; what is logged begins anew."""
        self.log.write_text("")
        part = self.plan.with_suffix(".part")
        part.write_text(plan)
        os.replace(part, self.plan)

    def restart(self, plan="list"):
        """Another life, after a death if the daemon lives."""
        self.close_client()
        if self.daemon.process and self.daemon.process.poll() is None:
            self.daemon.kill()
        self.log.unlink(missing_ok=True)
        self.log.touch()
        self.arm(plan)
        self.daemon.environment = {"SERAI_FAILPOINT": "@%s" % self.plan, "SERAI_FAILPOINT_LOG": str(self.log)}
        self.daemon.start()
        self.slowest = max(self.slowest, self.daemon.start_seconds)
        self.client = self.daemon.api()
        self.points = self.points or set(self.lines("point"))
        return self.client

    def api(self):
        """Of the life that is, or of a new one."""
        alive = self.client and self.daemon.process and self.daemon.process.poll() is None
        return self.client if alive else self.restart()

    def clear(self, api):
        clear(self.daemon, api)
        self.clean = True

    def close_client(self):
        if self.client:
            self.client.close()
        self.client = None

    def wait_death(self, point=None):
        assert self.daemon.wait_death() == -9
        self.kills += 1
        if point:
            self.reached.add(point)

    def lines(self, word):
        return [line.split(" ", 1)[1] for line in self.log.read_text().splitlines() if line.startswith(word + " ")]

    def hits(self):
        """The points that were come by since arm(), each once, in order."""
        return list(dict.fromkeys(p for p in self.lines("hit") if not p.startswith("audit.")))

    def record(self, operation):
        """Run it to its end and see what it comes by."""
        api, _, act, _ = self.begin(operation, False)
        before = signature(api)
        self.arm()
        began = time.monotonic()
        act(api)
        seconds, hits = time.monotonic() - began, self.hits()
        after = signature(api)
        self.clear(api)
        self.reached |= set(hits)
        self.records[operation] = Record(hits, before, after, seconds)
        return hits

    def begin(self, operation, adopt):
        """All that it needs; with adopt its machines were started by a life before."""
        api = self.api()
        if not self.clean:  # something failed
            clear(self.daemon, self.restart())
            api = self.client
        self.clean = False
        self.arm()
        vm, act = operation(self.daemon, api)
        if adopt:
            api = self.restart()
        contents = {ref: guests.content(self.daemon, api, ref) for ref in (vm.disks if vm else [])}
        return api, vm, act, contents

    def victims(self, point):
        """Who can be killed there."""
        return ["daemon", "qemu", "disk"] if point in self.points else ["itself"]

    def die(self, operation, point, adopt=False, victim="daemon"):
        """The victim dies there. False: nobody does."""
        if victim != "daemon":
            return self.lose(operation, point, adopt, victim)
        api, vm, act, contents = self.begin(operation, adopt)
        seen, token = take_all(api)
        self.arm(point + ":exit")
        try:
            act(api)
            if not point.startswith(COLLECTOR):
                return False
        except GONE:
            pass
        self.wait_death(point)
        self.look(operation, vm, act, contents, (seen, token))
        return True

    def lose(self, operation, point, adopt, victim):
        """A process beside the daemon dies while the daemon stands there; the daemon says so or has it done all the same."""
        api, vm, act, contents = self.begin(operation, adopt)
        self.arm(point + (":exit" if victim == "itself" else ":stop"))
        caller = Caller(act, api)
        if victim == "itself":  # the next one lives
            guests.until("a death", lambda: self.lines("die") or not caller.is_alive(), step=0.005)
            dead = len(self.lines("die"))
            self.arm()
        else:
            dead = len(self.kill_beside(caller, victim))
        caller.join_kicking(self.daemon)
        self.arm()
        self.kills += dead
        self.reached.add(point)
        guests.until("all to be whole", lambda: caller.settled(self.daemon, api), step=0.2)
        check_contents(self.daemon, api, contents)
        if vm:
            check_starts(api, vm)
        self.clear(api)
        return bool(dead)

    def kill_beside(self, caller, victim):
        """The processes that were there while the daemon stood still."""
        daemon = self.daemon.process.pid
        status = pathlib.Path("/proc/%d/stat" % daemon)
        guests.until("the daemon at the point", lambda: status.read_text().rsplit(")", 1)[1].split()[0] == "T"
                     or not caller.is_alive(), step=0.005)
        pids = list(self.daemon.machines() if victim == "qemu" else self.daemon.disk_processes())
        self.daemon.end_processes(pids)
        os.kill(daemon, signal.SIGCONT)
        return pids

    def die_after(self, operation, seconds):
        """It is killed so long after the operation began, or at its end."""
        api, vm, act, contents = self.begin(operation, False)
        seen, token = take_all(api)
        process = self.daemon.process
        timer = threading.Timer(seconds, process.send_signal, [signal.SIGKILL])
        timer.start()
        try:
            act(api)
        except GONE:
            pass
        timer.join()
        self.wait_death()
        self.look(operation, vm, act, contents, (seen, token))

    def look(self, operation, vm, act, contents, client):
        """What must hold in the life after a death."""
        machines = self.daemon.machines()
        api = self.restart()
        guests.check_whole(self.daemon, api)
        check_untouched(self.daemon, api, machines)
        check_bin(api)
        self.check_settled(operation, api, vm, act)
        check_events(api, *client)
        check_contents(self.daemon, api, contents)
        if vm:
            check_starts(api, vm)
        self.clear(api)

    def check_settled(self, operation, api, vm, act):
        """Done or undone; what is undone can be done."""
        record = self.records.get(operation)
        if not record:
            return
        now = signature(api)
        assert operation in IN_STEPS or now in (record.before, record.after), (now, record.before, record.after)
        if vm:
            vm.api = api
        if now == record.before != record.after:
            act(api)
            guests.check_whole(self.daemon, api)

    def fail(self, operation, point):
        """The step behind the point fails: the operation says so and has done nothing, and works the next time."""
        api, vm, act, contents = self.begin(operation, False)
        before = counts(api)
        self.arm(point + ":error")
        try:
            act(api)
        except wire.ApiError as e:
            assert (e.code != "INTERNAL_ERROR" or e.params == [INJECTED]) and counts(api) == before, (point, e)
            guests.check_whole(self.daemon, api)
            act(api)
        assert point in self.hits(), point
        self.arm()
        check_contents(self.daemon, api, contents)
        if vm:
            check_starts(api, vm)
        self.clear(api)

    def end(self):
        self.close_client()
        if self.daemon.process and self.daemon.process.poll() is None:
            self.daemon.kill()
        self.daemon.end_machines()
        self.daemon.close()


class Caller(threading.Thread):
    """A call that goes on while others are killed."""

    def __init__(self, act, api):
        super().__init__()
        self.act, self.api, self.error, self.amiss = act, api, None, None
        self.start()

    def run(self):
        try:
            self.act(self.api)
        except Exception as e:  # pylint: disable=broad-except  looked at by settled()
            self.error = e

    def join_kicking(self, daemon):
        """The collector comes to what failed a minute later, or when a disk has gone."""
        end = time.monotonic() + 2 * guests.LIMIT
        self.join(1)
        while self.is_alive() and time.monotonic() < end:
            with daemon.api() as api:
                api.call("VDI.destroy", guests.new_vdi(api, api.call("pool.get_default_SR", api.pool())))
            self.join(1)
        assert not self.is_alive(), "the call does not end"

    def settled(self, daemon, api):
        """What died is seen and recorded by others, after the call."""
        assert self.error is None or (isinstance(self.error, wire.ApiError) and self.error.code != "INTERNAL_ERROR"), self.error
        try:
            guests.check_whole(daemon, api)
            return True
        except AssertionError as e:
            self.amiss = e
            return False


class Record:
    """What an operation comes by, and how the pool looks before and after it."""

    def __init__(self, hits, before, after, seconds):
        self.hits, self.before, self.after, self.seconds = hits, before, after, seconds


def check_bin(api):
    """What is back is not in the bin too."""
    for item in api.call("serai_recycled.get_all_records").values():
        try:
            back = api.call(item["kind"] + ".get_by_uuid", item["object_uuid"])
        except wire.ApiError:
            continue
        raise AssertionError("%s is in the bin and %s" % (item["name_label"], back))


def check_untouched(daemon, api, machines):
    """A machine that lived through the death of the daemon is the same one, if it has not been ended."""
    now = daemon.machines()
    live = {r["uuid"] for r in api.call("VM.get_all_records").values() if r["power_state"] in ("Running", "Paused")}
    assert {p: u for p, u in machines.items() if u in live} == {p: u for p, u in now.items() if u in live}


def check_contents(daemon, api, contents):
    """Disks that are still there hold what they held; no operation writes to them."""
    there = set(api.call("VDI.get_all"))
    for ref, data in contents.items():
        assert ref not in there or guests.content(daemon, api, ref)[:len(data)] == data, ref
