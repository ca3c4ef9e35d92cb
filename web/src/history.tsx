// SPDX-License-Identifier: Apache-2.0
// What changed of an object, by whom, and taking it back.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { denied, rpc, type Json } from './api';
import { ago, when } from './format';
import { attempt } from './run';
import { Button, confirmThen, Empty } from './ui';
import { arg, type Call } from './copyas';
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

export function History({ cls, uuid, stamp }: { cls: string; uuid: string; stamp: string }): JSX.Element {
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
  const undo = (c: Change, field: string): void => {
    const call: Call = { method: 'serai.undo', cli: 'undo', args: [arg(c.change, `change=${c.change}`), arg(field, field)] };
    confirmThen(say.takeTheChangeBack, say.getsTheValueAgainThat(field, when(c.time)), say.undo, () => {
      void attempt(`Undo ${field}`, () => rpc('serai.undo', c.change, field)).then(() => { setAgain(again + 1); });
    }, call);
  };
  return (
    <ol class="history">
      {rows.map((c) => (
        <li key={c.change}>
          <header><strong>{c.call || say.theHostItself}</strong> <span>{say.by(c.user || 'nobody')}</span> <time title={when(c.time)}>{ago(c.time)}</time></header>
          {c.kind !== 'modify' ? <p>{say.as(c.kind === 'create' ? say.created : say.destroyed, c.name)}</p> : Object.entries(c.changes).map(([field, v]) => (
            <div class="diff" key={field}>
              <code>{field}</code>
              <div>{difference(v.old, v.new).map(([a, b]) => <p key={a + b}>{a && <del>{a}</del>} {b && <ins>{b}</ins>}</p>)}</div>
              <Button kind="quiet" why={denied('serai.undo')} onClick={() => { undo(c, field); }}>{say.undo}</Button>
            </div>
          ))}
        </li>
      ))}
    </ol>
  );
}
