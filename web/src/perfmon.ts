// SPDX-License-Identifier: Apache-2.0
// other_config:perfmon, the thresholds of an object as XenServer writes them. Pure.
import { bytes } from './format';
import { say } from './strings';

export interface Threshold { name: string; level: number; high: boolean; period: number; priority: number; rest: [string, string][] }

interface Measure { name: string; of: string[]; title: string; show: (level: number) => string; scale: number }

const part = (v: number): string => `${Number((v * 100).toFixed(1))} %`;
const rate = (v: number): string => `${bytes(v)}/s`;

/** scale: by how much a size is divided for the level. */
export const MEASURES: Measure[] = [
  { name: 'cpu_usage', of: ['VM', 'host'], title: say.cpu, show: part, scale: 1 },
  { name: 'network_usage', of: ['VM', 'host'], title: say.network, show: rate, scale: 1 },
  { name: 'disk_usage', of: ['VM'], title: say.diskWord, show: rate, scale: 1 },
  { name: 'mem_usage', of: ['host'], title: say.memory, show: part, scale: 1 },
  { name: 'memory_free_kib', of: ['host'], title: say.memoryFree, show: (v) => bytes(v * 1024), scale: 1024 },
  { name: 'fs_usage', of: ['host'], title: say.rootFileSystem, show: part, scale: 1 },
  { name: 'physical_utilisation', of: ['SR'], title: say.spaceInUse, show: bytes, scale: 1 },
];

const KNOWN = ['name', 'alarm_trigger_level', 'alarm_trigger_sense', 'alarm_trigger_period', 'alarm_priority'];
const ENTITIES: [string, string][] = [['&', '&amp;'], ['<', '&lt;'], ['>', '&gt;'], ['"', '&quot;']];
const escape = (s: string): string => ENTITIES.reduce((t, [a, b]) => t.replaceAll(a, b), s);
const unescape = (s: string): string => [...ENTITIES].reverse().reduce((t, [a, b]) => t.replaceAll(b, a), s);

export function readPerfmon(xml: string): Threshold[] {
  return [...xml.matchAll(/<variable>(.*?)<\/variable>/gs)].map(([, inside]) => {
    const all = [...(inside ?? '').matchAll(/<(\w+)\s+value="([^"]*)"\s*\/?>/g)].map(([, k, v]): [string, string] => [k!, unescape(v!)]);
    const of = Object.fromEntries(all);
    const name = of['name'] ?? '';
    return { name, level: Number(of['alarm_trigger_level'] ?? NaN), high: (of['alarm_trigger_sense'] ?? (name === 'memory_free_kib' ? 'low' : 'high')) !== 'low',
      period: Number(of['alarm_trigger_period'] ?? 60), priority: Number(of['alarm_priority'] ?? 3), rest: all.filter(([k]) => !KNOWN.includes(k)) };
  });
}

export function perfmonXml(list: Threshold[]): string {
  const one = (k: string, v: string | number): string => `<${k} value="${escape(String(v))}"/>`;
  return `<config>${list.map((t) => `<variable>${[one('name', t.name), one('alarm_trigger_level', t.level), one('alarm_trigger_sense', t.high ? 'high' : 'low'),
    one('alarm_trigger_period', t.period), one('alarm_priority', t.priority), ...t.rest.map(([k, v]) => one(k, v))].join('')}</variable>`).join('')}</config>`;
}
