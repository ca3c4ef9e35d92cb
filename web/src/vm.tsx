// SPDX-License-Identifier: Apache-2.0
// A machine: its actions and its tabs.
import { lazy, Suspense } from 'preact/compat';
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ACTIONS, simple, whyNot, type Action } from './actions';
import { denied, may, rpc } from './api';
import { arg, type Call } from './copyas';
import { ago, bytes, parseBytes, when } from './format';
import { History } from './history';
import type { Ref, Vm } from './model';
import { go, href } from './route';
import { attempt, attemptTask, notice, runTask } from './run';
import { db, networks, srs, vms, type Entry } from './store';
import { Button, Card, confirmThen, CopyAs, Empty, Facts, Field, Icon, Menu, openDialog, State, Table } from './ui';
import { say } from './strings';

const Charts = lazy(() => import('./chart').then((m) => m.Charts));
const Screen = lazy(() => import('./screen').then((m) => m.Screen));
const Serial = lazy(() => import('./screen').then((m) => m.Serial));
const Later = ({ children }: { children: JSX.Element }): JSX.Element => <Suspense fallback={<Empty>{say.loading}</Empty>}>{children}</Suspense>;

export function actOn(action: Action, entries: Entry<Vm>[]): void {
  const go_ = (): void => {
    for (const [ref, vm] of entries) void attemptTask(`${action.label}: ${vm.name_label}`, action.call(ref, vm));
  };
  const first = entries[0];
  if (!first) return;
  const name = entries.length === 1 ? first[1].name_label : say.eachOfMachines(entries.length);
  if (action.danger) confirmThen(`${action.label} ${entries.length === 1 ? first[1].name_label : `${entries.length} machines`}`, action.danger(name), action.label, go_, action.call(...first));
  else go_();
}

const MAIN = ['start', 'shutdown', 'reboot'];

