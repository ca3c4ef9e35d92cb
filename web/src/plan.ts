// SPDX-License-Identifier: Apache-2.0
// A new machine as the calls that make it. What the form says, and what the template has, is all that counts: pure.
import { arg, Result, type Arg, type Call } from './copyas';
import { parseBytes } from './format';
import { say } from './strings';

export interface Plan {
  template: string; templateUuid: string; name: string; cpus: string; memory: string;
  disk: string; sr: string; srUuid: string; image: string; imageSize: number; network: string; networkUuid: string; iso: string;
  hostname: string; user: string; keys: string; userData: string; start: boolean;
}
/** What the template brings: how many processors at most, and which places are taken. */
export interface Base { cpusMax: number; drives: string[]; nics: string[]; hasCd: boolean; makesDisks: boolean; memoryMin: number }

const HOSTNAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$/;
const USER = /^[a-z_][a-z0-9_-]{0,31}$/;

/** Empty: it can be made. */
export function mistake(p: Plan): string {
  if (p.name.trim() === '') return say.giveItAName;
  const cpus = Number(p.cpus);
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > 64) return say.cpusAreANumber;
  if (!(parseBytes(p.memory) >= 16 * 1024 ** 2)) return say.memoryIsASizeAs;
  if (p.disk.trim() !== '' && p.disk.trim() !== '0' && !(parseBytes(p.disk) >= 1024 ** 2)) return say.theDiskIsASize;
  if (p.hostname !== '' && !HOSTNAME.test(p.hostname)) return say.hostNamesAre;
  if (p.user !== '' && !USER.test(p.user)) return say.userNamesAre;
  if (p.userData !== '' && p.user !== '') return say.userOrConfiguration;
  return '';
}

/** The configuration that gives the first user its name; its keys stand beside it. */
const userData = (p: Plan): string => (p.user !== '' ? say.cloudConfigUser(p.user) : p.userData);

const firstFree = (taken: string[]): string => Array.from({ length: 16 }, (_, i) => String(i)).find((d) => !taken.includes(d)) ?? '0';

export function callsOf(p: Plan, b: Base): Call[] {
  const vm = new Result(0), name = p.name.trim(), cpus = Number(p.cpus) || 1, memory = parseBytes(p.memory) || 0, disk = parseBytes(p.disk) || 0;
  const calls: Call[] = [];
  const add = (method: string, cli: string, ...args: Arg[]): Result => { calls.push({ method, cli, args }); return new Result(calls.length - 1); };
  const own = arg(vm, 'uuid=RESULT_1');
  add('VM.clone', 'vm-clone', arg(p.template, `uuid=${p.templateUuid}`), arg(name, `new-name-label=${name}`));
  const min = Math.min(memory, b.memoryMin);
  add('VM.set_memory_limits', 'vm-memory-limits-set', own, arg(min, `static-min=${min}`), arg(memory, `static-max=${memory}`), arg(memory, `dynamic-min=${memory}`), arg(memory, `dynamic-max=${memory}`));
  const set = (field: string): void => { add(`VM.set_${field}`, 'vm-param-set', own, arg(cpus, `${field.replaceAll('_', '-')}=${cpus}`)); };
  for (const field of cpus > b.cpusMax ? ['VCPUs_max', 'VCPUs_at_startup'] : ['VCPUs_at_startup', 'VCPUs_max']) set(field);
  if (b.makesDisks) add('VM.remove_from_other_config', 'vm-param-remove', own, arg('disks', 'param-key=disks'), arg(undefined, 'param-name=other-config'));
  add('VM.provision', '', own);
  for (const [key, value] of [['hostname', p.hostname], ['ssh-keys', p.keys.trim()], ['user-data', userData(p)]] as const) {
    if (value !== '') add('VM.add_to_other_config', 'vm-param-set', own, arg(`cloud-init:${key}`), arg(value, `other-config:cloud-init:${key}=${value}`));
  }
  const drives = [...b.drives];
  const vbd = (vdi: unknown, device: string, cd: boolean): void => {
    drives.push(device);
    add('VBD.create', 'vbd-create', arg({ VM: vm, VDI: vdi, userdevice: device, bootable: true, mode: cd ? 'RO' : 'RW', type: cd ? 'CD' : 'Disk', unpluggable: true, empty: cd && vdi === 'OpaqueRef:NULL', other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {} }, 'vm-uuid=RESULT_1'),
      arg(undefined, `device=${device}`), arg(undefined, `type=${cd ? 'CD' : 'Disk'}`));
  };
  if (p.image !== '') {
    const vdi = add('VDI.clone', 'vdi-clone', arg(p.image), arg({}));
    add('VDI.set_name_label', 'vdi-param-set', arg(vdi), arg(say.diskNumber(name, 0), `name-label=${say.diskNumber(name, 0)}`));
    if (disk > p.imageSize) add('VDI.resize', 'vdi-resize', arg(vdi), arg(disk, `disk-size=${disk}`));
    vbd(vdi, firstFree(drives), false);
  } else if (disk > 0) {
    const label = say.diskNumber(name, b.drives.length);
    const vdi = add('VDI.create', 'vdi-create', arg({ name_label: label, name_description: '', SR: p.sr, virtual_size: disk, type: 'user', sharable: false, read_only: false, other_config: {} }, `name-label=${label}`),
      arg(undefined, `virtual-size=${disk}`), arg(undefined, `sr-uuid=${p.srUuid}`));
    vbd(vdi, firstFree(drives), false);
  }
  if (!b.hasCd) vbd(p.iso, drives.includes('3') ? firstFree(drives) : '3', true);
  if (p.network !== '') {
    const device = firstFree(b.nics);
    add('VIF.create', 'vif-create', arg({ VM: vm, network: p.network, device, MAC: '', MTU: 1500, other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {} }, 'vm-uuid=RESULT_1'), arg(undefined, `network-uuid=${p.networkUuid}`), arg(undefined, `device=${device}`));
  }
  if (p.start) add('VM.start', 'vm-start', own, arg(false), arg(false));
  return calls;
}
