/** What the page says about its connection: one rule for the mark in the top bar and for the bar below it. */

import { SHUTDOWN } from '../client/codes';
import type { ConnectionState } from '../client/hub';

/** Without an update for longer than this, the mark says how old everything is. */
export const OLD_AFTER_MS = 3_000;
/** And beyond this, a bar says it in full. */
export const BAR_AFTER_MS = 5_000;

/** A restart that takes longer is no restart any more: then the countdown says more. */
const RESTART_MAX_MS = 30_000;

export type Mark =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'fresh' }
  | { readonly kind: 'old'; readonly ageMs: number }
  | { readonly kind: 'reconnecting' }
  | { readonly kind: 'restarting' }
  | { readonly kind: 'ended' };

export type Bar =
  | { readonly kind: 'none' }
  | { readonly kind: 'stale'; readonly ageMs: number }
  | { readonly kind: 'reconnecting'; readonly ageMs: number; readonly waitMs: number | null }
  | { readonly kind: 'never'; readonly waitMs: number }
  | { readonly kind: 'restarting' }
  | { readonly kind: 'ended'; readonly code: number; readonly reason: string };

/** `updatedMs` is when anything last came from the hub, `null` if nothing ever did. */
export function freshness(connection: ConnectionState, updatedMs: number | null, nowMs: number): { mark: Mark; bar: Bar } {
  const ageMs = updatedMs === null ? 0 : Math.max(0, nowMs - updatedMs);
  switch (connection.kind) {
    case 'connected':
      if (updatedMs === null || ageMs <= OLD_AFTER_MS) return { mark: { kind: 'fresh' }, bar: { kind: 'none' } };
      return { mark: { kind: 'old', ageMs }, bar: ageMs > BAR_AFTER_MS ? { kind: 'stale', ageMs } : { kind: 'none' } };
    case 'connecting': {
      const waitMs = connection.retryAtMs === null ? null : Math.max(0, connection.retryAtMs - nowMs);
      if (connection.code === SHUTDOWN && ageMs <= RESTART_MAX_MS)
        return { mark: { kind: 'restarting' }, bar: { kind: 'restarting' } };
      if (connection.attempt === 0) return { mark: { kind: 'connecting' }, bar: { kind: 'none' } };
      if (updatedMs === null)
        return { mark: { kind: 'reconnecting' }, bar: waitMs === null ? { kind: 'none' } : { kind: 'never', waitMs } };
      return {
        mark: { kind: 'reconnecting' },
        bar: ageMs > OLD_AFTER_MS ? { kind: 'reconnecting', ageMs, waitMs } : { kind: 'none' },
      };
    }
    case 'disconnected':
      return { mark: { kind: 'ended' }, bar: { kind: 'ended', code: connection.code, reason: connection.reason } };
  }
}
