/**
 * Who is signed in, as the hub says it, and the token that the connection shows.
 *
 * The login itself is a cookie that no script can read. What it buys is a token with a short life, which is kept in memory, shared with the
 * other tabs of the browser, and asked for by one tab for all of them. Nobody needs to act when a token ends: whoever needs one asks `get`.
 *
 * Deliberately absent: React, words, and anything that would survive in the browser's storage but the name that was shown last.
 */

import { ask, FetchError, type FetchFailure, type HttpAnswer, type Question } from './http';
import { count, type Fields, fields, finite, json, list, text } from './parse';
import { type Signal, signal } from './signal';
import type { Memory, Tabs } from './tabs';

export interface User {
  readonly name: string;
  readonly role: string;
}

/** Why a login is over; `none`: there was none. */
export const SIGNED_OUT_REASONS = ['none', 'logout', 'idle', 'absolute', 'replayed', 'revoked', 'password'] as const;
export type SignedOutReason = (typeof SIGNED_OUT_REASONS)[number];

export type AccountState =
  /** Nobody knows yet: the hub is being asked. */
  | { readonly kind: 'asking' }
  | { readonly kind: 'signed-out'; readonly reason: SignedOutReason }
  | { readonly kind: 'signing-in' }
  | { readonly kind: 'signed-in'; readonly user: User }
  /** The hub did not say whether somebody is signed in. */
  | { readonly kind: 'unanswered'; readonly failure: AccountFailure };

export type AccountFailure =
  | FetchFailure
  /** Name or password; `null` where the hub does not count. */
  | { readonly kind: 'wrong'; readonly triesLeft: number | null; readonly pauseMs: number | null }
  | { readonly kind: 'paused'; readonly untilMs: number }
  | { readonly kind: 'signed-out'; readonly reason: SignedOutReason }
  /** The store does not answer. */
  | { readonly kind: 'unavailable' }
  /** Too many look at passwords at once. */
  | { readonly kind: 'busy' }
  | { readonly kind: 'forbidden' }
  /** Over a connection that others can read, nobody signs in. */
  | { readonly kind: 'insecure' };

export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: AccountFailure };

export interface Me {
  readonly name: string;
  readonly role: string;
  readonly createdAtMs: number | null;
  readonly passwordChangedAtMs: number | null;
  readonly rights: readonly string[];
}

export interface Login {
  readonly id: string;
  /** What its browser says that it is. */
  readonly device: string;
  readonly address: string;
  readonly createdAtMs: number | null;
  readonly lastSeenAtMs: number | null;
  readonly isCurrent: boolean;
  readonly live: readonly LiveConnection[];
}

export interface LiveConnection {
  readonly client: string;
  readonly transport: string;
  readonly address: string;
  readonly sinceMs: number | null;
}

/** What a connection asks for its token. */
export interface TokenSource {
  /** A token that is good for a while; `null` when nobody is signed in. Rejects when the hub does not say. */
  get(): Promise<string | null>;
  /** The hub did not take the last one, whatever our clock says. */
  refused(): void;
  /** Asks the hub whether the login still is one. */
  verify(): Promise<boolean>;
}

/** Logging in takes the hub a moment by design, and it may have to wait for its turn. */
const DEADLINE_MS = 10_000;
/** A token is replaced so long before its end, or with a quarter of its life left if that is less. */
const MARGIN_MS = 10_000;
/** How long another tab may take to pass on a token that it has. */
const SHARE_MS = 250;
/** Where nobody says how long to wait. */
const PAUSE_S = 60;
/** More than a hub keeps of one user. */
const LOGINS_MAX = 200;
const LIVE_MAX = 100;
const RIGHTS_MAX = 100;

const USER = 'aether.user';
const TOKEN_UNTIL = 'aether.token-until';

interface Token {
  readonly text: string;
  readonly untilMs: number;
  readonly marginMs: number;
}

export class Account implements TokenSource {
  readonly #state = signal<AccountState>({ kind: 'asking' });
  readonly state: Signal<AccountState> = this.#state;
  readonly #tabs: Tabs;
  readonly #memory: Memory;
  readonly #ask: (question: Question) => Promise<HttpAnswer>;
  readonly #heard = new Set<() => void>();
  #token: Token | null = null;
  #refreshing: Promise<string | null> | null = null;
  #stopHearing: () => void;

