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
