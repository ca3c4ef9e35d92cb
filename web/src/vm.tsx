// SPDX-License-Identifier: Apache-2.0
// A machine: its actions and its tabs.
import { lazy, Suspense } from 'preact/compat';
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { AccessOf } from './access';
import { Act, Ask, setField, showing, type Form } from './act';
import { ACTIONS, simple, whyNot, type Action } from './actions';
import { denied } from './api';
import { arg } from './copyas';
import { defaultStore, Disks, Nics, storeChoices } from './disks';
import { ago, bytes } from './format';
import { History } from './history';
import type { Vm } from './model';
import { go, href } from './route';
import { attempt, attemptTask, runCalls } from './run';
import { cloneForm, destroyCalls, ownDisks, snapshotForm, Snapshots } from './snapshots';
import { db, vms, type Entry } from './store';
import { say } from './strings';
import { Button, Card, confirmThen, Empty, Facts, Field, Menu, showCalls, State, stateName } from './ui';
import { exportVm } from './upload';
import { Settings } from './vmsettings';

const Charts = lazy(() => import('./chart').then((m) => m.Charts));
const Screen = lazy(() => import('./screen').then((m) => m.Screen));
const Serial = lazy(() => import('./screen').then((m) => m.Serial));
const Later = ({ children }: { children: JSX.Element }): JSX.Element => <Suspense fallback={<Empty>{say.loading}</Empty>}>{children}</Suspense>;

/** On one machine or a selection of them. */
export function actOn(action: Action, entries: Entry<Vm>[]): void {
  const first = entries[0];
  if (!first) return;
  const calls = entries.map(([ref, vm]) => action.call(ref, vm));
  const title = `${action.label} ${entries.length === 1 ? first[1].name_label : say.countMachines(entries.length)}`;
  const go_ = (): void => { entries.forEach(([, vm], i) => void attemptTask(`${action.label}: ${vm.name_label}`, calls[i]!)); };
  if (showing.value) showCalls(title, calls);
  else if (action.danger) confirmThen(title, action.danger(entries.length === 1 ? first[1].name_label : say.eachOfMachines(entries.length)), action.label, go_, calls);
  else go_();
}

const MAIN = ['start', 'shutdown', 'reboot'];

