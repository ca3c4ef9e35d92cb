// SPDX-License-Identifier: Apache-2.0
// node pages.mjs SCENARIO JSON: steps in Debian's Chromium. Waits are for what must become true, with a limit that a loaded
// machine keeps; the process fails with what the page said.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from '../../web/node_modules/playwright-core/index.mjs';

const LIMIT = Number(process.env.SERAI_WEB_LIMIT_MS ?? 120_000);
const [, , scenario, json] = process.argv;
const given = JSON.parse(json);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Let the test do something, and wait until it has. */
async function ask(what) {
  console.log(what);
  await lines.next();
}

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium', timeout: LIMIT,
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--hide-scrollbars'],
});

async function open(options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1400, height: 860 }, ...options });
  context.setDefaultTimeout(LIMIT);
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (e) => wrong.push(String(e)));
  page.on('console', (m) => { if (/Content Security Policy|Uncaught/.test(m.text())) wrong.push(m.text()); });
  page.on('request', (r) => {
    assert.ok(!/session_id|OpaqueRef%3A.*session/.test(r.url()), `a session in ${r.url()}`);
    if (!r.url().startsWith('data:') && !r.url().startsWith('blob:')) assert.equal(new URL(r.url()).host, new URL(given.url).host, 'nothing is asked of others');
  });
  page.wrong = wrong;
  return page;
}

async function signIn(page, user = 'root') {
  await page.waitForSelector('input[name=password]');
  await page.fill('input[name=username]', user);
  await page.fill('input[name=password]', given.password);
  await page.click('button[type=submit]');
  await page.waitForSelector('.dot.live');
}

/** The page's policy forbids what the driver's own waiting needs. */
async function until(page, test, arg) {
  const end = Date.now() + LIMIT;
  while (!(await page.evaluate(test, arg))) {
    if (Date.now() > end) throw new Error(`not true in time: ${test}`);
    await page.waitForTimeout(100);
  }
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const link = (page, name) => page.locator('main').getByRole('link', { name, exact: true });
const confirm = (page, name) => page.locator('dialog').getByRole('button', { name, exact: true }).click();
const state = (page, name) => page.locator('.page-head .state', { hasText: name }).waitFor();

/** How many pixels of the screen's first lines of text are lit; -1 while there are lit ones below them (the firmware's words). */
const lit = (page) => page.evaluate(() => {
  const canvas = document.querySelector('.screen canvas');
  if (!canvas || canvas.width === 0) return 0;
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] + data[i + 1] + data[i + 2] <= 150) continue;
    if (i / 4 / canvas.width > 40) return -1;
    n++;
  }
  return n;
});

async function litUntil(page, test, what) {
  const end = Date.now() + LIMIT;
  let n;
  do {
    n = await lit(page);
    if (test(n)) return n;
    await page.waitForTimeout(200);
  } while (Date.now() < end);
  throw new Error(`${what}: ${n} pixels are lit`);
}

async function openTab(page, name) {
  await page.locator('.tabs').getByRole('link', { name, exact: true }).click();
}

async function upload(page) {
  await page.locator('.tree').getByRole('link', { name: 'Local storage' }).click();
  await page.locator('.pane-head').click();
  await button(page, 'Upload…').click();
  await page.setInputFiles('input[type=file]', given.disc);
  // On a slow line it is paused half-way; the page is loaded anew, and the same file goes on where it stopped.
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Network.enable');
  const speed = (uploadThroughput) => cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput });
  await speed(60_000);
  await confirm(page, 'Upload');
  const line = page.locator('.tasks li', { hasText: 'Upload hello' });
  await until(page, () => Number(document.querySelector('.tasks .bar')?.getAttribute('aria-valuenow')) > 0);
  await line.getByRole('button', { name: 'Pause' }).click();
  await line.locator('.paused').waitFor();
  await speed(-1);
  await page.reload();
  await page.waitForSelector('.dot.live');
  await line.getByRole('button', { name: 'Resume' }).click();
  await page.locator('dialog input[type=file]').setInputFiles(given.other);
  await page.locator('dialog').getByRole('button', { name: 'Resume' }).click({ force: true }); // another file: nothing happens
  await page.locator('dialog input[type=file]').setInputFiles(given.disc);
  await confirm(page, 'Resume');
  await page.locator('table').getByText('hello', { exact: true }).waitFor();
  await page.locator('.pane-head').click();

  await page.locator('.tree').getByRole('link', { name: 'ISO library' }).click();
  await button(page, 'Upload…').click();
  await page.setInputFiles('input[type=file]', given.other);
  await confirm(page, 'Upload');
  await page.locator('table').getByText('tools.iso').waitFor();
}

