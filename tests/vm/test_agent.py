# SPDX-License-Identifier: Apache-2.0
"""What the agent of a guest reports, how it is asked to power off, and one that says nonsense. The agent is a script in the
tiny guest; the real one is in the Debian guest's test."""
import json

import pytest

import guests
import wire

# Speaks on the agent's port as qemu-guest-agent does: the id of a synchronisation comes back after a byte of 255; while
# nobody is on the other side, reading says that it is the end.
AGENT = r"""
exec 3<>/dev/$(ls /dev | grep vport)
while :; do
read -r l <&3 || { sleep 0.1; continue; }
case "$l" in
*sync-delimited*) i=${l##*:}; printf '\377{"return":%s}\n' "${i%%\}*}" >&3;;
*guest-info*) echo '{"return":{"version":"7.2.22"}}' >&3;;
*osinfo*) echo '{"return":{"pretty-name":"Tiny 3","id":"tiny","version-id":"3.1"}}' >&3;;
*host-name*) echo '{"return":{"host-name":"little"}}' >&3;;
*interfaces*) echo '{"return":[{"hardware-address":"'$(cat /sys/class/net/eth0/address)'","ip-addresses":[{"ip-address":"10.1.2.3"},{"ip-address":"fd00::1"}]}]}' >&3;;
*fsinfo*) echo '{"return":[{"mountpoint":"/","type":"ext4","total-bytes":1000,"used-bytes":400},{"mountpoint":"/proc","type":"proc"}]}' >&3;;
*exec-status*) echo '{"return":{"exited":true,"exitcode":3,"out-data":"aGkK","err-data":"/w=="}}' >&3;;
*guest-exec*) echo "EXEC $l" >/dev/ttyS0; echo '{"return":{"pid":7}}' >&3;;
*fsfreeze-freeze*) echo FROZEN >/dev/ttyS0; if [ -e /refuse ]; then echo '{"error":{"class":"GenericError","desc":"no"}}' >&3; else echo '{"return":1}' >&3; fi;;
*fsfreeze-thaw*) echo THAWED >/dev/ttyS0; echo '{"return":1}' >&3;;
*guest-ping*) echo '{"return":{}}' >&3;;
*guest-shutdown*) echo AGENT OFF >/dev/ttyS0; busybox poweroff -f;;
esac
done
"""
HOSTILE = r"""
exec 3<>/dev/$(ls /dev | grep vport)
while :; do
read -r l <&3 || { sleep 0.1; continue; }
i=${l##*:}; printf '\377{"return":%s}\n' "${i%%\}*}" >&3
busybox yes '{"return":{"version":{"a":[' | busybox head -c 300000 >&3
done
"""


def install(line, script):
    """Lines of the guest's console are short: the script goes over it in pieces."""
    for text in script.strip().splitlines():
        quoted = text.replace("'", "'\\''")
        line.ask("sh echo '%s' >>/agent" % quoted, r"^SH 0\r$")
    line.ask("sh sh /agent >/dev/null 2>&1 &", r"^SH 0\r$")


def metrics(api, vm):
    ref = vm.get("guest_metrics")
    return None if ref == "OpaqueRef:NULL" else api.call("VM_guest_metrics.get_record", ref)


def plugins(api, vm, line):
    """What a client may have done inside: by whom, how often, and what comes back."""
    def call(fn, client=api, plugin="guest-agent-operation", **args):
        return client.call("VM.call_plugin", vm.ref, plugin, fn, args)

    def refused(*args, **kwargs):
        with pytest.raises(wire.ApiError) as caught:
            call(*args, **kwargs)
        return caught.value.code

    assert call("ping") == "pong"
    error = api.fails("VM.call_plugin", vm.ref, "guest-agent-operation", "ping", {})
    assert error.code == "VM_CALL_PLUGIN_RATE_LIMIT" and error.params[:2] == [vm.ref, "1.0"]
    assert 0 < float(error.params[2]) <= 1
    assert refused("ping", plugin="other") == "XENAPI_MISSING_PLUGIN"
    assert refused("nothing") == "XENAPI_PLUGIN_FAILURE"

    def when_allowed(**args):
        try:
            return call("exec", **args)
        except wire.ApiError as e:
            assert e.code == "VM_CALL_PLUGIN_RATE_LIMIT", e
            return None

    text = guests.until("its turn", lambda: when_allowed(path="/bin/x", arg0="a b", arg1='"'))
    assert json.loads(text) == {"exitcode": 3, "stdout": "hi\n", "stderr": "?"}
    line.expect(r'^EXEC .*"path":"/bin/x","arg":\["a b","\\""\],"capture-output":true')
    assert guests.until("its turn", lambda: refused("exec") != "VM_CALL_PLUGIN_RATE_LIMIT")
    assert refused("exec", path="/x", timeout="0") in ("INVALID_VALUE", "VM_CALL_PLUGIN_RATE_LIMIT")


def rests(api, vm, line):
    """For a snapshot with quiesce: it goes on again, also when it refuses."""
    snap = vm.call("snapshot_with_quiesce", "at rest")
    line.expect(r"^FROZEN\r$")
    line.expect(r"^THAWED\r$")
    assert api.call("VM.get_snapshot_info", snap)["disk-snapshot-type"] == "quiesced"
    assert not (vm.directory() / "frozen").exists()
    line.ask("sh echo >/refuse", r"^SH 0\r$")
    error = vm.fails("snapshot_with_quiesce", "never")
    assert (error.code, error.params) == ("VM_SNAPSHOT_WITH_QUIESCE_FAILED", [vm.ref])
    line.expect(r"^FROZEN\r$")
    line.expect(r"^THAWED\r$")
    assert vm.get("snapshots") == [snap] and not (vm.directory() / "frozen").exists()
    [disk] = [api.call("VBD.get_VDI", b) for b in api.call("VM.get_VBDs", snap)]
    api.call("VM.destroy", snap)
    api.call("VDI.destroy", disk)


def test_a_guest_reports_itself(api, vm):
    vm.add_vif()
    vm.add_disk()
    line = vm.start_up()
    assert metrics(api, vm) is None
    install(line, AGENT)
    record = guests.until("a report", lambda: metrics(api, vm))
    assert record["os_version"] == {"name": "Tiny 3", "distro": "tiny", "major": "3", "minor": "1"}
    assert record["networks"] == {"0/ip": "10.1.2.3", "0/ipv4/0": "10.1.2.3", "0/ipv6/0": "fd00::1"}
    assert record["PV_drivers_version"] == {"major": "7", "minor": "2", "micro": "22", "build": "-1"}
    assert record["PV_drivers_detected"] and record["live"] and record["other"]["data-ts-hostname"] == "little"
    assert record["disks"] == {"0/mount": "/", "0/type": "ext4", "0/size": "1000", "0/free": "600"}
    plugins(api, vm, line)
    rests(api, vm, line)
    vm.call("clean_shutdown")
    line.expect(r"^AGENT OFF\r$")
    assert vm.state() == "Halted" and metrics(api, vm) is None


def test_a_hostile_guest_harms_nobody(daemon, api, vm):
    line = vm.start_up()
    install(line, HOSTILE)
    other = guests.Guest(daemon, api, "beside it")
    other.add_vif()
    try:
        install(other.start_up(), AGENT)
        guests.until("a report of the other", lambda: metrics(api, other))
        assert metrics(api, vm) is None
        assert vm.fails("snapshot_with_quiesce", "of nobody").code == "VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED"
        assert vm.state() == "Running"
    finally:
        other.remove()
