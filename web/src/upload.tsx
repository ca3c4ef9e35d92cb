// SPDX-License-Identifier: Apache-2.0
// Files of the user's machine, into the pool and out of it. Images of disks go by /import_image, which keeps what has come: an
// upload can be paused, goes on by itself when the connection was lost, and goes on after the page was loaded anew once the
// same file is chosen again. Machines (XVA) go by /import in one go.
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { askForm } from './act';
import { ApiError, rpc, session } from './api';
import { bytes } from './format';
import { FORMATS, formatOf, type ImageFormat } from './imageformat';
import type { Ref, Vdi, Vm } from './model';
import { attempt, notice, titles } from './run';
import { db, srs, until, type Entry } from './store';
import { Button, Empty, Field, openDialog } from './ui';
import { say } from './strings';

/** What the browser keeps of an upload, to know it again. */
interface Kept { sr: string; format: ImageFormat; name: string; file: string; size: number; modified: number; began: number }

export interface Upload extends Kept {
  id: number;
  sent: number;
  state: 'sending' | 'paused' | 'waiting' | 'making' | 'lost';
  why: string;
  /** XVA: it cannot go on. */
  once: boolean;
}

export const uploads = signal<Upload[]>([]);
const files = new Map<number, File>();
const requests = new Map<number, XMLHttpRequest>();
let count = 0;

const KEY = 'serai-uploads';
const AGAIN_MS = 2000;
const DAY_MS = 86400e3;

function keep(): void {
  const all = uploads.value.filter((u) => !u.once).map(({ sr, format, name, file, size, modified, began }): Kept => ({ sr, format, name, file, size, modified, began }));
  localStorage.setItem(KEY, JSON.stringify(all));
}

function change(id: number, part: Partial<Upload>): void {
  uploads.value = uploads.value.map((u) => (u.id === id ? { ...u, ...part } : u));
}

function forget(id: number): void {
  uploads.value = uploads.value.filter((u) => u.id !== id);
  files.delete(id);
  requests.delete(id);
  keep();
}

const find = (id: number): Upload | undefined => uploads.value.find((u) => u.id === id);

const url = (u: Kept): string => `/import_image?${new URLSearchParams({ sr_uuid: u.sr, format: u.format, name: u.name }).toString()}`;

/** How much of it the host has; NaN: the host does not answer. */
async function offsetOf(u: Upload): Promise<number> {
  let response: Response;
  try {
    response = await fetch(url(u), { method: 'HEAD', credentials: 'same-origin', cache: 'no-store' });
  } catch { return NaN; }
  if (response.status === 200) return Number(response.headers.get('Upload-Offset') ?? 0);
  return response.status === 404 ? 0 : NaN;
}

type Outcome = 'done' | 'stopped' | 'broken' | 'busy' | ApiError;

/** Sends the file from an offset on. */
function send(u: Upload, file: File, from: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const x = new XMLHttpRequest();
    requests.set(u.id, x);
    x.upload.onprogress = (e) => { change(u.id, { sent: from + e.loaded }); };
    x.upload.onload = () => { change(u.id, { sent: file.size, state: 'making' }); };
    x.onload = () => {
      if (x.status === 201) resolve('done');
      else if (x.status === 409 || x.status === 416) resolve('busy');
      else resolve(new ApiError(`HTTP_${x.status}`, [], x.responseText.trim()));
    };
    x.onerror = () => { resolve('broken'); };
    x.onabort = () => { resolve('stopped'); };
    x.open('PUT', url(u));
    if (from > 0) x.setRequestHeader('Content-Range', say.bytes(from, file.size - 1, file.size));
    x.send(from > 0 ? file.slice(from) : file);
  });
}

const pause = (ms: number): Promise<void> => new Promise((done) => { setTimeout(done, ms); });

/** Goes on until it is done, refused or paused; what is broken is tried again. */
async function work(id: number): Promise<void> {
  for (;;) {
    const u = find(id), file = files.get(id);
    if (!u || !file || u.state === 'paused') return;
    if (!session.value) { change(id, { state: 'paused', why: say.nobodyWasSignedIn }); return; }
    const have = await offsetOf(u), from = have < file.size ? have : 0; // all of it and no disk: begun anew
    if (find(id)?.state === 'paused') return;
    if (Number.isNaN(have)) {
      change(id, { state: 'waiting', why: say.theHostDoesNotAnswerToo });
      await pause(AGAIN_MS);
      continue;
    }
    change(id, { state: 'sending', why: '', sent: from });
    const outcome = await send(u, file, from);
    if (outcome === 'done') { forget(id); notice.value = say.hasComeWhole(u.name); return; }
    if (outcome === 'stopped') return;
    if (outcome instanceof ApiError) { forget(id); throw outcome; }
    change(id, { state: 'waiting', why: outcome === 'busy' ? say.theHostStillHasThe : say.theConnectionBrokeItGoes });
    await pause(AGAIN_MS);
  }
}

