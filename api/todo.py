# SPDX-License-Identifier: Apache-2.0
"""Explicit calls without a function in src/ops/ yet: each answers NOT_IMPLEMENTED. They stand under the part of the product
that they wait for, and what of it. Take the line out when the function is there."""

NOT_YET("MACHINES", "plugging and unplugging devices of a running machine", [
    "VBD.plug",
    "VBD.unplug",
    "VBD.unplug_force",
    "VIF.plug",
    "VIF.unplug",
    "VIF.unplug_force",
])

NOT_YET("MACHINES", "suspending to disk and resuming", [
    "VM.resume",
    "VM.resume_on",
    "VM.set_suspend_VDI",
    "VM.suspend",
])

NOT_YET("MACHINES", "snapshots of machines, and their schedules", [
    "VM.checkpoint",
    "VM.revert",
    "VM.set_snapshot_schedule",
    "VM.snapshot",
    "VMSS.snapshot_now",
])

NOT_YET("MACHINES", "processors and memory of a running machine", [
    "VM.add_to_VCPUs_params_live",
    "VM.set_HVM_shadow_multiplier",
    "VM.set_VCPUs_number_live",
    "VM.set_memory_target_live",
    "VM.set_shadow_multiplier_live",
    "VM.wait_memory_target_live",
])

NOT_YET("MACHINES", "import from a URL, and plug-ins inside the guest", [
    "VM.call_plugin",
    "VM.import",
])

NOT_YET("MACHINES", "moving between hosts", [
    "VM.assert_can_migrate",
    "VM.migrate_send",
    "VM.pool_migrate",
    "host.migrate_receive",
])

NOT_YET("MACHINES", "TPMs", [
    "VTPM.create",
    "VTPM.destroy",
])

NOT_YET("MACHINES", "USB devices", [
    "PUSB.scan",
    "PUSB.set_passthrough_enabled",
    "VUSB.create",
    "VUSB.destroy",
    "VUSB.unplug",
])

NOT_YET("MACHINES", "filters of network interfaces", [
    "VIF.add_ipv4_allowed",
    "VIF.add_ipv6_allowed",
    "VIF.configure_ipv4",
    "VIF.configure_ipv6",
    "VIF.remove_ipv4_allowed",
    "VIF.remove_ipv6_allowed",
    "VIF.set_ipv4_allowed",
    "VIF.set_ipv6_allowed",
    "VIF.set_locking_mode",
])

NOT_YET("MACHINES", "networks of the host: cards, bonds, VLANs, the management interface", [
    "Bond.create",
    "Bond.destroy",
    "Bond.set_mode",
    "Bond.set_property",
    "PIF.create_VLAN",
    "PIF.destroy",
    "PIF.plug",
    "PIF.reconfigure_ip",
    "PIF.reconfigure_ipv6",
    "PIF.unplug",
    "VLAN.create",
    "VLAN.destroy",
    "host.local_management_reconfigure",
    "host.management_disable",
    "host.management_reconfigure",
    "pool.create_VLAN",
    "pool.create_VLAN_from_PIF",
    "pool.management_reconfigure",
])

NOT_YET("DISKS", "snapshots and changed blocks", [
    "VDI.data_destroy",
    "VDI.disable_cbt",
    "VDI.enable_cbt",
    "VDI.list_changed_blocks",
    "VDI.snapshot",
])

NOT_YET("DISKS", "disks served by NBD", [
    "VDI.get_nbd_info",
])

NOT_YET("DISKS", "moving a disk to another storage repository", [
    "VDI.pool_migrate",
])

NOT_YET("DISKS", "disks that storage has and the database has not, and what happens at boot", [
    "VDI.introduce",
    "VDI.open_database",
    "VDI.read_database_pool_uuid",
    "VDI.set_allow_caching",
    "VDI.set_on_boot",
])

NOT_YET("HOST", "power and the agent", [
    "host.reboot",
    "host.restart_agent",
    "host.shutdown",
    "host.shutdown_agent",
])

NOT_YET("HOST", "support", [
    "host.bugreport_upload",
    "host.get_system_status_capabilities",
    "host.syslog_reconfigure",
    "pool.send_test_post",
])

