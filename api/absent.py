# SPDX-License-Identifier: Apache-2.0
"""Explicit calls of features that this product does not have, each with the error that XenServer gives on a host without
the feature, and the reason as a sentence. "@name" is the call's parameter of that name, "$host" this host. A call that
will be written one day belongs in todo.py instead."""

ABSENT("HA_NOT_INSTALLED", ["$host"], "There is no cluster software here that could watch over several hosts.", [
    "pool.enable_ha",
])
ABSENT("HA_NOT_ENABLED", [], "High availability cannot be enabled here, so it never is.", [
    "pool.disable_ha",
])
ABSENT("SR_OPERATION_NOT_SUPPORTED", ["@sr"], "No storage here can hold the state of a pool.", [
    "SR.assert_can_host_ha_statefile",
    "SR.assert_supports_database_replication",
    "SR.enable_database_replication",
])
ABSENT("CANNOT_ENABLE_REDO_LOG", ["the storage repository cannot hold one"],
       "The database commits to its own disk; there is no second log of it.", [
           "pool.enable_redo_log",
       ])
ABSENT("SR_OPERATION_NOT_SUPPORTED", ["@SR"], "Disks of this kind of storage are thin anyway.", [
    "LVHD.enable_thin_provisioning",
])
ABSENT("SR_OPERATION_NOT_SUPPORTED", ["@sr"], "There is no cache of shared disks.", [
    "host.enable_local_storage_caching",
])

ABSENT("LICENCE_RESTRICTION", ["WLB"], "There is no workload balancing service to connect to.", [
    "pool.initialize_wlb",
])
ABSENT("WLB_NOT_INITIALIZED", [], "There is no workload balancing service to ask.", [
    "VM.retrieve_wlb_recommendations",
    "host.retrieve_wlb_evacuate_recommendations",
    "pool.deconfigure_wlb",
    "pool.retrieve_wlb_configuration",
    "pool.retrieve_wlb_recommendations",
    "pool.send_wlb_configuration",
])

ABSENT("INVALID_CLUSTER_STACK", ["@cluster_stack"], "There is no cluster stack.", [
    "Cluster.create",
    "Cluster.pool_create",
])
ABSENT("HANDLE_INVALID", ["Cluster", "@self"], "There are no clusters.", [
    "Cluster.destroy",
    "Cluster.get_network",
    "Cluster.pool_destroy",
    "Cluster.pool_force_destroy",
    "Cluster.pool_resync",
])
ABSENT("HANDLE_INVALID", ["Cluster", "@cluster"], "There are no clusters.", ["Cluster_host.create"])
ABSENT("HANDLE_INVALID", ["Cluster_host", "@self"], "There are no clusters.", [
    "Cluster_host.destroy",
    "Cluster_host.disable",
    "Cluster_host.enable",
    "Cluster_host.force_destroy",
])

ABSENT("HANDLE_INVALID", ["PGPU", "@self"], "No graphics card is given to machines.", [
    "PGPU.add_enabled_VGPU_types",
    "PGPU.disable_dom0_access",
    "PGPU.enable_dom0_access",
    "PGPU.get_remaining_capacity",
    "PGPU.remove_enabled_VGPU_types",
    "PGPU.set_GPU_group",
    "PGPU.set_enabled_VGPU_types",
])
ABSENT("FEATURE_RESTRICTED", [], "No graphics card is given to machines.", ["VGPU.create"])
ABSENT("HANDLE_INVALID", ["VGPU", "@self"], "No graphics card is given to machines.", ["VGPU.destroy"])

ABSENT("OPENVSWITCH_NOT_ACTIVE", [], "There is no proxy of streamed disks, nor the Open vSwitch that it needs.", [
    "PVS_proxy.create",
    "PVS_server.introduce",
    "PVS_site.introduce",
])
ABSENT("HANDLE_INVALID", ["PVS_site", "@self"], "There is no proxy of streamed disks.", [
    "PVS_site.forget",
    "PVS_site.set_PVS_uuid",
])
ABSENT("HANDLE_INVALID", ["PVS_proxy", "@self"], "There is no proxy of streamed disks.", ["PVS_proxy.destroy"])
ABSENT("HANDLE_INVALID", ["PVS_server", "@self"], "There is no proxy of streamed disks.", ["PVS_server.forget"])

ABSENT("OPENVSWITCH_NOT_ACTIVE", [], "Networks are bridges of the kernel, not Open vSwitch.", [
    "pool.set_igmp_snooping_enabled",
    "tunnel.create",
])
ABSENT("OPERATION_NOT_ALLOWED", ["host not configured for vswitch operation"],
       "Networks are bridges of the kernel, not Open vSwitch.", [
           "SDN_controller.introduce",
           "pool.set_vswitch_controller",
       ])
ABSENT("HANDLE_INVALID", ["SDN_controller", "@self"], "Networks are bridges of the kernel, not Open vSwitch.", [
    "SDN_controller.forget",
])
ABSENT("HANDLE_INVALID", ["tunnel", "@self"], "Networks are bridges of the kernel, not Open vSwitch.", [
    "tunnel.destroy",
])
ABSENT("PIF_IS_NOT_SRIOV_CAPABLE", ["@pif"], "Parts of network cards are not given to machines.", [
    "network_sriov.create",
])
ABSENT("HANDLE_INVALID", ["network_sriov", "@self"], "Parts of network cards are not given to machines.", [
    "network_sriov.destroy",
    "network_sriov.get_remaining_capacity",
])

ABSENT("LICENCE_RESTRICTION", ["DR"], "Metadata of other pools is not recovered from storage.", [
    "DR_task.create",
    "VM.recover",
    "VM_appliance.recover",
    "session.create_from_db_file",
])
ABSENT("HANDLE_INVALID", ["DR_task", "@self"], "Metadata of other pools is not recovered from storage.", [
    "DR_task.destroy",
])

