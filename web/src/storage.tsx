// SPDX-License-Identifier: Apache-2.0
// Storage repositories: what is in them, what the collector has still to do, what the recycle bin keeps; and networks.
import { lazy, Suspense } from 'preact/compat';
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { AccessOf } from './access';
import { Act, Ask, askForm, setField, setKey, type Form } from './act';
import { simple, whyNot } from './actions';
import { denied, may, rpc } from './api';
import { arg, Result, type Call } from './copyas';
import { DiskMenu } from './disks';
import { bytes, percent, when } from './format';
import { History } from './history';
import { Labels, Thresholds } from './labels';
import type { Network, Pbd, Ref, Sr, StringMap, Vdi } from './model';
import { href } from './route';
import { attempt } from './run';
import { db, hosts, poolEntry, type Entry } from './store';
import { askUpload } from './upload';
import { Bar, Button, Card, Empty, Facts, Menu, Table } from './ui';
import { say } from './strings';

const Charts = lazy(() => import('./chart').then((m) => m.Charts));

export const SR_TABS: [string, string][] = [['overview', say.overview], ['performance', say.performance], ['disks', say.disks], ['history', say.history], ['settings', say.settings], ['access', say.access]];

function whyNotUpload(sr: Sr): string {
  const no = denied('VDI.create') || denied('http/put_import_image');
  if (no !== '') return no;
  return sr.PBDs.some((r) => db.pbd.get(r)?.currently_attached) ? '' : say.itIsNotPlugged;
}

const srArg = (ref: Ref, sr: Sr): ReturnType<typeof arg> => arg(ref, `uuid=${sr.uuid}`);

export function SrPage({ entry: [ref, sr], tab }: { entry: Entry<Sr>; tab: string }): JSX.Element {
  switch (tab) {
    case 'performance': return <SrPerformance sr={sr} />;
    case 'disks': return <SrDisks entry={[ref, sr]} />;
    case 'history': return <History cls="SR" uuid={sr.uuid} stamp={JSON.stringify([sr.name_label, sr.name_description, sr.tags, sr.other_config])} />;
    case 'settings': return <SrSettings entry={[ref, sr]} />;
    case 'access': return <AccessOf />;
    default: return (
      <div class="cards">
        <Card title={say.repository} actions={<SrActions entry={[ref, sr]} />}>
          <Facts rows={[[say.type, sr.type], [say.holds, sr.content_type === 'iso' ? say.isoImages : 'disks'], [say.shared, sr.shared ? say.yes : say.no],
            [say.physical, sr.physical_size > 0 ? <><Bar value={percent(sr.physical_utilisation, sr.physical_size)} label={say.inUse} /> {bytes(sr.physical_utilisation)}{say.ofBetween}{bytes(sr.physical_size)}</> : say.notMeasuredYet],
            [say.promisedToDisks, bytes(sr.virtual_allocation)], ['UUID', <code>{sr.uuid}</code>]]} />
        </Card>
        {sr.content_type !== 'iso' && <Debt entry={[ref, sr]} />}
        <Plugs sr={sr} />
        <SrDisks entry={[ref, sr]} />
        {sr.content_type !== 'iso' && <Bin entry={[ref, sr]} />}
      </div>
    );
  }
}

function SrPerformance({ sr }: { sr: Sr }): JSX.Element {
  const host = hosts.value.find(([h]) => sr.PBDs.some((p) => db.pbd.get(p)?.host === h));
  return host ? <Suspense fallback={<Empty>{say.loading}</Empty>}><Charts uuid={host[1].uuid} host only={['disk']} /></Suspense> : <Empty>{say.itIsOnNoHost}</Empty>;
}

