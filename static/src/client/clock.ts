/**
 * The hub's clock, read from here: its offset to ours, from answers that carry its time.
 *
 * An answer's time was taken somewhere between asking and receiving, so half the round trip is the largest possible error; among
 * the last answers the fastest one is believed (Cristian's algorithm). Asking never stops, because two clocks drift apart.
 */

/** The hub cuts its time to whole ms: on average it is half of one later than it says, and as much may be wrong. */
const HALF_STEP_MS = 0.5;

/** Answers looked back on. With one every 2 s this is a minute: long enough to meet a fast one, short enough to follow drift. */
const SAMPLES = 30;

interface Sample {
  readonly offsetMs: number;
  readonly roundTripMs: number;
}

/** Unix time in ms with fractions; `Date.now()` has none. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}

export class HubClock {
  readonly #samples: Sample[] = [];
  #best: Sample | null = null;

  /** Takes one answer: asked and received by our clock, stamped by the hub's, all Unix ms. */
  sample(askedMs: number, receivedMs: number, hubMs: number): void {
    const roundTripMs = receivedMs - askedMs;
    if (roundTripMs < 0) return;
    this.#samples.push({ offsetMs: hubMs + HALF_STEP_MS - (askedMs + receivedMs) / 2, roundTripMs });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    this.#best = this.#samples.reduce((best, next) => (next.roundTripMs <= best.roundTripMs ? next : best));
  }

  /** A moment of ours in the hub's time; our own time as long as nothing is known. */
  toHub(ourMs: number): number {
    return ourMs + (this.#best?.offsetMs ?? 0);
  }

  now(): number {
    return this.toHub(wallMs());
  }

  /** How far off the hub's time may be read; `null` when the hub was never asked. */
  errorMs(): number | null {
    return this.#best === null ? null : this.#best.roundTripMs / 2 + HALF_STEP_MS;
  }
}
