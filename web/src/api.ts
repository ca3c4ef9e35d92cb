// SPDX-License-Identifier: Apache-2.0
// The XenAPI over JSON-RPC. The session is in a cookie that this page cannot read: "" stands for it.
import { signal } from '@preact/signals';
import { say } from './strings';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

export class ApiError extends Error {
  constructor(readonly code: string, readonly params: string[], readonly explain: string, readonly command = '') {
    super(explain || [code, ...params].join(', '));
  }
}

/** The daemon did not answer: it is restarting, or the network is away. */
export class Unreachable extends Error {}

export interface Session {
  user: string;
  roles: string[];
  superuser: boolean;
  permissions: string[] | null;
  version: string;
}

/** undefined: not known yet; null: nobody is signed in. */
export const session = signal<Session | null | undefined>(undefined);
let permitted: Set<string> | null = null;

function setSession(s: Session | null): void {
  permitted = s?.permissions ? new Set(s.permissions.map((p) => p.toLowerCase())) : null;
  session.value = s;
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { credentials: 'same-origin', cache: 'no-store', ...init });
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e;
    throw new Unreachable(say.theHostDoesNotAnswer);
  }
}

function post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  return request(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

interface RpcAnswer {
  result?: unknown;
  error?: { message: string; data: string[]; explain?: string; command?: string };
}

let count = 0;

export async function rpc<T = Json>(method: string, ...params: unknown[]): Promise<T> {
  return rpcWith<T>(undefined, method, ...params);
}

export async function rpcWith<T>(abort: AbortSignal | undefined, method: string, ...params: unknown[]): Promise<T> {
  const response = await post('/jsonrpc', { jsonrpc: '2.0', id: ++count, method, params: ['', ...params] }, abort);
  if (response.status !== 200) throw new Unreachable(say.theHostAnswered(response.status));
  const answer = (await response.json()) as RpcAnswer;
  if (!answer.error) return answer.result as T;
  const { message, data, explain, command } = answer.error;
  if (message === 'SESSION_INVALID') setSession(null);
  throw new ApiError(message, data, explain ?? '', command);
}

interface Refusal { error: string; params: string[]; explain: string }

async function takeSession(response: Response): Promise<void> {
  const type = response.headers.get('Content-Type') ?? '';
  if (response.status === 200) {
    setSession((await response.json()) as Session);
    return;
  }
  if (!type.startsWith('application/json')) throw new Unreachable(say.theHostAnswered(response.status));
  const refusal = (await response.json()) as Refusal;
  throw new ApiError(refusal.error, refusal.params, refusal.explain);
}

export async function login(username: string, password: string): Promise<void> {
  await takeSession(await post('/web/login', { username, password }));
}

export async function logout(): Promise<void> {
  await post('/web/logout', {});
  setSession(null);
}

/** Who is signed in by the cookie of an earlier visit. */
export async function resume(): Promise<void> {
  const response = await request('/web/session');
  if (response.status === 401) setSession(null);
  else await takeSession(response);
}

/** May the session make this call, by its roles? */
export function may(method: string): boolean {
  return permitted === null || permitted.has(method.toLowerCase());
}

/** Empty: the session may make this call. Otherwise why not. */
export const denied = (method: string): string => (may(method) ? '' : say.yourRoleDoesNotAllow(method));

export async function getText(path: string): Promise<string> {
  const response = await request(path);
  if (response.status !== 200) throw new ApiError(`HTTP_${response.status}`, [], (await response.text()).trim());
  return response.text();
}

export async function getJson<T>(path: string): Promise<T> {
  return JSON.parse(await getText(path)) as T;
}
