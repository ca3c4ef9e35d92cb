# SPDX-License-Identifier: Apache-2.0
"""Error codes with the names of their parameters; {0}, {1} in a sentence stand for them."""

E("ACTIVATION_WHILE_NOT_FREE",
  doc="")
E("ADDRESS_VIOLATES_LOCKING_CONSTRAINT", ["address"],
  doc="")
E("APPLY_GUIDANCE_FAILED", ["ref"],
  doc="")
E("APPLY_LIVEPATCH_FAILED", ["livepatch"],
  doc="")
E("APPLY_UPDATES_FAILED", ["ref"],
  doc="")
E("APPLY_UPDATES_IN_PROGRESS",
  doc="")
E("AUTH_ALREADY_ENABLED", ["current auth_type", "current service_name"],
  doc="")
E("AUTH_DISABLE_FAILED", ["message"],
  doc="")
E("AUTH_DISABLE_FAILED_PERMISSION_DENIED", ["message"],
  doc="")
E("AUTH_DISABLE_FAILED_WRONG_CREDENTIALS", ["message"],
  doc="")
E("AUTH_ENABLE_FAILED", ["message"],
  doc="")
E("AUTH_ENABLE_FAILED_DOMAIN_LOOKUP_FAILED", ["message"],
  doc="")
E("AUTH_ENABLE_FAILED_INVALID_ACCOUNT", ["message"],
  doc="")
E("AUTH_ENABLE_FAILED_INVALID_OU", ["message"],
  doc="")
E("AUTH_ENABLE_FAILED_INVALID_TRUSTED_CERTS", ["message"],
  doc="")
E("AUTH_ENABLE_FAILED_NO_TRUSTED_CERTS", ["message"],
  doc="")
E("AUTH_ENABLE_FAILED_PERMISSION_DENIED", ["message"],
  doc="")
E("AUTH_ENABLE_FAILED_UNAVAILABLE", ["message"],
  doc="")
E("AUTH_ENABLE_FAILED_WRONG_CREDENTIALS", ["message"],
  doc="")
E("AUTH_INVALID_TRUSTED_CERTS", ["message"],
  doc="")
E("AUTH_IS_DISABLED",
  doc="")
E("AUTH_NO_TRUSTED_CERTS", ["message"],
  doc="")
E("AUTH_SERVICE_ERROR", ["message"],
  doc="")
E("AUTH_SETUP_TLS_CONNECTION", ["message"],
  doc="")
E("AUTH_SET_LDAPS_FAILED", ["host", "message"],
  doc="")
E("AUTH_UNKNOWN_TYPE", ["type"],
  doc="")
E("BACKUP_SCRIPT_FAILED", ["log"],
  doc="")
E("BALLOONING_TIMEOUT_BEFORE_MIGRATION", ["vm"],
  doc="")
E("BLOCKED_REPO_URL", ["url"],
  doc="")
E("BOOTLOADER_FAILED", ["vm", "msg"],
  doc="")
E("BOOT_DEVICE_PASSTHROUGH_DISALLOWED", ["device"],
  doc="")
E("BRIDGE_NAME_EXISTS", ["bridge"],
  doc="")
E("BRIDGE_NOT_AVAILABLE", ["bridge"],
  doc="")
E("BUNDLE_REPOSITORY_ALREADY_EXISTS", ["ref"],
  doc="")
E("BUNDLE_REPO_NOT_ENABLED",
  doc="")
E("BUNDLE_SYNC_FAILED",
  doc="")
E("BUNDLE_UNPACK_FAILED", ["error"],
  doc="")
E("CANNOT_ADD_TUNNEL_TO_BOND_SLAVE", ["PIF"],
  doc="")
E("CANNOT_ADD_TUNNEL_TO_SRIOV_LOGICAL", ["PIF"],
  doc="")
E("CANNOT_ADD_TUNNEL_TO_VLAN_ON_SRIOV_LOGICAL", ["PIF"],
  doc="")
E("CANNOT_ADD_VLAN_TO_BOND_SLAVE", ["PIF"],
  doc="")
E("CANNOT_CHANGE_PIF_PROPERTIES", ["PIF"],
  doc="")
E("CANNOT_CONTACT_HOST", ["host"],
  doc="")
E("CANNOT_CREATE_STATE_FILE",
  doc="")
E("CANNOT_DESTROY_DISASTER_RECOVERY_TASK", ["reason"],
  doc="")
E("CANNOT_DESTROY_SYSTEM_NETWORK", ["network"],
  doc="")
E("CANNOT_ENABLE_REDO_LOG", ["reason"],
  doc="")
E("CANNOT_EVACUATE_HOST", ["errors"],
  doc="")
E("CANNOT_FETCH_PATCH", ["uuid"],
  doc="")
E("CANNOT_FIND_OEM_BACKUP_PARTITION",
  doc="")
E("CANNOT_FIND_PATCH",
  doc="")
E("CANNOT_FIND_STATE_PARTITION",
  doc="")
E("CANNOT_FIND_UPDATE",
  doc="")
E("CANNOT_FORGET_SRIOV_LOGICAL", ["PIF"],
  doc="")
E("CANNOT_PLUG_BOND_SLAVE", ["PIF"],
  doc="")
E("CANNOT_PLUG_VIF", ["VIF"],
  doc="")
E("CANNOT_RESET_CONTROL_DOMAIN", ["vm"],
  doc="")
E("CANNOT_RESTART_DEVICE_MODEL", ["ref"],
  doc="")
E("CAN_NOT_PERIODIC_SYNC_UPDATES",
  doc="")
E("CAN_NOT_SYNC_UPDATES",
  doc="")
E("CERTIFICATE_ALREADY_EXISTS", ["name"],
  doc="")
E("CERTIFICATE_CORRUPT", ["name"],
  doc="")
E("CERTIFICATE_DOES_NOT_EXIST", ["name"],
  doc="")
E("CERTIFICATE_LACKS_PURPOSE",
  doc="")
E("CERTIFICATE_LIBRARY_CORRUPT",
  doc="")
E("CERTIFICATE_NAME_INVALID", ["name"],
  doc="")
E("CHANGE_PASSWORD_REJECTED", ["msg"],
  doc="")
E("CLUSTERED_SR_DEGRADED", ["sr"],
  doc="")
E("CLUSTERING_DISABLED", ["cluster_host"],
  doc="")
E("CLUSTERING_ENABLED", ["cluster_host"],
  doc="")
E("CLUSTER_ALREADY_EXISTS",
  doc="")
E("CLUSTER_CREATE_IN_PROGRESS",
  doc="")
E("CLUSTER_DOES_NOT_HAVE_ONE_NODE", ["number_of_nodes"],
  doc="")
