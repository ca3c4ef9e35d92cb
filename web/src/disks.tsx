// SPDX-License-Identifier: Apache-2.0
// Disks and network interfaces of a machine, and what can be done to a disk anywhere.
import type { JSX } from 'preact';
import { Act, Ask, type Form, save, setField } from './act';
import { simple, whyNot } from './actions';
import { denied, may, rpc } from './api';
import { arg, Result, type Call } from './copyas';
import { bytes, parseBytes } from './format';
import { NULL_REF, type Ref, type Vbd, type Vdi, type Vif, type Vm } from './model';
import { href } from './route';
import { db, networks, poolEntry, srs, type Entry } from './store';
import { exportDisk } from './upload';
import { Button, Card, Empty, Icon, Menu, Table } from './ui';
import { say } from './strings';

export const diskStores = (): Entry<{ name_label: string; uuid: string }>[] => srs.value.filter(([, s]) => s.content_type !== 'iso');
export const defaultStore = (): Ref => {
  const wanted = poolEntry.value?.[1].default_SR ?? NULL_REF;
  return diskStores().find(([r]) => r === wanted)?.[0] ?? diskStores()[0]?.[0] ?? '';
};
export const storeChoices = (): [string, string][] => diskStores().map(([r, s]) => [r, s.name_label]);
export const isoChoices = (): [string, string][] => [...db.vdi.all].filter(([, v]) => db.sr.get(v.SR)?.content_type === 'iso').map(([r, v]) => [r, v.name_label]);
const networkChoices = (): [string, string][] => networks.value.map(([r, n]) => [r, n.name_label]);
const vdiUuid = (ref: Ref): string => db.vdi.get(ref)?.uuid ?? '';

/** The first place that no drive has; the fourth is left to CDs. */
export function freeDrive(vm: Vm, cd = false): string {
  const taken = new Set(vm.VBDs.map((r) => db.vbd.get(r)?.userdevice));
  const all = Array.from({ length: 16 }, (_, i) => String(i)).filter((d) => !taken.has(d));
  return (cd ? all.find((d) => d === '3') : all.find((d) => d !== '3')) ?? all[0] ?? '0';
}

export const newVdi = (name: string, size: number, sr: Ref): Call => ({ method: 'VDI.create', cli: 'vdi-create', args: [
  arg({ name_label: name, name_description: '', SR: sr, virtual_size: size, type: 'user', sharable: false, read_only: false, other_config: {} }, `name-label=${name}`),
  arg(undefined, `virtual-size=${size}`), arg(undefined, `sr-uuid=${db.sr.get(sr)?.uuid ?? ''}`), arg(undefined, 'type=user')] });

export const newVbd = (vm: unknown, vmUuid: string, vdi: unknown, device: string, o: { bootable: boolean; cd?: boolean; empty?: boolean }): Call => ({ method: 'VBD.create', cli: 'vbd-create', args: [
  arg({ VM: vm, VDI: vdi, userdevice: device, bootable: o.bootable, mode: o.cd ? 'RO' : 'RW', type: o.cd ? 'CD' : 'Disk', unpluggable: true, empty: o.empty ?? false, other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {} }, `vm-uuid=${vmUuid}`),
  arg(undefined, `device=${device}`), ...(o.empty ? [] : [arg(undefined, `vdi-uuid=${typeof vdi === 'string' ? vdiUuid(vdi) : 'RESULT'}`)]), arg(undefined, `type=${o.cd ? 'CD' : 'Disk'}`)] });

export const newVif = (vm: unknown, vmUuid: string, network: Ref, device: string, mac = ''): Call => ({ method: 'VIF.create', cli: 'vif-create', args: [
  arg({ VM: vm, network, device, MAC: mac, MTU: 1500, other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {} }, `vm-uuid=${vmUuid}`),
  arg(undefined, `network-uuid=${db.network.get(network)?.uuid ?? ''}`), arg(undefined, `device=${device}`), arg(undefined, mac ? `mac=${mac}` : '')] });

/** What was made for a machine that could not take it. */
const takeAway = async (results: unknown[]): Promise<void> => { if (typeof results[0] === 'string' && db.vdi.rows.has(results[0])) await rpc('VDI.destroy', results[0]); };

