// SPDX-License-Identifier: Apache-2.0
// The shell: sign-in, header, tree, tabs, the pane of tasks.
import { computed, signal } from '@preact/signals';
import { render, type ComponentChildren, type JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { People } from './access';
import { showing } from './act';
import { ApiError, denied, login, logout, may, resume, rpc, session } from './api';
import { ago, percent } from './format';
import type { Ref, Task } from './model';
import { NewVm } from './newvm';
import { HOST_TABS, HostPage, POOL_TABS, PoolPage, TEMPLATE_TABS, TemplatePage } from './pages';
import { go, href, route } from './route';
import { attempt, callOf, failures, lastCalls, notice, paneOpen, titles } from './run';
import { filtered, search } from './search';
import { NETWORK_TABS, NetworkPage, newNetwork, newStorage, SR_TABS, SrPage } from './storage';
import { db, hosts, link, networks, poolName, srs, startEvents, templates, vms, type Entry } from './store';
import { Bar, Button, DialogHost, Empty, Icon, showCalls, State } from './ui';
import { askUpload, dropUpload, pauseUpload, progressText, recallUploads, resumeUpload, uploads, type Upload } from './upload';
import { PowerActions, ScreenWindow, VM_TABS, VmPage } from './vm';
import { VmList } from './vmlist';
import type { Vm } from './model';
import { say } from './strings';

/* Light and dark: as the system has it, unless somebody chose. */
const theme = signal(localStorage.getItem('serai-theme') ?? 'auto');
theme.subscribe((t) => {
  document.documentElement.dataset['theme'] = t;
  localStorage.setItem('serai-theme', t);
  dispatchEvent(new Event('serai-theme'));
});
const nextTheme = (): void => { theme.value = theme.value === 'auto' ? 'light' : theme.value === 'light' ? 'dark' : 'auto'; };

function SignIn(): JSX.Element {
  const [user, setUser] = useState('root');
  const [password, setPassword] = useState('');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = (e: Event): void => {
    e.preventDefault();
    setBusy(true);
    login(user, password).catch((x: unknown) => { setError(x instanceof ApiError && x.code === 'SESSION_AUTHENTICATION_FAILED' ? say.userOrPasswordIsWrong : x instanceof Error ? x.message : String(x)); }).finally(() => { setBusy(false); });
  };
  return (
    <main class="signin">
      <form onSubmit={submit}>
        <h1><img src="/icon.svg" alt="" width={36} height={36} />{say.serai}</h1>
        <label class="field"><span>{say.user}</span><input name="username" autocomplete="username" value={user} onInput={(e) => { setUser(e.currentTarget.value); }} /></label>
        <label class="field"><span>{say.password}</span><input name="password" type="password" autocomplete="current-password" autoFocus value={password} onInput={(e) => { setPassword(e.currentTarget.value); }} /></label>
        <p class="error" role="alert">{error}</p>
        <button class="button primary" type="submit" disabled={busy}>{say.signIn}</button>
      </form>
    </main>
  );
}

/* The tree */
const VIEWS: [string, string][] = [['host', say.hosts], ['tag', say.tags], ['folder', say.folders]];
const view = signal(localStorage.getItem('serai-view') ?? 'host');
const closed = signal<Set<string>>(new Set(JSON.parse(localStorage.getItem('serai-closed') ?? '["templates"]') as string[]));
const TREE_MAX = 200;

function toggleClosed(id: string): void {
  const next = new Set(closed.value);
  if (!next.delete(id)) next.add(id);
  closed.value = next;
  localStorage.setItem('serai-closed', JSON.stringify([...next]));
}

function Branch({ id, label, icon, to, children, count, current }: { id: string; label: string; icon: string; to?: string; children: ComponentChildren; count?: number; current?: boolean }): JSX.Element {
  const open = !closed.value.has(id);
  return (
    <li role="treeitem" aria-expanded={open} aria-selected={current ?? false}>
      <div class="tree-line">
        <button type="button" class="twist" aria-label={`${open ? say.close : say.open} ${label}`} onClick={() => { toggleClosed(id); }}><Icon name={open ? 'down' : 'right'} /></button>
        {to ? <a href={to} aria-current={current ? 'page' : undefined}><Icon name={icon} /><span>{label}</span></a> : <span class="group"><Icon name={icon} /><span>{label}</span></span>}
        {count !== undefined && <span class="count">{count}</span>}
      </div>
      {open && <ul role="group">{children}</ul>}
    </li>
  );
}

function Leaf({ to, icon, label, current, state }: { to: string; icon: string; label: string; current: boolean; state?: string }): JSX.Element {
  return <li role="treeitem" aria-selected={current}><a class={`tree-line leaf ${state?.toLowerCase() ?? ''}`} href={to} aria-current={current ? 'page' : undefined}><Icon name={icon} /><span>{label}</span>{state && <span class="hidden">{state}</span>}</a></li>;
}

function VmLeaves({ entries }: { entries: Entry<Vm>[] }): JSX.Element {
  const r = route.value;
  return (
    <>
      {entries.slice(0, TREE_MAX).map(([ref, v]) => <Leaf key={ref} to={href('vm', v.uuid, r.kind === 'vm' ? r.tab : '')} icon="vm" label={v.name_label} state={v.power_state} current={r.kind === 'vm' && r.id === v.uuid} />)}
      {entries.length > TREE_MAX && <Leaf to={href('vms')} icon="right" label={say.moreOf(entries.length - TREE_MAX)} current={false} />}
    </>
  );
}

const shownVms = computed(() => filtered(vms.value));

function groups(): Map<string, Entry<Vm>[]> {
  const out = new Map<string, Entry<Vm>[]>();
  for (const e of shownVms.value) {
    const names = view.value === 'tag' ? e[1].tags : [e[1].other_config['folder'] ?? ''].filter(Boolean);
    for (const n of names.length > 0 ? names : ['—']) out.set(n, [...(out.get(n) ?? []), e]);
  }
  return new Map([...out].sort(([a], [b]) => a.localeCompare(b)));
}

/** Arrow keys go along the lines that are shown, and open and close. */
function treeKeys(e: KeyboardEvent): void {
  const box = e.currentTarget as HTMLElement;
  const lines = [...box.querySelectorAll<HTMLElement>('a, .twist')].filter((x) => x.tagName === 'A');
  const at = lines.indexOf(document.activeElement as HTMLElement);
  const to = e.key === 'ArrowDown' ? at + 1 : e.key === 'ArrowUp' ? at - 1 : e.key === 'Home' ? 0 : e.key === 'End' ? lines.length - 1 : -2;
  if (to >= 0 && to < lines.length) { lines[to]!.focus(); e.preventDefault(); return; }
  if (e.key === 'ArrowLeft' || e.key === 'ArrowRight') {
    const item = (document.activeElement as HTMLElement).closest('li');
    const open = item?.getAttribute('aria-expanded');
    if ((open === 'true') === (e.key === 'ArrowLeft') && open !== null) item?.querySelector<HTMLElement>('.twist')?.click();
  }
}

function Tree(): JSX.Element {
  const r = route.value;
  const is = (kind: string, uuid: string): boolean => r.kind === kind && r.id === uuid;
  const loose = shownVms.value.filter(([, v]) => !hosts.value.some(([h]) => h === v.resident_on));
  return (
    <nav class="tree" aria-label={say.objects} onKeyDown={treeKeys}>
      <div class="segments small" role="group" aria-label={say.arrangeBy}>{VIEWS.map(([id, label]) => <button type="button" key={id} aria-pressed={view.value === id} onClick={() => { view.value = id; localStorage.setItem('serai-view', id); }}>{label}</button>)}</div>
      <ul role="tree" aria-label={say.objects}>
        <Branch id="pool" label={poolName.value} icon="pool" to={href('pool')} current={r.kind === 'pool'}>
          {view.value === 'host' ? (
            <>
              {hosts.value.map(([ref, h]) => {
                const mine = shownVms.value.filter(([, v]) => v.resident_on === ref);
                return <Branch key={ref} id={`h${h.uuid}`} label={h.name_label} icon="host" to={href('host', h.uuid)} count={mine.length} current={is('host', h.uuid)}><VmLeaves entries={mine} /></Branch>;
              })}
              {loose.length > 0 && <Branch id="loose" label={say.notRunning} icon="vm" to={href('vms')} count={loose.length} current={r.kind === 'vms'}><VmLeaves entries={loose} /></Branch>}
            </>
          ) : [...groups()].map(([name, list]) => <Branch key={name} id={`${view.value}:${name}`} label={name === '—' ? (view.value === 'tag' ? say.withoutATag : say.withoutAFolder) : name} icon={view.value} count={list.length}><VmLeaves entries={list} /></Branch>)}
          <Branch id="srs" label={say.storage} icon="sr" to={href('pool', '', 'disks')} count={srs.value.length}>{srs.value.map(([ref, s]) => <Leaf key={ref} to={href('sr', s.uuid)} icon="sr" label={s.name_label} current={is('sr', s.uuid)} />)}
            {may('SR.create') && <li role="treeitem" aria-selected={false}><button type="button" class="tree-line leaf add" onClick={newStorage}><Icon name="plus" /><span>{say.newStorageAsk}</span></button></li>}
          </Branch>
          <Branch id="networks" label={say.networks} icon="network" to={href('pool', '', 'network')} count={networks.value.length}>
            {networks.value.map(([ref, n]) => <Leaf key={ref} to={href('network', n.uuid)} icon="network" label={n.name_label} current={is('network', n.uuid)} />)}
            {may('network.create') && <li role="treeitem" aria-selected={false}><button type="button" class="tree-line leaf add" onClick={newNetwork}><Icon name="plus" /><span>{say.newNetworkAsk}</span></button></li>}
          </Branch>
          <Branch id="templates" label={say.templates} icon="template" count={templates.value.length}>{templates.value.map(([ref, t]) => <Leaf key={ref} to={href('template', t.uuid)} icon="template" label={t.name_label} current={is('template', t.uuid)} />)}</Branch>
        </Branch>
      </ul>
    </nav>
  );
}

/* The pane of tasks */
function taskTitle(ref: Ref, t: Task): string {
  return titles.get(ref) ?? t.name_label.replace(/^Async\./, '');
}

function Tasks(): JSX.Element {
  const tasks = [...db.task.all].sort((a, b) => b[1].created.localeCompare(a[1].created)).slice(0, 100);
  const running = tasks.filter(([, t]) => t.status === 'pending' || t.status === 'cancelling').length + uploads.value.length;
  const open = paneOpen.value;
  return (
    <section class={`tasks ${open ? 'open' : ''}`} aria-label={say.tasks}>
      <header>
        <button type="button" class="pane-head" aria-expanded={open} onClick={() => { paneOpen.value = !open; }}><Icon name={open ? 'down' : 'right'} />{say.tasks}
          {running > 0 && <span class="count busy">{say.running(running)}</span>}{failures.value.length > 0 && <span class="count bad">{say.failed(failures.value.length)}</span>}</button>
        <span class={`dot ${link.value}`} role="status">{link.value === 'live' ? 'live' : link.value === 'lost' ? say.connectionLostTryingAgain : 'connecting'}</span>
      </header>
      {open && (
        <ul>
          {failures.value.map((f) => (
            <li key={`f${f.id}`} class="failed"><Icon name="warn" /><div><strong>{f.title}</strong><p>{f.text}</p>{f.command && <p>{say.try}<code>{f.command}</code></p>}{f.code && <small>{f.code}</small>}</div>
              <Button kind="quiet" label={say.dismissOf(f.title)} onClick={() => { failures.value = failures.value.filter((x) => x.id !== f.id); }}><Icon name="close" /></Button></li>
          ))}
          {uploads.value.map((u) => <UploadLine key={`u${u.id}`} u={u} />)}
          {tasks.map(([ref, t]) => (
            <li key={ref}><State value={t.status} /><div><strong>{taskTitle(ref, t)}</strong> <span class="muted">{ago(t.created)}{t.error_info.length > 0 ? ` · ${t.error_info[0]!}` : ''}</span></div>
              {t.status === 'pending' && <><Bar value={t.progress * 100} label={say.progress} /><Button why={t.allowed_operations.includes('cancel') ? (denied('task.cancel')) : say.thisCannotBeStoppedHalf} onClick={() => void attempt(say.cancel, () => rpc('task.cancel', ref))}>{say.cancel}</Button></>}
              {callOf.has(ref) && <Button kind="quiet" label={say.copyAsAsk} title={say.copyAsAsk} onClick={() => { showCalls(taskTitle(ref, t), [callOf.get(ref)!]); }}><Icon name="copy" /></Button>}
            </li>
          ))}
          {tasks.length + failures.value.length + uploads.value.length === 0 && <Empty>{say.nothingRunsAndNothingFailed}</Empty>}
        </ul>
      )}
    </section>
  );
}

function UploadLine({ u }: { u: Upload }): JSX.Element {
  const moving = u.state === 'sending' || u.state === 'waiting';
  return (
    <li><State value={u.state} /><div><strong>{say.uploadOf(u.name)}</strong> <span class="muted">{progressText(u)}{u.why && ` · ${u.why}`}</span></div><Bar value={percent(u.sent, u.size)} label={say.progress} />
      {!u.once && moving && <Button onClick={() => { pauseUpload(u.id); }}>{say.pause}</Button>}
      {(u.state === 'paused' || u.state === 'lost') && <Button kind="primary" onClick={() => { resumeUpload(u.id); }}>{say.resume}</Button>}
      {u.state !== 'making' && <Button onClick={() => { dropUpload(u.id); }}>{say.stop}</Button>}
    </li>
  );
}

function Tabs({ kind, id, tabs }: { kind: string; id: string; tabs: [string, string][] }): JSX.Element {
  const now = route.value.tab || tabs[0]![0];
  return <nav class="tabs" aria-label={say.parts}>{tabs.map(([t, label]) => <a key={t} href={href(kind, id, t)} aria-current={t === now ? 'page' : undefined}>{label}</a>)}</nav>;
}

function Head({ icon, title, children }: { icon: string; title: string; children?: ComponentChildren }): JSX.Element {
  useEffect(() => { document.title = `${title} – Serai`; }, [title]);
  return <header class="page-head"><h1><Icon name={icon} />{title}</h1>{children}</header>;
}

function Page(): JSX.Element {
  const { kind, id, tab } = route.value;
  const gone = <Empty>{link.value === 'live' ? say.thereIsNoSuchObject : say.readingThePool}</Empty>;
  switch (kind) {
    case 'new': return link.value === 'starting' ? gone : <NewVm />;
    case 'vms': return <div class="page fill"><Head icon="vm" title={say.machines}><Button why={denied('http/put_import') && denied('http/put_import_image')} onClick={() => { askUpload(); }}>{say.importAsk}</Button><a class="button primary" href={href('new')}><Icon name="plus" />{say.newMachine}</a></Head><VmList entries={vms.value} title={say.machinesLower} /></div>;
    case 'access': return <div class="page"><Head icon="user" title={say.usersAndTokens} /><People /></div>;
    case 'vm': {
      const e = db.vm.byUuid(id);
      return e ? <div class="page"><Head icon="vm" title={e[1].name_label}><State value={e[1].power_state} /><PowerActions entry={e} /></Head><Tabs kind="vm" id={id} tabs={VM_TABS} /><VmPage key={id} entry={e} tab={tab} /></div> : gone;
    }
    case 'template': { const e = db.vm.byUuid(id); return e ? <div class="page"><Head icon="template" title={e[1].name_label} /><Tabs kind="template" id={id} tabs={TEMPLATE_TABS} /><TemplatePage key={id} entry={e} tab={tab} /></div> : gone; }
    case 'host': { const e = db.host.byUuid(id); return e ? <div class={`page ${tab === 'vms' ? 'fill' : ''}`}><Head icon="host" title={e[1].name_label} /><Tabs kind="host" id={id} tabs={HOST_TABS} /><HostPage key={id} entry={e} tab={tab} /></div> : gone; }
    case 'sr': { const e = db.sr.byUuid(id); return e ? <div class="page"><Head icon="sr" title={e[1].name_label} /><Tabs kind="sr" id={id} tabs={SR_TABS} /><SrPage key={id} entry={e} tab={tab} /></div> : gone; }
    case 'network': { const e = db.network.byUuid(id); return e ? <div class="page"><Head icon="network" title={e[1].name_label} /><Tabs kind="network" id={id} tabs={NETWORK_TABS} /><NetworkPage key={id} entry={e} tab={tab} /></div> : gone; }
    default: return <div class={`page ${tab === 'vms' ? 'fill' : ''}`}><Head icon="pool" title={poolName.value}><Button why={denied('http/put_import') && denied('http/put_import_image')} onClick={() => { askUpload(); }}>{say.importAsk}</Button><a class="button primary" href={href('new')}><Icon name="plus" />{say.newMachine}</a></Head><Tabs kind="pool" id="" tabs={POOL_TABS} /><PoolPage tab={tab} /></div>;
  }
}

const menuOpen = signal(false);

function keys(e: KeyboardEvent): void {
  const el = e.target;
  if (el instanceof HTMLElement && (el.matches('input, select, textarea, canvas') || el.closest('.console, dialog'))) return;
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === '/') { document.querySelector<HTMLInputElement>('#search')?.focus(); e.preventDefault(); }
  if (e.key === 'n') go('new');
  if (e.key === 't') paneOpen.value = !paneOpen.value;
  if (e.key === 'm') go('vms');
  if (/^[1-9]$/.test(e.key)) document.querySelectorAll<HTMLElement>('.tabs a')[Number(e.key) - 1]?.click();
}

