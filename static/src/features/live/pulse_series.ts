/** The demo feed's measurements: which arrived, which are missing, what the last minute looked like. */

import { count, fields, finite, json } from '../../client/parse';

export interface Measurement {
  readonly cpu: number;
  /** When it was measured: Unix ms of the hub's host. */
  readonly t: number;
  /** Position in the feed's run, counted by the feed itself. */
  readonly n: number;
}

export interface Point {
  readonly t: number;
  readonly cpu: number;
  /** Something is missing between the point before and this one. */
  readonly followsGap: boolean;
}

/** What the chart shows, in ms. */
export const WINDOW_MS = 60_000;
/** The feed's step, in ms. */
export const STEP_MS = 100;
/** A window's points and some more, whatever the feed does. */
const POINTS_MAX = 1_000;
/** Further apart than this, two numbers are not of one run of the feed. */
const RUN_GAP_MAX = 100_000;
const DELAYS = 10;

const decoder = new TextDecoder();

export function parseMeasurement(bytes: Uint8Array): Measurement | null {
  const payload = fields(json(decoder.decode(bytes)));
  const cpu = count(payload?.['cpu']);
  const t = finite(payload?.['t']);
  const n = count(payload?.['n']);
  return cpu === null || t === null || n === null ? null : { cpu: Math.min(100, cpu), t, n };
}

export class PulseSeries {
  readonly points: Point[] = [];
  received = 0;
  lost = 0;
  /** Grows with every change. */
  version = 0;
  #lastN: number | null = null;
  readonly #delays: number[] = [];

  /** `arrivedMs` is hub time; `null` for a recovered measurement, whose delay says how long we were away. */
  push({ cpu, t, n }: Measurement, arrivedMs: number | null): void {
    this.received += 1;
    this.version += 1;
    const gap = this.#lastN === null ? 0 : n - this.#lastN - 1;
    const isSameRun = gap >= 0 && gap < RUN_GAP_MAX;
    if (isSameRun) this.lost += gap;
    if (arrivedMs !== null) {
      this.#delays.push(Math.max(0, arrivedMs - t));
      if (this.#delays.length > DELAYS) this.#delays.shift();
    }
    const last = this.points.at(-1);
    const followsGap = this.#lastN !== null && (!isSameRun || gap > 0);
    this.#lastN = n;
    // A new run after a clock step would draw backwards.
    if (last !== undefined && t <= last.t) this.points.length = 0;
    this.points.push({ t, cpu, followsGap });
    const first = this.points.findIndex((point) => point.t >= t - WINDOW_MS - 2 * STEP_MS);
    const over = Math.max(first, this.points.length - POINTS_MAX);
    if (over > 0) this.points.splice(0, over);
  }

  /** Puts what was measured before the first point in front of it; it was not received live and is not counted. */
  backfill(measurements: readonly Measurement[]): void {
    const first = this.points[0]?.t ?? Number.POSITIVE_INFINITY;
    const before: Point[] = [];
    let last: Measurement | null = null;
    for (const measurement of measurements) {
      const { t, cpu, n } = measurement;
      if (t >= first || (last !== null && t <= last.t)) continue;
      before.push({ t, cpu, followsGap: last !== null && n !== last.n + 1 });
      last = measurement;
    }
    this.points.unshift(...before.slice(-(POINTS_MAX - this.points.length)));
    this.version += 1;
  }

  /** The median of the last second: one late measurement is no news. */
  delayMs(): number | null {
    if (this.#delays.length === 0) return null;
    const sorted = [...this.#delays].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? null;
  }

  /** Between which values the window lies. */
  bounds(): { low: number; high: number; now: number } | null {
    const last = this.points.at(-1);
    if (last === undefined) return null;
    const values = this.points.map((point) => point.cpu);
    return { low: Math.min(...values), high: Math.max(...values), now: last.cpu };
  }
}

/** Stretches of the window without data, as seconds before `edgeMs` (negative), to be hatched. */
export function gaps(points: readonly Point[], edgeMs: number, staleAfterMs: number): [number, number][] {
  const out: [number, number][] = [];
  points.forEach((point, at) => {
    const before = points[at - 1];
    if (before !== undefined && point.followsGap && point.t - before.t > 1.5 * STEP_MS)
      out.push([(before.t - edgeMs) / 1000, (point.t - edgeMs) / 1000]);
  });
  const last = points.at(-1);
  if (last !== undefined && edgeMs - last.t > staleAfterMs) out.push([(last.t - edgeMs) / 1000, 0]);
  return out;
}
