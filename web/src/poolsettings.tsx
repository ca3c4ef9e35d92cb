// SPDX-License-Identifier: Apache-2.0
// Settings of the pool and of hosts: certificates, the support bundle, the recycle bin, who is told of alerts.
import type { JSX } from 'preact';
import { Act, Ask, save, setKey, type Form } from './act';
import { simple } from './actions';
import { denied, may } from './api';
import { arg } from './copyas';
import { when } from './format';
import { Labels, Thresholds } from './labels';
import type { Certificate, Host, Pool } from './model';
import { db, hosts, type Entry } from './store';
import { Bin } from './storage';
import { Button, Card, Empty, Facts, Field, Icon, Table } from './ui';
import { say } from './strings';

const certificatesOf = (keep: (c: Certificate) => boolean): Entry<Certificate>[] => [...db.certificate.all].filter(([, c]) => keep(c));

function certificateForm([ref, host]: Entry<Host>): Form {
  return {
    title: say.certificateOf(host.name_label), verb: say.install, text: say.allAsPemBrowsersAnd,
    fields: [{ id: 'cert', label: say.certificate, kind: 'area' }, { id: 'key', label: say.privateKey, kind: 'area' }, { id: 'chain', label: say.chain, kind: 'area', optional: true, hint: say.certificatesOfTheAuthorities }],
    calls: (v) => [{ method: 'host.install_server_certificate', cli: 'host-server-certificate-install', args: [arg(ref, `host=${host.uuid}`), arg(v['cert'], 'certificate=FILE'), arg(v['key'], 'private-key=FILE', 'PRIVATE_KEY'), arg(v['chain'], v['chain'] ? 'certificate-chain=FILE' : '')] }],
  };
}

function HostCertificate({ entry: [ref, host] }: { entry: Entry<Host> }): JSX.Element {
  const mine = certificatesOf((c) => c.host === ref && c.type === 'host');
  return (
    <Card title={say.certificate} actions={<>
      <Ask why={denied('host.install_server_certificate')} form={() => certificateForm([ref, host])}>{say.replaceAsk}</Ask>
      <Act title={say.newCertificateOf(host.name_label)} verb={say.makeANewOne} ask={say.theHostMakesItselfA} calls={[simple('host.reset_server_certificate', 'host-reset-server-certificate', arg(ref, `host=${host.uuid}`))]}>{say.resetAsk}</Act></>}>
      {mine.length === 0 ? <Empty>{say.noneIsKnown}</Empty> : mine.map(([r, c]) => <Facts key={r} rows={[[say.validFrom, when(c.not_before)], [say.validUntil, when(c.not_after)], ['SHA-256', <code class="wrap">{c.fingerprint_sha256 ?? c.fingerprint}</code>]]} />)}
    </Card>
  );
}

function Authorities(): JSX.Element {
  const rows = certificatesOf((c) => c.type === 'ca');
  return (
    <Card title={say.authorities} actions={<Ask why={denied('pool.install_ca_certificate')} form={() => ({
      title: say.trustAnAuthority, verb: say.trust, fields: [{ id: 'name', label: say.name, pattern: '[A-Za-z0-9._-]+', value: 'authority.pem' }, { id: 'cert', label: say.certificate, kind: 'area', hint: say.pem }],
      calls: (v) => [{ method: 'pool.install_ca_certificate', cli: 'pool-install-ca-certificate', args: [arg(v['name'], ''), arg(v['cert'], 'filename=FILE')] }],
    })}><Icon name="plus" />{say.addAsk}</Ask>}>
      {rows.length === 0 ? <Empty>{say.noneBesidesThoseOfThe}</Empty> : <Table label={say.authorities} rows={rows} keyOf={([r]) => r} columns={[
        { head: say.name, cell: ([, c]) => c.name }, { head: say.validUntil, cell: ([, c]) => when(c.not_after) },
        { head: '', cell: ([, c]) => <Act kind="danger" title={say.noLongerTrust(c.name)} verb={say.remove} ask={say.serversWhoseCertificates(c.name)} calls={[simple('pool.uninstall_ca_certificate', 'pool-uninstall-ca-certificate', arg(c.name, `name=${c.name}`))]}>{say.removeAsk}</Act> },
      ]} />}
    </Card>
  );
}

function Support(): JSX.Element {
  const no = denied('http/get_system_status');
  return (
    <Card title={say.support}>
      <p>{say.oneArchiveWithLogsThe}</p>
      <p>{no === '' ? <a class="button" href="/system-status" download>{say.downloadTheSupportBundle}</a> : <Button why={no}>{say.downloadTheSupportBundle}</Button>}</p>
    </Card>
  );
}

const TOLD: [string, string, string][] = [
  ['mail-destination', say.mailTo, say.addressesWithCommasBetween], ['ssmtp-mailhub', say.mailServer, say.asMailExampleOrg25], ['mail-min-priority', say.mailFromPriority, say.n1TheMostUrgentOnly],
  ['webhook-url', say.webhook, say.eachMessageIsSentThere],
];

export function PoolSettings({ entry: [ref, pool] }: { entry: Entry<Pool> }): JSX.Element {
  const key = (name: string, label: string, hint: string): JSX.Element => (
    <Field key={name} label={label} hint={hint}><input key={pool.other_config[name]} defaultValue={pool.other_config[name] ?? ''} disabled={!may('pool.add_to_other_config')} onChange={(e) => { save(label, setKey('pool', ref, pool.uuid, 'other_config', pool.other_config, name, e.currentTarget.value.trim())); }} /></Field>
  );
  return (
    <div class="flow">
      <Labels cls="pool" refOf={ref} rec={pool}>
        <Card title={say.whoIsToldOfAlerts}>{TOLD.map(([name, label, hint]) => key(name, label, hint))}</Card>
        <div class="stack">
          {hosts.value.map((h) => <HostCertificate key={h[0]} entry={h} />)}
          <Authorities />
          <Support />
          <Card title={say.history}>{key('history_days', say.daysThatChangesAreKept, say.n90IfItIsEmpty)}</Card>
        </div>
      </Labels>
      <Bin />
    </div>
  );
}

export function HostSettings({ entry: [ref, host] }: { entry: Entry<Host> }): JSX.Element {
  return (
    <div class="flow">
      <Labels cls="host" refOf={ref} rec={host}>
        <div class="stack"><Thresholds cls="host" refOf={ref} rec={host} /><HostCertificate entry={[ref, host]} /></div>
        <Support />
      </Labels>
    </div>
  );
}