function diskForm([ref, vm]: Entry<Vm>): Form {
  const device = freeDrive(vm);
  return {
    title: say.addADiskTo(vm.name_label), verb: say.add,
    fields: [
      { id: 'from', label: say.diskWord, kind: 'select', choices: [['', say.aNewEmptyDisk], ...looseDisks()] },
      { id: 'name', label: say.name, value: say.disk(vm.name_label, vm.VBDs.length), when: (v) => v['from'] === '' },
      { id: 'size', label: say.size, value: '10 GiB', when: (v) => v['from'] === '' },
      { id: 'sr', label: say.storage, kind: 'select', value: defaultStore(), choices: storeChoices(), when: (v) => v['from'] === '' },
    ],
    why: (v) => (v['from'] !== '' || parseBytes(v['size'] ?? '') >= 1024 ** 2 ? '' : say.writeASizeAs10),
    calls: (v) => {
      const made = v['from'] === '' ? [newVdi(v['name'] ?? '', parseBytes(v['size'] ?? '') || 0, v['sr'] ?? '')] : [];
      const vbd = newVbd(ref, vm.uuid, v['from'] === '' ? new Result(0) : v['from'], device, { bootable: false });
      const plug = vm.power_state === 'Running' ? [simple('VBD.plug', 'vbd-plug', arg(new Result(made.length), 'uuid=RESULT'))] : [];
      return [...made, vbd, ...plug];
    },
    undo: takeAway,
  };
}

/** Disks that no machine has. */
function looseDisks(): [string, string][] {
  return [...db.vdi.all].filter(([, v]) => !v.is_a_snapshot && v.VBDs.length === 0 && v.type === 'user' && db.sr.get(v.SR)?.content_type !== 'iso')
    .map(([r, v]) => [r, `${v.name_label || v.uuid}, ${bytes(v.virtual_size)}`]);
}

function isoForm(vbd: Ref, b: Vbd): Form {
  return {
    title: say.insertADisc, verb: say.insert, fields: [{ id: 'iso', label: say.isoImage, kind: 'select', choices: isoChoices() }],
    why: (v) => (v['iso'] ? '' : say.noStorageRepositoryHolds),
    calls: (v) => [simple('VBD.insert', 'vbd-insert', arg(vbd, `uuid=${b.uuid}`), arg(v['iso'], `vdi-uuid=${vdiUuid(v['iso'] ?? '')}`))],
  };
}

/* What can be done to a disk, wherever it is shown */

const vdiArg = (ref: Ref, v: Vdi): ReturnType<typeof arg> => arg(ref, `uuid=${v.uuid}`);
const shown = (v: Vdi): string => v.name_label || v.uuid;

export function growForm(ref: Ref, v: Vdi): Form {
  return {
    title: say.growOf(shown(v)), verb: say.grow,
    fields: [{ id: 'size', label: say.newSize, value: bytes(v.virtual_size), hint: say.nowADiskOnlyGrows(bytes(v.virtual_size)) }],
    why: (f) => (parseBytes(f['size'] ?? '') > v.virtual_size ? '' : say.aDiskOnlyGrowsMore(bytes(v.virtual_size))),
    calls: (f) => { const n = parseBytes(f['size'] ?? '') || 0; return [simple('VDI.resize', 'vdi-resize', vdiArg(ref, v), arg(n, `disk-size=${n}`))]; },
  };
}

const srArg = (sr: string | undefined): ReturnType<typeof arg> => arg(sr, `sr-uuid=${db.sr.get(sr ?? '')?.uuid ?? ''}`);

function copyForm(ref: Ref, v: Vdi): Form {
  return {
    title: say.copyOf(shown(v)), verb: say.copy, text: say.aNewDiskGetsThe,
    fields: [{ id: 'sr', label: say.storage, kind: 'select', value: defaultStore(), choices: storeChoices() }],
    calls: (f) => [simple('VDI.copy', 'vdi-copy', vdiArg(ref, v), srArg(f['sr']))],
  };
}

