// SPDX-License-Identifier: Apache-2.0
// The pieces that all pages are made of.
import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { asApi, asCommand, asCurl, type Call } from './copyas';
import { notice } from './run';
import { say } from './strings';

interface Children { children?: ComponentChildren }

/* Icons: drawn here, 16 by 16, in the colour of the text. */
const PATHS: Record<string, string> = {
  pool: 'M2 4l6-2 6 2-6 2zM2 8l6 2 6-2M2 12l6 2 6-2M2 4v8M14 4v8',
  host: 'M2 3h12v4H2zM2 9h12v4H2zM4.5 5h.01M4.5 11h.01',
  vm: 'M2 3h12v8H2zM6 14h4M8 11v3',
  template: 'M3 2h7l3 3v9H3zM10 2v3h3',
  sr: 'M3 4c0-2.5 10-2.5 10 0v8c0 2.5-10 2.5-10 0zM3 4c0 2.5 10 2.5 10 0M3 8c0 2.5 10 2.5 10 0',
  network: 'M8 5V2M8 5H3v4M8 5h5v4M1.5 9h3v3h-3zM11.5 9h3v3h-3zM6.5 9h3v3h-3zM8 5v4',
  search: 'M7 2a5 5 0 1 1 0 10A5 5 0 0 1 7 2zM11 11l3.5 3.5',
  plus: 'M8 3v10M3 8h10', close: 'M4 4l8 8M12 4l-8 8', right: 'M6 3l5 5-5 5', down: 'M3 6l5 5 5-5',
  bell: 'M8 2a4 4 0 0 1 4 4c0 4 2 5 2 5H2s2-1 2-5a4 4 0 0 1 4-4zM6.5 13.5h3', sun: 'M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1',
  menu: 'M2 4h12M2 8h12M2 12h12', user: 'M8 2a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM2 14c0-6 12-6 12 0', copy: 'M5 5h8v9H5zM3 11V2h8',
  code: 'M5 4L1 8l4 4M11 4l4 4-4 4M9.5 2.5l-3 11',
  folder: 'M2 4h4l1.5 2H14v7H2z', tag: 'M2 2h6l6 6-6 6-6-6zM5 5h.01', warn: 'M8 2l6.5 12h-13zM8 6v4M8 12h.01',
};

export function Icon({ name }: { name: string }): JSX.Element {
  return <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d={PATHS[name] ?? ''} /></svg>;
}

interface ButtonProps extends Children {
  onClick?: () => void;
  /** What it does, for those who want to see that: by the menu key, the right button, or a long press. */
  onShow?: () => void;
  pressed?: boolean;
  why?: string;
  kind?: 'primary' | 'danger' | 'quiet';
  type?: 'button' | 'submit';
  label?: string;
  title?: string;
}

/** why: it cannot be done, and the reason; such a button can be reached and read but does nothing. */
export function Button({ onClick, onShow, pressed, why = '', kind, type = 'button', label, title, children }: ButtonProps): JSX.Element {
  return (
    <button type={type} class={`button ${kind ?? ''}`} aria-disabled={why !== '' ? 'true' : undefined} title={why || title}
      aria-label={label ? (why ? `${label}. ${why}` : label) : undefined} aria-pressed={pressed}
      onContextMenu={onShow && ((e) => { e.preventDefault(); onShow(); })}
      onClick={(e) => { if (why !== '') e.preventDefault(); else onClick?.(); }}>
      {children}
    </button>
  );
}

/** The API's words for states, in the user's. */
export const stateName = (value: string): string => (say.states as Record<string, string>)[value.toLowerCase()] ?? value;

export function State({ value }: { value: string }): JSX.Element {
  return <span class={`state ${value.toLowerCase()}`}>{stateName(value)}</span>;
}

export function Bar({ value, label }: { value: number; label: string }): JSX.Element {
  return (
    <span class={`bar ${value > 90 ? 'full' : ''}`} role="meter" aria-valuenow={Math.round(value)} aria-valuemin={0} aria-valuemax={100} aria-label={label}>
      <span style={{ width: `${value}%` }} />
    </span>
  );
}

export function Card({ title, actions, children, wide }: Children & { title: string; actions?: ComponentChildren; wide?: boolean }): JSX.Element {
  return (
    <section class={`card ${wide ? 'wide' : ''}`} aria-label={title}>
      <header><h2>{title}</h2><div class="row">{actions}</div></header>
      {children}
    </section>
  );
}

export function Facts({ rows }: { rows: [string, ComponentChildren][] }): JSX.Element {
  return <dl class="facts">{rows.map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>;
}

export function Empty({ children }: Children): JSX.Element {
  return <p class="empty">{children}</p>;
}

interface Column<T> { head: string; cell: (row: T) => ComponentChildren; num?: boolean }

export function Table<T>({ label, columns, rows, keyOf }: { label: string; columns: Column<T>[]; rows: T[]; keyOf: (row: T) => string }): JSX.Element {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead><tr>{columns.map((c) => <th key={c.head} scope="col" class={c.num ? 'num' : ''}>{c.head || <span class="hidden">{say.actions}</span>}</th>)}</tr></thead>
        <tbody>{rows.map((r) => <tr key={keyOf(r)}>{columns.map((c) => <td key={c.head} class={c.num ? 'num' : ''}>{c.cell(r)}</td>)}</tr>)}</tbody>
      </table>
    </div>
  );
}

