# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed at every point that the program names, at least once, then started again: operations are done or
undone, machines and records agree, nothing is left over, and the same operation works (crash.py). `make crash` does so at
every point of every operation. SERAI_BUILD_FP names a build with -Dfailpoints=true (default: SERAI_BUILD)."""
import json
import tempfile

import pytest

import crash
import guests
import test_agent
from crash import GONE, World
from crash_operations import OPERATIONS, SLOW, local_sr, start, stream, tiny
from guests import MIB

KILLS = 100     # at least, of a whole run of this file
OWN_KILLS = 2   # of an operation that comes by nothing new


@pytest.fixture(scope="module")
def world(kernels):
    with tempfile.TemporaryDirectory(prefix="seraid-") as directory:
        w = World(directory, kernels)
        api = w.restart()
        assert api.call("VM.get_all"), "no templates"
        assert w.points, "%s was not built with -Dfailpoints=true" % crash.BUILD
        w.killed, w.failed = set(), set()
        try:
            yield w
        finally:
            w.end()
        guests.check_log(w.daemon, injected=crash.INJECTED)


def chosen(world, hits):
    """Every point at which nobody died yet, and some more of its own, by turns from its beginning, middle and end."""
    new = [p for p in hits if p not in world.killed]
    old = [p for p in hits if p in world.killed]
    more = max(0, min(OWN_KILLS - len(new), len(old)))
    first = len(world.killed) % len(old) if old else 0
    return new + [old[(first + i * len(old) // more) % len(old)] for i in range(more)]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.__name__)
def test_die(world, operation):
    hits = world.record(operation)
    print(operation.__name__, *hits)
    assert hits or operation.__name__ == "scan"
    hits = [p for p in hits if p in world.points]  # the daemon's own
    for i, point in enumerate(chosen(world, hits)):
        assert world.die(operation, point, adopt=i % 3 == 1), point
        world.killed.add(point)


@pytest.mark.parametrize("operation", SLOW, ids=lambda o: o.__name__)
def test_die_after_the_guest_is_off(world, operation):
    """The rest of their way is hard_shutdown's."""
    assert world.die(operation, "vm.%s.off" % operation.__name__)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.__name__)
def test_fail(world, operation):
    hits = world.records[operation].hits if operation in world.records else world.record(operation)
    for point in hits:
        if point in world.points and point not in crash.only_passed() and point not in world.failed:
            world.fail(operation, point)
            world.failed.add(point)


def same_memory(vm, want=None):
    """What the guest has in its memory and on its disk is what it had: its sum."""
    with vm.serial() as line:
        line.send("")  # it may be in the middle of one
        got = line.ask("sh busybox md5sum /random", r"([0-9a-f]{32})  /random\r$").group(1)
        assert want in (None, got)
        line.ask("sum", r"SUM [0-9a-f]{8}\r$")
    return got


def test_a_guest_sleeps_or_goes_on(world):
    """The daemon dies while the memory of a guest is stored, and while it is brought back: it sleeps or it runs, and has what
    it had."""
    points = [("vm.memory.disk", "vm.resume.built"), ("machine.save.begun", "machine.load.begun"),
              ("vm.suspend.saved", "vm.resume.loaded"), ("vm.suspend.recorded", "vm.resume.recorded"),
              ("memory.streamed", "vm.resume.running")]
    with world.restart() as api:
        vm = tiny(world.daemon, api)
        with vm.serial() as line:
            line.ask("write 5", r"WROTE 5\r$")
            line.ask("sh busybox dd if=/dev/urandom of=/random bs=65536 count=16 2>/dev/null", r"SH 0\r$")
        want = same_memory(vm)
    for asleep, awake in points:
        for point, call in (asleep, ("suspend",)), (awake, ("resume", False, False)):
            with world.restart(point + ":exit") as vm.api:
                if vm.state() == ("Suspended" if call[0] == "suspend" else "Running"):
                    continue  # the death before came after the deed
                with pytest.raises(GONE):
                    vm.call(*call)
                world.wait_death(point)
            with world.restart() as vm.api:
                guests.check_whole(world.daemon, vm.api)
                if vm.state() == "Running":
                    same_memory(vm, want)
                    if call[0] == "suspend":
                        vm.call("suspend")
                assert guests.content(world.daemon, vm.api, vm.disks[0], MIB) == guests.pattern(5)
                if vm.state() == "Suspended" and call[0] == "resume":
                    vm.call("resume", False, False)
    with world.restart() as api:
        vm.api = api
        same_memory(vm, want)
        crash.clear(world.daemon, api)


