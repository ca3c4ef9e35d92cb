// SPDX-License-Identifier: Apache-2.0
// The place in the console is the part of the address after "#": nothing is lost on reload, and the host never sees it.
import { signal } from '@preact/signals';

export interface Route { kind: string; id: string; tab: string }

export function parseRoute(hash: string): Route {
  const [kind = '', id = '', tab = ''] = hash.replace(/^#?\/?/, '').split('/').map(decodeURIComponent);
  return { kind: kind || 'pool', id, tab };
}

export const route = signal<Route>(parseRoute(location.hash));
addEventListener('hashchange', () => { route.value = parseRoute(location.hash); });

export function href(kind: string, id = '', tab = ''): string {
  return `#/${[kind, id, tab].filter((p, i, all) => p !== '' || all.slice(i).some((q) => q !== '')).map(encodeURIComponent).join('/')}`;
}

export function go(kind: string, id = '', tab = ''): void {
  location.hash = href(kind, id, tab);
}