NOT_YET("HOST", "accounts", [
    "host.disable_external_auth",
    "host.enable_external_auth",
    "pool.disable_external_auth",
    "pool.enable_external_auth",
    "session.create_from_db_file",
])

NOT_YET("HOST", "the host, the pool and what belongs to them", [
    "PBD.set_device_config",
    "PIF.db_forget",
    "PIF.db_introduce",
    "PIF.forget",
    "PIF.introduce",
    "PIF.scan",
    "PIF.set_disallow_unplug",
    "PIF.set_primary_address_type",
    "PIF.set_property",
    "Repository.forget",
    "Repository.introduce",
    "Repository.set_gpgkey_path",
    "SR.disable_database_replication",
    "SR.make",
    "SR.probe",
    "SR.probe_ext",
    "SR.set_physical_size",
    "SR.set_shared",
    "VM.assert_can_be_recovered",
    "VM.assert_can_boot_here",
    "VM.copy_bios_strings",
    "VM.get_SRs_required_for_recovery",
    "VM.maximise_memory",
    "VM.query_services",
    "VM.recover",
    "VM.restart_device_models",
    "VM.set_bios_strings",
    "VM_appliance.assert_can_be_recovered",
    "VM_appliance.get_SRs_required_for_recovery",
    "VM_appliance.recover",
    "host.assert_can_evacuate",
    "host.compute_memory_overhead",
    "host.declare_dead",
    "host.destroy",
    "host.disable_display",
    "host.disable_local_storage_caching",
    "host.dmesg_clear",
    "host.emergency_clear_mandatory_guidance",
    "host.emergency_disable_tls_verification",
    "host.emergency_reenable_tls_verification",
    "host.emergency_reset_server_certificate",
    "host.enable_display",
    "host.evacuate",
    "host.get_uncooperative_resident_VMs",
    "host.get_vms_which_prevent_evacuation",
    "host.install_server_certificate",
    "host.power_on",
    "host.refresh_pack_info",
    "host.refresh_server_certificate",
    "host.reset_server_certificate",
    "host.send_debug_keys",
    "host.set_hostname_live",
    "host.set_https_only",
    "host.set_iscsi_iqn",
    "host.set_multipathing",
    "host.set_numa_affinity_policy",
    "host.set_power_on_mode",
    "host.set_ssl_legacy",
    "host.set_uefi_certificates",
    "host.sync_data",
    "pool.add_repository",
    "pool.add_to_guest_agent_config",
    "pool.certificate_install",
    "pool.certificate_list",
    "pool.certificate_sync",
    "pool.certificate_uninstall",
    "pool.check_update_readiness",
    "pool.configure_repository_proxy",
    "pool.configure_update_sync",
    "pool.crl_install",
    "pool.crl_list",
    "pool.crl_uninstall",
    "pool.designate_new_master",
    "pool.disable_client_certificate_auth",
    "pool.disable_local_storage_caching",
    "pool.disable_redo_log",
    "pool.disable_repository_proxy",
    "pool.disable_ssl_legacy",
    "pool.eject",
    "pool.emergency_reset_master",
    "pool.emergency_transition_to_master",
    "pool.enable_client_certificate_auth",
    "pool.enable_local_storage_caching",
    "pool.enable_tls_verification",
    "pool.ha_compute_hypothetical_max_host_failures_to_tolerate",
    "pool.ha_compute_max_host_failures_to_tolerate",
    "pool.ha_compute_vm_failover_plan",
    "pool.ha_failover_plan_exists",
    "pool.install_ca_certificate",
    "pool.join",
    "pool.join_force",
    "pool.recover_slaves",
    "pool.remove_from_guest_agent_config",
    "pool.remove_repository",
    "pool.reset_telemetry_uuid",
    "pool.rotate_secret",
    "pool.set_custom_uefi_certificates",
    "pool.set_ext_auth_max_threads",
    "pool.set_ha_host_failures_to_tolerate",
    "pool.set_https_only",
    "pool.set_local_auth_max_threads",
    "pool.set_repositories",
    "pool.set_telemetry_next_collection",
    "pool.set_uefi_certificates",
    "pool.set_update_sync_enabled",
    "pool.test_archive_target",
    "pool.uninstall_ca_certificate",
])
