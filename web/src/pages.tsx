// SPDX-License-Identifier: Apache-2.0
// The pages of the pool, hosts, storage repositories, networks, people, and what happened.
import { signal } from '@preact/signals';
import { lazy, Suspense } from 'preact/compat';
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ACTIONS, simple, whyNot } from './actions';
import { denied, getText, may, rpc, session } from './api';
import { auditRows, type AuditRecord } from './audit';
import { arg } from './copyas';
import { ago, bytes, percent, when } from './format';
import { History } from './history';
import { NULL_REF, type Host, type Message, type Network, type Ref, type Sr, type StringMap, type Vm } from './model';
import { href } from './route';
import { attempt, attemptTask, notice } from './run';
import { filtered, search } from './search';
import { db, hosts, poolEntry, srs, vms, type Entry } from './store';
import { askUpload } from './upload';
import { Bar, Button, Card, confirmThen, Empty, Facts, Field, Icon, openDialog, State, Table, VirtualList } from './ui';
import { actOn, askName, askResize } from './vm';
import { say } from './strings';

const Charts = lazy(() => import('./chart').then((m) => m.Charts));
const Measured = (p: { uuid: string; only?: string[] }): JSX.Element => <Suspense fallback={<Empty>{say.loading}</Empty>}><Charts uuid={p.uuid} host {...(p.only ? { only: p.only } : {})} /></Suspense>;

/* Machines: a list that stays quick with thousands, and acts on a selection. */
export const selected = signal<Set<Ref>>(new Set());

function toggle(ref: Ref, on: boolean): void {
  const next = new Set(selected.value);
  if (on) next.add(ref); else next.delete(ref);
  selected.value = next;
}

