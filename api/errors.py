# SPDX-License-Identifier: Apache-2.0
"""Error codes with the names of their parameters; {0}, {1} in a sentence stand for them."""

E("ACTIVATION_WHILE_NOT_FREE",
  doc="Licence activation was refused because this host already has a licence beyond the free edition.")
E("ADDRESS_VIOLATES_LOCKING_CONSTRAINT", ["address"],
  doc="The address {0} is not permitted by the locking mode and allowed addresses of the virtual interface.",
  hint="Add it to the allowed addresses first.")
E("APPLY_GUIDANCE_FAILED", ["ref"],
  doc="The steps required after updating {0} could not be carried out.",
  hint="Carry out the pending guidance by hand.")
E("APPLY_LIVEPATCH_FAILED", ["livepatch"],
  doc="The live patch {0} could not be loaded.",
  hint="Restart the host to get the fix.")
E("APPLY_UPDATES_FAILED", ["ref"],
  doc="Installing the updates on host {0} failed.")
E("APPLY_UPDATES_IN_PROGRESS",
  doc="Updates are being installed at the moment.",
  hint="Try again when they are finished.")
E("AUTH_ALREADY_ENABLED", ["current auth_type", "current service_name"],
  doc="External authentication is already on, with type {0} and service {1}.",
  hint="Disable it before enabling another.")
E("AUTH_DISABLE_FAILED", ["message"],
  doc="External authentication could not be switched off: {0}")
E("AUTH_DISABLE_FAILED_PERMISSION_DENIED", ["message"],
  doc="The directory refused to remove this host because the account lacks the right: {0}")
E("AUTH_DISABLE_FAILED_WRONG_CREDENTIALS", ["message"],
  doc="The directory did not accept the user name or password given for leaving it: {0}")
E("AUTH_ENABLE_FAILED", ["message"],
  doc="External authentication could not be switched on: {0}")
E("AUTH_ENABLE_FAILED_DOMAIN_LOOKUP_FAILED", ["message"],
  doc="The domain of the directory was not found: {0}",
  hint="Check the domain name and the host's DNS servers.")
E("AUTH_ENABLE_FAILED_INVALID_ACCOUNT", ["message"],
  doc="The account given for joining the directory cannot be used: {0}")
E("AUTH_ENABLE_FAILED_INVALID_OU", ["message"],
  doc="The organizational unit for the host's account does not exist in the directory: {0}")
E("AUTH_ENABLE_FAILED_INVALID_TRUSTED_CERTS", ["message"],
  doc="A trusted certificate needed to reach the directory is invalid: {0}",
  hint="Install a valid one for this purpose.")
E("AUTH_ENABLE_FAILED_NO_TRUSTED_CERTS", ["message"],
  doc="No trusted certificate for the directory is installed: {0}",
  hint="Install the certificate of its authority first.")
E("AUTH_ENABLE_FAILED_PERMISSION_DENIED", ["message"],
  doc="The account has no right to add this host to the directory: {0}")
E("AUTH_ENABLE_FAILED_UNAVAILABLE", ["message"],
  doc="The directory service could not be reached: {0}",
  hint="Check that the network leads to it and that it runs.")
E("AUTH_ENABLE_FAILED_WRONG_CREDENTIALS", ["message"],
  doc="The directory did not accept the user name or password given for joining it: {0}")
E("AUTH_INVALID_TRUSTED_CERTS", ["message"],
  doc="A certificate trusted for the directory cannot be used: {0}")
E("AUTH_IS_DISABLED",
  doc="External authentication is off, so names outside this host cannot be looked up.",
  hint="Enable external authentication first.")
E("AUTH_NO_TRUSTED_CERTS", ["message"],
  doc="There is no trusted certificate with which to check the directory: {0}")
E("AUTH_SERVICE_ERROR", ["message"],
  doc="The authentication service reported an error: {0}")
E("AUTH_SETUP_TLS_CONNECTION", ["message"],
  doc="A TLS connection to the directory could not be made: {0}")
E("AUTH_SET_LDAPS_FAILED", ["host", "message"],
  doc="Host {0} could not change whether it uses LDAP over TLS: {1}")
E("AUTH_UNKNOWN_TYPE", ["type"],
  doc="There is no external authentication of type {0}.")
E("BACKUP_SCRIPT_FAILED", ["log"],
  doc="The backup of the host failed; its log says: {0}")
E("BALLOONING_TIMEOUT_BEFORE_MIGRATION", ["vm"],
  doc="The VM {0} did not reduce its memory in time, so it was not migrated.",
  hint="Try again or adjust its dynamic memory range.")
E("BLOCKED_REPO_URL", ["url"],
  doc="The repository address {0} is not one that this pool may use.")
E("BOOTLOADER_FAILED", ["vm", "msg"],
  doc="The boot loader of VM {0} failed: {1}")
E("BOOT_DEVICE_PASSTHROUGH_DISALLOWED", ["device"],
  doc="The device {0} cannot be given to a VM because the host itself boots from it.")
E("BRIDGE_NAME_EXISTS", ["bridge"],
  doc="Another network already uses the bridge {0}.",
  hint="Choose a different bridge name.")
E("BRIDGE_NOT_AVAILABLE", ["bridge"],
  doc="The bridge {0} does not exist on this host.")
E("BUNDLE_REPOSITORY_ALREADY_EXISTS", ["ref"],
  doc="A bundle repository, {0}, exists already; a pool can have one.")
E("BUNDLE_REPO_NOT_ENABLED",
  doc="No bundle repository is enabled in this pool.",
  hint="Enable the bundle repository before uploading a bundle.")
E("BUNDLE_SYNC_FAILED",
  doc="The uploaded bundle of updates could not be taken over into the pool.")
E("BUNDLE_UNPACK_FAILED", ["error"],
  doc="The uploaded bundle could not be unpacked: {0}")
E("CANNOT_ADD_TUNNEL_TO_BOND_SLAVE", ["PIF"],
  doc="The interface {0} belongs to a bond and cannot carry a tunnel.",
  hint="Create the tunnel on the bond instead.")
E("CANNOT_ADD_TUNNEL_TO_SRIOV_LOGICAL", ["PIF"],
  doc="The interface {0} is an SR-IOV network and cannot carry a tunnel.")
E("CANNOT_ADD_TUNNEL_TO_VLAN_ON_SRIOV_LOGICAL", ["PIF"],
  doc="The VLAN {0} lies on an SR-IOV network and cannot carry a tunnel.")
E("CANNOT_ADD_VLAN_TO_BOND_SLAVE", ["PIF"],
  doc="The interface {0} belongs to a bond and cannot carry a VLAN.",
  hint="Create the VLAN on the bond instead.")
E("CANNOT_CHANGE_PIF_PROPERTIES", ["PIF"],
  doc="The properties of interface {0} cannot be changed.",
  hint="Change the interface or bond underneath it.")
E("CANNOT_CONTACT_HOST", ["host"],
  doc="Host {0} does not answer.",
  hint="Check that it is on and reachable over the management network.")
E("CANNOT_CREATE_STATE_FILE",
  doc="The high-availability state file could not be made on any of the chosen storage repositories.")
E("CANNOT_DESTROY_DISASTER_RECOVERY_TASK", ["reason"],
  doc="The disaster recovery task cannot be removed: {0}")
E("CANNOT_DESTROY_SYSTEM_NETWORK", ["network"],
  doc="Network {0} belongs to the system and cannot be removed.")
E("CANNOT_ENABLE_REDO_LOG", ["reason"],
  doc="The redo log could not be switched on: {0}")
E("CANNOT_EVACUATE_HOST", ["errors"],
  doc="Not every VM can leave this host: {0}",
  hint="Shut down or fix the VMs that are named.")
E("CANNOT_FETCH_PATCH", ["uuid"],
  doc="The host could not get the patch {0} from the pool.")
E("CANNOT_FIND_OEM_BACKUP_PARTITION",
  doc="The host has no partition for a backup of its system.")
E("CANNOT_FIND_PATCH",
  doc="The file of the patch is gone.",
  hint="Upload the patch again.")
E("CANNOT_FIND_STATE_PARTITION",
  doc="The host has no partition for its state.")
E("CANNOT_FIND_UPDATE",
  doc="The files of the update are gone.",
  hint="Introduce the update again.")
E("CANNOT_FORGET_SRIOV_LOGICAL", ["PIF"],
  doc="The interface {0} is the logical side of an SR-IOV network and cannot be forgotten.",
  hint="Destroy the SR-IOV network.")
E("CANNOT_PLUG_BOND_SLAVE", ["PIF"],
  doc="The interface {0} belongs to a bond and cannot be brought up by itself.",
  hint="Plug the bond.")
E("CANNOT_PLUG_VIF", ["VIF"],
  doc="The virtual interface {0} could not be connected while the VM was running.")
E("CANNOT_RESET_CONTROL_DOMAIN", ["vm"],
  doc="{0} stands for the host itself; its power state cannot be reset.")
E("CANNOT_RESTART_DEVICE_MODEL", ["ref"],
  doc="The device model of VM {0} cannot be restarted in its present state.")
E("CAN_NOT_PERIODIC_SYNC_UPDATES",
  doc="Updates cannot be synchronized on a schedule with the repositories that are enabled.")
E("CAN_NOT_SYNC_UPDATES",
  doc="Updates cannot be synchronized from the repositories that are enabled.")
E("CERTIFICATE_ALREADY_EXISTS", ["name"],
  doc="A certificate named {0} is installed already.",
  hint="Uninstall it first or use another name.")
E("CERTIFICATE_CORRUPT", ["name"],
  doc="The certificate {0} is damaged or not a PEM certificate.")
E("CERTIFICATE_DOES_NOT_EXIST", ["name"],
  doc="There is no certificate named {0}.")
E("CERTIFICATE_LACKS_PURPOSE",
  doc="The certificate has to be installed for at least one purpose, and none was given.")
E("CERTIFICATE_LIBRARY_CORRUPT",
  doc="The store of certificates cannot be read.",
  hint="Reinstall the certificates of the pool.")
E("CERTIFICATE_NAME_INVALID", ["name"],
  doc="{0} cannot be the name of a certificate.",
  hint="Use a plain file name without directories.")
E("CHANGE_PASSWORD_REJECTED", ["msg"],
  doc="The password was not changed: {0}")
E("CLUSTERED_SR_DEGRADED", ["sr"],
  doc="The clustered storage repository {0} has too few working hosts.",
  hint="Bring the missing hosts back or remove them.")
E("CLUSTERING_DISABLED", ["cluster_host"],
  doc="Clustering is disabled on cluster host {0}.",
  hint="Enable the cluster host first.")
E("CLUSTERING_ENABLED", ["cluster_host"],
  doc="Clustering is still enabled on cluster host {0}.",
  hint="Disable the cluster host first.")
E("CLUSTER_ALREADY_EXISTS",
  doc="The pool has a cluster already; there can be one.")
E("CLUSTER_CREATE_IN_PROGRESS",
  doc="A cluster is being created at the moment.",
  hint="Try again when that is finished.")
E("CLUSTER_DOES_NOT_HAVE_ONE_NODE", ["number_of_nodes"],
  doc="The cluster has {0} hosts; it can be destroyed when a single one is left.")
