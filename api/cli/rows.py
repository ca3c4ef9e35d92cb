# SPDX-License-Identifier: Apache-2.0
"""The command line as data. gen_cli.py checks it against the schema and makes C tables of it.

KINDS: class, fields shown by default, all fields in order. A field is "name path flags", divided by "|".
  path    where the value lies in the record. "-" or nothing: the name with "_" for "-"; "a>b": field b of
          what field a refers to (a may be a set or map of references); "!C.call" or "!C.call>b": the answer
          of that call with the object as its parameter ("!C.call@": without one); "@x": the function named x in
          src/xe/value.c; "?": the API does not have it.
  flags   s settable, m map, l set, h hidden, e costs a call (shown only on request); L lower case, C first
          letter capital, O operation names with a dot (VDI.create), V the values of a map.

COMMANDS: name, kind that it selects objects of, required parameters, optional ones, call. A command
without a call is a function in src/xe/cmd_*.c, or stands in NOT_SERVED. Types come from the schema. In a call:
  param=text      a parameter and its default; one that is not required and has none: the type's empty value
  param:F         contents of the file    param:N  base name of the file    param:x  true when it is absent
  param:h         host (this one when absent)    param:p  pool (the only one when absent)
  a|b             either parameter        ~param   accepted, has no effect here
  @ selected object   @pool the pool   @local this host   #json literal   { field=argument ... } a record
  Class.a|b       b with force=true
  > Class [path]  prints the uuid (or path) of the object answered; "> text|list|map|records|uuids Class"
  & Class.set param   calls this on the answered object when param is given

NOT_SERVED: commands that the product does not serve, by the reason that people are told. Every command stands there, has a
call or is a function.
"""

VM_FIELDS = """
    uuid | name-label - s | name-description - s | user-version - s | is-a-template - s |
    is-default-template | is-a-snapshot | snapshot-of snapshot_of>uuid | snapshots snapshots>uuid |
    snapshot-time | transportable-snapshot-id - h | snapshot-info | parent parent>uuid |
    children children>uuid | is-control-domain | power-state - L | memory-actual metrics>memory_actual |
    memory-target - e | memory-overhead | memory-static-max - s | memory-dynamic-max - s |
    memory-dynamic-min - s | memory-static-min - s | suspend-VDI-uuid suspend_VDI>uuid s |
    suspend-SR-uuid suspend_SR>uuid s | VCPUs-params - m | VCPUs-max - s | VCPUs-at-startup - s |
    actions-after-shutdown - sC | actions-after-softreboot - sC | actions-after-reboot - sC |
    actions-after-crash - sC | console-uuids consoles>uuid l | hvm metrics>hvm |
    nomigrate metrics>nomigrate h | nested-virt metrics>nested_virt h | platform - m | numa-optimised ? |
    numa-nodes ? | numa-node-memory ? m | allowed-operations - l | current-operations - lV |
    blocked-operations - m | allowed-VBD-devices !VM.get_allowed_VBD_devices le |
    allowed-VIF-devices !VM.get_allowed_VIF_devices le | possible-hosts !VM.get_possible_hosts>uuid e |
    domain-type - s | current-domain-type metrics>current_domain_type | HVM-boot-policy - s |
    HVM-boot-params - m | HVM-shadow-multiplier - s | NVRAM - mh | PV-kernel - s | PV-ramdisk - s |
    PV-args - s | PV-legacy-args - s | PV-bootloader - s | PV-bootloader-args - s | last-boot-CPU-flags |
    last-boot-record last_booted_record e | resident-on resident_on>uuid | affinity affinity>uuid s |
    other-config - m | dom-id domid | recommendations | xenstore-data - m | ha-always-run - s |
    ha-restart-priority - s | blobs blobs>uuid | start-time metrics>start_time |
    install-time metrics>install_time | VCPUs-number metrics>VCPUs_number |
    VCPUs-utilisation metrics>VCPUs_utilisation me | os-version guest_metrics>os_version m |
    netbios-name ? m | PV-drivers-version guest_metrics>PV_drivers_version m |
    PV-drivers-up-to-date guest_metrics>PV_drivers_up_to_date | memory guest_metrics>memory m |
    disks guest_metrics>disks m | VBDs VBDs>uuid l | networks guest_metrics>networks m | services ? m |
    PV-drivers-detected guest_metrics>PV_drivers_detected | other guest_metrics>other m |
    live guest_metrics>live | guest-metrics-last-updated guest_metrics>last_updated |
    can-use-hotplug-vbd guest_metrics>can_use_hotplug_vbd |
    can-use-hotplug-vif guest_metrics>can_use_hotplug_vif | cooperative !VM.get_cooperative e | tags - l |
    appliance appliance>uuid s | groups ? s | secureboot-certificates-state ? |
    snapshot-schedule snapshot_schedule>uuid s | is-vmss-snapshot | start-delay - s | shutdown-delay - s |
    order - s | version | generation-id | hardware-platform-version | has-vendor-device - s |
    requires-reboot | reference-label | bios-strings - m | pending-guidances | vtpms VTPMs>uuid |
    pending-guidances-recommended | pending-guidances-full"""