function SrDisks({ entry: [ref, sr] }: { entry: Entry<Sr> }): JSX.Element {
  const disks = sr.VDIs.flatMap((r): [Ref, Vdi][] => { const v = db.vdi.get(r); return v ? [[r, v]] : []; }).sort((a, b) => a[1].name_label.localeCompare(b[1].name_label, undefined, { numeric: true }));
  return (
    <Card title={sr.content_type === 'iso' ? say.images : say.disks} wide actions={<>
      <Act title={say.scanOf(sr.name_label)} why={whyNot('scan', 'SR.scan', sr)} calls={[simple('SR.scan', 'sr-scan', srArg(ref, sr))]}>{say.scan}</Act>
      <Button kind="primary" why={whyNotUpload(sr)} onClick={() => { askUpload(ref); }}>{say.uploadAsk}</Button></>}>
      {disks.length === 0 ? <Empty>{say.nothingIsStoredHere}</Empty> : <Table label={say.disks} rows={disks} keyOf={([r]) => r} columns={[
        { head: say.name, cell: ([, v]) => v.name_label || <span class="muted">{v.uuid}</span> },
        { head: say.size, num: true, cell: ([, v]) => bytes(v.virtual_size) }, { head: say.taken, num: true, cell: ([, v]) => bytes(v.physical_utilisation) },
        { head: say.kind, cell: ([, v]) => (v.is_a_snapshot ? say.snapshotWord : v.type) },
        { head: say.usedBy, cell: ([, v]) => v.VBDs.map((b) => db.vm.get(db.vbd.get(b)?.VM)).filter((x) => x !== undefined).map((x) => (x.is_a_snapshot ? <span key={x.uuid} class="muted">{x.name_label} </span> : <a key={x.uuid} href={href('vm', x.uuid)}>{x.name_label} </a>)) },
        { head: '', cell: ([r, v]) => <Menu label={say.change}><DiskMenu disk={[r, v]} /></Menu> },
      ]} />}
    </Card>
  );
}

/* The collector's work sends no events of its own: it is read when the disks here change. */
function Debt({ entry: [ref, sr] }: { entry: Entry<Sr> }): JSX.Element {
  const [debt, setDebt] = useState<StringMap | null>(null);
  const [again, setAgain] = useState(0);
  useEffect(() => {
    let over = false;
    void attempt(say.storage, async () => { const got = await rpc<StringMap>('serai.get_storage_debt', ref); if (!over) setDebt(got); });
    return () => { over = true; };
  }, [ref, again, sr.VDIs.length, sr.physical_utilisation]);
  const of = (k: string): number => Number(debt?.[k] ?? 0);
  return (
    <Card title={say.collector} actions={<Button onClick={() => { setAgain(again + 1); }}>{say.refresh}</Button>}>
      {!debt ? <Empty>{say.reading}</Empty> : <>
        <Facts rows={[[say.waiting, of('waiting') === 0 ? say.nothingToDo : say.volumesCanGoNow(of('waiting'), bytes(of('bytes')), of('mergeable'))], [say.atWork, debt['running'] === 'true' ? say.yes : say.no],
          [say.doneSinceTheStart, say.mergedGivenBack(of('merges'), bytes(of('freed')))], [say.recycleBin, say.disksOf(of('recycled'), bytes(of('recycled_bytes')))]]} />
        {debt['problem'] && <p class="error">{debt['problem']}</p>}
      </>}
    </Card>
  );
}

interface Recycled { uuid: string; kind: string; name_label: string; object_uuid: string; sr_uuid: string; size: number; user: string; destroyed: string; expires: string; disks: string[] }

/** What was destroyed and can be had back; without an entry, of the whole pool. */
export function Bin({ entry }: { entry?: Entry<Sr> }): JSX.Element {
  const [rows, setRows] = useState<Recycled[] | null>(null);
  const load = (): void => {
    void attempt(say.recycleBin, async () => { setRows(Object.values(await rpc<Record<Ref, Recycled>>('serai_recycled.get_all_records'))); });
  };
  const pool = poolEntry.value;
  useEffect(load, [entry?.[0], db.vdi.all.size, db.vm.all.size]);
  const mine = (rows ?? []).filter((r) => !entry || r.sr_uuid === entry[1].uuid).sort((a, b) => b.destroyed.localeCompare(a.destroyed));
  const config = entry ? entry[1].other_config : pool?.[1].other_config ?? {};
  const hours = config['recycle-hours'] ?? '';
  const cls = entry ? 'SR' : 'pool', of = entry ?? pool;
  return (
    <Card title={say.recycleBin} wide actions={<>
      <Ask why={denied(`${cls}.add_to_other_config`)} form={() => ({
        title: say.howLongTheRecycleBin, verb: say.set, text: say.disksInItTakeTheir,
        fields: [{ id: 'hours', label: say.hours, kind: 'number', value: hours, optional: true, hint: entry ? say.emptyAsThePoolSays : say.emptyNothingIsKept }],
        calls: (v) => (of ? setKey(cls, of[0], of[1].uuid, 'other_config', config, 'recycle-hours', v['hours'] ?? '') : []),
      })}>{hours ? say.keptForHAsk(hours) : say.keepForAsk}</Ask>
      {!entry && <Act kind="danger" title={say.emptyTheRecycleBin} verb={say.emptyToo} why={mine.length > 0 ? '' : say.itIsEmpty} ask={say.machinesAndDisksCanThen(mine.length)} calls={[simple('serai.recycle_empty', 'recycle-empty', arg(''))]} then={load}>{say.emptyAsk}</Act>}</>}>
      {mine.length === 0 ? <Empty>{rows ? say.nothingIsInIt : say.reading}</Empty> : <Table label={say.recycleBin} rows={mine} keyOf={(r) => r.uuid} columns={[
        { head: say.name, cell: (r) => r.name_label || r.object_uuid }, { head: say.kind, cell: (r) => (r.kind === 'VM' ? say.machineWithDisks(r.disks.length) : say.diskLower) }, { head: say.size, num: true, cell: (r) => (r.size > 0 ? bytes(r.size) : '') },
        { head: say.deleted, cell: (r) => `${when(r.destroyed)}, ${r.user}` }, { head: say.keptUntil, cell: (r) => when(r.expires) },
        { head: '', cell: (r) => <div class="row">
          <Act title={say.bringBackOf(r.name_label)} calls={[simple('serai.recycle_restore', 'recycle-restore', arg(r.uuid, `item=${r.uuid}`))]} then={load}>{say.bringBack}</Act>
          <Act kind="danger" title={say.giveUpOf(r.name_label)} verb={say.giveUp} ask={say.canThenNotBeBrought(r.name_label)} calls={[simple('serai.recycle_empty', 'recycle-empty', arg(r.uuid, `item=${r.uuid}`))]} then={load}>{say.giveUpAsk}</Act></div> },
      ]} />}
    </Card>
  );
}