function renameForm(ref: Ref, v: Vdi): Form {
  return {
    title: say.renameOf(shown(v)), verb: say.rename, fields: [{ id: 'name', label: say.name, value: v.name_label }, { id: 'text', label: say.description, value: v.name_description, optional: true }],
    calls: (f) => [setField('VDI', ref, v.uuid, 'name_label', f['name']), setField('VDI', ref, v.uuid, 'name_description', f['text'])],
  };
}

export function DiskMenu({ disk: [ref, v] }: { disk: Entry<Vdi> }): JSX.Element {
  const iso = db.sr.get(v.SR)?.content_type === 'iso';
  const attached = v.VBDs.some((b) => db.vbd.get(b)?.currently_attached);
  return (
    <>
      <Ask form={() => renameForm(ref, v)} why={denied('VDI.set_name_label')}>{say.renameAsk}</Ask>
      {!iso && <>
        <Ask form={() => growForm(ref, v)} why={whyNot('resize', 'VDI.resize', v)}>{say.growAsk}</Ask>
        <Act title={say.snapshotOf(shown(v))} why={whyNot('snapshot', 'VDI.snapshot', v)} calls={[simple('VDI.snapshot', 'vdi-snapshot', vdiArg(ref, v), arg({}))]}>{say.snapshotThisDisk}</Act>
        <Act title={say.cloneOfOf(shown(v))} why={whyNot('clone', 'VDI.clone', v)} calls={[simple('VDI.clone', 'vdi-clone', vdiArg(ref, v), arg({}))]}>{say.clone}</Act>
        <Ask form={() => copyForm(ref, v)} why={whyNot('copy', 'VDI.copy', v)}>{say.copyToAsk}</Ask>
        <Button why={denied('http/get_export_raw_vdi') || (attached ? say.aMachineHasItOpen : '')} onClick={() => { exportDisk([ref, v]); }}>{say.exportAsk}</Button>
      </>}
      <hr />
      <Act kind="danger" title={say.deleteOf(shown(v))} verb={say.deleteWord} why={v.VBDs.length > 0 && !v.is_a_snapshot ? say.machinesUseItDetachIt : whyNot('destroy', 'VDI.destroy', v)}
        ask={recycled(v) ? say.theDiskAndItsOfOf(bytes(v.virtual_size)) : say.theDiskAndItsOf(bytes(v.virtual_size))}
        calls={[simple('VDI.destroy', 'vdi-destroy', vdiArg(ref, v))]}>{say.deleteAsk}</Act>
    </>
  );
}

/** Is what is destroyed kept for a time? */
export function recycled(v: Vdi): boolean {
  const hours = db.sr.get(v.SR)?.other_config['recycle-hours'] ?? poolEntry.value?.[1].other_config['recycle-hours'];
  return Number(hours ?? 0) > 0;
}

/* The tab of a machine */

