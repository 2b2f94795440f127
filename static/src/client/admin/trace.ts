/** What one session, user or channel does, for a few minutes. Entries come in a channel that this connection alone may follow. */

import { count, type Fields, fields, json, text } from '../parse';
import type { Admin } from './admin';

export interface Trace {
  readonly id: number;
  readonly channel: string;
  readonly lastingMs: number;
}

export interface TraceEntry {
  readonly atMs: number | null;
  readonly what: string;
  readonly facts: Fields;
}

export type TraceTarget = { readonly session: string } | { readonly user: string } | { readonly channel: string };

export function startTrace(admin: Admin, target: TraceTarget): Promise<Trace> {
  return admin.ask('trace.start', target, (value) => {
    const answer = fields(value);
    const id = count(answer?.['trace']);
    const channel = text(answer?.['channel']);
    return id === null || channel === null ? null : { id, channel, lastingMs: count(answer?.['lasting_ms']) ?? 0 };
  });
}

export function stopTrace(admin: Admin, trace: number): Promise<void> {
  return admin.tell('trace.stop', { trace });
}

export function parseEntry(bytes: Uint8Array): TraceEntry | null {
  const entry = fields(json(new TextDecoder().decode(bytes)));
  const what = text(entry?.['what']);
  if (entry === null || what === null) return null;
  const { at, what: _, ...facts } = entry;
  return { atMs: count(at), what, facts };
}
