// SPDX-License-Identifier: Apache-2.0
// The pool's messages: alarms first, then what else happened.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Act } from './act';
import { simple } from './actions';
import { arg } from './copyas';
import { ago, when } from './format';
import type { Message, Ref } from './model';
import { href } from './route';
import { db } from './store';
import { Card, Empty, Icon } from './ui';
import { say } from './strings';

/** Where a message's object is shown. */
function place(m: Message): { name: string; to: string } | undefined {
  const at: Record<string, [keyof typeof tables, string]> = { VM: ['vm', 'vm'], Host: ['host', 'host'], SR: ['sr', 'sr'], Pool: ['pool', 'pool'], VDI: ['vdi', ''] };
  const tables = { vm: db.vm, host: db.host, sr: db.sr, pool: db.pool, vdi: db.vdi };
  const [table, kind] = at[m.cls] ?? [];
  const found = table && tables[table].byUuid(m.obj_uuid)?.[1];
  return found ? { name: found.name_label, to: kind ? href(kind, kind === 'pool' ? '' : m.obj_uuid) : '' } : undefined;
}

const dismissCalls = (list: [Ref, Message][]): ReturnType<typeof simple>[] => list.map(([r, m]) => simple('message.destroy', 'message-destroy', arg(r, `uuid=${m.uuid}`)));

export function Alerts({ few }: { few?: boolean }): JSX.Element {
  const [serious, setSerious] = useState(false);
  const all = [...db.message.all].sort((a, b) => b[1].timestamp.localeCompare(a[1].timestamp)).filter(([, m]) => !serious || m.priority <= 3);
  const rows = all.slice(0, few ? 5 : 500);
  const item = ([r, m]: [Ref, Message]): JSX.Element => {
    const where = place(m);
    return (
      <li key={r} class={m.priority <= 3 ? 'serious' : ''}>
        <time title={when(m.timestamp)}>{ago(m.timestamp)}</time><strong>{m.name.toLowerCase().replaceAll('_', ' ')}</strong>
        <span class="muted" title={m.body}>{where && <>{where.to ? <a href={where.to}>{where.name}</a> : where.name} </>}{bodyOf(m)}</span>
        {!few && <Act kind="quiet" title={say.dismissOf(m.name)} label={say.dismissOf(m.name)} calls={dismissCalls([[r, m]])}><Icon name="close" /></Act>}
      </li>
    );
  };
  return (
    <Card title={few ? say.latestEvents : say.alertsOf(all.length)} wide actions={few ? <a href={href('pool', '', 'alerts')}>{say.all}</a> : <>
      <label class="check"><input type="checkbox" checked={serious} onChange={(e) => { setSerious(e.currentTarget.checked); }} />{say.onlyWhatIsUrgent}</label>
      <Act title={say.dismissAllAlerts} verb={say.dismissAll} why={rows.length > 0 ? '' : say.thereAreNone} ask={say.messagesAreRemovedForEverybody(rows.length)} calls={dismissCalls(rows)}>{say.dismissAllAsk}</Act></>}>
      {rows.length === 0 ? <Empty>{say.nothingHappenedThatNeeds}</Empty> : <ul class="messages">{rows.map(item)}</ul>}
    </Card>
  );
}

/** Of an alarm the value; XML is for programs. */
function bodyOf(m: Message): string {
  const value = /^value:\s*([\d.]+)/.exec(m.body), name = /<name value="(.*?)"/.exec(m.body), level = /<alarm_trigger_level value="(.*?)"/.exec(m.body);
  return value && name ? say.isOf(name[1]!, Number(value[1]).toPrecision(3), level ? say.theLimitIs(level[1]!) : '') : m.body.replace(/<[^>]*>/g, ' ').slice(0, 300);
}
