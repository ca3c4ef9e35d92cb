// SPDX-License-Identifier: Apache-2.0
// Snapshots of a machine as the tree that they are, and the schedules by which they are taken.
import type { JSX } from 'preact';
import { Act, Ask, type Form, save, setField } from './act';
import { simple, whyNot } from './actions';
import { denied, may } from './api';
import { arg, type Call } from './copyas';
import { ago, bytes, when } from './format';
import { NULL_REF, type Ref, type Vm, type Vmss } from './model';
import { href } from './route';
import { attempt, runCalls } from './run';
import { db, vms, type Entry } from './store';
import { Button, Card, confirmThen, Empty, Icon, Menu, State, Table } from './ui';
import { say } from './strings';

const vmArg = (ref: Ref, vm: Vm, name = 'vm'): ReturnType<typeof arg> => arg(ref, `${name}=${vm.uuid}`);

export function cloneForm([ref, vm]: Entry<Vm>, title = say.cloneOf(vm.name_label)): Form {
  return {
    title, verb: say.clone, fields: [{ id: 'name', label: say.name, value: `${vm.name_label} copy` }],
    calls: (v) => [simple('VM.clone', 'vm-clone', vmArg(ref, vm), arg(v['name'], `new-name-label=${v['name'] ?? ''}`))],
  };
}

export function snapshotForm([ref, vm]: Entry<Vm>): Form {
  const running = vm.power_state === 'Running' || vm.power_state === 'Suspended';
  return {
    title: say.snapshotOf(vm.name_label), verb: say.takeSnapshot,
    fields: [
      { id: 'name', label: say.name, value: `${vm.name_label} ${new Date().toISOString().slice(0, 16).replace('T', ' ')}` },
      ...(running ? [{ id: 'kind', label: say.keep, kind: 'select' as const, choices: [['VM.snapshot', say.itsDisks], ['VM.checkpoint', say.itsDisksAndMemory]] as [string, string][] }] : []),
    ],
    calls: (v) => { const method = v['kind'] ?? 'VM.snapshot'; return [simple(method, method === 'VM.checkpoint' ? 'vm-checkpoint' : 'vm-snapshot', vmArg(ref, vm), arg(v['name'], `new-name-label=${v['name'] ?? ''}`))]; },
  };
}

/** The disks that go with it: those that no other machine has. */
export function ownDisks(vm: Vm): [Ref, string, number][] {
  return vm.VBDs.flatMap((b) => {
    const vbd = db.vbd.get(b), vdi = db.vdi.get(vbd?.VDI);
    return vbd && vdi && vbd.type === 'Disk' && vdi.VBDs.length === 1 ? [[vbd.VDI, vdi.name_label || vdi.uuid, vdi.virtual_size] as [Ref, string, number]] : [];
  });
}

export const destroyCalls = ([ref, vm]: Entry<Vm>, cli = 'vm-destroy'): Call[] => [simple('VM.destroy', cli, arg(ref, `uuid=${vm.uuid}`)),
  ...ownDisks(vm).map(([vdi]) => simple('VDI.destroy', 'vdi-destroy', arg(vdi, `uuid=${db.vdi.get(vdi)?.uuid ?? ''}`)))];

/* A tree by what each was taken of, the present at the end of its branch. */
interface Node { ref: Ref; snap: Vm; children: Node[]; here: boolean }

export function snapshotTree(snaps: Entry<Vm>[], currentParent: Ref): { roots: Node[]; hereAtRoot: boolean } {
  const nodes = new Map(snaps.map(([ref, snap]) => [ref, { ref, snap, children: [] as Node[], here: ref === currentParent }]));
  const roots: Node[] = [];
  for (const n of nodes.values()) (nodes.get(n.snap.parent)?.children ?? roots).push(n);
  const order = (list: Node[]): void => {
    list.sort((a, b) => a.snap.snapshot_time.localeCompare(b.snap.snapshot_time));
    for (const n of list) order(n.children);
  };
  order(roots);
  return { roots, hereAtRoot: !nodes.has(currentParent) };
}