/** Out as an XVA and in again; a disc into its drive and out. */
async function outAndIn(page) {
  await page.locator('.page-head .menu summary').click();
  await button(page, 'Export…').click();
  const [file] = await Promise.all([page.waitForEvent('download'), confirm(page, 'Export')]);
  const path = `${given.disc}.xva`;
  await file.saveAs(path);
  await openTab(page, 'Disks');
  await button(page, 'Insert…').click();
  await page.locator('dialog select').selectOption({ label: 'tools.iso' });
  await confirm(page, 'Insert');
  await button(page, 'Eject').click();
  await button(page, 'Insert…').waitFor();
  await page.goto(`${given.url}/#/vms`);
  await button(page, 'Import…').click();
  await page.setInputFiles('dialog input[type=file]', path);
  await until(page, () => document.querySelector('dialog select')?.value === 'xva');
  await confirm(page, 'Import');
  await until(page, () => [...document.querySelectorAll('.vm-row a')].filter((a) => a.textContent === 'from disc').length === 2);
  await page.locator('.pane-head').click();
  await page.locator('.tasks li', { hasText: 'Import' }).locator('.success').waitFor();
  await page.locator('.pane-head').click();
}

/** Under ten clicks from here to its console. */
async function makeMachine(page) {
  await page.locator('.brand').click();
  await link(page, 'New machine').first().click();
  await page.getByLabel('Name', { exact: true }).fill('from disc');
  await page.locator('section[aria-label=Size]').getByLabel('CPUs').fill('1');
  await page.locator('section[aria-label=Size]').getByLabel('Memory').fill('64 MiB');
  await page.locator('section', { hasText: 'Space is taken' }).getByLabel('Size').fill('2 GiB');
  await page.locator('section[aria-label=Disk]').getByLabel('Image').selectOption({ label: 'hello, 2 MiB' });
  await page.getByLabel('Host name').fill('disc-1');
  await page.getByLabel('SSH keys').fill('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@desk');
  await button(page, 'Create and start').click();
  await page.waitForSelector('.screen[data-status=connected] canvas');
  await state(page, 'Running');
}

async function screenDraws(page) {
  const before = await litUntil(page, (n) => n > 400, 'the machine says its line');
  await page.locator('.screen canvas').click();
  await page.keyboard.type('wwwwwwwwwwwwwwww', { delay: 30 });
  await litUntil(page, (n) => n > before + 250, `what is typed is drawn over ${before}`);
}

async function serialSpeaks(page) {
  await page.goto(`${given.url}/#/vm/${given.guest}/console`);
  await button(page, 'Serial').click();
  await page.waitForSelector('.serial[data-status=connected]');
  await page.locator('.serial .xterm').click();
  await page.keyboard.type('echo web42\n', { delay: 30 });
  await until(page, () => /ECHO web42/.test(document.querySelector('.serial .xterm-rows')?.textContent ?? ''));
}

async function chartsMove(page) {
  await openTab(page, 'Performance');
  const cpu = page.locator('.chart').first();
  await cpu.waitFor();
  const newest = async () => Number(await cpu.getAttribute('data-newest'));
  const begin = await newest();
  await until(page, (n) => Number(document.querySelector('.chart')?.getAttribute('data-newest')) > n, begin);
  await until(page, () => document.querySelectorAll('.chart canvas').length === 4);
}

const at = (page, hash) => page.goto(`${given.url}/#/${hash}`);
const card = (page, name) => page.locator(`section[aria-label="${name}"]`);
const field = (page, name) => page.locator('dialog .field').filter({ has: page.locator('span').filter({ hasText: new RegExp(`^${name}$`) }) }).locator('input, select, textarea');
/** A form in a dialog: what is written into which field, and the button. */
async function form(page, fields, verb) {
  for (const [name, value] of Object.entries(fields)) {
    const input = field(page, name);
    if ((await input.evaluate((e) => e.tagName)) === 'SELECT') await input.selectOption({ label: value });
    else await input.fill(value);
  }
  await confirm(page, verb);
}

