// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditRows } from './audit';
import { arg, asApi, asCommand, asCurl, filled, Result, sent, shellQuote } from './copyas';
import { bytes, duration, parseBytes, parseDate, percent } from './format';
import { formatOf } from './imageformat';
import { perfmonXml, readPerfmon } from './perfmon';
import { callsOf, mistake, type Base, type Plan } from './plan';
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
  const secret = { ...call, args: [arg('hidden', 'pass=PASSWORD', 'PASSWORD')] };
  assert.deepEqual(sent(secret), ['hidden']);
  for (const text of [asApi(secret), asCommand(secret), asCurl(secret, '')]) assert.ok(text.includes('PASSWORD') && !text.includes('hidden'), text);
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

void test('what earlier calls answered goes into later ones', () => {
  const call = { method: 'VBD.create', cli: '', args: [arg({ VM: new Result(0), VDI: new Result(1), list: [new Result(1), 'x'] })] };
  assert.deepEqual(filled(sent(call), ['vm', 'vdi']), [{ VM: 'vm', VDI: 'vdi', list: ['vdi', 'x'] }]);
  assert.equal(asApi(call), 'VBD.create(session, {"VM":"RESULT_1","VDI":"RESULT_2","list":["RESULT_2","x"]})');
  assert.equal(asCommand(call), '');
});

void test('formats of images by their bytes', () => {
  const bytesOf = (text: string, at = 0): Uint8Array => { const b = new Uint8Array(512); [...text].forEach((c, i) => { b[at + i] = c.charCodeAt(0); }); return b; };
  const zero = new Uint8Array(512);
  for (const [name, head, tail, want] of [
    ['a.img', bytesOf('QFI\u00fb'), zero, 'qcow2'], ['a', bytesOf('KDMV'), zero, 'vmdk'], ['a', bytesOf('vhdxfile'), zero, 'vhdx'], ['a', zero, bytesOf('conectix'), 'vhd'], ['a', bytesOf('conectix'), zero, 'vhd'],
    ['a.iso', zero, zero, 'iso'], ['a.img', zero, zero, 'raw'], ['a', bytesOf('ustar', 257), zero, 'xva'], ['a.xva.gz', zero, zero, 'xva'],
  ] as const) assert.equal(formatOf(name, head, tail, true), want, name);
  assert.equal(formatOf('a.tar', bytesOf('ustar', 257), zero, false), 'raw', 'a disk may hold an archive');
});

void test('thresholds are read, and written so that nothing of others is lost', () => {
  const xml = '<config><variable><name value="cpu_usage"/><alarm_trigger_level value="0.9"/><rrd_regex value="a&lt;b"/></variable><variable><name value="memory_free_kib"/><alarm_trigger_level value="10"/></variable></config>';
  const list = readPerfmon(xml);
  assert.deepEqual(list[0], { name: 'cpu_usage', level: 0.9, high: true, period: 60, priority: 3, rest: [['rrd_regex', 'a<b']] });
  assert.equal(list[1]?.high, false, 'what is free is watched from below');
  assert.deepEqual(readPerfmon(perfmonXml(list)), list);
  assert.deepEqual(readPerfmon(''), []);
});

const plan: Plan = { template: 'T', templateUuid: 't', name: ' web ', cpus: '4', memory: '1 GiB', disk: '10 GiB', sr: 'S', srUuid: 's', image: '', imageSize: 0, network: 'N', networkUuid: 'n', iso: 'OpaqueRef:NULL',
  hostname: 'web', user: 'ada', keys: 'ssh-ed25519 AAAA\n', userData: '', start: true };
const base: Base = { cpusMax: 1, drives: [], nics: [], hasCd: false, makesDisks: true, memoryMin: 16 << 20 };
const methods = (p: Plan, b: Base): string[] => callsOf(p, b).map((c) => c.method);

void test('a new machine as calls', () => {
  const calls = callsOf(plan, base);
  assert.deepEqual(methods(plan, base), ['VM.clone', 'VM.set_memory_limits', 'VM.set_VCPUs_max', 'VM.set_VCPUs_at_startup', 'VM.remove_from_other_config', 'VM.provision', 'VM.add_to_other_config', 'VM.add_to_other_config',
    'VM.add_to_other_config', 'VDI.create', 'VBD.create', 'VBD.create', 'VIF.create', 'VM.start']);
  assert.deepEqual(sent(calls[8]!).slice(1), ['cloud-init:user-data', '#cloud-config\nuser: ada\n']);
  const disk = sent(calls[10]!)[0] as { VDI: Result; userdevice: string };
  assert.deepEqual([disk.VDI.of, disk.userdevice], [9, '0'], 'the disk that was made before');
  assert.ok(calls.every((c) => c.method === 'VM.clone' || JSON.stringify(sent(c)).includes('RESULT_') || c.method === 'VDI.create'));
  // Fewer processors than the template has: those at the start first. Places that the template has taken are left.
  assert.deepEqual(methods({ ...plan, cpus: '1' }, { ...base, cpusMax: 2 }).slice(2, 4), ['VM.set_VCPUs_at_startup', 'VM.set_VCPUs_max']);
  const own = callsOf({ ...plan, disk: '', start: false }, { ...base, drives: ['0', '3'], nics: ['0'], hasCd: true, makesDisks: false });
  assert.deepEqual(own.map((c) => c.method).slice(-2), ['VM.add_to_other_config', 'VIF.create']);
  assert.equal((sent(own.at(-1)!)[0] as { device: string }).device, '1');
  const image = callsOf({ ...plan, image: 'I', imageSize: 2 << 30 }, base).map((c) => c.method);
  assert.ok(image.includes('VDI.clone') && image.includes('VDI.resize') && !image.includes('VDI.create'));
  assert.ok(!callsOf({ ...plan, image: 'I', imageSize: 20 * 2 ** 30 }, base).some((c) => c.method === 'VDI.resize'), 'a disk only grows');
});

void test('what is wrong with a new machine', () => {
  assert.equal(mistake(plan), '');
  for (const bad of [{ name: ' ' }, { cpus: '0' }, { cpus: '2.5' }, { memory: '1' }, { disk: 'much' }, { hostname: 'a b' }, { hostname: '-a' }, { user: 'Ada' }, { user: 'a\nb' }, { userData: '#cloud-config' }]) assert.notEqual(mistake({ ...plan, ...bad }), '', JSON.stringify(bad));
});
