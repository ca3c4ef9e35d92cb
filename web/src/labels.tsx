// SPDX-License-Identifier: Apache-2.0
// What every kind of object has: a name, tags, a folder, custom fields; and thresholds that become alerts.
import type { ComponentChildren, JSX } from 'preact';
import { Act, Ask, save, setField, setKey } from './act';
import { denied, may } from './api';
import { arg } from './copyas';
import { parseBytes } from './format';
import type { Named, Ref } from './model';
import { MEASURES, perfmonXml, readPerfmon, type Threshold } from './perfmon';
import { Card, Empty, Field, Icon, Table } from './ui';
import { say } from './strings';

export const FIELD_PREFIX = 'XenCenter.CustomFields.';

export function Labels({ cls, refOf, rec, children }: { cls: string; refOf: Ref; rec: Named; children?: ComponentChildren }): JSX.Element {
  const text = (label: string, field: string, value: string): JSX.Element => (
    <Field label={label}><input key={value} defaultValue={value} disabled={!may(`${cls}.set_${field}`)} onChange={(e) => { save(label, [setField(cls, refOf, rec.uuid, field, e.currentTarget.value)]); }} /></Field>
  );
  const key = (label: string, name: string, hint: string): JSX.Element => (
    <Field label={label} hint={hint}><input key={rec.other_config[name]} defaultValue={rec.other_config[name] ?? ''} disabled={!may(`${cls}.add_to_other_config`) && !may(`${cls}.add_to_other_config/key:${name}`)} onChange={(e) => { save(label, setKey(cls, refOf, rec.uuid, 'other_config', rec.other_config, name, e.currentTarget.value.trim())); }} /></Field>
  );
  return (
    <>
      <Card title={say.name}>
        {text(say.name, 'name_label', rec.name_label)}
        {text(say.description, 'name_description', rec.name_description)}
        {rec.tags && <Field label={say.tags} hint={say.separatedByCommas}><input key={rec.tags.join()} defaultValue={rec.tags.join(', ')} disabled={!may(`${cls}.set_tags`)} onChange={(e) => { save(say.tags, [setField(cls, refOf, rec.uuid, 'tags', e.currentTarget.value.split(',').map((t) => t.trim()).filter(Boolean))]); }} /></Field>}
        {key(say.folder, 'folder', say.asProductionWeb)}
      </Card>
      {children}
      <CustomFields cls={cls} refOf={refOf} rec={rec} />
    </>
  );
}

function CustomFields({ cls, refOf, rec }: { cls: string; refOf: Ref; rec: Named }): JSX.Element {
  const rows = Object.entries(rec.other_config).filter(([k]) => k !== 'folder' && k !== 'perfmon');
  const own = arg(refOf, `uuid=${rec.uuid}`);
  return (
    <Card title={say.customFields} actions={<Ask why={denied(`${cls}.add_to_other_config`)} form={() => ({
      title: say.aCustomFieldOf(rec.name_label), verb: say.add,
      fields: [{ id: 'key', label: say.key }, { id: 'value', label: say.value, optional: true }],
      calls: (v) => { const k = /[.:_-]/.test(v['key'] ?? '') ? v['key'] ?? '' : `${FIELD_PREFIX}${v['key'] ?? ''}`; return [{ method: `${cls}.add_to_other_config`, cli: `${cls.toLowerCase()}-param-add`, args: [own, arg(undefined, 'param-name=other-config'), arg(k), arg(v['value'], `${k}=${v['value'] ?? ''}`)] }]; },
    })}><Icon name="plus" />{say.addFieldAsk}</Ask>}>
      {rows.length === 0 ? <Empty>{say.noneToo}</Empty> : <Table label={say.customFields} keyOf={([k]) => k} rows={rows} columns={[
        { head: say.key, cell: ([k]) => <code>{k.replace(FIELD_PREFIX, '')}</code> },
        { head: say.value, cell: ([k, v]) => <input key={v} class="inline" aria-label={k} defaultValue={v} disabled={!may(`${cls}.add_to_other_config`)} onChange={(e) => { save(k, setKey(cls, refOf, rec.uuid, 'other_config', rec.other_config, k, e.currentTarget.value)); }} /> },
        { head: '', cell: ([k]) => <Act kind="quiet" title={say.removeOf(k)} label={say.removeOf(k)} calls={setKey(cls, refOf, rec.uuid, 'other_config', rec.other_config, k, '')}><Icon name="close" /></Act> },
      ]} />}
    </Card>
  );
}

/** Limits of measured values: what is over one for a time becomes an alert. */
export function Thresholds({ cls, refOf, rec }: { cls: 'VM' | 'host' | 'SR'; refOf: Ref; rec: Named }): JSX.Element {
  const now = readPerfmon(rec.other_config['perfmon'] ?? '');
  const set = (list: Threshold[]): ReturnType<typeof setKey> => setKey(cls, refOf, rec.uuid, 'other_config', rec.other_config, 'perfmon', list.length > 0 ? perfmonXml(list) : '');
  const measures = MEASURES.filter((m) => m.of.includes(cls));
  const titleOf = (name: string): string => measures.find((m) => m.name === name)?.title ?? name;
  const levelText = (t: Threshold): string => { const m = measures.find((x) => x.name === t.name); return m ? m.show(t.level) : String(t.level); };
  return (
    <Card title={say.thresholds} actions={<Ask why={denied(`${cls}.add_to_other_config`)} form={() => ({
      title: say.aThresholdOf(rec.name_label), verb: say.add, text: say.whenTheValueHasBeen,
      fields: [
        { id: 'name', label: say.value, kind: 'select', choices: measures.map((m) => [m.name, m.title]) },
        { id: 'sense', label: say.alertWhenItIs, kind: 'select', choices: [['high', 'above'], ['low', 'below']] },
        { id: 'level', label: say.level, hint: say.aSizeAs10Mib },
        { id: 'period', label: say.forHowManySeconds, kind: 'number', value: '60' },
        { id: 'priority', label: say.priority, kind: 'select', value: '3', choices: ['1', '2', '3', '4', '5'].map((p) => [p, p]), hint: say.n1IsTheMostUrgent },
      ],
      why: (v) => (Number.isNaN(levelOf(v['level'] ?? '')) ? say.theLevelIsASize : ''),
      calls: (v) => set([...now.filter((t) => t.name !== v['name']), { name: v['name'] ?? '', level: (levelOf(v['level'] ?? '') || 0) / (measures.find((m) => m.name === v['name'])?.scale ?? 1), high: v['sense'] !== 'low', period: Number(v['period']), priority: Number(v['priority']), rest: [] }]),
    })}><Icon name="plus" />{say.addThresholdAsk}</Ask>}>
      {now.length === 0 ? <Empty>{say.noneNoValueOfIt}</Empty> : <Table label={say.thresholds} keyOf={(t) => t.name} rows={now} columns={[
        { head: say.value, cell: (t) => titleOf(t.name) }, { head: say.alertWhen, cell: (t) => say.forS(t.high ? 'above' : 'below', levelText(t), t.period) },
        { head: '', cell: (t) => <Act kind="quiet" title={say.removeTheThresholdOf(titleOf(t.name))} label={say.removeOf(titleOf(t.name))} calls={set(now.filter((x) => x !== t))}><Icon name="close" /></Act> },
      ]} />}
    </Card>
  );
}

/** "90 %" and "0.9" are parts; sizes have units. */
function levelOf(text: string): number {
  const percent = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(text);
  return percent ? Number(percent[1]) / 100 : /^\s*0?\.\d+\s*$/.test(text) ? Number(text) : parseBytes(text);
}
