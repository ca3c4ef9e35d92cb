# SPDX-License-Identifier: Apache-2.0
"""What real machines use is measured, and one that hangs holds up nobody. A round each 100 ms counts as 5 s here."""
import json
import os
import re
import signal
import tempfile

import pytest

import guests
from guests import MIB, until


FAST = ("--sample-ms", "100")


@pytest.fixture(scope="module")
def daemon(kernels):
    with tempfile.TemporaryDirectory(prefix="seraid-") as directory:
        yield from guests.with_daemon(guests.Daemon(directory, kernels, *FAST))


def get(daemon, api, path, **query):
    with daemon.connect() as raw:
        answer = raw.request("GET", path + "?" + "&".join("%s=%s" % i for i in dict(query, session_id=api.session).items()))
    assert answer.status == 200
    return answer.body.decode()


def table(daemon, api, uuid):
    """{name: values that are known, newest first}"""
    data = json.loads(get(daemon, api, "/rrd_updates", json="true", vm_uuid=uuid, interval=5))
    names = [entry.split(":")[3] for entry in data["meta"]["legend"]]
    return {name: [float(row["values"][i]) for row in data["data"] if row["values"][i] != "NaN"]
            for i, name in enumerate(names)}


def rounds(daemon, api):
    return int(re.search(r"^serai_measurement_rounds_total (\d+)$", get(daemon, api, "/metrics"), re.M).group(1))


def test_a_guest_at_work(daemon, api, vm):
    vm.add_disk(userdevice="0")
    line = vm.start_up()
    line.ask("sh while :; do :; done &", r"^SH 0\r$")
    line.ask("write 5", r"^WROTE 5\r$")
    # A whole round is 5 s for the measurements and 0.1 s for the guest.
    until("the guest is seen to work", lambda: any(v > 0 for v in table(daemon, api, vm.uuid).get("cpu0", [])))
    until("all its writes are seen", lambda: sum(table(daemon, api, vm.uuid).get("vbd_xvda_write", [])) * 5 >= MIB * 0.99)
    seen = table(daemon, api, vm.uuid)
    assert any(v > 0 for v in seen["vbd_xvda_iops_write"])
    assert seen["memory"][0] == pytest.approx(128 * MIB) and max(seen["cpu0"]) <= 1
    assert any(v > 0 for v in seen["cpu_usage"])
    assert api.call("VM.query_data_source", vm.ref, "cpu0") >= 0


def test_a_machine_that_hangs(directory, kernels):
    daemon = guests.Daemon(directory, kernels, *FAST).start()
    pid = None
    try:
        with daemon.api() as api:
            vm = guests.Guest(daemon, api, kernel="null")
            vm.start()
            until("it is measured", lambda: table(daemon, api, vm.uuid).get("cpu0"))
            pid = vm.pid()
            os.kill(pid, signal.SIGSTOP)
            began = rounds(daemon, api)
            until("rounds go on", lambda: rounds(daemon, api) > began + 10)
            assert vm.state() == "Running"
            assert "does not say what its disks do" in daemon.log_text()
        # Nor does it hold up the end of the daemon.
        assert daemon.stop()[0] == 0
        assert daemon.log_text().splitlines()[-1].endswith("stopped")
        guests.check_log(daemon)
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
        daemon.stop()