E("CLUSTER_FORCE_DESTROY_FAILED", ["cluster"],
  doc="Cluster {0} could not be removed from every host, even by force.")
E("CLUSTER_HOST_IS_LAST", ["cluster_host"],
  doc="{0} is the last host of its cluster and cannot leave.",
  hint="Destroy the cluster instead.")
E("CLUSTER_HOST_NOT_JOINED", ["cluster_host"],
  doc="The cluster host {0} has not joined its cluster.",
  hint="Resynchronize the cluster or enable the cluster host.")
E("CLUSTER_STACK_IN_USE", ["cluster_stack"],
  doc="The cluster stack {0} is still needed by high availability or by attached storage.")
E("CONFIGURE_REPOSITORIES_IN_PROGRESS",
  doc="The update repositories are being configured at the moment.",
  hint="Try again when that is finished.")
E("COULD_NOT_IMPORT_DATABASE", ["reason"],
  doc="The metadata could not be read from the backup: {0}")
E("COULD_NOT_UPDATE_IGMP_SNOOPING_EVERYWHERE",
  doc="IGMP snooping was changed on some hosts but not on all of them.",
  hint="Set it again when all hosts are up.")
E("CPU_FEATURE_MASKING_NOT_SUPPORTED", ["details"],
  doc="Processor features of this host cannot be hidden from guests: {0}")
E("CRL_ALREADY_EXISTS", ["name"],
  doc="A revocation list named {0} is installed already.",
  hint="Uninstall it first or use another name.")
E("CRL_CORRUPT", ["name"],
  doc="The revocation list {0} is damaged or not in PEM form.")
E("CRL_DOES_NOT_EXIST", ["name"],
  doc="There is no revocation list named {0}.")
E("CRL_NAME_INVALID", ["name"],
  doc="{0} cannot be the name of a revocation list.",
  hint="Use a plain file name without directories.")
E("DB_UNIQUENESS_CONSTRAINT_VIOLATION", ["table", "field", "value"],
  doc="In {0}, the field {1} must be unique, and {2} is taken already.")
E("DEFAULT_SR_NOT_FOUND", ["sr"],
  doc="The pool's default storage repository {0} does not exist.",
  hint="Choose another default.")
E("DEVICE_ALREADY_ATTACHED", ["device"],
  doc="The device {0} is attached already.")
E("DEVICE_ALREADY_DETACHED", ["device"],
  doc="The device {0} is not attached any more.")
E("DEVICE_ALREADY_EXISTS", ["device"],
  doc="The VM has a device {0} already.",
  hint="Choose a free device number.")
E("DEVICE_ATTACH_TIMEOUT", ["type", "ref"],
  doc="The {0} {1} was not attached in time; the guest may not have reacted.")
E("DEVICE_DETACH_REJECTED", ["type", "ref", "msg"],
  doc="The guest did not let go of the {0} {1}: {2}",
  hint="Stop using the device inside the guest and try again.")
E("DEVICE_DETACH_TIMEOUT", ["type", "ref"],
  doc="The {0} {1} was not released in time; the guest may still be using it.")
E("DEVICE_NOT_ATTACHED", ["VBD"],
  doc="The block device {0} is not attached to a running VM.")
E("DISABLE_SSH_FAILED", ["host"],
  doc="SSH could not be switched off on host {0}.")
E("DISABLE_SSH_PARTIALLY_FAILED", ["hosts"],
  doc="SSH is still on at these hosts: {0}")
E("DISK_VBD_MUST_BE_READWRITE_FOR_HVM", ["vbd"],
  doc="The disk of block device {0} cannot be read-only for this kind of VM.",
  hint="Set its mode to RW, or attach it as a CD.")
E("DOMAIN_BUILDER_ERROR", ["function", "code", "message"],
  doc="The VM could not be set up: {0} answered {1}, {2}")
E("DOMAIN_EXISTS", ["vm", "domid"],
  doc="The VM {0} still runs as domain {1}.",
  hint="Shut it down by force before going on.")
E("DUPLICATE_MAC_SEED", ["seed"],
  doc="Another VM already derives its MAC addresses from seed {0}.")
E("DUPLICATE_PIF_DEVICE_NAME", ["device"],
  doc="The host has more than one interface named {0}.")
E("DUPLICATE_VM", ["vm"],
  doc="The VM {0} exists already.")
E("ENABLE_SSH_FAILED", ["host"],
  doc="SSH could not be switched on at host {0}.")
E("ENABLE_SSH_PARTIALLY_FAILED", ["hosts"],
  doc="SSH is still off at these hosts: {0}")
E("EVENTS_LOST",
  doc="Events were dropped because they were not collected in time.",
  hint="Start over with an empty token.")
E("EVENT_FROM_TOKEN_PARSE_FAILURE", ["token"],
  doc="{0} is not a token that event.from handed out.",
  hint="Pass an empty token to start over.")
E("EVENT_SUBSCRIPTION_PARSE_FAILURE", ["subscription"],
  doc="{0} does not name a class of events.",
  hint="Use a class, class/reference, or * for everything.")
E("FAILED_TO_START_EMULATOR", ["vm", "name", "msg"],
  doc="The process {1} of VM {0} did not start: {2}")
E("FEATURE_REQUIRES_HVM", ["details"],
  doc="Only fully virtualized VMs can do this: {0}")
E("FEATURE_RESTRICTED",
  doc="This function is not part of the present edition.")
E("FIELD_TYPE_ERROR", ["field"],
  doc="The value given for {0} has the wrong type.")
E("GET_HOST_UPDATES_FAILED", ["ref"],
  doc="Host {0} could not say which updates it lacks.")
E("GET_UPDATES_FAILED",
  doc="The list of available updates could not be read from the coordinator.")
E("GPU_GROUP_CONTAINS_NO_PGPUS", ["gpu_group"],
  doc="The GPU group {0} has no physical GPU in it.")
E("GPU_GROUP_CONTAINS_PGPU", ["pgpus"],
  doc="The GPU group still contains the physical GPUs {0}.",
  hint="Move them to another group first.")
E("GPU_GROUP_CONTAINS_VGPU", ["vgpus"],
  doc="The GPU group is still used by the virtual GPUs {0}.",
  hint="Remove them first.")
E("HANDLE_INVALID", ["class", "handle"],
  doc="There is no {0} with the reference {1}; it may have been removed.")
E("HA_ABORT_NEW_MASTER", ["reason"],
  doc="This host will not become coordinator: {0}")
E("HA_CANNOT_CHANGE_BOND_STATUS_OF_MGMT_IFACE",
  doc="The management interface cannot join or leave a bond while high availability is on.",
  hint="Disable it first.")
E("HA_CONSTRAINT_VIOLATION_NETWORK_NOT_SHARED", ["network"],
  doc="Network {0} does not reach every host, so a VM protected by high availability cannot use it.")
E("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", ["SR"],
  doc="Storage repository {0} is not shared by all hosts, so a protected VM cannot use it.")
E("HA_DISABLE_IN_PROGRESS",
  doc="High availability is being switched off at the moment.",
  hint="Try again when that is finished.")
E("HA_ENABLE_IN_PROGRESS",
  doc="High availability is being switched on at the moment.",
  hint="Try again when that is finished.")
E("HA_FAILED_TO_FORM_LIVESET",
  doc="The hosts could not agree on which of them are alive, so high availability was not started.")
E("HA_HEARTBEAT_DAEMON_STARTUP_FAILED",
  doc="The process that exchanges heartbeats did not start.",
  hint="Look into the log of the host.")
E("HA_HOST_CANNOT_ACCESS_STATEFILE",
  doc="This host has no access to the high-availability state file.",
  hint="Check its storage connection.")
E("HA_HOST_CANNOT_SEE_PEERS", ["host", "all", "subset"],
  doc="Host {0} should see the hosts {1} but sees only {2}.",
  hint="Check the management network.")
E("HA_HOST_IS_ARMED", ["host"],
  doc="Host {0} takes part in high availability.",
  hint="Disarm or disable high availability before taking it down.")
E("HA_IS_ENABLED",
  doc="This is not possible while high availability is on.",
  hint="Disable high availability first.")
E("HA_LOST_STATEFILE",
  doc="This host lost its connection to the high-availability state file.")
E("HA_NOT_ENABLED",
  doc="High availability is off in this pool.")
E("HA_NOT_INSTALLED", ["host"],
  doc="Host {0} lacks the software for high availability.")
E("HA_NO_PLAN",
  doc="There is no way to restart all protected VMs after that many failures.",
  hint="Protect fewer VMs or tolerate fewer failures.")
E("HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN",
  doc="Afterwards the protected VMs could not all be restarted if hosts fail.",
  hint="Free resources or tolerate fewer failures.")
E("HA_POOL_IS_ENABLED_BUT_HOST_IS_DISABLED",
  doc="High availability is on in the pool but not on this host.",
  hint="Enable the host first.")
E("HA_SHOULD_BE_FENCED", ["host"],
  doc="Host {0} has lost contact with its pool and must be restarted.")
E("HA_TOO_FEW_HOSTS",
  doc="The pool has too few hosts for high availability.")
E("HOSTS_NOT_COMPATIBLE",
  doc="The hosts cannot be in one pool because their versions or processors do not fit together.")
E("HOSTS_NOT_HOMOGENEOUS", ["reason"],
  doc="The hosts differ too much to be in one pool: {0}")
E("HOST_BROKEN",
  doc="This host is in a broken state and cannot do this.",
  hint="Look into its log and restart it.")
E("HOST_CANNOT_ATTACH_NETWORK", ["host", "network"],
  doc="Host {0} has no interface that leads to network {1}.")
E("HOST_CANNOT_DESTROY_SELF", ["host"],
  doc="Host {0} cannot remove itself from the database.",
  hint="Call this at another host of the pool.")
E("HOST_CANNOT_READ_METRICS",
  doc="The measurements of this host could not be read.")
E("HOST_CD_DRIVE_EMPTY",
  doc="The host's CD drive is empty.",
  hint="Insert a disc.")
E("HOST_DISABLED", ["host"],
  doc="Host {0} is disabled and takes no new VMs.",
  hint="Enable it first.")
E("HOST_DISABLED_INDEFINITELY", ["host"],
  doc="Host {0} is disabled until somebody enables it again.")
E("HOST_DISABLED_UNTIL_REBOOT", ["host"],
  doc="Host {0} is disabled until it has been restarted.")
E("HOST_DRIVER_NO_HARDWARE", ["driver variant"],
  doc="The host has no hardware for the driver variant {0}.")
E("HOST_EVACUATE_IN_PROGRESS", ["host"],
  doc="VMs are being moved off host {0} at the moment.",
  hint="Try again when that is finished.")
E("HOST_EVACUATE_VM_NOT_HA_PROTECTED", ["vm"],
  doc="VM {0} cannot be started elsewhere because high availability does not protect it.")
E("HOST_EVACUATION_IS_REQUIRED", ["host"],
  doc="Host {0} must be emptied first.",
  hint="Evacuate the host, then try again.")
E("HOST_HAS_NO_MANAGEMENT_IP",
  doc="The management interface of this host has no IP address.",
  hint="Check its cable and its configuration.")