E("CLUSTER_FORCE_DESTROY_FAILED", ["cluster"],
  doc="")
E("CLUSTER_HOST_IS_LAST", ["cluster_host"],
  doc="")
E("CLUSTER_HOST_NOT_JOINED", ["cluster_host"],
  doc="")
E("CLUSTER_STACK_IN_USE", ["cluster_stack"],
  doc="")
E("CONFIGURE_REPOSITORIES_IN_PROGRESS",
  doc="")
E("COULD_NOT_IMPORT_DATABASE", ["reason"],
  doc="")
E("COULD_NOT_UPDATE_IGMP_SNOOPING_EVERYWHERE",
  doc="")
E("CPU_FEATURE_MASKING_NOT_SUPPORTED", ["details"],
  doc="")
E("CRL_ALREADY_EXISTS", ["name"],
  doc="")
E("CRL_CORRUPT", ["name"],
  doc="")
E("CRL_DOES_NOT_EXIST", ["name"],
  doc="")
E("CRL_NAME_INVALID", ["name"],
  doc="")
E("DB_UNIQUENESS_CONSTRAINT_VIOLATION", ["table", "field", "value"],
  doc="")
E("DEFAULT_SR_NOT_FOUND", ["sr"],
  doc="")
E("DEVICE_ALREADY_ATTACHED", ["device"],
  doc="")
E("DEVICE_ALREADY_DETACHED", ["device"],
  doc="")
E("DEVICE_ALREADY_EXISTS", ["device"],
  doc="")
E("DEVICE_ATTACH_TIMEOUT", ["type", "ref"],
  doc="")
E("DEVICE_DETACH_REJECTED", ["type", "ref", "msg"],
  doc="")
E("DEVICE_DETACH_TIMEOUT", ["type", "ref"],
  doc="")
E("DEVICE_NOT_ATTACHED", ["VBD"],
  doc="")
E("DISABLE_SSH_FAILED", ["host"],
  doc="")
E("DISABLE_SSH_PARTIALLY_FAILED", ["hosts"],
  doc="")
E("DISK_VBD_MUST_BE_READWRITE_FOR_HVM", ["vbd"],
  doc="")
E("DOMAIN_BUILDER_ERROR", ["function", "code", "message"],
  doc="")
E("DOMAIN_EXISTS", ["vm", "domid"],
  doc="")
E("DUPLICATE_MAC_SEED", ["seed"],
  doc="")
E("DUPLICATE_PIF_DEVICE_NAME", ["device"],
  doc="")
E("DUPLICATE_VM", ["vm"],
  doc="")
E("ENABLE_SSH_FAILED", ["host"],
  doc="")
E("ENABLE_SSH_PARTIALLY_FAILED", ["hosts"],
  doc="")
E("EVENTS_LOST",
  doc="")
E("EVENT_FROM_TOKEN_PARSE_FAILURE", ["token"],
  doc="")
E("EVENT_SUBSCRIPTION_PARSE_FAILURE", ["subscription"],
  doc="")
E("FAILED_TO_START_EMULATOR", ["vm", "name", "msg"],
  doc="")
E("FEATURE_REQUIRES_HVM", ["details"],
  doc="")
E("FEATURE_RESTRICTED",
  doc="")
E("FIELD_TYPE_ERROR", ["field"],
  doc="")
E("GET_HOST_UPDATES_FAILED", ["ref"],
  doc="")
E("GET_UPDATES_FAILED",
  doc="")
E("GPU_GROUP_CONTAINS_NO_PGPUS", ["gpu_group"],
  doc="")
E("GPU_GROUP_CONTAINS_PGPU", ["pgpus"],
  doc="")
E("GPU_GROUP_CONTAINS_VGPU", ["vgpus"],
  doc="")
E("HANDLE_INVALID", ["class", "handle"],
  doc="")
E("HA_ABORT_NEW_MASTER", ["reason"],
  doc="")
E("HA_CANNOT_CHANGE_BOND_STATUS_OF_MGMT_IFACE",
  doc="")
E("HA_CONSTRAINT_VIOLATION_NETWORK_NOT_SHARED", ["network"],
  doc="")
E("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", ["SR"],
  doc="")
E("HA_DISABLE_IN_PROGRESS",
  doc="")
E("HA_ENABLE_IN_PROGRESS",
  doc="")
E("HA_FAILED_TO_FORM_LIVESET",
  doc="")
E("HA_HEARTBEAT_DAEMON_STARTUP_FAILED",
  doc="")
E("HA_HOST_CANNOT_ACCESS_STATEFILE",
  doc="")
E("HA_HOST_CANNOT_SEE_PEERS", ["host", "all", "subset"],
  doc="")
E("HA_HOST_IS_ARMED", ["host"],
  doc="")
E("HA_IS_ENABLED",
  doc="")
E("HA_LOST_STATEFILE",
  doc="")
E("HA_NOT_ENABLED",
  doc="")
E("HA_NOT_INSTALLED", ["host"],
  doc="")
E("HA_NO_PLAN",
  doc="")
E("HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN",
  doc="")
E("HA_POOL_IS_ENABLED_BUT_HOST_IS_DISABLED",
  doc="")
E("HA_SHOULD_BE_FENCED", ["host"],
  doc="")
E("HA_TOO_FEW_HOSTS",
  doc="")
E("HOSTS_NOT_COMPATIBLE",
  doc="")
E("HOSTS_NOT_HOMOGENEOUS", ["reason"],
  doc="")
E("HOST_BROKEN",
  doc="")
E("HOST_CANNOT_ATTACH_NETWORK", ["host", "network"],
  doc="")
E("HOST_CANNOT_DESTROY_SELF", ["host"],
  doc="")
E("HOST_CANNOT_READ_METRICS",
  doc="")
E("HOST_CD_DRIVE_EMPTY",
  doc="")
E("HOST_DISABLED", ["host"],
  doc="")
E("HOST_DISABLED_INDEFINITELY", ["host"],
  doc="")
E("HOST_DISABLED_UNTIL_REBOOT", ["host"],
  doc="")
E("HOST_DRIVER_NO_HARDWARE", ["driver variant"],
  doc="")
E("HOST_EVACUATE_IN_PROGRESS", ["host"],
  doc="")
E("HOST_EVACUATE_VM_NOT_HA_PROTECTED", ["vm"],
  doc="")
E("HOST_EVACUATION_IS_REQUIRED", ["host"],
  doc="")
E("HOST_HAS_NO_MANAGEMENT_IP",
  doc="")
E("HOST_HAS_RESIDENT_VMS", ["host"],
  doc="")
E("HOST_IN_EMERGENCY_MODE",
  doc="")
E("HOST_IN_USE", ["host", "type", "ref"],
  doc="")
