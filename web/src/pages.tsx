// SPDX-License-Identifier: Apache-2.0
// The pages of the pool, hosts, storage repositories, networks, people, and what happened.
import { signal } from '@preact/signals';
import { lazy, Suspense } from 'preact/compat';
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ACTIONS, simple, whyNot } from './actions';
import { getText, may, rpc, session } from './api';
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

const Charts = lazy(() => import('./chart').then((m) => m.Charts));
const Measured = (p: { uuid: string; only?: string[] }): JSX.Element => <Suspense fallback={<Empty>Loading…</Empty>}><Charts uuid={p.uuid} host {...(p.only ? { only: p.only } : {})} /></Suspense>;

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
        <label class="check"><input type="checkbox" checked={all} onChange={() => { selected.value = new Set(all ? [] : rows.map(([r]) => r)); }} /><span>{chosen.length > 0 ? `${chosen.length} selected` : `${rows.length} ${title}${rows.length < entries.length ? ` of ${entries.length}` : ''}`}</span></label>
        {chosen.length > 0 && <div class="row">{ACTIONS.filter((a) => ['start', 'shutdown', 'reboot', 'hard_shutdown'].includes(a.id)).map((a) => {
          const can = chosen.filter(([, v]) => whyNot(a.op, a.method, v) === '');
          return <Button key={a.id} kind={a.danger ? 'danger' : undefined!} why={can.length > 0 ? '' : whyNot(a.op, a.method, chosen[0]![1])} onClick={() => { actOn(a, can); }}>{a.label}{can.length > 0 && can.length < chosen.length ? ` (${can.length})` : ''}</Button>;
        })}</div>}
      </div>
      {rows.length === 0 ? <Empty>{entries.length === 0 ? <>No machines yet. <a href={href('new')}>Make the first one</a>.</> : `Nothing matches “${search.value}”.`}</Empty> : (
        <VirtualList label={title} rows={rows} height={36} keyOf={([r]) => r} row={([ref, vm]) => (
          <div class="vm-row">
            <input type="checkbox" aria-label={`Select ${vm.name_label}`} checked={selected.value.has(ref)} onChange={(e) => { toggle(ref, e.currentTarget.checked); }} />
            <a href={href('vm', vm.uuid)}>{vm.name_label}</a>
            <State value={vm.power_state} />
            <span class="cell">{vm.VCPUs_at_startup} CPU</span>
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
        ? <Button why={may('host.disable') ? '' : 'Your role does not allow host.disable.'} onClick={() => { confirmThen(`Maintenance of ${host.name_label}`, 'No machine can be started on it until maintenance ends. Machines that run go on.', 'Begin maintenance', () => void attempt('Maintenance', () => rpc('host.disable', ref))); }}>Maintenance…</Button>
        : <Button why={may('host.enable') ? '' : 'Your role does not allow host.enable.'} onClick={() => void attempt('End maintenance', () => rpc('host.enable', ref))}>End maintenance</Button>}
      <a href={href('host', host.uuid)}>Open</a></>}>
      <Facts rows={[
        ['State', <State value={host.enabled ? (m?.live === false ? 'Unreachable' : 'Enabled') : 'Maintenance'} />],
        ['Address', host.address || '—'],
        ['Processors', `${host.cpu_info['cpu_count'] ?? '?'} × ${host.cpu_info['modelname'] ?? host.cpu_info['vendor'] ?? ''}`],
        ['Machines run by', host.other_config['serai:accelerator'] ?? 'KVM'],
        ['Memory', m ? <><Bar value={percent(used, m.memory_total)} label="Memory in use" /> {bytes(used)} of {bytes(m.memory_total)}</> : '—'],
        ['Machines', `${running} running`],
        ['Version', `Serai ${host.software_version['serai_version'] ?? ''}`],
      ]} />
    </Card>
  );
}

function StorageCard({ entry: [, sr] }: { entry: Entry<Sr> }): JSX.Element {
  return (
    <div class="usage"><a href={href('sr', sr.uuid)}>{sr.name_label}</a>
      {sr.physical_size > 0 ? <><Bar value={percent(sr.physical_utilisation, sr.physical_size)} label={`${sr.name_label} in use`} /><span>{bytes(sr.physical_utilisation)} of {bytes(sr.physical_size)}</span></> : <><span /><span class="muted">{sr.VDIs.length} images</span></>}
    </div>
  );
}

