/** What the account page shows, read again and again while it is looked at. Old answers stay until newer ones are there. */

import type { Account, AccountFailure, Login, Me, Outcome } from '../../client/account';
import { type Signal, signal } from '../../client/signal';

/** Logins come and go seldom, their connections now and then. */
const EVERY_MS = 10_000;
/** What takes longer deserves a word. */
const SLOW_MS = 5_000;

export interface Reading<T> {
  /** `null`: nothing yet. */
  readonly value: T | null;
  /** Of the latest try. */
  readonly failure: AccountFailure | null;
  readonly readMs: number | null;
  /** The first answer takes its time. */
  readonly isSlow: boolean;
}

const NOTHING = { value: null, failure: null, readMs: null, isSlow: false } as const;

export class AccountModel {
  readonly #me = signal<Reading<Me>>(NOTHING);
  readonly me: Signal<Reading<Me>> = this.#me;
  readonly #logins = signal<Reading<readonly Login[]>>(NOTHING);
  readonly logins: Signal<Reading<readonly Login[]>> = this.#logins;
  #run: AbortController | null = null;
  #timer = 0;
  #slowTimer = 0;

  constructor(readonly account: Account) {}

  start(): void {
    this.#run = new AbortController();
    this.#slowTimer = window.setTimeout(() => {
      for (const reading of [this.#me, this.#logins] as const) {
        const now = reading.get();
        if (now.value === null && now.failure === null) (reading.set as (next: unknown) => void)({ ...now, isSlow: true });
      }
    }, SLOW_MS);
    document.addEventListener('visibilitychange', this.#onVisible);
    void this.read();
  }

  stop(): void {
    this.#run?.abort();
    this.#run = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#slowTimer);
    document.removeEventListener('visibilitychange', this.#onVisible);
  }

  /** Reads both, now, and plans the next time. */
  async read(): Promise<void> {
    const run = this.#run;
    if (run === null) return;
    clearTimeout(this.#timer);
    try {
      await Promise.all([
        this.account.me(run.signal).then((outcome) => take(this.#me, outcome)),
        this.account.logins(run.signal).then((outcome) => take(this.#logins, outcome)),
      ]);
    } catch (error) {
      if (!run.signal.aborted) throw error;
    }
    if (this.#run !== run) return;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      if (!document.hidden) void this.read();
    }, EVERY_MS);
  }

  readonly #onVisible = (): void => {
    if (!document.hidden) void this.read();
  };
}

function take<T>(reading: { get: () => Reading<T>; set: (next: Reading<T>) => void }, outcome: Outcome<T>): void {
  const before = reading.get();
  reading.set(
    outcome.ok
      ? { value: outcome.value, failure: null, readMs: Date.now(), isSlow: false }
      : { ...before, failure: outcome.failure, isSlow: false },
  );
}
