// SPDX-License-Identifier: Apache-2.0
// The settings of a machine.
import type { JSX } from 'preact';
import { save, setField, setKey } from './act';
import { may } from './api';
import { arg, type Call } from './copyas';
import { bytes, parseBytes } from './format';
import { Labels, Thresholds } from './labels';
import { NULL_REF, type Ref, type Vm } from './model';
import { notice } from './run';
import { hosts, type Entry } from './store';
import { Card, Field } from './ui';
import { say } from './strings';

const memoryCalls = (ref: Ref, vm: Vm, n: number): Call[] => [vm.power_state === 'Halted'
  ? { method: 'VM.set_memory_limits', cli: 'vm-memory-limits-set', args: [arg(ref, `vm=${vm.uuid}`), ...(['static-min', 'static-max', 'dynamic-min', 'dynamic-max'] as const).map((k, i) => { const v = i === 0 ? Math.min(vm.memory_static_min, n) : n; return arg(v, `${k}=${v}`); })] }
  : { method: 'VM.set_memory_dynamic_range', cli: 'vm-memory-dynamic-range-set', args: [arg(ref, `vm=${vm.uuid}`), arg(n, `min=${n}`), arg(n, `max=${n}`)] }];

function cpuCalls(ref: Ref, vm: Vm, n: number): Call[] {
  if (vm.power_state === 'Running') return [{ method: 'VM.set_VCPUs_number_live', cli: 'vm-vcpu-hotplug', args: [arg(ref, `vm=${vm.uuid}`), arg(n, `new-vcpus=${n}`)] }];
  const max = setField('VM', ref, vm.uuid, 'VCPUs_max', n), start = setField('VM', ref, vm.uuid, 'VCPUs_at_startup', n);
  return n > vm.VCPUs_max ? [max, start] : [start, max];
}

export function Settings({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const halted = vm.power_state === 'Halted', running = vm.power_state === 'Running';
  const off = halted ? '' : say.shutTheMachineDownFirst;
  const set = (label: string, field: string, value: unknown): void => { save(label, [setField('VM', ref, vm.uuid, field, value)]); };
  const boot = (key: string, value: string): void => { save(say.start, setKey('VM', ref, vm.uuid, 'HVM_boot_params', vm.HVM_boot_params, key, value)); };
  const size = (text: string, then: (n: number) => void): void => { const n = parseBytes(text); if (n > 0) then(n); else notice.value = say.writeASizeAs2; };
  const choice = (label: string, value: string, choices: [string, string][], method: string, then: (v: string) => void, why = ''): JSX.Element => (
    <Field label={label} {...(why ? { hint: why } : {})}><select value={value} disabled={why !== '' || !may(method)} onChange={(e) => { then(e.currentTarget.value); }}>{choices.map(([v, text]) => <option key={v} value={v}>{text}</option>)}</select></Field>
  );
  const after: [string, string][] = [['destroy', say.staysOff], ['restart', say.startsAgain], ['preserve', say.isKeptForALook]];
  return (
    <div class="flow">
      <Labels cls="VM" refOf={ref} rec={vm}>
        <Card title={say.processorAndMemory}>
          <Field label={say.virtualCpus} hint={running ? say.ofMoreThanTheseNeed(vm.VCPUs_max) : off}><input type="number" min={1} max={running ? vm.VCPUs_max : 64} key={`${vm.VCPUs_at_startup} ${vm.VCPUs_max}`} defaultValue={String(vm.VCPUs_at_startup)} disabled={(!halted && !running) || !may(running ? 'VM.set_VCPUs_number_live' : 'VM.set_VCPUs_max')} onChange={(e) => { save(say.virtualCpus, cpuCalls(ref, vm, Number(e.currentTarget.value))); }} /></Field>
          <Field label={say.memory} hint={running ? say.atMostWhileItRuns(bytes(vm.memory_static_max)) : off}><input key={vm.memory_dynamic_max} defaultValue={bytes(vm.memory_dynamic_max)} disabled={(!halted && !running) || !may('VM.set_memory_limits')} onChange={(e) => { size(e.currentTarget.value, (n) => { save(say.memory, memoryCalls(ref, vm, n)); }); }} /></Field>
        </Card>
        <Card title={say.start}>
          <Field label={say.bootOrder} hint={say.cDiskDCdN}><input key={vm.HVM_boot_params['order']} defaultValue={vm.HVM_boot_params['order'] ?? ''} pattern="[cdn]*" disabled={!may('VM.add_to_HVM_boot_params')} onChange={(e) => { boot('order', e.currentTarget.value); }} /></Field>
          {choice(say.firmware, vm.HVM_boot_params['firmware'] ?? 'bios', [['bios', 'BIOS'], ['uefi', 'UEFI']], 'VM.add_to_HVM_boot_params', (v) => { boot('firmware', v); }, off)}
          {choice(say.afterAShutdownIt, vm.actions_after_shutdown, after.slice(0, 2), 'VM.set_actions_after_shutdown', (v) => { set(say.start, 'actions_after_shutdown', v); })}
          {choice(say.afterACrashIt, vm.actions_after_crash, after, 'VM.set_actions_after_crash', (v) => { set(say.start, 'actions_after_crash', v); })}
          {choice(say.preferredHost, vm.affinity, [[NULL_REF, '(any)'], ...hosts.value.map(([r, h]): [string, string] => [r, h.name_label])], 'VM.set_affinity', (v) => { set(say.preferredHost, 'affinity', v); })}
          <label class="check"><input type="checkbox" checked={vm.other_config['auto_poweron'] === 'true'} disabled={!may('VM.add_to_other_config')} onChange={(e) => { save(say.startWithTheHost, setKey('VM', ref, vm.uuid, 'other_config', vm.other_config, 'auto_poweron', String(e.currentTarget.checked))); }} /> {say.startWithTheHost}</label>
        </Card>
        <CloudInit entry={[ref, vm]} />
        <Thresholds cls="VM" refOf={ref} rec={vm} />
      </Labels>
    </div>
  );
}

/** What the guest is told at each start; it takes it once for each identity. */
function CloudInit({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const key = (label: string, name: string, hint: string, lines = 0): JSX.Element => {
    const value = vm.other_config[name] ?? '', change = (v: string): void => { save(label, setKey('VM', ref, vm.uuid, 'other_config', vm.other_config, name, v)); };
    const no = !may('VM.add_to_other_config');
    return <Field label={label} hint={hint}>{lines > 0 ? <textarea rows={lines} key={value} defaultValue={value} disabled={no} spellcheck={false} onChange={(e) => { change(e.currentTarget.value); }} /> : <input key={value} defaultValue={value} disabled={no} onChange={(e) => { change(e.currentTarget.value); }} />}</Field>;
  };
  return (
    <Card title={say.firstStart}>
      {key(say.hostName, 'cloud-init:hostname', say.forGuestsWithCloudInit)}
      {key(say.sshKeys, 'cloud-init:ssh-keys', say.oneALine, 2)}
      {key(say.cloudConfiguration, 'cloud-init:user-data', say.asCloudInitHasIt, 3)}
    </Card>
  );
}