E("HOST_HAS_RESIDENT_VMS", ["host"],
  doc="VMs are running on host {0}.",
  hint="Move them away or shut them down first.")
E("HOST_IN_EMERGENCY_MODE",
  doc="This host cannot reach the coordinator and answers only emergency calls.")
E("HOST_IN_USE", ["host", "type", "ref"],
  doc="Host {0} is still used by the {1} {2}.")
E("HOST_IS_LIVE", ["host"],
  doc="Host {0} is still running.")
E("HOST_IS_SLAVE", ["Master IP address"],
  doc="This host is a member of a pool; its coordinator answers at {0}.",
  hint="Send the call there.")
E("HOST_ITS_OWN_SLAVE",
  doc="A host cannot be a member of the pool that it coordinates itself.")
E("HOST_MASTER_CANNOT_TALK_BACK", ["ip"],
  doc="The coordinator cannot reach this host at {0}.",
  hint="Check routes and firewalls between the two.")
E("HOST_NAME_INVALID", ["reason"],
  doc="This cannot be the name of a host: {0}")
E("HOST_NOT_DISABLED",
  doc="This is possible only while the host is disabled.",
  hint="Disable the host first.")
E("HOST_NOT_ENOUGH_FREE_MEMORY", ["needed", "available"],
  doc="The host lacks memory: {0} bytes are needed and {1} are free.",
  hint="Stop VMs there or choose another host.")
E("HOST_NOT_ENOUGH_PCPUS", ["vcpus", "pcpus"],
  doc="The VM has {0} virtual processors but the host has only {1} processors.")
E("HOST_NOT_LIVE",
  doc="The host is not running or does not answer.")
E("HOST_OFFLINE", ["host"],
  doc="Host {0} is offline.",
  hint="Power it on or check its network.")
E("HOST_PENDING_MANDATORY_GUIDANCE_NOT_EMPTY", ["host"],
  doc="Steps that an update requires on host {0} have not been carried out.",
  hint="Carry out its pending guidance.")
E("HOST_POWER_ON_MODE_DISABLED",
  doc="This host has no way of being powered on remotely.",
  hint="Set its power-on mode first.")
E("HOST_STILL_BOOTING",
  doc="The host is still starting up.",
  hint="Try again in a moment.")
E("HOST_UNKNOWN_TO_MASTER", ["host"],
  doc="The coordinator does not know host {0}.",
  hint="Join the host to the pool again.")
E("HOST_XAPI_VERSION_HIGHER_THAN_COORDINATOR", ["host_xapi_version"],
  doc="The host's software version {0} is newer than the coordinator's.",
  hint="Update the coordinator first.")
E("ILLEGAL_VBD_DEVICE", ["vbd", "device"],
  doc="{1} is no possible device name for block device {0}.")
E("IMPORT_ERROR", ["msg"],
  doc="The VM could not be imported: {0}")
E("IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND",
  doc="The file to be imported refers to disks that it does not contain and that are not here.")
E("IMPORT_ERROR_CANNOT_HANDLE_CHUNKED",
  doc="An import cannot be uploaded with chunked transfer encoding.",
  hint="Send a Content-Length.")
E("IMPORT_ERROR_FAILED_TO_FIND_OBJECT", ["id"],
  doc="The file to be imported refers to {0}, which was not found.")
E("IMPORT_ERROR_PREMATURE_EOF",
  doc="The file to be imported ends too early; it was probably cut off.")
E("IMPORT_ERROR_SOME_CHECKSUMS_FAILED",
  doc="The file to be imported is damaged: some of its checksums are wrong.")
E("IMPORT_ERROR_UNEXPECTED_FILE", ["filename_expected", "filename_found"],
  doc="The archive to be imported holds {1} where {0} was expected.")
E("IMPORT_INCOMPATIBLE_VERSION",
  doc="The file to be imported was made by a version that cannot be read here.")
E("INCOMPATIBLE_CLUSTER_STACK_ACTIVE", ["cluster_stack"],
  doc="The cluster stack {0} is in use, and this cannot work beside it.")
E("INCOMPATIBLE_PIF_PROPERTIES",
  doc="The interfaces have different properties and cannot be in one bond.")
E("INCOMPATIBLE_STATEFILE_SR", ["SR type"],
  doc="A storage repository of type {0} cannot hold the high-availability state file.")
E("INTERFACE_HAS_NO_IP", ["interface"],
  doc="The interface {0} has no IP address.",
  hint="Give it one first.")
E("INTERNAL_ERROR", ["message"],
  doc="Something went wrong inside the server: {0}",
  hint="Please report this together with the server's log.")
E("INVALID_BASE_URL", ["url"],
  doc="{0} cannot be the address of a repository.")
E("INVALID_CIDR_ADDRESS_SPECIFIED", ["parameter"],
  doc="The value of {0} must be an address with a prefix length, such as 192.0.2.1/24.")
E("INVALID_CLUSTER_STACK", ["cluster_stack"],
  doc="There is no cluster stack named {0}.")
E("INVALID_DEVICE", ["device"],
  doc="{0} cannot be the name or number of a device.")
E("INVALID_EDITION", ["edition"],
  doc="There is no edition named {0}.")
E("INVALID_FEATURE_STRING", ["details"],
  doc="The list of processor features is malformed: {0}")
E("INVALID_GPGKEY_PATH", ["gpgkey_path"],
  doc="{0} cannot be the path of a signing key.",
  hint="Use a plain file name.")
E("INVALID_IP_ADDRESS_SPECIFIED", ["parameter"],
  doc="The value of {0} is not an IP address.")
E("INVALID_NTP_CONFIG", ["reason"],
  doc="The time server configuration cannot be used: {0}")
E("INVALID_PATCH",
  doc="The uploaded file is no valid patch.")
E("INVALID_PATCH_WITH_LOG", ["log"],
  doc="The uploaded file is no valid patch; checking it said: {0}")
E("INVALID_REPOMD_XML",
  doc="The index file of the repository cannot be understood.")
E("INVALID_REPOSITORY_DOMAIN_ALLOWLIST", ["domains"],
  doc="The list of permitted repository domains is malformed: {0}")
E("INVALID_REPOSITORY_PROXY_CREDENTIAL",
  doc="The user name or password for the repository proxy is invalid.")
E("INVALID_REPOSITORY_PROXY_URL", ["url"],
  doc="{0} cannot be the address of a repository proxy.")
E("INVALID_UPDATE", ["info"],
  doc="The update cannot be used: {0}")
E("INVALID_UPDATEINFO_XML",
  doc="The list of advisories in the repository cannot be understood.")
E("INVALID_UPDATE_SYNC_DAY", ["day"],
  doc="Updates cannot be synchronized on day {0}.",
  hint="Use 0 (Sunday) to 6 (Saturday).")
E("INVALID_VALUE", ["field", "value"],
  doc="{1} is no possible value for {0}.")
E("IS_TUNNEL_ACCESS_PIF", ["PIF"],
  doc="The interface {0} is itself the access side of a tunnel and cannot carry another one.")
E("JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS",
  doc="The host coordinates a pool with other hosts and cannot join another.",
  hint="Eject its members first.")
E("JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS",
  doc="The host has shared storage repositories and cannot join a pool.",
  hint="Forget or unplug them first.")
E("JOINING_HOST_CANNOT_HAVE_RUNNING_OR_SUSPENDED_VMS",
  doc="The host has running or suspended VMs and cannot join a pool.",
  hint="Shut them down first.")
E("JOINING_HOST_CANNOT_HAVE_RUNNING_VMS",
  doc="The host has running VMs and cannot join a pool.",
  hint="Shut them down first.")
E("JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS",
  doc="The host has VMs with operations in progress and cannot join a pool.",
  hint="Wait until they are done.")
E("JOINING_HOST_CONNECTION_FAILED",
  doc="The connection between the joining host and the coordinator failed.",
  hint="Check the address and the network.")
E("JOINING_HOST_SERVICE_FAILED",
  doc="The joining host reached the coordinator, but its management service gave no proper answer.")
E("LICENCE_RESTRICTION", ["feature"],
  doc="The licence does not include {0}.")
E("LICENSE_CANNOT_DOWNGRADE_WHILE_IN_POOL",
  doc="A host in a pool cannot change to a smaller edition.",
  hint="Eject it first.")
E("LICENSE_CHECKOUT_ERROR", ["code", "message"],
  doc="The licence server refused the licence: {0}, {1}")
E("LICENSE_DOES_NOT_SUPPORT_POOLING",
  doc="The licence of this host does not include pools.")
E("LICENSE_DOES_NOT_SUPPORT_XHA",
  doc="The licence of this pool does not include high availability.")
E("LICENSE_EXPIRED",
  doc="The licence of this host has expired.")
E("LICENSE_FILE_DEPRECATED",
  doc="Licence files of this kind are not used any more.")
E("LICENSE_HOST_POOL_MISMATCH",
  doc="The licence of the host does not fit that of the pool.")
E("LICENSE_PROCESSING_ERROR",
  doc="The licence could not be read or applied.")
E("LOCATION_NOT_UNIQUE", ["SR", "location"],
  doc="Storage repository {0} already has a disk at location {1}.")
E("MAC_DOES_NOT_EXIST", ["MAC"],
  doc="No interface of this host has the MAC address {0}.")
E("MAC_INVALID", ["MAC"],
  doc="{0} is not a usable MAC address.",
  hint="Use six pairs of hexadecimal digits with colons, unicast.")
E("MAC_STILL_EXISTS", ["MAC"],
  doc="The MAC address {0} is still present on this host.")
E("MAP_DUPLICATE_KEY", ["type", "param_name", "uuid", "key"],
  doc="In field {1} of {0} {2}, the key {3} exists already.",
  hint="Remove the key before adding it again.")
E("MEMORY_CONSTRAINT_VIOLATION", ["constraint"],
  doc="The memory settings break this rule: {0}")
E("MEMORY_CONSTRAINT_VIOLATION_MAXPIN", ["reason"],
  doc="Dynamic memory must equal the static maximum here: {0}")
E("MEMORY_CONSTRAINT_VIOLATION_ORDER",
  doc="Memory limits must be ordered: static minimum, dynamic minimum, dynamic maximum, static maximum.")
E("MESSAGE_DEPRECATED",
  doc="This call is deprecated and no longer answered.")
E("MESSAGE_METHOD_UNKNOWN", ["method"],
  doc="There is no call named {0}.",
  hint="Check its spelling and the version of the API.")
E("MESSAGE_PARAMETER_COUNT_MISMATCH", ["method", "expected", "received"],
  doc="The call {0} takes {1} parameters but got {2}.")
E("MESSAGE_REMOVED",
  doc="This call has been removed from the API.")
E("MIRROR_FAILED", ["vdi"],
  doc="Copying the disk {0} failed while the VM went on writing to it.")
E("MISSING_CONNECTION_DETAILS",
  doc="Address, user name or password of the remote server is missing.")
E("MULTIPLE_UPDATE_REPOSITORIES_ENABLED",
  doc="More than one update repository is enabled; only one can be.")
E("NETWORK_ALREADY_CONNECTED", ["network", "connected PIF"],
  doc="Network {0} is already connected on this host, by interface {1}.")
