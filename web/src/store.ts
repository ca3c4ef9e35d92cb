// SPDX-License-Identifier: Apache-2.0
// What the pool is, kept true by one stream of events. Each class has a map and a counter; who reads a map is drawn again
// when the counter moves, once for a whole batch of events.
import { batch, computed, signal, type ReadonlySignal } from '@preact/signals';
import { ApiError, rpcWith, session } from './api';
import { NULL_REF, type ClassName, type Classes, type Ref, type Rec, type Vm } from './model';
import { say } from './strings';

const NAMES: ClassName[] = ['pool', 'host', 'host_metrics', 'vm', 'vm_metrics', 'vm_guest_metrics', 'vbd', 'vdi', 'vif', 'sr',
  'pbd', 'pif', 'network', 'console', 'task', 'message', 'sm', 'vmss', 'role', 'subject', 'certificate'];

class Table<T extends Rec> {
  readonly rows = new Map<Ref, T>();
  private readonly version = signal(0);

  touch(): void { this.version.value = this.version.peek() + 1; }

  /** Reading is following. */
  get all(): Map<Ref, T> {
    void this.version.value;
    return this.rows;
  }

  get(ref: Ref | undefined): T | undefined {
    return ref && ref !== NULL_REF ? this.all.get(ref) : undefined;
  }

  byUuid(uuid: string): [Ref, T] | undefined {
    for (const entry of this.all) if (entry[1].uuid === uuid) return entry;
    return undefined;
  }
}

const tables = Object.fromEntries(NAMES.map((n) => [n, new Table()])) as unknown as { [K in ClassName]: Table<Classes[K]> };
export const db = tables;

export type Link = 'starting' | 'live' | 'lost';
export const link = signal<Link>('starting');

interface Event { class: string; operation: 'add' | 'mod' | 'del'; ref: Ref; snapshot?: Rec }
interface Batch { events: Event[]; token: string }

/** Applies events to tables; the names of those that changed. Pure but for the tables. */
export function apply(events: Event[], into: Record<string, { rows: Map<Ref, Rec> }>): Set<string> {
  const changed = new Set<string>();
  for (const e of events) {
    const name = e.class.toLowerCase();
    const table = into[name];
    if (!table) continue;
    if (e.operation === 'del') table.rows.delete(e.ref);
    else if (e.snapshot) table.rows.set(e.ref, e.snapshot);
    changed.add(name);
  }
  return changed;
}

const waiters = new Set<() => void>();

/** Resolves as soon as test() is true; it is asked again after each batch of events. */
export function until(test: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!test()) return;
      waiters.delete(look);
      resolve();
    };
    waiters.add(look);
    look();
  });
}

function take(events: Event[], fresh: boolean): void {
  batch(() => {
    if (fresh) for (const name of NAMES) tables[name].rows.clear();
    const changed = apply(events, tables as unknown as Record<string, { rows: Map<Ref, Rec> }>);
    for (const name of fresh ? NAMES : changed) tables[name as ClassName].touch();
  });
  for (const look of [...waiters]) look();
}

const WAIT_S = 30;
let running: AbortController | null = null;

function pause(ms: number, abort: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    abort.addEventListener('abort', () => { clearTimeout(timer); resolve(); });
  });
}

async function follow(abort: AbortSignal): Promise<void> {
  let token = '';
  let delay = 250;
  while (!abort.aborted) {
    try {
      const fresh = token === '';
      const got = await rpcWith<Batch>(abort, 'event.from', NAMES, token, fresh ? 0.5 : WAIT_S);
      take(got.events, fresh);
      token = got.token;
      delay = 250;
      link.value = 'live';
    } catch (e) {
      if (abort.aborted) return;
      if (e instanceof ApiError && e.code === 'SESSION_INVALID') return;
      token = ''; // what was missed is not known: everything is read anew
      if (!(e instanceof ApiError && e.code === 'EVENTS_LOST')) {
        link.value = 'lost';
        await pause(delay, abort);
        delay = Math.min(delay * 2, 4000);
      }
    }
  }
}

export function startEvents(): void {
  stopEvents();
  running = new AbortController();
  link.value = 'starting';
  void follow(running.signal);
}

export function stopEvents(): void {
  running?.abort();
  running = null;
}

/* What is asked for often */

export type Entry<T> = [Ref, T];
const byName = (a: Entry<{ name_label: string }>, b: Entry<{ name_label: string }>): number =>
  a[1].name_label.localeCompare(b[1].name_label, undefined, { numeric: true, sensitivity: 'base' });

function sorted<T extends Rec & { name_label: string }>(table: Table<T>, keep: (r: T) => boolean): ReadonlySignal<Entry<T>[]> {
  return computed(() => [...table.all].filter(([, r]) => keep(r)).sort(byName));
}

export const vms = sorted<Vm>(tables.vm, (v) => !v.is_a_template && !v.is_a_snapshot && !v.is_control_domain);
export const templates = sorted<Vm>(tables.vm, (v) => v.is_a_template && !v.is_a_snapshot);
export const hosts = sorted(tables.host, () => true);
export const srs = sorted(tables.sr, () => true);
export const networks = sorted(tables.network, () => true);
export const poolEntry = computed(() => [...tables.pool.all][0]);
export const poolName = computed(() => {
  const pool = poolEntry.value?.[1];
  return pool?.name_label || hosts.value[0]?.[1].name_label || say.pool;
});

session.subscribe((s) => { if (!s) stopEvents(); });
