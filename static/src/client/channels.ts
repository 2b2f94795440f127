/** The channels that are alive on the hub and open to this visitor, read again and again. */

import { type HubClock, wallMs } from './clock';
import { FetchError, type FetchFailure, getJson } from './http';
import { count, fields, list, text } from './parse';
import { type Signal, signal } from './signal';

const PATH = '/live/channels.json';
/** Channels asked for at most; the answer says how many there are. */
export const CHANNELS_MAX = 200;
const INTERVAL_MS = 2_000;

export interface ChannelRow {
  readonly name: string;
  readonly subscribers: number;
  /** Publications a second. */
  readonly rate: number;
  /** Of the newest publication; `null` where the channel keeps no history. */
  readonly offset: number | null;
}

export type ChannelList =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly failure: FetchFailure; readonly last: readonly ChannelRow[] }
  | { readonly kind: 'read'; readonly rows: readonly ChannelRow[]; readonly total: number };

export function parseChannels(value: unknown): { rows: ChannelRow[]; total: number; timeMs: number | null } | null {
  const answer = fields(value);
  if (answer === null || !Array.isArray(answer['channels'])) return null;
  const rows: ChannelRow[] = [];
  for (const entry of list(answer['channels'])) {
    const row = fields(entry);
    const name = text(row?.['name']);
    if (row === null || name === null || rows.length === CHANNELS_MAX) continue;
    rows.push({
      name,
      subscribers: count(row['subscribers']) ?? 0,
      rate: count(row['rate']) ?? 0,
      offset: count(row['offset']),
    });
  }
  return { rows, total: Math.max(rows.length, count(answer['total']) ?? 0), timeMs: count(answer['time']) };
}

/** Reads while it is started and the page is visible. Every answer also tells the hub's time. */
export class ChannelReader {
  readonly #state = signal<ChannelList>({ kind: 'loading' });
  readonly state: Signal<ChannelList> = this.#state;
  #run: AbortController | null = null;
  #timer = 0;
  #answeredMs = 0;

  constructor(private readonly clock: HubClock) {}

  /** When the last good answer came, our time; 0 if none did. */
  get answeredMs(): number {
    return this.#answeredMs;
  }

  start(): void {
    if (this.#run !== null) return;
    this.#run = new AbortController();
    document.addEventListener('visibilitychange', this.#onVisibility);
    void this.#read(this.#run.signal);
  }

  stop(): void {
    this.#run?.abort();
    this.#run = null;
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#onVisibility);
  }

  /** Reads at once, for instance after the connection came back. */
  now(): void {
    if (this.#run === null) return;
    this.stop();
    this.start();
  }

  readonly #onVisibility = (): void => {
    if (!document.hidden) this.now();
  };

  async #read(signal: AbortSignal): Promise<void> {
    const askedMs = wallMs();
    try {
      const answer = parseChannels(await getJson(`${PATH}?limit=${CHANNELS_MAX}`, signal));
      if (answer === null) throw new FetchError({ kind: 'unreadable' });
      this.#answeredMs = wallMs();
      if (answer.timeMs !== null) this.#sampleClock(askedMs, answer.timeMs);
      this.#state.set({ kind: 'read', rows: answer.rows, total: answer.total });
    } catch (error) {
      if (signal.aborted) return;
      const last = this.#state.get();
      this.#state.set({
        kind: 'failed',
        failure: error instanceof FetchError ? error.failure : { kind: 'unreadable' },
        last: last.kind === 'read' ? last.rows : last.kind === 'failed' ? last.last : [],
      });
    }
    if (!signal.aborted && !document.hidden) this.#timer = window.setTimeout(() => void this.#read(signal), INTERVAL_MS);
  }

  /** The browser's own account of the request is closer to the wire than our clock around `fetch`. */
  #sampleClock(askedMs: number, hubMs: number): void {
    const entries = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
    const askedAt = askedMs - performance.timeOrigin;
    // Its account may come a moment after the answer. An earlier request's would put the clock off by seconds.
    const timing = entries.findLast((entry) => entry.name.includes(PATH) && entry.startTime >= askedAt);
    performance.clearResourceTimings();
    if (timing !== undefined && timing.requestStart > 0 && timing.responseStart > timing.requestStart)
      this.clock.sample(performance.timeOrigin + timing.requestStart, performance.timeOrigin + timing.responseStart, hubMs);
    else this.clock.sample(askedMs, this.#answeredMs, hubMs);
  }
}