  /** `prefix`: what all addresses begin with. */
  constructor(
    private readonly prefix: string,
    tabs: Tabs,
    memory: Memory,
    asked: (question: Question) => Promise<HttpAnswer> = ask,
  ) {
    this.#tabs = tabs;
    this.#memory = memory;
    this.#ask = asked;
    this.#stopHearing = tabs.hear((news) => this.#hear(news));
    // Shown at once, and put right by the hub's answer: so the header does not change its size under the reader's eyes.
    const known = this.#known();
    if (known !== null) this.#state.set({ kind: 'signed-in', user: known });
  }

  /** Whether this browser was signed in when it was last here. */
  get wasSignedIn(): boolean {
    return this.#known() !== null;
  }

  /** For pages without anything to sign in for: spares every visitor a question that is answered with no. */
  assumeSignedOut(): void {
    this.#state.set({ kind: 'signed-out', reason: 'none' });
  }

  close(): void {
    this.#stopHearing();
  }

  // === Tokens ===

  get(): Promise<string | null> {
    if (this.#isFresh(this.#token)) return Promise.resolve(this.#token.text);
    return this.#refresh(false);
  }

  refused(): void {
    this.#token = null;
    this.#memory.set(TOKEN_UNTIL, null);
  }

  async verify(): Promise<boolean> {
    this.refused();
    try {
      return (await this.#refresh(true)) !== null;
    } catch {
      return false;
    }
  }

  #refresh(isEvenIfShared: boolean): Promise<string | null> {
    this.#refreshing ??= this.#tabs
      .alone(() => this.#nextToken(isEvenIfShared))
      .finally(() => {
        this.#refreshing = null;
      });
    return this.#refreshing;
  }

  async #nextToken(isEvenIfShared: boolean): Promise<string | null> {
    // While we waited for our turn, another tab may have learnt it all.
    if (this.#state.get().kind === 'signed-out') return null;
    if (!isEvenIfShared && !this.#isFresh(this.#token)) await this.#tokenOfOthers();
    if (this.#isFresh(this.#token)) return this.#token.text;
    const answer = await this.#read({ method: 'POST', path: '/token', body: {} }, (body, askedMs) =>
      parseSignedIn(body, askedMs),
    );
    if (answer.ok) return this.#signedIn(answer.value);
    if (answer.failure.kind === 'signed-out') return null;
    // A refresh that fails does not sign anybody out: the login may well be good, and the next try comes.
    const { kind } = this.#state.get();
    if (kind === 'asking' || kind === 'unanswered') this.#state.set({ kind: 'unanswered', failure: answer.failure });
    throw new Error(answer.failure.kind);
  }

  /** Another tab got one that is still good: it passes it on, unless it is gone. */
  async #tokenOfOthers(): Promise<void> {
    if (Number(this.#memory.get(TOKEN_UNTIL) ?? 0) <= Date.now()) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#heard.delete(end);
        resolve();
      };
      const timer = setTimeout(end, SHARE_MS);
      this.#heard.add(end);
      this.#tabs.tell({ kind: 'want' });
    });
  }

  #isFresh(token: Token | null): token is Token {
    return token !== null && token.untilMs - Date.now() > token.marginMs;
  }

  // === Signing in and out ===

