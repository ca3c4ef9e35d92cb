# SPDX-License-Identifier: Apache-2.0
"""Disks: what the guest writes is what the host, a copy and a client read; what does not fit leaves nothing behind."""
import os
import signal
import threading
import time
import zlib

import pytest

import guests
import wire
from guests import MIB, content, disk_file, new_vdi, pattern

NULL = "OpaqueRef:NULL"


@pytest.fixture(scope="module")
def sr(api):
    return api.call("pool.get_default_SR", api.pool())


@pytest.fixture(scope="module")
def library(api):
    return next(r for r, v in api.call("SR.get_all_records").items() if v["content_type"] == "iso")


def copy(api, vdi, sr):
    return api.call("VDI.copy", vdi, sr, NULL, NULL)


def crc(data):
    return r"^SUM %08x\r$" % zlib.crc32(data)


def put(daemon, api, data, length=None, **query):
    """Import raw bytes; the task's record."""
    task = api.call("task.create", "import", "")
    path = "/import_raw_vdi?" + "&".join("%s=%s" % i for i in dict(query, session_id=api.session, task_id=task).items())
    with daemon.connect() as raw:
        raw.send("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, length or len(data)))
        raw.head()
        try:
            raw.send(data)
        except OSError:
            pass  # refused before it was all there
        return api.wait_task(task)


def get(daemon, api, vdi):
    with daemon.connect() as raw:
        answer = raw.request("GET", "/export_raw_vdi?vdi=%s&format=raw&session_id=%s" % (vdi, api.session))
        assert answer.status == 200
        return answer.body


def test_what_the_guest_writes(daemon, api, vm, sr, library):
    """One guest with two disks and a CD: its bytes reach the files, those of a client and of a library reach it."""
    (daemon.state / "iso" / "hello world.iso").write_bytes(pattern(77) * 2)
    (daemon.state / "iso" / "not an image.txt").write_text("no")
    api.call("SR.scan", library)
    names = {r["name_label"]: ref for ref, r in api.call("VDI.get_all_records").items() if r["SR"] == library}
    assert list(names) == ["hello world.iso"]
    iso = api.call("VDI.get_record", names["hello world.iso"])
    assert iso["read_only"] and int(iso["virtual_size"]) == 2 * MIB

    one, one_vbd = vm.add_disk(userdevice="0")
    two, _ = vm.add_disk(userdevice="1")
    drive = vm.add_vbd(NULL, userdevice="2", type="CD", mode="RO", empty=True)
    assert put(daemon, api, pattern(5) + bytes(7 * MIB), vdi=two)["status"] == "success"
    api.call("VBD.insert", drive, names["hello world.iso"])
    assert not api.call("VBD.get_empty", drive)
    with pytest.raises(wire.ApiError) as caught:
        api.call("VBD.insert", drive, names["hello world.iso"])
    assert caught.value.code == "VBD_NOT_EMPTY"

    line = vm.start_up()
    line.ask("sum vda", crc(bytes(MIB)))
    line.ask("sum vdb", crc(pattern(5)))
    line.ask("write 42 vda", r"^WROTE 42\r$")
    assert content(daemon, api, one, MIB) == pattern(42)
    line.ask("write 43 vdb", r"^WROTE 43\r$")
    assert content(daemon, api, two, MIB) == pattern(43)
    line.ask("sh cat /sys/block/vda/serial; echo", "^%s" % api.call("VDI.get_uuid", one).replace("-", "")[:20])
    for call, params in (("VDI.destroy", (one,)), ("VDI.copy", (one, sr, NULL, NULL))):
        error = api.fails(call, *params)
        assert (error.code, error.params[0]) == ("VDI_IN_USE", one), call
    task = put(daemon, api, bytes(MIB), vdi=one)
    assert task["status"] == "failure" and task["error_info"][0] == "VDI_IN_USE"
    assert content(daemon, api, one, MIB) == pattern(42)
    vm.call("hard_shutdown")

    # What was written is what the disk holds from now on, in a copy and in a clone as well.
    made = [copy(api, one, sr), api.call("VDI.clone", one, {})]
    clone = api.call("VM.clone", vm.ref, "the clone")
    for vbd in api.call("VM.get_VBDs", clone):
        if api.call("VBD.get_userdevice", vbd) == "0":
            made.append(api.call("VBD.get_VDI", vbd))
        elif api.call("VBD.get_type", vbd) == "CD":
            assert api.call("VBD.get_VDI", vbd) == names["hello world.iso"]
        else:
            vm.disks.append(api.call("VBD.get_VDI", vbd))
    assert len(made) == 3 and len(set(made + [one])) == 4
    for vdi in made:
        assert content(daemon, api, vdi) == content(daemon, api, one)
        assert api.call("VDI.get_virtual_size", vdi) == api.call("VDI.get_virtual_size", one)
    api.call("VM.destroy", clone)
    api.call("VDI.resize", one, 16 * MIB)
    for vdi in made:
        api.call("VDI.destroy", vdi)
    api.call("VBD.eject", drive)
    assert api.call("VBD.get_empty", drive) and api.call("VBD.get_VDI", drive) == NULL

    # A larger disk, the other one gone: the guest sees both.
    api.call("VDI.destroy", two)
    vm.disks.remove(two)
    assert one_vbd in vm.get("VBDs") and len(vm.get("VBDs")) == 2
    line = vm.start_up()
    line.ask("sh cat /sys/block/vda/size; ls /sys/block", r"^%d\r$" % (16 * MIB // 512))
    line.ask("sum vda", crc(pattern(42)))
    assert b"vdb" not in line.text


def test_there_and_back(daemon, api, sr):
    data = os.urandom(MIB) + bytes(2 * MIB) + os.urandom(MIB)
    vdi = new_vdi(api, sr, 4 * MIB)
    assert put(daemon, api, data, vdi=vdi)["status"] == "success"
    assert get(daemon, api, vdi) == data
    assert content(daemon, api, vdi) == data
    assert disk_file(daemon, api, vdi).stat().st_blocks * 512 < 3 * MIB  # holes stay
    twin = copy(api, vdi, sr)
    assert get(daemon, api, twin) == data and disk_file(daemon, api, twin).stat().st_blocks * 512 < 3 * MIB
    error = api.fails("VDI.resize", vdi, 2 * MIB)
    assert error.code == "VDI_TOO_SMALL" and error.params[0] == vdi
    api.call("VDI.resize", vdi, 6 * MIB)
    assert get(daemon, api, vdi) == data + bytes(2 * MIB)
    assert int(api.call("VDI.get_virtual_size", vdi)) == 6 * MIB
    for v in (vdi, twin):
        api.call("VDI.destroy", v)
        assert api.fails("VDI.get_uuid", v).code == "HANDLE_INVALID"
    guests.check_whole(daemon, api)


def test_scan_finds_what_is_there(daemon, api, sr, library):
    folder = daemon.state / "iso"
    (folder / "a.iso").write_bytes(bytes(4096))
    api.call("SR.scan", library)
    vdi = api.call("VDI.get_by_name_label", "a.iso")[0]
    (folder / "a.iso").write_bytes(bytes(8192))
    api.call("SR.scan", library)
    assert api.call("VDI.get_by_name_label", "a.iso") == [vdi]
    assert int(api.call("VDI.get_virtual_size", vdi)) == 8192
    (folder / "a.iso").unlink()
    api.call("SR.scan", library)
    assert api.call("VDI.get_by_name_label", "a.iso") == []
    # A volume that vanishes is shown as missing, and comes back.
    vdi = new_vdi(api, sr)
    path = disk_file(daemon, api, vdi)
    path.rename(path.with_suffix(".away"))
    api.call("SR.scan", sr)
    assert api.call("VDI.get_missing", vdi)
    path.with_suffix(".away").rename(path)
    api.call("SR.scan", sr)
    assert not api.call("VDI.get_missing", vdi)
    api.call("VDI.destroy", vdi)
    guests.check_whole(daemon, api)


def test_scan_beside_changes(daemon, api, sr):
    """A scan never invents a disk of a volume that is being removed, nor loses one that is being made."""
    stop, wrong = threading.Event(), []

    def scan():
        with daemon.api() as client:
            while not stop.is_set():
                client.call("SR.scan", sr)

    def change():
        with daemon.api() as client:
            for _ in range(100):
                vdi = new_vdi(client, sr)
                if client.call("VDI.get_missing", vdi):
                    wrong.append("made, and missing")
                client.call("VDI.destroy", vdi)

    threads = [threading.Thread(target=scan)] + [threading.Thread(target=change) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads[1:]:
        t.join()
    stop.set()
    threads[0].join()
    left = [r for r, v in api.call("VDI.get_all_records").items() if v["SR"] == sr]
    for vdi in left:
        api.call("VDI.destroy", vdi)
    assert not wrong and left == []


def test_a_full_repository(directory, kernels):
    daemon = guests.Daemon(directory, kernels)
    small = daemon.dir / "small"
    small.mkdir()
    daemon.small = (small, 64 * MIB)
    for daemon in guests.with_daemon(daemon):
        with daemon.api() as api:
            full_repository(daemon, api, small)


def full_repository(daemon, api, folder):
    host = api.call("host.get_all")[0]
    location = str(folder / "disks")
    sr = api.call("SR.create", host, {"location": location}, "0", "small", "", "file", "user", False, {})
    api.call("SR.update", sr)
    size = int(api.call("SR.get_physical_size", sr))
    assert 60 * MIB < size <= 64 * MIB

    def volumes():
        return sorted(p.name for p in daemon.inside(location).iterdir())

    def state():
        return [sorted(api.call(c + ".get_all")) for c in ("VM", "VBD", "VDI", "VM_metrics")] + [volumes()]

    big = new_vdi(api, sr, 44 * MIB)
    assert put(daemon, api, os.urandom(44 * MIB), vdi=big)["status"] == "success"
    vm = guests.Guest(daemon, api, "big", kernel="null", memory=16 * MIB)
    vm.add_vbd(big)
    before = state()
    for call, params in (("VDI.copy", (big, sr, NULL, NULL)), ("VM.copy", (vm.ref, "another", NULL))):
        error = api.fails(call, *params)
        assert error.code == "SR_FULL", call
        requested, free = map(int, error.params)
        assert requested > free and state() == before, call
    task = put(daemon, api, os.urandom(32 * MIB), sr_id=sr)
    assert task["status"] == "failure" and task["error_info"][0] == "SR_FULL", task["error_info"]
    assert state() == before
    # There is room again after a disk went.
    vm.remove()
    assert volumes() == []
    vdi = new_vdi(api, sr, 32 * MIB)
    assert put(daemon, api, os.urandom(32 * MIB), vdi=vdi)["status"] == "success"
    api.call("SR.update", sr)
    assert int(api.call("SR.get_physical_utilisation", sr)) >= 32 * MIB
    api.call("VDI.destroy", vdi)
    under_a_guest(daemon, api, sr, daemon.inside(location) / "filler")


def under_a_guest(daemon, api, sr, filler):
    """No room for what it writes: it waits, people are told, and it goes on when there is room. Then it is slowed down."""
    vm = guests.Guest(daemon, api, "writer")
    vdi = new_vdi(api, sr, 48 * MIB)
    vbd = vm.add_vbd(vdi, userdevice="0")

    def told():
        return [m["name"] for m in api.call("message.get_all_records").values() if m["name"].startswith("DISK_") and m["obj_uuid"] == vm.uuid]

    line = vm.start_up()
    with open(filler, "wb", buffering=0) as f, pytest.raises(OSError):
        while True:
            f.write(bytes(MIB))
    line.send("sh dd if=/dev/zero of=/dev/vda bs=1M count=40 conv=fsync 2>/dev/null && echo ALL WRITTEN")
    guests.until("the guest to wait", lambda: api.call("VBD.get_status_code", vbd) == 28)
    assert "is full" in api.call("VBD.get_status_detail", vbd) and vm.state() == "Running"
    assert told() == ["DISK_STOPPED"]
    [process] = daemon.disk_processes()
    os.kill(process, signal.SIGKILL)  # the next one finds the same
    guests.until("another one", lambda: [p for p in daemon.disk_processes() if p != process])
    guests.until("it to wait again", lambda: told().count("DISK_STOPPED") == 2 and api.call("VBD.get_status_code", vbd) == 28)
    filler.unlink()
    line.expect(r"ALL WRITTEN\r$")
    guests.until("it to be told", lambda: api.call("VBD.get_status_code", vbd) == 0)
    assert api.call("VBD.get_status_detail", vbd) == "" and told().count("DISK_RESUMED") == 2

    assert api.call("VBD.get_qos_supported_algorithms", vbd) == ["ratelimit"]
    error = api.fails("VBD.set_qos_algorithm_params", vbd, {"iops": "fast"})
    assert (error.code, error.params) == ("INVALID_VALUE", ["qos_algorithm_params:iops", "fast"])
    error = api.fails("VBD.add_to_other_config", vbd, "on-eio", "panic")
    assert (error.code, error.params) == ("INVALID_VALUE", ["other_config:on-eio", "panic"])
    api.call("VBD.add_to_other_config", vbd, "on-eio", "stop")
    api.call("VBD.set_qos_algorithm_type", vbd, "ratelimit")
    api.call("VBD.set_qos_algorithm_params", vbd, {"iops": "20"})
    begin = time.monotonic()
    line.ask("sh dd if=/dev/vda of=/dev/null bs=4k count=40 iflag=direct 2>/dev/null; echo SLOWLY", r"SLOWLY\r$")
    assert time.monotonic() - begin > 1.5
    api.call("VBD.set_qos_algorithm_params", vbd, {"kbps": "1024"})
    [process] = daemon.disk_processes()
    os.kill(process, signal.SIGKILL)  # it holds for the next one
    begin = time.monotonic()
    line.ask("sh dd if=/dev/vda of=/dev/null bs=128k count=16 iflag=direct 2>/dev/null; echo SLOWLY", r"SLOWLY\r$")
    assert time.monotonic() - begin > 1.5
    vm.remove()


def introduce(api, sr, uuid, location, **fields):
    f = {"name_label": "back", "name_description": "again", "type": "user", "other_config": {"a": "b"}, **fields}
    return api.call("VDI.introduce", uuid, f["name_label"], f["name_description"], sr, f["type"], False, False, f["other_config"],
                    location, {}, {})


def test_introduced(daemon, api, sr, library):
    """A volume that the database has forgotten is a disk again, once; and what these disks cannot do is said."""
    vdi = new_vdi(api, sr)
    assert put(daemon, api, pattern(3), vdi=vdi)["status"] == "success"
    before = api.call("VDI.get_record", vdi)
    uuid, location = before["uuid"], before["location"]
    for again in (uuid, "00000000-1111-4222-8333-444444444444"):
        with pytest.raises(wire.ApiError) as caught:
            introduce(api, sr, again, location)
        assert caught.value.code == "LOCATION_NOT_UNIQUE"
    api.call("VDI.forget", vdi)
    for where, which, code in ((sr, "no uuid", "UUID_INVALID"), (library, uuid, "SR_OPERATION_NOT_SUPPORTED")):
        with pytest.raises(wire.ApiError) as caught:
            introduce(api, where, which, location)
        assert caught.value.code == code
    for elsewhere in ("../x", "00000000-1111-4222-8333-444444444444"):
        with pytest.raises(wire.ApiError) as caught:
            introduce(api, sr, uuid, elsewhere)
        assert caught.value.code == "VDI_LOCATION_MISSING"
    back = introduce(api, sr, uuid, location)
    after = api.call("VDI.get_record", back)
    assert (after["uuid"], after["location"], after["virtual_size"]) == (uuid, location, before["virtual_size"])
    assert (after["name_label"], after["other_config"], after["managed"]) == ("back", {"a": "b"}, True)
    assert content(daemon, api, back, MIB) == pattern(3)

    assert "set_on_boot" in after["allowed_operations"] and after["on_boot"] == "persist"
    assert api.fails("VDI.set_on_boot", back, "reset").code == "SR_OPERATION_NOT_SUPPORTED"
    api.call("VDI.set_on_boot", back, "persist")
    api.call("VDI.set_allow_caching", back, True)
    assert api.call("VDI.get_allow_caching", back)
    api.call("VDI.destroy", back)
