// SPDX-License-Identifier: Apache-2.0
// The records that the console reads, as far as it reads them. Names are the API's.
export type Ref = string;
export const NULL_REF = 'OpaqueRef:NULL';
export type StringMap = Record<string, string>;

export interface Rec { uuid: string }
export interface Named extends Rec { name_label: string; name_description: string; tags?: string[]; other_config: StringMap }
export interface Operable { allowed_operations: string[]; current_operations: StringMap }

export interface Vm extends Named, Operable {
  power_state: 'Halted' | 'Running' | 'Paused' | 'Suspended';
  is_vmss_snapshot: boolean; snapshot_schedule: Ref;
  is_a_template: boolean; is_default_template: boolean; is_a_snapshot: boolean; is_control_domain: boolean;
  snapshot_of: Ref; snapshots: Ref[]; snapshot_time: string; parent: Ref; children: Ref[];
  resident_on: Ref; affinity: Ref;
  memory_static_max: number; memory_dynamic_max: number; memory_dynamic_min: number; memory_static_min: number;
  VCPUs_max: number; VCPUs_at_startup: number;
  VBDs: Ref[]; VIFs: Ref[]; consoles: Ref[]; metrics: Ref; guest_metrics: Ref;
  tags: string[]; blocked_operations: StringMap; platform: StringMap;
  HVM_boot_params: StringMap; PV_kernel: string; PV_ramdisk: string; PV_args: string;
  actions_after_crash: string; actions_after_shutdown: string; ha_restart_priority: string; auto_poweron?: boolean;
}
export interface VmMetrics extends Rec { start_time: string; memory_actual: number; install_time: string }
export interface GuestMetrics extends Rec { os_version: StringMap; networks: StringMap; live: boolean }
export interface Vbd extends Rec, Operable {
  VM: Ref; VDI: Ref; userdevice: string; device: string; bootable: boolean; mode: 'RO' | 'RW'; type: 'Disk' | 'CD' | 'Floppy';
  empty: boolean; currently_attached: boolean;
}
export interface Vdi extends Named, Operable {
  SR: Ref; VBDs: Ref[]; virtual_size: number; physical_utilisation: number; type: string; read_only: boolean;
  is_a_snapshot: boolean; snapshot_of: Ref; sharable: boolean; missing: boolean;
}
export interface Vif extends Rec, Operable {
  VM: Ref; network: Ref; device: string; MAC: string; MTU: number; currently_attached: boolean; locking_mode: string;
  ipv4_allowed: string[]; ipv6_allowed: string[];
}
export interface Sr extends Named, Operable {
  VDIs: Ref[]; PBDs: Ref[]; type: string; content_type: string; shared: boolean;
  physical_size: number; physical_utilisation: number; virtual_allocation: number;
}
export interface Network extends Named, Operable { VIFs: Ref[]; PIFs: Ref[]; bridge: string; MTU: number; default_locking_mode: string }
export interface Host extends Named, Operable {
  enabled: boolean; address: string; hostname: string; resident_VMs: Ref[]; software_version: StringMap; cpu_info: StringMap;
  metrics: Ref; PIFs: Ref[]; PBDs: Ref[]; external_auth_type: string;
}
export interface HostMetrics extends Rec { memory_total: number; memory_free: number; live: boolean }
export interface Pool extends Named { master: Ref; default_SR: Ref }
export interface Pif extends Rec {
  device: string; network: Ref; host: Ref; MAC: string; MTU: number; IP: string; netmask: string; gateway: string;
  ip_configuration_mode: string; management: boolean; currently_attached: boolean; VLAN: number;
}
export interface Pbd extends Rec { host: Ref; SR: Ref; device_config: StringMap; currently_attached: boolean }
export interface Console extends Rec { protocol: string; location: string; VM: Ref }
export interface Task extends Rec {
  name_label: string; created: string; finished: string; status: 'pending' | 'success' | 'failure' | 'cancelling' | 'cancelled';
  progress: number; result: string; error_info: string[]; allowed_operations: string[];
}
export interface Message extends Rec { name: string; priority: number; cls: string; obj_uuid: string; timestamp: string; body: string }

export interface Vmss extends Rec {
  name_label: string; name_description: string;
  enabled: boolean; type: string; retained_snapshots: number; frequency: string; schedule: StringMap; last_run_time: string; VMs: Ref[];
}
export interface Sm extends Rec { type: string }
export interface Role extends Rec { name_label: string; name_description: string; is_internal: boolean }
export interface Subject extends Rec { subject_identifier: string; other_config: StringMap; roles: Ref[] }
export interface Certificate extends Rec { name: string; type: string; host: Ref; not_before: string; not_after: string; fingerprint: string; fingerprint_sha256?: string }

export interface Classes {
  pool: Pool; host: Host; host_metrics: HostMetrics; vm: Vm; vm_metrics: VmMetrics; vm_guest_metrics: GuestMetrics; vbd: Vbd;
  vdi: Vdi; vif: Vif; sr: Sr; pbd: Pbd; pif: Pif; network: Network; console: Console; task: Task; message: Message;
  sm: Sm; vmss: Vmss; role: Role; subject: Subject; certificate: Certificate;
}
export type ClassName = keyof Classes;
