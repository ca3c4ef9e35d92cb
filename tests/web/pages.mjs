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
  await button(page, 'Upload…').click();
  await page.setInputFiles('input[type=file]', given.disc);
  await confirm(page, 'Upload');
  await page.locator('table').getByText('hello.img').waitFor();
  await page.locator('.pane-head').click();
  await page.locator('.tasks li', { hasText: 'Upload hello.img' }).locator('.success').waitFor();
  await page.locator('.pane-head').click();
}

/** Under ten clicks from here to its console. */
async function makeMachine(page) {
  await page.locator('.brand').click();
  await link(page, 'New machine').first().click();
  await page.getByLabel('Name').fill('from disc');
  await page.getByLabel('CPUs').fill('1');
  await page.getByLabel('Memory').fill('64 MiB');
  await page.locator('section', { hasText: 'Space is taken' }).getByLabel('Size').fill('2 GiB');
  await page.getByLabel('Image').selectOption({ label: 'hello.img, 2 MiB' });
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
    await page.screenshot({ path: `${given.shots}/readme-console.png` });

    await openTab(page, 'Snapshots');
    await button(page, 'Take snapshot').click();
    await page.locator('dialog input').fill('first');
    await confirm(page, 'Take snapshot');
    await page.locator('.snapshots', { hasText: 'first' }).waitFor();

    await page.locator('.menu summary', { hasText: 'More' }).click();
    await button(page, 'Power off').click();
    await page.locator('dialog', { hasText: 'loses its power at once' }).waitFor();
    await confirm(page, 'Power off');
    await state(page, 'Halted');
    await button(page, 'Revert to first').click();
    await confirm(page, 'Revert');
    await until(page, () => document.querySelector('.snapshots .here') !== null);
    await page.locator('.pane-head').click();
    await page.locator('.tasks li', { hasText: 'Revert from disc' }).locator('.success').waitFor();
    await page.locator('.pane-head').click();

    await openTab(page, 'Disks');
    await page.locator('tr', { hasText: 'from disc disk 0' }).locator('summary').click();
    await button(page, 'Grow…').click();
    await page.locator('dialog input').fill('3 GiB');
    await confirm(page, 'Grow');
    await page.locator('tr', { hasText: '3 GiB' }).waitFor();

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
      audit: 'pool//audit', people: 'access', alerts: 'pool//alerts' };
    const looks = { light: { colorScheme: 'light' }, dark: { colorScheme: 'dark' }, phone: { colorScheme: 'light', viewport: { width: 390, height: 844 } } };
    const findings = [];
    for (const [look, options] of Object.entries(looks)) {
      const page = await open({ ...options, bypassCSP: true });
      await page.goto(given.url);
      await signIn(page);
      await page.evaluate(axe);
      for (const [name, hash] of Object.entries(pages)) {
        await page.goto(`${given.url}/#/${hash}`);
        await page.waitForSelector('.page h1');
        await until(page, () => !/Loading…|Reading/.test(document.querySelector('main').textContent));
        await page.screenshot({ path: `${given.shots}/${name}-${look}.png` });
        if (look !== 'light' && !['pool', 'vm-overview', 'vm-history', 'new-machine'].includes(name)) continue;
        // the same elements in other colours: their contrast alone is new
        const rules = look === 'dark' ? { runOnly: { type: 'rule', values: ['color-contrast'] } } : {};
        const result = await page.evaluate((more) => globalThis.axe.run(document, { resultTypes: ['violations'], ...more }), rules);
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
