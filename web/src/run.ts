// SPDX-License-Identifier: Apache-2.0
// Calls that change something. What takes time runs as a task of the host and is shown in the pane from its record; what
// fails is kept there with its explanation.
import { effect, signal } from '@preact/signals';
import { ApiError, Unreachable, rpc, session } from './api';
import { filled, sent, type Call } from './copyas';
import type { Ref, Task } from './model';
import { db, until } from './store';
import { say } from './strings';

export interface Failure { id: number; title: string; at: number; code: string; text: string; command: string }

export const failures = signal<Failure[]>([]);
/** Titles of the tasks that this page started. */
export const titles = new Map<Ref, string>();
/** And the calls that they are. */
export const callOf = new Map<Ref, Call>();
/** What was done last, as calls. */
export const lastCalls = signal<Call[]>([]);
export const paneOpen = signal(false);
export const notice = signal('');

// Whoever signs in next sees nothing of it: there may be a secret in a call.
effect(() => {
  if (session.value !== null) return;
  failures.value = [];
  lastCalls.value = [];
  titles.clear();
  callOf.clear();
});

let count = 0;

export function report(title: string, e: unknown): void {
  const api = e instanceof ApiError ? e : null;
  const text = api?.explain || (e instanceof Error ? e.message : String(e));
  failures.value = [{ id: ++count, title, at: Date.now(), code: api ? [api.code, ...api.params].join(' · ') : '',
    text, command: api?.command ?? '' }, ...failures.value].slice(0, 50);
  paneOpen.value = true;
}

interface Explained { sentence?: string; command?: string }

async function taskError(info: string[]): Promise<ApiError> {
  const [code = 'UNKNOWN', ...params] = info;
  try {
    const told = await rpc<Explained>('serai.explain', code, params);
    return new ApiError(code, params, told.sentence ?? '', told.command ?? '');
  } catch (e) {
    if (e instanceof Unreachable) return new ApiError(code, params, '');
    return new ApiError(code, params, '');
  }
}

/** The value of a task's result: XML as XML-RPC has it, "<value>OpaqueRef:...</value>". */
export function resultText(result: string): string {
  return result.replace(/^<value>/, '').replace(/<\/value>$/, '').replace(/^<string>(.*)<\/string>$/s, '$1');
}

const over = (t: Task | undefined): boolean => !t || (t.status !== 'pending' && t.status !== 'cancelling');

/** Starts the call as a task and waits for its end. */
export async function runTask(title: string, call: Call): Promise<string> {
  const ref = await rpc<Ref>(`Async.${call.method}`, ...sent(call));
  titles.set(ref, title);
  callOf.set(ref, call);
  let seen = false;
  await until(() => {
    const t = db.task.rows.get(ref);
    seen ||= t !== undefined;
    return seen && over(t);
  });
  const task = db.task.rows.get(ref);
  if (!task) throw new ApiError('TASK_GONE', [], say.theHostWasRestartedWhile);
  if (task.status === 'success') return resultText(task.result);
  if (task.status === 'cancelled') throw new ApiError('TASK_CANCELLED', [], say.cancelled);
  throw await taskError(task.error_info);
}

/** Runs it, and shows what goes wrong in the pane. True: done. */
export async function attempt(title: string, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (e) {
    report(title, e);
    return false;
  }
}

/** Calls that set a field, or of which nothing takes time, have no form as a task. */
const AT_ONCE = /\.(?:set|add|remove)_|^serai|^message\.|^task\.|^session\./;

/** Of several calls these are shown as tasks; the others are over before one could look. */
const LONG = /^VM\.(?:start|clone|copy|checkpoint|destroy)|^VDI\.(?:copy|resize|pool_migrate)|^SR\./;

/** One after another; what earlier ones answered is put into later ones. When one fails, what was made is taken away. */
export async function runCalls(title: string, calls: Call[], undo?: (results: unknown[]) => Promise<void>): Promise<unknown[]> {
  const results: unknown[] = [];
  try {
    for (const c of calls) {
      const call = { ...c, args: c.args.map((a) => ({ ...a, value: filled(a.value, results) })) };
      results.push(AT_ONCE.test(c.method) || (calls.length > 1 && !LONG.test(c.method)) ? await rpc(c.method, ...sent(call)) : await runTask(calls.length > 1 ? `${title} (${c.method})` : title, call));
    }
  } catch (e) {
    await undo?.(results).catch(() => undefined); // what failed first is what is told
    throw e;
  }
  lastCalls.value = calls;
  return results;
}

export const attemptCalls = (title: string, calls: Call[], undo?: (results: unknown[]) => Promise<void>): Promise<boolean> => attempt(title, () => runCalls(title, calls, undo));

export const attemptTask = (title: string, call: Call): Promise<boolean> => attempt(title, () => runTask(title, call));