function Plugs({ sr }: { sr: Sr }): JSX.Element {
  const rows = sr.PBDs.flatMap((r): [Ref, Pbd][] => { const p = db.pbd.get(r); return p ? [[r, p]] : []; });
  const own = (r: Ref, p: Pbd): ReturnType<typeof arg> => arg(r, `uuid=${p.uuid}`);
  return (
    <Card title={say.hosts}>
      {rows.map(([r, p]) => (
        <div key={r} class="plug">
          <span>{db.host.get(p.host)?.name_label ?? ''} <small>{Object.entries(p.device_config).map(([k, v]) => `${k}: ${v}`).join(', ')}</small></span>
          {p.currently_attached ? <Act title={say.unplugOf(sr.name_label)} verb={say.unplug} ask={say.machinesOnThisHostCan(sr.name_label)} calls={[simple('PBD.unplug', 'pbd-unplug', own(r, p))]}>{say.unplugAsk}</Act>
            : <Act title={say.plug(sr.name_label)} calls={[simple('PBD.plug', 'pbd-plug', own(r, p))]}>{say.plugIn}</Act>}
        </div>
      ))}
    </Card>
  );
}

function SrSettings({ entry: [ref, sr] }: { entry: Entry<Sr> }): JSX.Element {
  return <div class="flow"><Labels cls="SR" refOf={ref} rec={sr}><Thresholds cls="SR" refOf={ref} rec={sr} /></Labels></div>;
}

function SrActions({ entry: [ref, sr] }: { entry: Entry<Sr> }): JSX.Element {
  const pool = poolEntry.value;
  const isDefault = pool?.[1].default_SR === ref;
  const unplug = sr.PBDs.flatMap((r): Call[] => { const p = db.pbd.get(r); return p?.currently_attached ? [simple('PBD.unplug', 'pbd-unplug', arg(r, `uuid=${p.uuid}`))] : []; });
  return (
    <Menu label={say.change}>
      {sr.content_type !== 'iso' && pool && <Act title={say.defaultStorage} why={isDefault ? say.itIsTheDefaultAlready : ''} calls={[{ ...setField('pool', pool[0], pool[1].uuid, 'default_SR', ref), args: [arg(pool[0], `uuid=${pool[1].uuid}`), arg(ref, `default-SR=${sr.uuid}`)] }]}>{say.makeDefault}</Act>}
      <Act kind="danger" title={say.forgetOf(sr.name_label)} verb={say.forget} ask={say.andTheImagesInIt(sr.name_label, sr.VDIs.length)} calls={[...unplug, simple('SR.forget', 'sr-forget', srArg(ref, sr))]}>{say.forgetAsk}</Act>
      <Act kind="danger" title={say.destroyOf(sr.name_label)} verb={say.destroy} why={sr.VDIs.length > 0 ? say.deleteItsDisksFirst : ''} ask={say.isDestroyedWithItsFolder(sr.name_label)} calls={[...unplug, simple('SR.destroy', 'sr-destroy', srArg(ref, sr))]}>{say.destroyAsk}</Act>
    </Menu>
  );
}

