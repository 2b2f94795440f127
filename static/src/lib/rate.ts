/** How many things a second, over the last full seconds. Costs the same whatever the rate. */

/** Full seconds looked back on. */
const WINDOW = 5;

export class Rate {
  readonly #counts = new Float64Array(WINDOW + 1);
  #second = Number.NEGATIVE_INFINITY;
  #first = Number.NaN;

  add(nowMs: number, count = 1): void {
    const second = this.#advance(nowMs);
    if (Number.isNaN(this.#first)) this.#first = second;
    const slot = this.#slot(second);
    this.#counts[slot] = (this.#counts[slot] ?? 0) + count;
  }

  /** 0 before the first full second is over. */
  perSecond(nowMs: number): number {
    const second = this.#advance(nowMs);
    if (Number.isNaN(this.#first)) return 0;
    const seconds = Math.min(WINDOW, second - this.#first);
    if (seconds < 1) return 0;
    let sum = 0;
    for (let back = 1; back <= seconds; back += 1) sum += this.#counts[this.#slot(second - back)] ?? 0;
    return sum / seconds;
  }

  #slot(second: number): number {
    return ((second % (WINDOW + 1)) + WINDOW + 1) % (WINDOW + 1);
  }

  #advance(nowMs: number): number {
    const second = Math.max(Math.floor(nowMs / 1000), this.#second);
    for (let empty = Math.max(this.#second + 1, second - WINDOW); empty <= second; empty += 1)
      this.#counts[this.#slot(empty)] = 0;
    this.#second = second;
    return second;
  }
}
