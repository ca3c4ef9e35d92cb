// SPDX-License-Identifier: Apache-2.0
// node build.mjs: the console's files in dist/, each beside its packed forms, and a notice of whose work is in them. Fails
// on a licence that nobody has looked at, and when the first view weighs more than it may.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'vite';

const LICENCES = new Set(['MIT', 'Apache-2.0', 'MPL-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', '0BSD', 'BlueOak-1.0.0',
  'Python-2.0', 'CC0-1.0']);
const FIRST_VIEW_MAX = 300 * 1024;
const SHIPPED = ['@novnc/novnc', '@preact/signals', '@preact/signals-core', '@xterm/addon-fit', '@xterm/xterm', 'preact',
  'uplot'];

function fail(why) {
  console.error(`web: ${why}`);
  process.exit(1);
}

/** All packages of the lock file, also those that only build and test, have a licence that is known here. */
function checkLicences() {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  for (const [path, one] of Object.entries(packages)) {
    if (path === '' || one.optional) continue;
    const parts = (one.license ?? 'none').replace(/[()]/g, '').split(/ OR | AND /);
    if (!parts.some((l) => LICENCES.has(l))) fail(`${path} has the licence "${one.license}", which build.mjs does not list`);
  }
}

function licenceText(directory) {
  const name = readdirSync(directory).find((f) => /^(licen[cs]e|copying)/i.test(f));
  return name ? readFileSync(join(directory, name), 'utf8').trim() : 'The package carries no text of its licence.';
}

function notice() {
  const parts = SHIPPED.map((name) => {
    const directory = join('node_modules', name);
    const { version, license, homepage } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    return [`${name} ${version} (${license})`, homepage ?? '', '', licenceText(directory)].join('\n');
  });
  const head = 'The web console of Serai contains these works of others, unchanged:\n\n'
    + 'noVNC is under the Mozilla Public License 2.0; its source is the npm package of the version named here.\n';
  writeFileSync('dist/third-party.txt', [head, ...parts].join(`\n${'-'.repeat(78)}\n`) + '\n');
}

function pack() {
  for (const directory of ['dist', 'dist/assets']) {
    for (const name of readdirSync(directory).filter((f) => /\.(html|js|css|svg|txt)$/.test(f))) {
      const plain = readFileSync(join(directory, name));
      if (plain.length < 512) continue;
      writeFileSync(join(directory, `${name}.gz`), gzipSync(plain, { level: 9 }));
      writeFileSync(join(directory, `${name}.br`), brotliCompressSync(plain, {
        params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length },
      }));
    }
  }
}

/** What the page itself names, as gzip: the larger of the packed forms. */
function checkFirstView() {
  const page = readFileSync('dist/index.html', 'utf8');
  const names = [...page.matchAll(/(?:src|href)="\.?\/?(assets\/[^"]+)"/g)].map((m) => m[1]);
  const sizes = names.map((n) => statSync(join('dist', `${n}.gz`), { throwIfNoEntry: false })?.size ?? statSync(join('dist', n)).size);
  const total = sizes.reduce((a, b) => a + b, 0);
  console.log(`web: the first view is ${Math.ceil(total / 1024)} KiB packed`);
  if (names.length === 0 || total > FIRST_VIEW_MAX) fail(`the first view is ${total} bytes packed; ${FIRST_VIEW_MAX} are allowed`);
}

checkLicences();
await build({ logLevel: 'warn' });
notice();
pack();
checkFirstView();
