import { count, fields, text } from '../parse';
import type { Admin } from './admin';

export interface HubStatus {
  readonly version: string;
  readonly node: string;
  readonly atMs: number | null;
  readonly uptimeMs: number | null;
  readonly isDraining: boolean;
  readonly maintenance: string | null;
  readonly store: { readonly kind: string; readonly trouble: string | null };
  readonly feeds: { readonly all: number; readonly open: number; readonly paused: number };
  readonly sessions: number;
  readonly channels: number;
}

export function parseStatus(value: unknown): HubStatus | null {
  const status = fields(value);
  if (status === null) return null;
  const [store, feeds, counts, maintenance] = ['store', 'feeds', 'counts', 'maintenance'].map((member) => fields(status[member]));
  return {
    version: text(status['version']) ?? '',
    node: text(status['node']) ?? '',
    atMs: count(status['at']),
    uptimeMs: count(status['uptime_ms']),
    isDraining: status['is_draining'] === true,
    maintenance: text(maintenance?.['message']),
    store: { kind: text(store?.['kind']) ?? '', trouble: text(store?.['trouble']) },
    feeds: { all: count(feeds?.['all']) ?? 0, open: count(feeds?.['open']) ?? 0, paused: count(feeds?.['paused']) ?? 0 },
    sessions: count(counts?.['sessions']) ?? 0,
    channels: count(counts?.['topics']) ?? 0,
  };
}

export function readStatus(admin: Admin): Promise<HubStatus> {
  return admin.ask('status', {}, parseStatus);
}
