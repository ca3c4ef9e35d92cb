# SPDX-License-Identifier: Apache-2.0
"""`make run` from a built tree: twice, with Ctrl-C at the end and in the middle."""
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
from guest_builds import CACHE, ROOT

BUILD = os.path.abspath(os.environ.get("SERAI_BUILD") or ROOT + "/build")


class Run:
    """tools/run with a home of its own; its output is read by patterns."""

    def __init__(self, home):
        self.text = ""
        self.process = subprocess.Popen(
            [ROOT + "/tools/run"], env=dict(os.environ, HOME=home, SERAI_HOME=home, SERAI_CACHE=CACHE, SERAI_BUILD=BUILD),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.send_signal(signal.SIGINT)
            self.process.wait(120)
        self.process.stdout.close()

    def expect(self, pattern, timeout):
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.text, re.M):
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, "%r did not come:\n%s" % (pattern, self.text)
            self.text += data.decode(errors="replace")
        return re.search(pattern, self.text, re.M)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        self.text += self.process.communicate(timeout=150)[0].decode(errors="replace")
        return self.process.returncode


def left_over(home):
    """Processes that name this home in their arguments: the test's daemons and guests."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read()
        except OSError:
            continue
        if home.encode() in line and int(pid) != os.getpid():
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture
def home():
    """Short: it holds sockets, whose paths are bounded."""
    path = tempfile.mkdtemp(prefix="serai-run-")
    yield path
    shutil.rmtree(path)


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJtest me@test"


def ask_until(command, good, limit=120):
    """A command's output, once it is as wanted."""
    end = time.monotonic() + limit
    while True:
        p = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if p.returncode == 0 and good(p.stdout):
            return p.stdout
        assert time.monotonic() < end, (command, p.stdout)
        time.sleep(1)


def check_guest(call):
    """With nothing installed by hand: it tells its address, and has the name and the key that it was installed with."""
    uuid = ask_until(call + " vm-list name-label=demo params=uuid --minimal", str.strip).strip()
    value = call + " vm-param-get uuid=" + uuid + " param-name="
    networks = ask_until(value + "networks", lambda text: "0/ip:" in text)
    assert re.search(r"\b0/ip: 10\.0\.2\.15\b", networks), networks
    assert "demo" in ask_until(value + "other", lambda text: "data-ts-hostname" in text)
    disks = ask_until(value + "disks", lambda text: "/mount: /" in text)
    assert "ext4" in disks, disks
    assert "total:" in ask_until(value + "memory", lambda text: "free:" in text)
    command = (call + " vm-call-plugin vm-uuid=" + uuid + " plugin=guest-agent-operation fn=exec "
               "args:path=/bin/cat args:arg0=/home/debian/.ssh/authorized_keys args:arg1=/etc/hostname")
    text = ask_until(command, lambda text: "exitcode" in text)
    assert json.loads(text) == {"exitcode": 0, "stdout": KEY + "\ndemo\n", "stderr": ""}


def test_run_brings_a_guest_up_and_ends_cleanly(debian, home):
    os.mkdir(home + "/.ssh", 0o700)
    with open(home + "/.ssh/id_ed25519.pub", "w", encoding="ascii") as f:
        f.write(KEY + "\n")
    with Run(home) as r:
        r.expect(r"^Serai is up\.$", 500)
        r.expect(r"^Ctrl-C shuts", 10)
        assert re.search(r"^accelerator: \S", r.text, re.M)
        url = re.search(r"API +(https://\S+), user root, password in (\S+)$", r.text, re.M)
        assert url and os.stat(url.group(2)).st_mode & 0o777 == 0o600
        commands = re.findall(r"^  (\S*serai .*)$", r.text, re.M)
        assert len(commands) == 3
        listed = subprocess.run(commands[0], shell=True, stdout=subprocess.PIPE, text=True, check=True).stdout
        assert "demo" in listed and "running" in listed
        check_guest(commands[0].strip().rsplit(" vm-list", 1)[0])
        assert left_over(home)
        assert r.interrupt() == 0, r.text
    assert not left_over(home)

    # The second run goes on with the same VM, without an import.
    with Run(home) as r:
        r.expect(r"^\"demo\" is starting", 120)
        assert "importing" not in r.text and "installing" not in r.text
        # Ctrl-C before the guest can hear the power button, and again.
        r.process.send_signal(signal.SIGINT)
        r.expect(r"^shutting down", 60)
        assert r.interrupt() == 0, r.text
    assert not left_over(home)