/* Rows of one height, of which only those in sight are drawn. */
export function VirtualList<T>({ rows, height, row, label, keyOf }: { rows: T[]; height: number; row: (r: T, i: number) => ComponentChildren; label: string; keyOf: (r: T) => string }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return undefined;
    const look = (): void => { setView((v) => (v.top === el.scrollTop && v.height === el.clientHeight ? v : { top: el.scrollTop, height: el.clientHeight })); };
    const watch = new ResizeObserver(look);
    watch.observe(el);
    el.addEventListener('scroll', look, { passive: true });
    look();
    return () => { watch.disconnect(); el.removeEventListener('scroll', look); };
  }, []);
  const first = Math.max(0, Math.floor(view.top / height) - 6);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / height) + 6);
  return (
    <div class="virtual" ref={box} role="list" aria-label={label} tabIndex={0}>
      <div style={{ height: say.px(rows.length * height) }} role="presentation">
        {rows.slice(first, last).map((r, i) => (
          <div class="virtual-row" role="listitem" key={keyOf(r)} aria-setsize={rows.length} aria-posinset={first + i + 1}
            style={{ transform: `translateY(${(first + i) * height}px)`, height: say.px(height) }}>{row(r, first + i)}</div>
        ))}
      </div>
    </div>
  );
}

/* Dialogs: one at a time, by the browser's own element, so that focus and Escape are right. */
interface Shown { title: string; body: (close: () => void) => ComponentChildren }
const shown = signal<Shown | null>(null);

export function openDialog(title: string, body: Shown['body']): void {
  shown.value = { title, body };
}

export function DialogHost(): JSX.Element | null {
  const box = useRef<HTMLDialogElement>(null);
  const now = shown.value;
  useEffect(() => {
    if (now && !box.current?.open) box.current?.showModal();
  }, [now]);
  if (!now) return null;
  const close = (): void => { box.current?.close(); };
  return (
    <dialog ref={box} aria-label={now.title} onClose={() => { shown.value = null; }}>
      <header><h2>{now.title}</h2><button type="button" class="button quiet" aria-label={say.close} onClick={close}><Icon name="close" /></button></header>
      {now.body(close)}
    </dialog>
  );
}

/** Says what exactly will happen and asks once. */
export function confirmThen(title: string, text: string, verb: string, then: () => void, calls?: Call[]): void {
  openDialog(title, (close) => (
    <form onSubmit={(e) => { e.preventDefault(); close(); then(); }}>
      <p>{text}</p>
      {calls && <CopyAs calls={calls} />}
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="danger" type="submit">{verb}</Button></footer>
    </form>
  ));
}

export function Field({ label, hint, children }: Children & { label: string; hint?: string }): JSX.Element {
  return <label class="field"><span>{label}</span>{children}{hint && <small>{hint}</small>}</label>;
}

export async function copyText(text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
  notice.value = say.copied;
}

function Form3({ call }: { call: Call }): JSX.Element {
  const forms: [string, string][] = [['API', asApi(call)], [say.command, asCommand(call)], ['curl', asCurl(call, location.origin)]];
  return (
    <>
      {forms.filter(([, text]) => text !== '').map(([name, text]) => (
        <div key={name}><span>{name}</span><code tabIndex={0}>{text}</code><Button kind="quiet" label={say.copyAs(name)} onClick={() => void copyText(text)}><Icon name="copy" /></Button></div>
      ))}
    </>
  );
}

export function CopyAs({ calls, open }: { calls: Call[]; open?: boolean }): JSX.Element {
  return (
    <details class="copyas" open={open}>
      <summary>{say.copyAsAsk}</summary>
      {calls.map((c, i) => <section key={i} aria-label={c.method}>{calls.length > 1 && <strong>{i + 1}. {c.method}</strong>}<Form3 call={c} /></section>)}
      <small>{say.putASessionOfYours}</small>
    </details>
  );
}

export function showCalls(title: string, calls: Call[]): void {
  openDialog(title, (close) => (
    <form onSubmit={(e) => { e.preventDefault(); close(); }}><CopyAs calls={calls} open /><footer><Button kind="primary" type="submit">{say.done}</Button></footer></form>
  ));
}

export function Menu({ label, children }: Children & { label: string }): JSX.Element {
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const shut = (e: Event): void => {
      if (box.current?.open && !(e.target instanceof Node && box.current.contains(e.target))) box.current.open = false;
    };
    addEventListener('pointerdown', shut);
    return () => { removeEventListener('pointerdown', shut); };
  }, []);
  return (
    <details class="menu" ref={box} onKeyDown={(e) => { if (e.key === 'Escape' && box.current) { box.current.open = false; box.current.querySelector('summary')?.focus(); } }}
      onClick={(e) => { if (e.target instanceof Element && e.target.closest('.menu-items button') && box.current) box.current.open = false; }}>
      <summary class="button">{label}<Icon name="down" /></summary>
      <div class="menu-items">{children}</div>
    </details>
  );
}