E("HOST_IS_LIVE", ["host"],
  doc="")
E("HOST_IS_SLAVE", ["Master IP address"],
  doc="")
E("HOST_ITS_OWN_SLAVE",
  doc="")
E("HOST_MASTER_CANNOT_TALK_BACK", ["ip"],
  doc="")
E("HOST_NAME_INVALID", ["reason"],
  doc="")
E("HOST_NOT_DISABLED",
  doc="")
E("HOST_NOT_ENOUGH_FREE_MEMORY", ["needed", "available"],
  doc="")
E("HOST_NOT_ENOUGH_PCPUS", ["vcpus", "pcpus"],
  doc="")
E("HOST_NOT_LIVE",
  doc="")
E("HOST_OFFLINE", ["host"],
  doc="")
E("HOST_PENDING_MANDATORY_GUIDANCE_NOT_EMPTY", ["host"],
  doc="")
E("HOST_POWER_ON_MODE_DISABLED",
  doc="")
E("HOST_STILL_BOOTING",
  doc="")
E("HOST_UNKNOWN_TO_MASTER", ["host"],
  doc="")
E("HOST_XAPI_VERSION_HIGHER_THAN_COORDINATOR", ["host_xapi_version"],
  doc="")
E("ILLEGAL_VBD_DEVICE", ["vbd", "device"],
  doc="")
E("IMPORT_ERROR", ["msg"],
  doc="")
E("IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND",
  doc="")
E("IMPORT_ERROR_CANNOT_HANDLE_CHUNKED",
  doc="")
E("IMPORT_ERROR_FAILED_TO_FIND_OBJECT", ["id"],
  doc="")
E("IMPORT_ERROR_PREMATURE_EOF",
  doc="")
E("IMPORT_ERROR_SOME_CHECKSUMS_FAILED",
  doc="")
E("IMPORT_ERROR_UNEXPECTED_FILE", ["filename_expected", "filename_found"],
  doc="")
E("IMPORT_INCOMPATIBLE_VERSION",
  doc="")
E("INCOMPATIBLE_CLUSTER_STACK_ACTIVE", ["cluster_stack"],
  doc="")
E("INCOMPATIBLE_PIF_PROPERTIES",
  doc="")
E("INCOMPATIBLE_STATEFILE_SR", ["SR type"],
  doc="")
E("INTERFACE_HAS_NO_IP", ["interface"],
  doc="")
E("INTERNAL_ERROR", ["message"],
  doc="")
E("INVALID_BASE_URL", ["url"],
  doc="")
E("INVALID_CIDR_ADDRESS_SPECIFIED", ["parameter"],
  doc="")
E("INVALID_CLUSTER_STACK", ["cluster_stack"],
  doc="")
E("INVALID_DEVICE", ["device"],
  doc="")
E("INVALID_EDITION", ["edition"],
  doc="")
E("INVALID_FEATURE_STRING", ["details"],
  doc="")
E("INVALID_GPGKEY_PATH", ["gpgkey_path"],
  doc="")
E("INVALID_IP_ADDRESS_SPECIFIED", ["parameter"],
  doc="")
E("INVALID_NTP_CONFIG", ["reason"],
  doc="")
E("INVALID_PATCH",
  doc="")
E("INVALID_PATCH_WITH_LOG", ["log"],
  doc="")
E("INVALID_REPOMD_XML",
  doc="")
E("INVALID_REPOSITORY_DOMAIN_ALLOWLIST", ["domains"],
  doc="")
E("INVALID_REPOSITORY_PROXY_CREDENTIAL",
  doc="")
E("INVALID_REPOSITORY_PROXY_URL", ["url"],
  doc="")
E("INVALID_UPDATE", ["info"],
  doc="")
E("INVALID_UPDATEINFO_XML",
  doc="")
E("INVALID_UPDATE_SYNC_DAY", ["day"],
  doc="")
E("INVALID_VALUE", ["field", "value"],
  doc="")
E("IS_TUNNEL_ACCESS_PIF", ["PIF"],
  doc="")
E("JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS",
  doc="")
E("JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS",
  doc="")
E("JOINING_HOST_CANNOT_HAVE_RUNNING_OR_SUSPENDED_VMS",
  doc="")
E("JOINING_HOST_CANNOT_HAVE_RUNNING_VMS",
  doc="")
E("JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS",
  doc="")
E("JOINING_HOST_CONNECTION_FAILED",
  doc="")
E("JOINING_HOST_SERVICE_FAILED",
  doc="")
E("LICENCE_RESTRICTION", ["feature"],
  doc="")
E("LICENSE_CANNOT_DOWNGRADE_WHILE_IN_POOL",
  doc="")
E("LICENSE_CHECKOUT_ERROR", ["code", "message"],
  doc="")
E("LICENSE_DOES_NOT_SUPPORT_POOLING",
  doc="")
E("LICENSE_DOES_NOT_SUPPORT_XHA",
  doc="")
E("LICENSE_EXPIRED",
  doc="")
E("LICENSE_FILE_DEPRECATED",
  doc="")
E("LICENSE_HOST_POOL_MISMATCH",
  doc="")
E("LICENSE_PROCESSING_ERROR",
  doc="")
E("LOCATION_NOT_UNIQUE", ["SR", "location"],
  doc="")
E("MAC_DOES_NOT_EXIST", ["MAC"],
  doc="")
E("MAC_INVALID", ["MAC"],
  doc="")
E("MAC_STILL_EXISTS", ["MAC"],
  doc="")
E("MAP_DUPLICATE_KEY", ["type", "param_name", "uuid", "key"],
  doc="")
E("MEMORY_CONSTRAINT_VIOLATION", ["constraint"],
  doc="")
E("MEMORY_CONSTRAINT_VIOLATION_MAXPIN", ["reason"],
  doc="")
E("MEMORY_CONSTRAINT_VIOLATION_ORDER",
  doc="")
E("MESSAGE_DEPRECATED",
  doc="")
E("MESSAGE_METHOD_UNKNOWN", ["method"],
  doc="")
E("MESSAGE_PARAMETER_COUNT_MISMATCH", ["method", "expected", "received"],
  doc="")
E("MESSAGE_REMOVED",
  doc="")
E("MIRROR_FAILED", ["vdi"],
  doc="")
E("MISSING_CONNECTION_DETAILS",
  doc="")
E("MULTIPLE_UPDATE_REPOSITORIES_ENABLED",
  doc="")
E("NETWORK_ALREADY_CONNECTED", ["network", "connected PIF"],
  doc="")
E("NETWORK_CONTAINS_PIF", ["pifs"],
  doc="")
E("NETWORK_CONTAINS_VIF", ["vifs"],
  doc="")
