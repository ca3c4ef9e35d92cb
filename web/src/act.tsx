// SPDX-License-Identifier: Apache-2.0
// What people do is calls: a button, or a form that makes them of what is filled in. Both can show them instead of making them.
import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import { denied } from './api';
import { arg, type Call } from './copyas';
import { db } from './store';
import { NULL_REF, type ClassName, type Ref } from './model';
import { attemptCalls, notice } from './run';
import { Button, confirmThen, CopyAs, Field, openDialog, showCalls } from './ui';
import { say } from './strings';

/** Actions show their calls and do nothing. */
export const showing = signal(false);

const whyOf = (calls: Call[]): string => calls.map((c) => denied(c.method)).find((w) => w !== '') ?? '';

interface ActProps {
  title: string;
  calls: Call[];
  /** Empty: it may be done, as far as the role allows. */
  why?: string;
  /** What exactly will happen: asked once before. */
  ask?: string;
  verb?: string;
  kind?: 'primary' | 'danger' | 'quiet';
  label?: string;
  then?: () => void;
  children?: ComponentChildren;
}

export function Act({ title, calls, why, ask, verb, kind, label, then, children }: ActProps): JSX.Element {
  const go = (): void => { void attemptCalls(title, calls).then((ok) => { if (ok) then?.(); }); };
  const show = (): void => { showCalls(title, calls); };
  const click = (): void => {
    if (showing.value) show();
    else if (ask) confirmThen(title, ask, verb ?? title, go, calls);
    else go();
  };
  return <Button kind={kind!} label={label!} why={whyOf(calls) || (why ?? '')} onShow={show} onClick={click}>{children}</Button>;
}

/** A field set as soon as it was changed. */
export function save(title: string, calls: Call[]): void {
  if (showing.value) { showCalls(title, calls); return; }
  void attemptCalls(title, calls).then((ok) => { if (ok) notice.value = say.saved; });
}

export type Values = Record<string, string>;

export interface FormField {
  id: string;
  label: string;
  value?: string;
  kind?: 'text' | 'number' | 'password' | 'area' | 'check' | 'select' | 'file';
  choices?: [string, string][];
  hint?: string;
  optional?: boolean;
  pattern?: string;
  /** Shown only then. */
  when?: (v: Values) => boolean;
}

export interface Form {
  title: string;
  text?: string;
  verb: string;
  danger?: boolean;
  fields: FormField[];
  /** Why it cannot be done with these values; empty: it can. */
  why?: (v: Values) => string;
  calls: (v: Values) => Call[];
  undo?: (results: unknown[]) => Promise<void>;
  /** Instead of making the calls. */
  run?: (v: Values) => void;
  then?: (results?: unknown) => void;
}

function Input({ f, v, put }: { f: FormField; v: Values; put: (value: string) => void }): JSX.Element {
  const value = v[f.id] ?? '';
  switch (f.kind) {
    case 'area': return <textarea rows={4} value={value} required={!f.optional} onInput={(e) => { put(e.currentTarget.value); }} />;
    case 'select': return <select value={value} onChange={(e) => { put(e.currentTarget.value); }}>{f.choices?.map(([id, name]) => <option key={id} value={id}>{name}</option>)}</select>;
    default: return <input type={f.kind ?? 'text'} min={f.kind === 'number' ? 0 : undefined} value={value} required={!f.optional} pattern={f.pattern} autocomplete={f.kind === 'password' ? 'new-password' : 'off'} onInput={(e) => { put(e.currentTarget.value); }} />;
  }
}

function FormBody({ form, close }: { form: Form; close: () => void }): JSX.Element {
  const [v, setV] = useState<Values>(() => Object.fromEntries(form.fields.map((f) => [f.id, f.value ?? (f.kind === 'select' ? f.choices?.[0]?.[0] ?? '' : '')])));
  const fields = form.fields.filter((f) => f.when?.(v) ?? true);
  const whole = fields.every((f) => f.optional ?? (f.kind === 'check' || v[f.id] !== ''));
  const calls = form.calls(v);
  const why = whyOf(calls) || (whole ? form.why?.(v) ?? '' : say.somethingIsNotFilledIn);
  const submit = (e: Event): void => {
    e.preventDefault();
    if (why !== '') { notice.value = why; return; }
    close();
    if (showing.value) showCalls(form.title, calls);
    else if (form.run) form.run(v);
    else void attemptCalls(form.title, calls, form.undo).then((ok) => { if (ok) form.then?.(); });
  };
  return (
    <form onSubmit={submit}>
      {form.text && <p>{form.text}</p>}
      {fields.map((f) => {
        const put = (value: string): void => { setV((was) => ({ ...was, [f.id]: value })); };
        return f.kind === 'check'
          ? <label class="check" key={f.id}><input type="checkbox" checked={v[f.id] === 'true'} onChange={(e) => { put(String(e.currentTarget.checked)); }} /> {f.label}</label>
          : <Field key={f.id} label={f.label} {...(f.hint ? { hint: f.hint } : {})}><Input f={f} v={v} put={put} /></Field>;
      })}
      {calls.length > 0 && <CopyAs calls={calls} />}
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind={form.danger ? 'danger' : 'primary'} type="submit" why={why}>{form.verb}</Button></footer>
    </form>
  );
}

export function askForm(form: Form): void {
  openDialog(form.title, (close) => <FormBody form={form} close={close} />);
}

/** A button that opens a form; greyed when its calls are not the role's. */
export function Ask({ form, why, kind, label, children }: { form: () => Form; why?: string; kind?: 'primary' | 'danger' | 'quiet'; label?: string; children?: ComponentChildren }): JSX.Element {
  return <Button kind={kind!} label={label!} why={why ?? ''} onClick={() => { askForm(form()); }}>{children}</Button>;
}

/* Calls that every class has */

export const uuidOf = (cls: ClassName, ref: Ref): string => db[cls].get(ref)?.uuid ?? '';

const dashed = (field: string): string => field.replaceAll('_', '-').toLowerCase();

export function setField(cls: string, ref: Ref, uuid: string, field: string, value: unknown): Call {
  return { method: `${cls}.set_${field}`, cli: `${cls.toLowerCase()}-param-set`, args: [arg(ref, `uuid=${uuid}`), arg(value, `${dashed(field)}=${Array.isArray(value) ? value.join(',') : String(value)}`)] };
}

/** Sets or, with an empty value, takes away a key of a map. */
export function setKey(cls: string, ref: Ref, uuid: string, field: string, map: Record<string, string>, key: string, value: string): Call[] {
  const had = Object.hasOwn(map, key);
  const cli = `${cls.toLowerCase()}-param-`;
  const remove: Call = { method: `${cls}.remove_from_${field}`, cli: `${cli}remove`, args: [arg(ref, `uuid=${uuid}`), arg(key, `param-name=${dashed(field)}`), arg(undefined, `param-key=${key}`)] };
  if (value === '') return had ? [remove] : [];
  const add: Call = { method: `${cls}.add_to_${field}`, cli: say.setOf(cli), args: [arg(ref, `uuid=${uuid}`), arg(key), arg(value, `${dashed(field)}:${key}=${value}`)] };
  return had ? [{ ...remove, cli: '' }, add] : [add];
}

export const none = (ref: Ref): boolean => ref === NULL_REF || ref === '';
