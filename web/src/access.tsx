// SPDX-License-Identifier: Apache-2.0
// Who may do what: users and groups of a directory with their roles, roles of one's own, and tokens.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Act, Ask, type Form } from './act';
import { simple } from './actions';
import { denied, rpc, session } from './api';
import { arg, type Call } from './copyas';
import { when } from './format';
import type { Ref, Role, StringMap, Subject } from './model';
import { href } from './route';
import { attempt } from './run';
import { db, hosts, poolEntry, vms, type Entry } from './store';
import { Button, Card, Empty, Facts, Icon, Menu, openDialog, Table } from './ui';
import { say } from './strings';

interface Token { uuid: string; name_label: string; role: Ref; methods: string[]; objects: Ref[]; expires: string; last_used: string; created_by: string }
interface OwnRole { uuid: string; role: Ref; base: string[]; allow: string[]; deny: string[] }

const roleName = (r: Ref): string => db.role.get(r)?.name_label ?? '';
const roles = (): Entry<Role>[] => [...db.role.all].filter(([, r]) => !r.is_internal);
const roleChoices = (): [string, string][] => roles().map(([r, o]) => [r, o.name_label]);
const list = (text: string | undefined): string[] => (text ?? '').split(/[\s,]+/).filter(Boolean);

/** The API's form of a moment so many days from now; 0: its "never". */
export function inDays(days: number, now = Date.now()): string {
  if (!(days > 0)) return '19700101T00:00:00Z';
  return new Date(now + days * 86400e3).toISOString().replace(/-/g, '').replace(/\.\d+/, '');
}

/* Tokens and roles of one's own send no events: they are read when something was done here. */
function useOurs(): { tokens: Entry<Token>[]; own: Map<Ref, OwnRole>; load: () => void } | null {
  const [state, setState] = useState<{ tokens: Entry<Token>[]; own: Map<Ref, OwnRole> } | null>(null);
  const load = (): void => {
    void attempt(say.users, async () => {
      const tokens = denied('serai_token.get_all_records') === '' ? await rpc<Record<Ref, Token>>('serai_token.get_all_records') : {};
      const own = await rpc<Record<Ref, OwnRole>>('serai_role.get_all_records');
      setState({ tokens: Object.entries(tokens), own: new Map(Object.values(own).map((o) => [o.role, o])) });
    });
  };
  useEffect(load, [db.role.all.size]);
  return state ? { ...state, load } : null;
}

function tokenForm(load: () => void, of?: Ref): Form {
  const object = of === undefined ? undefined : vms.value.find(([r]) => r === of)?.[1];
  const make = (v: Record<string, string>): Call => {
    const objects = v['object'] ? [v['object']] : [];
    return { method: 'serai.token_create', cli: 'token-create', args: [arg(v['name'], `name-label=${v['name'] ?? ''}`), arg(v['role'], `role=${roleName(v['role'] ?? '')}`),
      arg(inDays(Number(v['days'])), Number(v['days']) > 0 ? `expires=${v['days'] ?? ''}d` : ''), arg(list(v['methods']), v['methods'] ? `methods=${list(v['methods']).join(',')}` : ''),
      arg(objects, objects.length > 0 ? `vm-uuids=${vms.value.find(([r]) => r === objects[0])?.[1].uuid ?? ''}` : '')] };
  };
  return {
    title: say.newToken, verb: say.create,
    fields: [
      { id: 'name', label: say.name, hint: say.alsoTheUserNameOf },
      { id: 'role', label: say.role, kind: 'select', value: roles().find(([, r]) => r.name_label === 'vm-operator')?.[0] ?? '', choices: roleChoices() },
      { id: 'days', label: say.daysUntilItEnds, kind: 'number', value: '90', hint: say.zeroIsNever },
      { id: 'object', label: say.onlyThisMachine, kind: 'select', value: of ?? '', choices: [['', say.allObjects], ...vms.value.slice(0, 500).map(([r, v]): [string, string] => [r, v.name_label])] },
      { id: 'methods', label: say.onlyTheseCalls, optional: true, hint: say.asVmStartVmSnapshot },
    ],
    text: object ? say.aTokenThatMayDo(object.name_label) : say.aTokenSignsAProgram,
    calls: (v) => [make(v)],
    run: (v) => {
      void attempt(say.newToken, async () => {
        const call = make(v);
        const secret = await rpc<string>(call.method, ...call.args.map((a) => a.value));
        load();
        openDialog(say.theToken, (shut) => <form onSubmit={(e) => { e.preventDefault(); shut(); }}><p>{say.itIsShownThisOnce(v['name'] ?? '')}</p><code class="secret" tabIndex={0}>{secret}</code><footer><Button kind="primary" type="submit">{say.done}</Button></footer></form>);
      });
    },
  };
}