E("NETWORK_HAS_INCOMPATIBLE_SRIOV_PIFS", ["PIF", "network"],
  doc="")
E("NETWORK_HAS_INCOMPATIBLE_VLAN_ON_SRIOV_PIFS", ["PIF", "network"],
  doc="")
E("NETWORK_INCOMPATIBLE_PURPOSES", ["new_purpose", "conflicting_purpose"],
  doc="")
E("NETWORK_INCOMPATIBLE_WITH_BOND", ["network"],
  doc="")
E("NETWORK_INCOMPATIBLE_WITH_SRIOV", ["network"],
  doc="")
E("NETWORK_INCOMPATIBLE_WITH_TRUNKS", ["network"],
  doc="")
E("NETWORK_INCOMPATIBLE_WITH_TUNNEL", ["network"],
  doc="")
E("NETWORK_INCOMPATIBLE_WITH_VLAN_ON_BRIDGE", ["network"],
  doc="")
E("NETWORK_INCOMPATIBLE_WITH_VLAN_ON_SRIOV", ["network"],
  doc="")
E("NETWORK_SRIOV_ALREADY_ENABLED", ["PIF"],
  doc="")
E("NETWORK_SRIOV_DISABLE_FAILED", ["PIF", "msg"],
  doc="")
E("NETWORK_SRIOV_ENABLE_FAILED", ["PIF", "msg"],
  doc="")
E("NETWORK_SRIOV_INSUFFICIENT_CAPACITY", ["network"],
  doc="")
E("NETWORK_UNMANAGED", ["network"],
  doc="")
E("NOT_ALLOWED_ON_OEM_EDITION", ["command"],
  doc="")
E("NOT_ALLOWED_WHEN_NTP_IS_ENABLED", ["host"],
  doc="")
E("NOT_IMPLEMENTED", ["function"],
  doc="")
E("NOT_IN_EMERGENCY_MODE",
  doc="")
E("NOT_SUPPORTED_DURING_UPGRADE",
  doc="")
E("NOT_SYSTEM_DOMAIN", ["vm"],
  doc="")
E("NOT_TRUSTED_CERTIFICATE", ["ref"],
  doc="")
E("NO_CLUSTER_HOSTS_REACHABLE", ["cluster"],
  doc="")
E("NO_COMPATIBLE_CLUSTER_HOST", ["host"],
  doc="")
E("NO_HOSTS_AVAILABLE",
  doc="")
E("NO_MORE_REDO_LOGS_ALLOWED",
  doc="")
E("NO_REPOSITORIES_CONFIGURED",
  doc="")
E("NO_REPOSITORY_ENABLED",
  doc="")
E("NVIDIA_SRIOV_MISCONFIGURED", ["host", "device_name"],
  doc="")
E("NVIDIA_TOOLS_ERROR", ["host"],
  doc="")
E("OBJECT_NOLONGER_EXISTS",
  doc="")
E("ONLY_ALLOWED_ON_OEM_EDITION", ["command"],
  doc="")
E("OPENVSWITCH_NOT_ACTIVE",
  doc="")
E("OPERATION_BLOCKED", ["ref", "code"],
  doc="")
E("OPERATION_NOT_ALLOWED", ["reason"],
  doc="")
E("OPERATION_PARTIALLY_FAILED", ["operation"],
  doc="")
E("OTHER_OPERATION_IN_PROGRESS", ["class", "object", "operation_type", "operation_ref"],
  doc="")
E("OUT_OF_SPACE", ["location"],
  doc="")
E("PATCH_ALREADY_APPLIED", ["patch"],
  doc="")
E("PATCH_ALREADY_EXISTS", ["uuid"],
  doc="")
E("PATCH_APPLY_FAILED", ["output"],
  doc="")
E("PATCH_APPLY_FAILED_BACKUP_FILES_EXIST", ["output"],
  doc="")
E("PATCH_IS_APPLIED",
  doc="")
E("PATCH_PRECHECK_FAILED_ISO_MOUNTED", ["patch"],
  doc="")
E("PATCH_PRECHECK_FAILED_OUT_OF_SPACE", ["patch", "found_space", "required_required"],
  doc="")
E("PATCH_PRECHECK_FAILED_PREREQUISITE_MISSING", ["patch", "prerequisite_patch_uuid_list"],
  doc="")
E("PATCH_PRECHECK_FAILED_UNKNOWN_ERROR", ["patch", "info"],
  doc="")
E("PATCH_PRECHECK_FAILED_VM_RUNNING", ["patch"],
  doc="")
E("PATCH_PRECHECK_FAILED_WRONG_SERVER_BUILD", ["patch", "found_build", "required_build"],
  doc="")
E("PATCH_PRECHECK_FAILED_WRONG_SERVER_VERSION", ["patch", "found_version", "required_version"],
  doc="")
E("PBD_EXISTS", ["sr", "host", "pbd"],
  doc="")
E("PERMISSION_DENIED", ["message"],
  doc="")
E("PGPU_INSUFFICIENT_CAPACITY_FOR_VGPU", ["pgpu", "vgpu_type"],
  doc="")
E("PGPU_IN_USE_BY_VM", ["VMs"],
  doc="")
E("PGPU_NOT_COMPATIBLE_WITH_GPU_GROUP", ["type", "group_types"],
  doc="")
E("PIF_ALLOWS_UNPLUG", ["PIF"],
  doc="")
E("PIF_ALREADY_BONDED", ["PIF"],
  doc="")
E("PIF_BOND_MORE_THAN_ONE_IP",
  doc="")
E("PIF_BOND_NEEDS_MORE_MEMBERS",
  doc="")
E("PIF_CANNOT_BOND_CROSS_HOST",
  doc="")
E("PIF_CONFIGURATION_ERROR", ["PIF", "msg"],
  doc="")
E("PIF_DEVICE_NOT_FOUND",
  doc="")
E("PIF_DOES_NOT_ALLOW_UNPLUG", ["PIF"],
  doc="")
E("PIF_HAS_FCOE_SR_IN_USE", ["PIF", "SR"],
  doc="")
E("PIF_HAS_NO_NETWORK_CONFIGURATION", ["PIF"],
  doc="")
E("PIF_HAS_NO_V6_NETWORK_CONFIGURATION", ["PIF"],
  doc="")
E("PIF_INCOMPATIBLE_PRIMARY_ADDRESS_TYPE", ["PIF"],
  doc="")
E("PIF_IS_MANAGEMENT_INTERFACE", ["PIF"],
  doc="")
E("PIF_IS_NOT_PHYSICAL", ["PIF"],
  doc="")
E("PIF_IS_NOT_SRIOV_CAPABLE", ["PIF"],
  doc="")
