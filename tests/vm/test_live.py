# SPDX-License-Identifier: Apache-2.0
"""Processors and memory of machines that run, seen from inside; and what is promised to whom."""
import pytest

import guests
from guests import MIB


@pytest.fixture(scope="module")
def world(kernels, tmp_path_factory):
    yield from guests.with_daemon(guests.Daemon(str(tmp_path_factory.mktemp("seraid")), kernels))


def metric(api, vm, name):
    return int(api.call("VM_metrics.get_record", vm.get("metrics"))[name])


def processors(line):
    return int(line.ask("sh for c in /sys/devices/system/cpu/cpu[0-9]*/online; do echo 1 >$c; done 2>/dev/null; "
                        "echo CPUS $(busybox grep -c ^processor /proc/cpuinfo)", r"^CPUS (\d+)\r$").group(1))


def free_kib(line):
    return int(line.ask("sh echo TOTAL $(busybox awk '/MemTotal/{print $2}' /proc/meminfo)", r"^TOTAL (\d+)\r$").group(1))


def test_processors_and_memory(world):
    with world.api() as api:
        vm = guests.Guest(world, api, "grows")
        vm.call("set_VCPUs_max", 4)
        vm.call("set_memory_limits", 64 * MIB, 192 * MIB, 96 * MIB, 128 * MIB)
        vm.call("set_HVM_shadow_multiplier", 1.5)
        vm.add_disk()
        line = vm.start_up()
        assert processors(line) == 1
        assert vm.fails("set_VCPUs_number_live", 5).code == "INVALID_VALUE"
        assert vm.fails("set_VCPUs_number_live", 0).code == "INVALID_VALUE"
        vm.call("set_VCPUs_number_live", 3)
        assert (metric(api, vm, "VCPUs_number"), int(vm.get("VCPUs_at_startup"))) == (3, 3)
        guests.until("three", lambda: processors(line) == 3)

        # The guest has what it may have at most, and a balloon in it.
        guests.until("the balloon at the start", lambda: metric(api, vm, "memory_actual") == 128 * MIB)
        before = free_kib(line)
        vm.call("set_memory_dynamic_range", 96 * MIB, 160 * MIB)
        vm.call("wait_memory_target_live")
        guests.until("more", lambda: free_kib(line) > before + 24 * 1024)
        assert int(vm.get("memory_target")) == 160 * MIB
        vm.call("set_memory_target_live", 112 * MIB)
        vm.call("wait_memory_target_live")
        guests.until("less", lambda: free_kib(line) < before - 8 * 1024)
        assert [int(vm.get("memory_dynamic_" + n)) for n in ("min", "max")] == [112 * MIB] * 2
        assert vm.fails("set_memory_dynamic_max", 256 * MIB).code == "MEMORY_CONSTRAINT_VIOLATION_ORDER"
        assert vm.fails("set_memory_static_max", 256 * MIB).code == "VM_BAD_POWER_STATE"
        assert abs(metric(api, vm, "memory_actual") - 112 * MIB) <= 4 * MIB
        vm.call("set_shadow_multiplier_live", 2.0)
        assert vm.get("HVM_shadow_multiplier") == 2.0

        # A new daemon finds both, and so does the machine that its memory is brought back to.
        world.kill()
        world.start()
    with world.api() as api:
        vm.api = api
        assert metric(api, vm, "VCPUs_number") == 3
        vm.call("suspend")
        vm.call("resume", False, False)
        line = vm.serial()
        line.send("")
        assert processors(line) == 3
        line.ask("write 1", r"WROTE 1\r$")
        vm.call("set_VCPUs_number_live", 4)
        guests.until("four", lambda: processors(line) == 4)
        vm.call("set_memory_dynamic_max", 160 * MIB)
        vm.call("wait_memory_target_live")
        vm.call("set_VCPUs_number_live", 2)
        guests.until("two", lambda: processors(line) == 2)
        assert (metric(api, vm, "VCPUs_number"), int(vm.get("VCPUs_at_startup"))) == (2, 2)
        # QEMU would die of it.
        assert vm.fails("suspend").code == "VM_NON_SUSPENDABLE" and vm.state() == "Running"
        assert vm.fails("checkpoint", "x").code == "VM_CHECKPOINT_SUSPEND_FAILED"
        assert processors(line) == 2
        vm.remove()
        guests.check_whole(world, api)