E("NETWORK_CONTAINS_PIF", ["pifs"],
  doc="The network is still connected to the interfaces {0}.",
  hint="Remove them from the network first.")
E("NETWORK_CONTAINS_VIF", ["vifs"],
  doc="The network is still used by the virtual interfaces {0}.",
  hint="Remove or move them first.")
E("NETWORK_HAS_INCOMPATIBLE_SRIOV_PIFS", ["PIF", "network"],
  doc="The interface {0} does not fit the other SR-IOV interfaces of network {1}.")
E("NETWORK_HAS_INCOMPATIBLE_VLAN_ON_SRIOV_PIFS", ["PIF", "network"],
  doc="A VLAN on interface {0} does not fit the other SR-IOV VLANs of network {1}.")
E("NETWORK_INCOMPATIBLE_PURPOSES", ["new_purpose", "conflicting_purpose"],
  doc="A network cannot have the purpose {0} together with {1}.")
E("NETWORK_INCOMPATIBLE_WITH_BOND", ["network"],
  doc="Network {0} cannot be used for a bond.")
E("NETWORK_INCOMPATIBLE_WITH_SRIOV", ["network"],
  doc="Network {0} cannot be used for SR-IOV.")
E("NETWORK_INCOMPATIBLE_WITH_TRUNKS", ["network"],
  doc="Network {0} holds an interface type that cannot pass tagged frames to guests.")
E("NETWORK_INCOMPATIBLE_WITH_TUNNEL", ["network"],
  doc="Network {0} cannot be used for a tunnel.")
E("NETWORK_INCOMPATIBLE_WITH_VLAN_ON_BRIDGE", ["network"],
  doc="Network {0} cannot be used for a VLAN on a bridge.")
E("NETWORK_INCOMPATIBLE_WITH_VLAN_ON_SRIOV", ["network"],
  doc="Network {0} cannot be used for a VLAN on SR-IOV.")
E("NETWORK_SRIOV_ALREADY_ENABLED", ["PIF"],
  doc="SR-IOV is already enabled on interface {0}.")
E("NETWORK_SRIOV_DISABLE_FAILED", ["PIF", "msg"],
  doc="SR-IOV could not be disabled on interface {0}: {1}")
E("NETWORK_SRIOV_ENABLE_FAILED", ["PIF", "msg"],
  doc="SR-IOV could not be enabled on interface {0}: {1}")
E("NETWORK_SRIOV_INSUFFICIENT_CAPACITY", ["network"],
  doc="All virtual functions of SR-IOV network {0} are taken.")
E("NETWORK_UNMANAGED", ["network"],
  doc="Network {0} is managed by other software and cannot be changed here.")
E("NOT_ALLOWED_ON_OEM_EDITION", ["command"],
  doc="The command {0} is not available on an embedded installation.")
E("NOT_ALLOWED_WHEN_NTP_IS_ENABLED", ["host"],
  doc="The clock of host {0} is kept by time servers.",
  hint="Disable NTP before setting the time by hand.")
E("NOT_IMPLEMENTED", ["function"],
  doc="{0} is not implemented.")
E("NOT_IN_EMERGENCY_MODE",
  doc="This call is possible only while the host is in emergency mode.")
E("NOT_SUPPORTED_DURING_UPGRADE",
  doc="This is not possible while the pool is being upgraded.",
  hint="Finish upgrading all hosts first.")
E("NOT_SYSTEM_DOMAIN", ["vm"],
  doc="The VM {0} is not one of the system's own.")
E("NOT_TRUSTED_CERTIFICATE", ["ref"],
  doc="{0} is not a trusted certificate of the pool.")
E("NO_CLUSTER_HOSTS_REACHABLE", ["cluster"],
  doc="No host of cluster {0} can be reached.")
E("NO_COMPATIBLE_CLUSTER_HOST", ["host"],
  doc="Host {0} is not in a cluster of the kind that the storage needs.")
E("NO_HOSTS_AVAILABLE",
  doc="No host of the pool can run this VM now.",
  hint="Ask each host why with VM.assert_can_boot_here.")
E("NO_MORE_REDO_LOGS_ALLOWED",
  doc="No further redo log can be started; the highest number is reached.")
E("NO_REPOSITORIES_CONFIGURED",
  doc="The pool has no update repositories.",
  hint="Introduce repositories and set them for the pool.")
E("NO_REPOSITORY_ENABLED",
  doc="No update repository is enabled.",
  hint="Set the pool's repositories first.")
E("NVIDIA_SRIOV_MISCONFIGURED", ["host", "device_name"],
  doc="The GPU {1} of host {0} is not set up for SR-IOV as its driver requires.")
E("NVIDIA_TOOLS_ERROR", ["host"],
  doc="The GPU vendor's tools failed on host {0}.",
  hint="Check that the vendor's driver is installed there.")
E("OBJECT_NOLONGER_EXISTS",
  doc="The object has been removed in the meantime.")
E("ONLY_ALLOWED_ON_OEM_EDITION", ["command"],
  doc="The command {0} is available on embedded installations only.")
E("OPENVSWITCH_NOT_ACTIVE",
  doc="This needs a virtual switch that the host's network back end does not provide.")
E("OPERATION_BLOCKED", ["ref", "code"],
  doc="Somebody blocked this operation on {0}, giving as reason: {1}",
  hint="Remove it from blocked_operations.")
E("OPERATION_NOT_ALLOWED", ["reason"],
  doc="This is not allowed: {0}")
E("OPERATION_PARTIALLY_FAILED", ["operation"],
  doc="{0} did not succeed for every object; the rest was done.")
E("OTHER_OPERATION_IN_PROGRESS", ["class", "object", "operation_type", "operation_ref"],
  doc="The {0} {1} is busy with {2}.",
  hint="Wait for that operation or cancel it.")
E("OUT_OF_SPACE", ["location"],
  doc="There is no space left in {0}.")
E("PATCH_ALREADY_APPLIED", ["patch"],
  doc="The patch {0} has been applied already.")
E("PATCH_ALREADY_EXISTS", ["uuid"],
  doc="The patch {0} has been uploaded already.")
E("PATCH_APPLY_FAILED", ["output"],
  doc="The patch failed to apply; it said: {0}")
E("PATCH_APPLY_FAILED_BACKUP_FILES_EXIST", ["output"],
  doc="The patch did not apply because backup files of an earlier one are in its way: {0}")
E("PATCH_IS_APPLIED",
  doc="The patch is in use on a host and cannot be removed.")
E("PATCH_PRECHECK_FAILED_ISO_MOUNTED", ["patch"],
  doc="The patch {0} cannot be applied while guest tools discs are inserted.",
  hint="Eject them from all VMs.")
E("PATCH_PRECHECK_FAILED_OUT_OF_SPACE", ["patch", "found_space", "required_required"],
  doc="The patch {0} needs {2} bytes on the host, and {1} are free.")
E("PATCH_PRECHECK_FAILED_PREREQUISITE_MISSING", ["patch", "prerequisite_patch_uuid_list"],
  doc="The patch {0} needs these patches first: {1}")
E("PATCH_PRECHECK_FAILED_UNKNOWN_ERROR", ["patch", "info"],
  doc="The check before applying patch {0} failed: {1}")
E("PATCH_PRECHECK_FAILED_VM_RUNNING", ["patch"],
  doc="The patch {0} cannot be applied while VMs run on the host.",
  hint="Move them away first.")
E("PATCH_PRECHECK_FAILED_WRONG_SERVER_BUILD", ["patch", "found_build", "required_build"],
  doc="The patch {0} is made for build {2}; this host has {1}.")
E("PATCH_PRECHECK_FAILED_WRONG_SERVER_VERSION", ["patch", "found_version", "required_version"],
  doc="The patch {0} is made for version {2}; this host has {1}.")
E("PBD_EXISTS", ["sr", "host", "pbd"],
  doc="Storage repository {0} is already connected to host {1}, by {2}.")
E("PERMISSION_DENIED", ["message"],
  doc="You are not permitted to do this: {0}")
E("PGPU_INSUFFICIENT_CAPACITY_FOR_VGPU", ["pgpu", "vgpu_type"],
  doc="The physical GPU {0} has no room for another virtual GPU of type {1}.")
E("PGPU_IN_USE_BY_VM", ["VMs"],
  doc="The physical GPU is in use by the VMs {0}.",
  hint="Shut them down first.")
E("PGPU_NOT_COMPATIBLE_WITH_GPU_GROUP", ["type", "group_types"],
  doc="A GPU of type {0} does not fit into a group of {1}.")
E("PIF_ALLOWS_UNPLUG", ["PIF"],
  doc="The interface {0} may be unplugged, which clustering cannot permit.",
  hint="Set disallow_unplug on it first.")
E("PIF_ALREADY_BONDED", ["PIF"],
  doc="The interface {0} belongs to a bond already.")
E("PIF_BOND_MORE_THAN_ONE_IP",
  doc="Only one of the interfaces for a bond can have an IP configuration.",
  hint="Remove that of the others.")
E("PIF_BOND_NEEDS_MORE_MEMBERS",
  doc="A bond needs at least two interfaces.")
E("PIF_CANNOT_BOND_CROSS_HOST",
  doc="The interfaces of a bond must all be on the same host.")
E("PIF_CONFIGURATION_ERROR", ["PIF", "msg"],
  doc="The interface {0} could not be configured: {1}")
E("PIF_DEVICE_NOT_FOUND",
  doc="The host has no such network device.")
E("PIF_DOES_NOT_ALLOW_UNPLUG", ["PIF"],
  doc="The interface {0} is marked as not to be unplugged.",
  hint="Clear disallow_unplug on it first.")
E("PIF_HAS_FCOE_SR_IN_USE", ["PIF", "SR"],
  doc="The interface {0} carries the storage repository {1}.",
  hint="Unplug the storage first.")
E("PIF_HAS_NO_NETWORK_CONFIGURATION", ["PIF"],
  doc="The interface {0} has no IP configuration.",
  hint="Give it a static address or DHCP.")
E("PIF_HAS_NO_V6_NETWORK_CONFIGURATION", ["PIF"],
  doc="The interface {0} has no IPv6 configuration.")
E("PIF_INCOMPATIBLE_PRIMARY_ADDRESS_TYPE", ["PIF"],
  doc="The interface {0} uses another primary address type than is needed here.")
E("PIF_IS_MANAGEMENT_INTERFACE", ["PIF"],
  doc="The interface {0} carries management traffic.",
  hint="Move management to another interface first.")
E("PIF_IS_NOT_PHYSICAL", ["PIF"],
  doc="The interface {0} is not a physical one.")
E("PIF_IS_NOT_SRIOV_CAPABLE", ["PIF"],
  doc="The hardware of interface {0} has no SR-IOV.")
E("PIF_IS_PHYSICAL", ["PIF"],
  doc="The interface {0} is a physical one and cannot be destroyed.")
E("PIF_IS_SRIOV_LOGICAL", ["PIF"],
  doc="The interface {0} is the logical side of an SR-IOV network.")
E("PIF_IS_VLAN", ["PIF"],
  doc="The interface {0} is a VLAN; this is not possible with one.")
