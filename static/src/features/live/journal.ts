/** What happened to this connection, newest first: each loss and what each return brought. */

import { SHUTDOWN } from '../../client/codes';
import type { ConnectionState, Recovery } from '../../client/hub';
import { type Signal, signal } from '../../client/signal';

const ENTRIES_MAX = 8;

export type Return =
  | { readonly kind: 'recovered'; readonly messages: number }
  | { readonly kind: 'missed'; readonly messages: number }
  | { readonly kind: 'unknown' }
  /** No watched channel can recover. */
  | { readonly kind: 'plain' };

export type Entry =
  | { readonly id: number; readonly atMs: number; readonly kind: 'lost'; readonly code: number; readonly reason: string }
  | { readonly id: number; readonly atMs: number; readonly kind: 'shutdown' }
  | { readonly id: number; readonly atMs: number; readonly kind: 'back'; readonly back: Return };

/** One sentence for all channels: the worst that happened to any of them, else what came back. */
export function summarize(recoveries: readonly Recovery[]): Return {
  if (recoveries.length === 0) return { kind: 'plain' };
  if (recoveries.some(({ gap }) => gap.kind === 'unknown')) return { kind: 'unknown' };
  let missed = 0;
  let recovered = 0;
  for (const recovery of recoveries) {
    recovered += recovery.recovered;
    if (recovery.gap.kind === 'missed') missed += recovery.gap.messages;
  }
  return missed > 0 ? { kind: 'missed', messages: missed } : { kind: 'recovered', messages: recovered };
}

export class Journal {
  readonly #entries = signal<readonly Entry[]>([]);
  readonly entries: Signal<readonly Entry[]> = this.#entries;
  /** When the connection was opened first. */
  readonly #openedMs = signal<number | null>(null);
  readonly openedMs: Signal<number | null> = this.#openedMs;
  #isOpen = false;
  #nextId = 0;

  connection(state: ConnectionState, nowMs: number): void {
    if (state.kind === 'connected') {
      this.#isOpen = true;
      if (this.#openedMs.get() === null) this.#openedMs.set(nowMs);
      return;
    }
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (state.code === SHUTDOWN) this.#add({ id: this.#nextId++, atMs: nowMs, kind: 'shutdown' });
    else this.#add({ id: this.#nextId++, atMs: nowMs, kind: 'lost', code: state.code, reason: state.reason });
  }

  returned(recoveries: readonly Recovery[], nowMs: number): void {
    this.#add({ id: this.#nextId++, atMs: nowMs, kind: 'back', back: summarize(recoveries) });
  }

  #add(entry: Entry): void {
    this.#entries.set([entry, ...this.#entries.get()].slice(0, ENTRIES_MAX));
  }
}