function Tokens({ of }: { of?: Ref }): JSX.Element {
  const ours = useOurs();
  const no = denied('serai_token.get_all_records');
  const rows = (ours?.tokens ?? []).filter(([, t]) => of === undefined || t.objects.includes(of));
  const limits = (t: Token): string => [...t.objects.map((o) => db.vm.get(o)?.name_label ?? say.anObject), ...t.methods].join(', ') || say.noneWord;
  return (
    <Card title={of ? say.tokensForThisMachineAlone : say.tokens} wide actions={<Ask kind="primary" why={denied('serai.token_create')} form={() => tokenForm(ours?.load ?? ((): void => undefined), of)}><Icon name="plus" />{say.newToken}</Ask>}>
      {no || !ours ? <Empty>{no || say.reading}</Empty> : rows.length === 0 ? <Empty>{say.noTokensATokenSigns}</Empty> : <Table label={say.tokens} rows={rows} keyOf={([r]) => r} columns={[
        { head: say.name, cell: ([, t]) => t.name_label }, { head: say.role, cell: ([, t]) => roleName(t.role) }, { head: say.limits, cell: ([, t]) => limits(t) },
        { head: say.ends, cell: ([, t]) => when(t.expires) }, { head: say.lastUsed, cell: ([, t]) => when(t.last_used) }, { head: say.madeBy, cell: ([, t]) => t.created_by },
        { head: '', cell: ([r, t]) => <Act kind="danger" title={say.revokeOf(t.name_label)} verb={say.revoke} ask={say.theTokenAndAllSessions} calls={[simple('serai.token_revoke', 'token-revoke', arg(r, `uuid=${t.uuid}`))]} then={ours?.load}>{say.revokeAsk}</Act> },
      ]} />}
    </Card>
  );
}

function ownRoleForm(): Form {
  return {
    title: say.newRole, verb: say.create, text: say.whatTheRolesItBegins,
    fields: [
      { id: 'name', label: say.name }, { id: 'text', label: say.description, optional: true },
      { id: 'base', label: say.beginsWith, optional: true, value: 'read-only', hint: say.namesOfRolesWithCommas },
      { id: 'allow', label: say.allowsBesides, optional: true, hint: say.asVmStartVmSnapshotToo }, { id: 'deny', label: say.denies, optional: true },
    ],
    calls: (v) => [{ method: 'serai.role_create', cli: 'role-create', args: [arg(v['name'], `name-label=${v['name'] ?? ''}`), arg(v['text'], v['text'] ? `name-description=${v['text']}` : ''),
      ...(['base', 'allow', 'deny'] as const).map((k) => arg(list(v[k]), v[k] ? `${k}=${list(v[k]).join(',')}` : ''))] }],
  };
}