KINDS = {
    "appliance": ("VM_appliance", "uuid name-label name-description", """
        uuid | name-label - s | name-description - s | VMs VMs>uuid l | allowed-operations - l |
        current-operations - lV"""),
    "blob": ("blob", "uuid name-label name-description", """
        uuid | name-label - s | name-description - s | size | public - s | last-updated | mime-type"""),
    "bond": ("Bond", "uuid master slaves", """
        uuid | master master>uuid | slaves slaves>uuid | mode | properties - m |
        primary-slave primary_slave>uuid | links-up | auto-update-mac"""),
    "caller": ("Caller", "uuid name-label name-description user-agent client-ip last-access groups rate-limit", """
        uuid ? | name-label ? s | name-description ? s | user-agent ? | client-ip ? | last-access ? |
        groups ? l | rate-limit ?"""),
    "certificate": ("Certificate", "uuid type name host not-before not-after fingerprint purpose", """
        uuid | type | name | host host>uuid | not-before | not-after | fingerprint | fingerprint_sha256 ? |
        fingerprint_sha1 ? | purpose ?"""),
    "cluster": ("Cluster", "uuid cluster-hosts cluster-token cluster-stack allowed-operations current-operations pool-auto-join cluster-config other-config", """
        uuid | cluster-hosts cluster_hosts>uuid l | cluster-token | cluster-stack | cluster-stack-version ? |
        token-timeout | token-timeout-coefficient | pending-forget - lh | allowed-operations - l |
        current-operations - lV | pool-auto-join | cluster-config - m | other-config - m | is-quorate | quorum |
        live-hosts | expected-hosts ?"""),
    "cluster-host": ("Cluster_host", "uuid cluster PIF host enabled allowed-operations current-operations other-config", """
        uuid | cluster cluster>uuid | PIF PIF>uuid | host host>uuid | enabled | joined | live |
        last-update-live | allowed-operations - l | current-operations - lV | other-config - m"""),
    "console": ("console", "uuid vm-uuid vm-name-label protocol location", """
        uuid | vm-uuid VM>uuid | vm-name-label VM>name_label | protocol | location | other-config - m"""),
    "drtask": ("DR_task", "uuid", """
        uuid | introduced-SRs introduced_SRs>uuid"""),
    "feature": ("Feature", "uuid name-label name-description enabled experimental version host-uuid", """
        uuid | name-label | name-description | enabled | experimental | version | host-uuid host>uuid"""),
    "gpu-group": ("GPU_group", "uuid name-label name-description", """
        uuid | name-label - s | name-description - s | VGPU-uuids VGPUs>uuid l | PGPU-uuids PGPUs>uuid l |
        other-config - m | enabled-VGPU-types enabled_VGPU_types>uuid |
        supported-VGPU-types supported_VGPU_types>uuid | allocation-algorithm - s"""),
    "host": ("host", "uuid name-label name-description", """
        uuid | name-label - s | name-description - s | allowed-operations - lO | current-operations - lVO |
        enabled | display | API-version-major | API-version-minor | API-version-vendor |
        API-version-vendor-implementation - m | logging - m | suspend-image-sr-uuid suspend_image_sr>uuid s |
        crash-dump-sr-uuid crash_dump_sr>uuid s | software-version - m | capabilities - l | other-config - m |
        cpu_info - m | chipset-info - m | hostname | address | https-only - s | supported-bootloaders - l |
        blobs blobs>uuid | memory-overhead | memory-total metrics>memory_total |
        memory-free metrics>memory_free | memory-free-computed !host.compute_free_memory e |
        host-metrics-live metrics>live | patches patches>pool_patch>uuid l | updates updates>uuid l |
        ha-statefiles | ha-network-peers | external-auth-type | external-auth-service-name |
        external-auth-configuration - m | edition | license-server - m | power-on-mode | power-on-config - m |
        local-cache-sr local_cache_sr>uuid | tags - l | ssl-legacy - s | guest_VCPUs_params - m |
        virtual-hardware-platform-versions - l | control-domain-uuid control_domain>uuid |
        resident-vms resident_VMs>uuid l | updates-requiring-reboot updates_requiring_reboot>uuid l |
        features features>uuid l | iscsi_iqn - s | multipathing - s | uefi-certificates - sh |
        numa-affinity-policy - s | pending-guidances | tls-verification-enabled | last-software-update |
        latest-synced-updates-applied | pending-guidances-recommended | pending-guidances-full |
        last-update-hash | ssh-enabled ? | ssh-enabled-timeout ? s | ssh-expiry ? | console-idle-timeout ? s |
        ssh-auto-mode ? s | max-cstate ? s | secure-boot ? | ntp-mode ? s | ntp-custom-servers ? sl |
        timezone ? s"""),
    "host-cpu": ("host_cpu", "uuid number vendor speed utilisation", """
        uuid | host-uuid host>uuid | number | vendor | speed | model | family | modelname | stepping | flags |
        utilisation - e"""),
    "host-crashdump": ("host_crashdump", "uuid timestamp size", """
        uuid | host-uuid host>uuid | timestamp | size"""),
    "hostdriver": ("Host_driver", "uuid name host-uuid active-variant selected-variant variants variants-uuid", """
        uuid ? | name ? | type ? | description ? | info ? | host-uuid ? | active-variant ? |
        selected-variant ? | variants ? | variants-dev-status ? | variants-uuid ? | variants-hw-present ?"""),
    "hostdriver-variant": ("Driver_variant", "uuid driver-name name version priority host-uuid driver-uuid active selected status hw-present", """
        uuid ? | name ? | version ? | status ? | priority ? | active ? | selected ? | driver-uuid ? |
        driver-name ? | host-uuid ? | hw-present ?"""),
    "message": ("message", "uuid name priority class timestamp body", """
        uuid | name | priority | class cls | obj-uuid | timestamp | body"""),
    "network": ("network", "uuid name-label name-description bridge", """
        uuid | name-label - s | name-description - s | VIF-uuids VIFs>uuid l | PIF-uuids PIFs>uuid l | MTU - s |
        bridge | managed | other-config - m | blobs blobs>uuid | tags - l | default-locking-mode - s |
        purpose - l"""),
    "network-sriov": ("network_sriov", "uuid physical-PIF logical-PIF requires-reboot", """
        uuid | physical-PIF physical_PIF>uuid | logical-PIF logical_PIF>uuid | requires-reboot |
        remaining-capacity !network_sriov.get_remaining_capacity e"""),
    "observer": ("Observer", "uuid name-label name-description host-uuids endpoints enabled", """
        uuid | host-uuids hosts>uuid sl | name-label | name-description | attributes - m | endpoints - sl |
        components - sl | enabled - s"""),
    "patch": ("pool_patch", "uuid name-label name-description size hosts after-apply-guidance", """
        uuid | name-label | name-description | size | hosts host_patches>host>uuid l |
        after-apply-guidance - l | update pool_update>uuid"""),
    "pbd": ("PBD", "uuid host-uuid sr-uuid device-config currently-attached", """
        uuid | host host>uuid | host-uuid host>uuid | host-name-label host>name_label | sr-uuid SR>uuid |
        sr-name-label SR>name_label | device-config - m | currently-attached | other-config - m"""),
    "pci": ("PCI", "uuid vendor-name device-name pci-id", """
        uuid | vendor-name | device-name | driver-name | host-uuid host>uuid | host-name-label host>name_label |
        pci-id | dependencies dependencies>uuid l | other-config - m"""),
    "pgpu": ("PGPU", "uuid pci-uuid vendor-name device-name gpu-group-uuid", """
        uuid | pci-uuid PCI>uuid | vendor-name PCI>vendor_name | device-name PCI>device_name | dom0-access |
        is-system-display-device | gpu-group-uuid GPU_group>uuid s | gpu-group-name-label GPU_group>name_label |
        host-uuid host>uuid | host-name-label host>name_label | pci-id PCI>pci_id |
        dependencies PCI>dependencies>uuid l | other-config - m |
        supported-VGPU-types supported_VGPU_types>uuid | enabled-VGPU-types enabled_VGPU_types>uuid sl |
        resident-VGPUs resident_VGPUs>uuid"""),
    "pif": ("PIF", "uuid device VLAN MAC network-uuid currently-attached host-uuid", """
        uuid | device | MAC | physical | managed | currently-attached | MTU | VLAN |
        vlan-master-of VLAN_master_of>uuid | vlan-slave-of VLAN_slave_of>uuid |
        bond-master-of bond_master_of>uuid | bond-slave-of bond_slave_of>uuid |
        sriov-physical-PIF-of sriov_physical_PIF_of>uuid | sriov-logical-PIF-of sriov_logical_PIF_of>uuid |
        tunnel-access-PIF-of tunnel_access_PIF_of>uuid | tunnel-transport-PIF-of tunnel_transport_PIF_of>uuid |
        management | network-uuid network>uuid | network-name-label network>name_label | host-uuid host>uuid |
        host-name-label host>name_label | IP-configuration-mode ip_configuration_mode | IP | netmask | gateway |
        IPv6-configuration-mode ipv6_configuration_mode | IPv6 | IPv6-gateway ipv6_gateway |
        primary-address-type | DNS | properties - m | capabilities - l | io_read_kbs metrics>io_read_kbs e |
        io_write_kbs metrics>io_write_kbs e | carrier metrics>carrier | vendor-id metrics>vendor_id |
        vendor-name metrics>vendor_name | device-id metrics>device_id | device-name metrics>device_name |
        speed metrics>speed | duplex metrics>duplex | disallow-unplug - s | pci-bus-path metrics>pci_bus_path |
        other-config - m | igmp-snooping-status"""),
    "pool": ("pool", "uuid name-label name-description master default-SR", """
        uuid | name-label - s | name-description - s | master master>uuid | default-SR default_SR>uuid s |
        crash-dump-SR crash_dump_SR>uuid s | suspend-image-SR suspend_image_SR>uuid s |
        supported-sr-types !SR.get_supported_types@ e | other-config - m | allowed-operations - l |
        current-operations - lV | ha-enabled | ha-configuration | ha-statefiles |
        ha-host-failures-to-tolerate - s | ha-plan-exists-for | ha-allow-overcommit - s | ha-overcommitted |
        ha-reboot-vm-on-internal-shutdown ? s | blobs blobs>uuid | wlb-url | wlb-username | wlb-enabled - s |
        wlb-verify-cert - s | igmp-snooping-enabled - s | gui-config - m | health-check-config - m |
        vswitch-controller - h | restrictions | tags - l | license-state !pool.get_license_state |
        ha-cluster-stack | guest-agent-config - m | cpu_info - m | policy-no-vendor-device - s |
        live-patching-disabled - s | uefi-certificates - sh | custom-uefi-certificates - sh |
        tls-verification-enabled | client-certificate-auth-enabled | client-certificate-auth-name |
        repositories repositories>uuid sl | repository-proxy-url | repository-proxy-username | https-only ? s |
        migration-compression - s | coordinator-bias - s | telemetry-frequency | telemetry-next-collection |
        last-update-sync | update-sync-frequency | update-sync-day | update-sync-enabled |
        auto-update-vm-secureboot-certificates ? s | recommendations ? m | ext-auth-cache-enabled ? s |
        ext-auth-cache-size ? s | ext-auth-cache-expiry ? s | license-server ? m | ssh-enabled ? |
        ssh-enabled-timeout ? s | ssh-expiry ? | console-idle-timeout ? s | ssh-auto-mode ? s |
        limit-console-sessions ? s | vm-console-idle-timeout ? s"""),
    "pusb": ("PUSB", "uuid path product-id product-desc vendor-id vendor-desc serial version description speed", """
        uuid | usb-group-uuid USB_group>uuid | host-uuid host>uuid | host-name-label host>name_label | path |
        vendor-id | vendor-desc | product-id | product-desc | serial | version | description | speed |
        passthrough-enabled - s"""),
    "pvs-cache-storage": ("PVS_cache_storage", "uuid host-uuid sr-uuid pvs-site-uuid size", """
        uuid | host-uuid host>uuid | sr-uuid SR>uuid | pvs-site-uuid site>uuid | size | vdi-uuid VDI>uuid"""),
    "pvs-proxy": ("PVS_proxy", "uuid vif-uuid pvs-site-uuid currently-attached", """
        uuid | pvs-site-uuid site>uuid | vif-uuid VIF>uuid | currently-attached | status"""),
    "pvs-server": ("PVS_server", "uuid addresses pvs-site-uuid", """
        uuid | addresses - l | first-port | last-port | pvs-site-uuid site>uuid"""),
    "pvs-site": ("PVS_site", "uuid name-label name-description", """
        uuid | name-label - s | name-description - s | pvs-uuid PVS_uuid |
        pvs-cache-storage-uuids cache_storage>uuid l |
        pvs-server-uuids servers>uuid l | pvs-proxy-uuids proxies>uuid l"""),
    "rate-limit": ("Rate_limit", "uuid name-label callers burst-size fill-rate", """
        uuid ? | name-label ? s | name-description ? s | callers ? l | burst-size ? s | fill-rate ? s"""),
    "repository": ("Repository", "uuid name-label name-description binary-url source-url update hash gpgkey-path origin", """
        uuid | name-label - s | name-description - s | binary-url | source-url | update | hash |
        gpgkey-path - s | origin ? | certificate ? h"""),
    "recycle": ("serai_recycled", "uuid kind name-label object-uuid destroyed expires", """
        uuid | kind | name-label | object-uuid | sr-uuid - | volume | size | disks - l | user | destroyed | expires"""),
    "role": ("role", "uuid name description", """
        uuid | name name_label | description name_description"""),
    "sdn-controller": ("SDN_controller", "uuid protocol address port", """
        uuid | protocol | address | port"""),
    "secret": ("secret", "uuid value", """
        uuid | value - s | other-config - m"""),
    "sm": ("SM", "uuid type name-label name-description vendor copyright configuration", """
        uuid | name-label | name-description | type | vendor | copyright | required-api-version | capabilities |
        features - m | configuration | driver-filename | required-cluster-stack | supported-image-formats ?"""),
    "snapshot": ("VM", "name-label name-description uuid snapshot-of snapshot-time is-vmss-snapshot", VM_FIELDS),
    "sr": ("SR", "uuid name-label name-description host type content-type", """
        uuid | name-label - s | name-description - s | host @sr-host | allowed-operations - lO |
        current-operations - lVO | VDIs VDIs>uuid l | PBDs PBDs>uuid l | virtual-allocation |
        physical-utilisation | physical-size | type | content-type | shared - s |
        introduced-by introduced_by>uuid | is-tools-sr | other-config - m | sm-config - m | blobs blobs>uuid |
        local-cache-enabled | tags - l | clustered"""),
    "subject": ("subject", "uuid subject-identifier other-config roles", """
        uuid | subject-identifier | other-config - m | roles roles>name_label l"""),
    "task": ("task", "uuid name-label name-description status progress", """
        uuid | name-label | name-description | subtask_of subtask_of>uuid | subtasks subtasks>uuid |
        resident-on resident_on>uuid | status | progress | type | result | created | finished | error_info |
        allowed_operations | current_operations | other-config - m"""),
    "template": ("VM", "name-label name-description uuid", VM_FIELDS),
    "token": ("serai_token", "uuid name-label role expires last-used", """
        uuid | name-label | role role>name_label | methods - l | objects - l | created | created-by | expires |
        last-used"""),
    "tunnel": ("tunnel", "uuid transport-PIF access-PIF status", """
        uuid | access-PIF access_PIF>uuid | transport-PIF transport_PIF>uuid | status | other-config - m |
        protocol"""),
    "update": ("pool_update", "uuid name-label name-description version installation-size hosts after-apply-guidance", """
        uuid | name-label | name-description | version | installation-size | hosts hosts>uuid l |
        after-apply-guidance - l | enforce-homogeneity"""),
    "usb-group": ("USB_group", "uuid name-label name-description", """
        uuid | name-label - s | name-description - s | VUSB-uuids VUSBs>uuid l | PUSB-uuids PUSBs>uuid l |
        other-config - m"""),
    "vbd": ("VBD", "uuid vm-uuid vm-name-label vdi-uuid device empty", """
        uuid | vm-uuid VM>uuid | vm-name-label VM>name_label | vdi-uuid VDI>uuid |
        vdi-name-label @vbd-vdi-name | allowed-operations - l | current-operations - lV | empty | device |
        userdevice - s | bootable - s | mode - s | type - s | unpluggable - s | currently-attached |
        attachable @attachable e | storage-lock | status-code | status-detail | qos_algorithm_type - s |
        qos_algorithm_params - m | qos_supported_algorithms - l | other-config - m | io_read_kbs ? e |
        io_write_kbs ? e"""),
    "vdi": ("VDI", "uuid name-label name-description virtual-size read-only sharable sr-uuid", """
        uuid | name-label - s | name-description - s | is-a-snapshot | snapshot-of snapshot_of>uuid |
        snapshots snapshots>uuid | snapshot-time | allowed-operations - l | current-operations - lV |
        sr-uuid SR>uuid | sr-name-label SR>name_label | vbd-uuids VBDs>uuid l |
        crashdump-uuids crash_dumps>uuid l | virtual-size | physical-utilisation | location | type - C |
        sharable | read-only | storage-lock | managed | parent parent>uuid | missing | is-tools-iso |
        other-config - m | xenstore-data - m | sm-config - m | on-boot - s | allow-caching - s |
        metadata-latest | metadata-of-pool metadata_of_pool>uuid | tags - l | cbt-enabled"""),
    "vgpu": ("VGPU", "uuid vm-uuid device gpu-group-uuid", """
        uuid | vm-uuid VM>uuid | vm-name-label VM>name_label | device | gpu-group-uuid GPU_group>uuid |
        gpu-group-name-label GPU_group>name_label | currently-attached | other-config - m |
        type-uuid type>uuid | type-model-name type>model_name | resident-on resident_on>uuid |
        compatibility-metadata | extra_args - s | pci PCI>uuid"""),
    "vgpu-type": ("VGPU_type", "uuid vendor-name model-name max-resolution max-heads", """
        uuid | vendor-name | model-name | framebuffer-size | max-heads | max-resolution @max-resolution |
        supported-on-PGPUs supported_on_PGPUs>uuid | enabled-on-PGPUs enabled_on_PGPUs>uuid |
        supported-on-GPU-groups supported_on_GPU_groups>uuid |
        enabled-on-GPU-groups enabled_on_GPU_groups>uuid | VGPU-uuids VGPUs>uuid | experimental |
        compatible-types-in-vm compatible_types_in_vm>uuid"""),
    "vif": ("VIF", "uuid device vm-uuid network-uuid", """
        uuid | vm-uuid VM>uuid | vm-name-label VM>name_label | allowed-operations - l |
        current-operations - lV | device | MAC | MAC-autogenerated | MTU | currently-attached |
        qos_algorithm_type - s | qos_algorithm_params - m | qos_supported_algorithms - l | other-config - m |
        network-uuid network>uuid | network-name-label network>name_label | io_read_kbs ? e | io_write_kbs ? e |
        locking-mode - s | ipv4-allowed - sl | ipv6-allowed - sl | ipv4-configuration-mode | ipv4-addresses |
        ipv4-gateway | ipv6-configuration-mode | ipv6-addresses | ipv6-gateway | trunks ? sl"""),
    "vlan": ("VLAN", "uuid tagged-PIF untagged-PIF tag", """
        uuid | tagged-PIF tagged_PIF>uuid | untagged-PIF untagged_PIF>uuid | tag"""),
    "vm": ("VM", "name-label uuid power-state", VM_FIELDS),
    "vmss": ("VMSS", "uuid name-label name-description enabled type retained-snapshots frequency schedule last-run-time VMs", """
        uuid | name-label - s | name-description - s | enabled - s | type - s | retained-snapshots - s |
        frequency - s | schedule - m | last-run-time | VMs VMs>uuid l"""),
    "vtpm": ("VTPM", "uuid vm-uuid", """
        uuid | vm-uuid VM>uuid | vm-name-label VM>name_label | secret ? | is_unique | is_protected |
        allowed-operations - l"""),
    "vusb": ("VUSB", "uuid vm-uuid usb-group-uuid", """
        uuid | vm-uuid VM>uuid | vm-name-label VM>name_label | usb-group-uuid USB_group>uuid |
        usb-group-name-label USB_group>name_label | other-config - m | currently-attached |
        allowed-operations - l | current-operations - lV"""),
}