/** An action shows its calls, by the right button and while the whole page is told to. */
async function copyAs(page) {
  await at(page, `vm/${given.vm}/overview`);
  await button(page, 'Reboot').click({ button: 'right' });
  const shown = page.locator('dialog .copyas');
  for (const text of [`VM.clean_reboot(session, "OpaqueRef:`, `serai vm-reboot vm=${given.vm}`, 'curl -k ']) await shown.getByText(text).waitFor();
  await confirm(page, 'Done');
  await button(page, 'Show calls').click();
  await button(page, 'Reboot').click();
  await shown.getByText('serai vm-reboot').waitFor();
  await confirm(page, 'Done');
  await page.locator('.showing').getByRole('button').click();
}

async function settings(page) {
  await at(page, `vm/${given.vm}/settings`);
  await button(page, 'Add threshold…').click();
  await form(page, { Value: 'CPU', Level: '90 %' }, 'Add');
  await page.getByText('above 90 % for 60 s').waitFor();
  await page.getByLabel('Tags').fill('shop, precious');
  await page.getByLabel('Folder').fill('/sales');
  await page.getByLabel('Description').fill('Sells things');
  await page.getByLabel('Description').press('Enter');
  await button(page, 'Add field…').click();
  await form(page, { Key: 'owner', Value: 'Ada' }, 'Add');
  await page.getByText('owner', { exact: true }).waitFor();
  await openTab(page, 'History');
  await page.locator('.diff', { hasText: 'name_description' }).getByRole('button', { name: 'Undo' }).click();
  await confirm(page, 'Undo');
  await until(page, () => document.querySelectorAll('.history li').length > 0 && [...document.querySelectorAll('.diff code')].filter((c) => c.textContent === 'name_description').length === 2);
  await button(page, 'Who set what').click();
  await page.locator('tr', { hasText: 'name_description' }).getByText('root').waitFor();
  await button(page, 'Compare').first().click();
  await page.locator('form').getByRole('button', { name: 'Compare' }).click();
  await page.locator('.diff', { hasText: 'tags' }).first().waitFor();
}

async function schedule(page) {
  await at(page, 'pool//snapshots');
  await button(page, 'New schedule').click();
  await form(page, { Name: 'nightly', 'How often': 'On days of the week', Days: 'Monday, Friday' }, 'Create');
  await page.locator('tr', { hasText: 'Monday, Friday at 03:00' }).waitFor();
  await at(page, `vm/${given.vm}/snapshots`);
  await page.getByLabel('Schedule', { exact: true }).last().selectOption({ label: 'nightly' });
  await page.getByText('7 are kept').waitFor();
}

/** Deleted, brought back, copied. */
async function disks(page) {
  await at(page, `sr/${given.sr}/overview`);
  await button(page, 'Keep for…').click();
  await form(page, { Hours: '5' }, 'Set');
  await button(page, 'Kept for 5 h…').waitFor();
  const loose = card(page, 'Disks').locator('tr', { hasText: 'loose' });
  await loose.locator('summary').click();
  await loose.getByRole('button', { name: 'Delete…' }).click();
  await page.locator('dialog', { hasText: 'The recycle bin keeps them' }).waitFor();
  await confirm(page, 'Delete');
  await card(page, 'Recycle bin').locator('tr', { hasText: 'loose' }).getByRole('button', { name: 'Bring back' }).click();
  await loose.locator('summary').click();
  await loose.getByRole('button', { name: 'Copy to…' }).click();
  await confirm(page, 'Copy');
  await until(page, () => [...document.querySelectorAll('td')].filter((c) => c.textContent === 'loose').length === 2);
}

async function people(page) {
  await at(page, 'access');
  await button(page, 'New role…').click();
  await form(page, { Name: 'helper', 'Allows besides': 'vm.start' }, 'Create');
  await page.locator('tr', { hasText: 'read-only +vm.start' }).waitFor();
  await at(page, `vm/${given.vm}/access`);
  await button(page, 'New token').click();
  await form(page, { Name: 'keeper', Role: 'helper' }, 'Create');
  await page.locator('dialog .secret').waitFor();
  await confirm(page, 'Done');
  await page.locator('tr', { hasText: 'keeper' }).waitFor();
}

