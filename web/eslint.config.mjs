// SPDX-License-Identifier: Apache-2.0
import tseslint from 'typescript-eslint';
import words from './words.mjs';

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/'] },
  ...tseslint.configs.recommended,
  ...tseslint.configs.stylistic,
  {
    files: ['**/*.{ts,tsx,mjs}'],
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-eval': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/consistent-type-definitions': ['error', 'interface'],
    },
  },
  { files: ['src/**/*.{ts,tsx}'], ignores: ['src/strings.ts', 'src/*.test.ts'], plugins: { words }, rules: { 'words/table': 'error' } },
);