COMMANDS = [
    ("appliance-assert-can-be-recovered", "", "uuid", "database:",
     "VM_appliance.assert_can_be_recovered uuid #\"OpaqueRef:NULL\" ~database"),
    ("appliance-create", "", "name-label", "name-description",
     "VM_appliance.create { name_label=name-label name_description=name-description } > VM_appliance"),
    ("appliance-destroy", "", "uuid", "", "VM_appliance.destroy uuid"),
    ("appliance-recover", "", "uuid", "database: force",
     "VM_appliance.recover uuid #\"OpaqueRef:NULL\" force=false ~database"),
    ("appliance-shutdown", "", "uuid", "force", "VM_appliance.clean_shutdown|hard_shutdown uuid"),
    ("appliance-start", "", "uuid", "paused", "VM_appliance.start uuid paused"),
    ("audit-log-get", "", "filename", "since", ""),
    ("blob-create", "", "name", "mime-type vm-uuid host-uuid sr-uuid network-uuid pool-uuid public", ""),
    ("blob-get", "", "uuid filename", "", ""),
    ("blob-put", "", "uuid filename", "", ""),
    ("bond-create", "", "network-uuid pif-uuids", "mac mode properties:",
     "Bond.create network-uuid pif-uuids mac mode=balance-slb properties > Bond"),
    ("bond-destroy", "", "uuid", "", "Bond.destroy uuid"),
    ("bond-set-mode", "", "uuid mode", "", "Bond.set_mode uuid mode"),
    ("caller-create", "", "", "name-label name-description user-agent client-ip", ""),
    ("caller-destroy", "", "uuid", "", ""),
    ("caller-list-usage", "", "", "", ""),
    ("caller-query-usage", "", "", "uuid group", ""),
    ("cd-list", "", "", "params", ""),
    ("cluster-create", "", "pif-uuid", "cluster-stack pool-auto-join token-timeout token-timeout-coefficient",
     "Cluster.create pif-uuid cluster-stack=corosync pool-auto-join=true token-timeout=20.0 "
     "token-timeout-coefficient=1.0 > Cluster"),
    ("cluster-destroy", "", "uuid", "", "Cluster.destroy uuid"),
    ("cluster-host-create", "", "cluster-uuid host-uuid pif-uuid", "",
     "Cluster_host.create cluster-uuid host-uuid pif-uuid > Cluster_host"),
    ("cluster-host-destroy", "", "uuid", "", "Cluster_host.destroy uuid"),
    ("cluster-host-disable", "", "uuid", "", "Cluster_host.disable uuid"),
    ("cluster-host-enable", "", "uuid", "", "Cluster_host.enable uuid"),
    ("cluster-host-force-destroy", "", "uuid", "", "Cluster_host.force_destroy uuid"),
    ("cluster-pool-create", "", "network-uuid", "cluster-stack token-timeout token-timeout-coefficient",
     "Cluster.pool_create network-uuid cluster-stack=corosync token-timeout=20.0 "
     "token-timeout-coefficient=1.0 > Cluster"),
    ("cluster-pool-destroy", "", "cluster-uuid", "", "Cluster.pool_destroy cluster-uuid"),
    ("cluster-pool-force-destroy", "", "cluster-uuid", "", "Cluster.pool_force_destroy cluster-uuid"),
    ("cluster-pool-resync", "", "cluster-uuid", "", "Cluster.pool_resync cluster-uuid"),
    ("console", "vm", "", "", ""),
    ("diagnostic-compact", "host", "", "", ""),
    ("diagnostic-db-stats", "", "", "", ""),
    ("diagnostic-gc-stats", "host", "", "", ""),
    ("diagnostic-license-status", "", "", "", ""),
    ("diagnostic-net-stats", "host", "", "uri method params", ""),
    ("diagnostic-timing-stats", "", "", "", ""),
    ("diagnostic-vdi-status", "", "uuid", "", ""),
    ("diagnostic-vm-status", "", "uuid", "", ""),
    ("drtask-create", "", "type", "device-config: sr-whitelist",
     "DR_task.create type device-config sr-whitelist > DR_task"),
    ("drtask-destroy", "", "uuid", "", "DR_task.destroy uuid"),
    ("event-wait", "", "class", "", ""),
    ("gpu-group-create", "", "name-label", "name-description",
     "GPU_group.create name-label name-description #{} > GPU_group"),
    ("gpu-group-destroy", "", "uuid", "", "GPU_group.destroy uuid"),
    ("gpu-group-get-remaining-capacity", "", "uuid vgpu-type-uuid", "",
     "GPU_group.get_remaining_capacity uuid vgpu-type-uuid > text"),
    ("host-all-editions", "", "", "", ""),
    ("host-apply-edition", "", "edition", "host-uuid license-server-address license-server-port",
     "host.apply_edition host-uuid:h edition #false"),
    ("host-apply-updates", "host", "hash", "", "host.apply_updates @ hash > list"),
    ("host-backup", "host", "file-name", "", ""),
    ("host-bugreport-upload", "host", "", "url http_proxy", ""),
    ("host-call-plugin", "", "host-uuid plugin fn", "args:", "host.call_plugin host-uuid plugin fn args > text"),
    ("host-compute-free-memory", "host", "", "", "host.compute_free_memory @ > text"),
    ("host-compute-memory-overhead", "host", "", "", "host.compute_memory_overhead @ > text"),
    ("host-cpu-info", "", "", "uuid", ""),
    ("host-crashdump-destroy", "", "uuid", "", "host_crashdump.destroy uuid"),
    ("host-crashdump-upload", "", "uuid", "url http_proxy", "host_crashdump.upload uuid url #{} ~http_proxy"),
    ("host-data-source-forget", "host", "data-source", "", "host.forget_data_source_archives @ data-source"),
    ("host-data-source-list", "host", "", "", "host.get_data_sources @ > records"),
    ("host-data-source-query", "host", "data-source", "", "host.query_data_source @ data-source > text"),
    ("host-data-source-record", "host", "data-source", "", "host.record_data_source @ data-source"),
    ("host-declare-dead", "", "uuid", "", "host.declare_dead uuid"),
    ("host-disable", "host", "", "auto-enable", "host.disable @"),
    ("host-disable-display", "", "uuid", "", "host.disable_display uuid > text"),
    ("host-disable-external-auth", "", "host-uuid", "config:", "host.disable_external_auth host-uuid config"),
    ("host-disable-local-storage-caching", "host", "", "", "host.disable_local_storage_caching @"),
    ("host-disable-ssh", "host", "", "", ""),
    ("host-dmesg", "host", "", "", "host.dmesg @ > text"),
    ("host-emergency-clear-mandatory-guidance", "", "", "", "host.emergency_clear_mandatory_guidance"),
    ("host-emergency-disable-tls-verification", "", "", "", "host.emergency_disable_tls_verification"),
    ("host-emergency-ha-disable", "", "", "force soft", "host.emergency_ha_disable soft ~force"),
    ("host-emergency-management-reconfigure", "", "interface", "", "host.local_management_reconfigure interface"),
    ("host-emergency-reenable-tls-verification", "", "", "", "host.emergency_reenable_tls_verification"),
    ("host-emergency-reset-server-certificate", "", "", "", "host.emergency_reset_server_certificate"),
    ("host-enable", "host", "", "", "host.enable @"),
    ("host-enable-display", "", "uuid", "", "host.enable_display uuid > text"),
    ("host-enable-external-auth", "", "host-uuid auth-type service-name", "config:",
     "host.enable_external_auth host-uuid config service-name auth-type"),
    ("host-enable-local-storage-caching", "host", "sr-uuid", "", "host.enable_local_storage_caching @ sr-uuid"),
    ("host-enable-ssh", "host", "", "", ""),
    ("host-evacuate", "host", "", "network-uuid batch-size", "host.evacuate @ network-uuid batch-size"),
    ("host-external-auth-set-ldaps", "", "host-uuid ldaps", "force", ""),
    ("host-forget", "", "uuid", "", "host.destroy uuid"),
    ("host-get-cpu-features", "", "", "uuid", ""),
    ("host-get-server-certificate", "host", "", "", "host.get_server_certificate @ > text"),
    ("host-get-sm-diagnostics", "", "uuid", "", ""),
    ("host-get-system-status", "host", "filename", "entries output", ""),
    ("host-get-system-status-capabilities", "host", "", "", "host.get_system_status_capabilities @ > text"),
    ("host-get-thread-diagnostics", "", "uuid", "", ""),
    ("host-get-vms-which-prevent-evacuation", "", "uuid", "", ""),
    ("host-ha-xapi-healthcheck", "", "", "", ""),
    ("host-is-in-emergency-mode", "", "", "", ""),
    ("host-license-add", "", "license-file", "host-uuid", "host.license_add host-uuid:h license-file:F"),
    ("host-license-remove", "", "", "host-uuid", "host.license_remove host-uuid:h"),
    ("host-license-view", "", "", "host-uuid", ""),
    ("host-logs-download", "host", "", "file-name", ""),
    ("host-management-disable", "", "", "", "host.management_disable"),
    ("host-management-reconfigure", "", "pif-uuid", "", "host.management_reconfigure pif-uuid"),
    ("host-notify", "", "type", "params", ""),
    ("host-power-on", "host", "", "", "host.power_on @"),
    ("host-prepare-for-poweroff", "", "", "", ""),
    ("host-reboot", "host", "", "", "host.reboot @"),
    ("host-refresh-pack-info", "", "host-uuid", "", "host.refresh_pack_info host-uuid"),
    ("host-refresh-server-certificate", "host", "host", "", "host.refresh_server_certificate @"),
    ("host-reset-server-certificate", "host", "", "", "host.reset_server_certificate @"),
    ("host-restore", "host", "file-name", "", ""),
    ("host-retrieve-wlb-evacuate-recommendations", "", "uuid", "",
     "host.retrieve_wlb_evacuate_recommendations uuid > map"),
    ("host-send-debug-keys", "", "host-uuid keys", "", "host.send_debug_keys host-uuid keys"),
    ("host-server-certificate-install", "host", "certificate private-key", "certificate-chain",
     "host.install_server_certificate @ certificate:F private-key:F certificate-chain:F"),
    ("host-set-hostname-live", "host", "host-uuid host-name", "", "host.set_hostname_live host-uuid host-name"),
    ("host-set-power-on-mode", "host", "power-on-mode", "power-on-config",
     "host.set_power_on_mode @ power-on-mode power-on-config"),
    ("host-shutdown", "host", "", "", "host.shutdown @"),
    ("host-shutdown-agent", "", "", "", "host.shutdown_agent"),
    ("host-signal-networking-change", "", "", "", ""),
    ("host-sm-dp-destroy", "", "uuid dp", "allow-leak", ""),
    ("host-sync-data", "host", "", "", "host.sync_data @"),
    ("host-syslog-reconfigure", "", "host-uuid", "", "host.syslog_reconfigure host-uuid"),
    ("host-update-firewalld-service-status", "", "", "", ""),
    ("hostdriver-deselect", "", "uuid", "force", ""),
    ("hostdriver-rescan", "host", "", "", ""),
    ("hostdriver-select", "", "uuid variant-name", "", ""),
    ("hostdriver-variant-select", "", "uuid", "", ""),
    ("lvhd-enable-thin-provisioning", "host", "sr-uuid initial-allocation allocation-quantum", "",
     "LVHD.enable_thin_provisioning @ sr-uuid initial-allocation allocation-quantum > text"),
    ("message-create", "", "name priority body", "vm-uuid host-uuid sr-uuid pool-uuid", ""),
    ("message-destroy", "", "", "uuid uuids", ""),
    ("message-destroy-all", "", "", "before after priority", ""),
    ("network-attach", "", "uuid host-uuid", "", ""),
    ("network-create", "", "name-label", "name-description MTU bridge managed",
     "network.create { name_label=name-label name_description=name-description MTU=MTU=1500 "
     "bridge=bridge managed=managed=true other_config=#{} } > network"),
    ("network-destroy", "", "uuid", "", "network.destroy uuid"),
    ("network-sriov-create", "", "pif-uuid network-uuid", "",
     "network_sriov.create pif-uuid network-uuid > network_sriov"),
    ("network-sriov-destroy", "", "uuid", "", "network_sriov.destroy uuid"),
    ("observer-create", "", "name-label", "host-uuids name-description enabled attributes endpoints components",
     "Observer.create { name_label=name-label name_description=name-description hosts=host-uuids "
     "attributes=attributes endpoints=endpoints components=components enabled=enabled } > Observer"),
    ("observer-destroy", "", "uuid", "", "Observer.destroy uuid"),
    ("patch-apply", "", "uuid host-uuid", "", "pool_patch.apply uuid host-uuid > text"),
    ("patch-clean", "", "uuid", "", "pool_patch.clean uuid"),
    ("patch-destroy", "", "uuid", "", "pool_patch.destroy uuid"),
    ("patch-pool-apply", "", "uuid", "", "pool_patch.pool_apply uuid"),
    ("patch-pool-clean", "", "uuid", "", "pool_patch.pool_clean uuid"),
    ("patch-precheck", "", "uuid host-uuid", "", "pool_patch.precheck uuid host-uuid > text"),
    ("patch-upload", "", "file-name", "", ""),
    ("pbd-create", "", "host-uuid sr-uuid", "device-config:",
     "PBD.create { host=host-uuid SR=sr-uuid device_config=device-config } > PBD"),
    ("pbd-destroy", "", "uuid", "", "PBD.destroy uuid"),
    ("pbd-plug", "", "uuid", "", "PBD.plug uuid"),
    ("pbd-unplug", "", "uuid", "", "PBD.unplug uuid"),
    ("pci-disable-dom0-access", "", "uuid", "", ""),
    ("pci-enable-dom0-access", "", "uuid", "", ""),
    ("pci-get-dom0-access-status", "", "uuid", "", ""),
    ("pgpu-disable-dom0-access", "", "uuid", "", "PGPU.disable_dom0_access uuid > text"),
    ("pgpu-enable-dom0-access", "", "uuid", "", "PGPU.enable_dom0_access uuid > text"),
    ("pif-db-forget", "", "uuid", "", "PIF.db_forget uuid"),
    ("pif-forget", "", "uuid", "", "PIF.forget uuid"),
    ("pif-introduce", "", "host-uuid device", "mac managed",
     "PIF.introduce host-uuid mac device managed=true > PIF"),
    ("pif-plug", "", "uuid", "", "PIF.plug uuid"),
    ("pif-reconfigure-ip", "", "uuid mode", "IP netmask gateway DNS",
     "PIF.reconfigure_ip uuid mode IP netmask gateway DNS"),
    ("pif-reconfigure-ipv6", "", "uuid mode", "IPv6 gateway DNS",
     "PIF.reconfigure_ipv6 uuid mode IPv6 gateway DNS"),
    ("pif-scan", "", "host-uuid", "", "PIF.scan host-uuid"),
    ("pif-set-primary-address-type", "", "uuid primary_address_type", "",
     "PIF.set_primary_address_type uuid primary_address_type"),
    ("pif-unplug", "", "uuid", "", "PIF.unplug uuid"),
    ("pool-apply-edition", "", "edition", "uuid license-server-address license-server-port",
     "pool.apply_edition uuid:p edition"),
    ("pool-certificate-install", "", "filename", "", "pool.certificate_install filename:N filename:F"),
    ("pool-certificate-list", "", "", "", "pool.certificate_list > list"),
    ("pool-certificate-sync", "", "", "", "pool.certificate_sync"),
    ("pool-certificate-uninstall", "", "name", "", "pool.certificate_uninstall name"),
    ("pool-configure-repository-proxy", "", "proxy-url", "proxy-username proxy-password",
     "pool.configure_repository_proxy @pool proxy-url proxy-username proxy-password"),
    ("pool-configure-update-sync", "", "update-sync-frequency update-sync-day", "",
     "pool.configure_update_sync @pool update-sync-frequency update-sync-day"),
    ("pool-crl-install", "", "filename", "", "pool.crl_install filename:N filename:F"),
    ("pool-crl-list", "", "", "", "pool.crl_list > list"),
    ("pool-crl-uninstall", "", "name", "", "pool.crl_uninstall name"),
    ("pool-deconfigure-wlb", "", "", "", "pool.deconfigure_wlb"),
    ("pool-designate-new-master", "", "host-uuid", "", "pool.designate_new_master host-uuid"),
    ("pool-disable-binary-storage", "", "", "", ""),
    ("pool-disable-client-certificate-auth", "", "", "", "pool.disable_client_certificate_auth @pool"),
    ("pool-disable-external-auth", "", "", "uuid config:", "pool.disable_external_auth uuid:p config"),
    ("pool-disable-local-storage-caching", "", "uuid", "", "pool.disable_local_storage_caching uuid"),
    ("pool-disable-redo-log", "", "", "", "pool.disable_redo_log"),
    ("pool-disable-repository-proxy", "", "", "", "pool.disable_repository_proxy @pool"),
    ("pool-disable-ssh", "", "", "", ""),
    ("pool-disable-ssl-legacy", "", "", "uuid", "pool.disable_ssl_legacy uuid:p"),
    ("pool-dump-database", "", "file-name", "", ""),
    ("pool-eject", "", "host-uuid", "", "pool.eject host-uuid"),
    ("pool-emergency-reset-master", "", "master-address", "", "pool.emergency_reset_master master-address"),
    ("pool-emergency-transition-to-master", "", "", "force", "pool.emergency_transition_to_master ~force"),
    ("pool-enable-binary-storage", "", "", "", ""),
    ("pool-enable-client-certificate-auth", "", "name", "", "pool.enable_client_certificate_auth @pool name"),
    ("pool-enable-external-auth", "", "auth-type service-name", "uuid config:",
     "pool.enable_external_auth uuid:p config service-name auth-type"),
    ("pool-enable-local-storage-caching", "", "uuid", "", "pool.enable_local_storage_caching uuid"),
    ("pool-enable-redo-log", "", "sr-uuid", "", "pool.enable_redo_log sr-uuid"),
    ("pool-enable-ssh", "", "", "", ""),
    ("pool-enable-tls-verification", "", "", "", "pool.enable_tls_verification"),
    ("pool-external-auth-set-ldaps", "", "ldaps", "uuid force", ""),
    ("pool-get-cpu-features", "", "", "", ""),
    ("pool-get-guest-secureboot-readiness", "", "", "", ""),
    ("pool-ha-compute-hypothetical-max-host-failures-to-tolerate", "", "", "vm-uuid restart-priority", ""),
    ("pool-ha-compute-max-host-failures-to-tolerate", "", "", "",
     "pool.ha_compute_max_host_failures_to_tolerate > text"),
    ("pool-ha-compute-vm-failover-plan", "", "host-uuids", "", ""),
    ("pool-ha-disable", "", "", "", "pool.disable_ha"),
    ("pool-ha-enable", "", "", "heartbeat-sr-uuids ha-config:", "pool.enable_ha heartbeat-sr-uuids ha-config"),
    ("pool-ha-prevent-restarts-for", "", "seconds", "", "pool.ha_prevent_restarts_for seconds"),
    ("pool-initialize-wlb", "", "wlb_url wlb_username wlb_password xenserver_username xenserver_password", "",
     "pool.initialize_wlb wlb_url wlb_username wlb_password xenserver_username xenserver_password"),
    ("pool-install-ca-certificate", "", "filename", "", "pool.install_ca_certificate filename:N filename:F"),
    ("pool-install-trusted-certificate", "", "filename ca", "uuid purpose", ""),
    ("pool-join", "", "master-address master-username master-password", "force",
     "pool.join|join_force master-address master-username master-password"),
    ("pool-management-reconfigure", "", "network-uuid", "", "pool.management_reconfigure network-uuid"),
    ("pool-recover-slaves", "", "", "", "pool.recover_slaves > uuids host"),
    ("pool-reset-telemetry-uuid", "", "", "", "pool.reset_telemetry_uuid @pool"),
    ("pool-restore-database", "", "file-name", "dry-run", ""),
    ("pool-retrieve-wlb-configuration", "", "", "", "pool.retrieve_wlb_configuration > map"),
    ("pool-retrieve-wlb-diagnostics", "", "", "filename", ""),
    ("pool-retrieve-wlb-recommendations", "", "", "", "pool.retrieve_wlb_recommendations > map"),
    ("pool-retrieve-wlb-report", "", "report", "filename", ""),
    ("pool-secret-rotate", "", "", "", "pool.rotate_secret"),
    ("pool-send-test-post", "", "dest-host dest-port body", "",
     "pool.send_test_post dest-host dest-port body > text"),
    ("pool-send-wlb-configuration", "", "", "config:", "pool.send_wlb_configuration config"),
    ("pool-set-update-sync-enabled", "", "value", "", "pool.set_update_sync_enabled @pool value"),
    ("pool-set-vswitch-controller", "", "address", "", "pool.set_vswitch_controller address"),
    ("pool-sync-bundle", "", "filename", "", ""),
    ("pool-sync-database", "", "", "", "pool.sync_database"),
    ("pool-sync-updates", "", "", "force token token-id username password",
     "pool.sync_updates @pool force token token-id > text"),
    ("pool-uninstall-ca-certificate", "", "name", "force", "pool.uninstall_ca_certificate name ~force"),
    ("pool-uninstall-trusted-certificate", "", "certificate-uuid", "uuid", ""),
    ("pool-vlan-create", "", "pif-uuid vlan network-uuid", "",
     "pool.create_VLAN_from_PIF pif-uuid network-uuid vlan > uuids PIF"),
    ("pusb-scan", "", "host-uuid", "", "PUSB.scan host-uuid"),
    ("pvs-cache-storage-create", "host", "sr-uuid pvs-site-uuid size", "",
     "PVS_cache_storage.create { host=@ SR=sr-uuid site=pvs-site-uuid size=size } > PVS_cache_storage"),
    ("pvs-cache-storage-destroy", "", "uuid", "", "PVS_cache_storage.destroy uuid"),
    ("pvs-proxy-create", "", "pvs-site-uuid vif-uuid", "", "PVS_proxy.create pvs-site-uuid vif-uuid > PVS_proxy"),
    ("pvs-proxy-destroy", "", "uuid", "", "PVS_proxy.destroy uuid"),
    ("pvs-server-forget", "", "uuid", "", "PVS_server.forget uuid"),
    ("pvs-server-introduce", "", "addresses first-port last-port pvs-site-uuid", "",
     "PVS_server.introduce addresses first-port last-port pvs-site-uuid > PVS_server"),
    ("pvs-site-forget", "", "uuid", "", "PVS_site.forget uuid"),
    ("pvs-site-introduce", "", "name-label", "name-description pvs-uuid",
     "PVS_site.introduce name-label name-description pvs-uuid > PVS_site"),
    ("rate-limit-add-caller", "", "uuid caller-uuid", "", ""),
    ("rate-limit-create", "", "burst-size fill-rate", "name-label name-description caller-uuids", ""),
    ("rate-limit-destroy", "", "uuid", "", ""),
    ("rate-limit-remove-caller", "", "uuid caller-uuid", "", ""),
    ("repository-forget", "", "uuid", "", "Repository.forget uuid"),
    ("repository-introduce", "", "name-label binary-url source-url update", "name-description gpgkey-path",
     "Repository.introduce name-label name-description binary-url source-url update gpgkey-path > Repository"),
    ("repository-introduce-bundle", "", "name-label", "name-description", ""),
    ("repository-introduce-remote-pool", "", "name-label binary-url certificate-file", "name-description", ""),
    ("repository-set-gpgkey-path", "", "uuid gpgkey-path", "", "Repository.set_gpgkey_path uuid gpgkey-path"),
    ("sdn-controller-forget", "", "uuid", "", "SDN_controller.forget uuid"),
    ("sdn-controller-introduce", "", "", "address protocol tcp-port",
     "SDN_controller.introduce protocol=ssl address tcp-port > SDN_controller"),
    ("secret-create", "", "value", "", "secret.create { value=value other_config=#{} } > secret"),
    ("secret-destroy", "", "uuid", "", "secret.destroy uuid"),
    ("session-subject-identifier-list", "", "", "", "session.get_all_subject_identifiers > list"),
    ("session-subject-identifier-logout", "", "subject-identifier", "",
     "session.logout_subject_identifier subject-identifier"),
    ("session-subject-identifier-logout-all", "", "", "", ""),
    ("snapshot-clone", "", "new-name-label", "uuid new-name-description",
     "VM.clone uuid new-name-label > VM & VM.set_name_description new-name-description"),
    ("snapshot-copy", "", "new-name-label", "uuid new-name-description sr-uuid",
     "VM.copy uuid new-name-label sr-uuid > VM & VM.set_name_description new-name-description"),
    ("snapshot-destroy", "", "", "uuid snapshot-uuid", "VM.destroy snapshot-uuid|uuid"),
    ("snapshot-disk-list", "vm", "", "uuid snapshot-uuid vbd-params vdi-params", ""),
    ("snapshot-export-to-template", "", "filename snapshot-uuid", "preserve-power-state compress metadata excluded-device-types",
     ""),
    ("snapshot-reset-powerstate", "vm", "", "uuid snapshot-uuid force", "VM.power_state_reset @ ~force"),
    ("snapshot-revert", "", "", "uuid snapshot-uuid", "VM.revert snapshot-uuid|uuid"),
    ("snapshot-uninstall", "", "", "uuid snapshot-uuid force", ""),
    ("sr-create", "", "name-label type", "name-description host-uuid device-config: shared physical-size content-type sm-config:",
     "SR.create host-uuid:h device-config physical-size name-label name-description type content-type "
     "shared sm-config > SR"),
    ("sr-data-source-forget", "sr", "data-source", "", "SR.forget_data_source_archives @ data-source"),
    ("sr-data-source-list", "sr", "", "", "SR.get_data_sources @ > records"),
    ("sr-data-source-query", "sr", "data-source", "", "SR.query_data_source @ data-source > text"),
    ("sr-data-source-record", "sr", "data-source", "", "SR.record_data_source @ data-source"),
    ("sr-destroy", "", "uuid", "", "SR.destroy uuid"),
    ("sr-disable-database-replication", "", "uuid", "", "SR.disable_database_replication uuid"),
    ("sr-enable-database-replication", "", "uuid", "", "SR.enable_database_replication uuid"),
    ("sr-forget", "", "uuid", "", "SR.forget uuid"),
    ("sr-introduce", "", "name-label type uuid", "name-description shared content-type",
     "SR.introduce uuid name-label name-description type content-type shared #{} > SR"),
    ("sr-probe", "", "type", "host-uuid device-config: sm-config:",
     "SR.probe host-uuid:h device-config type sm-config > text"),
    ("sr-probe-ext", "", "type", "host-uuid device-config: sm-config:",
     "SR.probe_ext host-uuid:h device-config type sm-config > records"),
    ("sr-scan", "", "uuid", "", "SR.scan uuid"),
    ("sr-update", "", "uuid", "", "SR.update uuid"),
    ("subject-add", "", "subject-name", "", ""),
    ("subject-remove", "", "subject-uuid", "", "subject.destroy subject-uuid"),
    ("subject-role-add", "", "uuid", "role-name role-uuid", ""),
    ("subject-role-remove", "", "uuid", "role-name role-uuid", ""),
    ("task-cancel", "", "uuid", "", "task.cancel uuid"),
    ("template-export", "", "filename template-uuid", "compress metadata excluded-device-types", ""),
    ("template-uninstall", "", "template-uuid", "force", ""),
    ("tunnel-create", "", "pif-uuid network-uuid", "protocol",
     "tunnel.create pif-uuid network-uuid protocol=gre > tunnel"),
    ("tunnel-destroy", "", "uuid", "", "tunnel.destroy uuid"),
    ("update-apply", "host", "uuid", "", "pool_update.apply uuid @"),
    ("update-destroy", "", "uuid", "", "pool_update.destroy uuid"),
    ("update-introduce", "", "vdi-uuid", "", "pool_update.introduce vdi-uuid > pool_update"),
    ("update-pool-apply", "", "uuid", "", "pool_update.pool_apply uuid"),
    ("update-pool-clean", "", "uuid", "", "pool_update.pool_clean uuid"),
    ("update-precheck", "host", "uuid", "", "pool_update.precheck uuid @ > text"),
    ("update-resync-host", "", "host-uuid", "", ""),
    ("update-upload", "", "file-name", "sr-uuid", ""),
    ("user-password-change", "", "new", "old", "session.change_password old new"),
    ("vbd-create", "", "vm-uuid device", "vdi-uuid bootable type mode unpluggable",
     'VBD.create { VM=vm-uuid VDI=vdi-uuid userdevice=device bootable=bootable mode=mode=RW '
     'type=type=Disk unpluggable=unpluggable=true empty=vdi-uuid:x other_config=#{} '
     'qos_algorithm_type=#"" qos_algorithm_params=#{} } > VBD'),
    ("vbd-destroy", "", "uuid", "", "VBD.destroy uuid"),
    ("vbd-eject", "", "uuid", "", "VBD.eject uuid"),
    ("vbd-insert", "", "uuid vdi-uuid", "", "VBD.insert uuid vdi-uuid"),
    ("vbd-pause", "", "uuid", "", ""),
    ("vbd-plug", "", "uuid", "", "VBD.plug uuid"),
    ("vbd-unpause", "", "uuid token", "", ""),
    ("vbd-unplug", "", "uuid", "timeout force", "VBD.unplug|unplug_force uuid"),
    ("vdi-clone", "", "uuid", "driver-params- new-name-label new-name-description",
     "VDI.clone uuid driver-params > VDI & VDI.set_name_label new-name-label & "
     "VDI.set_name_description new-name-description"),
    ("vdi-copy", "", "uuid", "sr-uuid base-vdi-uuid into-vdi-uuid",
     "VDI.copy uuid sr-uuid base-vdi-uuid into-vdi-uuid > VDI"),
    ("vdi-create", "", "sr-uuid name-label virtual-size", "sm-config: sharable tags: type",
     'VDI.create { SR=sr-uuid name_label=name-label name_description=#"" virtual_size=virtual-size '
     'type=type=user sharable=sharable read_only=#false other_config=#{} xenstore_data=#{} '
     'sm_config=sm-config tags=tags } > VDI'),
    ("vdi-data-destroy", "", "uuid", "", "VDI.data_destroy uuid"),
    ("vdi-destroy", "", "uuid", "", "VDI.destroy uuid"),
    ("vdi-disable-cbt", "", "uuid", "", "VDI.disable_cbt uuid"),
    ("vdi-enable-cbt", "", "uuid", "", "VDI.enable_cbt uuid"),
    ("vdi-export", "", "uuid filename", "format base progress", ""),
    ("vdi-forget", "", "uuid", "", "VDI.forget uuid"),
    ("vdi-generate-config", "", "host-uuid uuid", "", ""),
    ("vdi-import", "", "uuid filename", "format progress", ""),
    ("vdi-introduce", "", "uuid sr-uuid type location", "name-description sharable read-only managed other-config: xenstore-data: sm-config: name-label",
     'VDI.introduce uuid name-label name-description sr-uuid type sharable read-only other-config '
     'location xenstore-data sm-config managed=true #0 #0 #"OpaqueRef:NULL" #false '
     '#"19700101T00:00:00Z" #"OpaqueRef:NULL" > VDI'),
    ("vdi-list-changed-blocks", "", "vdi-from-uuid vdi-to-uuid", "",
     "VDI.list_changed_blocks vdi-from-uuid vdi-to-uuid > text"),
    ("vdi-pool-migrate", "", "uuid sr-uuid", "dest-img-format", "VDI.pool_migrate uuid sr-uuid #{} > VDI"),
    ("vdi-resize", "", "uuid disk-size", "online", "VDI.resize uuid disk-size ~online"),
    ("vdi-snapshot", "", "uuid", "driver-params-", "VDI.snapshot uuid driver-params > VDI"),
    ("vdi-unlock", "", "uuid", "force", ""),
    ("vdi-update", "", "uuid", "", "VDI.update uuid"),
    ("vgpu-create", "", "vm-uuid gpu-group-uuid", "vgpu-type-uuid device",
     "VGPU.create vm-uuid gpu-group-uuid device=0 #{} vgpu-type-uuid > VGPU"),
    ("vgpu-destroy", "", "uuid", "", "VGPU.destroy uuid"),
    ("vif-configure-ipv4", "", "uuid mode", "address gateway", "VIF.configure_ipv4 uuid mode address gateway"),
    ("vif-configure-ipv6", "", "uuid mode", "address gateway", "VIF.configure_ipv6 uuid mode address gateway"),
    ("vif-create", "", "device network-uuid vm-uuid", "mac", ""),
    ("vif-destroy", "", "uuid", "", "VIF.destroy uuid"),
    ("vif-move", "", "uuid network-uuid", "", "VIF.move uuid network-uuid"),
    ("vif-plug", "", "uuid", "", "VIF.plug uuid"),
    ("vif-unplug", "", "uuid", "force", "VIF.unplug|unplug_force uuid"),
    ("vlan-create", "", "pif-uuid vlan network-uuid", "",
     "VLAN.create pif-uuid vlan network-uuid > VLAN untagged_PIF>uuid"),
    ("vlan-destroy", "", "uuid", "", "VLAN.destroy uuid"),
    ("vm-assert-can-be-recovered", "", "uuid", "database:",
     "VM.assert_can_be_recovered uuid #\"OpaqueRef:NULL\" ~database"),
    ("vm-call-host-plugin", "", "vm-uuid plugin fn", "args:", ""),
    ("vm-call-plugin", "", "vm-uuid plugin fn", "args:", "VM.call_plugin vm-uuid plugin fn args > text"),
    ("vm-cd-add", "vm", "cd-name device", "", ""),
    ("vm-cd-eject", "vm", "", "", ""),
    ("vm-cd-insert", "vm", "cd-name", "", ""),
    ("vm-cd-list", "vm", "", "vbd-params vdi-params", ""),
    ("vm-cd-remove", "vm", "cd-name", "", ""),
    ("vm-checkpoint", "vm", "new-name-label", "new-name-description",
     "VM.checkpoint @ new-name-label > VM & VM.set_name_description new-name-description"),
    ("vm-clone", "vm", "new-name-label", "new-name-description",
     "VM.clone @ new-name-label > VM & VM.set_name_description new-name-description"),
    ("vm-compute-maximum-memory", "vm", "total", "approximate",
     "VM.maximise_memory @ total approximate=true > text"),
    ("vm-compute-memory-overhead", "vm", "", "", "VM.compute_memory_overhead @ > text"),
    ("vm-copy", "vm", "new-name-label", "new-name-description sr-uuid",
     "VM.copy @ new-name-label sr-uuid > VM & VM.set_name_description new-name-description"),
    ("vm-copy-bios-strings", "vm", "host-uuid", "", "VM.copy_bios_strings @ host-uuid"),
    ("vm-crashdump-list", "vm", "", "", ""),
    ("vm-create", "", "name-label", "name-description",
     'VM.create { name_label=name-label name_description=name-description user_version=#1 '
     'is_a_template=#false affinity=#"OpaqueRef:NULL" memory_target=#0 memory_static_max=#1073741824 '
     'memory_dynamic_max=#1073741824 memory_dynamic_min=#1073741824 memory_static_min=#536870912 '
     'VCPUs_max=#1 VCPUs_at_startup=#1 VCPUs_params=#{} actions_after_shutdown=#"destroy" '
     'actions_after_reboot=#"restart" actions_after_crash=#"restart" HVM_boot_policy=#"BIOS order" '
     'HVM_boot_params=#{"order":"cd"} platform=#{"cores-per-socket":"1"} other_config=#{} } > VM'),
    ("vm-data-source-forget", "vm", "data-source", "", "VM.forget_data_source_archives @ data-source"),
    ("vm-data-source-list", "vm", "", "", "VM.get_data_sources @ > records"),
    ("vm-data-source-query", "vm", "data-source", "", "VM.query_data_source @ data-source > text"),
    ("vm-data-source-record", "vm", "data-source", "", "VM.record_data_source @ data-source"),
    ("vm-destroy", "", "uuid", "", "VM.destroy uuid"),
    ("vm-disk-add", "vm", "disk-size device", "sr-uuid", ""),
    ("vm-disk-list", "vm", "", "vbd-params vdi-params", ""),
    ("vm-disk-remove", "vm", "device", "", ""),
    ("vm-export", "vm", "filename", "preserve-power-state compress metadata excluded-device-types include-snapshots",
     ""),
    ("vm-get-secureboot-readiness", "", "uuid", "", ""),
    ("vm-group-create", "", "name-label placement", "name-description", ""),
    ("vm-group-destroy", "", "uuid", "", ""),
    ("vm-import", "", "", "filename preserve sr-uuid force host-username host-password type remote-config dry-run metadata url vdi:",
     ""),
    ("vm-install", "", "new-name-label", "sr-name-label sr-uuid template copy-bios-strings-from", ""),
    ("vm-is-bios-customized", "vm", "", "", ""),
    ("vm-memory-balloon", "vm", "target", "", "VM.set_memory_target_live @ target"),
    ("vm-memory-dynamic-range-set", "vm", "min max", "", "VM.set_memory_dynamic_range @ min max"),
    ("vm-memory-limits-set", "vm", "static-min static-max dynamic-min dynamic-max", "",
     "VM.set_memory_limits @ static-min static-max dynamic-min dynamic-max"),
    ("vm-memory-set", "vm", "memory", "", "VM.set_memory @ memory"),
    ("vm-memory-shadow-multiplier-set", "vm", "multiplier", "", "VM.set_shadow_multiplier_live @ multiplier"),
    ("vm-memory-static-range-set", "vm", "min max", "", "VM.set_memory_static_range @ min max"),
    ("vm-memory-target-set", "vm", "target", "", "VM.set_memory_target_live @ target"),
    ("vm-memory-target-wait", "vm", "", "", "VM.wait_memory_target_live @"),
    ("vm-migrate", "vm", "", "live host host-uuid remote-master remote-username remote-password remote-network force copy compress vif: vdi: image-format:",
     ""),
    ("vm-pause", "vm", "", "", "VM.pause @"),
    ("vm-query-services", "vm", "", "", "VM.query_services @ > map"),
    ("vm-reboot", "vm", "", "force", "VM.clean_reboot|hard_reboot @"),
    ("vm-recover", "", "uuid", "database: force", "VM.recover uuid #\"OpaqueRef:NULL\" force=false ~database"),
    ("vm-reset-powerstate", "vm", "", "force", "VM.power_state_reset @ ~force"),
    ("vm-restart-device-models", "vm", "", "", "VM.restart_device_models @"),
    ("vm-resume", "vm", "", "force on", ""),
    ("vm-retrieve-wlb-recommendations", "vm", "", "", "VM.retrieve_wlb_recommendations @ > map"),
    ("vm-set-uefi-mode", "", "uuid mode", "", ""),
    ("vm-shutdown", "vm", "", "force", "VM.clean_shutdown|hard_shutdown @"),
    ("vm-snapshot", "vm", "new-name-label", "new-name-description ignore-vdi-uuids",
     "VM.snapshot @ new-name-label ignore-vdi-uuids > VM & VM.set_name_description new-name-description"),
    ("vm-snapshot-with-quiesce", "vm", "new-name-label", "new-name-description",
     "VM.snapshot_with_quiesce @ new-name-label ~new-name-description > VM"),
    ("vm-start", "vm", "", "force on paused", ""),
    ("vm-suspend", "vm", "", "", "VM.suspend @"),
    ("vm-sysprep", "vm", "filename", "timeout", ""),
    ("vm-uninstall", "vm", "", "force", ""),
    ("vm-unpause", "vm", "", "", "VM.unpause @"),
    ("vm-update-secureboot-certificates-on-boot", "vm", "mark", "", ""),
    ("vm-vcpu-hotplug", "vm", "new-vcpus", "", "VM.set_VCPUs_number_live @ new-vcpus"),
    ("vm-vif-list", "vm", "", "", ""),
    ("vmss-create", "", "name-label type frequency", "name-description enabled schedule: retained-snapshots",
     "VMSS.create { name_label=name-label name_description=name-description enabled=enabled=true "
     "type=type frequency=frequency retained_snapshots=retained-snapshots=7 schedule=schedule } > "
     "VMSS"),
    ("vmss-destroy", "", "uuid", "", "VMSS.destroy uuid"),
    ("vtpm-create", "", "vm-uuid", "is-unique", "VTPM.create vm-uuid is-unique > VTPM"),
    ("vtpm-destroy", "", "uuid", "force", "VTPM.destroy uuid ~force"),
    ("vusb-create", "", "usb-group-uuid vm-uuid", "", "VUSB.create vm-uuid usb-group-uuid #{} > VUSB"),
    ("vusb-destroy", "", "uuid", "", "VUSB.destroy uuid"),
    ("vusb-unplug", "", "uuid", "", "VUSB.unplug uuid"),
]

