// SPDX-License-Identifier: Apache-2.0
// What changed of an object, by whom, and taking it back.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Act } from './act';
import { rpc, type Json } from './api';
import { arg } from './copyas';
import { ago, when } from './format';
import { attempt } from './run';
import { Button, Empty, showCalls, Table } from './ui';
import { say } from './strings';

interface Change {
  change: number; time: string; user: string; call: string; kind: 'create' | 'modify' | 'destroy'; name: string; class: string;
  changes: Record<string, { old: Json; new: Json }>;
}

const text = (v: Json): string => (typeof v === 'string' ? v || '""' : JSON.stringify(v));

/** Of maps only what differs. */
export function difference(before: Json, after: Json): [string, string][] {
  const isMap = (v: Json): v is Record<string, Json> => typeof v === 'object' && v !== null && !Array.isArray(v);
  if (!isMap(before) || !isMap(after)) return [[text(before), text(after)]];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.filter((k) => JSON.stringify(before[k]) !== JSON.stringify(after[k]))
    .map((k) => [k in before ? `${k}: ${text(before[k]!)}` : '', k in after ? `${k}: ${text(after[k]!)}` : '']);
}

type View = 'changes' | 'compare' | 'blame';
interface Blame { field: string; value: Json; time: string; user: string; call: string }
interface Difference { kind: string; name: string; changes: Record<string, { old: Json; new: Json }> }

/** What has happened to an object; what is different between two moments of it; who gave each field its value. */
export function History(p: { cls: string; uuid: string; stamp: string }): JSX.Element {
  const [view, setView] = useState<View>('changes');
  const views: [View, string][] = [['changes', say.changes], ['compare', say.compare], ['blame', say.whoSetWhat]];
  return (
    <div>
      <div class="segments" role="group" aria-label={say.view}>{views.map(([v, label]) => <button type="button" key={v} aria-pressed={v === view} onClick={() => { setView(v); }}>{label}</button>)}</div>
      <div class="card">{view === 'changes' ? <Changes {...p} /> : view === 'compare' ? <Compare {...p} /> : <Blames {...p} />}</div>
    </div>
  );
}

function Diff({ field, was, is, children }: { field: string; was: Json; is: Json; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="diff"><code>{field}</code><div>{difference(was, is).map(([a, b]) => <p key={a + b}>{a && <del>{a}</del>} {b && <ins>{b}</ins>}</p>)}</div>{children ?? <span />}</div>
  );
}

/** The value of an input for a moment, so many hours ago, in the user's zone. */
const local = (hoursAgo: number): string => { const d = new Date(Date.now() - hoursAgo * 3600e3); return new Date(d.getTime() - d.getTimezoneOffset() * 60e3).toISOString().slice(0, 16); };
const moment = (text: string): string => (text === '' ? '' : new Date(text).toISOString());

function Compare({ cls, uuid }: { cls: string; uuid: string }): JSX.Element {
  const [from, setFrom] = useState(local(24));
  const [to, setTo] = useState('');
  const [rows, setRows] = useState<Difference[] | null>(null);
  const call = { method: 'serai.get_differences', cli: 'diff', args: [arg(cls, `${cls.toLowerCase()}=${uuid}`), arg(uuid), arg(moment(from), moment(from)), arg(moment(to), moment(to))] };
  const ask = (e: Event): void => {
    e.preventDefault();
    void attempt(say.compare, async () => { setRows(await rpc<Difference[]>(call.method, ...call.args.map((a) => a.value))); });
  };
  return (
    <form onSubmit={ask}>
      <div class="row">
        <label class="row">{say.from_}<input type="datetime-local" required value={from} onInput={(e) => { setFrom(e.currentTarget.value); }} /></label>
        <label class="row">{say.to}<input type="datetime-local" value={to} onInput={(e) => { setTo(e.currentTarget.value); }} /></label>
        <Button type="submit" kind="primary" onShow={() => { showCalls(say.compare, [call]); }}>{say.compare}</Button>
      </div>
      {rows === null ? <Empty>{say.withoutASecondMomentWith}</Empty> : rows.length === 0 ? <Empty>{say.nothingIsDifferent}</Empty>
        : rows.map((r) => <div key={r.name + r.kind}>{Object.entries(r.changes).map(([field, v]) => <Diff key={field} field={field} was={v.old} is={v.new} />)}</div>)}
    </form>
  );
}

function Blames({ cls, uuid, stamp }: { cls: string; uuid: string; stamp: string }): JSX.Element {
  const [rows, setRows] = useState<Blame[] | null>(null);
  useEffect(() => {
    let over = false;
    void attempt(say.history, async () => { const got = await rpc<Blame[]>('serai.get_blame', cls, uuid, ''); if (!over) setRows(got); });
    return () => { over = true; };
  }, [cls, uuid, stamp]);
  if (!rows) return <Empty>{say.readingTheHistory}</Empty>;
  return rows.length === 0 ? <Empty>{say.nothingIsKnownOfIts}</Empty> : (
    <Table label={say.whoSetWhat} rows={rows} keyOf={(r) => r.field} columns={[
      { head: say.field, cell: (r) => <code>{r.field}</code> }, { head: say.value, cell: (r) => <code class="cut">{text(r.value).slice(0, 200)}</code> },
      { head: say.by, cell: (r) => r.user || say.theHostItself }, { head: say.call, cell: (r) => <code>{r.call}</code> }, { head: say.time, cell: (r) => <time title={when(r.time)}>{ago(r.time)}</time> },
    ]} />
  );
}

function Changes({ cls, uuid, stamp }: { cls: string; uuid: string; stamp: string }): JSX.Element {
  const [rows, setRows] = useState<Change[] | null>(null);
  const [again, setAgain] = useState(0);
  useEffect(() => {
    let over = false;
    void attempt(say.history, async () => {
      const got = await rpc<Change[]>('serai.get_history', cls, uuid, '', '', 100);
      if (!over) setRows(got);
    });
    return () => { over = true; };
  }, [cls, uuid, stamp, again]);
  if (!rows) return <Empty>{say.readingTheHistory}</Empty>;
  if (rows.length === 0) return <Empty>{say.nothingIsKnownOfIts}</Empty>;
  return (
    <ol class="history">
      {rows.map((c) => (
        <li key={c.change}>
          <header><strong>{c.call || say.theHostItself}</strong> <span>{say.byOf(c.user || say.nobody)}</span> <time title={when(c.time)}>{ago(c.time)}</time></header>
          {c.kind !== 'modify' ? <p>{say.as(c.kind === 'create' ? say.created : say.destroyed, c.name)}</p> : Object.entries(c.changes).map(([field, v]) => (
            <Diff key={field} field={field} was={v.old} is={v.new}>
              <Act kind="quiet" title={say.undoOf(field)} verb={say.undo} ask={say.getsTheValueAgainThat(field, when(c.time))} then={() => { setAgain(again + 1); }}
                calls={[{ method: 'serai.undo', cli: 'undo', args: [arg(c.change, String(c.change)), arg(field, field)] }]}>{say.undo}</Act>
            </Diff>
          ))}
        </li>
      ))}
    </ol>
  );
}
