/** The audit log as a file, and the times that it can be narrowed down to. */

import type { AuditRow } from '../../client/admin/audit';

/** Records of one export. Who wants more asks `aether audit export` on the hub's machine. */
export const EXPORT_MAX = 20_000;

export const SPANS = ['1h', '24h', '7d', 'all'] as const;
export type Span = (typeof SPANS)[number];

export function spanMs(span: Exclude<Span, 'all'>): number {
  return { '1h': 3_600_000, '24h': 86_400_000, '7d': 7 * 86_400_000 }[span];
}

/** `admin.` stands before every command: it says nothing. */
export function verbOf(action: string): string {
  return action.startsWith('admin.') ? action.slice('admin.'.length) : action;
}

/**
 * RFC 4180. What a spreadsheet would take for a formula is made a text by an apostrophe: names come from outside.
 */
export function csvCell(value: string): string {
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

export function csv(rows: readonly AuditRow[]): string {
  const head = ['sequence', 'time', 'actor', 'origin', 'action', 'object', 'outcome', 'details', 'hash'];
  const lines = rows.map((row) => [
    String(row.sequence),
    row.atMs === null ? '' : new Date(row.atMs).toISOString(),
    row.actor,
    row.origin,
    row.action,
    row.object,
    row.outcome,
    row.details === null || row.details === undefined ? '' : JSON.stringify(row.details),
    row.hash,
  ]);
  return [head, ...lines].map((line) => `${line.map(csvCell).join(',')}\r\n`).join('');
}

/** Hands the reader a file. */
export function save(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken the file by the next turn.
  setTimeout(() => URL.revokeObjectURL(url), 0);
}