export const HOST_TABS: [string, string][] = [['overview', 'Overview'], ['vms', 'Machines'], ['performance', 'Performance'], ['disks', 'Storage'], ['network', 'Network'], ['history', 'History'], ['settings', 'Settings'], ['access', 'Access']];

export function HostPage({ entry, tab }: { entry: Entry<Host>; tab: string }): JSX.Element {
  const [ref, host] = entry;
  switch (tab) {
    case 'vms': return <VmList entries={vms.value.filter(([, v]) => v.resident_on === ref || (v.resident_on === NULL_REF && hosts.value.length === 1))} title="machines" />;
    case 'performance': return <Measured uuid={host.uuid} />;
    case 'disks': return <Card title="Storage" wide>{srs.value.map((e) => <StorageCard key={e[0]} entry={e} />)}</Card>;
    case 'network': return <Pifs host={ref} />;
    case 'history': return <History cls="host" uuid={host.uuid} stamp={host.name_label + String(host.enabled)} />;
    case 'settings': return <NameSettings cls="host" refOf={ref} name={host.name_label} description={host.name_description} />;
    case 'access': return <People />;
    default: return <div class="cards"><HostCard entry={entry} /><Alerts few /><Card title="Performance" wide><Measured uuid={host.uuid} /></Card></div>;
  }
}

function NameSettings({ cls, refOf, name, description }: { cls: string; refOf: Ref; name: string; description: string }): JSX.Element {
  const set = (method: string, v: string): void => { void attempt('Settings', () => rpc(method, refOf, v)).then((ok) => { if (ok) notice.value = 'Saved.'; }); };
  return (
    <div class="cards"><Card title="Name">
      <Field label="Name"><input key={name} defaultValue={name} disabled={!may(`${cls}.set_name_label`)} onChange={(e) => { set(`${cls}.set_name_label`, e.currentTarget.value); }} /></Field>
      <Field label="Description"><input key={description} defaultValue={description} disabled={!may(`${cls}.set_name_description`)} onChange={(e) => { set(`${cls}.set_name_description`, e.currentTarget.value); }} /></Field>
    </Card></div>
  );
}

function Pifs({ host }: { host?: Ref }): JSX.Element {
  const rows = [...db.pif.all].filter(([, p]) => !host || p.host === host);
  return (
    <Card title="Physical interfaces" wide>
      <Table label="Physical interfaces" rows={rows} keyOf={([r]) => r} columns={[
        { head: 'Device', cell: ([, p]) => p.device }, { head: 'Network', cell: ([, p]) => db.network.get(p.network)?.name_label ?? '' },
        { head: 'Address', cell: ([, p]) => p.IP || '—' }, { head: 'MAC', cell: ([, p]) => <code>{p.MAC}</code> },
        { head: 'VLAN', cell: ([, p]) => (p.VLAN < 0 ? '—' : p.VLAN) }, { head: 'MTU', num: true, cell: ([, p]) => p.MTU },
        { head: 'Use', cell: ([, p]) => (p.management ? 'management' : '') },
      ]} />
    </Card>
  );
}

export const POOL_TABS: [string, string][] = [['overview', 'Overview'], ['vms', 'Machines'], ['performance', 'Performance'], ['disks', 'Storage'], ['network', 'Network'], ['alerts', 'Alerts'], ['audit', 'Audit log'], ['history', 'History'], ['settings', 'Settings'], ['access', 'Access']];

