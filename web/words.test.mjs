// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Linter } from 'eslint';
import rule from './words.mjs';

const found = (code) => new Linter().verify(code, { files: ['**/*.jsx'], plugins: { words: rule }, rules: { 'words/table': 'error' },
  languageOptions: { parserOptions: { ecmaFeatures: { jsx: true } } } }, 'a.jsx').map((m) => m.message.replace(/^[^"]*/, ''));

void test('words outside of the table are found', () => {
  for (const code of ['x = <b>Power off</b>', 'x = <b title="power off" />', 'x = <b>{on ? "Shut down" : ""}</b>', 'x = { head: "Name" }', 'f("Nothing runs.")', 'f(`Delete ${a}`)', 'x = <b aria-label={`Open ${a}`} />']) assert.equal(found(code).length, 1, code);
  for (const code of ['x = <b class="page fill">{say.powerOff}</b>', 'f("VM.start", "other_config", "OpaqueRef:NULL")', 'x = <code>serai vm-list</code>', 'v.power_state === "Running"', 'x = <b title="pool-admin" />', 'q("input, select, textarea")']) assert.deepEqual(found(code), [], code);
});
