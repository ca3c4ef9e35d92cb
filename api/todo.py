# SPDX-License-Identifier: Apache-2.0
"""Explicit calls without a function in src/ops/ yet: each answers NOT_IMPLEMENTED. They stand under the part of the product
that they wait for, and what of it. Take the line out when the function is there."""

NOT_YET("MACHINES", "suspending to disk and resuming", [
    "VM.restart_device_models",
])

NOT_YET("MACHINES", "processors and memory of a running machine", [
    "VM.add_to_VCPUs_params_live",
])

NOT_YET("MACHINES", "moving between hosts", [
    "VM.assert_can_migrate",
    "VM.migrate_send",
    "VM.pool_migrate",
    "host.migrate_receive",
])

NOT_YET("MACHINES", "USB devices", [
    "PUSB.scan",
    "PUSB.set_passthrough_enabled",
    "VUSB.create",
    "VUSB.destroy",
    "VUSB.unplug",
])

NOT_YET("MACHINES", "networks of the host: cards, bonds, VLANs, the management interface", [
    "Bond.create",
    "Bond.destroy",
    "Bond.set_mode",
    "Bond.set_property",
    "PIF.create_VLAN",
    "PIF.destroy",
    "PIF.reconfigure_ip",
    "PIF.reconfigure_ipv6",
    "PIF.set_property",
    "VLAN.create",
    "VLAN.destroy",
    "host.management_disable",
    "pool.create_VLAN",
    "pool.create_VLAN_from_PIF",
])

NOT_YET("DISKS", "moving a disk to another storage repository", [
    "VDI.pool_migrate",
])
