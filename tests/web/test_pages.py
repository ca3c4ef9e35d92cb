# SPDX-License-Identifier: Apache-2.0
"""The console as people use it: Debian's Chromium with a real daemon and real guests. pages.mjs has the steps in the browser, one
process for each test; screenshots stay in BUILD/web-screenshots."""
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in ("api", "guest", "vm"):
    sys.path.append(str(HERE.parent / folder))

import bootdisc  # noqa: E402
import guests  # noqa: E402
from guest_builds import build  # noqa: E402
from guests import PASSWORD  # noqa: E402
from test_roles import NEVER, role  # noqa: E402

LIMIT = 600
SHOTS = guests.base.BUILD / "web-screenshots"


@pytest.fixture(scope="session", autouse=True)
def modules():
    """What drives the browser, as the lock file says."""
    with open(ROOT / "web/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([str(ROOT / "web/modules"), "all"], check=True, timeout=LIMIT)
    SHOTS.mkdir(exist_ok=True)


@pytest.fixture(scope="module")
def daemon():
    tiny = pathlib.Path(build("build-tiny"))
    kernels = {"vmlinuz": tiny / "vmlinuz", "initrd": tiny / "initrd", "null": pathlib.Path(build("build-null")),
               "cmdline": (tiny / "cmdline").read_text().strip()}
    with tempfile.TemporaryDirectory(prefix="seraid-") as directory:
        yield from guests.with_daemon(guests.Daemon(directory, kernels, "--sample-ms", "500"))


@pytest.fixture(scope="module")
def api(daemon):
    with daemon.api() as client:
        yield client


class Browser:
    """One run of pages.mjs. It prints a line where it wants something done, and goes on when it gets one."""

    def __init__(self, name, **given):
        given = {key: str(value) for key, value in given.items()}
        self.process = subprocess.Popen(["node", str(HERE / "pages.mjs"), name, json.dumps(given)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, **answers):
        """Until its end; answers: what to do at which line."""
        try:
            for line in self.process.stdout:
                word = line.strip()
                if word in answers:
                    answers[word]()
                    self.process.stdin.write("done\n")
                    self.process.stdin.flush()
            said = self.process.stderr.read()
            assert self.process.wait(LIMIT) == 0, said
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()


def test_a_machine_from_its_disc_to_its_end(daemon, api, tmp_path):
    """Sign in, upload a disc, make a machine that boots it, see it draw, type, snapshot, revert, grow a disk, watch a chart; the
    daemon is started anew beneath the page."""
    disc = tmp_path / "hello.img"
    other = tmp_path / "tools.iso"
    other.write_bytes(b"CD001" * 60000)
    disc.write_bytes(bootdisc.image("Serai: this machine was made of a disk image. Press keys: "))
    guest = guests.Guest(daemon, api, "shop")
    guest.call("set_name_description", "The shop as customers see it")
    guest.call("set_tags", ["production", "web"])
    guest.add_disk(8 << 30)
    guest.start()
    with guest.serial() as line:
        line.expect("^SERAI_TINY_UP\r$", LIMIT)

    def uploaded():
        """What the page sent is what the disk holds."""
        (vdi,) = api.call("VDI.get_by_name_label", "hello")
        with daemon.connect() as raw:
            got = raw.request("GET", "/export_raw_vdi?format=raw&vdi=" + vdi, headers=[("Cookie", "session_id=" + api.session)])
        assert got.body == disc.read_bytes()

    def restart():
        assert daemon.stop(signal.SIGTERM)[0] == 0
        daemon.listen = ["--https", daemon.https.split("//")[1], "--http", daemon.http.split("//")[1]]
        daemon.start()

    Browser("day", url=daemon.https, password=PASSWORD, disc=disc, other=other, guest=guest.uuid, shots=SHOTS).finish(uploaded=uploaded, restart=restart)
    with daemon.api() as again:
        machines = [v for v in again.call("VM.get_all_records").values() if not v["is_a_template"] and v["name_label"] == "from disc"]
        assert len(machines) == 2, "one of them went out and came in again"
        made = next(m for m in machines if m["snapshots"])
        assert made["other_config"]["cloud-init:hostname"] == "disc-1"
        assert made["other_config"]["cloud-init:ssh-keys"].startswith("ssh-ed25519 ")
        assert made["power_state"] == "Halted" and made["VCPUs_max"] == 1 and made["memory_static_max"] == 64 << 20
        disks = [v for v in again.call("VDI.get_all_records").values() if v["name_label"] == "from disc disk 0" and not v["is_a_snapshot"]]
        assert [v["virtual_size"] for v in disks] == [3 << 30] * 2, "it was grown, and copied"
        library = [v for v in again.call("VDI.get_all_records").values() if v["name_label"] == "tools.iso"]
        assert len(library) == 1 and library[0]["virtual_size"] >= len(other.read_bytes())
        assert len(made["snapshots"]) == 1
        guest.api = again
        guest.call("hard_shutdown")
        for ref in again.call("VM.get_by_name_label", "shop") + again.call("VM.get_by_name_label", "from disc"):
            assert again.call("VM.get_power_state", ref) == "Halted"


def fake(*options):
    directory = tempfile.TemporaryDirectory(prefix="seraid-")
    return directory, guests.base.Daemon(directory.name, "--sample-ms", "1000", *options).start()


@pytest.fixture(scope="module")
def many():
    """2,000 machines that are not real, and a user who may only look."""
    directory, one = fake()
    with one.api() as client:
        template = client.call("VM.get_by_name_label", "Other install media")[0]
        like = client.call("VM.get_record", template)
        like.update(is_a_template=False, is_default_template=False, other_config={}, tags=["many"])
        for i in range(2000):
            client.call("VM.create", dict(like, name_label="machine %d" % i))
        token = client.call("serai.token_create", "reader", role(client, "read-only"), NEVER, [], [])
    yield one, token
    assert one.stop()[0] == 0
    guests.check_log(one)
    directory.cleanup()


def test_thousands_of_machines_scroll_and_filter(many):
    daemon, _ = many
    Browser("many", url=daemon.https, password=PASSWORD).finish()


def test_who_may_only_look_is_told_why(many):
    daemon, token = many
    with daemon.api() as api:
        vm = api.call("VM.get_uuid", api.call("VM.get_by_name_label", "machine 7")[0])
    Browser("reader", url=daemon.https, password=token, vm=vm).finish()
    with daemon.api() as api:
        assert api.call("VM.get_power_state", api.call("VM.get_by_name_label", "machine 7")[0]) == "Halted"


def check_what_was_done(api, ref):
    """By the pages, in the scenario of the screenshots."""
    vm = api.call("VM.get_record", ref)
    assert vm["power_state"] == "Running", "calls that were only shown were not made"
    assert sorted(vm["tags"]) == ["precious", "shop"] and vm["other_config"]["folder"] == "/sales"
    assert vm["other_config"]["XenCenter.CustomFields.owner"] == "Ada" and vm["name_description"] != "Sells things"
    assert 'name value="cpu_usage"' in vm["other_config"]["perfmon"] and 'level value="0.9"' in vm["other_config"]["perfmon"]
    schedule = api.call("VMSS.get_record", vm["snapshot_schedule"])
    assert schedule["schedule"] == {"min": "0", "hour": "3", "days": "Monday,Friday"} and schedule["frequency"] == "weekly"
    assert len([v for v in api.call("VDI.get_all_records").values() if v["name_label"] == "loose"]) == 2
    (token,) = [t for t in api.call("serai_token.get_all_records").values() if t["name_label"] == "keeper"]
    assert token["objects"] == [ref] and api.call("role.get_name_label", token["role"]) == "helper"
    for one in api.call("VM.get_all_records").values():
        assert ("bulk" in one["tags"]) == ("production" in one["tags"])
    (made,) = api.call("VM.get_by_name_label", "by keyboard")
    assert api.call("VM.get_power_state", made) == "Running"


def test_every_page_is_readable():
    """Screenshots of each page in light, dark and phone width; axe finds nothing serious in them."""
    holder, daemon = fake()
    with daemon.api() as api:
        for i in range(12):
            ref = api.new_vm("web %d" % i)
            api.call("VM.set_tags", ref, ["production"] if i % 2 else ["test", "web"])
            if i % 3:
                api.call("VM.start", ref, False, False)
        ref = api.new_vm("shop")
        sr = api.call("pool.get_default_SR", api.pool())
        vdi = guests.new_vdi(api, sr, 8 << 30)
        api.call("VBD.create", {"VM": ref, "VDI": vdi, "userdevice": "0", "bootable": True, "mode": "RW", "type": "Disk",
                                "unpluggable": True, "empty": False, "other_config": {}, "qos_algorithm_type": "",
                                "qos_algorithm_params": {}})
        api.call("VDI.set_name_label", guests.new_vdi(api, sr, 1 << 30), "loose")
        snapshots = [api.call("VM.snapshot", ref, name) for name in ("before the upgrade", "after the upgrade")]
        api.call("VM.revert", snapshots[0])
        api.call("VM.snapshot", ref, "another way")
        api.call("message.create", "ALARM", 2, "VM", api.call("VM.get_uuid", ref), "value: 0.95\nconfig:\n<variable>\n\t<name value=\"cpu_usage\"/>\n</variable>")
        api.call("VM.start", ref, False, False)
        uuids = {"vm": api.call("VM.get_uuid", ref), "sr": api.call("SR.get_uuid", sr),
                 "host": api.call("host.get_uuid", api.call("host.get_all")[0]),
                 "network": api.call("network.get_uuid", api.call("network.get_all")[0])}
    Browser("shots", url=daemon.https, password=PASSWORD, shots=SHOTS, **uuids).finish()
    with daemon.api() as api:
        check_what_was_done(api, api.call("VM.get_by_uuid", uuids["vm"]))
    assert daemon.stop()[0] == 0
    guests.check_log(daemon)
    holder.cleanup()
    assert len(list(SHOTS.glob("*.png"))) >= 30