function storageForm(): Form {
  const kinds: [string, string][] = [['file', say.disksInAFolderOf], ['iso', say.isoImagesInAFolder], ['nfs', say.disksOnAnNfsServer], ['nfs_iso', say.isoImagesOnAnNfs]];
  const types = new Set([...db.sm.all.values()].map((m) => m.type));
  const net = (v: Record<string, string>): boolean => v['kind']?.startsWith('nfs') ?? false;
  return {
    title: say.newStorage, verb: say.create,
    fields: [
      { id: 'kind', label: say.holds, kind: 'select', choices: kinds.filter(([k]) => types.has(k) || (k === 'nfs_iso' && types.has('nfs'))) }, { id: 'name', label: say.name },
      ...(hosts.value.length > 1 ? [{ id: 'host', label: say.host, kind: 'select' as const, choices: hosts.value.map(([r, h]): [string, string] => [r, h.name_label]) }] : []),
      { id: 'server', label: say.server, when: net },
      { id: 'location', label: say.folder, pattern: '/.*', hint: say.aWholePathAsSrv },
    ],
    calls: (v) => {
      const iso = v['kind'] === 'iso' || v['kind'] === 'nfs_iso', type = iso ? 'iso' : v['kind'] ?? 'file', host = v['host'] ?? hosts.value[0]?.[0] ?? '', place = v['location'] ?? '';
      const config: StringMap = !net(v) ? { location: place, ...(iso ? { legacy_mode: 'true' } : {}) } : iso ? { location: `${v['server'] ?? ''}:${place}`, type: 'nfs_iso' } : { server: v['server'] ?? '', serverpath: place };
      const content = iso ? 'iso' : 'user';
      return [{ method: 'SR.create', cli: 'sr-create', args: [arg(host, `host-uuid=${db.host.get(host)?.uuid ?? ''}`), arg(config), ...Object.entries(config).map(([k, x]) => arg(undefined, `device-config:${k}=${x}`)),
        arg(0), arg(v['name'], `name-label=${v['name'] ?? ''}`), arg(''), arg(type, `type=${type}`), arg(content, `content-type=${content}`), arg(net(v), `shared=${String(net(v))}`), arg({})] }];
    },
  };
}

export const newStorage = (): void => { askForm(storageForm()); };

/* Networks */

export const NETWORK_TABS: [string, string][] = [['overview', say.overview], ['network', say.network], ['history', say.history], ['settings', say.settings], ['access', say.access]];

export function NetworkPage({ entry: [ref, network], tab }: { entry: Entry<Network>; tab: string }): JSX.Element {
  const own = arg(ref, `uuid=${network.uuid}`);
  switch (tab) {
    case 'history': return <History cls="network" uuid={network.uuid} stamp={JSON.stringify([network.name_label, network.name_description, network.tags, network.other_config])} />;
    case 'settings': return <div class="flow"><Labels cls="network" refOf={ref} rec={network}><NetworkSettings entry={[ref, network]} /></Labels></div>;
    case 'access': return <AccessOf />;
    case 'network': return <Pifs network={ref} />;
    default: break;
  }
  const vifs = network.VIFs.map((r) => [r, db.vif.get(r)] as const).flatMap(([r, v]) => (v ? [[r, v] as const] : []));
  return (
    <div class="cards">
      <Card title={say.network} actions={<Act kind="danger" title={say.deleteOf(network.name_label)} verb={say.deleteWord} why={network.VIFs.length > 0 ? say.machinesAreOnItMove : network.PIFs.length > 0 ? say.itBelongsToAPhysical : ''} ask={say.theNetworkIsDeleted(network.name_label)} calls={[simple('network.destroy', 'network-destroy', own)]}>{say.deleteAsk}</Act>}>
        <Facts rows={[[say.bridge, <code>{network.bridge}</code>], ['MTU', network.MTU], [say.locking, network.default_locking_mode], [say.addressesGivenByIt, network.other_config['nat'] === 'true' ? say.yesWithTranslationToThe : 'no'], ['UUID', <code>{network.uuid}</code>]]} />
      </Card>
      <Card title={say.interfacesOfMachines} wide>{vifs.length === 0 ? <Empty>{say.noMachineIsOnThis}</Empty> : <Table label={say.interfaces} rows={vifs} keyOf={([r]) => r} columns={[
        { head: say.machine, cell: ([, v]) => { const vm = db.vm.get(v.VM); return vm ? <a href={href('vm', vm.uuid, 'network')}>{vm.name_label}</a> : ''; } }, { head: say.mac, cell: ([, v]) => <code>{v.MAC}</code> },
        { head: say.locking, cell: ([, v]) => v.locking_mode.replace('_', ' ') }, { head: say.plugged, cell: ([, v]) => (v.currently_attached ? say.yes : say.no) }]} />}</Card>
    </div>
  );
}