export function VmList({ entries, title }: { entries: Entry<Vm>[]; title: string }): JSX.Element {
  const rows = filtered(entries);
  const chosen = rows.filter(([r]) => selected.value.has(r));
  const all = rows.length > 0 && chosen.length === rows.length;
  return (
    <div class="list">
      <div class="list-bar">
        <label class="check"><input type="checkbox" checked={all} onChange={() => { selected.value = new Set(all ? [] : rows.map(([r]) => r)); }} /><span>{chosen.length > 0 ? `${chosen.length} selected` : `${rows.length} ${title}${rows.length < entries.length ? say.ofAll(entries.length) : ''}`}</span></label>
        {chosen.length > 0 && <div class="row">{ACTIONS.filter((a) => ['start', 'shutdown', 'reboot', 'hard_shutdown'].includes(a.id)).map((a) => {
          const can = chosen.filter(([, v]) => whyNot(a.op, a.method, v) === '');
          return <Button key={a.id} kind={a.danger ? 'danger' : undefined!} why={can.length > 0 ? '' : whyNot(a.op, a.method, chosen[0]![1])} onClick={() => { actOn(a, can); }}>{a.label}{can.length > 0 && can.length < chosen.length ? ` (${can.length})` : ''}</Button>;
        })}</div>}
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

/* Pool and host */
function HostCard({ entry: [ref, host] }: { entry: Entry<Host> }): JSX.Element {
  const m = db.host_metrics.get(host.metrics);
  const used = m ? m.memory_total - m.memory_free : 0;
  const running = vms.value.filter(([, v]) => v.power_state === 'Running').length;
  return (
    <Card title={host.name_label} actions={<>
      {host.enabled
        ? <Button why={denied('host.disable')} onClick={() => { confirmThen(say.maintenanceOf(host.name_label), say.noMachineCanBeStarted, say.beginMaintenance, () => void attempt(say.maintenance, () => rpc('host.disable', ref))); }}>{say.maintenanceAsk}</Button>
        : <Button why={denied('host.enable')} onClick={() => void attempt(say.endMaintenance, () => rpc('host.enable', ref))}>{say.endMaintenance}</Button>}
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
    case 'history': return <History cls="host" uuid={host.uuid} stamp={host.name_label + String(host.enabled)} />;
    case 'settings': return <NameSettings cls="host" refOf={ref} name={host.name_label} description={host.name_description} />;
    case 'access': return <People />;
    default: return <div class="cards"><HostCard entry={entry} /><Alerts few /><Card title={say.performance} wide><Measured uuid={host.uuid} /></Card></div>;
  }
}

function NameSettings({ cls, refOf, name, description }: { cls: string; refOf: Ref; name: string; description: string }): JSX.Element {
  const set = (method: string, v: string): void => { void attempt('Settings', () => rpc(method, refOf, v)).then((ok) => { if (ok) notice.value = say.saved; }); };
  return (
    <div class="cards"><Card title={say.name}>
      <Field label={say.name}><input key={name} defaultValue={name} disabled={!may(`${cls}.set_name_label`)} onChange={(e) => { set(`${cls}.set_name_label`, e.currentTarget.value); }} /></Field>
      <Field label={say.description}><input key={description} defaultValue={description} disabled={!may(`${cls}.set_name_description`)} onChange={(e) => { set(`${cls}.set_name_description`, e.currentTarget.value); }} /></Field>
    </Card></div>
  );
}

function Pifs({ host }: { host?: Ref }): JSX.Element {
  const rows = [...db.pif.all].filter(([, p]) => !host || p.host === host);
  return (
    <Card title={say.physicalInterfaces} wide>
      <Table label={say.physicalInterfaces} rows={rows} keyOf={([r]) => r} columns={[
        { head: say.device, cell: ([, p]) => p.device }, { head: say.network, cell: ([, p]) => db.network.get(p.network)?.name_label ?? '' },
        { head: say.address, cell: ([, p]) => p.IP || '—' }, { head: say.mac, cell: ([, p]) => <code>{p.MAC}</code> },
        { head: say.vlan, cell: ([, p]) => (p.VLAN < 0 ? '—' : p.VLAN) }, { head: say.mtu, num: true, cell: ([, p]) => p.MTU },
        { head: say.use, cell: ([, p]) => (p.management ? 'management' : '') },
      ]} />
    </Card>
  );
}

export const POOL_TABS: [string, string][] = [['overview', say.overview], ['vms', say.machines], ['performance', say.performance], ['disks', say.storage], ['network', say.network], ['alerts', say.alerts], ['audit', say.auditLog], ['history', say.history], ['settings', say.settings], ['access', say.access]];

export function PoolPage({ tab }: { tab: string }): JSX.Element {
  const pool = poolEntry.value;
  const first = hosts.value[0];
  switch (tab) {
    case 'vms': return <VmList entries={vms.value} title={say.machinesLower} />;
    case 'performance': return first ? <Measured uuid={first[1].uuid} /> : <Empty>{say.noHost}</Empty>;
    case 'disks': return <Card title={say.storage} wide>{srs.value.map((e) => <StorageCard key={e[0]} entry={e} />)}</Card>;
    case 'network': return <Pifs />;
    case 'alerts': return <Alerts />;
    case 'audit': return <Audit />;
    case 'history': return pool ? <History cls="pool" uuid={pool[1].uuid} stamp={pool[1].name_label} /> : <Empty>…</Empty>;
    case 'settings': return pool ? <PoolSettings refOf={pool[0]} /> : <Empty>…</Empty>;
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

function PoolSettings({ refOf }: { refOf: Ref }): JSX.Element {
  const pool = db.pool.get(refOf);
  const [certificates, setCertificates] = useState<[string, StringMap][]>([]);
  useEffect(() => { void attempt(say.certificates, async () => { setCertificates(Object.entries(await rpc<Record<string, StringMap>>('Certificate.get_all_records'))); }); }, []);
  if (!pool) return <Empty>…</Empty>;
  return (
    <>
      <NameSettings cls="pool" refOf={refOf} name={pool.name_label} description={pool.name_description} />
      <div class="cards">
        <Card title={say.certificate}>{certificates.map(([r, c]) => <Facts key={r} rows={[[say.validUntil, when(c['not_after'] ?? '')], ['SHA-256', <code class="wrap">{c['fingerprint_sha256'] ?? c['fingerprint'] ?? ''}</code>]]} />)}</Card>
        <Card title={say.support}>
          <p>{say.oneArchiveWithLogsThe}</p>
          <p>{may('http/get_system_status') ? <a class="button" href="/system-status" download>{say.downloadTheSupportBundle}</a> : <Button why={denied('http/get_system_status')}>{say.downloadTheSupportBundle}</Button>}</p>
        </Card>
      </div>
    </>
  );
}

/* Alerts are the pool's messages. */
export function Alerts({ few }: { few?: boolean }): JSX.Element {
  const all = [...db.message.all].sort((a, b) => b[1].timestamp.localeCompare(a[1].timestamp));
  const rows = few ? all.slice(0, 5) : all.slice(0, 500);
  const dismiss = (list: [Ref, Message][]): void => { void attempt(say.dismiss, () => Promise.all(list.map(([r]) => rpc('message.destroy', r)))); };
  const item = ([r, m]: [Ref, Message]): JSX.Element => (
    <li key={r} class={m.priority <= 3 ? 'serious' : ''}>
      <time title={when(m.timestamp)}>{ago(m.timestamp)}</time><strong>{m.name.toLowerCase().replaceAll('_', ' ')}</strong><span class="muted">{m.body.slice(0, 300)}</span>
      {!few && <Button kind="quiet" label={say.dismissOf(m.name)} why={denied('message.destroy')} onClick={() => { dismiss([[r, m]]); }}><Icon name="close" /></Button>}
    </li>
  );
  return (
    <Card title={few ? say.latestEvents : say.alertsOf(all.length)} wide actions={few ? <a href={href('pool', '', 'alerts')}>{say.all}</a> : <Button why={denied('message.destroy')} onClick={() => { confirmThen(say.dismissAllAlerts, say.messagesAreRemovedForEverybody(rows.length), say.dismissAll, () => { dismiss(rows); }); }}>{say.dismissAllAsk}</Button>}>
      {rows.length === 0 ? <Empty>{say.nothingHappenedThatNeeds}</Empty> : <ul class="messages">{rows.map(item)}</ul>}
    </Card>
  );
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

/* People: users of a directory with their roles, and tokens. */
interface Role { uuid: string; name_label: string; name_description: string }
interface Subject { uuid: string; subject_identifier: string; other_config: StringMap; roles: Ref[] }
interface Token { uuid: string; name_label: string; role: Ref; expires: string; last_used: string; created_by: string }

export function People(): JSX.Element {
  const [state, setState] = useState<{ roles: Map<Ref, Role>; subjects: [Ref, Subject][]; tokens: [Ref, Token][] } | null>(null);
  const load = (): void => {
    void attempt(say.users, async () => {
      const [roles, subjects, tokens] = await Promise.all([rpc<Record<Ref, Role>>('role.get_all_records'), rpc<Record<Ref, Subject>>('subject.get_all_records'), rpc<Record<Ref, Token>>('serai_token.get_all_records')]);
      setState({ roles: new Map(Object.entries(roles)), subjects: Object.entries(subjects), tokens: Object.entries(tokens) });
    });
  };
  useEffect(load, []);
  const me = session.value;
  if (!state) return <Empty>{say.reading}</Empty>;
  const roleName = (r: Ref): string => state.roles.get(r)?.name_label ?? '';
  const newToken = (): void => {
    let name = '', role = [...state.roles].find(([, r]) => r.name_label === 'vm-operator')?.[0] ?? '', days = '90';
    openDialog(say.newToken, (close) => (
      <form onSubmit={(e) => {
        e.preventDefault();
        close();
        const n = Number(days);
        const expires = n > 0 ? new Date(Date.now() + n * 86400e3).toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '').replace(/(\d{8})T(\d\d)(\d\d)(\d\d)Z/, '$1T$2:$3:$4Z') : '19700101T00:00:00Z';
        void attempt(say.newToken, async () => {
          const secret = await rpc<string>('serai.token_create', name, role, expires, [], []);
          load();
          openDialog(say.theToken, (shut) => <form onSubmit={(ev) => { ev.preventDefault(); shut(); }}><p>{say.itIsShownThisOnce(name)}</p><code class="secret" tabIndex={0}>{secret}</code><footer><Button kind="primary" type="submit">{say.done}</Button></footer></form>);
        });
      }}>
        <Field label={say.name} hint={say.alsoTheUserNameOf}><input required onInput={(e) => { name = e.currentTarget.value; }} /></Field>
        <Field label={say.role}><select defaultValue={role} onChange={(e) => { role = e.currentTarget.value; }}>{[...state.roles].map(([r, o]) => <option key={r} value={r} selected={r === role}>{o.name_label}</option>)}</select></Field>
        <Field label={say.daysUntilItEnds} hint={say.zeroIsNever}><input type="number" min={0} defaultValue={days} onInput={(e) => { days = e.currentTarget.value; }} /></Field>
        <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit">{say.create}</Button></footer>
      </form>
    ));
  };
  return (
    <div class="cards">
      <Card title={say.you}><Facts rows={[[say.user, me?.user ?? ''], [say.role, me?.superuser ? say.poolAdminOfThisHost : (me?.roles.join(', ') ?? '')]]} /></Card>
      <Card title={say.roles}><dl class="facts">{[...state.roles].map(([r, o]) => <div key={r}><dt>{o.name_label}</dt><dd class="muted">{o.name_description}</dd></div>)}</dl></Card>
      <Card title={say.tokens} wide actions={<Button kind="primary" why={denied('serai.token_create')} onClick={newToken}><Icon name="plus" />{say.newToken}</Button>}>
        {state.tokens.length === 0 ? <Empty>{say.noTokensATokenSigns}</Empty> : <Table label={say.tokens} rows={state.tokens} keyOf={([r]) => r} columns={[
          { head: say.name, cell: ([, t]) => t.name_label }, { head: say.role, cell: ([, t]) => roleName(t.role) }, { head: say.ends, cell: ([, t]) => when(t.expires) }, { head: say.lastUsed, cell: ([, t]) => when(t.last_used) }, { head: say.madeBy, cell: ([, t]) => t.created_by },
          { head: '', cell: ([r, t]) => <Button kind="danger" why={denied('serai.token_revoke')} onClick={() => { confirmThen(say.revokeOf(t.name_label), say.theTokenAndAllSessions, say.revoke, () => void attempt('Revoke', () => rpc('serai.token_revoke', r)).then(load)); }}>{say.revokeAsk}</Button> },
        ]} />}
      </Card>
      <Card title={say.usersAndGroupsOfA} wide>{state.subjects.length === 0 ? <Empty>{say.noneJoinADirectoryWith}<code>serai pool-enable-external-auth</code>{say.thenAddItsUsersAnd}</Empty> : <Table label={say.users} rows={state.subjects} keyOf={([r]) => r} columns={[{ head: say.name, cell: ([, s]) => s.other_config['subject-name'] ?? s.subject_identifier }, { head: say.roles, cell: ([, s]) => s.roles.map(roleName).join(', ') }]} />}</Card>
    </div>
  );
}

/* Storage and networks */
export const SR_TABS: [string, string][] = [['overview', say.overview], ['disks', say.disks], ['history', say.history], ['settings', say.settings]];

function whyNotUpload(sr: Sr): string {
  const no = denied('VDI.create') || denied('http/put_import_raw_vdi');
  if (no !== '') return no;
  if (sr.allowed_operations.includes('vdi_create')) return '';
  const place = sr.PBDs.map((r) => db.pbd.get(r)?.device_config['location']).find((x) => x !== undefined);
  return place ? say.thisRepositoryShowsTheFiles(place) : say.thisRepositoryTakesNoNew;
}

export function SrPage({ entry: [ref, sr], tab }: { entry: Entry<Sr>; tab: string }): JSX.Element {
  const disks = sr.VDIs.map((r) => [r, db.vdi.get(r)] as const).flatMap(([r, v]) => (v ? [[r, v] as const] : [])).sort((a, b) => a[1].name_label.localeCompare(b[1].name_label));
  if (tab === 'history') return <History cls="SR" uuid={sr.uuid} stamp={sr.name_label} />;
  if (tab === 'settings') return <NameSettings cls="SR" refOf={ref} name={sr.name_label} description={sr.name_description} />;
  const list = (
    <Card title={sr.content_type === 'iso' ? say.images : say.disks} wide actions={<>
      <Button why={whyNot('scan', 'SR.scan', sr)} onClick={() => void attemptTask(say.scanOf(sr.name_label), simple('SR.scan', 'sr-scan', arg(ref, `uuid=${sr.uuid}`)))}>{say.scan}</Button>
      <Button kind="primary" why={whyNotUpload(sr)} onClick={() => { askUpload(ref); }}>{say.uploadAsk}</Button></>}>
      {disks.length === 0 ? <Empty>{say.nothingIsStoredHere}</Empty> : <Table label={say.disks} rows={disks} keyOf={([r]) => r} columns={[
        { head: say.name, cell: ([, v]) => v.name_label || <span class="muted">{v.uuid}</span> },
        { head: say.size, num: true, cell: ([, v]) => bytes(v.virtual_size) }, { head: say.taken, num: true, cell: ([, v]) => bytes(v.physical_utilisation) },
        { head: say.kind, cell: ([, v]) => (v.is_a_snapshot ? 'snapshot' : v.type) },
        { head: say.usedBy, cell: ([, v]) => v.VBDs.map((b) => db.vm.get(db.vbd.get(b)?.VM)).filter((x) => x !== undefined).map((x) => <a key={x.uuid} href={href('vm', x.uuid)}>{x.name_label} </a>) },
        { head: '', cell: ([r, v]) => <div class="row">{may('http/get_export_raw_vdi') && !v.is_a_snapshot && sr.content_type !== 'iso' && v.VBDs.length === 0 && <a class="button" href={`/export_raw_vdi?format=vhd&vdi=${encodeURIComponent(r)}`} download={`${v.name_label || v.uuid}.vhd`}>{say.export}</a>}<Button why={whyNot('resize', 'VDI.resize', v)} onClick={() => { askResize(r); }}>{say.growAsk}</Button><Button kind="danger" why={v.VBDs.length > 0 ? say.machinesUseItDetachIt : whyNot('destroy', 'VDI.destroy', v)} onClick={() => { confirmThen(say.deleteOf(v.name_label || 'disk'), say.theDiskAndItsOf(bytes(v.virtual_size)), 'Delete', () => void attemptTask(say.deleteOf(v.name_label), simple('VDI.destroy', 'vdi-destroy', arg(r, `uuid=${v.uuid}`)))); }}>{say.deleteAsk}</Button></div> },
      ]} />}
    </Card>
  );
  if (tab === 'disks') return list;
  return (
    <div class="cards">
      <Card title={say.repository} actions={<SrActions entry={[ref, sr]} />}><Facts rows={[[say.type, sr.type], [say.holds, sr.content_type === 'iso' ? say.isoImages : 'disks'], [say.shared, sr.shared ? 'yes' : 'no'], [say.physical, sr.physical_size > 0 ? <><Bar value={percent(sr.physical_utilisation, sr.physical_size)} label={say.inUse} /> {bytes(sr.physical_utilisation)}{say.ofBetween}{bytes(sr.physical_size)}</> : say.notMeasuredYet], [say.promisedToDisks, bytes(sr.virtual_allocation)], ['UUID', <code>{sr.uuid}</code>]]} /></Card>
      {list}
    </div>
  );
}

export const NETWORK_TABS: [string, string][] = [['overview', say.overview], ['history', say.history], ['settings', say.settings]];

export function NetworkPage({ entry: [ref, network], tab }: { entry: Entry<Network>; tab: string }): JSX.Element {
  if (tab === 'history') return <History cls="network" uuid={network.uuid} stamp={network.name_label} />;
  if (tab === 'settings') return <NameSettings cls="network" refOf={ref} name={network.name_label} description={network.name_description} />;
  const vifs = network.VIFs.map((r) => [r, db.vif.get(r)] as const).flatMap(([r, v]) => (v ? [[r, v] as const] : []));
  return (
    <div class="cards">
      <Card title={say.network}><Facts rows={[[say.bridge, <code>{network.bridge}</code>], ['MTU', network.MTU], [say.locking, network.default_locking_mode], ['UUID', <code>{network.uuid}</code>]]} /></Card>
      <Card title={say.interfacesOfMachines} wide>{vifs.length === 0 ? <Empty>{say.noMachineIsOnThis}</Empty> : <Table label={say.interfaces} rows={vifs} keyOf={([r]) => r} columns={[{ head: say.machine, cell: ([, v]) => { const vm = db.vm.get(v.VM); return vm ? <a href={href('vm', vm.uuid, 'network')}>{vm.name_label}</a> : ''; } }, { head: say.mac, cell: ([, v]) => <code>{v.MAC}</code> }, { head: say.plugged, cell: ([, v]) => (v.currently_attached ? 'yes' : 'no') }]} />}</Card>
    </div>
  );
}

export function newNetwork(): void {
  openDialog(say.newNetwork, (close) => {
    let name = '';
    return (
      <form onSubmit={(e) => { e.preventDefault(); close(); void attempt(say.newNetworkOf(name), () => rpc('network.create', { name_label: name, name_description: '', MTU: 1500, other_config: {}, tags: [], bridge: '', managed: true })); }}>
        <Field label={say.name} hint={say.machinesOnItReachEach}><input required onInput={(e) => { name = e.currentTarget.value; }} /></Field>
        <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit">{say.create}</Button></footer>
      </form>
    );
  });
}

export function newStorage(): void {
  const o = { kind: 'file', name: '', location: '', host: hosts.value[0]?.[0] ?? '' };
  openDialog(say.newStorage, (close) => (
    <form onSubmit={(e) => {
      e.preventDefault();
      close();
      void attemptTask(say.newStorageOf(o.name), simple('SR.create', 'sr-create', arg(o.host, `host-uuid=${db.host.get(o.host)?.uuid ?? ''}`), arg({ location: o.location, ...(o.kind === 'iso' ? { legacy_mode: 'true' } : {}) }, `device-config:location=${o.location}`), arg('0'), arg(o.name, `name-label=${o.name}`), arg(''), arg(o.kind, `type=${o.kind}`), arg(o.kind === 'iso' ? 'iso' : 'user', `content-type=${o.kind === 'iso' ? 'iso' : 'user'}`), arg(false), arg({})));
    }}>
      <Field label={say.holds}><select onChange={(e) => { o.kind = e.currentTarget.value; }}><option value="file">{say.disksInAFolderOf}</option><option value="iso">{say.isoImagesInAFolder}</option></select></Field>
      <Field label={say.name}><input required onInput={(e) => { o.name = e.currentTarget.value; }} /></Field>
      <Field label={say.folder} hint={say.aWholePathOnThe}><input required pattern="/.*" onInput={(e) => { o.location = e.currentTarget.value; }} /></Field>
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit">{say.create}</Button></footer>
    </form>
  ));
}

function SrActions({ entry: [ref, sr] }: { entry: Entry<Sr> }): JSX.Element {
  const pool = poolEntry.value;
  const isDefault = pool?.[1].default_SR === ref;
  return (
    <>
      {sr.content_type !== 'iso' && <Button why={isDefault ? say.itIsTheDefaultAlready : denied('pool.set_default_SR')} onClick={() => { if (pool) void attempt(say.defaultStorage, () => rpc('pool.set_default_SR', pool[0], ref)); }}>{isDefault ? say.default : say.makeDefault}</Button>}
      <Button kind="danger" why={denied('SR.forget')} onClick={() => {
        confirmThen(say.forgetOf(sr.name_label), say.andTheImagesInIt(sr.name_label, sr.VDIs.length), say.forget, () => void attempt(say.forgetOf(sr.name_label), async () => {
          for (const p of sr.PBDs) if (db.pbd.get(p)?.currently_attached) await rpc('PBD.unplug', p);
          await rpc('SR.forget', ref);
        }));
      }}>{say.forgetAsk}</Button>
    </>
  );
}

/* A template is a machine that is never started. */
export function TemplatePage({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  return (
    <div class="cards"><Card title={say.template} actions={<><Button kind="primary" why={denied('VM.clone')} onClick={() => { askName(say.newTemplateOf(vm.name_label), `${vm.name_label} copy`, say.clone, (name) => simple('VM.clone', 'vm-clone', arg(ref, `uuid=${vm.uuid}`), arg(name, `new-name-label=${name}`))); }}>{say.cloneAsk}</Button></>}>
      <Facts rows={[['CPU', vm.VCPUs_max], [say.memory, bytes(vm.memory_static_max)], [say.firmware, vm.HVM_boot_params['firmware'] ?? 'bios'], ['UUID', <code>{vm.uuid}</code>]]} />
      <p class="muted">{vm.name_description}</p><p><a class="button" href={href('new')}>{say.newMachineAsk}</a></p>
    </Card></div>
  );
}
