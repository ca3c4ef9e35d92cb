# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed 300 times while several clients write: what was acknowledged is there, and nothing is half done.
SERAI_SEED repeats a run's choices, SERAI_KILLS changes their number."""
import os
import random
import threading
import time

import guests
import wire

KILLS = int(os.environ.get("SERAI_KILLS", "300"))
SEED = int(os.environ.get("SERAI_SEED") or random.SystemRandom().randrange(1 << 32))
MACHINE_KILLS = max(1, KILLS // 10)
CLIENTS = 4
LOAD_AT_LEAST, LOAD_AT_MOST = 5, 30  # acknowledged writes between two kills
GONE = (AssertionError, OSError)     # how a client sees the death


class Writer:
    """A client that knows what it was told: its objects as acknowledged, and the one write that was not yet answered."""

    def __init__(self, number, sr, template):
        self.number, self.sr, self.template = number, sr, template
        self.random = random.Random("%d/%d" % (SEED, number))
        self.vms, self.vdis = {}, {}  # ref: fields
        self.pending = None           # (description of the write, how its effect is put into the model)
        self.acknowledged = self.writes = 0

    def name(self):
        self.writes += 1
        return "load %d.%d" % (self.number, self.writes)

    def verify(self, api):
        """Look at everything that is ours; settles the pending write one way or the other."""
        pending = self.pending  # until all is seen: the daemon may die meanwhile
        kind, ref, after = pending or (None, None, None)
        if kind in ("clone", "create"):
            cls, model = ("VM", self.vms) if kind == "clone" else ("VDI", self.vdis)
            found = api.call(cls + ".get_by_name_label", ref)
            assert len(found) <= 1, pending
            for f in found:
                model[f] = after
        for cls, model in (("VM", self.vms), ("VDI", self.vdis)):
            for own, fields in list(model.items()):
                self.verify_one(api, cls, own, fields, pending if own == ref else None, model)
        self.pending = None

    def verify_one(self, api, cls, ref, fields, pending, model):
        kind, _, after = pending or (None, None, None)
        try:
            record = api.call(cls + ".get_record", ref)
        except wire.ApiError as e:
            assert e.code == "HANDLE_INVALID" and kind == "destroy", "%s %s is lost: %s" % (cls, ref, pending)
            del model[ref]
            return
        seen = {"name_description": record["name_description"],
                "keys": {k: v for k, v in record["other_config"].items() if k.startswith("load")}}
        if kind == "change" and seen == after:
            model[ref] = after
            return
        assert seen == fields, "%s %s is %r, was acknowledged as %r; pending: %r" % (cls, ref, seen, fields, pending)

    def write(self, api):
        """One write, and what it means once it is acknowledged."""
        choice = self.random.random()
        if len(self.vms) < 2 or (choice < 0.1 and len(self.vms) < 8):
            self.clone(api)
        elif choice < 0.2:
            self.create(api) if len(self.vdis) < 3 else self.destroy(api, "VDI", self.vdis)
        elif choice < 0.3:
            self.destroy(api, "VM", self.vms)
        elif self.vdis and choice < 0.4:
            self.change(api, "VDI", self.vdis)
        else:
            self.change(api, "VM", self.vms)
        self.pending = None
        self.acknowledged += 1

    def clone(self, api):
        name, fields = self.name(), {"name_description": self.template[1], "keys": {}}
        self.pending = ("clone", name, fields)
        self.vms[api.call("VM.clone", self.template[0], name)] = fields

    def create(self, api):
        name, fields = self.name(), {"name_description": "", "keys": {}}
        self.pending = ("create", name, fields)
        self.vdis[guests.new_vdi(api, self.sr, name_label=name)] = fields

    def destroy(self, api, cls, model):
        ref = self.random.choice(sorted(model))
        self.pending = ("destroy", ref, None)
        api.call(cls + ".destroy", ref)
        del model[ref]

    def change(self, api, cls, model):
        ref = self.random.choice(sorted(model))
        fields = {"name_description": model[ref]["name_description"], "keys": dict(model[ref]["keys"])}
        how = self.random.randrange(3)
        if how == 0:
            fields["name_description"] = self.name()
            call = ("set_name_description", ref, fields["name_description"])
        elif how == 1 and fields["keys"]:
            key = self.random.choice(sorted(fields["keys"]))
            del fields["keys"][key]
            call = ("remove_from_other_config", ref, key)
        else:
            fields["keys"] = {"load%d" % i: self.name() for i in range(self.random.randrange(1, 4))}
            config = {k: v for k, v in api.call(cls + ".get_other_config", ref).items() if not k.startswith("load")}
            call = ("set_other_config", ref, {**config, **fields["keys"]})
        self.pending = ("change", ref, fields)
        api.call(cls + "." + call[0], *call[1:])
        model[ref] = fields

    def run(self, daemon, wrong):
        """Until the daemon dies."""
        try:
            with daemon.api() as api:
                self.verify(api)
                while True:
                    self.write(api)
        except GONE as e:
            if daemon.process.poll() is None and not daemon.dying:
                wrong.append(e)
            elif isinstance(e, AssertionError) and "the connection ended" not in str(e):
                wrong.append(e)
        except BaseException as e:  # noqa: B902  told by the main thread
            wrong.append(e)


def one_life(daemon, writers, choice):
    """Start, let them write, kill."""
    daemon.start()
    daemon.dying = False
    wrong = []
    threads = [threading.Thread(target=w.run, args=(daemon, wrong)) for w in writers]
    goal = sum(w.acknowledged for w in writers) + choice.randint(LOAD_AT_LEAST, LOAD_AT_MOST)
    for t in threads:
        t.start()
    guests.until("writes", lambda: wrong or sum(w.acknowledged for w in writers) >= goal, step=0.001)
    daemon.dying = True
    daemon.kill()
    for t in threads:
        t.join()
    assert not wrong, wrong


def check_all(daemon, writers):
    """The clients are quiet: all that there is, is known to one of them."""
    daemon.start()
    daemon.dying = False
    with daemon.api() as api:
        for w in writers:
            w.verify(api)
        guests.check_whole(daemon, api)
        records = {c: api.call(c + ".get_all_records") for c in ("VM", "VM_metrics", "VDI", "SR", "task")}
    own = {r: v for r, v in records["VM"].items() if not v["is_default_template"] and not v["is_control_domain"]}
    assert sorted(own) == sorted(r for w in writers for r in w.vms)
    assert sorted(records["VDI"]) == sorted(r for w in writers for r in w.vdis)
    assert sorted(v["metrics"] for v in records["VM"].values() if v["metrics"] != "OpaqueRef:NULL") \
        == sorted(records["VM_metrics"])
    for sr, record in records["SR"].items():
        assert sorted(record["VDIs"]) == sorted(r for r, v in records["VDI"].items() if v["SR"] == sr)
    daemon.kill()


def test_kill_under_load(kernels, directory):
    print("seed %d: repeat with SERAI_SEED=%d" % (SEED, SEED))
    choice = random.Random(SEED)
    daemon = guests.Daemon(directory, kernels).start()
    with daemon.api() as api:
        template = api.call("VM.get_by_name_label", "Other install media")[0]
        facts = (api.call("pool.get_default_SR", api.pool()),
                 (template, api.call("VM.get_name_description", template)))
    assert daemon.stop()[0] == 0
    writers = [Writer(i, *facts) for i in range(CLIENTS)]
    began = time.monotonic()
    for life in range(KILLS):
        one_life(daemon, writers, choice)
        if life % 25 == 24:
            check_all(daemon, writers)
    seconds = time.monotonic() - began
    written = sum(w.acknowledged for w in writers)
    print("%d kills, %d acknowledged writes, %.1f s" % (KILLS, written, seconds))
    assert written >= KILLS * LOAD_AT_LEAST
    guests.check_log(daemon)


def change_machine(vm, choice):
    state = vm.state()
    if state == "Halted":
        vm.start(choice.random() < 0.3)
    elif state == "Paused":
        vm.call(choice.choice(["unpause", "hard_shutdown"]))
    else:
        vm.call(choice.choice(["pause", "hard_reboot", "hard_shutdown", "hard_shutdown"]))


def keep_changing(daemon, vm, choice, done, wrong):
    try:
        with daemon.api() as api:
            vm.api = api
            while True:
                change_machine(vm, choice)
                done.append(vm)
    except GONE as e:
        if not daemon.dying or (isinstance(e, AssertionError) and "the connection ended" not in str(e)):
            wrong.append(e)
    except BaseException as e:  # noqa: B902  told by the main thread
        wrong.append(e)


def test_kill_while_machines_change(kernels, directory):
    """Machines start, stop and change while the daemon is killed: one QEMU for each record that says so, every time."""
    print("seed %d: repeat with SERAI_SEED=%d" % (SEED, SEED))
    choice = random.Random(SEED)
    daemon = guests.Daemon(directory, kernels).start()
    with daemon.api() as api:
        vms = [guests.Guest(daemon, api, "machine %d" % i, kernel="null", memory=16 * guests.MIB) for i in range(3)]
        for vm in vms:
            vm.add_disk()
    try:
        for life in range(MACHINE_KILLS):
            daemon.dying, done, wrong = False, [], []
            threads = [threading.Thread(target=keep_changing, args=(
                daemon, vm, random.Random("%d/%d/%s" % (SEED, life, vm.uuid)), done, wrong)) for vm in vms]
            goal = choice.randint(0, 6)
            for t in threads:
                t.start()
            guests.until("changes", lambda: wrong or len(done) >= goal, step=0.001)
            daemon.dying = True
            daemon.kill()
            for t in threads:
                t.join()
            assert not wrong, wrong
            before = daemon.machines()
            daemon.start()
            with daemon.api() as api:
                guests.check_whole(daemon, api)
            # Those that had been started for good are the same processes.
            assert set(daemon.machines()) <= set(before)
        with daemon.api() as api:
            for vm in vms:
                vm.api = api
                vm.remove()
            guests.check_whole(daemon, api)
        assert daemon.stop()[0] == 0
        guests.check_log(daemon)
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
        daemon.end_machines()