export function PowerActions({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const button = (a: Action): JSX.Element => (
    <Button key={a.id} kind={a.id === 'start' ? 'primary' : undefined!} label={a.label} why={whyNot(a.op, a.method, vm)} onClick={() => { actOn(a, [[ref, vm]]); }}>{a.label}</Button>
  );
  return (
    <div class="row">
      {ACTIONS.filter((a) => MAIN.includes(a.id)).map(button)}
      <Menu label={say.more}>
        {ACTIONS.filter((a) => !MAIN.includes(a.id)).map(button)}
        <hr />
        <Button why={whyNot('snapshot', 'VM.snapshot', vm)} onClick={() => { askSnapshot([ref, vm]); }}>{say.snapshotAsk}</Button>
        <Button why={whyNot('clone', 'VM.clone', vm)} onClick={() => { askName(say.cloneOf(vm.name_label), `${vm.name_label} copy`, say.clone, (name) => ({ method: 'VM.clone', cli: 'vm-clone', args: [arg(ref, `vm=${vm.uuid}`), arg(name, `new-name-label=${name}`)] })); }}>{say.cloneAsk}</Button>
        <Button why={whyNot('make_into_template', 'VM.set_is_a_template', vm)} onClick={() => { confirmThen(say.makeATemplateOf(vm.name_label), say.canNoLongerBeStarted(vm.name_label), say.makeATemplate, () => void attempt(say.makeATemplate, () => rpc('VM.set_is_a_template', ref, true))); }}>{say.makeIntoTemplateAsk}</Button>
        <hr />
        <Button kind="danger" why={whyNot('destroy', 'VM.destroy', vm)} onClick={() => { askDestroy([ref, vm]); }}>{say.deleteAsk}</Button>
        {ACTIONS.filter((a) => whyNot(a.op, a.method, vm) === '').slice(0, 2).map((a) => <CopyAs key={a.id} call={a.call(ref, vm)} />)}
      </Menu>
    </div>
  );
}

export function askName(title: string, start: string, verb: string, make: (name: string) => Call): void {
  let name = start;
  openDialog(title, (close) => (
    <form onSubmit={(e) => { e.preventDefault(); close(); void attemptTask(`${verb}: ${name}`, make(name)); }}>
      <Field label={say.name}><input required defaultValue={start} onInput={(e) => { name = e.currentTarget.value; }} /></Field>
      <CopyAs call={make(start)} />
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit">{verb}</Button></footer>
    </form>
  ));
}

export function askSnapshot([ref, vm]: Entry<Vm>): void {
  const name = `${vm.name_label} ${new Date().toISOString().slice(0, 16).replace('T', ' ')}`;
  askName(say.snapshotOf(vm.name_label), name, say.takeSnapshot, (n) => ({ method: 'VM.snapshot', cli: 'vm-snapshot', args: [arg(ref, `vm=${vm.uuid}`), arg(n, `new-name-label=${n}`)] }));
}

/** The disks that go with it: those that no other machine has. */
function ownDisks(vm: Vm): [Ref, string, number][] {
  return vm.VBDs.flatMap((b) => {
    const vbd = db.vbd.get(b), vdi = db.vdi.get(vbd?.VDI);
    return vbd && vdi && vbd.type === 'Disk' && vdi.VBDs.length === 1 ? [[vbd.VDI, vdi.name_label || vdi.uuid, vdi.virtual_size] as [Ref, string, number]] : [];
  });
}

function askDestroy([ref, vm]: Entry<Vm>): void {
  const disks = ownDisks(vm);
  const text = disks.length === 0 ? say.isDeletedItHasNo(vm.name_label)
    : say.isDeletedAndWithIt(vm.name_label, disks.map(([, n, size]) => say.theDisk(n, bytes(size))).join(', '));
  confirmThen(say.deleteOf(vm.name_label), text, 'Delete', () => void attempt(say.deleteOf(vm.name_label), async () => {
    await runTask(say.deleteOf(vm.name_label), simple('VM.destroy', 'vm-destroy', arg(ref, `uuid=${vm.uuid}`)));
    for (const [vdi, name] of disks) await runTask(say.deleteDisk(name), simple('VDI.destroy', 'vdi-destroy', arg(vdi)));
    go('vms');
  }), simple('VM.destroy', 'vm-destroy', arg(ref, `uuid=${vm.uuid}`)));
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
  if (!now) return <Empty>{say.theMachineIsItHas(vm.power_state.toLowerCase())}</Empty>;
  return (
    <div>
      <div class="segments" role="group" aria-label={say.console}>
        {all.map((c) => <button type="button" key={c.uuid} aria-pressed={c === now} onClick={() => { setKind(c.protocol); }}>{c.protocol === 'rfb' ? say.screen : say.serial}</button>)}
      </div>
      <Later>{now.protocol === 'rfb' ? <Screen key={now.uuid} uuid={now.uuid} name={vm.name_label} alone={`/${href('screen', vm.uuid)}`} /> : <Serial key={now.uuid} uuid={now.uuid} name={vm.name_label} />}</Later>
    </div>
  );
}

export function Disks({ entry: [ref, vm], brief }: { entry: Entry<Vm>; brief?: boolean }): JSX.Element {
  const rows = vm.VBDs.map((r) => [r, db.vbd.get(r)] as const).filter((e) => e[1] !== undefined).map(([r, b]) => [r, b!] as const)
    .sort((a, b) => Number(a[1].userdevice) - Number(b[1].userdevice));
  const name = (b: (typeof rows)[number][1]): string => (b.empty ? '(empty)' : db.vdi.get(b.VDI)?.name_label || 'unnamed');
  const table = (
    <Table label={say.disks} keyOf={([r]) => r} rows={rows} columns={[
      { head: '#', cell: ([, b]) => b.userdevice },
      { head: say.diskWord, cell: ([, b]) => name(b) },
      { head: say.kind, cell: ([, b]) => b.type },
      { head: say.size, num: true, cell: ([, b]) => (b.empty ? '' : bytes(db.vdi.get(b.VDI)?.virtual_size ?? 0)) },
      ...(brief ? [] : [
        { head: say.storage, cell: ([, b]: (typeof rows)[number]) => db.sr.get(db.vdi.get(b.VDI)?.SR)?.name_label ?? '' },
        { head: say.mode, cell: ([, b]: (typeof rows)[number]) => (b.mode === 'RO' ? say.readOnly : say.readWrite) },
        { head: say.plugged, cell: ([, b]: (typeof rows)[number]) => (b.currently_attached ? 'yes' : 'no') },
        { head: '', cell: ([r, b]: (typeof rows)[number]) => <DiskActions vbd={r} type={b.type} vm={[ref, vm]} /> },
      ]),
    ]} />
  );
  if (brief) return rows.length > 0 ? table : <Empty>{say.noDisks}</Empty>;
  return <Card title={say.disksAndDrives} wide actions={<Button kind="primary" why={denied('VDI.create')} onClick={() => { askDisk([ref, vm]); }}><Icon name="plus" />{say.addDisk}</Button>}>{rows.length > 0 ? table : <Empty>{say.thisMachineHasNoDisks}</Empty>}</Card>;
}

function DiskActions({ vbd, type }: { vbd: Ref; type: string; vm: Entry<Vm> }): JSX.Element {
  const b = db.vbd.get(vbd), vdi = db.vdi.get(b?.VDI);
  if (!b) return <span />;
  const title = `${vdi?.name_label || 'disk'}`;
  if (type === 'CD') {
    return b.empty
      ? <Button why={whyNot('insert', 'VBD.insert', b)} onClick={() => { askIso(vbd); }}>{say.insertAsk}</Button>
      : <Button why={whyNot('eject', 'VBD.eject', b)} onClick={() => void attemptTask(say.ejectOf(title), simple('VBD.eject', 'vbd-eject', arg(vbd, `uuid=${b.uuid}`)))}>{say.eject}</Button>;
  }
  return (
    <Menu label={say.change}>
      {b.currently_attached
        ? <Button why={whyNot('unplug', 'VBD.unplug', b)} onClick={() => void attemptTask(say.unplugOf(title), simple('VBD.unplug', 'vbd-unplug', arg(vbd, `uuid=${b.uuid}`)))}>{say.unplug}</Button>
        : <Button why={whyNot('plug', 'VBD.plug', b)} onClick={() => void attemptTask(say.plug(title), simple('VBD.plug', 'vbd-plug', arg(vbd, `uuid=${b.uuid}`)))}>{say.plugIn}</Button>}
      {vdi && <Button why={whyNot('resize', 'VDI.resize', vdi)} onClick={() => { askResize(b.VDI); }}>{say.growAsk}</Button>}
      {vdi && <Button why={whyNot('snapshot', 'VDI.snapshot', vdi)} onClick={() => void attemptTask(say.snapshotOf(title), simple('VDI.snapshot', 'vdi-snapshot', arg(b.VDI, `uuid=${vdi.uuid}`)))}>{say.snapshotThisDisk}</Button>}
      <hr />
      <Button kind="danger" why={b.currently_attached ? say.unplugItFirst : denied('VBD.destroy')}
        onClick={() => { confirmThen(say.detachOf(title), say.theMachineLosesTheDisk(title), say.detach, () => void attemptTask(say.detachOf(title), simple('VBD.destroy', 'vbd-destroy', arg(vbd, `uuid=${b.uuid}`)))); }}>{say.detachAsk}</Button>
    </Menu>
  );
}

export function askResize(ref: Ref): void {
  const vdi = db.vdi.get(ref);
  if (!vdi) return;
  let size = bytes(vdi.virtual_size);
  openDialog(say.growOf(vdi.name_label || 'disk'), (close) => (
    <form onSubmit={(e) => {
      e.preventDefault();
      const n = parseBytes(size);
      if (!(n > vdi.virtual_size)) { notice.value = say.aDiskOnlyGrowsMore(bytes(vdi.virtual_size)); return; }
      close();
      void attemptTask(say.growOf(vdi.name_label), simple('VDI.resize', 'vdi-resize', arg(ref, `uuid=${vdi.uuid}`), arg(n, `disk-size=${n}`)));
    }}>
      <Field label={say.newSize} hint={say.nowADiskOnlyGrows(bytes(vdi.virtual_size))}><input required defaultValue={size} onInput={(e) => { size = e.currentTarget.value; }} /></Field>
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit">{say.grow}</Button></footer>
    </form>
  ));
}

const isoChoices = (): Entry<{ name_label: string }>[] => [...db.vdi.all].filter(([, v]) => db.sr.get(v.SR)?.content_type === 'iso');

function askIso(vbd: Ref): void {
  let iso = isoChoices()[0]?.[0] ?? '';
  openDialog(say.insertADisc, (close) => (
    <form onSubmit={(e) => { e.preventDefault(); close(); void attemptTask(say.insertDisc, simple('VBD.insert', 'vbd-insert', arg(vbd), arg(iso))); }}>
      <Field label={say.isoImage}><select onChange={(e) => { iso = e.currentTarget.value; }}>{isoChoices().map(([r, v]) => <option key={r} value={r}>{v.name_label}</option>)}</select></Field>
      {iso === '' && <Empty>{say.noStorageRepositoryHolds}</Empty>}
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit" why={iso === '' ? say.thereIsNoIsoImage : ''}>{say.insert}</Button></footer>
    </form>
  ));
}

/** A clone of the image, as large as was asked for if that is more. */
async function fromImage(image: Ref, name: string, size: number): Promise<Ref> {
  const vdi = await rpc<Ref>('VDI.clone', image, {});
  await rpc('VDI.set_name_label', vdi, name);
  if (size > (await rpc<number>('VDI.get_virtual_size', vdi))) await rpc('VDI.resize', vdi, size);
  return vdi;
}

/** Made, attached, and plugged where the machine runs. */
export async function addDisk(ref: Ref, o: { name: string; size: number; sr: Ref; bootable: boolean; plug: boolean; image?: Ref }): Promise<void> {
  const vdi = o.image ? await fromImage(o.image, o.name, o.size) : await rpc<Ref>('VDI.create', { name_label: o.name, name_description: '', SR: o.sr, virtual_size: o.size, type: 'user', sharable: false, read_only: false, other_config: {} });
  const [device] = await rpc<string[]>('VM.get_allowed_VBD_devices', ref);
  const vbd = await rpc<Ref>('VBD.create', { VM: ref, VDI: vdi, userdevice: device ?? '0', bootable: o.bootable, mode: 'RW', type: 'Disk', unpluggable: true, empty: false, other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {} });
  if (o.plug) await rpc('VBD.plug', vbd);
}

export const diskStores = (): Entry<{ name_label: string }>[] => srs.value.filter(([, s]) => s.content_type !== 'iso');

function askDisk([ref, vm]: Entry<Vm>): void {
  const o = { name: say.disk(vm.name_label, vm.VBDs.length), size: '10 GiB', sr: [...db.pool.rows.values()][0]?.default_SR ?? diskStores()[0]?.[0] ?? '' };
  openDialog(say.addADiskTo(vm.name_label), (close) => (
    <form onSubmit={(e) => {
      e.preventDefault();
      const size = parseBytes(o.size);
      if (!(size > 0)) { notice.value = say.writeASizeAs10; return; }
      close();
      void attempt(say.addDiskOf(o.name), () => addDisk(ref, { ...o, size, bootable: false, plug: vm.power_state === 'Running' }));
    }}>
      <Field label={say.name}><input required defaultValue={o.name} onInput={(e) => { o.name = e.currentTarget.value; }} /></Field>
      <Field label={say.size}><input required defaultValue={o.size} onInput={(e) => { o.size = e.currentTarget.value; }} /></Field>
      <Field label={say.storage}><select value={o.sr} onChange={(e) => { o.sr = e.currentTarget.value; }}>{diskStores().map(([r, s]) => <option key={r} value={r}>{s.name_label}</option>)}</select></Field>
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit">{say.add}</Button></footer>
    </form>
  ));
}

export function Nics({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const rows = vm.VIFs.map((r) => [r, db.vif.get(r)] as const).filter((e) => e[1] !== undefined).map(([r, v]) => [r, v!] as const).sort((a, b) => Number(a[1].device) - Number(b[1].device));
  return (
    <Card title={say.networkInterfaces} wide actions={<Button kind="primary" why={denied('VIF.create')} onClick={() => { askNic([ref, vm]); }}><Icon name="plus" />{say.addInterface}</Button>}>
      {rows.length === 0 ? <Empty>{say.thisMachineHasNoNetwork}</Empty> : (
        <Table label={say.networkInterfaces} keyOf={([r]) => r} rows={rows} columns={[
          { head: '#', cell: ([, v]) => v.device },
          { head: say.network, cell: ([, v]) => { const n = db.network.get(v.network); return n ? <a href={href('network', n.uuid)}>{n.name_label}</a> : ''; } },
          { head: say.mac, cell: ([, v]) => <code>{v.MAC}</code> },
          { head: say.locking, cell: ([r, v]) => (
            <select value={v.locking_mode} aria-label={say.lockingOfInterface(v.device)} disabled={!may('VIF.set_locking_mode')} onChange={(e) => { const mode = e.currentTarget.value; void attempt(say.setLocking, () => rpc('VIF.set_locking_mode', r, mode)); }}>
              {['network_default', 'unlocked', 'locked', 'disabled'].map((m) => <option key={m} value={m}>{m.replace('_', ' ')}</option>)}
            </select>) },
          { head: say.plugged, cell: ([, v]) => (v.currently_attached ? 'yes' : 'no') },
          { head: '', cell: ([r, v]) => (
            <Menu label={say.change}>
              {v.currently_attached ? <Button why={whyNot('unplug', 'VIF.unplug', v)} onClick={() => void attemptTask(say.unplugInterface(v.device), simple('VIF.unplug', 'vif-unplug', arg(r, `uuid=${v.uuid}`)))}>{say.unplug}</Button>
                : <Button why={whyNot('plug', 'VIF.plug', v)} onClick={() => void attemptTask(say.plugInterface(v.device), simple('VIF.plug', 'vif-plug', arg(r, `uuid=${v.uuid}`)))}>{say.plugIn}</Button>}
              <Button kind="danger" why={v.currently_attached ? say.unplugItFirst : denied('VIF.destroy')} onClick={() => { confirmThen(say.removeInterface(v.device), say.losesTheInterfaceWithThe(vm.name_label, v.MAC), say.remove, () => void attemptTask(say.removeInterface(v.device), simple('VIF.destroy', 'vif-destroy', arg(r, `uuid=${v.uuid}`)))); }}>{say.removeAsk}</Button>
            </Menu>) },
        ]} />)}
    </Card>
  );
}

export async function addNic(ref: Ref, network: Ref, plug: boolean): Promise<void> {
  const [device] = await rpc<string[]>('VM.get_allowed_VIF_devices', ref);
  const vif = await rpc<Ref>('VIF.create', { VM: ref, network, device: device ?? '0', MAC: '', MTU: 1500, other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {} });
  if (plug) await rpc('VIF.plug', vif);
}

function askNic([ref, vm]: Entry<Vm>): void {
  let network = networks.value[0]?.[0] ?? '';
  openDialog(say.addAnInterfaceTo(vm.name_label), (close) => (
    <form onSubmit={(e) => { e.preventDefault(); close(); void attempt(say.addInterface, () => addNic(ref, network, vm.power_state === 'Running')); }}>
      <Field label={say.network}><select onChange={(e) => { network = e.currentTarget.value; }}>{networks.value.map(([r, n]) => <option key={r} value={r}>{n.name_label}</option>)}</select></Field>
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit">{say.add}</Button></footer>
    </form>
  ));
}

/* Snapshots: a tree by what each was taken of, the present at the end of its branch. */
interface Node { ref: Ref; snap: Vm; children: Node[]; here: boolean }

export function snapshotTree(snaps: Entry<Vm>[], currentParent: Ref): { roots: Node[]; hereAtRoot: boolean } {
  const nodes = new Map(snaps.map(([ref, snap]) => [ref, { ref, snap, children: [] as Node[], here: ref === currentParent }]));
  const roots: Node[] = [];
  for (const n of nodes.values()) (nodes.get(n.snap.parent)?.children ?? roots).push(n);
  const order = (list: Node[]): void => {
    list.sort((a, b) => a.snap.snapshot_time.localeCompare(b.snap.snapshot_time));
    for (const n of list) order(n.children);
  };
  order(roots);
  return { roots, hereAtRoot: !nodes.has(currentParent) };
}

export function Snapshots({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const snaps = vm.snapshots.map((r) => [r, db.vm.get(r)] as const).filter((e) => e[1] !== undefined) as Entry<Vm>[];
  const { roots, hereAtRoot } = snapshotTree(snaps, vm.parent);
  const here = <li class="here"><span class="node">{say.now}</span></li>;
  const node = (n: Node): JSX.Element => (
    <li key={n.ref}>
      <div class="node">
        <strong>{n.snap.name_label}</strong> <time title={when(n.snap.snapshot_time)}>{ago(n.snap.snapshot_time)}</time>
        <Button label={say.revertTo(n.snap.name_label)} why={whyNot('revert', 'VM.revert', n.snap)} onClick={() => { confirmThen(say.revertTo(n.snap.name_label), say.getsTheDisksAndSettings(vm.name_label, when(n.snap.snapshot_time)), say.revert, () => void attemptTask(say.revertOf(vm.name_label), simple('VM.revert', 'snapshot-revert', arg(n.ref, `snapshot-uuid=${n.snap.uuid}`))), simple('VM.revert', 'snapshot-revert', arg(n.ref, `snapshot-uuid=${n.snap.uuid}`))); }}>{say.revertAsk}</Button>
        <Button why={whyNot('clone', 'VM.clone', n.snap)} onClick={() => { askName(say.newMachineOf(n.snap.name_label), `${n.snap.name_label} clone`, say.clone, (name) => simple('VM.clone', 'vm-clone', arg(n.ref, `vm=${n.snap.uuid}`), arg(name, `new-name-label=${name}`))); }}>{say.cloneAsk}</Button>
        <Button kind="danger" label={say.deleteOf(n.snap.name_label)} why={whyNot('destroy', 'VM.destroy', n.snap)} onClick={() => { askDestroySnapshot([n.ref, n.snap]); }}>{say.deleteAsk}</Button>
      </div>
      {(n.children.length > 0 || n.here) && <ul>{n.children.map(node)}{n.here && here}</ul>}
    </li>
  );
  return (
    <Card title={say.snapshots} wide actions={<Button kind="primary" why={whyNot('snapshot', 'VM.snapshot', vm)} onClick={() => { askSnapshot([ref, vm]); }}><Icon name="plus" />{say.takeSnapshot}</Button>}>
      {snaps.length === 0 ? <Empty>{say.noSnapshotsYetASnapshot}</Empty> : <ul class="snapshots">{roots.map(node)}{hereAtRoot && here}</ul>}
    </Card>
  );
}

function askDestroySnapshot([ref, snap]: Entry<Vm>): void {
  const disks = ownDisks(snap);
  confirmThen(say.deleteTheSnapshot(snap.name_label), say.theStateThatItHolds, 'Delete', () => void attempt(say.deleteOf(snap.name_label), async () => {
    await runTask(say.deleteOf(snap.name_label), simple('VM.destroy', 'snapshot-destroy', arg(ref, `snapshot-uuid=${snap.uuid}`)));
    for (const [vdi, name] of disks) await runTask(say.deleteDisk(name), simple('VDI.destroy', 'vdi-destroy', arg(vdi)));
  }));
}

export function Settings({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const halted = vm.power_state === 'Halted' ? '' : say.shutTheMachineDownFirst;
  const set = (title: string, work: () => Promise<unknown>): void => { void attempt(title, work).then((ok) => { if (ok) notice.value = say.saved; }); };
  const text = (label: string, value: string, method: string, make: (v: string) => unknown[], hint?: string): JSX.Element => (
    <Field label={label} {...(hint ? { hint } : {})}><input key={value} defaultValue={value} disabled={!may(method)} onChange={(e) => { const v = e.currentTarget.value; set(label, () => rpc(method, ref, ...make(v))); }} /></Field>
  );
  return (
    <div class="cards">
      <Card title={say.name}>
        {text(say.name, vm.name_label, 'VM.set_name_label', (v) => [v])}
        {text(say.description, vm.name_description, 'VM.set_name_description', (v) => [v])}
        {text(say.tags, vm.tags.join(', '), 'VM.set_tags', (v) => [v.split(',').map((t) => t.trim()).filter(Boolean)], say.separatedByCommas)}
        {text(say.folder, vm.other_config['folder'] ?? '', 'VM.set_other_config', (v) => [{ ...vm.other_config, folder: v }], say.asProductionWeb)}
      </Card>
      <Card title={say.processorAndMemory}>
        <Field label={say.virtualCpus} {...(halted ? { hint: halted } : {})}><input type="number" min={1} max={64} key={vm.VCPUs_max} defaultValue={String(vm.VCPUs_max)} disabled={halted !== '' || !may('VM.set_VCPUs_max')} onChange={(e) => { const n = Number(e.currentTarget.value); set(say.virtualCpus, () => setCpus(ref, vm, n)); }} /></Field>
        <Field label={say.memory} {...(halted ? { hint: halted } : {})}><input key={vm.memory_static_max} defaultValue={bytes(vm.memory_static_max)} disabled={halted !== '' || !may('VM.set_memory_limits')} onChange={(e) => { const n = parseBytes(e.currentTarget.value); set(say.memory, () => setMemory(ref, vm, n)); }} /></Field>
      </Card>
      <Card title={say.start}>
        <Field label={say.bootOrder} hint={say.cDiskDCdN}><input key={vm.HVM_boot_params['order']} defaultValue={vm.HVM_boot_params['order'] ?? ''} pattern="[cdn]*" disabled={!may('VM.set_HVM_boot_params')} onChange={(e) => { const order = e.currentTarget.value; set(say.bootOrder, () => rpc('VM.set_HVM_boot_params', ref, { ...vm.HVM_boot_params, order })); }} /></Field>
        <Field label={say.firmware}><select value={vm.HVM_boot_params['firmware'] ?? 'bios'} disabled={halted !== '' || !may('VM.set_HVM_boot_params')} onChange={(e) => { const firmware = e.currentTarget.value; set(say.firmware, () => rpc('VM.set_HVM_boot_params', ref, { ...vm.HVM_boot_params, firmware })); }}><option value="bios">{say.bios}</option><option value="uefi">{say.uefi}</option></select></Field>
        <label class="check"><input type="checkbox" checked={vm.other_config['auto_poweron'] === 'true'} disabled={!may('VM.set_other_config')} onChange={(e) => { const on = e.currentTarget.checked; set(say.startWithTheHost, () => rpc('VM.set_other_config', ref, { ...vm.other_config, auto_poweron: String(on) })); }} /> {say.startWithTheHost}</label>
      </Card>
      <Card title={say.customFields}>
        <Table label={say.customFields} keyOf={([k]) => k} rows={Object.entries(vm.other_config)} columns={[
          { head: say.key, cell: ([k]) => <code>{k}</code> }, { head: say.value, cell: ([, v]) => v },
          { head: '', cell: ([k]) => <Button kind="quiet" label={say.removeOf(k)} why={denied('VM.remove_from_other_config')} onClick={() => { set(k, () => rpc('VM.remove_from_other_config', ref, k)); }}><Icon name="close" /></Button> },
        ]} />
        <p><Button why={denied('VM.add_to_other_config')} onClick={() => { askCustomField([ref, vm]); }}><Icon name="plus" />{say.addFieldAsk}</Button></p>
      </Card>
    </div>
  );
}

function askCustomField([ref, vm]: Entry<Vm>): void {
  let key = '', value = '';
  openDialog(say.aCustomFieldOf(vm.name_label), (close) => (
    <form onSubmit={(e) => { e.preventDefault(); close(); void attempt(say.customField(key), () => rpc('VM.add_to_other_config', ref, key, value)); }}>
      <Field label={say.key}><input required onInput={(e) => { key = e.currentTarget.value; }} /></Field>
      <Field label={say.value}><input onInput={(e) => { value = e.currentTarget.value; }} /></Field>
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit">{say.add}</Button></footer>
    </form>
  ));
}

async function setCpus(ref: Ref, vm: Vm, n: number): Promise<void> {
  const steps: [string, number][] = n > vm.VCPUs_max ? [['VM.set_VCPUs_max', n], ['VM.set_VCPUs_at_startup', n]] : [['VM.set_VCPUs_at_startup', n], ['VM.set_VCPUs_max', n]];
  for (const [method, value] of steps) await rpc(method, ref, value);
}

const setMemory = (ref: Ref, vm: Vm, n: number): Promise<unknown> => rpc('VM.set_memory_limits', ref, Math.min(vm.memory_static_min, n), n, n, n);

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

export function Access(): JSX.Element {
  return <Card title={say.access} wide><p>{say.rolesAreGivenForThe}<a href={href('access')}>{say.usersPage}</a>{say.aTokenCanBeLimited}</p></Card>;
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
    case 'history': return <History cls="VM" uuid={vm.uuid} stamp={vm.power_state + vm.name_label + JSON.stringify(vm.other_config) + vm.tags.join()} />;
    case 'settings': return <Settings entry={entry} />;
    case 'access': return <Access />;
    default: return <Overview entry={entry} />;
  }
}

/** A console alone in its window. */
export function ScreenWindow({ vm }: { vm: Vm }): JSX.Element {
  const c = vm.consoles.map((r) => db.console.get(r)).find((x) => x?.protocol === 'rfb');
  return c ? <Later><Screen uuid={c.uuid} name={vm.name_label} /></Later> : <Empty>{say.is(vm.name_label, vm.power_state.toLowerCase())}</Empty>;
}

