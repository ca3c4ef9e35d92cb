// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them. Pure.
import { say } from './strings';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** 3 significant digits in the units of memory and disks: 1536 -> "1.5 KiB". */
export function bytes(n: number): string {
  let value = Math.max(0, n);
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${String(Number(value.toFixed(digits)))} ${UNITS[unit]}`;
}

const SCALE: Record<string, number> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4, p: 1024 ** 5 };

/** "1.5 GiB", "512M", "10g", "4096" -> bytes; NaN: not a size. */
export function parseBytes(text: string): number {
  const m = /^\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?\s*$/i.exec(text);
  return m ? Math.round(Number(m[1]) * (SCALE[m[2]!.toLowerCase()] ?? NaN)) : NaN;
}

/** The API's "20260131T12:00:00Z" and "2026-01-31T12:00:00.5Z"; NaN for its "no date". */
export function parseDate(text: string): number {
  const m = /^(\d{4})-?(\d\d)-?(\d\d)T(\d\d):?(\d\d):?(\d\d)(\.\d+)?Z$/.exec(text);
  if (!m) return NaN;
  const [, y, mo, d, h, mi, s] = m.map(Number) as [number, number, number, number, number, number, number];
  const at = Date.UTC(y, mo - 1, d, h, mi, s);
  return at === 0 ? NaN : at;
}

/** In the user's zone and manner. */
export function when(text: string): string {
  const at = parseDate(text);
  return Number.isNaN(at) ? say.never : new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return say.seconds(s);
  if (s < 3600) return say.minutes(Math.floor(s / 60));
  if (s < 86400) return say.hoursOf(Math.floor(s / 3600), Math.floor((s % 3600) / 60));
  return say.daysOf(Math.floor(s / 86400), Math.floor((s % 86400) / 3600));
}

export function ago(text: string, now = Date.now()): string {
  const at = parseDate(text);
  return Number.isNaN(at) ? '' : say.ago(duration(now - at));
}

export function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, Math.max(0, (part / whole) * 100)) : 0;
}
