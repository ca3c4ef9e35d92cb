# SPDX-License-Identifier: Apache-2.0
"""VMs with their disks as XVA archives: there and back, packed and not, by others' tools, and broken ones."""
import gzip
import hashlib
import io
import random
import re
import signal
import subprocess
import tarfile
import threading
import time

import pytest

from conftest import Daemon, check_log
from test_disk_formats import (MIB, archive, content, entry, failed, get as get_disk, good, new_disk, send as send_disk,
                               storage)
from test_transfer import new_task, put, url

SIZE = 3 * MIB + 2 * MIB


@pytest.fixture(scope="module")
def machine(daemon, api):
    """A VM with two disks, an empty drive and a NIC, and what its disks hold."""
    vm = api.new_vm("exported")
    net = next(iter(api.call("network.get_all")))
    disks = {}
    for i, data in enumerate([content(21, SIZE), content(22, SIZE, holes=False)]):
        vdi = new_disk(api, SIZE)
        good(send_disk(daemon, api, vdi, "raw", data))
        new_vbd(api, vm, vdi, str(i))
        disks[str(i)] = api_bytes(daemon, api, vdi)
        assert disks[str(i)][:SIZE] == data
    new_vbd(api, vm, None, "3")
    api.call("VIF.create", {"VM": vm, "network": net, "device": "0", "MAC": "02:11:22:33:44:55", "MTU": 1500,
                            "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    return vm, disks


def new_vbd(api, vm, vdi, where):
    return api.call("VBD.create", {"VM": vm, "VDI": vdi or "OpaqueRef:NULL", "userdevice": where, "bootable": False,
                                   "mode": "RW" if vdi else "RO", "type": "Disk" if vdi else "CD", "empty": not vdi,
                                   "unpluggable": True, "other_config": {}, "qos_algorithm_type": "",
                                   "qos_algorithm_params": {}})


def api_bytes(daemon, api, vdi):
    return get_disk(daemon, api, vdi, "raw")


def export(daemon, api, vm, **query):
    task = new_task(api)
    with daemon.connect() as raw:
        answer = raw.request("GET", url(api, "/export/", ref=vm, task_id=task, **query))
        assert answer.status == 200, answer.body
        good(api.wait_task(task))
        assert api.call("VM.get_current_operations", vm) == {}
        return answer.body


def send(daemon, api, data, length=None, **query):
    task = new_task(api)
    with daemon.connect() as raw:
        assert put(raw, url(api, "/import/", task_id=task, **query), length or len(data))[0] == 200
        try:
            raw.send(data)
        except OSError:
            pass
        if length and length < 1 << 50:
            raw.close()
        return api.wait_task(task)


def refs(record):
    good(record)
    return re.findall(r"OpaqueRef:[0-9a-f-]{36}", record["result"])


def disks_of(daemon, api, vm):
    out = {}
    for ref in api.call("VM.get_VBDs", vm):
        vbd = api.call("VBD.get_record", ref)
        if vbd["type"] == "Disk":
            out[vbd["userdevice"]] = api_bytes(daemon, api, vbd["VDI"])
    return out


def destroy(api, vm):
    for snapshot in api.call("VM.get_snapshots", vm):
        destroy(api, snapshot)
    vdis = [api.call("VBD.get_VDI", v) for v in api.call("VM.get_VBDs", vm)]
    api.call("VM.destroy", vm)
    for vdi in vdis:
        if vdi != "OpaqueRef:NULL":
            api.call("VDI.destroy", vdi)


def everything(api):
    return {c: sorted(api.call(c + ".get_all")) for c in ("VM", "VDI", "VBD", "VIF", "network", "VM_metrics")}


def volumes(daemon):
    return sorted(p.name for p in daemon.state.rglob("*.vhd")) + sorted(p.name for p in daemon.state.glob("pending/*"))


def nothing_new(daemon, files):
    """No file of a disk and no intent that was not there: the collector may have taken some meanwhile, and be at it."""
    until = time.monotonic() + 60
    while not set(volumes(daemon)) <= set(files):
        assert time.monotonic() < until, sorted(set(volumes(daemon)) - set(files))
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("packing", ["", "true", "zstd"])
def test_there_and_back(daemon, api, machine, packing):
    vm, disks = machine
    before = everything(api)
    data = export(daemon, api, vm, **({"use_compression": packing} if packing else {}))
    assert data[:2] == (b"\x1f\x8b" if packing == "true" else b"\x28\xb5" if packing else b"ov")
    # The last two as clients send that do not know the length: the archive's end ends it.
    made = refs(send(daemon, api, data, length=1 << 50 if packing else None, sr_id=storage(api)))
    assert len(made) == 1 and disks_of(daemon, api, made[0]) == disks
    was, is_ = api.call("VM.get_record", vm), api.call("VM.get_record", made[0])
    assert is_["name_label"] == was["name_label"] and is_["uuid"] != was["uuid"]
    assert is_["power_state"] == "Halted" and len(is_["VBDs"]) == 3 and len(is_["VIFs"]) == 1
    assert api.call("VIF.get_MAC", is_["VIFs"][0]) != "02:11:22:33:44:55"
    destroy(api, made[0])
    assert everything(api) == before


def test_other_tools(daemon, api, machine, tmp_path):
    vm, disks = machine
    (tmp_path / "v.xva").write_bytes(export(daemon, api, vm, checksum="sha1"))  # the one that it knows
    names = tarfile.open(tmp_path / "v.xva").getnames()
    assert names[0] == "ova.xml"
    with tarfile.open(tmp_path / "v.xva") as tar:
        tar.extractall(tmp_path / "x")
    for d, ref in enumerate(sorted({n.split("/")[0] for n in names[1:]}, key=lambda r: names.index(r + "/00000000"))):
        subprocess.run(["xva-img", "-p", "disk-export", tmp_path / "x" / ref, tmp_path / ("raw%d" % d)], check=True,
                       capture_output=True)
        assert (tmp_path / ("raw%d" % d)).read_bytes() in disks.values()


def test_restore_keeps_identity(daemon, api, machine):
    vm, disks = machine
    data = export(daemon, api, vm)
    assert failed(send(daemon, api, data, restore="true"), "DUPLICATE_VM")[1] == vm
    clone = api.call("VM.clone", vm, "goes away")
    uuid, mac = api.call("VM.get_uuid", clone), api.call("VIF.get_MAC", api.call("VM.get_VIFs", clone)[0])
    data = export(daemon, api, clone)
    destroy(api, clone)
    made = refs(send(daemon, api, data, restore="true"))[0]
    assert api.call("VM.get_uuid", made) == uuid and disks_of(daemon, api, made) == disks
    assert api.call("VIF.get_MAC", api.call("VM.get_VIFs", made)[0]) == mac
    destroy(api, made)


def test_snapshots(daemon, api, machine):
    vm, disks = machine
    source = api.call("VM.clone", vm, "with a past")
    snapshot = api.call("VM.snapshot", source, "then")
    vdi = next(api.call("VBD.get_VDI", v) for v in api.call("VM.get_VBDs", source)
               if api.call("VBD.get_userdevice", v) == "0")
    now = content(23, SIZE).ljust(len(disks["0"]), b"\0")
    good(send_disk(daemon, api, vdi, "raw", now))
    made = refs(send(daemon, api, export(daemon, api, source, export_snapshots="true")))
    assert len(made) == 1
    assert disks_of(daemon, api, made[0]) == dict(disks, **{"0": now})
    then = api.call("VM.get_snapshots", made[0])
    assert len(then) == 1 and disks_of(daemon, api, then[0]) == disks
    record = api.call("VM.get_record", then[0])
    assert record["snapshot_of"] == made[0] and record["is_a_snapshot"]
    for ref in record["VBDs"]:
        vbd = api.call("VBD.get_record", ref)
        if vbd["type"] == "Disk":
            of = api.call("VDI.get_snapshot_of", vbd["VDI"])
            assert api.call("VDI.get_is_a_snapshot", vbd["VDI"])
            assert api.call("VBD.get_VM", api.call("VDI.get_VBDs", of)[0]) == made[0]
    # One of them alone is a template.
    alone = refs(send(daemon, api, export(daemon, api, snapshot)))
    for m in (made[0], source):
        destroy(api, m)
    everything_ = api.call("VM.get_all_records")
    for m in alone or [r for r, v in everything_.items() if v["name_label"] == "then"]:
        destroy(api, m)


def entries_of(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [entry(i.name, tar.extractfile(i).read()) for i in tar]


def with_sha1(entries):
    out = []
    for info, data in entries:
        if info.name.endswith(".xxhash"):
            out.append(entry(info.name[:-6] + "checksum", hashlib.sha1(out[-1][1]).hexdigest().encode()))
        else:
            out.append((info, data))
    return out


def test_old_checksums(daemon, api, machine):
    vm, disks = machine
    made = refs(send(daemon, api, gzip.compress(archive(*with_sha1(entries_of(export(daemon, api, vm)))), 1)))
    assert disks_of(daemon, api, made[0]) == disks
    destroy(api, made[0])


def test_nothing_is_left(daemon, api, machine):
    vm, _ = machine
    data = export(daemon, api, vm)
    entries = entries_of(data)
    disk = entries[1][0].name.split("/")[0]
    zst = export(daemon, api, vm, use_compression="zstd")
    before, files = everything(api), volumes(daemon)
    changed = [list(entries) for _ in range(8)]
    changed[0][1] = entry(entries[1][0].name, entries[1][1][:-1] + b"?")
    changed[1][3:3] = [entry("../../tmp/x", b"x")]
    changed[2][1:1] = [entry("Ref:999/00000000", b"x")]
    changed[3][1:1] = [entry(disk + "/00000099", b"x")]
    changed[4] = [e for e in entries if not e[0].name.startswith(disk + "/")]
    changed[5][0] = entry("ova.xml", entries[0][1].replace(b"virtual_size</name><value>%d" % (len(disks_size(entries))),
                                                           b"virtual_size</name><value>%d" % (1 << 50)))
    changed[6][0] = entry("ova.xml", b"<value><struct>")
    changed[7] = entries[1:]
    codes = ["IMPORT_ERROR_SOME_CHECKSUMS_FAILED", "IMPORT_ERROR_UNEXPECTED_FILE", "IMPORT_ERROR_UNEXPECTED_FILE",
             "VDI_TOO_SMALL", "IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND", "VDI_TOO_LARGE", "IMPORT_ERROR",
             "IMPORT_ERROR_UNEXPECTED_FILE"]
    for i, code in enumerate(codes):
        record = send(daemon, api, archive(*changed[i]))
        assert record["status"] == "failure" and record["error_info"][0] == code, (i, record["error_info"])
        assert everything(api) == before and nothing_new(daemon, files), i
    for cut in (0, 300, 2000, len(data) // 3, len(data) - 5 * 512 * 20):
        failed(send(daemon, api, data[:cut], length=len(data)), "IMPORT_ERROR_PREMATURE_EOF")
    failed(send(daemon, api, zst[:len(zst) // 2], length=len(zst)), "IMPORT_ERROR_PREMATURE_EOF")
    r = random.Random(5)
    for _ in range(4):
        broken = bytearray(zst)
        broken[r.randrange(4, len(zst))] ^= 0x55
        assert send(daemon, api, bytes(broken))["status"] == "failure"
    # Two hundred million zeroes in two hundred kilobytes.
    assert send(daemon, api, gzip.compress(bytes(200 << 20), 9))["status"] == "failure"
    task = new_task(api)
    with daemon.connect() as raw:
        put(raw, url(api, "/import", task_id=task), len(data), data[:len(data) // 2])
        api.call("task.cancel", task)
        assert api.wait_task(task)["status"] == "cancelled"
    assert everything(api) == before and nothing_new(daemon, files)
    good(send(daemon, api, data, dry_run="true"))
    assert everything(api) == before and nothing_new(daemon, files)


def disks_size(entries):
    return bytes(int(re.search(rb"virtual_size</name><value>(\d+)", entries[0][1])[1]))


def test_a_reader_that_goes_away_and_two_at_once(daemon, api, machine):
    vm, _ = machine
    with daemon.connect() as raw:
        raw.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % url(api, "/export", ref=vm))
        raw.read(100)
    got = []

    def read():
        with daemon.connect() as raw:
            got.append(raw.request("GET", url(api, "/export", ref=vm)).body)
    threads = [threading.Thread(target=read) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 2 and min(map(len, got)) > MIB
    while api.call("VM.get_current_operations", vm):
        api.call("event.from", ["vm/" + vm], api.call("event.inject", "VM", vm), 1.0)
    assert len(export(daemon, api, vm)) > MIB


def test_who_may(daemon, api, machine):
    vm, _ = machine
    with daemon.connect() as raw:
        assert raw.request("GET", "/export?ref=%s" % vm).status == 401
    with daemon.connect() as raw:
        assert raw.request("PUT", url(api, "/import/")).status == 200  # looks for a redirection
    with daemon.connect() as raw:
        assert raw.request("GET", url(api, "/export", ref="OpaqueRef:00000000-0000-0000-0000-000000000000")).status == 404
    api.call("VM.start", vm, False, False)
    task = new_task(api)
    with daemon.connect() as raw:
        assert raw.request("GET", url(api, "/export", ref=vm, task_id=task)).status == 404
        failed(api.wait_task(task), "VM_BAD_POWER_STATE")
    api.call("VM.hard_shutdown", vm)


def test_killed_in_between(daemon, api, machine, directory):
    """Another daemon dies in the middle of an import: after the next start nothing of it is there."""
    vm, disks = machine
    data = export(daemon, api, vm)
    other = Daemon(directory).start()
    try:
        for part in (0.4, 0.9):
            there = other.api()
            before, files = everything(there), volumes(other)
            raw = other.connect()
            put(raw, url(there, "/import/"), len(data), data[:int(len(data) * part)])
            while everything(there)["VDI"] == before["VDI"]:
                there.call("event.from", ["vdi"], "", 0.1)
            other.stop(signal.SIGKILL)
            raw.close()
            other.start()
            there = other.api()
            assert everything(there) == before and nothing_new(other, files)
        made = refs(send(other, there, data))
        other.stop(signal.SIGKILL)
        other.start()
        assert disks_of(other, other.api(), made[0]) == disks
        check_log(other)
    finally:
        other.stop()


def test_asleep(daemon, api, machine):
    """A suspended VM takes its memory with it, if its power state is to be kept."""
    vm, disks = machine
    api.call("VM.start", vm, False, False)
    api.call("VM.suspend", vm)
    try:
        plain = refs(send(daemon, api, export(daemon, api, vm)))[0]
        assert api.call("VM.get_power_state", plain) == "Halted" and disks_of(daemon, api, plain) == disks
        destroy(api, plain)
        before, files = everything(api), volumes(daemon)
        data = export(daemon, api, vm, preserve_power_state="true")
        made = refs(send(daemon, api, data))[0]
        record = api.call("VM.get_record", made)
        assert record["power_state"] == "Suspended" and disks_of(daemon, api, made) == disks
        memory = api.call("VM.get_suspend_VDI", vm)
        assert record["suspend_VDI"] not in (memory, "OpaqueRef:NULL")
        assert api_bytes(daemon, api, record["suspend_VDI"]) == api_bytes(daemon, api, memory)
        api.call("VM.hard_shutdown", made)
        destroy(api, made)
        assert everything(api) == before and nothing_new(daemon, files)
    finally:
        api.call("VM.hard_shutdown", vm)