E("PIF_NOT_ATTACHED_TO_HOST", ["pif", "host"],
  doc="The interface {0} does not belong to host {1}.")
E("PIF_NOT_PRESENT", ["host", "network"],
  doc="Host {0} has no interface on network {1}.")
E("PIF_SRIOV_STILL_EXISTS", ["PIF"],
  doc="The interface {0} still has an SR-IOV network.",
  hint="Destroy that first.")
E("PIF_TUNNEL_STILL_EXISTS", ["PIF"],
  doc="The interface {0} still carries a tunnel.",
  hint="Destroy the tunnel first.")
E("PIF_UNMANAGED", ["PIF"],
  doc="The interface {0} is managed by other software and cannot be changed here.")
E("PIF_VLAN_EXISTS", ["PIF"],
  doc="The VLAN exists already, as interface {0}.")
E("PIF_VLAN_STILL_EXISTS", ["PIF"],
  doc="The interface {0} still carries VLANs.",
  hint="Destroy the VLANs first.")
E("POOL_AUTH_ALREADY_ENABLED", ["host"],
  doc="External authentication is already on at host {0}.")
E("POOL_AUTH_DISABLE_FAILED", ["host", "message"],
  doc="External authentication could not be switched off at host {0}: {1}")
E("POOL_AUTH_DISABLE_FAILED_INVALID_ACCOUNT", ["host", "message"],
  doc="Host {0} could not leave the directory because the account is invalid: {1}")
E("POOL_AUTH_DISABLE_FAILED_PERMISSION_DENIED", ["host", "message"],
  doc="Host {0} could not leave the directory because the account lacks the right: {1}")
E("POOL_AUTH_DISABLE_FAILED_WRONG_CREDENTIALS", ["host", "message"],
  doc="Host {0} could not leave the directory because user name or password is wrong: {1}")
E("POOL_AUTH_ENABLE_FAILED", ["host", "message"],
  doc="External authentication could not be switched on at host {0}: {1}")
E("POOL_AUTH_ENABLE_FAILED_DOMAIN_LOOKUP_FAILED", ["host", "message"],
  doc="Host {0} did not find the domain of the directory: {1}",
  hint="Check the domain name and that host's DNS servers.")
E("POOL_AUTH_ENABLE_FAILED_DUPLICATE_HOSTNAME", ["host", "message"],
  doc="Host {0} has a host name that the directory knows already: {1}",
  hint="Give each host its own name.")
E("POOL_AUTH_ENABLE_FAILED_INVALID_ACCOUNT", ["host", "message"],
  doc="Host {0} could not join the directory because the account cannot be used: {1}")
E("POOL_AUTH_ENABLE_FAILED_INVALID_OU", ["host", "message"],
  doc="Host {0} could not join: the organizational unit does not exist: {1}")
E("POOL_AUTH_ENABLE_FAILED_INVALID_TRUSTED_CERTS", ["host", "message"],
  doc="Host {0} has an invalid trusted certificate for the directory: {1}")
E("POOL_AUTH_ENABLE_FAILED_NO_SUPPORT_ENCRYPT_TYPE", ["host", "message"],
  doc="Host {0} and the directory have no encryption type in common: {1}")
E("POOL_AUTH_ENABLE_FAILED_NO_TRUSTED_CERTS", ["host", "message"],
  doc="Host {0} has no trusted certificate for the directory: {1}")
E("POOL_AUTH_ENABLE_FAILED_PERMISSION_DENIED", ["host", "message"],
  doc="Host {0} could not join the directory because the account lacks the right: {1}")
E("POOL_AUTH_ENABLE_FAILED_SETUP_TLS_CONNECTION", ["host", "message"],
  doc="Host {0} could not make a TLS connection to the directory: {1}")
E("POOL_AUTH_ENABLE_FAILED_UNAVAILABLE", ["host", "message"],
  doc="Host {0} could not reach the directory service: {1}")
E("POOL_AUTH_ENABLE_FAILED_WRONG_CREDENTIALS", ["host", "message"],
  doc="Host {0} could not join the directory because user name or password is wrong: {1}")
E("POOL_JOINING_EXTERNAL_AUTH_MISMATCH",
  doc="Host and pool use different external authentication.",
  hint="Make them equal or disable it on the host.")
E("POOL_JOINING_HOST_CA_CERTIFICATES_CONFLICT",
  doc="Host and pool have different authority certificates of the same name.",
  hint="Rename or remove one.")
E("POOL_JOINING_HOST_HAS_BONDS",
  doc="The host has bonds and cannot join the pool.",
  hint="Destroy its bonds first.")
E("POOL_JOINING_HOST_HAS_NETWORK_SRIOVS",
  doc="The host has SR-IOV networks and cannot join the pool.",
  hint="Destroy them first.")
E("POOL_JOINING_HOST_HAS_NON_MANAGEMENT_VLANS",
  doc="The host has VLANs besides its management VLAN and cannot join the pool.",
  hint="Destroy them first.")
E("POOL_JOINING_HOST_HAS_TUNNELS",
  doc="The host has tunnels and cannot join the pool.",
  hint="Destroy its tunnels first.")
E("POOL_JOINING_HOST_MANAGEMENT_VLAN_DOES_NOT_MATCH", ["local", "remote"],
  doc="The management VLAN of the host is {0}, that of the pool {1}.",
  hint="Make them equal.")
E("POOL_JOINING_HOST_MUST_HAVE_ONLY_ONE_IP_ON_CLUSTERING_NETWORK",
  doc="The host must have exactly one IP address on the pool's clustering network.")
E("POOL_JOINING_HOST_MUST_HAVE_PHYSICAL_MANAGEMENT_NIC",
  doc="The host's management interface must be a physical one for joining a pool.")
E("POOL_JOINING_HOST_MUST_HAVE_SAME_API_VERSION", ["host_api_version", "master_api_version"],
  doc="The host has API version {0}, the coordinator {1}.",
  hint="Install the same version on both.")
E("POOL_JOINING_HOST_MUST_HAVE_SAME_DB_SCHEMA", ["host_db_schema", "master_db_schema"],
  doc="The host has database schema {0}, the coordinator {1}.",
  hint="Install the same version on both.")
E("POOL_JOINING_HOST_MUST_HAVE_SAME_PRODUCT_VERSION",
  doc="Host and pool run different product versions.",
  hint="Install the same version on both.")
E("POOL_JOINING_HOST_MUST_ONLY_HAVE_PHYSICAL_PIFS",
  doc="The host has interfaces that are not physical and cannot join the pool.",
  hint="Remove them first.")
E("POOL_JOINING_HOST_TLS_VERIFICATION_MISMATCH",
  doc="TLS certificates are verified on only one of host and pool.",
  hint="Enable verification on both.")
E("POOL_JOINING_HOST_TRUSTED_CERTIFICATES_CONFLICT", ["ref_in_pool", "ref_on_host"],
  doc="The pool's trusted certificate {0} conflicts with {1} of the host.",
  hint="Remove one of them.")
E("POOL_JOINING_MASTER_CERTIFICATE_NOT_IN_POOL_BUNDLE", ["master_uuid"],
  doc="The certificate of coordinator {0} is missing from the pool's bundle of trusted certificates.")
E("POOL_JOINING_POOL_BUNDLE_EMPTY_AFTER_IMPORT", ["bundle_path"],
  doc="The bundle of trusted certificates {0} is empty after taking over the pool's.")
E("POOL_JOINING_POOL_CANNOT_ENABLE_CLUSTERING_ON_VLAN_NETWORK", ["vlan"],
  doc="The pool's cluster runs over VLAN {0}, where a joining host cannot take part.")
E("POOL_JOINING_SM_FEATURES_INCOMPATIBLE", ["pool_sm_ref", "candidate_sm_ref"],
  doc="The storage driver {0} of the pool has features that the host's {1} lacks.",
  hint="Install the same version.")
E("PROVISION_FAILED_OUT_OF_SPACE",
  doc="The disks of the new VM do not fit into the storage repository.",
  hint="Free space or choose another one.")
E("PROVISION_ONLY_ALLOWED_ON_TEMPLATE",
  doc="Only a VM still marked as a template can be provisioned.")
E("PUSB_VDI_CONFLICT", ["PUSB", "VDI"],
  doc="The USB device {0} is in use as disk {1} and cannot be passed through.")
E("PVS_CACHE_STORAGE_ALREADY_PRESENT", ["site", "host"],
  doc="Site {0} already has cache storage on host {1}.")
E("PVS_CACHE_STORAGE_IS_IN_USE", ["PVS_cache_storage"],
  doc="The cache storage {0} is in use by a running proxy.",
  hint="Stop the VMs that use it.")
E("PVS_PROXY_ALREADY_PRESENT", ["proxies"],
  doc="The virtual interface already has the proxies {0}.")
E("PVS_PROXY_PRESENT_ON_HIGHER_VIF_DEVICE", ["device"],
  doc="The VM already has a proxy on its interface {0}, whose number is higher.")
E("PVS_SERVER_ADDRESS_IN_USE", ["address"],
  doc="A provisioning server with the address {0} exists already.")
E("PVS_SITE_CONTAINS_RUNNING_PROXIES", ["proxies"],
  doc="The site still has the running proxies {0}.",
  hint="Shut down the VMs first.")
E("PVS_SITE_CONTAINS_SERVERS", ["servers"],
  doc="The site still has the servers {0}.",
  hint="Forget the servers first.")
E("PVS_VIF_MUST_BE_FIRST_DEVICE",
  doc="A proxy can be used only with the first virtual interface of a VM, device 0.")
E("RBAC_PERMISSION_DENIED", ["permission", "message"],
  doc="Your role does not include {0}: {1}",
  hint="Ask an administrator of the pool for a stronger role.")
E("REDO_LOG_IS_ENABLED",
  doc="This is not possible while the redo log is on.",
  hint="Disable the redo log first.")
E("REPOSITORY_ALREADY_EXISTS", ["ref"],
  doc="The repository exists already, as {0}.")
E("REPOSITORY_CLEANUP_FAILED",
  doc="The files of the repository could not be cleaned up.")
E("REPOSITORY_IS_IN_USE",
  doc="The repository is in use by the pool.",
  hint="Remove it from the pool's repositories first.")
E("REPOSYNC_FAILED",
  doc="The packages could not be fetched from the remote repository.",
  hint="Check its address, the proxy and free disk space.")
E("REPO_SHOULD_BE_SINGLE_ONE_ENABLED",
  doc="A repository of this kind can be enabled only on its own.",
  hint="Disable the others first.")
E("REQUIRED_PIF_IS_UNPLUGGED", ["PIF"],
  doc="The interface {0} is needed for this and is not plugged.",
  hint="Plug it first.")
E("RESTORE_INCOMPATIBLE_VERSION",
  doc="The backup was made by a version that cannot be restored here.")
E("RESTORE_SCRIPT_FAILED", ["log"],
  doc="Restoring the backup failed; its log says: {0}")
E("RESTORE_TARGET_MGMT_IF_NOT_IN_BACKUP",
  doc="The backup knows nothing of this host's management interface.")
E("RESTORE_TARGET_MISSING_DEVICE", ["device"],
  doc="The backup needs the network device {0}, which this host lacks.")
