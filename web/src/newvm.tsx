// SPDX-License-Identifier: Apache-2.0
// New VM on one page: what is not touched has a sane value.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { showing } from './act';
import { denied, rpc } from './api';
import { defaultStore, diskStores, isoChoices } from './disks';
import { bytes } from './format';
import { NULL_REF, type Ref, type Vm } from './model';
import { callsOf, mistake, type Base, type Plan } from './plan';
import { go } from './route';
import { attempt, notice, runCalls } from './run';
import { db, networks, templates, until, type Entry } from './store';
import { say } from './strings';
import { Button, Card, CopyAs, Field, showCalls } from './ui';

const owns = (t: Vm | undefined): boolean => t?.VBDs.some((b) => db.vbd.get(b)?.type === 'Disk') ?? false;

/** What follows from the template. */
function fromTemplate([ref, t]: Entry<Vm>): Partial<Plan> {
  return { template: ref, templateUuid: t.uuid, disk: owns(t) ? '' : '10 GiB', network: t.VIFs.length > 0 ? '' : networks.value[0]?.[0] ?? '' };
}

function baseOf(t: Vm | undefined): Base {
  const vbds = t?.VBDs.flatMap((r) => db.vbd.get(r) ?? []) ?? [];
  return { cpusMax: t?.VCPUs_max ?? 1, drives: vbds.map((b) => b.userdevice), nics: t?.VIFs.flatMap((r) => db.vif.get(r)?.device ?? []) ?? [],
    hasCd: vbds.some((b) => b.type === 'CD'), makesDisks: t?.other_config['disks'] !== undefined, memoryMin: 16 * 1024 ** 2 };
}

function initial(): Plan {
  const template = templates.value.find(([, t]) => /^Debian Bookworm/.test(t.name_label)) ?? templates.value[0];
  return {
    template: '', templateUuid: '', name: '', cpus: '2', memory: '2 GiB', disk: '10 GiB', sr: defaultStore(), srUuid: '', image: '', imageSize: 0, network: '', networkUuid: '', iso: NULL_REF,
    hostname: '', user: '', keys: '', userData: '', start: true, ...(template ? fromTemplate(template) : {}),
  };
}

/** With what is found by what was chosen. */
const whole = (p: Plan): Plan => ({ ...p, srUuid: db.sr.get(p.sr)?.uuid ?? '', imageSize: db.vdi.get(p.image)?.virtual_size ?? 0, networkUuid: db.network.get(p.network)?.uuid ?? '' });

/** What was made of it goes again, its disks too. */
async function takeAway(vm: Ref, results: unknown[]): Promise<void> {
  const disks = new Set<Ref>(results.slice(1).filter((r): r is Ref => typeof r === 'string' && db.vdi.rows.has(r)));
  for (const b of await rpc<Ref[]>('VM.get_VBDs', vm)) {
    if ((await rpc<string>('VBD.get_type', b)) === 'Disk') disks.add(await rpc<Ref>('VBD.get_VDI', b));
  }
  await rpc('VM.destroy', vm);
  for (const d of disks) await rpc('VDI.destroy', d);
}

async function create(p: Plan, title: string): Promise<void> {
  const done = await runCalls(title, callsOf(p, baseOf(db.vm.get(p.template))), (results) => (typeof results[0] === 'string' ? takeAway(results[0], results) : Promise.resolve()));
  const vm = done[0] as Ref;
  await until(() => db.vm.rows.has(vm));
  go('vm', db.vm.rows.get(vm)?.uuid ?? '', p.start ? 'console' : 'overview');
}

