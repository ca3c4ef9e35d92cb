// SPDX-License-Identifier: Apache-2.0
// Charts of measurements. Measurements are no objects and send no events: a chart that is in sight, in a page that is, asks for
// them, never more often than they are taken.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { bytes } from './format';
import { charts, measure, SPANS, type ChartData, type Span } from './rrd';
import { say } from './strings';

const HEIGHT = 170;

function label(unit: ChartData['unit'], v: number): string {
  if (unit === 'percent') return `${String(Number(v.toFixed(1)))} %`;
  return unit === 'bytes' ? bytes(v) : `${bytes(v)}/s`;
}

function colours(): { text: string; grid: string; lines: string[] } {
  const css = getComputedStyle(document.documentElement);
  const get = (name: string): string => css.getPropertyValue(name).trim();
  return { text: get('--muted'), grid: get('--line'), lines: [get('--chart-1'), get('--chart-2')] };
}

/** Steps of an axis of sizes. */
const POWERS = Array.from({ length: 50 }, (_, i) => 2 ** i);

function tick(seconds: number, hours: boolean): string {
  return new Date(seconds * 1000).toLocaleString(undefined, hours ? { hour: '2-digit', minute: '2-digit' } : { day: 'numeric', month: 'short' });
}

function options(data: ChartData, width: number, hours: boolean): uPlot.Options {
  const c = colours();
  const axis = { stroke: c.text, grid: { stroke: c.grid, width: 1 }, ticks: { show: false }, font: '11px system-ui' };
  return {
    width, height: HEIGHT, legend: { live: true }, cursor: { points: { size: 6 } },
    scales: { y: { range: (_u, _min, max) => [0, data.unit === 'percent' ? 100 : Math.max(max * 1.1, 1024)] } },
    axes: [{ ...axis, space: 70, values: (_u, at) => at.map((v) => tick(v, hours)) }, { ...axis, size: 74, ...(data.unit === 'percent' ? {} : { incrs: POWERS }), values: (_u, at) => at.map((v) => label(data.unit, v)) }],
    series: [{ value: (_u, v) => (v === null ? '—' : new Date(v * 1000).toLocaleString(undefined, hours ? { timeStyle: 'medium' } : { dateStyle: 'short', timeStyle: 'short' })) },
      ...data.series.map((s, i) => ({ label: s.label, stroke: c.lines[i]!, width: 1.5, fill: i === 0 ? `${c.lines[i]!}22` : undefined as unknown as string,
        spanGaps: false, points: { show: false }, value: (_u: uPlot, v: number | null) => (v === null ? '—' : label(data.unit, v)) }))],
  };
}

function Chart({ data, hours }: { data: ChartData; hours: boolean }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const rows: uPlot.AlignedData = [data.times, ...data.series.map((s) => s.values)] as uPlot.AlignedData;
  useEffect(() => {
    const el = box.current;
    if (!el) return undefined;
    const make = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(options(data, Math.max(220, el.clientWidth), hours), rows, el);
    };
    make();
    const watch = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(220, el.clientWidth), height: HEIGHT }));
    watch.observe(el);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', make);
    addEventListener('serai-theme', make);
    return () => {
      watch.disconnect();
      scheme.removeEventListener('change', make);
      removeEventListener('serai-theme', make);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [data.id, hours]);
  useEffect(() => { plot.current?.setData(rows); }, [data]);
  const newest = data.series.map((s) => {
    const v = s.values.filter((x) => x !== null).at(-1);
    return `${s.label} ${v === undefined || v === null ? say.notMeasured : label(data.unit, v)}`;
  });
  return (
    <figure class="chart" aria-label={`${data.title}: ${newest.join(', ')}`} data-newest={data.times.at(-1) ?? 0}>
      <figcaption>{data.title}<span>{newest.join(' · ')}</span></figcaption>
      <div ref={box} />
    </figure>
  );
}

/** Is the element on the screen? */
function useInSight(): { box: { current: HTMLDivElement | null }; inSight: boolean } {
  const box = useRef<HTMLDivElement>(null);
  const [inSight, setInSight] = useState(false);
  useEffect(() => {
    const el = box.current;
    if (!el) return undefined;
    let near = false;
    const look = (): void => { setInSight(near && document.visibilityState === 'visible'); };
    const watch = new IntersectionObserver((all) => { near = all.at(-1)?.isIntersecting ?? false; look(); });
    watch.observe(el);
    document.addEventListener('visibilitychange', look);
    return () => { watch.disconnect(); document.removeEventListener('visibilitychange', look); };
  }, []);
  return { box, inSight };
}

export function useCharts(uuid: string, host: boolean, span: Span, inSight: boolean): { data: ChartData[]; error: string } {
  const [state, setState] = useState<{ data: ChartData[]; error: string }>({ data: [], error: '' });
  useEffect(() => {
    if (!inSight) return undefined;
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      try {
        const m = await measure(uuid, host, span);
        if (!over) setState({ data: charts(m, host), error: '' });
      } catch (e) {
        if (!over) setState((s) => ({ ...s, error: e instanceof Error ? e.message : String(e) }));
      }
      if (!over) timer = setTimeout(() => void ask(), span.interval * 1000);
    };
    void ask();
    return () => { over = true; clearTimeout(timer); };
  }, [uuid, host, span, inSight]);
  return state;
}

export function Charts({ uuid, host, only }: { uuid: string; host: boolean; only?: string[] }): JSX.Element {
  const [span, setSpan] = useState(SPANS[0]!);
  const { box, inSight } = useInSight();
  const { data, error } = useCharts(uuid, host, span, inSight);
  const show = data.filter((d) => !only || only.includes(d.id));
  return (
    <div ref={box}>
      <div class="segments" role="group" aria-label={say.timeSpan}>
        {SPANS.map((s) => <button type="button" key={s.id} aria-pressed={s === span} onClick={() => { setSpan(s); }}>{s.label}</button>)}
      </div>
      {error && <p class="empty" role="status">{error}</p>}
      <div class="charts">{show.map((d) => <Chart key={d.id} data={d} hours={span.seconds < 86400} />)}</div>
    </div>
  );
}