E("ROLE_ALREADY_EXISTS",
  doc="The subject has this role already.")
E("ROLE_NOT_FOUND",
  doc="The role does not exist, or the subject does not have it.")
E("SERVER_CERTIFICATE_CHAIN_INVALID",
  doc="The chain of intermediate certificates is damaged or not in PEM form.")
E("SERVER_CERTIFICATE_EXPIRED", ["now", "not_after"],
  doc="The server certificate expired at {1}; it is now {0}.")
E("SERVER_CERTIFICATE_INVALID",
  doc="The server certificate is damaged or not in PEM form.")
E("SERVER_CERTIFICATE_KEY_ALGORITHM_NOT_SUPPORTED", ["algorithm_oid"],
  doc="Private keys with the algorithm {0} cannot be used for the server certificate.")
E("SERVER_CERTIFICATE_KEY_INVALID",
  doc="The private key of the server certificate is damaged or not in PEM form.")
E("SERVER_CERTIFICATE_KEY_MISMATCH",
  doc="The private key does not belong to the server certificate.")
E("SERVER_CERTIFICATE_KEY_RSA_LENGTH_NOT_SUPPORTED", ["length"],
  doc="RSA keys of {0} bits cannot be used.",
  hint="Use 2048 to 4096 bits.")
E("SERVER_CERTIFICATE_KEY_RSA_MULTI_NOT_SUPPORTED",
  doc="RSA keys with more than two primes cannot be used.")
E("SERVER_CERTIFICATE_NOT_VALID_YET", ["now", "not_before"],
  doc="The server certificate is valid only from {1}; it is now {0}.",
  hint="Check the host's clock.")
E("SERVER_CERTIFICATE_SIGNATURE_NOT_SUPPORTED",
  doc="The signature of the server certificate uses an algorithm that is not accepted.",
  hint="Use SHA-256 or SHA-512.")
E("SESSION_AUTHENTICATION_FAILED",
  doc="User name or password is wrong.")
E("SESSION_AUTHORIZATION_FAILED", ["username", "msg"],
  doc="{0} is known but may not log in here: {1}",
  hint="Ask an administrator to add this account to the pool.")
E("SESSION_INVALID", ["handle"],
  doc="The session {0} does not exist or has expired.",
  hint="Log in again.")
E("SESSION_NOT_REGISTERED", ["handle"],
  doc="The session {0} has not registered for events.",
  hint="Call event.register first, or use event.from.")
E("SET_CONSOLE_TIMEOUT_PARTIALLY_FAILED", ["hosts"],
  doc="The console timeout could not be set at these hosts: {0}")
E("SET_SSH_AUTO_MODE_PARTIALLY_FAILED", ["hosts"],
  doc="The automatic mode of SSH could not be set at these hosts: {0}")
E("SET_SSH_TIMEOUT_PARTIALLY_FAILED", ["hosts"],
  doc="The SSH timeout could not be set at these hosts: {0}")
E("SLAVE_REQUIRES_MANAGEMENT_INTERFACE",
  doc="A member of a pool cannot be without a management interface.")
E("SM_PLUGIN_COMMUNICATION_FAILURE", ["sm"],
  doc="The storage driver {0} gave no proper answer.")
E("SR_ATTACH_FAILED", ["sr"],
  doc="Storage repository {0} could not be attached.",
  hint="Check its device configuration and the connection to the storage.")
E("SR_BACKEND_FAILURE", ["status", "stdout", "stderr"],
  doc="The storage driver failed with {0}: {2} {1}")
E("SR_DEVICE_IN_USE",
  doc="The device is in use by another storage repository already.")
E("SR_DOES_NOT_SUPPORT_MIGRATION", ["sr", "capabilities"],
  doc="Disks cannot be moved while in use from or to storage repository {0}; it can {1}.")
E("SR_FULL", ["requested", "maximum"],
  doc="The storage repository is full: {0} bytes were requested, {1} are the most it can give.")
E("SR_HAS_MULTIPLE_PBDS", ["PBD"],
  doc="The storage repository is connected to more than one host, among others by {0}.",
  hint="Unplug and remove the others first.")
E("SR_HAS_NO_PBDS", ["sr"],
  doc="Storage repository {0} is not connected to any host.",
  hint="Create a PBD for it and plug it.")
E("SR_HAS_PBD", ["sr"],
  doc="Storage repository {0} is still attached.",
  hint="Unplug all its PBDs first.")
E("SR_INDESTRUCTIBLE", ["sr"],
  doc="Storage repository {0} is marked as not to be destroyed.",
  hint="Remove indestructible from its other_config.")
E("SR_IS_CACHE_SR", ["host"],
  doc="Host {0} uses this storage repository as its local cache.",
  hint="Disable local caching first.")
E("SR_NOT_ATTACHED", ["sr"],
  doc="Storage repository {0} is not attached on this host.",
  hint="Plug its PBD first.")
E("SR_NOT_EMPTY",
  doc="The storage repository still contains disks.",
  hint="Destroy or move its disks first.")
E("SR_NOT_SHARABLE", ["sr", "host"],
  doc="Storage repository {0} cannot be shared, so it cannot be connected to host {1} as well.")
E("SR_OPERATION_NOT_SUPPORTED", ["sr"],
  doc="Storage repository {0} is of a type that cannot do this.")
E("SR_REQUIRES_UPGRADE", ["SR"],
  doc="Storage repository {0} has an old format and must be upgraded first.")
E("SR_SOURCE_SPACE_INSUFFICIENT", ["sr"],
  doc="Storage repository {0} lacks the space for the snapshots that this move needs.")
E("SR_SUSPEND_SPACE_INSUFFICIENT", ["sr"],
  doc="Storage repository {0} lacks the space for the VM's suspended memory.")
E("SR_UNHEALTHY", ["sr", "health", "fix"],
  doc="Storage repository {0} is {1}.",
  hint="Try this: {2}")
E("SR_UNKNOWN_DRIVER", ["driver"],
  doc="There is no storage driver of type {0}.",
  hint="SR.get_supported_types lists those that exist.")
E("SR_UUID_EXISTS", ["uuid"],
  doc="A storage repository with the UUID {0} exists already.")
E("SR_VDI_LOCKING_FAILED",
  doc="The storage repository or disk could not be locked; another operation holds it.",
  hint="Try again later.")
E("SSL_VERIFY_ERROR", ["reason"],
  doc="The certificate of the other server is not trusted: {0}")
E("SUBJECT_ALREADY_EXISTS",
  doc="This user or group has been added already.")
E("SUBJECT_CANNOT_BE_RESOLVED",
  doc="The directory knows no user or group of this name or identifier.")
E("SUSPEND_IMAGE_NOT_ACCESSIBLE", ["vdi"],
  doc="The host cannot get at {0}, which holds the memory of the suspended VM.",
  hint="Attach its storage there.")
E("SYNC_BUNDLE_IN_PROGRESS",
  doc="A bundle of updates is being taken over at the moment.",
  hint="Try again when that is finished.")
E("SYNC_UPDATES_IN_PROGRESS",
  doc="Updates are being synchronized at the moment.",
  hint="Try again when that is finished.")
E("SYSPREP", ["vm", "message"],
  doc="VM {0} could not be prepared with sysprep: {1}")
E("SYSTEM_STATUS_MUST_USE_TAR_ON_OEM",
  doc="On an embedded installation, a status report must be requested as a tar archive.")
E("SYSTEM_STATUS_RETRIEVAL_FAILED", ["reason"],
  doc="The status report could not be made: {0}")
E("TASK_CANCELLED", ["task"],
  doc="The task {0} was cancelled before it was finished.")
E("TELEMETRY_NEXT_COLLECTION_TOO_LATE", ["timestamp"],
  doc="{0} is too far ahead for the next collection of telemetry.")
E("TLS_CONNECTION_FAILED", ["address", "port"],
  doc="No TLS connection could be made to {0}, port {1}.",
  hint="Check the address, its certificate and firewalls.")
E("TLS_VERIFICATION_NOT_ENABLED_IN_POOL",
  doc="The pool does not verify TLS certificates, which this requires.",
  hint="Enable TLS verification first.")
E("TOO_BUSY",
  doc="The server has too many requests at the moment.",
  hint="Try again shortly.")
E("TOO_MANY_GROUPS",
  doc="A VM can be in one group only.")
E("TOO_MANY_PENDING_TASKS",
  doc="Too many tasks are unfinished.",
  hint="Wait until some are done, or cancel them.")
E("TOO_MANY_STORAGE_MIGRATES", ["number"],
  doc="Only {0} disks can be moved at the same time.",
  hint="Wait until one is done.")
E("TOO_MANY_VUSBS", ["number"],
  doc="A VM can have at most {0} USB devices.")
E("TRANSPORT_PIF_NOT_CONFIGURED", ["PIF"],
  doc="The interface {0} has no IP address and cannot carry a tunnel.",
  hint="Configure its IP address first.")
E("TRUSTED_CERTIFICATE_ALREADY_EXISTS", ["fingerprint"],
  doc="A trusted certificate with the fingerprint {0} is installed already.")
E("TRUSTED_CERTIFICATE_EXPIRED", ["now", "not_after"],
  doc="The trusted certificate expired at {1}; it is now {0}.")
E("TRUSTED_CERTIFICATE_INVALID",
  doc="The trusted certificate is damaged or not in PEM form.")
E("TRUSTED_CERTIFICATE_NOT_VALID_YET", ["now", "not_before"],
  doc="The trusted certificate is valid only from {1}; it is now {0}.",
  hint="Check the host's clock.")
E("UNIMPLEMENTED_IN_SM_BACKEND", ["message"],
  doc="The storage driver cannot do this: {0}")
E("UNKNOWN_BOOTLOADER", ["vm", "bootloader"],
  doc="VM {0} asks for the boot loader {1}, which does not exist.")
E("UPDATEINFO_HASH_MISMATCH",
  doc="The update information changed since it was looked at.",
  hint="Synchronize and look at the updates again.")
E("UPDATE_ALREADY_APPLIED", ["update"],
  doc="The update {0} has been applied already.")
E("UPDATE_ALREADY_APPLIED_IN_POOL", ["update"],
  doc="The update {0} has been applied to the whole pool already.")
E("UPDATE_ALREADY_EXISTS", ["uuid"],
  doc="The update {0} has been introduced already.")
E("UPDATE_APPLY_FAILED", ["output"],
  doc="The update failed to apply; it said: {0}")
E("UPDATE_IS_APPLIED",
  doc="The update is in use on a host and cannot be removed.")
E("UPDATE_POOL_APPLY_FAILED", ["hosts"],
  doc="The update failed to apply on these hosts: {0}")
E("UPDATE_PRECHECK_FAILED_CONFLICT_PRESENT", ["update", "conflict_update"],
  doc="The update {0} conflicts with {1}, which is installed.")
E("UPDATE_PRECHECK_FAILED_GPGKEY_NOT_IMPORTED", ["update"],
  doc="The key that signed update {0} is not installed on the host.")
E("UPDATE_PRECHECK_FAILED_OUT_OF_SPACE", ["update", "available_space", "required_space "],
  doc="The update {0} needs {2} bytes on the host, and {1} are free.")