E("PIF_IS_PHYSICAL", ["PIF"],
  doc="")
E("PIF_IS_SRIOV_LOGICAL", ["PIF"],
  doc="")
E("PIF_IS_VLAN", ["PIF"],
  doc="")
E("PIF_NOT_ATTACHED_TO_HOST", ["pif", "host"],
  doc="")
E("PIF_NOT_PRESENT", ["host", "network"],
  doc="")
E("PIF_SRIOV_STILL_EXISTS", ["PIF"],
  doc="")
E("PIF_TUNNEL_STILL_EXISTS", ["PIF"],
  doc="")
E("PIF_UNMANAGED", ["PIF"],
  doc="")
E("PIF_VLAN_EXISTS", ["PIF"],
  doc="")
E("PIF_VLAN_STILL_EXISTS", ["PIF"],
  doc="")
E("POOL_AUTH_ALREADY_ENABLED", ["host"],
  doc="")
E("POOL_AUTH_DISABLE_FAILED", ["host", "message"],
  doc="")
E("POOL_AUTH_DISABLE_FAILED_INVALID_ACCOUNT", ["host", "message"],
  doc="")
E("POOL_AUTH_DISABLE_FAILED_PERMISSION_DENIED", ["host", "message"],
  doc="")
E("POOL_AUTH_DISABLE_FAILED_WRONG_CREDENTIALS", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_DOMAIN_LOOKUP_FAILED", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_DUPLICATE_HOSTNAME", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_INVALID_ACCOUNT", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_INVALID_OU", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_INVALID_TRUSTED_CERTS", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_NO_SUPPORT_ENCRYPT_TYPE", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_NO_TRUSTED_CERTS", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_PERMISSION_DENIED", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_SETUP_TLS_CONNECTION", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_UNAVAILABLE", ["host", "message"],
  doc="")
E("POOL_AUTH_ENABLE_FAILED_WRONG_CREDENTIALS", ["host", "message"],
  doc="")
E("POOL_JOINING_EXTERNAL_AUTH_MISMATCH",
  doc="")
E("POOL_JOINING_HOST_CA_CERTIFICATES_CONFLICT",
  doc="")
E("POOL_JOINING_HOST_HAS_BONDS",
  doc="")
E("POOL_JOINING_HOST_HAS_NETWORK_SRIOVS",
  doc="")
E("POOL_JOINING_HOST_HAS_NON_MANAGEMENT_VLANS",
  doc="")
E("POOL_JOINING_HOST_HAS_TUNNELS",
  doc="")
E("POOL_JOINING_HOST_MANAGEMENT_VLAN_DOES_NOT_MATCH", ["local", "remote"],
  doc="")
E("POOL_JOINING_HOST_MUST_HAVE_ONLY_ONE_IP_ON_CLUSTERING_NETWORK",
  doc="")
E("POOL_JOINING_HOST_MUST_HAVE_PHYSICAL_MANAGEMENT_NIC",
  doc="")
E("POOL_JOINING_HOST_MUST_HAVE_SAME_API_VERSION", ["host_api_version", "master_api_version"],
  doc="")
E("POOL_JOINING_HOST_MUST_HAVE_SAME_DB_SCHEMA", ["host_db_schema", "master_db_schema"],
  doc="")
E("POOL_JOINING_HOST_MUST_HAVE_SAME_PRODUCT_VERSION",
  doc="")
E("POOL_JOINING_HOST_MUST_ONLY_HAVE_PHYSICAL_PIFS",
  doc="")
E("POOL_JOINING_HOST_TLS_VERIFICATION_MISMATCH",
  doc="")
E("POOL_JOINING_HOST_TRUSTED_CERTIFICATES_CONFLICT", ["ref_in_pool", "ref_on_host"],
  doc="")
E("POOL_JOINING_MASTER_CERTIFICATE_NOT_IN_POOL_BUNDLE", ["master_uuid"],
  doc="")
E("POOL_JOINING_POOL_BUNDLE_EMPTY_AFTER_IMPORT", ["bundle_path"],
  doc="")
E("POOL_JOINING_POOL_CANNOT_ENABLE_CLUSTERING_ON_VLAN_NETWORK", ["vlan"],
  doc="")
E("POOL_JOINING_SM_FEATURES_INCOMPATIBLE", ["pool_sm_ref", "candidate_sm_ref"],
  doc="")
E("PROVISION_FAILED_OUT_OF_SPACE",
  doc="")
E("PROVISION_ONLY_ALLOWED_ON_TEMPLATE",
  doc="")
E("PUSB_VDI_CONFLICT", ["PUSB", "VDI"],
  doc="")
E("PVS_CACHE_STORAGE_ALREADY_PRESENT", ["site", "host"],
  doc="")
E("PVS_CACHE_STORAGE_IS_IN_USE", ["PVS_cache_storage"],
  doc="")
E("PVS_PROXY_ALREADY_PRESENT", ["proxies"],
  doc="")
E("PVS_PROXY_PRESENT_ON_HIGHER_VIF_DEVICE", ["device"],
  doc="")
E("PVS_SERVER_ADDRESS_IN_USE", ["address"],
  doc="")
E("PVS_SITE_CONTAINS_RUNNING_PROXIES", ["proxies"],
  doc="")
E("PVS_SITE_CONTAINS_SERVERS", ["servers"],
  doc="")
E("PVS_VIF_MUST_BE_FIRST_DEVICE",
  doc="")
E("RBAC_PERMISSION_DENIED", ["permission", "message"],
  doc="")
E("REDO_LOG_IS_ENABLED",
  doc="")
E("REPOSITORY_ALREADY_EXISTS", ["ref"],
  doc="")
E("REPOSITORY_CLEANUP_FAILED",
  doc="")
E("REPOSITORY_IS_IN_USE",
  doc="")
E("REPOSYNC_FAILED",
  doc="")
E("REPO_SHOULD_BE_SINGLE_ONE_ENABLED",
  doc="")
E("REQUIRED_PIF_IS_UNPLUGGED", ["PIF"],
  doc="")
E("RESTORE_INCOMPATIBLE_VERSION",
  doc="")
E("RESTORE_SCRIPT_FAILED", ["log"],
  doc="")
E("RESTORE_TARGET_MGMT_IF_NOT_IN_BACKUP",
  doc="")
E("RESTORE_TARGET_MISSING_DEVICE", ["device"],
  doc="")
E("ROLE_ALREADY_EXISTS",
  doc="")
E("ROLE_NOT_FOUND",
  doc="")
E("SERVER_CERTIFICATE_CHAIN_INVALID",
  doc="")
E("SERVER_CERTIFICATE_EXPIRED", ["now", "not_after"],
  doc="")