function Roles(): JSX.Element {
  const ours = useOurs();
  return (
    <Card title={say.roles} wide actions={<Ask why={denied('serai.role_create')} form={ownRoleForm}><Icon name="plus" />{say.newRoleAsk}</Ask>}>
      <Table label={say.roles} rows={roles()} keyOf={([r]) => r} columns={[
        { head: say.name, cell: ([, o]) => o.name_label }, { head: say.whatItMay, cell: ([, o]) => <span class="muted">{o.name_description}</span> },
        { head: say.madeOf, cell: ([r]) => { const o = ours?.own.get(r); return o ? [...o.base, ...o.allow.map((a) => `+${a}`), ...o.deny.map((d) => `−${d}`)].join(' ') : ''; } },
        { head: '', cell: ([r, o]) => ours?.own.has(r) && <Act kind="danger" title={say.deleteTheRole(o.name_label)} verb={say.deleteWord} ask={say.whoeverHasTheRoleMay(o.name_label)} calls={[simple('serai.role_destroy', 'role-destroy', arg(r, `uuid=${o.uuid}`))]} then={ours.load}>{say.deleteAsk}</Act> },
      ]} />
    </Card>
  );
}

function subjectForm(): Form {
  return {
    title: say.addAUserOrGroup, verb: say.add, fields: [{ id: 'name', label: say.name, hint: say.asTheDirectoryHasIt }, { id: 'role', label: say.role, kind: 'select', choices: roleChoices() }],
    calls: (v) => [simple('auth.get_subject_identifier', 'subject-add', arg(v['name'], `subject-name=${v['name'] ?? ''}`)), simple('subject.create', '', arg({ subject_identifier: 'RESULT_1', other_config: {} })),
      ...(roleName(v['role'] ?? '') === 'pool-admin' ? [] : [simple('subject.remove_from_roles', 'subject-role-remove', arg('RESULT_2', 'uuid=RESULT_2'), arg(roles().find(([, o]) => o.name_label === 'pool-admin')?.[0], 'role-name=pool-admin'))]),
      simple('subject.add_to_roles', 'subject-role-add', arg('RESULT_2', 'uuid=RESULT_2'), arg(v['role'], `role-name=${roleName(v['role'] ?? '')}`))],
    run: (v) => {
      void attempt(say.addOf(v['name'] ?? ''), async () => {
        const id = await rpc<string>('auth.get_subject_identifier', v['name']);
        const about = await rpc<StringMap>('auth.get_subject_information_from_identifier', id);
        const ref = await rpc<Ref>('subject.create', { subject_identifier: id, other_config: about });
        // A new subject is a pool-admin, as on XenServer: that goes before the role that was chosen comes, or the subject does.
        try {
          const had = await rpc<Ref[]>('subject.get_roles', ref);
          for (const r of had) if (r !== v['role']) await rpc('subject.remove_from_roles', ref, r);
          if (!had.includes(v['role'] ?? '')) await rpc('subject.add_to_roles', ref, v['role']);
        } catch (e) {
          await rpc('subject.destroy', ref).catch(() => undefined);
          throw e;
        }
      });
    },
  };
}

function directoryForm(pool: Ref): Form {
  return {
    title: say.joinADirectory, verb: say.join, text: say.usersAndGroupsOfIt,
    fields: [
      { id: 'type', label: say.kind, kind: 'select', choices: [['LDAP', 'LDAP'], ['AD', say.activeDirectory]] },
      { id: 'service', label: say.domain, hint: say.asExampleOrg }, { id: 'uri', label: say.server, optional: true, hint: say.asLdapsLdapExampleOrg }, { id: 'base', label: say.wherePeopleAre, optional: true, hint: say.asOuPeopleDcExample },
      { id: 'user', label: say.accountThatReads, optional: true }, { id: 'pass', label: say.itsPassword, kind: 'password', optional: true },
      { id: 'ca', label: say.certificateOfItsAuthority, kind: 'area', optional: true, hint: say.pemEmptyTheAuthoritiesOf },
    ],
    calls: (v) => {
      const config = Object.fromEntries(['uri', 'base', 'user', 'pass', 'ca'].filter((k) => v[k]).map((k) => [k, v[k]!]));
      return [{ method: 'pool.enable_external_auth', cli: 'pool-enable-external-auth', args: [arg(pool), arg(config, '', 'pass' in config ? { ...config, pass: 'PASSWORD' } : config), ...Object.keys(config).map((k) => arg(undefined, `config:${k}=${k === 'pass' ? 'PASSWORD' : config[k]!}`)),
        arg(v['service'], `service-name=${v['service'] ?? ''}`), arg(v['type'], `auth-type=${v['type'] ?? ''}`)] }];
    },
  };
}