# Commands of our own, beside xe's.
OWN_COMMANDS = [
    ("history", "", "", "class object since until limit all-fields", ""),
    ("diff", "", "from", "to class object", ""),
    ("blame", "", "", "field class object", ""),
    ("undo", "", "", "change field class object", ""),
    ("audit-verify", "", "", "filename", ""),
    ("recycle-restore", "", "item", "", "serai.recycle_restore item > text"),
    ("recycle-empty", "", "", "item", "serai.recycle_empty item"),
    ("sr-debt", "", "uuid", "", "serai.get_storage_debt uuid > map"),
    ("role-create", "", "name-label", "name-description base allow deny",
     "serai.role_create name-label name-description base allow deny > role"),
    ("role-destroy", "", "uuid", "", "serai.role_destroy uuid"),
    ("token-create", "", "name-label role", "expires methods vm-uuids", ""),
    ("token-revoke", "", "uuid", "", "serai.token_revoke uuid"),
    ("vm-console", "vm", "", "", ""),
    ("image-import", "", "filename", "name-label format sr-uuid template network-uuid memory vcpus name-description", ""),
    ("template-import", "", "name-label", "filename sr-uuid network-uuid memory vcpus name-description kernel ramdisk args",
     ""),
]

# Parameters of our own that some of xe's commands take besides.
OWN_OPTIONS = {
    "vm-install": "cloud-init ssh-key hostname",
}

