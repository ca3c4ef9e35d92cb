// SPDX-License-Identifier: Apache-2.0
// What changed of an object, by whom, and taking it back.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { may, rpc, type Json } from './api';
import { ago, when } from './format';
import { attempt } from './run';
import { Button, confirmThen, Empty } from './ui';
import { arg, type Call } from './copyas';

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

export function History({ cls, uuid, stamp }: { cls: string; uuid: string; stamp: string }): JSX.Element {
  const [rows, setRows] = useState<Change[] | null>(null);
  const [again, setAgain] = useState(0);
  useEffect(() => {
    let over = false;
    void attempt('History', async () => {
      const got = await rpc<Change[]>('serai.get_history', cls, uuid, '', '', 100);
      if (!over) setRows(got);
    });
    return () => { over = true; };
  }, [cls, uuid, stamp, again]);
  if (!rows) return <Empty>Reading the history…</Empty>;
  if (rows.length === 0) return <Empty>Nothing is known of its past.</Empty>;
  const undo = (c: Change, field: string): void => {
    const call: Call = { method: 'serai.undo', cli: 'undo', args: [arg(c.change, `change=${c.change}`), arg(field, field)] };
    confirmThen('Take the change back', `${field} gets the value again that it had before ${when(c.time)}.`, 'Undo', () => {
      void attempt(`Undo ${field}`, () => rpc('serai.undo', c.change, field)).then(() => { setAgain(again + 1); });
    }, call);
  };
  return (
    <ol class="history">
      {rows.map((c) => (
        <li key={c.change}>
          <header><strong>{c.call || 'the host itself'}</strong> <span>by {c.user || 'nobody'}</span> <time title={when(c.time)}>{ago(c.time)}</time></header>
          {c.kind !== 'modify' ? <p>{c.kind === 'create' ? 'Created' : 'Destroyed'} as “{c.name}”.</p> : Object.entries(c.changes).map(([field, v]) => (
            <div class="diff" key={field}>
              <code>{field}</code>
              <div>{difference(v.old, v.new).map(([a, b]) => <p key={a + b}>{a && <del>{a}</del>} {b && <ins>{b}</ins>}</p>)}</div>
              <Button kind="quiet" why={may('serai.undo') ? '' : 'Your role does not allow serai.undo.'} onClick={() => { undo(c, field); }}>Undo</Button>
            </div>
          ))}
        </li>
      ))}
    </ol>
  );
}
