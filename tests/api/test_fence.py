# SPDX-License-Identifier: Apache-2.0
"""Debian's fence_xenapi as it comes: a cluster that switches its members off and on."""
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

import conftest

AGENT = shutil.which("fence_xenapi", path="/usr/sbin:/usr/bin")


@pytest.fixture
def vm(api):
    ref = api.new_vm("member")
    yield ref
    if api.call("VM.get_power_state", ref) != "Halted":
        api.call("VM.hard_shutdown", ref)
    api.call("VM.destroy", ref)


@pytest.fixture
def fence(daemon):
    def run(action, *options, password=conftest.PASSWORD):
        done = subprocess.run([AGENT, "--action", action, "--session-url", "http://%s:%d" % daemon.host_port(), "--username",
                               "root", "--password", password, "--power-wait", "0", *options],
                              check=False, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr
    return run


def test_it_is_there():
    """The package fence-agents of tools/packages."""
    assert AGENT
    done = subprocess.run([AGENT, "--action", "metadata"], check=True, capture_output=True, text=True, timeout=120)
    assert xml.etree.ElementTree.fromstring(done.stdout).get("name") == "fence_xenapi"


def test_off_and_on(api, fence, vm):
    uuid = api.call("VM.get_uuid", vm)

    def state():
        return api.call("VM.get_power_state", vm)

    assert fence("status", "--plug", "member") == (2, "Status: OFF\n")
    code, text = fence("on", "--plug", "member")
    assert (code, state()) == (0, "Running"), text
    assert fence("status", "--plug", "member") == (0, "Status: ON\n")
    code, text = fence("off", "--plug", "member")
    assert (code, state()) == (0, "Halted"), text
    code, text = fence("list")
    assert code == 0 and any(line.startswith(uuid) and "member" in line for line in text.splitlines()), text


def test_what_must_fail_fails(api, fence, vm):
    assert fence("off", "--plug", "nobody")[0] != 0
    assert fence("off", "--plug", "member", password="wrong")[0] != 0
    assert api.call("VM.get_power_state", vm) == "Halted"
