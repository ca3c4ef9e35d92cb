// SPDX-License-Identifier: Apache-2.0
// Disk images from the user's machine into a repository: raw, ISO and VHD by /import_raw_vdi.
import { signal } from '@preact/signals';
import { ApiError, rpc } from './api';
import { bytes } from './format';
import type { Ref } from './model';
import { attempt, titles } from './run';
import { db, until } from './store';
import { Button, Empty, Field, openDialog } from './ui';
import { say } from './strings';

export interface Upload { id: number; name: string; sent: number; size: number; stop: () => void }
export const uploads = signal<Upload[]>([]);
let count = 0;

/** The size that a VHD's last 512 bytes give its disk; 0: the file is no VHD. Pure. */
export function vhdSize(footer: DataView): number {
  const cookie = Array.from({ length: 8 }, (_, i) => String.fromCharCode(footer.getUint8(i))).join('');
  return cookie === 'conectix' ? Number(footer.getBigUint64(48)) : 0;
}

const roundUp = (n: number): number => Math.ceil(n / 512) * 512;

function send(url: string, file: Blob, u: Upload): Promise<void> {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest();
    u.stop = () => { x.abort(); };
    x.upload.onprogress = (e) => {
      u.sent = e.loaded;
      uploads.value = [...uploads.value];
    };
    x.onload = () => { if (x.status === 200) resolve(); else reject(new ApiError(`HTTP_${x.status}`, [], x.responseText.trim())); };
    x.onerror = () => { reject(new Error(say.theConnectionBrokeTheUpload)); };
    x.onabort = () => { reject(new Error(say.theUploadWasStoppedThe)); };
    x.open('PUT', url);
    x.send(file);
  });
}

async function upload(sr: Ref, file: File, name: string): Promise<void> {
  const footer = file.size >= 512 ? new DataView(await file.slice(-512).arrayBuffer()) : null;
  const inside = footer ? vhdSize(footer) : 0;
  const vdi = await rpc<Ref>('VDI.create', { name_label: name, name_description: '', SR: sr, virtual_size: inside || roundUp(file.size), type: 'user', sharable: false, read_only: false, other_config: {} });
  const u: Upload = { id: ++count, name, sent: 0, size: file.size, stop: () => undefined };
  uploads.value = [...uploads.value, u];
  try {
    const task = await rpc<Ref>('task.create', say.uploadOf(name), '');
    titles.set(task, say.uploadOf(name));
    await send(`/import_raw_vdi?vdi=${encodeURIComponent(vdi)}&format=${inside ? 'vhd' : 'raw'}&task_id=${encodeURIComponent(task)}`, file, u);
    await until(() => { const t = db.task.rows.get(task); return t !== undefined && t.status !== 'pending'; });
    const t = db.task.rows.get(task);
    if (t?.status !== 'success') throw new ApiError(t?.error_info[0] ?? 'IMPORT_ERROR', t?.error_info.slice(1) ?? [], '');
  } catch (e) {
    await rpc('VDI.destroy', vdi).catch(() => undefined); // what failed first is what is told
    throw e;
  } finally {
    uploads.value = uploads.value.filter((x) => x.id !== u.id);
  }
}

export function askUpload(sr: Ref): void {
  let file: File | null = null;
  openDialog(say.uploadADiskImage, (close) => (
    <form onSubmit={(e) => {
      e.preventDefault();
      const f = file;
      if (!f) return;
      close();
      void attempt(say.uploadOf(f.name), () => upload(sr, f, f.name));
    }}>
      <Field label={say.file} hint={say.aRawDiskAnIso}><input type="file" required onChange={(e) => { file = e.currentTarget.files?.[0] ?? null; }} /></Field>
      <Empty>{say.theUploadGoesOnWhile}</Empty>
      <footer><Button kind="quiet" onClick={close}>{say.cancel}</Button><Button kind="primary" type="submit">{say.upload}</Button></footer>
    </form>
  ));
}

export const progressText = (u: Upload): string => say.partOf(bytes(u.sent), bytes(u.size));
