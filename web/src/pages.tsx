// SPDX-License-Identifier: Apache-2.0
// The pages of the pool, of hosts and of templates.
import { lazy, Suspense } from 'preact/compat';
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { AccessOf, People } from './access';
import { Act, Ask, setField } from './act';
import { simple } from './actions';
import { Alerts } from './alerts';
import { denied, getText } from './api';
import { auditRows, type AuditRecord } from './audit';
import { arg } from './copyas';
import { Disks, Nics } from './disks';
import { bytes, percent } from './format';
import { History } from './history';
import { Labels } from './labels';
import { NULL_REF, type Host, type Sr, type Vm } from './model';
import { HostSettings, PoolSettings } from './poolsettings';
import { href } from './route';
import { attempt } from './run';
import { search } from './search';
import { cloneForm, Schedules } from './snapshots';
import { newNetwork, newStorage, Pifs } from './storage';
import { db, hosts, networks, poolEntry, srs, vms, type Entry } from './store';
import { say } from './strings';
import { Bar, Button, Card, Empty, Facts, Icon, Menu, State, Table } from './ui';
import { exportVm } from './upload';
import { askDestroy } from './vm';
import { VmList } from './vmlist';

const Charts = lazy(() => import('./chart').then((m) => m.Charts));
const Measured = (p: { uuid: string; only?: string[] }): JSX.Element => <Suspense fallback={<Empty>{say.loading}</Empty>}><Charts uuid={p.uuid} host {...(p.only ? { only: p.only } : {})} /></Suspense>;

/* Pool and host */
function HostCard({ entry: [ref, host] }: { entry: Entry<Host> }): JSX.Element {
  const m = db.host_metrics.get(host.metrics), own = arg(ref, `host=${host.uuid}`);
  const used = m ? m.memory_total - m.memory_free : 0;
  const running = vms.value.filter(([, v]) => v.power_state === 'Running').length;
  return (
    <Card title={host.name_label} actions={<>
      {host.enabled
        ? <Act title={say.maintenanceOf(host.name_label)} verb={say.beginMaintenance} ask={say.noMachineCanBeStarted} calls={[simple('host.disable', 'host-disable', own)]}>{say.maintenanceAsk}</Act>
        : <Act title={say.endMaintenanceOf(host.name_label)} calls={[simple('host.enable', 'host-enable', own)]}>{say.endMaintenance}</Act>}
      <a href={href('host', host.uuid)}>{say.open}</a></>}>
      <Facts rows={[
        [say.state, <State value={host.enabled ? (m?.live === false ? 'Unreachable' : 'Enabled') : 'Maintenance'} />],
        [say.address, host.address || '—'],
        [say.processors, `${host.cpu_info['cpu_count'] ?? '?'} × ${host.cpu_info['modelname'] ?? host.cpu_info['vendor'] ?? ''}`],
        [say.machinesRunBy, host.other_config['serai:accelerator'] ?? 'KVM'],
        [say.memory, m ? <><Bar value={percent(used, m.memory_total)} label={say.memoryInUse} /> {bytes(used)}{say.ofBetween}{bytes(m.memory_total)}</> : '—'],
        [say.machines, `${running} running`],
        [say.version, say.seraiVersion(host.software_version['serai_version'] ?? '')],
      ]} />
    </Card>
  );
}

function StorageCard({ entry: [, sr] }: { entry: Entry<Sr> }): JSX.Element {
  return (
    <div class="usage"><a href={href('sr', sr.uuid)}>{sr.name_label}</a>
      {sr.physical_size > 0 ? <><Bar value={percent(sr.physical_utilisation, sr.physical_size)} label={say.inUseOf(sr.name_label)} /><span>{say.partOf(bytes(sr.physical_utilisation), bytes(sr.physical_size))}</span></> : <><span /><span class="muted">{say.imagesOf(sr.VDIs.length)}</span></>}
    </div>
  );
}

export const HOST_TABS: [string, string][] = [['overview', say.overview], ['vms', say.machines], ['performance', say.performance], ['disks', say.storage], ['network', say.network], ['history', say.history], ['settings', say.settings], ['access', say.access]];