E("SERVER_CERTIFICATE_INVALID",
  doc="")
E("SERVER_CERTIFICATE_KEY_ALGORITHM_NOT_SUPPORTED", ["algorithm_oid"],
  doc="")
E("SERVER_CERTIFICATE_KEY_INVALID",
  doc="")
E("SERVER_CERTIFICATE_KEY_MISMATCH",
  doc="")
E("SERVER_CERTIFICATE_KEY_RSA_LENGTH_NOT_SUPPORTED", ["length"],
  doc="")
E("SERVER_CERTIFICATE_KEY_RSA_MULTI_NOT_SUPPORTED",
  doc="")
E("SERVER_CERTIFICATE_NOT_VALID_YET", ["now", "not_before"],
  doc="")
E("SERVER_CERTIFICATE_SIGNATURE_NOT_SUPPORTED",
  doc="")
E("SESSION_AUTHENTICATION_FAILED",
  doc="")
E("SESSION_AUTHORIZATION_FAILED", ["username", "msg"],
  doc="")
E("SESSION_INVALID", ["handle"],
  doc="")
E("SESSION_NOT_REGISTERED", ["handle"],
  doc="")
E("SET_CONSOLE_TIMEOUT_PARTIALLY_FAILED", ["hosts"],
  doc="")
E("SET_SSH_AUTO_MODE_PARTIALLY_FAILED", ["hosts"],
  doc="")
E("SET_SSH_TIMEOUT_PARTIALLY_FAILED", ["hosts"],
  doc="")
E("SLAVE_REQUIRES_MANAGEMENT_INTERFACE",
  doc="")
E("SM_PLUGIN_COMMUNICATION_FAILURE", ["sm"],
  doc="")
E("SR_ATTACH_FAILED", ["sr"],
  doc="")
E("SR_BACKEND_FAILURE", ["status", "stdout", "stderr"],
  doc="")
E("SR_DEVICE_IN_USE",
  doc="")
E("SR_DOES_NOT_SUPPORT_MIGRATION", ["sr", "capabilities"],
  doc="")
E("SR_FULL", ["requested", "maximum"],
  doc="")
E("SR_HAS_MULTIPLE_PBDS", ["PBD"],
  doc="")
E("SR_HAS_NO_PBDS", ["sr"],
  doc="")
E("SR_HAS_PBD", ["sr"],
  doc="")
E("SR_INDESTRUCTIBLE", ["sr"],
  doc="")
E("SR_IS_CACHE_SR", ["host"],
  doc="")
E("SR_NOT_ATTACHED", ["sr"],
  doc="")
E("SR_NOT_EMPTY",
  doc="")
E("SR_NOT_SHARABLE", ["sr", "host"],
  doc="")
E("SR_OPERATION_NOT_SUPPORTED", ["sr"],
  doc="")
E("SR_REQUIRES_UPGRADE", ["SR"],
  doc="")
E("SR_SOURCE_SPACE_INSUFFICIENT", ["sr"],
  doc="")
E("SR_SUSPEND_SPACE_INSUFFICIENT", ["sr"],
  doc="")
E("SR_UNHEALTHY", ["sr", "health", "fix"],
  doc="")
E("SR_UNKNOWN_DRIVER", ["driver"],
  doc="")
E("SR_UUID_EXISTS", ["uuid"],
  doc="")
E("SR_VDI_LOCKING_FAILED",
  doc="")
E("SSL_VERIFY_ERROR", ["reason"],
  doc="")
E("SUBJECT_ALREADY_EXISTS",
  doc="")
E("SUBJECT_CANNOT_BE_RESOLVED",
  doc="")
E("SUSPEND_IMAGE_NOT_ACCESSIBLE", ["vdi"],
  doc="")
E("SYNC_BUNDLE_IN_PROGRESS",
  doc="")
E("SYNC_UPDATES_IN_PROGRESS",
  doc="")
E("SYSPREP", ["vm", "message"],
  doc="")
E("SYSTEM_STATUS_MUST_USE_TAR_ON_OEM",
  doc="")
E("SYSTEM_STATUS_RETRIEVAL_FAILED", ["reason"],
  doc="")
E("TASK_CANCELLED", ["task"],
  doc="")
E("TELEMETRY_NEXT_COLLECTION_TOO_LATE", ["timestamp"],
  doc="")
E("TLS_CONNECTION_FAILED", ["address", "port"],
  doc="")
E("TLS_VERIFICATION_NOT_ENABLED_IN_POOL",
  doc="")
E("TOO_BUSY",
  doc="")
E("TOO_MANY_GROUPS",
  doc="")
E("TOO_MANY_PENDING_TASKS",
  doc="")
E("TOO_MANY_STORAGE_MIGRATES", ["number"],
  doc="")
E("TOO_MANY_VUSBS", ["number"],
  doc="")
E("TRANSPORT_PIF_NOT_CONFIGURED", ["PIF"],
  doc="")
E("TRUSTED_CERTIFICATE_ALREADY_EXISTS", ["fingerprint"],
  doc="")
E("TRUSTED_CERTIFICATE_EXPIRED", ["now", "not_after"],
  doc="")
E("TRUSTED_CERTIFICATE_INVALID",
  doc="")
E("TRUSTED_CERTIFICATE_NOT_VALID_YET", ["now", "not_before"],
  doc="")
E("UNIMPLEMENTED_IN_SM_BACKEND", ["message"],
  doc="")
E("UNKNOWN_BOOTLOADER", ["vm", "bootloader"],
  doc="")
E("UPDATEINFO_HASH_MISMATCH",
  doc="")
E("UPDATE_ALREADY_APPLIED", ["update"],
  doc="")
E("UPDATE_ALREADY_APPLIED_IN_POOL", ["update"],
  doc="")
E("UPDATE_ALREADY_EXISTS", ["uuid"],
  doc="")
E("UPDATE_APPLY_FAILED", ["output"],
  doc="")
E("UPDATE_IS_APPLIED",
  doc="")
E("UPDATE_POOL_APPLY_FAILED", ["hosts"],
  doc="")
E("UPDATE_PRECHECK_FAILED_CONFLICT_PRESENT", ["update", "conflict_update"],
  doc="")
E("UPDATE_PRECHECK_FAILED_GPGKEY_NOT_IMPORTED", ["update"],
  doc="")
E("UPDATE_PRECHECK_FAILED_OUT_OF_SPACE", ["update", "available_space", "required_space "],
  doc="")
E("UPDATE_PRECHECK_FAILED_PREREQUISITE_MISSING", ["update", "prerequisite_update"],
  doc="")
E("UPDATE_PRECHECK_FAILED_UNKNOWN_ERROR", ["update", "info"],
  doc="")
