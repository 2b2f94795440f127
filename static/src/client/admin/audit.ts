import { count, type Fields, fields, list, text } from '../parse';
import type { Admin } from './admin';

export const OUTCOMES = ['done', 'failed', 'refused', 'begun', 'noted'] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface AuditRow {
  readonly sequence: number;
  readonly atMs: number | null;
  readonly actor: string;
  readonly origin: string;
  readonly action: string;
  readonly object: string;
  readonly outcome: string;
  readonly details: unknown;
  readonly hash: string;
  /** As the hub wrote it, for an export. */
  readonly record: Fields;
}

export interface AuditWanted {
  readonly actor: string;
  readonly action: string;
  readonly outcome: string | null;
  /** Unix ms. */
  readonly from: number | null;
}

export interface AuditPage {
  readonly rows: readonly AuditRow[];
  readonly next: number | null;
}

export interface Verdict {
  readonly isWhole: boolean;
  readonly records: number;
  readonly head: string;
  readonly faults: readonly string[];
  readonly faultsInAll: number;
}

export function parseRecord(value: unknown): AuditRow | null {
  const record = fields(value);
  const sequence = count(record?.['sequence']);
  if (record === null || sequence === null) return null;
  return {
    sequence,
    atMs: count(record['at']),
    actor: text(record['actor']) ?? '',
    origin: text(record['origin']) ?? '',
    action: text(record['action']) ?? '',
    object: text(record['object']) ?? '',
    outcome: text(record['outcome']) ?? '',
    details: record['details'],
    hash: text(record['hash']) ?? '',
    record,
  };
}

export function parseAuditPage(value: unknown): AuditPage | null {
  const answer = fields(value);
  if (answer === null || !Array.isArray(answer['records'])) return null;
  return { rows: list(answer['records']).flatMap((entry) => parseRecord(entry) ?? []), next: count(answer['next']) };
}

export function listAudit(admin: Admin, wanted: AuditWanted, after: number | null, limit: number): Promise<AuditPage> {
  const { actor, action, outcome, from } = wanted;
  const values = { actor: actor === '' ? null : actor, action: action === '' ? null : action, outcome, from, after, limit };
  return admin.ask('audit.list', values, parseAuditPage);
}

export function verifyAudit(admin: Admin): Promise<Verdict> {
  return admin.ask('audit.verify', {}, (value) => {
    const verdict = fields(value);
    if (verdict === null) return null;
    const head = fields(verdict['head']);
    return {
      isWhole: verdict['is_whole'] === true,
      records: count(verdict['records']) ?? 0,
      head: text(verdict['head']) ?? `${count(head?.['sequence']) ?? ''}:${text(head?.['hash']) ?? ''}`,
      faults: list(verdict['faults']).flatMap((fault) => text(fault) ?? []),
      faultsInAll: count(verdict['faults_in_all']) ?? 0,
    };
  });
}