function Subjects(): JSX.Element {
  const rows = [...db.subject.all];
  const pool = poolEntry.value?.[0] ?? '';
  const joined = hosts.value.some(([, h]) => h.external_auth_type !== '');
  const nameOf = (s: Subject): string => s.other_config['subject-name'] ?? s.subject_identifier;
  return (
    <Card title={say.usersAndGroupsOfA} wide actions={<>
      {joined ? <Act title={say.leaveTheDirectory} verb={say.leave} ask={say.nobodyOfTheDirectoryCan} calls={[simple('pool.disable_external_auth', 'pool-disable-external-auth', arg(pool), arg({}))]}>{say.leaveTheDirectoryAsk}</Act>
        : <Ask why={denied('pool.enable_external_auth')} form={() => directoryForm(pool)}>{say.joinADirectoryAsk}</Ask>}
      <Ask kind="primary" why={denied('subject.create') || (joined ? '' : say.joinADirectoryFirst)} form={subjectForm}><Icon name="plus" />{say.addUserOrGroup}</Ask></>}>
      {rows.length === 0 ? <Empty>{joined ? say.nobodyHasARoleYet : say.noDirectoryHasBeenJoined}</Empty> : <Table label={say.users} rows={rows} keyOf={([r]) => r} columns={[
        { head: say.name, cell: ([, s]) => nameOf(s) }, { head: say.roles, cell: ([, s]) => s.roles.map(roleName).join(', ') || say.noneWord },
        { head: '', cell: ([r, s]) => (
          <Menu label={say.change}>
            {roles().map(([role, o]) => (s.roles.includes(role)
              ? <Act key={role} title={say.noLonger(nameOf(s), o.name_label)} calls={[simple('subject.remove_from_roles', 'subject-role-remove', arg(r, `uuid=${s.uuid}`), arg(role, `role-name=${o.name_label}`))]}>− {o.name_label}</Act>
              : <Act key={role} title={`${nameOf(s)}: ${o.name_label}`} calls={[simple('subject.add_to_roles', 'subject-role-add', arg(r, `uuid=${s.uuid}`), arg(role, `role-name=${o.name_label}`))]}>+ {o.name_label}</Act>))}
            <hr />
            <Act title={say.endTheSessionsOf(nameOf(s))} calls={[simple('session.logout_subject_identifier', 'session-subject-identifier-logout', arg(s.subject_identifier, `subject-identifier=${s.subject_identifier}`))]}>{say.endItsSessions}</Act>
            <Act kind="danger" title={say.removeOf(nameOf(s))} verb={say.remove} ask={say.canNoLongerSignIn(nameOf(s))} calls={[simple('subject.destroy', 'subject-remove', arg(r, `subject-uuid=${s.uuid}`))]}>{say.removeAsk}</Act>
          </Menu>) },
      ]} />}
    </Card>
  );
}

export function People(): JSX.Element {
  const me = session.value;
  return (
    <div class="cards">
      <Card title={say.you}><Facts rows={[[say.user, me?.user ?? ''], [say.role, me?.superuser ? say.poolAdminOfThisHost : (me?.roles.join(', ') ?? '')]]} /></Card>
      <Subjects />
      <Tokens />
      <Roles />
    </div>
  );
}

/** Of one object: who may by a role may with all; a token can be for it alone. */
export function AccessOf({ of }: { of?: Ref }): JSX.Element {
  return (
    <div class="cards">
      <Card title={say.access} wide><p>{say.rolesAreGivenForTheToo}<a href={href('access')}>{say.usersPage}</a>. {of && say.aTokenCanBeFor}</p></Card>
      {of && <Tokens of={of} />}
    </div>
  );
}