export function HostPage({ entry, tab }: { entry: Entry<Host>; tab: string }): JSX.Element {
  const [ref, host] = entry;
  switch (tab) {
    case 'vms': return <VmList entries={vms.value.filter(([, v]) => v.resident_on === ref || (v.resident_on === NULL_REF && hosts.value.length === 1))} title={say.machinesLower} />;
    case 'performance': return <Measured uuid={host.uuid} />;
    case 'disks': return <Card title={say.storage} wide>{srs.value.map((e) => <StorageCard key={e[0]} entry={e} />)}</Card>;
    case 'network': return <Pifs host={ref} />;
    case 'history': return <History cls="host" uuid={host.uuid} stamp={JSON.stringify([host.name_label, host.name_description, host.enabled, host.tags, host.other_config])} />;
    case 'settings': return <HostSettings entry={entry} />;
    case 'access': return <AccessOf />;
    default: return <div class="cards"><HostCard entry={entry} /><Alerts few /><Card title={say.performance} wide><Measured uuid={host.uuid} /></Card></div>;
  }
}

export const POOL_TABS: [string, string][] = [['overview', say.overview], ['vms', say.machines], ['performance', say.performance], ['disks', say.storage], ['network', say.network], ['snapshots', say.snapshots], ['alerts', say.alerts], ['audit', say.auditLog], ['history', say.history], ['settings', say.settings], ['access', say.access]];

export function PoolPage({ tab }: { tab: string }): JSX.Element {
  const pool = poolEntry.value;
  const first = hosts.value[0];
  switch (tab) {
    case 'vms': return <VmList entries={vms.value} title={say.machinesLower} />;
    case 'performance': return first ? <Measured uuid={first[1].uuid} /> : <Empty>{say.noHost}</Empty>;
    case 'disks': return <Card title={say.storage} wide actions={<Button kind="primary" why={denied('SR.create')} onClick={newStorage}><Icon name="plus" />{say.newStorage}</Button>}>{srs.value.map((e) => <StorageCard key={e[0]} entry={e} />)}</Card>;
    case 'network': return <div class="cards"><Networks /><Pifs /></div>;
    case 'snapshots': return <Schedules />;
    case 'alerts': return <Alerts />;
    case 'audit': return <Audit />;
    case 'history': return pool ? <History cls="pool" uuid={pool[1].uuid} stamp={JSON.stringify([pool[1].name_label, pool[1].name_description, pool[1].tags, pool[1].other_config])} /> : <Empty>…</Empty>;
    case 'settings': return pool ? <PoolSettings entry={pool} /> : <Empty>…</Empty>;
    case 'access': return <People />;
    default: {
      const states = new Map<string, number>();
      for (const [, v] of vms.value) states.set(v.power_state, (states.get(v.power_state) ?? 0) + 1);
      return (
        <div class="cards">
          <Card title={say.machines} actions={<a href={href('vms')}>{say.all}</a>}>
            <div class="tiles">{['Running', 'Halted', 'Paused', 'Suspended'].map((s) => <a key={s} class="tile" href={href('vms')} onClick={() => { search.value = `state:${s.toLowerCase()}`; }}><strong>{states.get(s) ?? 0}</strong><span>{s}</span></a>)}</div>
            <p><a class="button primary" href={href('new')}><Icon name="plus" />{say.newMachine}</a></p>
          </Card>
          {hosts.value.map((e) => <HostCard key={e[0]} entry={e} />)}
          <Card title={say.storage}>{srs.value.map((e) => <StorageCard key={e[0]} entry={e} />)}</Card>
          <Alerts few />
          {first && <Card title={say.performance} wide><Measured uuid={first[1].uuid} only={['cpu', 'memory']} /></Card>}
        </div>
      );
    }
  }
}