E("UPDATE_PRECHECK_FAILED_PREREQUISITE_MISSING", ["update", "prerequisite_update"],
  doc="The update {0} needs {1} to be installed first.")
E("UPDATE_PRECHECK_FAILED_UNKNOWN_ERROR", ["update", "info"],
  doc="The check before applying update {0} failed: {1}")
E("UPDATE_PRECHECK_FAILED_WRONG_SERVER_VERSION", ["update", "installed_version", "required_version "],
  doc="The update {0} is made for version {2}; this host has {1}.")
E("UPDATE_SYNCING_REMOTE_POOL_COORDINATOR_CONNECTION_FAILED",
  doc="The coordinator of the pool to take updates from does not answer.",
  hint="Check its address and the network.")
E("UPDATE_SYNCING_REMOTE_POOL_COORDINATOR_SERVICE_FAILED",
  doc="The coordinator of the pool to take updates from gave no proper answer.")
E("USB_ALREADY_ATTACHED", ["PUSB", "VM"],
  doc="The USB device {0} is attached to VM {1} already.")
E("USB_GROUP_CONFLICT", ["USB_group"],
  doc="The USB group {0} has a virtual USB device already.")
E("USB_GROUP_CONTAINS_NO_PUSBS", ["usb_group"],
  doc="The USB group {0} has no physical device in it.")
E("USB_GROUP_CONTAINS_PUSB", ["pusbs"],
  doc="The USB group still contains the physical devices {0}.",
  hint="Remove them from the group first.")
E("USB_GROUP_CONTAINS_VUSB", ["vusbs"],
  doc="The USB group is still used by the virtual devices {0}.",
  hint="Remove them first.")
E("USER_IS_NOT_LOCAL_SUPERUSER", ["msg"],
  doc="Only the local administrator of the host can do this: {0}")
E("UUID_INVALID", ["type", "uuid"],
  doc="There is no {0} with the UUID {1}.")
E("V6D_FAILURE",
  doc="The licensing service failed or does not answer.")
E("VALUE_NOT_SUPPORTED", ["field", "value", "reason"],
  doc="{1} cannot be used for {0}: {2}")
E("VBD_CDS_MUST_BE_READONLY",
  doc="A CD drive must be read-only.",
  hint="Set its mode to RO.")
E("VBD_IS_EMPTY", ["vbd"],
  doc="The drive {0} holds no disc.")
E("VBD_NOT_EMPTY", ["vbd"],
  doc="The drive {0} holds a disc already.",
  hint="Eject it first.")
E("VBD_NOT_REMOVABLE_MEDIA", ["vbd"],
  doc="The block device {0} is no drive whose medium can be changed.")
E("VBD_NOT_UNPLUGGABLE", ["vbd"],
  doc="The block device {0} is marked as one that cannot be unplugged.")
E("VBD_TRAY_LOCKED", ["vbd"],
  doc="The guest holds the tray of drive {0} locked.",
  hint="Eject the disc inside the guest.")
E("VCPU_MAX_NOT_CORES_PER_SOCKET_MULTIPLE", ["vcpu_max", "cores_per_socket"],
  doc="{0} virtual processors cannot be divided into sockets of {1} cores.")
E("VDI_CBT_ENABLED", ["vdi"],
  doc="Changed block tracking is on for disk {0}.",
  hint="Disable it first.")
E("VDI_CONTAINS_METADATA_OF_THIS_POOL", ["vdi", "pool"],
  doc="The disk {0} holds metadata of this very pool, {1}.")
E("VDI_COPY_FAILED",
  doc="The copy of the disk failed.")
E("VDI_HAS_RRDS", ["vdi"],
  doc="The disk {0} holds recorded metrics and cannot be used for this.")
E("VDI_INCOMPATIBLE_TYPE", ["vdi", "type"],
  doc="This cannot be done with disk {0}, which is of type {1}.")
E("VDI_IN_USE", ["vdi", "operation"],
  doc="The disk {0} is in use; {1} is not possible now.",
  hint="Detach it or wait until its other operation is done.")
E("VDI_IS_A_PHYSICAL_DEVICE", ["vdi"],
  doc="The disk {0} is a device of the host; this is not possible with one.")
E("VDI_IS_ENCRYPTED", ["vdi"],
  doc="The disk {0} is encrypted; this is not possible with it.")
E("VDI_IS_NOT_ISO", ["vdi", "type"],
  doc="The disk {0} is of type {1}, not an ISO image.",
  hint="Insert an image from an ISO library.")
E("VDI_LOCATION_MISSING", ["sr", "location"],
  doc="Storage repository {0} has nothing at location {1}.",
  hint="Scan the storage repository.")
E("VDI_MISSING", ["sr", "vdi"],
  doc="Disk {1} is gone from storage repository {0}.",
  hint="Scan the storage repository.")
E("VDI_NEEDS_VM_FOR_MIGRATE", ["vdi"],
  doc="The disk {0} can be moved only while a running VM uses it.",
  hint="Copy the disk instead.")
E("VDI_NOT_AVAILABLE", ["vdi"],
  doc="The disk {0} cannot be accessed, because its storage is offline or it is being changed.")
E("VDI_NOT_IN_MAP", ["vdi"],
  doc="Nothing says where disk {0} should go.",
  hint="Name a storage repository for it in vdi_map.")
E("VDI_NOT_MANAGED", ["vdi"],
  doc="The disk {0} is an internal one that users cannot work with.")
E("VDI_NOT_SPARSE", ["vdi"],
  doc="The disk {0} has no map of its used blocks, so differences cannot be copied.")
E("VDI_NO_CBT_METADATA", ["vdi"],
  doc="The disk {0} has no changed block tracking data.",
  hint="Enable it before the snapshots to be compared.")
E("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION",
  doc="This is not possible with a disk that is reset at every start.",
  hint="Set on_boot to persist.")
E("VDI_READONLY", ["vdi"],
  doc="The disk {0} is read-only.")
E("VDI_TOO_LARGE", ["vdi", "maximum size"],
  doc="The disk {0} would be too large: {1} bytes are the most.")
E("VDI_TOO_SMALL", ["vdi", "minimum size"],
  doc="The disk {0} is too small: it needs at least {1} bytes.")
E("VGPU_DESTINATION_INCOMPATIBLE", ["reason", "vgpu", "host"],
  doc="Virtual GPU {1} cannot move to host {2}: {0}")
E("VGPU_GUEST_DRIVER_LIMIT", ["reason", "vm", "host"],
  doc="The graphics driver inside VM {1} does not allow this on host {2}: {0}")
E("VGPU_SUSPENSION_NOT_SUPPORTED", ["reason", "vgpu", "host"],
  doc="The virtual GPU {1} on host {2} cannot be suspended: {0}")
E("VGPU_TYPE_NOT_COMPATIBLE", ["type"],
  doc="Virtual GPUs of type {0} cannot be combined with the others of this VM.")
E("VGPU_TYPE_NOT_COMPATIBLE_WITH_RUNNING_TYPE", ["pgpu", "type", "running_type"],
  doc="GPU {0} cannot run type {1} while it runs {2}.")
E("VGPU_TYPE_NOT_ENABLED", ["type", "enabled_types"],
  doc="The virtual GPU type {0} is not enabled here; enabled are {1}.")
E("VGPU_TYPE_NOT_SUPPORTED", ["type", "supported_types"],
  doc="The virtual GPU type {0} is not possible here; possible are {1}.")
E("VGPU_TYPE_NO_LONGER_SUPPORTED", ["type"],
  doc="The virtual GPU type {0} is not provided any more.",
  hint="Choose another type.")
E("VIF_IN_USE", ["network", "VIF"],
  doc="Network {0} is in use by the virtual interface {1}.",
  hint="Unplug it first.")
E("VIF_NOT_IN_MAP", ["vif"],
  doc="Nothing says to which network virtual interface {0} should go.",
  hint="Name a network for it in vif_map.")
E("VLAN_IN_USE", ["device", "vlan"],
  doc="VLAN {1} exists already on {0}.")
E("VLAN_TAG_INVALID", ["VLAN"],
  doc="{0} is no VLAN tag.",
  hint="Use a number from 0 to 4094.")
E("VMPP_ARCHIVE_MORE_FREQUENT_THAN_BACKUP",
  doc="Archives cannot be made more often than the backups that they consist of.")
E("VMPP_HAS_VM",
  doc="VMs still use this protection policy.",
  hint="Remove them from it first.")
E("VMSS_HAS_VM",
  doc="VMs still use this snapshot schedule.",
  hint="Remove them from it first.")
E("VMS_FAILED_TO_COOPERATE",
  doc="Some VMs did not give back memory when asked to.")
E("VM_ASSIGNED_TO_PROTECTION_POLICY", ["vm", "vmpp"],
  doc="VM {0} belongs to protection policy {1}.")
E("VM_ASSIGNED_TO_SNAPSHOT_SCHEDULE", ["vm", "vmss"],
  doc="VM {0} belongs to snapshot schedule {1}.",
  hint="Remove it from the schedule first.")
E("VM_BAD_POWER_STATE", ["vm", "expected", "actual"],
  doc="VM {0} is {2}; for this it must be {1}.")
E("VM_BIOS_STRINGS_ALREADY_SET",
  doc="The BIOS strings of this VM are set and cannot be changed again.")
E("VM_CALL_PLUGIN_RATE_LIMIT", ["VM", "interval", "wait"],
  doc="VM {0} may be called only once in {1} seconds.",
  hint="Wait {2} seconds.")
E("VM_CANNOT_DELETE_DEFAULT_TEMPLATE", ["vm"],
  doc="{0} is a built-in template and cannot be removed.")
E("VM_CHECKPOINT_RESUME_FAILED", ["vm"],
  doc="VM {0} did not resume after its checkpoint.",
  hint="Resume or restart it by hand.")
E("VM_CHECKPOINT_SUSPEND_FAILED", ["vm"],
  doc="No checkpoint was made because the memory of VM {0} could not be saved.")
E("VM_CRASHED", ["vm"],
  doc="VM {0} crashed.")
E("VM_DUPLICATE_VBD_DEVICE", ["vm", "vbd", "device"],
  doc="The block device {1} of VM {0} would have the device number {2}, which is taken.")
E("VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT", ["vm"],
  doc="VM {0} did not react to the request to shut down.",
  hint="Check its guest tools, or shut it down by force.")
E("VM_FAILED_SUSPEND_ACKNOWLEDGMENT", ["vm"],
  doc="VM {0} did not react to the request to suspend.")
E("VM_HALTED", ["vm"],
  doc="VM {0} was shut down in the meantime.")
E("VM_HAS_CHECKPOINT", ["vm"],
  doc="VM {0} has checkpoints and cannot be moved with its disks.",
  hint="Delete its checkpoints first.")
E("VM_HAS_NO_SUSPEND_VDI", ["vm"],
  doc="VM {0} has no disk with saved memory to resume from.")
E("VM_HAS_PCI_ATTACHED", ["vm"],
  doc="VM {0} has a PCI device of its host.",
  hint="Detach it first.")
E("VM_HAS_SRIOV_VIF", ["vm"],
  doc="VM {0} has an SR-IOV network interface, which ties it to its host.")