E("UPDATE_PRECHECK_FAILED_WRONG_SERVER_VERSION", ["update", "installed_version", "required_version "],
  doc="")
E("UPDATE_SYNCING_REMOTE_POOL_COORDINATOR_CONNECTION_FAILED",
  doc="")
E("UPDATE_SYNCING_REMOTE_POOL_COORDINATOR_SERVICE_FAILED",
  doc="")
E("USB_ALREADY_ATTACHED", ["PUSB", "VM"],
  doc="")
E("USB_GROUP_CONFLICT", ["USB_group"],
  doc="")
E("USB_GROUP_CONTAINS_NO_PUSBS", ["usb_group"],
  doc="")
E("USB_GROUP_CONTAINS_PUSB", ["pusbs"],
  doc="")
E("USB_GROUP_CONTAINS_VUSB", ["vusbs"],
  doc="")
E("USER_IS_NOT_LOCAL_SUPERUSER", ["msg"],
  doc="")
E("UUID_INVALID", ["type", "uuid"],
  doc="")
E("V6D_FAILURE",
  doc="")
E("VALUE_NOT_SUPPORTED", ["field", "value", "reason"],
  doc="")
E("VBD_CDS_MUST_BE_READONLY",
  doc="")
E("VBD_IS_EMPTY", ["vbd"],
  doc="")
E("VBD_NOT_EMPTY", ["vbd"],
  doc="")
E("VBD_NOT_REMOVABLE_MEDIA", ["vbd"],
  doc="")
E("VBD_NOT_UNPLUGGABLE", ["vbd"],
  doc="")
E("VBD_TRAY_LOCKED", ["vbd"],
  doc="")
E("VCPU_MAX_NOT_CORES_PER_SOCKET_MULTIPLE", ["vcpu_max", "cores_per_socket"],
  doc="")
E("VDI_CBT_ENABLED", ["vdi"],
  doc="")
E("VDI_CONTAINS_METADATA_OF_THIS_POOL", ["vdi", "pool"],
  doc="")
E("VDI_COPY_FAILED",
  doc="")
E("VDI_HAS_RRDS", ["vdi"],
  doc="")
E("VDI_INCOMPATIBLE_TYPE", ["vdi", "type"],
  doc="")
E("VDI_IN_USE", ["vdi", "operation"],
  doc="")
E("VDI_IS_A_PHYSICAL_DEVICE", ["vdi"],
  doc="")
E("VDI_IS_ENCRYPTED", ["vdi"],
  doc="")
E("VDI_IS_NOT_ISO", ["vdi", "type"],
  doc="")
E("VDI_LOCATION_MISSING", ["sr", "location"],
  doc="")
E("VDI_MISSING", ["sr", "vdi"],
  doc="")
E("VDI_NEEDS_VM_FOR_MIGRATE", ["vdi"],
  doc="")
E("VDI_NOT_AVAILABLE", ["vdi"],
  doc="")
E("VDI_NOT_IN_MAP", ["vdi"],
  doc="")
E("VDI_NOT_MANAGED", ["vdi"],
  doc="")
E("VDI_NOT_SPARSE", ["vdi"],
  doc="")
E("VDI_NO_CBT_METADATA", ["vdi"],
  doc="")
E("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION",
  doc="")
E("VDI_READONLY", ["vdi"],
  doc="")
E("VDI_TOO_LARGE", ["vdi", "maximum size"],
  doc="")
E("VDI_TOO_SMALL", ["vdi", "minimum size"],
  doc="")
E("VGPU_DESTINATION_INCOMPATIBLE", ["reason", "vgpu", "host"],
  doc="")
E("VGPU_GUEST_DRIVER_LIMIT", ["reason", "vm", "host"],
  doc="")
E("VGPU_SUSPENSION_NOT_SUPPORTED", ["reason", "vgpu", "host"],
  doc="")
E("VGPU_TYPE_NOT_COMPATIBLE", ["type"],
  doc="")
E("VGPU_TYPE_NOT_COMPATIBLE_WITH_RUNNING_TYPE", ["pgpu", "type", "running_type"],
  doc="")
E("VGPU_TYPE_NOT_ENABLED", ["type", "enabled_types"],
  doc="")
E("VGPU_TYPE_NOT_SUPPORTED", ["type", "supported_types"],
  doc="")
E("VGPU_TYPE_NO_LONGER_SUPPORTED", ["type"],
  doc="")
E("VIF_IN_USE", ["network", "VIF"],
  doc="")
E("VIF_NOT_IN_MAP", ["vif"],
  doc="")
E("VLAN_IN_USE", ["device", "vlan"],
  doc="")
E("VLAN_TAG_INVALID", ["VLAN"],
  doc="")
E("VMPP_ARCHIVE_MORE_FREQUENT_THAN_BACKUP",
  doc="")
E("VMPP_HAS_VM",
  doc="")
E("VMSS_HAS_VM",
  doc="")
E("VMS_FAILED_TO_COOPERATE",
  doc="")
E("VM_ASSIGNED_TO_PROTECTION_POLICY", ["vm", "vmpp"],
  doc="")
E("VM_ASSIGNED_TO_SNAPSHOT_SCHEDULE", ["vm", "vmss"],
  doc="")
E("VM_BAD_POWER_STATE", ["vm", "expected", "actual"],
  doc="")
E("VM_BIOS_STRINGS_ALREADY_SET",
  doc="")
E("VM_CALL_PLUGIN_RATE_LIMIT", ["VM", "interval", "wait"],
  doc="")
E("VM_CANNOT_DELETE_DEFAULT_TEMPLATE", ["vm"],
  doc="")
E("VM_CHECKPOINT_RESUME_FAILED", ["vm"],
  doc="")
E("VM_CHECKPOINT_SUSPEND_FAILED", ["vm"],
  doc="")
E("VM_CRASHED", ["vm"],
  doc="")
E("VM_DUPLICATE_VBD_DEVICE", ["vm", "vbd", "device"],
  doc="")
E("VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT", ["vm"],
  doc="")
E("VM_FAILED_SUSPEND_ACKNOWLEDGMENT", ["vm"],
  doc="")
E("VM_HALTED", ["vm"],
  doc="")
E("VM_HAS_CHECKPOINT", ["vm"],
  doc="")
E("VM_HAS_NO_SUSPEND_VDI", ["vm"],
  doc="")
E("VM_HAS_PCI_ATTACHED", ["vm"],
  doc="")
E("VM_HAS_SRIOV_VIF", ["vm"],
  doc="")
E("VM_HAS_TOO_MANY_SNAPSHOTS", ["vm"],
  doc="")
E("VM_HAS_VGPU", ["vm"],
  doc="")