export function PoolPage({ tab }: { tab: string }): JSX.Element {
  const pool = poolEntry.value;
  const first = hosts.value[0];
  switch (tab) {
    case 'vms': return <VmList entries={vms.value} title="machines" />;
    case 'performance': return first ? <Measured uuid={first[1].uuid} /> : <Empty>No host.</Empty>;
    case 'disks': return <Card title="Storage" wide>{srs.value.map((e) => <StorageCard key={e[0]} entry={e} />)}</Card>;
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
          <Card title="Machines" actions={<a href={href('vms')}>All</a>}>
            <div class="tiles">{['Running', 'Halted', 'Paused', 'Suspended'].map((s) => <a key={s} class="tile" href={href('vms')} onClick={() => { search.value = `state:${s.toLowerCase()}`; }}><strong>{states.get(s) ?? 0}</strong><span>{s}</span></a>)}</div>
            <p><a class="button primary" href={href('new')}><Icon name="plus" />New machine</a></p>
          </Card>
          {hosts.value.map((e) => <HostCard key={e[0]} entry={e} />)}
          <Card title="Storage">{srs.value.map((e) => <StorageCard key={e[0]} entry={e} />)}</Card>
          <Alerts few />
          {first && <Card title="Performance" wide><Measured uuid={first[1].uuid} only={['CPU', 'Memory']} /></Card>}
        </div>
      );
    }
  }
}

function PoolSettings({ refOf }: { refOf: Ref }): JSX.Element {
  const pool = db.pool.get(refOf);
  const [certificates, setCertificates] = useState<[string, StringMap][]>([]);
  useEffect(() => { void attempt('Certificates', async () => { setCertificates(Object.entries(await rpc<Record<string, StringMap>>('Certificate.get_all_records'))); }); }, []);
  if (!pool) return <Empty>…</Empty>;
  return (
    <>
      <NameSettings cls="pool" refOf={refOf} name={pool.name_label} description={pool.name_description} />
      <div class="cards">
        <Card title="Certificate">{certificates.map(([r, c]) => <Facts key={r} rows={[['Valid until', when(c['not_after'] ?? '')], ['SHA-256', <code class="wrap">{c['fingerprint_sha256'] ?? c['fingerprint'] ?? ''}</code>]]} />)}</Card>
        <Card title="Support">
          <p>One archive with logs, the state of the host and its settings; passwords and keys are left out.</p>
          <p>{may('http/get_system_status') ? <a class="button" href="/system-status" download>Download the support bundle</a> : <Button why="Your role does not allow the support bundle.">Download the support bundle</Button>}</p>
        </Card>
      </div>
    </>
  );
}

/* Alerts are the pool's messages. */
export function Alerts({ few }: { few?: boolean }): JSX.Element {
  const all = [...db.message.all].sort((a, b) => b[1].timestamp.localeCompare(a[1].timestamp));
  const rows = few ? all.slice(0, 5) : all.slice(0, 500);
  const dismiss = (list: [Ref, Message][]): void => { void attempt('Dismiss', () => Promise.all(list.map(([r]) => rpc('message.destroy', r)))); };
  const item = ([r, m]: [Ref, Message]): JSX.Element => (
    <li key={r} class={m.priority <= 3 ? 'serious' : ''}>
      <time title={when(m.timestamp)}>{ago(m.timestamp)}</time><strong>{m.name.toLowerCase().replaceAll('_', ' ')}</strong><span class="muted">{m.body.slice(0, 300)}</span>
      {!few && <Button kind="quiet" label={`Dismiss ${m.name}`} why={may('message.destroy') ? '' : 'Your role does not allow message.destroy.'} onClick={() => { dismiss([[r, m]]); }}><Icon name="close" /></Button>}
    </li>
  );
  return (
    <Card title={few ? 'Latest events' : `Alerts (${all.length})`} wide actions={few ? <a href={href('pool', '', 'alerts')}>All</a> : <Button why={may('message.destroy') ? '' : 'Your role does not allow message.destroy.'} onClick={() => { confirmThen('Dismiss all alerts', `${rows.length} messages are removed for everybody.`, 'Dismiss all', () => { dismiss(rows); }); }}>Dismiss all…</Button>}>
      {rows.length === 0 ? <Empty>Nothing happened that needs a look.</Empty> : <ul class="messages">{rows.map(item)}</ul>}
    </Card>
  );
}

