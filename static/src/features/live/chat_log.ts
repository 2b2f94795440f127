/** The last things said, and how long the newest of ours was under way. */

import { fields, finite, json, text } from '../../client/parse';
import { Ring } from '../../lib/ring';
import { cut } from '../../lib/text';

const LINES = 6;
const TEXT_CHARS = 300;
/** A time that far off is no time of sending. */
const UNDER_WAY_MAX_MS = 3_600_000;

export interface Said {
  readonly text: string;
  readonly from: string | null;
  readonly t: number | null;
}

export interface Line {
  readonly id: number;
  /** `null` when nobody knows when it was said: kept by the hub, and its sender gave no time. */
  readonly atMs: number | null;
  readonly text: string;
  readonly tookMs: number | null;
}

export interface Trip {
  /** When the hub had taken the message, in ms after sending. */
  readonly hubMs: number | null;
  /** When it was back in this tab. */
  readonly backMs: number | null;
}

const decoder = new TextDecoder();

export function parseSaid(bytes: Uint8Array): Said {
  const source = decoder.decode(bytes.subarray(0, 8_192));
  const payload = fields(json(source));
  const said = text(payload?.['text']);
  // Anything may be published here by other means; show it as it is.
  return { text: cut(said ?? source, TEXT_CHARS), from: text(payload?.['from']), t: finite(payload?.['t']) };
}

export class ChatLog {
  readonly #lines = new Ring<Line>(LINES);
  #sent: { t: number; atMs: number } | null = null;
  #nextId = 0;
  trip: Trip = { hubMs: null, backMs: null };
  version = 0;

  constructor(readonly tab: string) {}

  lines(): Line[] {
    return [...this.#lines];
  }

  /** We send now; `t` marks the message as ours when it comes back. */
  sent(t: number, atMs: number): void {
    this.#sent = { t, atMs };
    this.trip = { hubMs: null, backMs: null };
    this.version += 1;
  }

  /** The hub answered that it took the message. */
  taken(t: number, atMs: number): void {
    if (this.#sent?.t !== t) return;
    // The message itself may overtake the answer: then the hub had it by that time at the latest.
    this.trip = { ...this.trip, hubMs: Math.min(atMs - this.#sent.atMs, this.trip.backMs ?? Number.POSITIVE_INFINITY) };
    this.version += 1;
  }

  /** Something was said. `arrivedMs` is our time, `hubMs` the same moment by the hub's clock, which senders go by. */
  heard(said: Said, arrivedMs: number, hubMs: number, isLive: boolean): void {
    const isOurs = this.#sent !== null && said.from === this.tab && said.t === this.#sent.t;
    let tookMs: number | null = null;
    if (isOurs && this.#sent !== null) {
      tookMs = arrivedMs - this.#sent.atMs;
      this.trip = { hubMs: Math.min(this.trip.hubMs ?? tookMs, tookMs), backMs: tookMs };
    } else if (isLive && said.t !== null && hubMs - said.t < UNDER_WAY_MAX_MS && hubMs - said.t > -1_000) {
      tookMs = Math.max(0, hubMs - said.t);
    }
    const isTimeKnown = said.t !== null && Math.abs(hubMs - said.t) < 30 * 86_400_000;
    this.#lines.push({
      id: this.#nextId++,
      atMs: isTimeKnown && said.t !== null ? said.t + (arrivedMs - hubMs) : isLive ? arrivedMs : null,
      text: said.text,
      tookMs,
    });
    this.version += 1;
  }
}
