// SPDX-License-Identifier: Apache-2.0
// New VM on one page: what is not touched has a sane value.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { denied, rpc } from './api';
import { bytes, parseBytes } from './format';
import { NULL_REF, type Ref } from './model';
import { go } from './route';
import { attempt, notice } from './run';
import { db, networks, poolEntry, templates, until } from './store';
import { addDisk, addNic, diskStores } from './vm';
import { Button, Card, Field } from './ui';
import { say } from './strings';

interface Plan { template: Ref; name: string; cpus: string; memory: string; disk: string; sr: Ref; network: Ref; iso: Ref; image: Ref; start: boolean }

function initial(): Plan {
  const template = templates.value.find(([, t]) => /^Debian Bookworm/.test(t.name_label)) ?? templates.value[0];
  return {
    template: template?.[0] ?? '', name: '', cpus: '2', memory: '2 GiB', disk: '10 GiB',
    sr: diskStores().find(([r]) => r === poolEntry.value?.[1].default_SR)?.[0] ?? diskStores()[0]?.[0] ?? '',
    network: networks.value[0]?.[0] ?? '', iso: NULL_REF, image: '', start: true,
  };
}

/** Empty: it can be made. */
export function mistake(p: { name: string; cpus: string; memory: string; disk: string }): string {
  if (p.name.trim() === '') return say.giveItAName;
  const cpus = Number(p.cpus);
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > 64) return say.cpusAreANumber;
  if (!(parseBytes(p.memory) >= 16 * 1024 ** 2)) return say.memoryIsASizeAs;
  if (p.disk.trim() !== '' && p.disk.trim() !== '0' && !(parseBytes(p.disk) >= 1024 ** 2)) return say.theDiskIsASize;
  return '';
}

/** Makes it step by step; what was made is taken away again when a step fails. */
async function create(p: Plan): Promise<void> {
  const vm = await rpc<Ref>('VM.clone', p.template, p.name.trim());
  const uuid = await rpc<string>('VM.get_uuid', vm);
  try {
    const memory = parseBytes(p.memory), cpus = Number(p.cpus);
    await rpc('VM.set_memory_limits', vm, Math.min(memory, 16 * 1024 ** 2), memory, memory, memory);
    const max = await rpc<number>('VM.get_VCPUs_max', vm);
    for (const method of cpus > max ? ['VM.set_VCPUs_max', 'VM.set_VCPUs_at_startup'] : ['VM.set_VCPUs_at_startup', 'VM.set_VCPUs_max']) await rpc(method, vm, cpus);
    await rpc('VM.remove_from_other_config', vm, 'disks'); // those that the template would make
    await rpc('VM.provision', vm);
    const disk = parseBytes(p.disk);
    if (disk > 0 || p.image) await addDisk(vm, { name: `${p.name.trim()} disk 0`, size: disk, sr: p.sr, bootable: true, plug: false, image: p.image });
    if (p.network) await addNic(vm, p.network, false);
    const [device] = await rpc<string[]>('VM.get_allowed_VBD_devices', vm);
    const empty = p.iso === NULL_REF;
    await rpc('VBD.create', { VM: vm, VDI: p.iso, userdevice: device ?? '3', bootable: true, mode: 'RO', type: 'CD', unpluggable: true, empty, other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {} });
    if (p.start) await rpc('VM.start', vm, false, false);
  } catch (e) {
    await takeAway(vm);
    throw e;
  }
  await until(() => db.vm.byUuid(uuid) !== undefined);
  go('vm', uuid, p.start ? 'console' : 'overview');
}

async function takeAway(vm: Ref): Promise<void> {
  const vbds = await rpc<Ref[]>('VM.get_VBDs', vm);
  const disks: Ref[] = [];
  for (const b of vbds) {
    if ((await rpc<string>('VBD.get_type', b)) === 'Disk') disks.push(await rpc<Ref>('VBD.get_VDI', b));
  }
  await rpc('VM.destroy', vm);
  for (const d of disks) await rpc('VDI.destroy', d);
}