export function PowerActions({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const button = (a: Action): JSX.Element => (
    <Button key={a.id} kind={a.id === 'start' ? 'primary' : undefined!} label={a.label} why={whyNot(a.op, a.method, vm)} onShow={() => { showCalls(`${a.label} ${vm.name_label}`, [a.call(ref, vm)]); }} onClick={() => { actOn(a, [[ref, vm]]); }}>{a.label}</Button>
  );
  return (
    <div class="row">
      {ACTIONS.filter((a) => MAIN.includes(a.id)).map(button)}
      <Menu label={say.more}>
        {ACTIONS.filter((a) => !MAIN.includes(a.id)).map(button)}
        <hr />
        <Ask why={whyNot('snapshot', 'VM.snapshot', vm)} form={() => snapshotForm([ref, vm])}>{say.snapshotAsk}</Ask>
        <Ask why={whyNot('clone', 'VM.clone', vm)} form={() => cloneForm([ref, vm])}>{say.cloneAsk}</Ask>
        <Ask why={whyNot('copy', 'VM.copy', vm)} form={() => copyForm([ref, vm])}>{say.copyToAsk}</Ask>
        <Button why={denied('http/get_export') || (vm.power_state === 'Halted' || vm.power_state === 'Suspended' ? '' : say.shutItDownOrExport)} onClick={() => { exportVm([ref, vm]); }}>{say.exportAsk}</Button>
        <Act title={say.makeATemplateOf(vm.name_label)} verb={say.makeATemplate} why={whyNot('make_into_template', 'VM.set_is_a_template', vm)} calls={[setField('VM', ref, vm.uuid, 'is_a_template', true)]}
          ask={say.canNoLongerBeStarted(vm.name_label)}>{say.makeIntoTemplateAsk}</Act>
        <hr />
        <Button kind="danger" why={whyNot('destroy', 'VM.destroy', vm)} onShow={() => { showCalls(say.deleteOf(vm.name_label), destroyCalls([ref, vm])); }} onClick={() => { askDestroy([[ref, vm]]); }}>{say.deleteAsk}</Button>
      </Menu>
    </div>
  );
}

function copyForm([ref, vm]: Entry<Vm>): Form {
  return {
    title: say.copyOf(vm.name_label), verb: say.copy, text: say.allDataOfItsDisks,
    fields: [{ id: 'name', label: say.name, value: `${vm.name_label} copy` }, { id: 'sr', label: say.storage, kind: 'select', value: defaultStore(), choices: storeChoices() }],
    calls: (v) => [simple('VM.copy', 'vm-copy', arg(ref, `vm=${vm.uuid}`), arg(v['name'], `new-name-label=${v['name'] ?? ''}`), arg(v['sr'], `sr-uuid=${db.sr.get(v['sr'])?.uuid ?? ''}`))],
  };
}

/** With the disks that are theirs alone. */
export function askDestroy(entries: Entry<Vm>[]): void {
  const first = entries[0];
  if (!first) return;
  const disks = entries.flatMap(([, vm]) => ownDisks(vm));
  const name = entries.length === 1 ? first[1].name_label : say.countMachines(entries.length);
  const kept = Number(db.pool.get([...db.pool.rows.keys()][0])?.other_config['recycle-hours'] ?? 0) > 0;
  const text = `${disks.length === 0 ? say.deletedThereAreNoDisks(name) : say.deletedAndWithIt(name, disks.slice(0, 12).map(([, n, size]) => say.theDisk(n, bytes(size))).join(', '), disks.length > 12 ? say.andMore : '')} ${kept ? say.theRecycleBinKeepsIt : say.theDataCannotBeBrought}`;
  confirmThen(say.deleteOf(name), text, 'Delete', () => {
    for (const e of entries) void attempt(say.deleteOf(e[1].name_label), () => runCalls(say.deleteOf(e[1].name_label), destroyCalls(e))).then((ok) => { if (ok && entries.length === 1) go('vms'); });
  }, entries.flatMap((e) => destroyCalls(e)).slice(0, 20));
}

/* Tabs */

function addresses(vm: Vm): string {
  const networks_ = db.vm_guest_metrics.get(vm.guest_metrics)?.networks ?? {};
  return Object.entries(networks_).filter(([k]) => k.includes('/ip')).map(([, v]) => v).join(', ');
}

export function Overview({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const metrics = db.vm_metrics.get(vm.metrics), guest = db.vm_guest_metrics.get(vm.guest_metrics), host = db.host.get(vm.resident_on);
  const newest = vm.snapshots.map((r) => db.vm.get(r)).filter((s) => s !== undefined).sort((a, b) => b.snapshot_time.localeCompare(a.snapshot_time))[0];
  return (
    <div class="cards">
      <Card title={say.machine}>
        <Facts rows={[
          [say.state, <State value={vm.power_state} />],
          [say.since, vm.power_state === 'Running' && metrics ? ago(metrics.start_time) || '—' : '—'],
          [say.host, host ? <a href={href('host', host.uuid)}>{host.name_label}</a> : '—'],
          [say.addresses, addresses(vm) || '—'],
          [say.system, guest?.os_version['name'] ?? say.notToldByAnAgent],
          ['CPU', say.partOf(vm.VCPUs_at_startup, vm.VCPUs_max)],
          [say.memory, bytes(vm.memory_dynamic_max)],
          [say.tags, vm.tags.length > 0 ? vm.tags.map((t) => <span class="tag" key={t}>{t}</span>) : '—'],
          ['UUID', <code>{vm.uuid}</code>],
        ]} />
        {vm.name_description && <p class="muted">{vm.name_description}</p>}
      </Card>
      <Card title={say.disks} actions={<a href={href('vm', vm.uuid, 'disks')}>{say.all}</a>}><Disks entry={[ref, vm]} brief /></Card>
      <div class="stack">
        <Card title={say.network} actions={<a href={href('vm', vm.uuid, 'network')}>{say.all}</a>}>
          {vm.VIFs.length === 0 ? <Empty>{say.noNetworkInterfaces}</Empty> : <Facts rows={vm.VIFs.flatMap((r) => { const v = db.vif.get(r); return v ? [[db.network.get(v.network)?.name_label ?? say.interface(v.device), <code>{v.MAC}</code>] as [string, JSX.Element]] : []; })} />}
        </Card>
        <Card title={say.snapshots} actions={<a href={href('vm', vm.uuid, 'snapshots')}>{say.all}</a>}>
          {newest ? <p class="empty">{say.keptTheNewestIs(vm.snapshots.length, newest.name_label, ago(newest.snapshot_time))}</p> : <Empty>{say.noneYet}</Empty>}
        </Card>
      </div>
      <Card title={say.performance} wide actions={<a href={href('vm', vm.uuid, 'performance')}>{say.all}</a>}>
        <Later><Charts uuid={vm.uuid} host={false} /></Later>
      </Card>
    </div>
  );
}

export function Consoles({ vm }: { vm: Vm }): JSX.Element {
  const [kind, setKind] = useState('rfb');
  const all = vm.consoles.map((r) => db.console.get(r)).filter((c) => c !== undefined);
  const now = all.find((c) => c.protocol === kind) ?? all[0];
  const role = denied('http/connect_console');
  if (role) return <Empty>{role}</Empty>;
  if (!now) return <Empty>{say.theMachineIsItHas(stateName(vm.power_state).toLowerCase())}</Empty>;
  return (
    <div>
      <div class="segments" role="group" aria-label={say.console}>
        {all.map((c) => <button type="button" key={c.uuid} aria-pressed={c === now} onClick={() => { setKind(c.protocol); }}>{c.protocol === 'rfb' ? say.screen : say.serial}</button>)}
      </div>
      <Later>{now.protocol === 'rfb' ? <Screen key={now.uuid} uuid={now.uuid} name={vm.name_label} alone={`/${href('screen', vm.uuid)}`} /> : <Serial key={now.uuid} uuid={now.uuid} name={vm.name_label} />}</Later>
    </div>
  );
}

/** The machine's charts, beside those of another one when one is chosen. */
function Performance({ vm }: { vm: Vm }): JSX.Element {
  const [other, setOther] = useState('');
  const with_ = vms.value.find(([, v]) => v.uuid === other);
  return (
    <div>
      <div class="compare"><Field label={say.compareWith}><select value={other} onChange={(e) => { setOther(e.currentTarget.value); }}><option value="">{say.nothing}</option>{vms.value.filter(([, v]) => v.uuid !== vm.uuid).slice(0, 500).map(([r, v]) => <option key={r} value={v.uuid}>{v.name_label}</option>)}</select></Field></div>
      {with_ ? <div class="sides"><section aria-label={vm.name_label}><h2>{vm.name_label}</h2><Later><Charts uuid={vm.uuid} host={false} /></Later></section><section aria-label={with_[1].name_label}><h2>{with_[1].name_label}</h2><Later><Charts key={other} uuid={other} host={false} /></Later></section></div>
        : <Later><Charts uuid={vm.uuid} host={false} /></Later>}
    </div>
  );
}

export const VM_TABS: [string, string][] = [['overview', say.overview], ['console', say.console], ['performance', say.performance], ['disks', say.disks], ['network', say.network], ['snapshots', say.snapshots], ['history', say.history], ['settings', say.settings], ['access', say.access]];

export function VmPage({ entry, tab }: { entry: Entry<Vm>; tab: string }): JSX.Element {
  const vm = entry[1];
  switch (tab) {
    case 'console': return <Consoles vm={vm} />;
    case 'performance': return <Performance vm={vm} />;
    case 'disks': return <Disks entry={entry} />;
    case 'network': return <Nics entry={entry} />;
    case 'snapshots': return <Snapshots entry={entry} />;
    case 'history': return <History cls="VM" uuid={vm.uuid} stamp={vm.power_state + vm.name_label + vm.name_description + JSON.stringify(vm.other_config) + vm.tags.join()} />;
    case 'settings': return <Settings entry={entry} />;
    case 'access': return <AccessOf of={entry[0]} />;
    default: return <Overview entry={entry} />;
  }
}

/** A console alone in its window. */
export function ScreenWindow({ vm }: { vm: Vm }): JSX.Element {
  const c = vm.consoles.map((r) => db.console.get(r)).find((x) => x?.protocol === 'rfb');
  return c ? <Later><Screen uuid={c.uuid} name={vm.name_label} /></Later> : <Empty>{say.is(vm.name_label, stateName(vm.power_state).toLowerCase())}</Empty>;
}