export function Disks({ entry: [ref, vm], brief }: { entry: Entry<Vm>; brief?: boolean }): JSX.Element {
  const rows = vm.VBDs.flatMap((r): [Ref, Vbd][] => { const b = db.vbd.get(r); return b ? [[r, b]] : []; }).sort((a, b) => Number(a[1].userdevice) - Number(b[1].userdevice));
  const name = (b: Vbd): string => (b.empty ? '(empty)' : db.vdi.get(b.VDI)?.name_label || say.unnamed);
  const table = (
    <Table label={say.disks} keyOf={([r]) => r} rows={rows} columns={[
      { head: '#', cell: ([, b]) => b.userdevice },
      { head: say.diskWord, cell: ([, b]) => name(b) },
      { head: say.kind, cell: ([, b]) => b.type },
      { head: say.size, num: true, cell: ([, b]) => (b.empty ? '' : bytes(db.vdi.get(b.VDI)?.virtual_size ?? 0)) },
      ...(brief ? [] : [
        { head: say.storage, cell: ([, b]: [Ref, Vbd]) => { const sr = db.sr.get(db.vdi.get(b.VDI)?.SR); return sr ? <a href={href('sr', sr.uuid)}>{sr.name_label}</a> : ''; } },
        { head: say.mode, cell: ([r, b]: [Ref, Vbd]) => (b.type === 'CD' || b.currently_attached ? (b.mode === 'RO' ? say.readOnly : say.readWrite)
          : <select value={b.mode} aria-label={say.modeOf(name(b))} disabled={!may('VBD.set_mode')} onChange={(e) => { save(say.mode, [setField('VBD', r, b.uuid, 'mode', e.currentTarget.value)]); }}><option value="RW">{say.readWrite}</option><option value="RO">{say.readOnly}</option></select>) },
        { head: say.plugged, cell: ([, b]: [Ref, Vbd]) => (b.currently_attached ? say.yes : say.no) },
        { head: '', cell: ([r]: [Ref, Vbd]) => <DriveActions vbd={r} /> },
      ]),
    ]} />
  );
  if (brief) return rows.length > 0 ? table : <Empty>{say.noDisks}</Empty>;
  const hasCd = rows.some(([, b]) => b.type === 'CD');
  return (
    <Card title={say.disksAndDrives} wide actions={<>
      <Act title={say.addACdDrive} why={hasCd ? say.itHasACdDrive : vm.power_state === 'Halted' ? '' : say.shutTheMachineDownFirst} calls={[newVbd(ref, vm.uuid, NULL_REF, freeDrive(vm, true), { bootable: true, cd: true, empty: true })]}>{say.addCdDrive}</Act>
      <Ask kind="primary" form={() => diskForm([ref, vm])} why={denied('VDI.create') || denied('VBD.create')}><Icon name="plus" />{say.addDisk}</Ask></>}>
      {rows.length > 0 ? table : <Empty>{say.thisMachineHasNoDisks}</Empty>}
    </Card>
  );
}

function DriveActions({ vbd }: { vbd: Ref }): JSX.Element {
  const b = db.vbd.get(vbd);
  if (!b) return <span />;
  const vdi = db.vdi.get(b.VDI);
  const title = vdi?.name_label || say.diskLower;
  const own = arg(vbd, `uuid=${b.uuid}`);
  if (b.type === 'CD') {
    return b.empty ? <Ask form={() => isoForm(vbd, b)} why={whyNot('insert', 'VBD.insert', b)}>{say.insertAsk}</Ask>
      : <Act title={say.ejectOf(title)} why={whyNot('eject', 'VBD.eject', b)} calls={[simple('VBD.eject', 'vbd-eject', own)]}>{say.eject}</Act>;
  }
  return (
    <Menu label={say.change}>
      {b.currently_attached ? <Act title={say.unplugOf(title)} why={whyNot('unplug', 'VBD.unplug', b)} calls={[simple('VBD.unplug', 'vbd-unplug', own)]}>{say.unplug}</Act>
        : <Act title={say.plug(title)} why={whyNot('plug', 'VBD.plug', b)} calls={[simple('VBD.plug', 'vbd-plug', own)]}>{say.plugIn}</Act>}
      <Act kind="danger" title={say.detachOf(title)} verb={say.detach} why={b.currently_attached ? say.unplugItFirst : ''} ask={say.theMachineLosesTheDisk(title)} calls={[simple('VBD.destroy', 'vbd-destroy', own)]}>{say.detachAsk}</Act>
      <hr />
      {vdi && <DiskMenu disk={[b.VDI, vdi]} />}
    </Menu>
  );
}

/* Network interfaces */

const LOCKING = ['network_default', 'unlocked', 'locked', 'disabled'];

function nicForm([ref, vm]: Entry<Vm>): Form {
  const taken = new Set(vm.VIFs.map((r) => db.vif.get(r)?.device));
  const device = Array.from({ length: 16 }, (_, i) => String(i)).find((d) => !taken.has(d)) ?? '0';
  return {
    title: say.addAnInterfaceTo(vm.name_label), verb: say.add,
    fields: [{ id: 'network', label: say.network, kind: 'select', choices: networkChoices() }, { id: 'mac', label: say.macAddress, optional: true, pattern: '([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}', hint: say.emptyOneIsChosen }],
    calls: (v) => [newVif(ref, vm.uuid, v['network'] ?? '', device, v['mac'] ?? ''), ...(vm.power_state === 'Running' ? [simple('VIF.plug', 'vif-plug', arg(new Result(0), 'uuid=RESULT'))] : [])],
  };
}