/** By the keyboard alone: a selection is tagged, a machine made. */
async function keyboard(page) {
  await at(page, 'pool');
  await page.locator('.page h1').waitFor();
  await page.keyboard.press('m');
  await page.keyboard.press('/');
  await page.keyboard.type('tag:production');
  await page.keyboard.press('Enter');
  await page.locator('.list-bar', { hasText: ' of ' }).waitFor();
  await page.locator('.list-bar input').focus();
  await page.keyboard.press('Space');
  await page.locator('.list-bar summary').focus();
  await page.keyboard.press('Enter');
  await button(page, 'Add tag…').focus();
  await page.keyboard.press('Enter');
  await field(page, 'Tag').focus();
  await page.keyboard.type('bulk');
  await page.keyboard.press('Enter');
  await until(page, () => [...document.querySelectorAll('.vm-row .tags')].every((t) => t.textContent.includes('bulk')));
  await page.locator('#search').focus();
  await page.keyboard.press('Escape');
  await page.keyboard.press('n');
  await until(page, () => document.activeElement?.closest('.field')?.textContent === 'Name');
  await page.keyboard.type('by keyboard');
  await page.keyboard.press('Enter');
  await page.locator('.page-head h1', { hasText: 'by keyboard' }).waitFor();
}

const scenarios = {
  async day() {
    const page = await open();
    const began = Date.now();
    await page.goto(given.url);
    await signIn(page);
    console.error(`sign-in to a live page: ${Date.now() - began} ms`);
    await upload(page);
    await ask('uploaded');
    await makeMachine(page);
    await screenDraws(page);
    await until(page, () => document.querySelector('.toast').textContent === '');
    await page.screenshot({ path: `${given.shots}/readme-console.png` });

    await openTab(page, 'Snapshots');
    await button(page, 'Take snapshot').click();
    await page.locator('dialog input').fill('first');
    await confirm(page, 'Take snapshot');
    await page.locator('.snapshots', { hasText: 'first' }).waitFor();

    await page.locator('.page-head .menu summary').click();
    await button(page, 'Power off').click();
    await page.locator('dialog', { hasText: 'loses its power at once' }).waitFor();
    await confirm(page, 'Power off');
    await state(page, 'Halted');
    await button(page, 'Revert to first').click();
    await confirm(page, 'Revert');
    await until(page, () => document.querySelector('.snapshots .here') !== null);
    await page.locator('.pane-head').click();
    await page.locator('.tasks li', { hasText: 'Revert to first' }).locator('.success').waitFor();
    await page.locator('.pane-head').click();

    await openTab(page, 'Disks');
    await page.locator('tr', { hasText: 'from disc disk 0' }).locator('summary').click();
    await button(page, 'Grow…').click();
    await page.locator('dialog input').fill('3 GiB');
    await confirm(page, 'Grow');
    await page.locator('tr', { hasText: '3 GiB' }).waitFor();

    await outAndIn(page);
    await serialSpeaks(page);
    await chartsMove(page);
    await openTab(page, 'Overview');
    await until(page, () => document.querySelectorAll('.chart canvas').length === 4);
    await page.screenshot({ path: `${given.shots}/readme-overview.png` });

    // The daemon ends sessions when it ends; the page says that it is gone and asks again when it is back.
    await ask('restart');
    await signIn(page);
    await state(page, 'Running');
    assert.ok(page.url().includes(given.guest), 'the place in the console is kept');
    assert.deepEqual(page.wrong, []);
  },

  async many() {
    const page = await open();
    await page.goto(given.url);
    await signIn(page);
    await page.goto(`${given.url}/#/vms`);
    await until(page, () => /2000 machines/.test(document.querySelector('.list-bar')?.textContent ?? ''));
    assert.ok((await page.locator('.vm-row').count()) < 80, 'only what is in sight is drawn');
    // The page's own processor time: what else the machine does is not the page's stutter.
    const cdp = await page.context().newCDPSession(page);
    await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
    const spent = async () => (await cdp.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value * 1000;
    const frames = 60;
    const before = await spent();
    await page.evaluate(async (n) => {
      const box = document.querySelector('.virtual');
      for (let i = 0; i < n; i++) {
        box.scrollTop = i * 900;
        await new Promise(requestAnimationFrame);
      }
    }, frames);
    const each = (await spent()) - before;
    console.error(`a scrolled frame: ${(each / frames).toFixed(1)} ms`);
    assert.ok(each > 0 && each / frames < 50, `a frame takes ${each / frames} ms`);
    await page.evaluate(() => { document.querySelector('.virtual').scrollTop = 1e9; });
    await page.locator('.vm-row', { hasText: 'machine 1999' }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('machine name:"machine 19" -"machine 199" state:halted memory:>100m tag:many');
    await until(page, () => /100 machines of 2000/.test(document.querySelector('.list-bar')?.textContent ?? ''));
    await page.fill('#search', 'state:running');
    await page.getByText('Nothing matches').waitFor();
    assert.deepEqual(page.wrong, []);
  },

  async reader() {
    const page = await open();
    await page.goto(given.url);
    await signIn(page, 'reader');
    await page.locator('.who', { hasText: 'read-only' }).waitFor();
    await page.goto(`${given.url}/#/vm/${given.vm}/overview`);
    await state(page, 'Halted');
    const start = page.getByRole('button', { name: /^Start\./ });
    assert.equal(await start.getAttribute('aria-disabled'), 'true');
    assert.match(await start.getAttribute('title'), /Your role does not allow VM\.start/);
    await start.click({ force: true });
    await openTab(page, 'Settings');
    assert.ok(await page.getByLabel('Description').isDisabled());
    await state(page, 'Halted');
    assert.deepEqual(page.wrong, []);
  },

  async shots() {
    const axe = readFileSync(fileURLToPath(new URL('../../web/node_modules/axe-core/axe.min.js', import.meta.url)), 'utf8');
    const pages = { pool: 'pool', machines: 'vms', 'vm-overview': `vm/${given.vm}/overview`, 'vm-disks': `vm/${given.vm}/disks`,
      'vm-snapshots': `vm/${given.vm}/snapshots`, 'vm-history': `vm/${given.vm}/history`, 'vm-settings': `vm/${given.vm}/settings`,
      'new-machine': 'new', storage: `sr/${given.sr}/overview`, host: `host/${given.host}/overview`, network: `network/${given.network}/overview`,
      audit: 'pool//audit', people: 'access', alerts: 'pool//alerts', 'pool-settings': 'pool//settings', 'pool-network': 'pool//network', schedules: 'pool//snapshots',
      'vm-network': `vm/${given.vm}/network`, 'host-settings': `host/${given.host}/settings` };
    const looks = { light: { colorScheme: 'light' }, dark: { colorScheme: 'dark' }, phone: { colorScheme: 'light', viewport: { width: 390, height: 844 } } };
    const findings = [];
    for (const [look, options] of Object.entries(looks)) {
      const page = await open({ ...options, bypassCSP: true });
      await page.goto(given.url);
      await signIn(page);
      if (look === 'light') for (const part of [copyAs, settings, schedule, disks, people, keyboard]) await part(page);
      await page.evaluate(axe);
      for (const [name, hash] of Object.entries(pages)) {
        await page.goto(`${given.url}/#/${hash}`);
        await page.waitForSelector('.page h1');
        await until(page, () => !/Loading…|Reading/.test(document.querySelector('main').textContent));
        await page.screenshot({ path: `${given.shots}/${name}-${look}.png` });
        if (look !== 'light' && !['pool', 'vm-overview', 'vm-history', 'new-machine', ...(look === 'dark' ? ['vm-snapshots', 'storage', 'people', 'alerts'] : [])].includes(name)) continue;
        // the same elements in other colours: their contrast alone is new
        const rules = look === 'dark' ? { runOnly: { type: 'rule', values: ['color-contrast'] } } : {};
        // What is around the page is the same everywhere: it is looked at once.
        const result = await page.evaluate(([more, all]) => globalThis.axe.run(all ? document : document.querySelector('main'), { resultTypes: ['violations'], ...more }), [rules, name === 'pool']);
        for (const v of result.violations.filter((x) => ['serious', 'critical'].includes(x.impact))) {
          findings.push(`${name} ${look}: ${v.id} ${v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 160)} ${n.failureSummary?.split('\n')[1] ?? ''}`).join(' | ')}`);
        }
      }
      assert.deepEqual(page.wrong, []);
      await page.context().close();
    }
    assert.deepEqual(findings, []);
  },
};

try {
  await scenarios[scenario]();
} catch (e) {
  console.error(e);
  for (const c of browser.contexts()) {
    for (const p of c.pages()) {
      await p.screenshot({ path: `${given.shots ?? '/tmp'}/failed-${scenario}.png` }).catch(() => undefined);
      console.error(`${p.url()}\n${(await p.locator('body').innerText().catch(() => '')).slice(0, 3000)}`);
    }
  }
  process.exitCode = 1;
} finally {
  await browser.close();
}
process.exit();