  /** `null` when it worked. */
  async signIn(name: string, password: string): Promise<AccountFailure | null> {
    this.#state.set({ kind: 'signing-in' });
    const failure = await this.#tabs.alone(async () => {
      const answer = await this.#read({ method: 'POST', path: '/login', body: { name, password } }, (body, askedMs) =>
        parseSignedIn(body, askedMs),
      );
      if (!answer.ok) return answer.failure;
      this.#signedIn(answer.value);
      return null;
    });
    // Another tab may have signed in meanwhile.
    if (failure !== null && this.#state.get().kind === 'signing-in') this.#state.set({ kind: 'signed-out', reason: 'none' });
    return failure;
  }

  signOut(): Promise<AccountFailure | null> {
    return this.#end('/logout');
  }

  signOutEverywhere(): Promise<AccountFailure | null> {
    return this.#end('/logout-everywhere');
  }

  async #end(path: string): Promise<AccountFailure | null> {
    return this.#tabs.alone(async () => {
      const answer = await this.#read({ method: 'POST', path, body: {} }, () => true);
      if (!answer.ok && answer.failure.kind !== 'signed-out') return answer.failure;
      this.#signedOut('logout');
      return null;
    });
  }

  // === The account ===

  me(signal: AbortSignal): Promise<Outcome<Me>> {
    return this.#read({ method: 'GET', path: '/me', signal }, parseMe);
  }

  logins(signal: AbortSignal): Promise<Outcome<readonly Login[]>> {
    return this.#read({ method: 'GET', path: '/sessions', signal }, parseLogins);
  }

  endLogin(id: string): Promise<Outcome<true>> {
    return this.#read({ method: 'DELETE', path: `/sessions/${encodeURIComponent(id)}`, body: {} }, () => true as const);
  }

  /** `wrong` is about the current password. */
  changePassword(current: string, next: string): Promise<Outcome<true>> {
    return this.#read({ method: 'POST', path: '/password', body: { current, new: next } }, () => true as const);
  }

  /** Asks and reads the answer; an answer that says that nobody is signed in is taken to heart. */
  async #read<T>(question: Question, parse: (body: unknown, askedMs: number) => T | null): Promise<Outcome<T>> {
    const askedMs = Date.now();
    let answer: HttpAnswer;
    try {
      answer = await this.#ask({ deadlineMs: DEADLINE_MS, ...question, path: this.prefix + question.path });
    } catch (error) {
      if (error instanceof FetchError) return { ok: false, failure: error.failure };
      throw error;
    }
    if (answer.status >= 200 && answer.status <= 299) {
      const value = parse(answer.body, askedMs);
      return value === null ? { ok: false, failure: { kind: 'unreadable' } } : { ok: true, value };
    }
    const failure = parseFailure(answer, Date.now());
    if (failure.kind === 'signed-out') this.#signedOut(failure.reason);
    return { ok: false, failure };
  }

  // === What is known, here and in other tabs ===

  #signedIn(answer: SignedIn): string {
    this.#take(answer);
    this.#memory.set(USER, JSON.stringify(answer.user));
    this.#memory.set(TOKEN_UNTIL, String(answer.untilMs));
    this.#tabs.tell({ kind: 'token', ...answer });
    return answer.token;
  }

  #take({ user, token, untilMs, lifeMs }: SignedIn): void {
    this.#token = { text: token, untilMs, marginMs: Math.min(MARGIN_MS, lifeMs / 4) };
    const state = this.#state.get();
    if (state.kind !== 'signed-in' || state.user.name !== user.name || state.user.role !== user.role)
      this.#state.set({ kind: 'signed-in', user });
  }

  #signedOut(reason: SignedOutReason): void {
    const wasSignedIn = this.#known() !== null;
    this.#forget(reason);
    if (wasSignedIn) this.#tabs.tell({ kind: 'signed-out', reason });
  }

  #forget(reason: SignedOutReason): void {
    this.#token = null;
    this.#memory.set(USER, null);
    this.#memory.set(TOKEN_UNTIL, null);
    const state = this.#state.get();
    // The hub gives the reason to whoever asks first; to all others it says that there is no login any more.
    if (state.kind !== 'signed-out' || (state.reason === 'none' && reason !== 'none'))
      this.#state.set({ kind: 'signed-out', reason });
  }

  #hear(news: unknown): void {
    const told = fields(news);
    switch (told?.['kind']) {
      case 'want':
        this.#passOn();
        break;
      case 'token': {
        const signedIn = parseShared(told);
        if (signedIn === null || signedIn.untilMs <= (this.#token?.untilMs ?? 0)) return;
        this.#take(signedIn);
        for (const heard of [...this.#heard]) heard();
        break;
      }
      case 'signed-out':
        // Whoever is just typing a password learns from it nothing that matters.
        if (this.#state.get().kind !== 'signing-in') this.#forget(reasonIn(told));
        break;
    }
  }

  #passOn(): void {
    const state = this.#state.get();
    if (state.kind !== 'signed-in' || !this.#isFresh(this.#token)) return;
    const { text: token, untilMs, marginMs } = this.#token;
    this.#tabs.tell({ kind: 'token', user: state.user, token, untilMs, lifeMs: marginMs * 4 });
  }

  #known(): User | null {
    return parseUser(json(this.#memory.get(USER) ?? ''));
  }
}

// === From `unknown` ===

export interface SignedIn {
  readonly user: User;
  readonly token: string;
  readonly untilMs: number;
  readonly lifeMs: number;
}

function parseUser(value: unknown): User | null {
  const user = fields(value);
  const name = text(user?.['name']);
  const role = text(user?.['role']);
  return name === null || name === '' || role === null ? null : { name, role };
}

/** The life of a token counts from when it was asked for: it cannot end later than we think. */
export function parseSignedIn(body: unknown, askedMs: number): SignedIn | null {
  const answer = fields(body);
  const user = parseUser(answer?.['user']);
  const token = text(answer?.['token']);
  const lifeS = count(answer?.['expires_in']);
  if (user === null || token === null || token === '' || lifeS === null || lifeS === 0) return null;
  return { user, token, untilMs: askedMs + lifeS * 1000, lifeMs: lifeS * 1000 };
}

function parseShared(told: Fields): SignedIn | null {
  const user = parseUser(told['user']);
  const token = text(told['token']);
  const untilMs = finite(told['untilMs']);
  const lifeMs = count(told['lifeMs']);
  return user === null || token === null || token === '' || untilMs === null || lifeMs === null
    ? null
    : { user, token, untilMs, lifeMs };
}

function reasonIn(answer: Fields | null): SignedOutReason {
  const reason = answer?.['reason'];
  return SIGNED_OUT_REASONS.find((known) => known === reason) ?? 'none';
}

/** The word in the body says it; the status where a proxy on the way has answered in the hub's place. */
export function parseFailure({ status, body, retryAfterS }: HttpAnswer, nowMs: number): AccountFailure {
  const answer = fields(body);
  switch (answer?.['code']) {
    case 'wrong': {
      const pauseS = count(answer['pause']);
      return { kind: 'wrong', triesLeft: count(answer['tries_left']), pauseMs: pauseS === null ? null : pauseS * 1000 };
    }
    case 'paused':
      return { kind: 'paused', untilMs: nowMs + (count(answer['retry_after']) ?? retryAfterS ?? PAUSE_S) * 1000 };
    case 'signed_out':
      return { kind: 'signed-out', reason: reasonIn(answer) };
    case 'store':
      return { kind: 'unavailable' };
    case 'busy':
      return { kind: 'busy' };
    case 'insecure':
      return { kind: 'insecure' };
  }
  if (status === 429) return { kind: 'paused', untilMs: nowMs + (retryAfterS ?? PAUSE_S) * 1000 };
  if (status === 403) return { kind: 'forbidden' };
  if (status === 503) return { kind: 'unavailable' };
  return { kind: 'refused', status };
}

export function parseMe(body: unknown): Me | null {
  const me = fields(body);
  const user = parseUser(me);
  if (me === null || user === null) return null;
  return {
    ...user,
    createdAtMs: finite(me['created_at']),
    passwordChangedAtMs: finite(me['password_changed_at']),
    rights: list(me['rights'])
      .flatMap((right) => text(right) ?? [])
      .slice(0, RIGHTS_MAX),
  };
}

/** The current one first, then the most recently used. */
export function parseLogins(body: unknown): readonly Login[] | null {
  const answer = fields(body);
  if (answer === null || !Array.isArray(answer['sessions'])) return null;
  const logins = answer['sessions'].slice(0, LOGINS_MAX).flatMap((value): Login[] => {
    const login = fields(value);
    const id = text(login?.['id']);
    if (login === null || id === null || id === '') return [];
    return [
      {
        id,
        device: text(login['device']) ?? '',
        address: text(login['address']) ?? '',
        createdAtMs: finite(login['created_at']),
        lastSeenAtMs: finite(login['last_seen_at']),
        isCurrent: login['is_current'] === true,
        live: list(login['live']).slice(0, LIVE_MAX).flatMap(parseLive),
      },
    ];
  });
  return logins.sort(
    (a, b) =>
      Number(b.isCurrent) - Number(a.isCurrent) || (b.lastSeenAtMs ?? 0) - (a.lastSeenAtMs ?? 0) || (a.id < b.id ? -1 : 1),
  );
}

function parseLive(value: unknown): LiveConnection[] {
  const live = fields(value);
  const client = text(live?.['client']);
  if (live === null || client === null) return [];
  return [
    {
      client,
      transport: text(live['transport']) ?? '',
      address: text(live['address']) ?? '',
      sinceMs: finite(live['since']),
    },
  ];
}
