// SPDX-License-Identifier: Apache-2.0
// The audit log's records as rows. Pure.
import { say } from './strings';

export interface AuditRecord { n: number; time: string; kind: string; user?: string; call?: string; object?: { class: string; name: string }; address?: string; outcome?: string; error?: string[]; of?: number }

/** Intents with their outcomes as one row each, newest first; what has no outcome yet is under way. */
export function auditRows(records: AuditRecord[]): AuditRecord[] {
  const ends = new Map(records.flatMap((r) => (r.of === undefined ? [] : [[r.of, r] as const])));
  return records.filter((r) => r.of === undefined).map((r) => {
    const end = ends.get(r.n);
    return end ? { ...r, ...(end.outcome ? { outcome: end.outcome } : {}), ...(end.error ? { error: end.error } : {}) } : { ...r, outcome: r.outcome ?? (r.kind === 'intent' ? say.underWay : r.kind) };
  }).reverse();
}