@pytest.mark.parametrize("point", ["quiesce.frozen", "quiesce.thawed"])
def test_a_guest_at_rest_goes_on(world, point):
    """The daemon dies while a guest's file systems rest for a snapshot: the next one has them go on."""
    with world.restart() as api:
        vm = tiny(world.daemon, api)
        with vm.serial() as line:
            test_agent.install(line, test_agent.AGENT)
    with world.restart(point + ":exit") as api:
        with pytest.raises(GONE):
            api.call("VM.snapshot_with_quiesce", vm.ref, "never")
        world.wait_death(point)
    with world.restart() as api:
        guests.until("no mark", lambda: not (vm.directory() / "frozen").exists())
        vm.api = api
        with vm.serial() as line:
            line.expect(r"^FROZEN\r$")
            line.expect(r"^THAWED\r$")
        snap = vm.call("snapshot_with_quiesce", "then")
        assert vm.get("snapshots") == [snap]
        crash.clear(world.daemon, api)


def fail_to_start(world, plan):
    with pytest.raises(AssertionError, match="not ready"):
        world.restart(plan)
    world.wait_death()


@pytest.mark.parametrize("point", ["boot.pool", "boot.storage", "boot.settled", "boot.adopted"])
def test_die_while_starting(world, kernels, point):
    """At the very first start, and at one that finds a machine and half a disk."""
    with tempfile.TemporaryDirectory(prefix="seraid-") as directory:
        new = World(directory, kernels)
        fail_to_start(new, point + ":exit")
        with new.restart() as api:
            names = sorted(r["name_label"] for r in api.call("SR.get_all_records").values())
            assert names == ["ISO library", "Local storage"]
            assert api.call("SR.get_name_label", local_sr(api)) == "Local storage"
            assert [r["name_label"] for r in api.call("network.get_all_records").values()].count("Default network") == 1
            assert len(api.call("host.get_all")) == len(api.call("pool.get_all")) == 1
            guests.check_whole(new.daemon, api)
        assert new.daemon.stop()[0] == 0
    with world.restart() as api:
        vm, act = start(world.daemon, api)
        act(api)
        pid = vm.pid()
    with world.restart("vdi.create.volume:exit") as api:
        with pytest.raises(GONE):
            guests.new_vdi(api, local_sr(api))
        world.wait_death()
    fail_to_start(world, point + ":exit")
    world.reached.add(point)
    with world.restart() as api:
        guests.check_whole(world.daemon, api)
        vm.api = api
        assert vm.state() == "Running" and vm.pid() == pid
        crash.clear(world.daemon, api)


@pytest.mark.parametrize("point", ["blob.received", "blob.in_place"])
def test_die_while_a_blob_comes(world, point):
    """The old content or the new one, never a part; nothing beside it; and the next upload works."""
    def put(api, blob, data):
        with world.daemon.connect() as c:
            c.send("PUT /blob?ref=%s HTTP/1.1\r\nHost: x\r\nCookie: session_id=%s\r\nContent-Length: %d\r\n\r\n"
                   % (blob, api.session, len(data)))
            assert c.head()[0] == 200
            c.send(data)
            c.read_to_end()

    def get(api, blob):
        with world.daemon.connect() as c:
            return c.request("GET", "/blob?ref=" + blob, headers=[("Cookie", "session_id=" + api.session)]).body

    with world.restart() as api:
        blob = api.call("pool.create_new_blob", api.pool(), point, "text/plain", False)
        put(api, blob, b"old")
    with world.restart(point + ":exit") as api:
        try:
            put(api, blob, b"the new one")
        except GONE:
            pass  # the answer's head comes before the data, so a client may see only the end
        world.wait_death(point)
    with world.restart() as api:
        assert get(api, blob) in (b"old", b"the new one")
        assert [f.name for f in (world.daemon.state / "blobs").iterdir()] == [api.call("blob.get_uuid", blob)]
        put(api, blob, b"once more")
        assert get(api, blob) == b"once more" and api.call("blob.get_size", blob) == len(b"once more")
        api.call("blob.destroy", blob)
        assert list((world.daemon.state / "blobs").iterdir()) == []