function NetworkSettings({ entry: [ref, n] }: { entry: Entry<Network> }): JSX.Element {
  return (
    <Card title={say.network} actions={<Ask why={denied('network.set_MTU')} form={() => ({
      title: say.networkOf(n.name_label), verb: say.set, fields: [{ id: 'mtu', label: say.mtu, kind: 'number', value: String(n.MTU) },
        { id: 'mode', label: say.interfacesWithoutAModeOf, kind: 'select', value: n.default_locking_mode, choices: [['unlocked', 'unlocked'], ['disabled', 'disabled']] }],
      calls: (v) => [...(Number(v['mtu']) !== n.MTU ? [setField('network', ref, n.uuid, 'MTU', Number(v['mtu']))] : []), ...(v['mode'] !== n.default_locking_mode ? [setField('network', ref, n.uuid, 'default_locking_mode', v['mode'])] : [])],
    })}>{say.changeAsk}</Ask>}>
      <Facts rows={[['MTU', n.MTU], [say.interfacesWithoutAModeOf, n.default_locking_mode]]} />
    </Card>
  );
}

export function Pifs({ host, network }: { host?: Ref; network?: Ref }): JSX.Element {
  const rows = [...db.pif.all].filter(([, p]) => (!host || p.host === host) && (!network || p.network === network));
  return (
    <Card title={say.physicalInterfaces} wide>
      {rows.length === 0 ? <Empty>{say.noneMachinesHereReachEach}</Empty> : <Table label={say.physicalInterfaces} rows={rows} keyOf={([r]) => r} columns={[
        { head: say.device, cell: ([, p]) => p.device }, { head: say.network, cell: ([, p]) => { const n = db.network.get(p.network); return n ? <a href={href('network', n.uuid)}>{n.name_label}</a> : ''; } },
        { head: say.address, cell: ([, p]) => p.IP || '—' }, { head: say.mac, cell: ([, p]) => <code>{p.MAC}</code> },
        { head: say.vlan, cell: ([, p]) => (p.VLAN < 0 ? '—' : p.VLAN) }, { head: say.mtu, num: true, cell: ([, p]) => p.MTU },
        { head: say.use, cell: ([, p]) => (p.management ? say.management : '') },
      ]} />}
    </Card>
  );
}

export function newNetwork(): void {
  const pifs = [...db.pif.all].filter(([, p]) => p.VLAN < 0);
  askForm({
    title: say.newNetwork, verb: say.create,
    fields: [
      { id: 'name', label: say.name },
      { id: 'kind', label: say.reaches, kind: 'select', choices: [['', say.machinesOnItReachEachBare], ['nat', say.addressesAreGivenAndThe], ...(pifs.length > 0 && may('VLAN.create') ? [['vlan', say.aVlanOfAPhysical] as [string, string]] : [])] },
      { id: 'pif', label: say.physicalInterface, kind: 'select', choices: pifs.map(([r, p]) => [r, p.device]), when: (v) => v['kind'] === 'vlan' },
      { id: 'tag', label: say.vlan, kind: 'number', value: '2', when: (v) => v['kind'] === 'vlan' },
    ],
    why: (v) => (v['kind'] !== 'vlan' || (Number(v['tag']) >= 1 && Number(v['tag']) <= 4094) ? '' : say.aVlanIsANumber),
    calls: (v) => {
      const other: StringMap = v['kind'] === 'nat' ? { nat: 'true' } : {};
      const make: Call = { method: 'network.create', cli: 'network-create', args: [arg({ name_label: v['name'], name_description: '', MTU: 1500, other_config: other, tags: [], bridge: '', managed: true }, `name-label=${v['name'] ?? ''}`)] };
      return v['kind'] === 'vlan' ? [make, { method: 'VLAN.create', cli: 'vlan-create', args: [arg(v['pif'], `pif-uuid=${db.pif.get(v['pif'])?.uuid ?? ''}`), arg(Number(v['tag']), `vlan=${v['tag'] ?? ''}`), arg(new Result(0), 'network-uuid=RESULT_1')] }] : [make];
    },
  });
}