E("VM_HAS_TOO_MANY_SNAPSHOTS", ["vm"],
  doc="VM {0} has too many snapshots to be moved with its disks.",
  hint="Delete snapshots first.")
E("VM_HAS_VGPU", ["vm"],
  doc="VM {0} has a virtual GPU; this is not possible with one.")
E("VM_HAS_VUSBS", ["VM"],
  doc="VM {0} has USB devices of its host.",
  hint="Remove them first.")
E("VM_HOST_INCOMPATIBLE_VERSION", ["host", "vm"],
  doc="VM {1} was last run by a newer version than host {0} has.")
E("VM_HOST_INCOMPATIBLE_VERSION_MIGRATE", ["host", "vm"],
  doc="VM {1} cannot move to host {0}, whose version is older than that of its present host.")
E("VM_HOST_INCOMPATIBLE_VIRTUAL_HARDWARE_PLATFORM_VERSION", ["host", "host_versions", "vm", "vm_version"],
  doc="VM {2} needs virtual hardware version {3}; host {0} provides {1}.")
E("VM_HVM_REQUIRED", ["vm"],
  doc="VM {0} needs a host with hardware virtualization.")
E("VM_INCOMPATIBLE_WITH_THIS_HOST", ["vm", "host", "reason"],
  doc="VM {0} cannot run on host {1}: {2}")
E("VM_IS_IMMOBILE", ["VM"],
  doc="VM {0} is set up in a way that ties it to its host.")
E("VM_IS_PART_OF_AN_APPLIANCE", ["vm", "appliance"],
  doc="VM {0} belongs to appliance {1}.",
  hint="Recover the appliance as a whole.")
E("VM_IS_PROTECTED", ["vm"],
  doc="VM {0} is protected by high availability.",
  hint="Clear its restart priority first.")
E("VM_IS_TEMPLATE", ["vm"],
  doc="{0} is a template; this is possible with VMs only.",
  hint="Make a VM from it first.")
E("VM_IS_USING_NESTED_VIRT", ["VM"],
  doc="VM {0} runs virtual machines itself; this is not possible with it.")
E("VM_LACKS_FEATURE", ["vm"],
  doc="The guest in VM {0} does not offer what this needs.",
  hint="Install or update its guest tools.")
E("VM_MEMORY_SIZE_TOO_LOW", ["vm"],
  doc="VM {0} has too little memory to be started.",
  hint="Raise its memory limits.")
E("VM_MIGRATE_CONTACT_REMOTE_SERVICE_FAILED",
  doc="The service at the destination did not answer.",
  hint="Check the destination and the network.")
E("VM_MIGRATE_FAILED", ["vm", "source", "destination", "msg"],
  doc="VM {0} could not be moved from {1} to {2}: {3}")
E("VM_MISSING_PV_DRIVERS", ["vm"],
  doc="VM {0} has no guest tools running.",
  hint="Install them in the guest.")
E("VM_NON_SUSPENDABLE", ["vm", "reason"],
  doc="VM {0} cannot be suspended: {1}")
E("VM_NOT_RESIDENT_HERE", ["vm", "host"],
  doc="VM {0} does not run on host {1}.")
E("VM_NO_CRASHDUMP_SR", ["vm"],
  doc="There is no storage repository for the crash dump of VM {0}.")
E("VM_NO_EMPTY_CD_VBD", ["vm"],
  doc="VM {0} has no empty CD drive.",
  hint="Eject a disc or add a drive.")
E("VM_NO_SUSPEND_SR", ["vm"],
  doc="There is no storage repository for the suspended memory of VM {0}.",
  hint="Set one for the VM, host or pool.")
E("VM_NO_VCPUS", ["vm"],
  doc="VM {0} has no virtual processor.",
  hint="Give it at least one.")
E("VM_OLD_PV_DRIVERS", ["vm", "major", "minor"],
  doc="The guest tools {1}.{2} in VM {0} are too old.",
  hint="Update them in the guest.")
E("VM_PCI_BUS_FULL", ["VM"],
  doc="VM {0} has no free PCI slot left.")
E("VM_PV_DRIVERS_IN_USE", ["vm"],
  doc="VM {0} is using its paravirtual drivers, so this cannot be changed now.")
E("VM_REBOOTED", ["vm"],
  doc="VM {0} was restarted in the meantime.")
E("VM_REQUIRES_GPU", ["vm", "GPU_group"],
  doc="VM {0} needs a GPU of group {1}, which this host does not have.")
E("VM_REQUIRES_IOMMU", ["host"],
  doc="Host {0} has no IOMMU enabled, which the VM's devices need.",
  hint="Enable it in the host's firmware.")
E("VM_REQUIRES_NETWORK", ["vm", "network"],
  doc="VM {0} needs network {1}, which this host is not connected to.")
E("VM_REQUIRES_SR", ["vm", "sr"],
  doc="VM {0} needs storage repository {1}, which is not available there.")
E("VM_REQUIRES_VDI", ["vm", "vdi"],
  doc="VM {0} needs disk {1}, which is not available.")
E("VM_REQUIRES_VGPU", ["vm", "GPU_group", "vGPU_type"],
  doc="VM {0} needs a virtual GPU of type {2} from group {1}, which is not available there.")
E("VM_REQUIRES_VUSB", ["vm", "USB_group"],
  doc="VM {0} needs a USB device of group {1}, which is not available there.")
E("VM_REVERT_FAILED", ["vm", "snapshot"],
  doc="VM {0} could not be set back to snapshot {1}.")
E("VM_SHUTDOWN_TIMEOUT", ["vm", "timeout"],
  doc="VM {0} did not shut down within {1} seconds.",
  hint="Wait, or shut it down by force.")
E("VM_SNAPSHOT_WITH_QUIESCE_FAILED", ["vm"],
  doc="The guest in VM {0} could not bring its data to rest for the snapshot.")
E("VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED", ["vm", "error"],
  doc="The guest in VM {0} cannot bring its data to rest for a snapshot: {1}")
E("VM_SNAPSHOT_WITH_QUIESCE_PLUGIN_DEOS_NOT_RESPOND", ["vm"],
  doc="The service in VM {0} that brings data to rest for snapshots does not answer.")
E("VM_SNAPSHOT_WITH_QUIESCE_TIMEOUT", ["vm"],
  doc="The guest in VM {0} took too long to bring its data to rest for the snapshot.")
E("VM_SUSPEND_TIMEOUT", ["vm", "timeout"],
  doc="VM {0} did not suspend within {1} seconds.")
E("VM_TOO_MANY_VCPUS", ["vm"],
  doc="VM {0} has more virtual processors than are possible.")
E("VM_TO_IMPORT_IS_NOT_NEWER_VERSION", ["vm", "existing_version", "version_to_import"],
  doc="VM {0} is here already as version {1}, and version {2} is not newer.",
  hint="Force the import to replace it.")
E("VM_UNSAFE_BOOT", ["vm"],
  doc="VM {0} may still be running elsewhere, and starting it twice would destroy its disks.")
E("VTPM_MAX_AMOUNT_REACHED", ["amount"],
  doc="A VM can have no more than {0} virtual TPMs.")
E("WLB_AUTHENTICATION_FAILED",
  doc="The workload balancing server did not accept the user name or password.")
E("WLB_CONNECTION_REFUSED",
  doc="The workload balancing server refused the connection.",
  hint="Check that it runs at that address.")
E("WLB_CONNECTION_RESET",
  doc="The workload balancing server broke the connection.")
E("WLB_DISABLED",
  doc="Workload balancing is off in this pool.")
E("WLB_INTERNAL_ERROR",
  doc="The workload balancing server reported an error of its own.")
E("WLB_MALFORMED_REQUEST",
  doc="The workload balancing server did not understand the request.")
E("WLB_MALFORMED_RESPONSE", ["method", "reason", "response"],
  doc="The workload balancing server's answer to {0} cannot be understood: {1} ({2})")
E("WLB_NOT_INITIALIZED",
  doc="No workload balancing server is configured.",
  hint="Initialize workload balancing first.")
E("WLB_TIMEOUT", ["configured_timeout"],
  doc="The workload balancing server did not answer within {0} seconds.")
E("WLB_UNKNOWN_HOST",
  doc="The name of the workload balancing server cannot be resolved.")
E("WLB_URL_INVALID", ["url"],
  doc="{0} cannot be the address of a workload balancing server.")
E("WLB_XENSERVER_AUTHENTICATION_FAILED",
  doc="The user name or password that the workload balancing server has for this pool is wrong.")
E("WLB_XENSERVER_CONNECTION_REFUSED",
  doc="This pool refused the connection of the workload balancing server.")
E("WLB_XENSERVER_MALFORMED_RESPONSE",
  doc="The workload balancing server did not understand the answer of this pool.")
E("WLB_XENSERVER_TIMEOUT",
  doc="The workload balancing server got no answer from this pool in time.")
E("WLB_XENSERVER_UNKNOWN_HOST",
  doc="The workload balancing server cannot resolve the name of this pool's host.")
E("XAPI_HOOK_FAILED", ["hook_name", "reason", "stdout", "exit_code"],
  doc="The hook {0} failed with exit code {3} on {1}: {2}")
E("XENAPI_MISSING_PLUGIN", ["name"],
  doc="There is no plug-in named {0} on this host.")
E("XENAPI_PLUGIN_FAILURE", ["status", "stdout", "stderr"],
  doc="The plug-in failed with {0}: {2} {1}")
E("XEN_INCOMPATIBLE",
  doc="The hypervisor's version does not fit this software.")
E("XEN_VSS_REQ_ERROR_ADDING_VOLUME_TO_SNAPSET_FAILED", ["vm", "error_code"],
  doc="Windows in VM {0} could not add a volume to the shadow copy (error {1}).")
E("XEN_VSS_REQ_ERROR_CREATING_SNAPSHOT", ["vm", "error_code"],
  doc="Windows in VM {0} could not create the shadow copy (error {1}).")
E("XEN_VSS_REQ_ERROR_CREATING_SNAPSHOT_XML_STRING", ["vm", "error_code"],
  doc="Windows in VM {0} could not describe the shadow copy (error {1}).")
E("XEN_VSS_REQ_ERROR_INIT_FAILED", ["vm", "error_code"],
  doc="The shadow copy service in VM {0} could not be initialized (error {1}).")
E("XEN_VSS_REQ_ERROR_NO_VOLUMES_SUPPORTED", ["vm", "error_code"],
  doc="No volume of VM {0} can have a shadow copy (error {1}).")
E("XEN_VSS_REQ_ERROR_PREPARING_WRITERS", ["vm", "error_code"],
  doc="Programs in VM {0} could not prepare for the shadow copy (error {1}).")
E("XEN_VSS_REQ_ERROR_PROV_NOT_LOADED", ["vm", "error_code"],
  doc="The shadow copy provider of VM {0} is not loaded (error {1}).")
E("XEN_VSS_REQ_ERROR_START_SNAPSHOT_SET_FAILED", ["vm", "error_code"],
  doc="Windows in VM {0} could not start the set of shadow copies (error {1}).")
E("XMLRPC_UNMARSHAL_FAILURE", ["expected", "received"],
  doc="A value of the request could not be decoded: expected {0}, received {1}")
