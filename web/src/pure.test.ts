// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditRows } from './audit';
import { arg, asApi, asCommand, asCurl, shellQuote } from './copyas';
import { bytes, duration, parseBytes, parseDate, percent } from './format';
import { matches, parseQuery, type Searchable } from './query';
import { charts, columnsOf, total, type Updates } from './rrd';

void test('sizes are written in binary units and read in any', () => {
  for (const [n, text] of [[0, '0 B'], [1023, '1023 B'], [1536, '1.5 KiB'], [2 ** 30, '1 GiB'], [12.34 * 2 ** 30, '12.3 GiB'], [512 * 2 ** 20, '512 MiB'], [-5, '0 B']] as const) assert.equal(bytes(n), text);
  for (const [text, n] of [['2 GiB', 2 ** 31], ['2g', 2 ** 31], ['1.5 KiB', 1536], ['4096', 4096], ['10 MB', 10 * 2 ** 20], ['3t', 3 * 2 ** 40]] as const) assert.equal(parseBytes(text), n);
  for (const text of ['', 'much', '-1 GiB', '1 GiB each', '1..5g']) assert.ok(Number.isNaN(parseBytes(text)), text);
  assert.equal(parseBytes(bytes(8 * 2 ** 30)), 8 * 2 ** 30);
});

void test('times of both of the API’s forms', () => {
  assert.equal(parseDate('20260131T12:00:05Z'), Date.UTC(2026, 0, 31, 12, 0, 5));
  assert.equal(parseDate('2026-01-31T12:00:05.123456Z'), Date.UTC(2026, 0, 31, 12, 0, 5));
  for (const text of ['19700101T00:00:00Z', '', 'yesterday']) assert.ok(Number.isNaN(parseDate(text)), text);
  assert.deepEqual([5e3, 65e3, 3660e3, 90000e3].map(duration), ['5 s', '1 min', '1 h 1 min', '1 d 1 h']);
  assert.equal(percent(5, 0), 0);
  assert.equal(percent(3, 4), 75);
});

const thing: Searchable = { any: 'web1 the shop', name: 'web1', state: 'Running', tag: ['production', 'eu west'], memory: 4 * 2 ** 30, cpu: 2, folder: '' };

void test('the search language', () => {
  for (const [query, want] of [
    ['', true], ['web', true], ['WEB shop', true], ['web nothing', false], ['-web', false], ['!nothing', true],
    ['state:running', true], ['state:=run', false], ['-state:halted', true], ['tag:prod', true], ['tag:"eu west"', true], ['tag:=prod', false],
    ['memory:>2g', true], ['memory:>=4g', true], ['memory:<4g', false], ['cpu:2', true], ['cpu:>2', false], ['memory:>nonsense', false],
    ['name:"web1" state:running memory:<8g', true], ['nosuch:field', false], ['"the shop"', true], ['"shop the"', false],
  ] as const) assert.equal(matches(parseQuery(query), thing), want, query);
});

void test('a call in three manners', () => {
  const call = { method: 'VM.hard_shutdown', cli: 'vm-shutdown', args: [arg('OpaqueRef:1', 'vm=it\'s'), arg(undefined, 'force=true')] };
  assert.equal(asApi(call), 'VM.hard_shutdown(session, "OpaqueRef:1")');
  assert.equal(asCommand(call), `serai vm-shutdown 'vm=it'\\''s' force=true`);
  const curl = asCurl(call, 'https://h:1');
  assert.match(curl, /^curl -k https:\/\/h:1\/jsonrpc /);
  const body = /-d '(.*)'$/.exec(curl)?.[1] ?? '';
  assert.deepEqual(JSON.parse(body), { jsonrpc: '2.0', id: 1, method: 'VM.hard_shutdown', params: ['SESSION', 'OpaqueRef:1'] });
  assert.equal(shellQuote('a b'), `'a b'`);
  assert.equal(shellQuote(''), `''`);
});

const updates: Updates = {
  meta: { step: 5, legend: ['AVERAGE:vm:u:cpu_usage', 'MAX:vm:u:cpu_usage', 'AVERAGE:vm:u:vbd_xvda_read', 'AVERAGE:vm:u:vbd_xvdb_read', 'AVERAGE:vm:other:cpu_usage'] },
  data: [{ t: 10, values: ['0.5', '1', '100', 'NaN', '0.9'] }, { t: 5, values: ['0.25', '1', '50', '7', '0.9'] }],
};

void test('measurements become columns, oldest first, with gaps', () => {
  const m = columnsOf(updates, 'u');
  assert.deepEqual(m.times, [5, 10]);
  assert.deepEqual([...m.of.keys()], ['cpu_usage', 'vbd_xvda_read', 'vbd_xvdb_read']);
  assert.deepEqual(m.of.get('vbd_xvdb_read'), [7, null]);
  const [cpu, , disk] = charts(m, false);
  assert.deepEqual(cpu?.series[0]?.values, [25, 50]);
  assert.deepEqual(disk?.series[0]?.values, [57, 100]);
  assert.deepEqual(disk?.series[1]?.values, [null, null]);
  assert.deepEqual(total([], 2), [null, null]);
});

void test('the audit log’s intents get their outcomes', () => {
  const rows = auditRows([
    { n: 1, time: '', kind: 'session', call: 'session.login', outcome: 'done' }, { n: 2, time: '', kind: 'intent', call: 'VM.start' },
    { n: 3, time: '', kind: 'intent', call: 'VM.pause' }, { n: 4, time: '', kind: 'outcome', of: 2, outcome: 'failed', error: ['VM_BAD_POWER_STATE'] },
  ]);
  assert.deepEqual(rows.map((r) => [r.n, r.outcome, r.error?.[0]]), [[3, 'under way', undefined], [2, 'failed', 'VM_BAD_POWER_STATE'], [1, 'done', undefined]]);
});
