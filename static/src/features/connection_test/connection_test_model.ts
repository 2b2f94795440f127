/** One run after another of the connection test: which way is being tried, and what came of the others. */

import { FetchError, type FetchFailure } from '../../client/http';
import { type PageConfig, readPage } from '../../client/page';
import { type Outcome, PROBES, type ProbeName, probe, target } from '../../client/probe';
import { type Signal, signal } from '../../client/signal';

/** After this, a network has had time to become another one without a word. */
const OLD_MS = 10 * 60_000;

export type Row = {
  readonly name: ProbeName;
  /** Without the host; `null`: off. */
  readonly path: string | null;
  readonly state:
    | { readonly kind: 'off' }
    | { readonly kind: 'waiting' }
    | { readonly kind: 'testing' }
    | { readonly kind: 'stopped' }
    | Outcome;
};

export type TestState =
  | { readonly kind: 'reading' }
  | { readonly kind: 'failed'; readonly failure: FetchFailure }
  | {
      readonly kind: 'run';
      readonly rows: readonly Row[];
      /** `null`: it goes on. */
      readonly endedMs: number | null;
      readonly isStopped: boolean;
      /** The network may be another one by now. */
      readonly isOld: boolean;
    };

export class ConnectionTest {
  readonly #state = signal<TestState>({ kind: 'reading' });
  readonly state: Signal<TestState> = this.#state;
  #run: AbortController | null = null;
  #timer = 0;

  open(): void {
    for (const event of ['online', 'offline'] as const) window.addEventListener(event, this.#age);
    void this.start();
  }

  close(): void {
    for (const event of ['online', 'offline'] as const) window.removeEventListener(event, this.#age);
    this.#run?.abort();
    this.#run = null;
    clearTimeout(this.#timer);
  }

  /** What the hub offers is read anew: it may have been started with another configuration meanwhile. */
  async start(): Promise<void> {
    this.#run?.abort();
    clearTimeout(this.#timer);
    const run = new AbortController();
    this.#run = run;
    if (this.#state.get().kind !== 'run') this.#state.set({ kind: 'reading' });
    let page: PageConfig;
    try {
      page = await readPage(run.signal);
    } catch (error) {
      if (run.signal.aborted) return;
      const failure: FetchFailure = error instanceof FetchError ? error.failure : { kind: 'unreachable' };
      this.#state.set({ kind: 'failed', failure });
      return;
    }
    const targets = PROBES.map((name) => ({ name, target: target(name, page.websocketUrl, page.transports, location.origin) }));
    const rows: Row[] = targets.map(({ name, target }) => ({
      name,
      path: target === null ? null : new URL(target.url).pathname,
      state: { kind: target === null ? 'off' : 'waiting' },
    }));
    const show = (at: number, state: Row['state']) => {
      const row = rows[at];
      if (row !== undefined) rows[at] = { ...row, state };
      this.#state.set({ kind: 'run', rows: [...rows], endedMs: null, isStopped: false, isOld: false });
    };
    for (const [at, { target }] of targets.entries()) {
      if (target === null) continue;
      show(at, { kind: 'testing' });
      try {
        show(at, await probe(target, run.signal));
      } catch {
        // Whoever began another run, or left, has taken the state over.
        if (this.#run === run) this.#end(rows, true);
        return;
      }
    }
    this.#end(rows, false);
  }

  stop(): void {
    this.#run?.abort();
  }

  #end(rows: readonly Row[], isStopped: boolean): void {
    const ended = rows.map(
      (row): Row => (row.state.kind === 'waiting' || row.state.kind === 'testing' ? { ...row, state: { kind: 'stopped' } } : row),
    );
    this.#state.set({ kind: 'run', rows: ended, endedMs: Date.now(), isStopped, isOld: false });
    this.#timer = window.setTimeout(this.#age, OLD_MS);
  }

  readonly #age = () => {
    const now = this.#state.get();
    if (now.kind === 'run' && now.endedMs !== null) this.#state.set({ ...now, isOld: true });
  };
}
