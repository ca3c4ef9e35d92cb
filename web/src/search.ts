// SPDX-License-Identifier: Apache-2.0
// What the search sees of machines.
import { computed, signal } from '@preact/signals';
import { matches, parseQuery, type Searchable } from './query';
import type { Vm } from './model';
import { db, type Entry } from './store';

export const search = signal('');
const terms = computed(() => parseQuery(search.value));

export function searchable(vm: Vm): Searchable {
  return {
    any: `${vm.name_label} ${vm.name_description} ${vm.uuid} ${vm.tags.join(' ')}`,
    name: vm.name_label, description: vm.name_description, uuid: vm.uuid, state: vm.power_state, tag: vm.tags,
    host: db.host.get(vm.resident_on)?.name_label ?? '', folder: vm.other_config['folder'] ?? '',
    memory: vm.memory_dynamic_max, cpu: vm.VCPUs_at_startup, disks: vm.VBDs.length, snapshots: vm.snapshots.length,
  };
}

export function filtered(entries: Entry<Vm>[]): Entry<Vm>[] {
  return terms.value.length === 0 ? entries : entries.filter(([, v]) => matches(terms.value, searchable(v)));
}