E("VM_HAS_VUSBS", ["VM"],
  doc="")
E("VM_HOST_INCOMPATIBLE_VERSION", ["host", "vm"],
  doc="")
E("VM_HOST_INCOMPATIBLE_VERSION_MIGRATE", ["host", "vm"],
  doc="")
E("VM_HOST_INCOMPATIBLE_VIRTUAL_HARDWARE_PLATFORM_VERSION", ["host", "host_versions", "vm", "vm_version"],
  doc="")
E("VM_HVM_REQUIRED", ["vm"],
  doc="")
E("VM_INCOMPATIBLE_WITH_THIS_HOST", ["vm", "host", "reason"],
  doc="")
E("VM_IS_IMMOBILE", ["VM"],
  doc="")
E("VM_IS_PART_OF_AN_APPLIANCE", ["vm", "appliance"],
  doc="")
E("VM_IS_PROTECTED", ["vm"],
  doc="")
E("VM_IS_TEMPLATE", ["vm"],
  doc="")
E("VM_IS_USING_NESTED_VIRT", ["VM"],
  doc="")
E("VM_LACKS_FEATURE", ["vm"],
  doc="")
E("VM_MEMORY_SIZE_TOO_LOW", ["vm"],
  doc="")
E("VM_MIGRATE_CONTACT_REMOTE_SERVICE_FAILED",
  doc="")
E("VM_MIGRATE_FAILED", ["vm", "source", "destination", "msg"],
  doc="")
E("VM_MISSING_PV_DRIVERS", ["vm"],
  doc="")
E("VM_NON_SUSPENDABLE", ["vm", "reason"],
  doc="")
E("VM_NOT_RESIDENT_HERE", ["vm", "host"],
  doc="")
E("VM_NO_CRASHDUMP_SR", ["vm"],
  doc="")
E("VM_NO_EMPTY_CD_VBD", ["vm"],
  doc="")
E("VM_NO_SUSPEND_SR", ["vm"],
  doc="")
E("VM_NO_VCPUS", ["vm"],
  doc="")
E("VM_OLD_PV_DRIVERS", ["vm", "major", "minor"],
  doc="")
E("VM_PCI_BUS_FULL", ["VM"],
  doc="")
E("VM_PV_DRIVERS_IN_USE", ["vm"],
  doc="")
E("VM_REBOOTED", ["vm"],
  doc="")
E("VM_REQUIRES_GPU", ["vm", "GPU_group"],
  doc="")
E("VM_REQUIRES_IOMMU", ["host"],
  doc="")
E("VM_REQUIRES_NETWORK", ["vm", "network"],
  doc="")
E("VM_REQUIRES_SR", ["vm", "sr"],
  doc="")
E("VM_REQUIRES_VDI", ["vm", "vdi"],
  doc="")
E("VM_REQUIRES_VGPU", ["vm", "GPU_group", "vGPU_type"],
  doc="")
E("VM_REQUIRES_VUSB", ["vm", "USB_group"],
  doc="")
E("VM_REVERT_FAILED", ["vm", "snapshot"],
  doc="")
E("VM_SHUTDOWN_TIMEOUT", ["vm", "timeout"],
  doc="")
E("VM_SNAPSHOT_WITH_QUIESCE_FAILED", ["vm"],
  doc="")
E("VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED", ["vm", "error"],
  doc="")
E("VM_SNAPSHOT_WITH_QUIESCE_PLUGIN_DEOS_NOT_RESPOND", ["vm"],
  doc="")
E("VM_SNAPSHOT_WITH_QUIESCE_TIMEOUT", ["vm"],
  doc="")
E("VM_SUSPEND_TIMEOUT", ["vm", "timeout"],
  doc="")
E("VM_TOO_MANY_VCPUS", ["vm"],
  doc="")
E("VM_TO_IMPORT_IS_NOT_NEWER_VERSION", ["vm", "existing_version", "version_to_import"],
  doc="")
E("VM_UNSAFE_BOOT", ["vm"],
  doc="")
E("VTPM_MAX_AMOUNT_REACHED", ["amount"],
  doc="")
E("WLB_AUTHENTICATION_FAILED",
  doc="")
E("WLB_CONNECTION_REFUSED",
  doc="")
E("WLB_CONNECTION_RESET",
  doc="")
E("WLB_DISABLED",
  doc="")
E("WLB_INTERNAL_ERROR",
  doc="")
E("WLB_MALFORMED_REQUEST",
  doc="")
E("WLB_MALFORMED_RESPONSE", ["method", "reason", "response"],
  doc="")
E("WLB_NOT_INITIALIZED",
  doc="")
E("WLB_TIMEOUT", ["configured_timeout"],
  doc="")
E("WLB_UNKNOWN_HOST",
  doc="")
E("WLB_URL_INVALID", ["url"],
  doc="")
E("WLB_XENSERVER_AUTHENTICATION_FAILED",
  doc="")
E("WLB_XENSERVER_CONNECTION_REFUSED",
  doc="")
E("WLB_XENSERVER_MALFORMED_RESPONSE",
  doc="")
E("WLB_XENSERVER_TIMEOUT",
  doc="")
E("WLB_XENSERVER_UNKNOWN_HOST",
  doc="")
E("XAPI_HOOK_FAILED", ["hook_name", "reason", "stdout", "exit_code"],
  doc="")
E("XENAPI_MISSING_PLUGIN", ["name"],
  doc="")
E("XENAPI_PLUGIN_FAILURE", ["status", "stdout", "stderr"],
  doc="")
E("XEN_INCOMPATIBLE",
  doc="")
E("XEN_VSS_REQ_ERROR_ADDING_VOLUME_TO_SNAPSET_FAILED", ["vm", "error_code"],
  doc="")
E("XEN_VSS_REQ_ERROR_CREATING_SNAPSHOT", ["vm", "error_code"],
  doc="")
E("XEN_VSS_REQ_ERROR_CREATING_SNAPSHOT_XML_STRING", ["vm", "error_code"],
  doc="")
E("XEN_VSS_REQ_ERROR_INIT_FAILED", ["vm", "error_code"],
  doc="")
E("XEN_VSS_REQ_ERROR_NO_VOLUMES_SUPPORTED", ["vm", "error_code"],
  doc="")
E("XEN_VSS_REQ_ERROR_PREPARING_WRITERS", ["vm", "error_code"],
  doc="")
E("XEN_VSS_REQ_ERROR_PROV_NOT_LOADED", ["vm", "error_code"],
  doc="")
E("XEN_VSS_REQ_ERROR_START_SNAPSHOT_SET_FAILED", ["vm", "error_code"],
  doc="")
E("XMLRPC_UNMARSHAL_FAILURE", ["expected", "received"],
  doc="")