function lockForm(ref: Ref, v: Vif): Form {
  const list = (text: string | undefined): string[] => (text ?? '').split(/[\s,]+/).filter(Boolean);
  return {
    title: say.addressesOfInterface(v.device), verb: say.set, text: say.whileTheInterfaceIsLocked,
    fields: [
      { id: 'mode', label: say.locking, kind: 'select', value: v.locking_mode, choices: LOCKING.map((m) => [m, m.replace('_', ' ')]) },
      { id: 'four', label: say.iPv4Addresses, value: v.ipv4_allowed.join(', '), optional: true },
      { id: 'six', label: say.iPv6Addresses, value: v.ipv6_allowed.join(', '), optional: true },
    ],
    calls: (f) => [setField('VIF', ref, v.uuid, 'ipv4_allowed', list(f['four'])), setField('VIF', ref, v.uuid, 'ipv6_allowed', list(f['six'])), setField('VIF', ref, v.uuid, 'locking_mode', f['mode'])],
  };
}

export function Nics({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const rows = vm.VIFs.flatMap((r): [Ref, Vif][] => { const v = db.vif.get(r); return v ? [[r, v]] : []; }).sort((a, b) => Number(a[1].device) - Number(b[1].device));
  const own = (r: Ref, v: Vif): ReturnType<typeof arg> => arg(r, `uuid=${v.uuid}`);
  return (
    <Card title={say.networkInterfaces} wide actions={<Ask kind="primary" why={denied('VIF.create')} form={() => nicForm([ref, vm])}><Icon name="plus" />{say.addInterface}</Ask>}>
      {rows.length === 0 ? <Empty>{say.thisMachineHasNoNetwork}</Empty> : (
        <Table label={say.networkInterfaces} keyOf={([r]) => r} rows={rows} columns={[
          { head: '#', cell: ([, v]) => v.device },
          { head: say.network, cell: ([, v]) => { const n = db.network.get(v.network); return n ? <a href={href('network', n.uuid)}>{n.name_label}</a> : ''; } },
          { head: say.mac, cell: ([, v]) => <code>{v.MAC}</code> },
          { head: say.locking, cell: ([, v]) => v.locking_mode.replace('_', ' ') },
          { head: say.allowedAddresses, cell: ([, v]) => [...v.ipv4_allowed, ...v.ipv6_allowed].join(', ') || '—' },
          { head: say.plugged, cell: ([, v]) => (v.currently_attached ? say.yes : say.no) },
          { head: '', cell: ([r, v]) => (
            <Menu label={say.change}>
              {v.currently_attached ? <Act title={say.unplugInterface(v.device)} why={whyNot('unplug', 'VIF.unplug', v)} calls={[simple('VIF.unplug', 'vif-unplug', own(r, v))]}>{say.unplug}</Act>
                : <Act title={say.plugInterface(v.device)} why={whyNot('plug', 'VIF.plug', v)} calls={[simple('VIF.plug', 'vif-plug', own(r, v))]}>{say.plugIn}</Act>}
              <Ask why={denied('VIF.move')} form={() => ({ title: say.moveInterface(v.device), verb: say.move, fields: [{ id: 'network', label: say.network, kind: 'select', value: v.network, choices: networkChoices() }], calls: (f) => [simple('VIF.move', 'vif-move', own(r, v), arg(f['network'], `network-uuid=${db.network.get(f['network'])?.uuid ?? ''}`))] })}>{say.toAnotherNetworkAsk}</Ask>
              <Ask why={denied('VIF.set_locking_mode')} form={() => lockForm(r, v)}>{say.lockingAsk}</Ask>
              <hr />
              <Act kind="danger" title={say.removeInterface(v.device)} verb={say.remove} why={v.currently_attached ? say.unplugItFirst : ''} ask={say.losesTheInterfaceWithThe(vm.name_label, v.MAC)} calls={[simple('VIF.destroy', 'vif-destroy', own(r, v))]}>{say.removeAsk}</Act>
            </Menu>) },
        ]} />)}
    </Card>
  );
}