function Shell(): JSX.Element {
  const me = session.value!;
  useEffect(() => {
    startEvents();
    void recallUploads().then(() => { if (uploads.value.some((u) => u.state === 'lost')) paneOpen.value = true; });
    addEventListener('keydown', keys);
    return () => { removeEventListener('keydown', keys); };
  }, []);
  useEffect(() => { menuOpen.value = false; }, [route.value]);
  return (
    <div class={`shell ${menuOpen.value ? 'menu-open' : ''}`}>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.querySelector<HTMLElement>('#main')?.focus(); }}>{say.toThePage}</a>
      <header class="top">
        <button type="button" class="button quiet burger" aria-label={say.objects} aria-expanded={menuOpen.value} onClick={() => { menuOpen.value = !menuOpen.value; }}><Icon name="menu" /></button>
        <a class="brand" href={href('pool')} aria-label={say.seraiThePool}><img src="/icon.svg" alt="" width={22} height={22} /><span>{say.serai}</span></a>
        <label class="search"><Icon name="search" /><span class="hidden">{say.search}</span><input id="search" type="search" placeholder={say.searchWebStateRunningMemory} value={search.value} onInput={(e) => { search.value = e.currentTarget.value; }} onKeyDown={(e) => { if (e.key === 'Enter') go('vms'); if (e.key === 'Escape') { search.value = ''; e.currentTarget.blur(); } }} /></label>
        <a class="button quiet" href={href('pool', '', 'alerts')} aria-label={say.alerts} title={say.alerts}><Icon name="bell" /></a>
        <Button kind="quiet" pressed={showing.value} label={say.showCalls} title={showing.value ? say.actionsShowTheirCallsAnd : say.letActionsShowTheirCalls} onClick={() => { showing.value = !showing.value; }}><Icon name="code" /></Button>
        <Button kind="quiet" label={say.colours(theme.value)} title={say.colours(theme.value)} onClick={nextTheme}><Icon name="sun" /></Button>
        <a class="button quiet who" href={href('access')} title={me.superuser ? say.poolAdmin : me.roles.join(', ')}><Icon name="user" /><span>{me.user}<small>{me.superuser ? 'pool-admin' : me.roles.join(', ')}</small></span></a>
        <Button kind="quiet" onClick={() => void attempt(say.signOut, logout)}>{say.signOut}</Button>
      </header>
      <Tree />
      <main id="main" tabIndex={-1}><Page /></main>
      <Tasks />
      {showing.value && <div class="showing" role="status">{say.actionsShowTheirCallsAndBare}<Button onClick={() => { showing.value = false; }}>{say.end}</Button></div>}
      <div class="toast" role="status" aria-live="polite">{notice.value}{notice.value === 'Saved.' && lastCalls.value.length > 0 && <Button kind="quiet" onClick={() => { showCalls(say.whatWasDone, lastCalls.value); }}>{say.copyAsAsk}</Button>}</div>
      <DialogHost />
    </div>
  );
}

function Alone(): JSX.Element {
  useEffect(() => { startEvents(); }, []);
  const e = db.vm.byUuid(route.value.id);
  return <main class="alone">{e ? <ScreenWindow vm={e[1]} /> : <Empty>{say.reading}</Empty>}</main>;
}

let fading: ReturnType<typeof setTimeout> | undefined;
notice.subscribe((text) => {
  clearTimeout(fading);
  if (text) fading = setTimeout(() => { notice.value = ''; }, 5000);
});

function App(): JSX.Element {
  const s = session.value;
  if (s === undefined) return <main class="signin"><p role="status">{say.connecting}</p></main>;
  if (s === null) return <SignIn />;
  return route.value.kind === 'screen' ? <Alone /> : <Shell />;
}

function begin(): void {
  resume().catch(() => { setTimeout(begin, 1000); });
}

render(<App />, document.querySelector('#app')!);
begin();
