// SPDX-License-Identifier: Apache-2.0
// One call in three manners: the API's, the command line's, curl's. Pure.

/** One argument: what is sent, and how the command line names it ("force=true"; "": it has no such argument). */
export interface Arg { value: unknown; cli: string }
export interface Call { method: string; args: Arg[]; cli: string }

export const arg = (value: unknown, cli = ''): Arg => ({ value, cli });

/** The arguments of the call itself; the others are the command line's alone. */
export const sent = (c: Call): unknown[] => c.args.map((a) => a.value).filter((v) => v !== undefined);

/** Quoted for a shell where that is needed. */
export function shellQuote(s: string): string {
  return /^[\w@%+=:,./-]+$/.test(s) ? s : `'${s.replaceAll("'", "'\\''")}'`;
}

export function asApi(c: Call): string {
  return `${c.method}(${['session', ...c.args.filter((a) => a.value !== undefined).map((a) => JSON.stringify(a.value))].join(', ')})`;
}

export function asCommand(c: Call): string {
  return ['serai', c.cli, ...c.args.map((a) => a.cli).filter((s) => s !== '').map(shellQuote)].join(' ');
}

export function asCurl(c: Call, origin: string): string {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: c.method, params: ['SESSION', ...sent(c)] });
  return `curl -k ${shellQuote(`${origin}/jsonrpc`)} -H 'Content-Type: application/json' -d ${shellQuote(body)}`;
}

