/**
 * Which messages of a channel are shown: at most so many a second, the newest; none while paused. What it holds is bounded whatever
 * the rate, and markers of what is missing are never left out.
 */

import type { Gap, Message } from '../../client/hub';

/** Rows a second that a person can still follow. */
export const SHOWN_PER_SECOND = 12;
/** Markers that may wait; one a reconnect. */
const MARKERS_MAX = 20;
/** Rows that may wait for the next frame before the ones that will not be shown are dropped. Well above what is kept, so that it is rare. */
const WAITING_MAX = 256;

export type Row =
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'recovered'; readonly atMs: number; readonly messages: number }
  | { readonly kind: 'gap'; readonly atMs: number; readonly gap: Exclude<Gap, { kind: 'none' }> };

export class MessageFeed {
  #waiting: Row[] = [];
  #tokens = SHOWN_PER_SECOND;
  #refilledMs = 0;
  #pausedAtMs: number | null = null;
  #sincePause = 0;

  get pausedAtMs(): number | null {
    return this.#pausedAtMs;
  }

  /** Messages that came while paused. */
  get sincePause(): number {
    return this.#sincePause;
  }

  push(message: Message): void {
    if (this.#pausedAtMs !== null) this.#sincePause += 1;
    this.#waiting.push({ kind: 'message', message });
    this.#trim();
  }

  mark(row: Exclude<Row, { kind: 'message' }>): void {
    this.#waiting.push(row);
    this.#trim();
  }

  pause(nowMs: number): void {
    if (this.#pausedAtMs !== null) return;
    this.#pausedAtMs = nowMs;
    this.#sincePause = 0;
  }

  resume(): void {
    this.#pausedAtMs = null;
    this.#sincePause = 0;
    this.#tokens = SHOWN_PER_SECOND;
  }

  /** Rows to be shown now, oldest first. */
  take(nowMs: number): Row[] {
    if (this.#pausedAtMs !== null || this.#waiting.length === 0) return [];
    const elapsed = Math.max(0, nowMs - this.#refilledMs);
    this.#tokens = Math.min(SHOWN_PER_SECOND, this.#tokens + (elapsed / 1000) * SHOWN_PER_SECOND);
    this.#refilledMs = nowMs;
    let skip = this.#waiting.filter((row) => row.kind === 'message').length - Math.floor(this.#tokens);
    const shown = this.#waiting.filter((row) => row.kind !== 'message' || skip-- <= 0);
    this.#tokens -= shown.filter((row) => row.kind === 'message').length;
    this.#waiting = [];
    return shown;
  }

  /** Only the newest can be shown anyway. */
  #trim(): void {
    if (this.#waiting.length <= WAITING_MAX) return;
    let messages = 0;
    let markers = 0;
    this.#waiting = this.#waiting
      .toReversed()
      .filter((row) => (row.kind === 'message' ? ++messages <= SHOWN_PER_SECOND : ++markers <= MARKERS_MAX))
      .toReversed();
  }
}