function Audit(): JSX.Element {
  const [rows, setRows] = useState<AuditRecord[] | null>(null);
  const load = (): void => {
    const since = new Date(Date.now() - 86400e3).toISOString().slice(0, 19) + 'Z';
    void attempt('Audit log', async () => {
      const text = await getText(`/audit_log?format=json&since=${encodeURIComponent(since)}`);
      setRows(auditRows(text.split('\n').filter(Boolean).map((l) => JSON.parse(l.slice(l.indexOf('{'))) as AuditRecord)).slice(0, 500));
    });
  };
  useEffect(load, []);
  return (
    <Card title="Audit log of the last day" wide actions={<><Button onClick={load}>Refresh</Button><a class="button" href="/audit_log?format=json" download="audit.jsonl">Download all</a></>}>
      {!rows ? <Empty>Reading…</Empty> : <Table label="Audit log" rows={rows} keyOf={(r) => String(r.n)} columns={[
        { head: '#', num: true, cell: (r) => r.n }, { head: 'Time', cell: (r) => new Date(r.time).toLocaleString() }, { head: 'User', cell: (r) => r.user ?? '' },
        { head: 'Call', cell: (r) => <code>{r.call ?? ''}</code> }, { head: 'Object', cell: (r) => (r.object ? `${r.object.class} ${r.object.name}` : '') }, { head: 'From', cell: (r) => r.address ?? '' }, { head: 'Outcome', cell: (r) => (r.error ? <span class="error">{r.error[0]}</span> : r.outcome ?? '') },
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
    void attempt('Users', async () => {
      const [roles, subjects, tokens] = await Promise.all([rpc<Record<Ref, Role>>('role.get_all_records'), rpc<Record<Ref, Subject>>('subject.get_all_records'), rpc<Record<Ref, Token>>('serai_token.get_all_records')]);
      setState({ roles: new Map(Object.entries(roles)), subjects: Object.entries(subjects), tokens: Object.entries(tokens) });
    });
  };
  useEffect(load, []);
  const me = session.value;
  if (!state) return <Empty>Reading…</Empty>;
  const roleName = (r: Ref): string => state.roles.get(r)?.name_label ?? '';
  const newToken = (): void => {
    let name = '', role = [...state.roles].find(([, r]) => r.name_label === 'vm-operator')?.[0] ?? '', days = '90';
    openDialog('New token', (close) => (
      <form onSubmit={(e) => {
        e.preventDefault();
        close();
        const n = Number(days);
        const expires = n > 0 ? new Date(Date.now() + n * 86400e3).toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '').replace(/(\d{8})T(\d\d)(\d\d)(\d\d)Z/, '$1T$2:$3:$4Z') : '19700101T00:00:00Z';
        void attempt('New token', async () => {
          const secret = await rpc<string>('serai.token_create', name, role, expires, [], []);
          load();
          openDialog('The token', (shut) => <form onSubmit={(ev) => { ev.preventDefault(); shut(); }}><p>It is shown this once. It is the password of the user “{name}”.</p><code class="secret" tabIndex={0}>{secret}</code><footer><Button kind="primary" type="submit">Done</Button></footer></form>);
        });
      }}>
        <Field label="Name" hint="Also the user name of whoever signs in with it"><input required onInput={(e) => { name = e.currentTarget.value; }} /></Field>
        <Field label="Role"><select defaultValue={role} onChange={(e) => { role = e.currentTarget.value; }}>{[...state.roles].map(([r, o]) => <option key={r} value={r} selected={r === role}>{o.name_label}</option>)}</select></Field>
        <Field label="Days until it ends" hint="0: never"><input type="number" min={0} defaultValue={days} onInput={(e) => { days = e.currentTarget.value; }} /></Field>
        <footer><Button kind="quiet" onClick={close}>Cancel</Button><Button kind="primary" type="submit">Create</Button></footer>
      </form>
    ));
  };
  return (
    <div class="cards">
      <Card title="You"><Facts rows={[['User', me?.user ?? ''], ['Role', me?.superuser ? 'pool-admin (of this host)' : (me?.roles.join(', ') ?? '')]]} /></Card>
      <Card title="Roles"><dl class="facts">{[...state.roles].map(([r, o]) => <div key={r}><dt>{o.name_label}</dt><dd class="muted">{o.name_description}</dd></div>)}</dl></Card>
      <Card title="Tokens" wide actions={<Button kind="primary" why={may('serai.token_create') ? '' : 'Your role does not allow serai.token_create.'} onClick={newToken}><Icon name="plus" />New token</Button>}>
        {state.tokens.length === 0 ? <Empty>No tokens. A token signs a program in, with a role and an end of its own.</Empty> : <Table label="Tokens" rows={state.tokens} keyOf={([r]) => r} columns={[
          { head: 'Name', cell: ([, t]) => t.name_label }, { head: 'Role', cell: ([, t]) => roleName(t.role) }, { head: 'Ends', cell: ([, t]) => when(t.expires) }, { head: 'Last used', cell: ([, t]) => when(t.last_used) }, { head: 'Made by', cell: ([, t]) => t.created_by },
          { head: '', cell: ([r, t]) => <Button kind="danger" why={may('serai.token_revoke') ? '' : 'Your role does not allow serai.token_revoke.'} onClick={() => { confirmThen(`Revoke ${t.name_label}`, 'The token and all sessions made with it end now.', 'Revoke', () => void attempt('Revoke', () => rpc('serai.token_revoke', r)).then(load)); }}>Revoke…</Button> },
        ]} />}
      </Card>
      <Card title="Users and groups of a directory" wide>{state.subjects.length === 0 ? <Empty>None. Join a directory with <code>serai pool-enable-external-auth</code>, then add its users and groups.</Empty> : <Table label="Users" rows={state.subjects} keyOf={([r]) => r} columns={[{ head: 'Name', cell: ([, s]) => s.other_config['subject-name'] ?? s.subject_identifier }, { head: 'Roles', cell: ([, s]) => s.roles.map(roleName).join(', ') }]} />}</Card>
    </div>
  );
}

/* Storage and networks */
export const SR_TABS: [string, string][] = [['overview', 'Overview'], ['disks', 'Disks'], ['history', 'History'], ['settings', 'Settings']];

function whyNotUpload(sr: Sr): string {
  if (!may('VDI.create') || !may('http/put_import_raw_vdi')) return 'Your role does not allow uploads.';
  if (sr.allowed_operations.includes('vdi_create')) return '';
  const place = sr.PBDs.map((r) => db.pbd.get(r)?.device_config['location']).find((x) => x !== undefined);
  return place ? `This repository shows the files of a folder of the host. Put them into ${place} there, then scan.` : 'This repository takes no new disks.';
}

export function SrPage({ entry: [ref, sr], tab }: { entry: Entry<Sr>; tab: string }): JSX.Element {
  const disks = sr.VDIs.map((r) => [r, db.vdi.get(r)] as const).flatMap(([r, v]) => (v ? [[r, v] as const] : [])).sort((a, b) => a[1].name_label.localeCompare(b[1].name_label));
  if (tab === 'history') return <History cls="SR" uuid={sr.uuid} stamp={sr.name_label} />;
  if (tab === 'settings') return <NameSettings cls="SR" refOf={ref} name={sr.name_label} description={sr.name_description} />;
  const list = (
    <Card title={sr.content_type === 'iso' ? 'Images' : 'Disks'} wide actions={<>
      <Button why={whyNot('scan', 'SR.scan', sr)} onClick={() => void attemptTask(`Scan ${sr.name_label}`, simple('SR.scan', 'sr-scan', arg(ref, `uuid=${sr.uuid}`)))}>Scan</Button>
      <Button kind="primary" why={whyNotUpload(sr)} onClick={() => { askUpload(ref); }}>Upload…</Button></>}>
      {disks.length === 0 ? <Empty>Nothing is stored here.</Empty> : <Table label="Disks" rows={disks} keyOf={([r]) => r} columns={[
        { head: 'Name', cell: ([, v]) => v.name_label || <span class="muted">{v.uuid}</span> },
        { head: 'Size', num: true, cell: ([, v]) => bytes(v.virtual_size) }, { head: 'Taken', num: true, cell: ([, v]) => bytes(v.physical_utilisation) },
        { head: 'Kind', cell: ([, v]) => (v.is_a_snapshot ? 'snapshot' : v.type) },
        { head: 'Used by', cell: ([, v]) => v.VBDs.map((b) => db.vm.get(db.vbd.get(b)?.VM)).filter((x) => x !== undefined).map((x) => <a key={x.uuid} href={href('vm', x.uuid)}>{x.name_label} </a>) },
        { head: '', cell: ([r, v]) => <div class="row">{may('http/get_export_raw_vdi') && !v.is_a_snapshot && sr.content_type !== 'iso' && v.VBDs.length === 0 && <a class="button" href={`/export_raw_vdi?format=vhd&vdi=${encodeURIComponent(r)}`} download={`${v.name_label || v.uuid}.vhd`}>Export</a>}<Button why={whyNot('resize', 'VDI.resize', v)} onClick={() => { askResize(r); }}>Grow…</Button><Button kind="danger" why={v.VBDs.length > 0 ? 'Machines use it: detach it first.' : whyNot('destroy', 'VDI.destroy', v)} onClick={() => { confirmThen(`Delete ${v.name_label || 'disk'}`, `The disk and its ${bytes(v.virtual_size)} of data are deleted and cannot be brought back.`, 'Delete', () => void attemptTask(`Delete ${v.name_label}`, simple('VDI.destroy', 'vdi-destroy', arg(r, `uuid=${v.uuid}`)))); }}>Delete…</Button></div> },
      ]} />}
    </Card>
  );
  if (tab === 'disks') return list;
  return (
    <div class="cards">
      <Card title="Repository" actions={<SrActions entry={[ref, sr]} />}><Facts rows={[['Type', sr.type], ['Holds', sr.content_type === 'iso' ? 'ISO images' : 'disks'], ['Shared', sr.shared ? 'yes' : 'no'], ['Physical', sr.physical_size > 0 ? <><Bar value={percent(sr.physical_utilisation, sr.physical_size)} label="In use" /> {bytes(sr.physical_utilisation)} of {bytes(sr.physical_size)}</> : 'not measured yet'], ['Promised to disks', bytes(sr.virtual_allocation)], ['UUID', <code>{sr.uuid}</code>]]} /></Card>
      {list}
    </div>
  );
}

export const NETWORK_TABS: [string, string][] = [['overview', 'Overview'], ['history', 'History'], ['settings', 'Settings']];

export function NetworkPage({ entry: [ref, network], tab }: { entry: Entry<Network>; tab: string }): JSX.Element {
  if (tab === 'history') return <History cls="network" uuid={network.uuid} stamp={network.name_label} />;
  if (tab === 'settings') return <NameSettings cls="network" refOf={ref} name={network.name_label} description={network.name_description} />;
  const vifs = network.VIFs.map((r) => [r, db.vif.get(r)] as const).flatMap(([r, v]) => (v ? [[r, v] as const] : []));
  return (
    <div class="cards">
      <Card title="Network"><Facts rows={[['Bridge', <code>{network.bridge}</code>], ['MTU', network.MTU], ['Locking', network.default_locking_mode], ['UUID', <code>{network.uuid}</code>]]} /></Card>
      <Card title="Interfaces of machines" wide>{vifs.length === 0 ? <Empty>No machine is on this network.</Empty> : <Table label="Interfaces" rows={vifs} keyOf={([r]) => r} columns={[{ head: 'Machine', cell: ([, v]) => { const vm = db.vm.get(v.VM); return vm ? <a href={href('vm', vm.uuid, 'network')}>{vm.name_label}</a> : ''; } }, { head: 'MAC', cell: ([, v]) => <code>{v.MAC}</code> }, { head: 'Plugged', cell: ([, v]) => (v.currently_attached ? 'yes' : 'no') }]} />}</Card>
    </div>
  );
}

export function newNetwork(): void {
  openDialog('New network', (close) => {
    let name = '';
    return (
      <form onSubmit={(e) => { e.preventDefault(); close(); void attempt(`New network ${name}`, () => rpc('network.create', { name_label: name, name_description: '', MTU: 1500, other_config: {}, tags: [], bridge: '', managed: true })); }}>
        <Field label="Name" hint="Machines on it reach each other and nothing else."><input required onInput={(e) => { name = e.currentTarget.value; }} /></Field>
        <footer><Button kind="quiet" onClick={close}>Cancel</Button><Button kind="primary" type="submit">Create</Button></footer>
      </form>
    );
  });
}

export function newStorage(): void {
  const o = { kind: 'file', name: '', location: '', host: hosts.value[0]?.[0] ?? '' };
  openDialog('New storage', (close) => (
    <form onSubmit={(e) => {
      e.preventDefault();
      close();
      void attemptTask(`New storage ${o.name}`, simple('SR.create', 'sr-create', arg(o.host, `host-uuid=${db.host.get(o.host)?.uuid ?? ''}`), arg({ location: o.location, ...(o.kind === 'iso' ? { legacy_mode: 'true' } : {}) }, `device-config:location=${o.location}`), arg('0'), arg(o.name, `name-label=${o.name}`), arg(''), arg(o.kind, `type=${o.kind}`), arg(o.kind === 'iso' ? 'iso' : 'user', `content-type=${o.kind === 'iso' ? 'iso' : 'user'}`), arg(false), arg({})));
    }}>
      <Field label="Holds"><select onChange={(e) => { o.kind = e.currentTarget.value; }}><option value="file">Disks, in a folder of the host</option><option value="iso">ISO images, in a folder of the host</option></select></Field>
      <Field label="Name"><input required onInput={(e) => { o.name = e.currentTarget.value; }} /></Field>
      <Field label="Folder" hint="A whole path on the host, as /srv/isos. It must exist and the daemon must be allowed to use it."><input required pattern="/.*" onInput={(e) => { o.location = e.currentTarget.value; }} /></Field>
      <footer><Button kind="quiet" onClick={close}>Cancel</Button><Button kind="primary" type="submit">Create</Button></footer>
    </form>
  ));
}

function SrActions({ entry: [ref, sr] }: { entry: Entry<Sr> }): JSX.Element {
  const pool = poolEntry.value;
  const isDefault = pool?.[1].default_SR === ref;
  return (
    <>
      {sr.content_type !== 'iso' && <Button why={isDefault ? 'It is the default already.' : may('pool.set_default_SR') ? '' : 'Your role does not allow pool.set_default_SR.'} onClick={() => { if (pool) void attempt('Default storage', () => rpc('pool.set_default_SR', pool[0], ref)); }}>{isDefault ? 'Default' : 'Make default'}</Button>}
      <Button kind="danger" why={may('SR.forget') ? '' : 'Your role does not allow SR.forget.'} onClick={() => {
        confirmThen(`Forget ${sr.name_label}`, `${sr.name_label} and the ${sr.VDIs.length} images in it vanish from the pool. Nothing is deleted: its files stay where they are.`, 'Forget', () => void attempt(`Forget ${sr.name_label}`, async () => {
          for (const p of sr.PBDs) if (db.pbd.get(p)?.currently_attached) await rpc('PBD.unplug', p);
          await rpc('SR.forget', ref);
        }));
      }}>Forget…</Button>
    </>
  );
}

/* A template is a machine that is never started. */
export function TemplatePage({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  return (
    <div class="cards"><Card title="Template" actions={<><Button kind="primary" why={may('VM.clone') ? '' : 'Your role does not allow VM.clone.'} onClick={() => { askName(`New template of ${vm.name_label}`, `${vm.name_label} copy`, 'Clone', (name) => simple('VM.clone', 'vm-clone', arg(ref, `uuid=${vm.uuid}`), arg(name, `new-name-label=${name}`))); }}>Clone…</Button></>}>
      <Facts rows={[['CPU', vm.VCPUs_max], ['Memory', bytes(vm.memory_static_max)], ['Firmware', vm.HVM_boot_params['firmware'] ?? 'bios'], ['UUID', <code>{vm.uuid}</code>]]} />
      <p class="muted">{vm.name_description}</p><p><a class="button" href={href('new')}>New machine…</a></p>
    </Card></div>
  );
}