function begin(kept: Kept, file: File): void {
  const id = ++count;
  uploads.value = [...uploads.value.filter((u) => url(u) !== url(kept)), { ...kept, id, sent: 0, state: 'sending', why: '', once: false }];
  files.set(id, file);
  keep();
  void attempt(say.uploadOf(kept.name), () => work(id));
}

export function pauseUpload(id: number): void {
  change(id, { state: 'paused', why: '' });
  requests.get(id)?.abort();
}

export function resumeUpload(id: number): void {
  const u = find(id);
  if (!u) return;
  if (files.has(id)) {
    change(id, { state: 'sending' });
    void attempt(say.uploadOf(u.name), () => work(id));
    return;
  }
  openDialog(say.goOnWith(u.name), (close) => <ChooseAgain u={u} close={close} />);
}

function ChooseAgain({ u, close }: { u: Upload; close: () => void }): JSX.Element {
  const [file, setFile] = useState<File | null>(null);
  const why = !file ? say.chooseTheFile : file.size === u.size && file.lastModified === u.modified ? '' : say.thisIsAnotherFileOr;
  return (
    <form onSubmit={(e) => { e.preventDefault(); if (why !== '' || !file) return; close(); begin(u, file); }}>
      <p>{say.aPageThatWasLoaded}</p>
      <Field label={say.file} hint={`${u.file}, ${bytes(u.size)}`}><input type="file" required onChange={(e) => { setFile(e.currentTarget.files?.[0] ?? null); }} /></Field>
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit" why={why}>{say.resume}</Button></footer>
    </form>
  );
}

/** The host throws away what nobody goes on with, after a day. */
export function dropUpload(id: number): void {
  change(id, { state: 'paused' });
  requests.get(id)?.abort();
  forget(id);
}

/** Those of an earlier visit, as long as the host keeps them. */
export async function recallUploads(): Promise<void> {
  const kept = JSON.parse(localStorage.getItem(KEY) ?? '[]') as Kept[];
  for (const k of kept) {
    if (uploads.value.some((u) => url(u) === url(k))) continue;
    const u: Upload = { ...k, id: ++count, sent: 0, state: 'lost', why: say.chooseTheFileAgainTo, once: false };
    if (Date.now() - k.began < DAY_MS) uploads.value = [...uploads.value, { ...u, sent: (await offsetOf(u)) || 0 }];
  }
  keep();
}

/* Machines */

async function importXva(file: File, sr: Ref, restore: boolean): Promise<void> {
  const u: Upload = { id: ++count, sr, format: 'xva', name: file.name, file: file.name, size: file.size, modified: 0, began: Date.now(), sent: 0, state: 'sending', why: '', once: true };
  const task = await rpc<Ref>('task.create', say.importOf(file.name), '');
  titles.set(task, say.importOf(file.name));
  uploads.value = [...uploads.value, u];
  try {
    await new Promise<void>((resolve, reject) => {
      const x = new XMLHttpRequest();
      requests.set(u.id, x);
      x.upload.onprogress = (e) => { change(u.id, { sent: e.loaded }); };
      x.onload = () => { if (x.status === 200) resolve(); else reject(new ApiError(`HTTP_${x.status}`, [], x.responseText.trim())); };
      x.onerror = () => { reject(new Error(say.theConnectionBrokeNothing)); };
      x.onabort = () => { reject(new Error(say.stoppedNothingOfTheMachine)); };
      x.open('PUT', `/import?${new URLSearchParams({ sr_id: sr, task_id: task, restore: String(restore) }).toString()}`);
      x.send(file);
    });
    change(u.id, { state: 'making' });
    await until(() => { const t = db.task.rows.get(task); return t !== undefined && t.status !== 'pending'; });
    const t = db.task.rows.get(task);
    if (t?.status !== 'success') throw new ApiError(t?.error_info[0] ?? 'IMPORT_ERROR', t?.error_info.slice(1) ?? [], '');
    notice.value = say.isImported(file.name);
  } finally {
    forget(u.id);
  }
}

/** sr: where it goes, if that is known. */
export function askUpload(sr?: Ref): void {
  openDialog(sr ? say.uploadAnImage : say.import, (close) => <UploadForm sr={sr} close={close} />);
}