function Audit(): JSX.Element {
  const [rows, setRows] = useState<AuditRecord[] | null>(null);
  const load = (): void => {
    const since = new Date(Date.now() - 86400e3).toISOString().slice(0, 19) + 'Z';
    void attempt(say.auditLog, async () => {
      const text = await getText(`/audit_log?format=json&since=${encodeURIComponent(since)}`);
      setRows(auditRows(text.split('\n').filter(Boolean).map((l) => JSON.parse(l.slice(l.indexOf('{'))) as AuditRecord)).slice(0, 500));
    });
  };
  useEffect(load, []);
  return (
    <Card title={say.auditLogOfTheLast} wide actions={<><Button onClick={load}>{say.refresh}</Button><a class="button" href="/audit_log?format=json" download="audit.jsonl">{say.downloadAll}</a></>}>
      {!rows ? <Empty>{say.reading}</Empty> : <Table label={say.auditLog} rows={rows} keyOf={(r) => String(r.n)} columns={[
        { head: '#', num: true, cell: (r) => r.n }, { head: say.time, cell: (r) => new Date(r.time).toLocaleString() }, { head: say.user, cell: (r) => r.user ?? '' },
        { head: say.call, cell: (r) => <code>{r.call ?? ''}</code> }, { head: say.object, cell: (r) => (r.object ? `${r.object.class} ${r.object.name}` : '') }, { head: say.from, cell: (r) => r.address ?? '' }, { head: say.outcome, cell: (r) => (r.error ? <span class="error">{r.error[0]}</span> : r.outcome ?? '') },
      ]} />}
    </Card>
  );
}

function Networks(): JSX.Element {
  return (
    <Card title={say.networks} wide actions={<Button kind="primary" why={denied('network.create')} onClick={newNetwork}><Icon name="plus" />{say.newNetwork}</Button>}>
      <Table label={say.networks} rows={networks.value} keyOf={([r]) => r} columns={[
        { head: say.name, cell: ([, n]) => <a href={href('network', n.uuid)}>{n.name_label}</a> }, { head: say.bridge, cell: ([, n]) => <code>{n.bridge}</code> }, { head: say.mtu, num: true, cell: ([, n]) => n.MTU }, { head: say.interfaces, num: true, cell: ([, n]) => n.VIFs.length },
      ]} />
    </Card>
  );
}

/* A template is a machine that is never started. */
export const TEMPLATE_TABS: [string, string][] = [['overview', say.overview], ['disks', say.disks], ['network', say.network], ['history', say.history], ['settings', say.settings], ['access', say.access]];

export function TemplatePage({ entry, tab }: { entry: Entry<Vm>; tab: string }): JSX.Element {
  const [ref, vm] = entry;
  switch (tab) {
    case 'disks': return <Disks entry={entry} />;
    case 'network': return <Nics entry={entry} />;
    case 'history': return <History cls="VM" uuid={vm.uuid} stamp={JSON.stringify([vm.name_label, vm.name_description, vm.tags, vm.other_config])} />;
    case 'settings': return <div class="flow"><Labels cls="VM" refOf={ref} rec={vm} /></div>;
    case 'access': return <AccessOf />;
    default: return (
      <div class="cards"><Card title={say.template} actions={<Menu label={say.change}>
        <Ask why={denied('VM.clone')} form={() => cloneForm(entry, say.newTemplateOf(vm.name_label))}>{say.cloneAsk}</Ask>
        <Act title={say.makeAMachineOf(vm.name_label)} verb={say.makeAMachine} why={vm.is_default_template ? say.aTemplateThatCameWith : ''} ask={say.isAMachineAgainAnd(vm.name_label)} calls={[setField('VM', ref, vm.uuid, 'is_a_template', false)]}>{say.makeIntoMachineAsk}</Act>
        <Button why={denied('http/get_export')} onClick={() => { exportVm(entry); }}>{say.exportAsk}</Button>
        <hr />
        <Button kind="danger" why={vm.is_default_template ? say.aTemplateThatCameWithToo : denied('VM.destroy')} onClick={() => { askDestroy([entry]); }}>{say.deleteAsk}</Button></Menu>}>
        <Facts rows={[['CPU', vm.VCPUs_max], [say.memory, bytes(vm.memory_static_max)], [say.firmware, vm.HVM_boot_params['firmware'] ?? 'bios'], ['UUID', <code>{vm.uuid}</code>]]} />
        <p class="muted">{vm.name_description}</p><p><a class="button" href={href('new')}>{say.newMachineAsk}</a></p>
      </Card></div>
    );
  }
}
