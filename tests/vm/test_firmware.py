# SPDX-License-Identifier: Apache-2.0
"""UEFI: the guest is started by it, with secure boot where that is asked for, and what the firmware keeps is kept."""
import base64
import os
import re
import signal
import struct

import guests
from guests import MIB


def decoded(text):
    """The firmware's variables, as a file."""
    raw = base64.b64decode(text, validate=True)
    magic, _, size = struct.unpack(">4sII", raw[:12])
    assert magic == b"SNV1"
    out, at = bytearray(b"\xff" * size), 12
    while at < len(raw):
        offset, length = struct.unpack(">II", raw[at:at + 8])
        out[offset:offset + length] = raw[at + 8:at + 8 + length]
        at += 8 + length
    return bytes(out)


def starts(text):
    """Grows with each start that began with these variables: the firmware writes a count of its own anew, and old ones stay."""
    return decoded(text).count("MTC\0".encode("utf-16-le"))


def uefi(vm, **platform):
    vm.call("set_memory_limits", *[256 * MIB] * 4)
    vm.call("set_HVM_boot_params", {"firmware": "uefi", "order": "cd"})
    for key, value in platform.items():
        vm.call("add_to_platform", key, value)


def says(line, command, pattern):
    line.send("sh " + command)
    text = line.expect(r"(?s)(.*?)^SH \d+\r$").group(1).decode(errors="replace")
    assert re.search(pattern, text), text


def test_secure_boot_and_its_memory(directory, kernels):
    """Also when the daemon and the machine die together: the daemon that comes has it in the record."""
    for daemon in guests.with_daemon(guests.Daemon(directory, kernels)):
        with daemon.api() as api:
            vm = guests.Guest(daemon, api)
            uefi(vm, secureboot="true")
            assert vm.get("NVRAM") == {}
            line = vm.start_up(240)
            says(line, "busybox dmesg | busybox grep secureboot:", "secureboot: Secure boot enabled")
            assert vm.get("NVRAM") == {}
        [pid] = daemon.machines()
        daemon.kill()
        os.kill(pid, signal.SIGKILL)
        guests.until("the machine's end", lambda: not daemon.machines())
        daemon.start()
        with daemon.api() as api:
            vm.api = api
            assert vm.state() == "Halted"
            first = vm.get("NVRAM")
            assert starts(first["EFI-variables"]) > 0
            line = vm.start_up(240)
            says(line, "busybox dmesg | busybox grep secureboot:", "secureboot: Secure boot enabled")
            vm.call("hard_shutdown")
            second = vm.get("NVRAM")
            assert starts(second["EFI-variables"]) > starts(first["EFI-variables"])
            assert list((daemon.state / "nvram").iterdir()) == []
            # What is no text of ours is not used, and a copy of the VM has a copy of it.
            copy = api.call("VM.clone", vm.ref, "copy")
            assert api.call("VM.get_NVRAM", copy) == second
            api.call("VM.destroy", copy)
            vm.call("set_HVM_boot_params", {"firmware": "openfirmware"})
            error = vm.fails("start", False, False)
            assert (error.code, error.params) == ("INVALID_VALUE", ["HVM_boot_params:firmware", "openfirmware"])
            vm.remove()


def clock_resets(line):
    """TPM2_ReadClock, as bytes to the device: how often the TPM was reset since it was made."""
    line.send(r"sh exec 3<>/dev/tpm0; printf '\x80\x01\x00\x00\x00\x0a\x00\x00\x01\x81' >&3; "
              r"dd bs=4096 count=1 <&3 2>/dev/null | busybox od -v -An -tx1 | busybox tr -d ' \n'; echo")
    text = line.expect(r"(?s)(.*?)^SH \d+\r$").group(1).decode(errors="replace")
    answer = re.search(r"^(8001[0-9a-f]{60,})\r?$", text, re.M)
    assert answer and answer.group(1)[12:20] == "00000000", text
    return int(answer.group(1)[52:60], 16)


def test_a_tpm_keeps_what_it_has(daemon, api, vm):
    """Made and removed with the VM halted, one each; its state survives the machine, a clone has a copy of it."""
    tpm = api.call("VTPM.create", vm.ref, False)
    assert vm.get("VTPMs") == [tpm] and api.call("VTPM.get_VM", tpm) == vm.ref
    error = api.fails("VTPM.create", vm.ref, False)
    assert (error.code, error.params) == ("VTPM_MAX_AMOUNT_REACHED", ["1"])
    state = daemon.state / "tpm" / api.call("VTPM.get_uuid", tpm)
    assert state.stat().st_size == 0
    line = vm.start_up()
    first = clock_resets(line)
    assert api.fails("VTPM.destroy", tpm).code == "VM_BAD_POWER_STATE"
    vm.call("hard_shutdown")
    assert state.stat().st_size > 1000
    copy = api.call("VM.clone", vm.ref, "copy")
    [other] = api.call("VM.get_VTPMs", copy)
    other_state = daemon.state / "tpm" / api.call("VTPM.get_uuid", other)
    assert other != tpm and other_state.read_bytes() == state.read_bytes()
    line = vm.start_up()
    assert clock_resets(line) == first + 1
    vm.call("hard_shutdown")
    api.call("VM.destroy", copy)
    assert not other_state.exists()
    api.call("VTPM.destroy", tpm)
    assert vm.get("VTPMs") == [] and not state.exists()
    vm.call("set_platform", dict(vm.get("platform"), vtpm="true"))
    vm.call("provision")
    assert len(vm.get("VTPMs")) == 1