function UploadForm({ sr, close }: { sr: Ref | undefined; close: () => void }): JSX.Element {
  const [file, setFile] = useState<File | null>(null);
  const [format, setFormat] = useState<ImageFormat>('raw');
  const [name, setName] = useState('');
  const [restore, setRestore] = useState(false);
  const library = sr !== undefined && db.sr.get(sr)?.content_type === 'iso';
  const stores = srs.value.filter(([r, s]) => (sr ? r === sr : (s.content_type === 'iso') === (format === 'iso')));
  const [store, setStore] = useState('');
  const to = stores.find(([r]) => r === store) ?? stores.find(([r]) => r === [...db.pool.rows.values()][0]?.default_SR) ?? stores[0];
  const take = async (f: File | null): Promise<void> => {
    setFile(f);
    if (!f) return;
    setName(f.name.replace(/\.(?:raw|img|vhd|qcow2|vmdk|vhdx|iso|xva)$/i, ''));
    const head = new Uint8Array(await f.slice(0, 512).arrayBuffer()), tail = new Uint8Array(await f.slice(Math.max(0, f.size - 512)).arrayBuffer());
    setFormat(library ? 'iso' : formatOf(f.name, head, tail, sr === undefined));
  };
  const why = !file ? say.chooseAFile : !to ? (format === 'iso' ? say.thereIsNoLibraryOf : say.thereIsNoStorageFor) : file.size === 0 ? say.theFileIsEmpty : '';
  const submit = (e: Event): void => {
    e.preventDefault();
    if (!file || !to || why !== '') return;
    close();
    if (format === 'xva') void attempt(say.importOf(file.name), () => importXva(file, to[0], restore));
    else begin({ sr: to[1].uuid, format, name: name.trim() || file.name, file: file.name, size: file.size, modified: file.lastModified, began: Date.now() }, file);
  };
  return (
    <form onSubmit={submit}>
      <Field label={say.file} hint={sr ? say.aDiskRawVhdQcow2 : say.aMachineXvaADisk}><input type="file" required onChange={(e) => { void take(e.currentTarget.files?.[0] ?? null); }} /></Field>
      {file && <>
        {!library && <Field label={say.format}><select value={format} onChange={(e) => { setFormat(e.currentTarget.value as ImageFormat); }}>{FORMATS.filter(([f]) => !sr || (f !== 'xva' && f !== 'iso')).map(([f, text]) => <option key={f} value={f}>{text}</option>)}</select></Field>}
        {format !== 'xva' && <Field label={say.name}><input required value={name} maxLength={250} onInput={(e) => { setName(e.currentTarget.value); }} /></Field>}
        {!sr && <Field label={say.storage}><select value={to?.[0]} onChange={(e) => { setStore(e.currentTarget.value); }}>{stores.map(([r, s]) => <option key={r} value={r}>{s.name_label}</option>)}</select></Field>}
        {format === 'xva' ? <label class="check"><input type="checkbox" checked={restore} onChange={(e) => { setRestore(e.currentTarget.checked); }} />{say.keepItsIdentityMacAddresses}</label>
          : <Empty>{say.theUploadGoesOnWhileToo}</Empty>}
      </>}
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit" why={why}>{sr ? say.upload : say.import}</Button></footer>
    </form>
  );
}

/* Out of the pool: the browser downloads, the task tells how far it is. */

async function download(title: string, path: string, name: string): Promise<void> {
  const task = await rpc<Ref>('task.create', title, '');
  titles.set(task, title);
  const a = document.createElement('a');
  a.href = `${path}&task_id=${encodeURIComponent(task)}`;
  a.download = name;
  a.click();
}

export function exportVm([, vm]: Entry<Vm>): void {
  askForm({
    title: say.exportOf(vm.name_label), verb: say.export, text: say.oneXvaFileWithIts,
    fields: [
      { id: 'pack', label: say.compression, kind: 'select', value: 'zstd', choices: [['zstd', 'zstd'], ['gzip', 'gzip'], ['false', 'none']] },
      { id: 'snapshots', label: say.withItsSnapshots, kind: 'check' },
    ],
    calls: () => [],
    run: (v) => { void attempt(say.exportOf(vm.name_label), () => download(say.exportOf(vm.name_label), `/export?${new URLSearchParams({ uuid: vm.uuid, use_compression: v['pack'] ?? '', export_snapshots: String(v['snapshots'] === 'true') }).toString()}`, `${vm.name_label}.xva`)); },
  });
}

export function exportDisk([ref, v]: Entry<Vdi>): void {
  const name = v.name_label || v.uuid;
  askForm({
    title: say.exportOf(name), verb: say.export,
    fields: [{ id: 'format', label: say.format, kind: 'select', value: 'vhd', choices: [['vhd', 'VHD'], ['qcow2', 'qcow2'], ['raw', 'raw']] }],
    calls: () => [],
    run: (f) => { void attempt(say.exportOf(name), () => download(say.exportOf(name), `/export_raw_vdi?${new URLSearchParams({ format: f['format'] ?? 'vhd', vdi: ref }).toString()}`, `${name}.${f['format'] ?? 'vhd'}`)); },
  });
}

export const progressText = (u: Upload): string => say.partOf(bytes(u.sent), bytes(u.size));
