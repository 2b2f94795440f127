/** The channel that the reader looks into: its messages, its figures, who is there. Watches from `open` to `close`. */

import type { HubClock } from '../../client/clock';
import { NOT_AVAILABLE, PERMISSION_DENIED } from '../../client/codes';
import { type Hub, HubError, type Message, type Session, type SubscriptionState } from '../../client/hub';
import { fields, finite, json } from '../../client/parse';
import { type Signal, signal } from '../../client/signal';
import { requestFrame } from '../../lib/frame';
import { Rate } from '../../lib/rate';
import { MessageFeed } from './message_feed';

/** More sessions than this are counted, not listed. */
const LIST_MAX = 200;
/** Somebody who vanishes leaves no trace where join and leave are off: ask anew. */
const PRESENCE_EVERY_MS = 15_000;
/** Comings and goings within this time are one. */
const PRESENCE_SETTLE_MS = 400;
/** Larger payloads are not searched for their time. */
const TIMED_BYTES_MAX = 4_096;
/** What lies further off is not a time of sending in ms. */
const LATENCY_MAX_MS = 3_600_000;
const SENT_MAX_MS = 400 * 86_400_000;
const HISTORY = 12;

export type Presence =
  | { readonly kind: 'loading' }
  /** `own` is this tab's session at the time. */
  | { readonly kind: 'listed'; readonly sessions: readonly Session[]; readonly own: string | null }
  | { readonly kind: 'many'; readonly total: number }
  | { readonly kind: 'off' }
  | { readonly kind: 'denied' }
  | { readonly kind: 'failed' };

export class ChosenChannel {
  readonly feed = new MessageFeed();
  readonly rate = new Rate();
  readonly #state = signal<SubscriptionState>({ kind: 'subscribing' });
  readonly state: Signal<SubscriptionState> = this.#state;
  readonly #presence = signal<Presence>({ kind: 'loading' });
  readonly presence: Signal<Presence> = this.#presence;
  offset: number | null = null;
  latencyMs: number | null = null;
  received = 0;
  #unwatch: (() => void) | null = null;
  #presenceTimer = 0;

  constructor(
    readonly name: string,
    private readonly hub: Hub,
    private readonly clock: HubClock,
  ) {}

  open(): void {
    if (this.#unwatch !== null) return;
    this.#unwatch = this.hub.watch(this.name, {
      message: (message) => {
        this.received += 1;
        this.rate.add(message.arrivedMs);
        this.offset = message.offset ?? this.offset;
        this.feed.push(message);
        requestFrame();
      },
      state: (state) => {
        this.#state.set(state);
        if (state.kind === 'subscribed') {
          this.offset = state.offset ?? this.offset;
          this.#askPresence(0);
          if (this.received === 0) void this.#readHistory();
        }
        if (state.kind === 'refused') this.#presence.set({ kind: state.code === PERMISSION_DENIED ? 'denied' : 'failed' });
        requestFrame();
      },
      recovery: ({ recovered, gap }) => {
        const atMs = Date.now();
        if (gap.kind !== 'none') this.feed.mark({ kind: 'gap', atMs, gap });
        else if (recovered > 0) this.feed.mark({ kind: 'recovered', atMs, messages: recovered });
        requestFrame();
      },
      presence: () => this.#askPresence(PRESENCE_SETTLE_MS),
    });
  }

  close(): void {
    clearTimeout(this.#presenceTimer);
    this.#unwatch?.();
    this.#unwatch = null;
  }

  /** How long a message was under way, if it carries the time of its sending. Costs a parse; asked for what is shown only. */
  latencyOf(message: Message): number | null {
    if (message.origin !== 'live' || message.bytes.length > TIMED_BYTES_MAX || this.clock.errorMs() === null) return null;
    const t = finite(fields(json(decoder.decode(message.bytes)))?.['t']);
    if (t === null) return null;
    const latency = this.clock.toHub(message.arrivedMs) - t;
    if (latency < -1_000 || latency > LATENCY_MAX_MS) return null;
    return Math.max(0, latency);
  }

  /** When a message was sent, by its own account. */
  sentMs(message: Message): number | null {
    const t = message.bytes.length > TIMED_BYTES_MAX ? null : finite(fields(json(decoder.decode(message.bytes)))?.['t']);
    return t !== null && Math.abs(this.clock.now() - t) < SENT_MAX_MS ? t : null;
  }

  /** What the channel keeps, so that a quiet one is not an empty one. */
  async #readHistory(): Promise<void> {
    try {
      const messages = await this.hub.latest(this.name, HISTORY);
      // Live ones were faster: older rows would come to stand above them.
      if (this.#unwatch === null || this.received > 0) return;
      for (const message of messages) this.feed.push(message);
      requestFrame();
    } catch {
      // No history, or not for visitors: the list begins with the next message.
    }
  }

  #askPresence(afterMs: number): void {
    clearTimeout(this.#presenceTimer);
    this.#presenceTimer = window.setTimeout(() => void this.#readPresence(), afterMs);
  }

  async #readPresence(): Promise<void> {
    if (!document.hidden) {
      const presence = await this.#presenceNow();
      if (this.#unwatch === null) return;
      this.#presence.set(presence);
      if (presence.kind === 'off' || presence.kind === 'denied') return;
    }
    this.#askPresence(PRESENCE_EVERY_MS);
  }

  async #presenceNow(): Promise<Presence> {
    try {
      const { sessions } = await this.hub.presenceCount(this.name);
      if (sessions > LIST_MAX) return { kind: 'many', total: sessions };
      return { kind: 'listed', sessions: await this.hub.presence(this.name), own: this.hub.clientId };
    } catch (error) {
      const code = error instanceof HubError ? error.code : 0;
      return { kind: code === NOT_AVAILABLE ? 'off' : code === PERMISSION_DENIED ? 'denied' : 'failed' };
    }
  }
}

const decoder = new TextDecoder();
