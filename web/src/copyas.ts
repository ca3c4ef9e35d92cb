// SPDX-License-Identifier: Apache-2.0
// One call in three manners: the API's, the command line's, curl's; and calls one after another, of which a later one needs what
// an earlier one answered. Pure.

/** One argument: what is sent, how the command line names it ("force=true"; "": it has no such argument), and what is shown in
 * its place: not a secret. */
export interface Arg { value: unknown; cli: string; shown: unknown }
export interface Call { method: string; args: Arg[]; cli: string }

export const arg = (value: unknown, cli = '', shown = value): Arg => ({ value, cli, shown });

/** The arguments of the call itself; the others are the command line's alone. */
export const sent = (c: Call): unknown[] => c.args.map((a) => a.value).filter((v) => v !== undefined);

const shown = (c: Call): unknown[] => c.args.filter((a) => a.value !== undefined).map((a) => a.shown);

/** What a call before (0 is the first one) answers; written as RESULT_1 where it is not known yet. */
export class Result {
  constructor(readonly of: number) {}
  toJSON(): string { return `RESULT_${this.of + 1}`; }
}

/** The value with what earlier calls answered in its places. */
export function filled(value: unknown, results: unknown[]): unknown {
  if (value instanceof Result) return results[value.of];
  if (Array.isArray(value)) return value.map((v) => filled(v, results));
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, filled(v, results)]));
  return value;
}

/** Quoted for a shell where that is needed. */
export function shellQuote(s: string): string {
  return /^[\w@%+=:,./-]+$/.test(s) ? s : `'${s.replaceAll("'", "'\\''")}'`;
}

export function asApi(c: Call): string {
  return `${c.method}(${['session', ...shown(c).map((v) => JSON.stringify(v))].join(', ')})`;
}

export function asCommand(c: Call): string {
  return c.cli === '' ? '' : ['serai', c.cli, ...c.args.map((a) => a.cli).filter((s) => s !== '').map(shellQuote)].join(' ');
}

export function asCurl(c: Call, origin: string): string {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: c.method, params: ['SESSION', ...shown(c)] });
  return `curl -k ${shellQuote(`${origin}/jsonrpc`)} -H 'Content-Type: application/json' -d ${shellQuote(body)}`;
}

