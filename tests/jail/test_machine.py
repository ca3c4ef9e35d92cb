# SPDX-License-Identifier: Apache-2.0
"""The machine floor's own tests again, with every machine in a jail."""
import os
import shutil
import subprocess
import tempfile

import pytest
from rootd import BUILD, Rootd

QEMU = shutil.which("qemu-system-x86_64")
HOST = BUILD / "src" / "host"
# without those that send signals to QEMU, or start one by themselves, as root may
UNPRIVILEGED = ["serial_and_states", "vnc", "guest_powers_off", "guest_reboots", "guest_panics", "disks",
                "start_is_refused", "twenty_cycles_leave_nothing"]


def run(rootd, program, uid, tmp, names=()):
    os.chown(tmp, uid, uid)
    done = subprocess.run([str(HOST / program), *names], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100,
                          user=uid, group=uid, extra_groups=[],
                          env={**os.environ, "SERAI_ROOTD_SOCKET": rootd.socket, "TMPDIR": tmp})
    assert done.returncode == 0, done.stdout
    assert os.listdir(rootd.dir + "/run/uids") == []
    assert [sub for d in rootd.cgroups() for sub in d.iterdir() if sub.is_dir()] == []


@pytest.mark.parametrize("program, uid, names", [
    ("host_machine_qemu_test", 0, []),
    ("host_machine_qemu_test", 12345, UNPRIVILEGED),
    ("host_crash_test", 0, []),
    ("host_crash_test", 12345, []),
])
def test_machines_in_jails(program, uid, names):
    # not pytest's own folder: its parents are root's alone, whenever another run starts
    with tempfile.TemporaryDirectory(prefix="serai-machine-") as tmp, Rootd("--qemu", QEMU, user=uid) as rootd:
        run(rootd, program, uid, tmp, names)