ABSENT("LICENSE_PROCESSING_ERROR", [], "Everything is free: no licence is needed or known.", ["host.license_add"])

ABSENT("INVALID_UPDATE", ["no update of this product comes as a disk"],
       "The distribution's package manager brings updates.", ["pool_update.introduce"])
ABSENT("HANDLE_INVALID", ["pool_update", "@self"], "The distribution's package manager brings updates.", [
    "pool_update.apply",
    "pool_update.destroy",
    "pool_update.pool_apply",
    "pool_update.pool_clean",
    "pool_update.precheck",
])
ABSENT("HANDLE_INVALID", ["pool_patch", "@self"], "The distribution's package manager brings updates.", [
    "pool_patch.apply",
    "pool_patch.clean",
    "pool_patch.clean_on_host",
    "pool_patch.destroy",
    "pool_patch.pool_apply",
    "pool_patch.pool_clean",
    "pool_patch.precheck",
])
ABSENT("HANDLE_INVALID", ["host_patch", "@self"], "The distribution's package manager brings updates.", [
    "host_patch.apply",
    "host_patch.destroy",
])
ABSENT("NO_REPOSITORY_ENABLED", [], "The distribution's package manager brings updates.", [
    "host.apply_updates",
    "pool.sync_updates",
])

ABSENT("NOT_IMPLEMENTED", ["send_sysrq"], "XenServer has not written it either; use the console.", ["VM.send_sysrq"])
ABSENT("NOT_IMPLEMENTED", ["send_trigger"], "XenServer has not written it either; use the console.", [
    "VM.send_trigger",
])
ABSENT("XENAPI_MISSING_PLUGIN", ["conversion"], "Machines of other products are not converted here.", [
    "VM.import_convert",
])
ABSENT("HANDLE_INVALID", ["host_crashdump", "@self"], "Memory of a crashed host is not kept.", [
    "host_crashdump.destroy",
    "host_crashdump.upload",
])
ABSENT("HANDLE_INVALID", ["crashdump", "@self"], "Memory of a crashed machine is not kept.", ["crashdump.destroy"])

ABSENT("NOT_IN_EMERGENCY_MODE", [], "A pool of one host always has its coordinator.", [
    "host.local_management_reconfigure",
])
ABSENT("HOST_IS_LIVE", ["@host"], "The pool has one host: the one that answers.", ["host.declare_dead", "host.power_on"])
ABSENT("HOST_IS_LIVE", ["@self"], "The pool has one host: the one that answers.", ["host.destroy"])
ABSENT("OPERATION_NOT_ALLOWED", ["this host is the coordinator of its pool and its only member"],
       "A pool has one host.", ["pool.eject"])
ABSENT("OPERATION_NOT_ALLOWED", ["this host cannot be a member of another pool"], "A pool has one host.", [
    "pool.emergency_reset_master",
    "pool.join",
    "pool.join_force",
])
ABSENT("OPERATION_NOT_ALLOWED", ["a pool of one host has no secret"], "Nothing is shared between hosts.", [
    "pool.rotate_secret",
])

ABSENT("NOT_IMPLEMENTED", ["dmesg_clear"], "XenServer has not written it either.", ["host.dmesg_clear"])
ABSENT("NOT_IMPLEMENTED", ["query_services"], "XenServer has not written it either.", ["VM.query_services"])
ABSENT("OPERATION_NOT_ALLOWED", ["there is no hypervisor that takes debug keys"], "Machines run on QEMU, not on Xen.", [
    "host.send_debug_keys",
])
ABSENT("FEATURE_RESTRICTED", [], "No graphics card is given to machines, so the host keeps its screen.", [
    "host.disable_display",
])
ABSENT("FEATURE_RESTRICTED", [], "Clients prove themselves by password or token, not by certificate.", [
    "pool.enable_client_certificate_auth",
])
ABSENT("OPERATION_NOT_ALLOWED", ["To set UEFI certificates use: `Pool.set_custom_uefi_certificates`"],
       "Deprecated by XenServer.", ["host.set_uefi_certificates"])
ABSENT("OPERATION_NOT_ALLOWED", ["Setting UEFI certificates is deprecated, please use `set_custom_uefi_certificates`"],
       "Deprecated by XenServer.", ["pool.set_uefi_certificates"])
ABSENT("OPERATION_NOT_ALLOWED",
       ["Setting UEFI certificates is not possible when allow_custom_uefi_certs is false"],
       "The firmware of machines brings its own keys.", ["pool.set_custom_uefi_certificates"])
ABSENT("FEATURE_RESTRICTED", [], "There is no cache of shared disks.", [
    "pool.enable_local_storage_caching",
])
ABSENT("MESSAGE_REMOVED", [], "XenServer has removed it too.", ["pool.test_archive_target"])
ABSENT("MESSAGE_DEPRECATED", [], "XenServer refuses it too: use SR.create.", ["SR.make"])

ABSENT("LICENCE_RESTRICTION", ["Updates"], "The distribution's package manager brings updates.", [
    "Repository.introduce",
])
ABSENT("HANDLE_INVALID", ["Repository", "@self"], "The distribution's package manager brings updates.", [
    "Repository.forget",
    "Repository.set_gpgkey_path",
])
ABSENT("HANDLE_INVALID", ["Repository", "@value"], "The distribution's package manager brings updates.", [
    "pool.add_repository",
    "pool.remove_repository",
])
ABSENT("OPERATION_NOT_ALLOWED", ["a host alone has no certificate for other members"], "A pool has one host.", [
    "host.refresh_server_certificate",
])
