# SPDX-License-Identifier: Apache-2.0
"""Alarms by other_config:perfmon, with a clock of measurements that runs ahead."""
import re
import time

import pytest

import conftest

# What Xen Orchestra makes of a body.
BODY = re.compile(r'^value:\s*(Infinity|NaN|-Infinity|\d+(?:\.\d+)?)\s*config:\s*<variable>\s*<name value="(.*?)"')


@pytest.fixture(scope="module")
def daemon():
    yield from conftest.with_daemon("--sample-ms", "20")


def config(*settings):
    return "<config><variable>%s</variable></config>" % "".join('<%s value="%s"/>' % s for s in settings)


def messages(api, cls, uuid):
    return list(api.call("message.get", cls, uuid, "19700101T00:00:00Z").values())


def wait_for(api, cls, uuid, name):
    """The first message of that name about an object, by events."""
    token, until = "", time.monotonic() + 60
    while time.monotonic() < until:
        for m in messages(api, cls, uuid):
            if m["name"] == name:
                return m
        token = api.call("event.from", ["message"], token, 20.0)["token"]
    raise AssertionError("no %s about %s" % (name, uuid))


def test_a_host_raises_and_clears(api):
    host = api.call("host.get_all")[0]
    uuid = api.call("host.get_uuid", host)
    vm = api.new_vm("load")
    api.call("host.add_to_other_config", host, "perfmon", config(
        ("name", "vms"), ("alarm_trigger_level", "0.5"), ("rrd_regex", "running_domains"), ("alarm_trigger_period", "10"),
        ("alarm_priority", "2"), ("alarm_auto_inhibit_period", "5")))
    api.call("VM.start", vm, False, False)
    alarm = wait_for(api, "Host", uuid, "ALARM")
    assert alarm["priority"] == 2 and alarm["cls"] == "Host"
    value, name = BODY.match(alarm["body"]).groups()
    assert float(value) > 0.5 and name == "vms"
    assert '\n\t<alarm_trigger_level value="0.5"/>\n' in alarm["body"] and alarm["body"].endswith("</variable>\n")
    api.call("VM.hard_shutdown", vm)
    cleared = wait_for(api, "Host", uuid, "ALARM_CLEARED")
    assert cleared["priority"] == 5 and float(BODY.match(cleared["body"]).group(1)) <= 0.5
    assert alarm["uuid"] not in [m["uuid"] for m in messages(api, "Host", uuid)]
    # Again: a new one.
    api.call("VM.start", vm, False, False)
    again = wait_for(api, "Host", uuid, "ALARM")
    assert again["uuid"] != alarm["uuid"]
    # Nobody watches any more: it does not stand for ever.
    token = api.call("event.from", ["message"], "", 0.0)["token"]
    api.call("host.remove_from_other_config", host, "perfmon")
    gone = []
    while not gone:
        batch = api.call("event.from", ["message"], token, 60.0)
        token = batch["token"]
        gone = [e for e in batch["events"] if e["operation"] == "del"]
    assert "ALARM" not in [m["name"] for m in messages(api, "Host", uuid)]
    api.call("VM.hard_shutdown", vm)


def test_vms_and_repositories(api):
    vm = api.new_vm("watched")
    vm_uuid = api.call("VM.get_uuid", vm)
    api.call("VM.add_to_other_config", vm, "perfmon", config(
        ("name", "memory"), ("alarm_trigger_level", "1"), ("rrd_regex", "memory"), ("alarm_trigger_period", "5"),
        ("consolidation_fn", "max")))
    sr = api.call("pool.get_default_SR", api.pool())
    sr_uuid = api.call("SR.get_uuid", sr)
    api.call("SR.add_to_other_config", sr, "perfmon", config(
        ("name", "room"), ("rrd_regex", "physical_size"), ("alarm_trigger_level", "-1"), ("alarm_trigger_period", "5")))
    assert wait_for(api, "SR", sr_uuid, "ALARM")["cls"] == "SR"
    assert not messages(api, "VM", vm_uuid), "it does not run"
    api.call("VM.start", vm, False, False)
    alarm = wait_for(api, "VM", vm_uuid, "ALARM")
    assert alarm["priority"] == 3 and float(BODY.match(alarm["body"]).group(1)) == api.call("VM.get_memory_static_max", vm)
    # Both end: what is watched is below its level from now on.
    for cls, ref, uuid, level in (("VM", vm, vm_uuid, "1"), ("SR", sr, sr_uuid, "-1")):
        other = api.call(cls + ".get_other_config", ref)
        high = other["perfmon"].replace('<alarm_trigger_level value="%s"/>' % level, '<alarm_trigger_level value="1e18"/>')
        assert high != other["perfmon"]
        api.call(cls + ".set_other_config", ref, dict(other, perfmon=high))  # in one step: without it an alarm just goes
        cleared = wait_for(api, cls, uuid, "ALARM_CLEARED")
        assert (cleared["priority"], cleared["cls"]) == (5, cls)
        assert "ALARM" not in [m["name"] for m in messages(api, cls, uuid)]
        api.call(cls + ".remove_from_other_config", ref, "perfmon")
    api.call("VM.hard_shutdown", vm)


def test_what_cannot_be_used_is_said(daemon, api):
    vm = api.new_vm("odd")
    uuid = api.call("VM.get_uuid", vm)
    api.call("VM.add_to_other_config", vm, "perfmon", "<config><variable>")
    until = time.monotonic() + 60
    while "perfmon of VM %s: " % uuid not in daemon.log_text():
        assert time.monotonic() < until
        api.call("event.from", ["host_metrics"], "", 0.1)
    api.call("VM.destroy", vm)


def test_a_restart_knows_what_stands(directory):
    daemon = conftest.Daemon(directory, "--sample-ms", "20").start()
    with daemon.api() as api:
        host = api.call("host.get_all")[0]
        uuid = api.call("host.get_uuid", host)
        api.call("host.add_to_other_config", host, "perfmon", config(
            ("name", "vms"), ("alarm_trigger_level", "-1"), ("rrd_regex", "running_domains"), ("alarm_trigger_period", "5")))
        alarm = wait_for(api, "Host", uuid, "ALARM")
    daemon.stop(9)
    daemon.start()
    with daemon.api() as api:
        wish = api.call("host.get_other_config", host)["perfmon"].replace('"-1"', '"1"')
        api.call("host.remove_from_other_config", host, "perfmon")
        api.call("host.add_to_other_config", host, "perfmon", wish)
        kept = [m["uuid"] for m in messages(api, "Host", uuid) if m["name"] == "ALARM"]
        assert kept in ([alarm["uuid"]], []), "not raised a second time"
        until = time.monotonic() + 60
        token = ""
        while any(m["name"] == "ALARM" for m in messages(api, "Host", uuid)):
            assert time.monotonic() < until
            token = api.call("event.from", ["message"], token, 20.0)["token"]
    assert daemon.stop()[0] == 0