# Left out of "help" and completion.
HIDDEN = """
    blob-create blob-get blob-put cluster-create cluster-host-create host-disable-external-auth
    host-enable-external-auth host-external-auth-set-ldaps host-ha-xapi-healthcheck host-notify
    host-prepare-for-poweroff host-refresh-pack-info host-retrieve-wlb-evacuate-recommendations
    host-signal-networking-change network-attach pif-db-forget pool-disable-binary-storage
    pool-enable-binary-storage pool-ha-compute-hypothetical-max-host-failures-to-tolerate
    pool-ha-prevent-restarts-for pool-set-vswitch-controller update-resync-host vbd-pause vbd-unpause
    vdi-generate-config vm-create vm-memory-balloon vm-memory-target-wait vm-query-services"""

# Refused without --force (or dry-run=true, where that is a parameter).
FORCED = """
    host-disable-external-auth host-emergency-ha-disable host-enable-external-auth pool-restore-database
    snapshot-reset-powerstate vm-reset-powerstate vtpm-destroy"""

NOT_SERVED = [
    ("XenServer's public API has no such call", """
        host-ha-xapi-healthcheck host-notify host-sm-dp-destroy network-attach pool-disable-binary-storage
        pool-enable-binary-storage vbd-pause vbd-unpause vdi-generate-config vdi-unlock"""),
    ("this version of the API has no limits of callers", """
        caller-create caller-destroy caller-list-usage caller-query-usage rate-limit-add-caller rate-limit-create
        rate-limit-destroy rate-limit-remove-caller"""),
    ("this version of the API has no groups of VMs", "vm-group-create vm-group-destroy"),
    ("this version of the API has no choice of drivers", """
        hostdriver-deselect hostdriver-rescan hostdriver-select hostdriver-variant-select"""),
    ("this version of the API has no LDAP over TLS to be set after enabling: give it to pool-enable-external-auth", """
        host-external-auth-set-ldaps pool-external-auth-set-ldaps"""),
    ("the host's SSH service is the distribution's: use systemctl there", """
        host-disable-ssh host-enable-ssh pool-disable-ssh pool-enable-ssh"""),
    ("the host's firewall is the distribution's: use nft there", "host-update-firewalld-service-status"),
    ("the host's network settings and power are watched as they are", """
        host-prepare-for-poweroff host-signal-networking-change"""),
    ("the distribution's package manager brings updates", """
        patch-upload pool-sync-bundle repository-introduce-bundle repository-introduce-remote-pool update-resync-host
        update-upload"""),
    ("the host's system is the distribution's: back it up with its tools, and the pool with pool-dump-database", """
        host-backup host-restore"""),
    ("the log is the journal of the host; host-get-system-status fetches what support needs", "host-logs-download"),
    ("XenServer's own memory, locks and storage manager are looked into with it; GET /metrics shows ours", """
        diagnostic-compact diagnostic-db-stats diagnostic-gc-stats diagnostic-net-stats diagnostic-timing-stats
        host-get-sm-diagnostics host-get-thread-diagnostics"""),
    ("everything is free: there is no licence to look at", "diagnostic-license-status"),
    ("there is no workload balancing service", "pool-retrieve-wlb-diagnostics pool-retrieve-wlb-report"),
    ("devices are not taken from the host's own system", """
        pci-disable-dom0-access pci-enable-dom0-access pci-get-dom0-access-status"""),
    ("this version of the API has no state of Secure Boot certificates; the firmware of machines brings its own keys", """
        pool-get-guest-secureboot-readiness vm-get-secureboot-readiness vm-set-uefi-mode
        vm-update-secureboot-certificates-on-boot"""),
    ("this version of the API cannot run sysprep in a guest", "vm-sysprep"),
]