export function NewVm(): JSX.Element {
  const [p, setP] = useState<Plan>(initial);
  const [busy, setBusy] = useState(false);
  useEffect(() => { document.querySelector<HTMLInputElement>('#new-name')?.focus(); }, []);
  const put = (part: Partial<Plan>): void => { setP((was) => ({ ...was, ...part })); };
  const why = denied('VM.clone') || (busy ? say.itIsBeingMade : mistake(p));
  const plan = whole(p), calls = callsOf(plan, baseOf(db.vm.get(p.template)));
  const submit = (e: Event): void => {
    e.preventDefault();
    if (why !== '') { notice.value = why; return; }
    if (showing.value) { showCalls(say.newMachine, calls); return; }
    setBusy(true);
    void attempt(say.newMachineOfOtherwise(p.name), () => create(plan, say.newMachineOfOtherwise(p.name))).then(() => { setBusy(false); });
  };
  const images = [...db.vdi.all].filter(([, v]) => !v.is_a_snapshot && v.VBDs.length === 0 && v.type === 'user' && db.sr.get(v.SR)?.content_type !== 'iso');
  const host = [...db.host_metrics.all.values()][0];
  const input = (key: 'name' | 'memory' | 'disk' | 'hostname' | 'user', more: object = {}): JSX.Element => <input value={p[key]} onInput={(e) => { put({ [key]: e.currentTarget.value }); }} {...more} />;
  const area = (key: 'keys' | 'userData', rows: number, placeholder: string): JSX.Element => <textarea rows={rows} spellcheck={false} placeholder={placeholder} value={p[key]} onInput={(e) => { put({ [key]: e.currentTarget.value }); }} />;
  return (
    <form class="page" onSubmit={submit}>
      <header class="page-head"><h1>{say.newMachine}</h1><div class="row"><Button kind="primary" type="submit" why={why} onShow={() => { showCalls(say.newMachine, calls); }}>{p.start ? say.createAndStart : say.create}</Button></div></header>
      <div class="flow">
        <Card title={say.what}>
          <Field label={say.template}><select value={p.template} onChange={(e) => { const t = templates.value.find(([r]) => r === e.currentTarget.value); if (t) put(fromTemplate(t)); }}>{templates.value.map(([r, t]) => <option key={r} value={r}>{t.name_label}</option>)}</select></Field>
          <Field label={say.name}>{input('name', { required: true, id: 'new-name' })}</Field>
          <label class="check"><input type="checkbox" checked={p.start} onChange={(e) => { put({ start: e.currentTarget.checked }); }} /> {say.startItAndOpenIts}</label>
        </Card>
        <Card title={say.size}>
          <Field label={say.cpus}><input type="number" min={1} max={64} value={p.cpus} onInput={(e) => { put({ cpus: e.currentTarget.value }); }} /></Field>
          <Field label={say.memory} {...(host ? { hint: say.freeOnTheHost(bytes(host.memory_free)) } : {})}>{input('memory')}</Field>
        </Card>
        <Card title={say.diskWord}>
          <Field label={say.image} {...(images.length === 0 ? { hint: say.disksThatNoMachineUses } : {})}><select value={p.image} onChange={(e) => { put({ image: e.currentTarget.value }); }}><option value="">{owns(db.vm.get(p.template)) ? say.theTemplatesOwnDisks : say.aNewEmptyDisk}</option>{images.map(([r, v]) => <option key={r} value={r}>{v.name_label || v.uuid}, {bytes(v.virtual_size)}</option>)}</select></Field>
          <Field label={say.size} hint={say.emptyNoDiskSpaceIs}>{input('disk')}</Field>
          <Field label={say.storage}><select value={p.sr} onChange={(e) => { put({ sr: e.currentTarget.value }); }}>{diskStores().map(([r, s]) => <option key={r} value={r}>{s.name_label}</option>)}</select></Field>
          <Field label={say.cd}><select value={p.iso} onChange={(e) => { put({ iso: e.currentTarget.value }); }}><option value={NULL_REF}>{say.empty}</option>{isoChoices().map(([r, name]) => <option key={r} value={r}>{name}</option>)}</select></Field>
        </Card>
        <Card title={say.network}>
          <Field label={say.network}><select value={p.network} onChange={(e) => { put({ network: e.currentTarget.value }); }}><option value="">{say.none}</option>{networks.value.map(([r, n]) => <option key={r} value={r}>{n.name_label}</option>)}</select></Field>
        </Card>
        <Card title={say.firstStart}>
          <Field label={say.hostName} hint={say.thisCardIsForImages}>{input('hostname', { placeholder: p.name.trim().toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') })}</Field>
          <Field label={say.user} hint={say.theImagesOwnFirstUser}>{input('user', { autocomplete: 'off' })}</Field>
          <Field label={say.sshKeys}>{area('keys', 2, 'ssh-ed25519 AAAA… me@desk')}</Field>
          <details><summary>{say.configurationOfOnesOwn}</summary><Field label={say.cloudConfiguration}>{area('userData', 5, '#cloud-config')}</Field></details>
        </Card>
        <Card title={say.asCalls}><CopyAs calls={calls} /></Card>
      </div>
    </form>
  );
}