export function NewVm(): JSX.Element {
  const [p, setP] = useState<Plan>(initial);
  const [busy, setBusy] = useState(false);
  const put = (part: Partial<Plan>): void => { setP((was) => ({ ...was, ...part })); };
  const why = denied('VM.clone') || (busy ? say.itIsBeingMade : mistake(p));
  const isos = [...db.vdi.all].filter(([, v]) => db.sr.get(v.SR)?.content_type === 'iso');
  const submit = (e: Event): void => {
    e.preventDefault();
    if (why !== '') { notice.value = why; return; }
    setBusy(true);
    void attempt(`New machine ${p.name}`, () => create(p)).then(() => { setBusy(false); });
  };
  const images = [...db.vdi.all].filter(([, v]) => !v.is_a_snapshot && v.VBDs.length === 0 && v.type === 'user' && db.sr.get(v.SR)?.content_type !== 'iso');
  const host = [...db.host_metrics.all.values()][0];
  return (
    <form class="page" onSubmit={submit}>
      <header class="page-head"><h1>{say.newMachine}</h1><div class="row"><Button kind="primary" type="submit" why={why}>{p.start ? say.createAndStart : say.create}</Button></div></header>
      <div class="cards">
        <Card title={say.what}>
          <Field label={say.template}><select value={p.template} onChange={(e) => { put({ template: e.currentTarget.value }); }}>{templates.value.map(([r, t]) => <option key={r} value={r}>{t.name_label}</option>)}</select></Field>
          <Field label={say.name}><input value={p.name} required autoFocus onInput={(e) => { put({ name: e.currentTarget.value }); }} /></Field>
          <label class="check"><input type="checkbox" checked={p.start} onChange={(e) => { put({ start: e.currentTarget.checked }); }} /> {say.startItAndOpenIts}</label>
        </Card>
        <Card title={say.size}>
          <Field label={say.cpus}><input type="number" min={1} max={64} value={p.cpus} onInput={(e) => { put({ cpus: e.currentTarget.value }); }} /></Field>
          <Field label={say.memory} {...(host ? { hint: say.freeOnTheHost(bytes(host.memory_free)) } : {})}><input value={p.memory} onInput={(e) => { put({ memory: e.currentTarget.value }); }} /></Field>
        </Card>
        <Card title={say.diskWord}>
          <Field label={say.image} {...(images.length === 0 ? { hint: say.disksThatNoMachineUses } : {})}><select value={p.image} onChange={(e) => { put({ image: e.currentTarget.value }); }}><option value="">{say.aNewEmptyDisk}</option>{images.map(([r, v]) => <option key={r} value={r}>{v.name_label || v.uuid}, {bytes(v.virtual_size)}</option>)}</select></Field>
          <Field label={say.size} hint={say.emptyNoDiskSpaceIs}><input value={p.disk} onInput={(e) => { put({ disk: e.currentTarget.value }); }} /></Field>
          <Field label={say.storage}><select value={p.sr} onChange={(e) => { put({ sr: e.currentTarget.value }); }}>{diskStores().map(([r, s]) => <option key={r} value={r}>{s.name_label}</option>)}</select></Field>
          <Field label={say.cd}><select value={p.iso} onChange={(e) => { put({ iso: e.currentTarget.value }); }}><option value={NULL_REF}>{say.empty}</option>{isos.map(([r, v]) => <option key={r} value={r}>{v.name_label}</option>)}</select></Field>
        </Card>
        <Card title={say.network}>
          <Field label={say.network}><select value={p.network} onChange={(e) => { put({ network: e.currentTarget.value }); }}><option value="">{say.none}</option>{networks.value.map(([r, n]) => <option key={r} value={r}>{n.name_label}</option>)}</select></Field>
        </Card>
      </div>
    </form>
  );
}
