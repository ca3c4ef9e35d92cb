// SPDX-License-Identifier: Apache-2.0
// Measurements: what /rrd_updates answers, as the columns that a chart draws. Pure but for the fetch.
import { getJson } from './api';
import { say } from './strings';

export interface Updates { meta: { legend: string[]; step: number }; data: { t: number; values: (string | number)[] }[] }
export interface Series { label: string; values: (number | null)[] }
export interface Measured { times: number[]; of: Map<string, (number | null)[]> }

export interface Span { id: string; label: string; seconds: number; interval: number }
export const SPANS: Span[] = [
  { id: '10m', label: say.tenMinutes, seconds: 600, interval: 5 },
  { id: '2h', label: say.twoHours, seconds: 7200, interval: 60 },
  { id: '1w', label: say.week, seconds: 7 * 86400, interval: 3600 },
  { id: '1y', label: say.year, seconds: 365 * 86400, interval: 86400 },
];

/** The columns of one object (its uuid), oldest first; NaN becomes a gap. */
export function columnsOf(u: Updates, uuid: string): Measured {
  const rows = [...u.data].sort((a, b) => a.t - b.t);
  const of = new Map<string, (number | null)[]>();
  u.meta.legend.forEach((legend, i) => {
    const [cf, , owner, ...name] = legend.split(':');
    if (cf !== 'AVERAGE' || owner !== uuid) return;
    of.set(name.join(':'), rows.map((r) => {
      const v = Number(r.values[i]);
      return Number.isFinite(v) ? v : null;
    }));
  });
  return { times: rows.map((r) => r.t), of };
}

export function matching(m: Measured, pattern: RegExp): [string, (number | null)[]][] {
  return [...m.of].filter(([name]) => pattern.test(name));
}

export function scaled(values: (number | null)[], by: number): (number | null)[] {
  return values.map((v) => (v === null ? null : v * by));
}

export function total(columns: (number | null)[][], rows: number): (number | null)[] {
  return Array.from({ length: rows }, (_, i) => {
    const have = columns.map((c) => c[i]).filter((v): v is number => typeof v === 'number');
    return have.length > 0 ? have.reduce((a, b) => a + b, 0) : null;
  });
}

export interface ChartData { id: string; title: string; unit: 'percent' | 'bytes' | 'rate'; times: number[]; series: Series[] }

/** The four charts of a machine or a host. */
export function charts(m: Measured, host: boolean): ChartData[] {
  const rows = m.times.length;
  const named = (pattern: RegExp, label: string, by = 1): Series => ({ label, values: scaled(total(matching(m, pattern).map(([, v]) => v), rows), by) });
  const cpu = host ? named(/^cpu_avg$/, 'CPU', 100) : named(/^cpu_usage$/, 'CPU', 100);
  const memory = host
    ? [{ label: say.inUse, values: Array.from({ length: rows }, (_, i) => {
      const all = m.of.get('memory_total_kib')?.[i], free = m.of.get('memory_free_kib')?.[i];
      return typeof all === 'number' && typeof free === 'number' ? (all - free) * 1024 : null;
    }) }]
    : [named(/^memory$/, say.given)];
  const disk = host
    ? [named(/^io_throughput_read_/, say.read, 1024 * 1024), named(/^io_throughput_write_/, say.write, 1024 * 1024)]
    : [named(/^vbd_.*_read$/, say.read), named(/^vbd_.*_write$/, say.write)];
  const network = host ? [named(/^pif_aggr_rx$/, say.incoming), named(/^pif_aggr_tx$/, say.outgoing)] : [named(/^vif_.*_rx$/, say.incoming), named(/^vif_.*_tx$/, say.outgoing)];
  return [
    { id: 'cpu', title: say.cpu, unit: 'percent', times: m.times, series: [cpu] },
    { id: 'memory', title: say.memory, unit: 'bytes', times: m.times, series: memory },
    { id: 'disk', title: say.diskWord, unit: 'rate', times: m.times, series: disk },
    { id: 'network', title: say.network, unit: 'rate', times: m.times, series: network },
  ];
}

export async function measure(uuid: string, host: boolean, span: Span, now = Date.now()): Promise<Measured> {
  const start = Math.floor(now / 1000) - span.seconds;
  const whom = host ? 'host=true' : `vm_uuid=${encodeURIComponent(uuid)}`;
  const u = await getJson<Updates>(`/rrd_updates?start=${start}&interval=${span.interval}&cf=AVERAGE&json=true&${whom}`);
  return columnsOf(u, uuid);
}