export function Snapshots({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const snaps = vm.snapshots.map((r) => [r, db.vm.get(r)] as const).filter((e) => e[1] !== undefined) as Entry<Vm>[];
  const { roots, hereAtRoot } = snapshotTree(snaps, vm.parent);
  const here = <li class="here"><div class="node"><span class="mark" aria-hidden="true" /><span>{say.now}</span><State value={vm.power_state} /></div></li>;
  const node = (n: Node): JSX.Element => {
    const at = when(n.snap.snapshot_time), memory = n.snap.power_state === 'Suspended';
    const revert = simple('VM.revert', 'snapshot-revert', arg(n.ref, `snapshot-uuid=${n.snap.uuid}`));
    return (
      <li key={n.ref}>
        <div class="node">
          <span class="mark" aria-hidden="true" />
          <span class="what"><strong>{n.snap.name_label}</strong><small><time title={at}>{ago(n.snap.snapshot_time)}</time> · {memory ? say.disksAndMemory : say.disksLower}{n.snap.is_vmss_snapshot ? say.byItsSchedule : ''}</small></span>
          <Act title={say.revertTo(n.snap.name_label)} label={say.revertTo(n.snap.name_label)} verb={say.revert} why={whyNot('revert', 'VM.revert', n.snap)} calls={[revert]}
            ask={say.getsTheDisksAndSettings(vm.name_label, at)}>{say.revertAsk}</Act>
          <Menu label={say.more}>
            <Ask why={whyNot('clone', 'VM.clone', n.snap)} form={() => cloneForm([n.ref, n.snap], say.newMachineOf(n.snap.name_label))}>{say.newMachineOfItAsk}</Ask>
            <Act title={say.templateOf(n.snap.name_label)} why={whyNot('clone', 'VM.clone', n.snap)} calls={[simple('VM.clone', 'snapshot-clone', arg(n.ref, `uuid=${n.snap.uuid}`), arg(`${n.snap.name_label} template`, `new-name-label=${n.snap.name_label} template`))]}>{say.newTemplateOfIt}</Act>
            <Ask why={denied('VM.set_name_label')} form={() => ({ title: say.renameOf(n.snap.name_label), verb: say.rename, fields: [{ id: 'name', label: say.name, value: n.snap.name_label }], calls: (v) => [{ ...setField('VM', n.ref, n.snap.uuid, 'name_label', v['name']), cli: 'snapshot-param-set' }] })}>{say.renameAsk}</Ask>
            <a class="button" href={href('vm', vm.uuid, 'history')}>{say.whatChangedSince}</a>
            <hr />
            <Button kind="danger" label={say.deleteOf(n.snap.name_label)} why={whyNot('destroy', 'VM.destroy', n.snap)} onClick={() => { askDestroySnapshot([n.ref, n.snap]); }}>{say.deleteAsk}</Button>
          </Menu>
        </div>
        {(n.children.length > 0 || n.here) && <ul>{n.children.map(node)}{n.here && here}</ul>}
      </li>
    );
  };
  return (
    <div class="cards">
      <Card title={say.snapshots} wide actions={<Ask kind="primary" why={whyNot('snapshot', 'VM.snapshot', vm)} form={() => snapshotForm([ref, vm])}><Icon name="plus" />{say.takeSnapshot}</Ask>}>
        {snaps.length === 0 ? <Empty>{say.noSnapshotsYetASnapshot}</Empty> : <ul class="snapshots">{roots.map(node)}{hereAtRoot && here}</ul>}
      </Card>
      <Card title={say.schedule} wide actions={<a href={href('pool', '', 'snapshots')}>{say.all}</a>}><ScheduleOf entry={[ref, vm]} /></Card>
    </div>
  );
}

function askDestroySnapshot(entry: Entry<Vm>): void {
  const [, snap] = entry;
  const disks = ownDisks(snap), calls = destroyCalls(entry, 'snapshot-destroy');
  const text = disks.length === 0 ? say.theStateThatItHolds
    : say.theStateThatItHoldsOf(disks.map(([, n, size]) => `“${n}”, ${bytes(size)}`).join('; '));
  confirmThen(say.deleteTheSnapshot(snap.name_label), text, 'Delete', () => void attempt(say.deleteOf(snap.name_label), () => runCalls(say.deleteOf(snap.name_label), calls)), calls);
}

/* Schedules */

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

const assign = (ref: Ref, vm: Vm, vmss: Ref): Call => ({ method: 'VM.set_snapshot_schedule', cli: 'vm-param-set', args: [arg(ref, `uuid=${vm.uuid}`), arg(vmss, `snapshot-schedule=${db.vmss.get(vmss)?.uuid ?? ''}`)] });

function ScheduleOf({ entry: [ref, vm] }: { entry: Entry<Vm> }): JSX.Element {
  const all = [...db.vmss.all];
  const now = db.vmss.get(vm.snapshot_schedule);
  return (
    <div class="row">
      <select aria-label={say.schedule} class="short" value={vm.snapshot_schedule} disabled={!may('VM.set_snapshot_schedule')} onChange={(e) => { save(say.schedule, [assign(ref, vm, e.currentTarget.value)]); }}>
        <option value={NULL_REF}>{say.none}</option>{all.map(([r, s]) => <option key={r} value={r}>{s.name_label}</option>)}
      </select>
      <span class="muted">{now ? say.areKept(inWords(now), now.retained_snapshots) : all.length > 0 ? say.noSnapshotsAreTakenBy : say.thereIsNoScheduleYet}</span>
    </div>
  );
}

function inWords(s: Vmss): string {
  const time = `${(s.schedule['hour'] ?? '0').padStart(2, '0')}:${(s.schedule['min'] ?? '0').padStart(2, '0')}`;
  if (s.frequency === 'hourly') return say.eachHourAtMinute(s.schedule['min'] ?? '0');
  return s.frequency === 'daily' ? say.eachDayAt(time) : say.at((s.schedule['days'] ?? '').split(',').join(', '), time);
}

function scheduleForm(): Form {
  return {
    title: say.newSnapshotSchedule, verb: say.create,
    fields: [
      { id: 'name', label: say.name },
      { id: 'type', label: say.keep, kind: 'select', choices: [['snapshot', say.itsDisks], ['checkpoint', say.itsDisksAndMemory], ['snapshot_with_quiesce', say.itsDisksAfterTheGuest]] },
      { id: 'frequency', label: say.howOften, kind: 'select', value: 'daily', choices: [['hourly', say.eachHour], ['daily', say.eachDay], ['weekly', say.onDaysOfTheWeek]] },
      { id: 'days', label: say.days, value: 'Monday', hint: DAYS.join(', '), when: (v) => v['frequency'] === 'weekly' },
      { id: 'hour', label: say.hour, kind: 'select', value: '3', choices: Array.from({ length: 24 }, (_, i) => [String(i), String(i)]), when: (v) => v['frequency'] !== 'hourly' },
      { id: 'min', label: say.minute, kind: 'select', choices: [['0', '0'], ['15', '15'], ['30', '30'], ['45', '45']] },
      { id: 'keep', label: say.howManyAreKeptOf, kind: 'number', value: '7', hint: say.n1To10OlderOnes },
    ],
    why: (v) => {
      const n = Number(v['keep']), days = (v['days'] ?? '').split(',').map((d) => d.trim());
      if (!(n >= 1 && n <= 10)) return say.n1To10SnapshotsOf;
      return v['frequency'] === 'weekly' && !days.every((d) => DAYS.includes(d)) ? say.daysAreWrittenAsMonday : '';
    },
    calls: (v) => {
      const schedule: Record<string, string> = { min: v['min'] ?? '0', ...(v['frequency'] !== 'hourly' ? { hour: v['hour'] ?? '0' } : {}), ...(v['frequency'] === 'weekly' ? { days: (v['days'] ?? '').replaceAll(' ', '') } : {}) };
      return [{ method: 'VMSS.create', cli: 'vmss-create', args: [
        arg({ name_label: v['name'], name_description: '', enabled: true, type: v['type'], frequency: v['frequency'], retained_snapshots: Number(v['keep']), schedule }, `name-label=${v['name'] ?? ''}`),
        arg(undefined, `type=${v['type'] ?? ''}`), arg(undefined, `frequency=${v['frequency'] ?? ''}`), arg(undefined, `retained-snapshots=${v['keep'] ?? ''}`), ...Object.entries(schedule).map(([k, x]) => arg(undefined, `schedule:${k}=${x}`))] }];
    },
  };
}

function membersForm([ref, s]: Entry<Vmss>): Form {
  return {
    title: say.machinesOf(s.name_label), verb: say.set, fields: vms.value.map(([r, v]) => ({ id: r, label: v.name_label, kind: 'check' as const, value: String(v.snapshot_schedule === ref) })),
    calls: (v) => vms.value.filter(([r, vm]) => (v[r] === 'true') !== (vm.snapshot_schedule === ref)).map(([r, vm]) => assign(r, vm, v[r] === 'true' ? ref : NULL_REF)),
  };
}

export function Schedules(): JSX.Element {
  const rows = [...db.vmss.all].sort((a, b) => a[1].name_label.localeCompare(b[1].name_label));
  const own = (r: Ref, s: Vmss): ReturnType<typeof arg> => arg(r, `uuid=${s.uuid}`);
  return (
    <Card title={say.snapshotSchedules} wide actions={<Ask kind="primary" why={denied('VMSS.create')} form={scheduleForm}><Icon name="plus" />{say.newSchedule}</Ask>}>
      {rows.length === 0 ? <Empty>{say.noSchedulesAScheduleTakes}</Empty> : <Table label={say.snapshotSchedules} rows={rows} keyOf={([r]) => r} columns={[
        { head: say.name, cell: ([, s]) => s.name_label }, { head: say.when, cell: ([, s]) => inWords(s) }, { head: say.kept, num: true, cell: ([, s]) => s.retained_snapshots },
        { head: say.machines, num: true, cell: ([, s]) => s.VMs.length }, { head: say.last, cell: ([, s]) => when(s.last_run_time) },
        { head: say.on, cell: ([r, s]) => <input type="checkbox" aria-label={say.isInForce(s.name_label)} checked={s.enabled} disabled={!may('VMSS.set_enabled')} onChange={(e) => { save(say.schedule, [setField('VMSS', r, s.uuid, 'enabled', e.currentTarget.checked)]); }} /> },
        { head: '', cell: ([r, s]) => (
          <Menu label={say.change}>
            <Ask why={denied('VM.set_snapshot_schedule')} form={() => membersForm([r, s])}>{say.machinesAsk}</Ask>
            <Act title={say.snapshotsBy(s.name_label)} why={s.VMs.length === 0 ? say.itHasNoMachines : ''} calls={[simple('VMSS.snapshot_now', '', own(r, s))]}>{say.takeSnapshotsNow}</Act>
            <Ask why={denied('VMSS.set_retained_snapshots')} form={() => ({ title: say.keptBy(s.name_label), verb: say.set, fields: [{ id: 'n', label: say.howManyAreKeptOf, kind: 'number', value: String(s.retained_snapshots) }], calls: (v) => [setField('VMSS', r, s.uuid, 'retained_snapshots', Number(v['n']))] })}>{say.howManyAreKeptAsk}</Ask>
            <hr />
            <Act kind="danger" title={say.deleteOf(s.name_label)} verb={say.deleteWord} ask={say.noSnapshotsAreTakenByOf(s.name_label)} calls={[simple('VMSS.destroy', 'vmss-destroy', own(r, s))]}>{say.deleteAsk}</Act>
          </Menu>) },
      ]} />}
    </Card>
  );
}
