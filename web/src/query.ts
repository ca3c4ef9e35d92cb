// SPDX-License-Identifier: Apache-2.0
// The search language: words and field:value, joined by "and"; "-" or "!" in front takes away; values in quotes may hold
// spaces; numbers compare with > >= < <=, sizes have units ("memory:>2g"). Pure.
import { parseBytes } from './format';

export interface Term { field: string; op: ':' | '>' | '>=' | '<' | '<=' | '='; value: string; not: boolean }

const PART = /([!-]?)(?:([a-z_]+):(>=|<=|>|<|=)?)?("(?:[^"\\]|\\.)*"|[^\s"]+)/gi;

export function parseQuery(text: string): Term[] {
  const terms: Term[] = [];
  for (const m of text.matchAll(PART)) {
    const raw = m[4] ?? '';
    const value = raw.startsWith('"') ? raw.slice(1, -1).replace(/\\(.)/g, '$1') : raw;
    terms.push({ field: (m[2] ?? '').toLowerCase(), op: (m[3] as Term['op'] | undefined) ?? ':', value: value.toLowerCase(),
      not: m[1] !== '' });
  }
  return terms;
}

/** What a thing shows to the search: texts of "any" match words; arrays match when one of their members does. */
export interface Searchable { any: string; [field: string]: string | number | string[] }

function compare(have: number, op: Term['op'], want: number): boolean {
  switch (op) {
    case '>': return have > want;
    case '>=': return have >= want;
    case '<': return have < want;
    case '<=': return have <= want;
    default: return have === want;
  }
}

function holds(t: Term, thing: Searchable): boolean {
  if (t.field === '') return thing.any.toLowerCase().includes(t.value);
  const have = thing[t.field];
  if (have === undefined) return false;
  if (typeof have === 'number') return compare(have, t.op, parseBytes(t.value));
  const texts = (Array.isArray(have) ? have : [have]).map((s) => s.toLowerCase());
  return texts.some((s) => (t.op === '=' ? s === t.value : s.includes(t.value)));
}

export function matches(terms: Term[], thing: Searchable): boolean {
  return terms.every((t) => holds(t, thing) !== t.not);
}
