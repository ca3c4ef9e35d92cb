// SPDX-License-Identifier: Apache-2.0
// node unit.mjs: the tests of the pure parts, src/*.test.ts, bundled for Node and run by its own test runner.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const out = mkdtempSync(join(here, 'node_modules', '.unit-'));
const tests = readdirSync(join(here, 'src')).filter((f) => f.endsWith('.test.ts'));
await build({ entryPoints: tests.map((f) => join(here, 'src', f)), outdir: out, outExtension: { '.js': '.mjs' }, bundle: true,
  platform: 'node', format: 'esm', target: 'node18', logLevel: 'warning' });
const done = spawnSync(process.execPath, ['--test', out, join(here, 'words.test.mjs')], { stdio: 'inherit' });
rmSync(out, { recursive: true });
process.exit(done.status ?? 1);