@pytest.mark.parametrize("point,acted,known", [
    ("audit.intent", False, None), ("audit.intent.durable", False, "unknown"), ("audit.outcome", True, "unknown")])
def test_die_in_the_audit_log(world, point, acted, known):
    """Nothing acts without an intent on the disk; what has no outcome is marked at the next start; the log stays whole."""
    def records():
        return [json.loads(line[65:]) for path in sorted((world.daemon.state / "audit").glob("audit-*.log"))
                for line in path.read_bytes().splitlines()]

    with world.restart() as api:
        pool, before = api.pool(), api.call("pool.get_name_description", api.pool())
        assert before != point
    with world.restart(point + ":exit") as api:
        with pytest.raises(GONE):
            api.call("pool.set_name_description", pool, point)
        world.wait_death(point)
    with world.restart() as api:
        assert api.call("pool.get_name_description", pool) == (point if acted else before)
        assert api.call("serai.audit_verify")["whole"] == "true"
        intents = [r["n"] for r in records() if r["kind"] == "intent" and r.get("args", {}).get("value") == point]
        outcomes = [r["outcome"] for r in records() if r["kind"] == "outcome" and r["of"] in intents]
        assert (len(intents), outcomes) == ((0, []) if known is None else (1, [known]))
        api.call("pool.set_name_description", pool, before)


@pytest.mark.parametrize("point,restored", [("dbxml.applied", False), ("dbxml.committed", True)])
def test_die_while_the_pool_is_restored(world, point, restored):
    """What was there before or what the dump says, never some of both."""
    def said(api):
        return [api.call("pool.get_name_description", pool), api.call("host.get_name_description", host)]

    with world.restart() as api:
        pool, host = api.pool(), api.call("host.get_all")[0]
        before = said(api)
        dump = stream(world.daemon, api, "GET", "/pool/xmldbdump")
        api.call("pool.set_name_description", pool, point)
        api.call("host.set_name_description", host, point)
    with world.restart(point + ":exit") as api:
        with pytest.raises(GONE):
            stream(world.daemon, api, "PUT", "/pool/xmldbdump", dump)
        world.wait_death(point)
    with world.restart() as api:
        assert said(api) == (before if restored else [point] * 2)
        stream(world.daemon, api, "PUT", "/pool/xmldbdump", dump)
        assert said(api) == before
        guests.check_whole(world.daemon, api)


def test_die_when_machines_have_started_with_the_host(world):
    """That they have is not written down yet: the next start finds them running and starts none again."""
    with world.restart() as api:
        vm = guests.Guest(world.daemon, api, "crash", kernel="null", memory=16 * MIB)
        vm.call("add_to_other_config", "auto_poweron", "true")
        api.call("pool.add_to_other_config", api.pool(), "auto_poweron", "true")
    world.daemon.kill()
    (world.daemon.state / "boot").write_text("another boot")
    try:
        world.restart("boot.machines_started:exit").close()
    except GONE:
        pass  # before it was ready, or right after
    world.wait_death()
    world.reached.add("boot.machines_started")
    pid = vm.pid()
    with world.restart() as api:
        vm.api = api
        guests.until("remembered", lambda: (world.daemon.state / "boot").read_text() != "another boot")
        assert (vm.state(), vm.pid()) == ("Running", pid)
        api.call("pool.remove_from_other_config", api.pool(), "auto_poweron")
        crash.clear(world.daemon, api)


def test_every_point_was_reached(world):
    """Run after the others: a point that no operation comes by is not tested."""
    assert sorted(world.points - world.reached) == []
    assert world.kills >= KILLS
