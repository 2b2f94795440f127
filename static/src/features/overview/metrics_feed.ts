/** The figures as they change: asked for once, then heard; the last minutes of them are kept for the curves. Nobody listens in a hidden tab. */

import type { Admin } from '../../client/admin/admin';
import { laidOver, METRICS, type MetricsStep, metricsNow, stepIn } from '../../client/admin/metrics';
import { type Hub, HubError } from '../../client/hub';
import { type Signal, signal } from '../../client/signal';

/** A tab that is hidden for longer is not listening any more. */
const HIDDEN_MS = 5_000;
/** A figure changes at most once a second: more would not be read. */
const SHOWN_EVERY_MS = 1_000;

export type MetricsState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly error: HubError }
  | { readonly kind: 'ready'; readonly step: MetricsStep };

export class MetricsFeed {
  readonly #state = signal<MetricsState>({ kind: 'loading' });
  readonly state: Signal<MetricsState> = this.#state;
  #unwatch: (() => void) | null = null;
  #known: MetricsStep | null = null;
  #shownMs = 0;
  #hiddenTimer = 0;
  #stopHearing: (() => void) | null = null;

  constructor(
    private readonly hub: Hub,
    private readonly admin: Admin,
  ) {}

  start(): void {
    document.addEventListener('visibilitychange', this.#onVisibility);
    this.#stopHearing = this.hub.state.subscribe(() => {
      // What was missed meanwhile is in the next whole step; what is now is asked for at once.
      if (this.hub.state.get().kind === 'connected' && this.#unwatch !== null) void this.#ask();
    });
    this.#listen();
  }

  stop(): void {
    document.removeEventListener('visibilitychange', this.#onVisibility);
    this.#stopHearing?.();
    clearTimeout(this.#hiddenTimer);
    this.#unwatch?.();
    this.#unwatch = null;
  }

  again(): void {
    void this.#ask();
  }

  readonly #onVisibility = (): void => {
    clearTimeout(this.#hiddenTimer);
    if (!document.hidden) this.#listen();
    else
      this.#hiddenTimer = window.setTimeout(() => {
        this.#unwatch?.();
        this.#unwatch = null;
      }, HIDDEN_MS);
  };

  #listen(): void {
    if (this.#unwatch !== null) return;
    this.#unwatch = this.hub.watch(METRICS, {
      message: ({ bytes }) => {
        const step = stepIn(bytes);
        if (step !== null) this.#take(step);
      },
    });
    void this.#ask();
  }

  async #ask(): Promise<void> {
    try {
      const step = await metricsNow(this.admin);
      // A publication may have been faster.
      if (this.#known === null || step.atMs >= this.#known.atMs) this.#known = step;
      this.#show(this.#known);
    } catch (error) {
      if (this.#known === null)
        this.#state.set({ kind: 'failed', error: error instanceof HubError ? error : new HubError(0, String(error)) });
    }
  }

  #take(step: MetricsStep): void {
    // Before the answer to the question a part would be taken for the whole.
    if (this.#known === null && !step.isWhole) return;
    this.#known = laidOver(this.#known, step);
    if (Date.now() - this.#shownMs >= SHOWN_EVERY_MS - 50) this.#show(this.#known);
  }

  #show(step: MetricsStep): void {
    this.#shownMs = Date.now();
    this.#state.set({ kind: 'ready', step });
  }
}
