// SPDX-License-Identifier: Apache-2.0
// Machines: a list that stays quick with thousands, and acts on a selection.
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { askForm, setField, setKey, type Form } from './act';
import { ACTIONS, simple, whyNot } from './actions';
import { denied } from './api';
import { arg, type Call } from './copyas';
import { bytes } from './format';
import type { Ref, Vm } from './model';
import { href } from './route';
import { attempt, runCalls } from './run';
import { filtered, search } from './search';
import { db, type Entry } from './store';
import { Button, Empty, Menu, State, VirtualList } from './ui';
import { actOn, askDestroy } from './vm';
import { say } from './strings';

export const selected = signal<Set<Ref>>(new Set());

function toggle(ref: Ref, on: boolean): void {
  const next = new Set(selected.value);
  if (on) next.add(ref); else next.delete(ref);
  selected.value = next;
}

const MAIN = ['start', 'shutdown', 'reboot', 'hard_shutdown'];

/** The same for each of them, each for itself: one that fails does not hold up the others. */
function eachForm(title: string, chosen: Entry<Vm>[], fields: Form['fields'], make: (e: Entry<Vm>, v: Record<string, string>) => Call[]): Form {
  return {
    title, verb: say.doIt, fields, calls: (v) => chosen.slice(0, 20).flatMap((e) => make(e, v)),
    run: (v) => { for (const e of chosen) void attempt(`${title}: ${e[1].name_label}`, () => runCalls(title, make(e, v))); },
  };
}

function Bulk({ chosen }: { chosen: Entry<Vm>[] }): JSX.Element {
  const count = `${chosen.length} machines`;
  const power = (id: string): JSX.Element => {
    const a = ACTIONS.find((x) => x.id === id)!, can = chosen.filter(([, v]) => whyNot(a.op, a.method, v) === '');
    return <Button key={id} kind={a.danger ? 'danger' : undefined!} why={can.length > 0 ? '' : whyNot(a.op, a.method, chosen[0]![1])} onClick={() => { actOn(a, can); }}>{a.label}{can.length > 0 && can.length < chosen.length ? ` (${can.length})` : ''}</Button>;
  };
  const snap = chosen.filter(([, v]) => whyNot('snapshot', 'VM.snapshot', v) === ''), gone = chosen.filter(([, v]) => whyNot('destroy', 'VM.destroy', v) === '');
  const tag = (v: Record<string, string>): string => (v['tag'] ?? '').trim();
  return (
    <div class="row">
      {MAIN.map(power)}
      <Menu label={say.more}>
        {ACTIONS.filter((a) => !MAIN.includes(a.id)).map((a) => power(a.id))}
        <hr />
        <Button why={snap.length > 0 ? '' : whyNot('snapshot', 'VM.snapshot', chosen[0]![1])} onClick={() => { askForm(eachForm(say.snapshotsOf(count), snap, [{ id: 'name', label: say.name, value: new Date().toISOString().slice(0, 16).replace('T', ' ') }], ([r, vm], v) => [simple('VM.snapshot', 'vm-snapshot', arg(r, `vm=${vm.uuid}`), arg(v['name'], `new-name-label=${v['name'] ?? ''}`))])); }}>{say.snapshotAsk}</Button>
        <Button why={denied('VM.add_tags')} onClick={() => { askForm(eachForm(say.tag(count), chosen, [{ id: 'tag', label: say.tagOtherwise }], ([r, vm], v) => [{ method: 'VM.add_tags', cli: 'vm-param-add', args: [arg(r, `uuid=${vm.uuid}`), arg(undefined, 'param-name=tags'), arg(tag(v), `param-key=${tag(v)}`)] }])); }}>{say.addTagAsk}</Button>
        <Button why={denied('VM.remove_tags')} onClick={() => { askForm(eachForm(say.tagOf(count), chosen, [{ id: 'tag', label: say.tagOtherwise, kind: 'select', choices: [...new Set(chosen.flatMap(([, v]) => v.tags))].map((t) => [t, t]) }], ([r, vm], v) => [{ method: 'VM.remove_tags', cli: 'vm-param-remove', args: [arg(r, `uuid=${vm.uuid}`), arg(undefined, 'param-name=tags'), arg(tag(v), `param-key=${tag(v)}`)] }])); }}>{say.removeTagAsk}</Button>
        <Button why={denied('VM.add_to_other_config/key:folder') && denied('VM.add_to_other_config')} onClick={() => { askForm(eachForm(say.folderOf(count), chosen, [{ id: 'folder', label: say.folder, optional: true, hint: say.asProductionWeb }], ([r, vm], v) => setKey('VM', r, vm.uuid, 'other_config', vm.other_config, 'folder', (v['folder'] ?? '').trim()))); }}>{say.folderAsk}</Button>
        <Button why={denied('VM.set_snapshot_schedule')} onClick={() => { askForm(eachForm(say.snapshotScheduleOf(count), chosen, [{ id: 'vmss', label: say.schedule, kind: 'select', choices: [['OpaqueRef:NULL', '(none)'], ...[...db.vmss.all].map(([r, s]): [string, string] => [r, s.name_label])] }], ([r, vm], v) => [setField('VM', r, vm.uuid, 'snapshot_schedule', v['vmss'])])); }}>{say.snapshotScheduleAsk}</Button>
        <hr />
        <Button kind="danger" why={gone.length > 0 ? '' : whyNot('destroy', 'VM.destroy', chosen[0]![1])} onClick={() => { askDestroy(gone); }}>{say.deleteAsk}{gone.length > 0 && gone.length < chosen.length ? ` (${gone.length})` : ''}</Button>
      </Menu>
    </div>
  );
}

export function VmList({ entries, title }: { entries: Entry<Vm>[]; title: string }): JSX.Element {
  const rows = filtered(entries);
  const chosen = rows.filter(([r]) => selected.value.has(r));
  const all = rows.length > 0 && chosen.length === rows.length;
  return (
    <div class="list">
      <div class="list-bar">
        <label class="check"><input type="checkbox" checked={all} onChange={() => { selected.value = new Set(all ? [] : rows.map(([r]) => r)); }} /><span>{chosen.length > 0 ? `${chosen.length} selected` : `${rows.length} ${title}${rows.length < entries.length ? say.ofAll(entries.length) : ''}`}</span></label>
        {chosen.length > 0 && <Bulk chosen={chosen} />}
      </div>
      {rows.length === 0 ? <Empty>{entries.length === 0 ? <>{say.noMachinesYet}<a href={href('new')}>{say.makeTheFirstOne}</a>.</> : say.nothingMatches(search.value)}</Empty> : (
        <VirtualList label={title} rows={rows} height={36} keyOf={([r]) => r} row={([ref, vm]) => (
          <div class="vm-row">
            <input type="checkbox" aria-label={say.select(vm.name_label)} checked={selected.value.has(ref)} onChange={(e) => { toggle(ref, e.currentTarget.checked); }} />
            <a href={href('vm', vm.uuid)}>{vm.name_label}</a>
            <State value={vm.power_state} />
            <span class="cell">{say.cpuOf(vm.VCPUs_at_startup)}</span>
            <span class="cell num">{bytes(vm.memory_dynamic_max)}</span>
            <span class="cell host">{db.host.get(vm.resident_on)?.name_label ?? ''}</span>
            <span class="cell tags">{vm.tags.map((t) => <span class="tag" key={t}>{t}</span>)}</span>
          </div>
        )} />
      )}
    </div>
  );
}
