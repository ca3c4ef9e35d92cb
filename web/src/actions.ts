// SPDX-License-Identifier: Apache-2.0
// What can be done to a machine: the calls, when they may be made, why not, and what exactly a dangerous one will do.
import { denied } from './api';
import { arg, type Call } from './copyas';
import type { Ref, Vm } from './model';
import { say } from './strings';

export interface Action {
  id: string;
  label: string;
  op: string;
  method: string;
  key?: string;
  /** Asked once before it is done. */
  danger?: (name: string) => string;
  call: (ref: Ref, vm: Vm) => Call;
}

const vmCall = (method: string, cli: string, ...more: ReturnType<typeof arg>[]) => (ref: Ref, vm: Vm): Call =>
  ({ method, cli, args: [arg(ref, `vm=${vm.uuid}`), ...more] });

export const ACTIONS: Action[] = [
  { id: 'start', label: say.start, op: 'start', method: 'VM.start', key: 's', call: vmCall('VM.start', 'vm-start', arg(false), arg(false)) },
  { id: 'resume', label: say.resume, op: 'resume', method: 'VM.resume', call: vmCall('VM.resume', 'vm-resume', arg(false), arg(false)) },
  { id: 'unpause', label: say.unpause, op: 'unpause', method: 'VM.unpause', call: vmCall('VM.unpause', 'vm-unpause') },
  { id: 'shutdown', label: say.shutDown, op: 'clean_shutdown', method: 'VM.clean_shutdown', call: vmCall('VM.clean_shutdown', 'vm-shutdown') },
  { id: 'reboot', label: say.reboot, op: 'clean_reboot', method: 'VM.clean_reboot', call: vmCall('VM.clean_reboot', 'vm-reboot') },
  { id: 'suspend', label: say.suspend, op: 'suspend', method: 'VM.suspend', call: vmCall('VM.suspend', 'vm-suspend') },
  { id: 'pause', label: say.pause, op: 'pause', method: 'VM.pause', call: vmCall('VM.pause', 'vm-pause') },
  {
    id: 'hard_shutdown', label: say.powerOff, op: 'hard_shutdown', method: 'VM.hard_shutdown',
    danger: (name) => say.losesItsPowerAtOnce(name),
    call: vmCall('VM.hard_shutdown', 'vm-shutdown', arg(undefined, 'force=true')),
  },
  {
    id: 'hard_reboot', label: say.reset, op: 'hard_reboot', method: 'VM.hard_reboot',
    danger: (name) => say.isResetAsByIts(name),
    call: vmCall('VM.hard_reboot', 'vm-reboot', arg(undefined, 'force=true')),
  },
];


const STATE_FOR: Record<string, string> = {
  start: 'Halted', resume: 'Suspended', unpause: 'Paused', clean_shutdown: 'Running', clean_reboot: 'Running', suspend: 'Running',
  pause: 'Running',
};

/** Empty: it may be done now. Otherwise why not. */
export function whyNot(op: string, method: string, thing: { allowed_operations: string[]; current_operations: Record<string, string>;
  power_state?: string; blocked_operations?: Record<string, string> }): string {
  const no = denied(method);
  if (no !== '') return no;
  if (op === '' || thing.allowed_operations.includes(op)) return '';
  const busy = Object.values(thing.current_operations);
  if (busy.length > 0) return say.busyIsUnderWay(busy.map((b) => b.replaceAll('_', ' ')).join(', '));
  const blocked = thing.blocked_operations?.[op];
  if (blocked !== undefined) return say.blocked(blocked || say.byTheOperationsThatAre);
  const want = STATE_FOR[op];
  if (want && thing.power_state && want !== thing.power_state) return say.itIsForThisIt(thing.power_state.toLowerCase(), want.toLowerCase());
  return say.notPossibleInItsPresent(op.replaceAll('_', ' '));
}

export const simple = (method: string, cli: string, ...args: ReturnType<typeof arg>[]): Call => ({ method, cli, args });
