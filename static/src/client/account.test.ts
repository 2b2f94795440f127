import { beforeEach, describe, expect, test, vi } from 'vitest';
import { Account, parseFailure, parseLogins, parseMe, parseSignedIn } from './account';
import { FetchError, type HttpAnswer, type Question } from './http';
import { parseNotice } from './notice';
import { parsePage } from './page';
import type { Memory, Tabs } from './tabs';

const answer = (status: number, body: unknown, retryAfterS: number | null = null): HttpAnswer => ({ status, body, retryAfterS });
const signedIn = (token: string, expiresIn = 900) =>
  answer(200, { user: { name: 'mara', role: 'operator' }, token, expires_in: expiresIn });
const NO_PATHS = { httpStream: null, sse: null, uniSse: null, emulation: null, mercure: null };
const signedOut = (reason: string) => answer(401, { code: 'signed_out', message: '', reason });

/** A browser: what its tabs tell each other arrives later, and one of them has the turn. */
class Browser {
  readonly asked: Question[] = [];
  readonly accounts: Account[] = [];
  readonly stored = new Map<string, string>();
  answers: (question: Question) => HttpAnswer | Promise<HttpAnswer> = () => signedOut('none');
  #turn: Promise<unknown> = Promise.resolve();
  readonly #readers = new Map<number, (news: unknown) => void>();
  #tabs = 0;

  readonly memory: Memory = {
    get: (name) => this.stored.get(name) ?? null,
    set: (name, value) => {
      if (value === null) this.stored.delete(name);
      else this.stored.set(name, value);
    },
  };

  tab(): Account {
    const me = this.#tabs++;
    const tabs: Tabs = {
      alone: (work) => {
        const turn = this.#turn.then(work);
        this.#turn = turn.catch(() => {});
        return turn;
      },
      tell: (news) => {
        const copy = structuredClone(news);
        setTimeout(() => {
          for (const [tab, reader] of this.#readers) if (tab !== me) reader(copy);
        }, 1);
      },
      hear: (reader) => {
        this.#readers.set(me, reader);
        return () => this.#readers.delete(me);
      },
    };
    const account = new Account('/auth', tabs, this.memory, async (question) => {
      this.asked.push(question);
      return this.answers(question);
    });
    this.accounts.push(account);
    return account;
  }

  paths(): string[] {
    return this.asked.map(({ path }) => path);
  }
}

let browser: Browser;
beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  browser = new Browser();
  return () => {
    vi.useRealTimers();
  };
});

/** Lets everything happen that takes up to `ms`. */
const settle = (ms = 1_000) => vi.advanceTimersByTimeAsync(ms);

describe('tokens', () => {
  test('one question gives a token to all who want one at the same time', async () => {
    browser.answers = () => signedIn('t1');
    const tab = browser.tab();
    const wanted = Promise.all([tab.get(), tab.get(), tab.get()]);
    await settle();
    expect(await wanted).toEqual(['t1', 't1', 't1']);
    expect(browser.paths()).toEqual(['/auth/token']);
    expect(tab.state.get()).toEqual({ kind: 'signed-in', user: { name: 'mara', role: 'operator' } });
  });

  test('ten tabs refresh once', async () => {
    browser.answers = () => signedIn('t1');
    const first = browser.tab();
    const signing = first.signIn('mara', 'a long password');
    await settle();
    await signing;
    const others = Array.from({ length: 9 }, () => browser.tab());
    const opened = Promise.all(others.map((tab) => tab.get()));
    await settle(5_000);
    expect(await opened).toEqual(Array.from({ length: 9 }, () => 't1'));
    expect(browser.paths(), 'tabs that are opened get it from the one that has it').toEqual(['/auth/login']);

    browser.answers = () => signedIn('t2');
    await settle(895_000);
    const refreshed = Promise.all([first, ...others].map((tab) => tab.get()));
    await settle(10_000);
    expect(new Set(await refreshed)).toEqual(new Set(['t2']));
    expect(browser.paths()).toEqual(['/auth/login', '/auth/token']);
  });

  test('a tab that has gone takes its token with it, and the next one asks', async () => {
    browser.answers = () => signedIn('t1');
    const first = browser.tab();
    const signing = first.signIn('mara', 'pw');
    await settle();
    await signing;
    first.close();
    browser.answers = () => signedIn('t2');
    const second = browser.tab();
    const wanted = second.get();
    await settle();
    expect(await wanted).toBe('t2');
  });

  test('a token is replaced before its end, a short one with a quarter of its life left', async () => {
    let n = 0;
    browser.answers = () => signedIn(`t${++n}`, 4);
    const tab = browser.tab();
    const get = async () => {
      const token = tab.get();
      await settle(0);
      return token;
    };
    expect(await get()).toBe('t1');
    await settle(2_900);
    expect(await get()).toBe('t1');
    await settle(200);
    const next = tab.get();
    await settle(300);
    expect(await next).toBe('t2');
  });

  test('a hub that does not take it gets another one', async () => {
    let n = 0;
    browser.answers = () => signedIn(`t${++n}`);
    const tab = browser.tab();
    const first = tab.get();
    await settle();
    expect(await first).toBe('t1');
    tab.refused();
    const second = tab.get();
    await settle();
    expect(await second).toBe('t2');
  });

  test('a hub that does not answer signs nobody out', async () => {
    browser.answers = () => signedIn('t1', 8);
    const tab = browser.tab();
    const first = tab.get();
    await settle();
    await first;
    browser.answers = () => Promise.reject(new FetchError({ kind: 'unreachable' }));
    await settle(8_000);
    const failed = expect(tab.get()).rejects.toThrow('unreachable');
    await settle();
    await failed;
    expect(tab.state.get().kind).toBe('signed-in');
    browser.answers = () => signedIn('t2');
    const again = tab.get();
    await settle();
    expect(await again).toBe('t2');
  });

  test('as long as nobody knows, silence is said to be silence', async () => {
    browser.answers = () => answer(503, { code: 'store' });
    const tab = browser.tab();
    expect(tab.state.get().kind).toBe('asking');
    const failed = expect(tab.get()).rejects.toThrow('unavailable');
    await settle();
    await failed;
    expect(tab.state.get()).toEqual({ kind: 'unanswered', failure: { kind: 'unavailable' } });
  });
});

describe('signing in and out', () => {
  test.each([
    [answer(401, { code: 'wrong', tries_left: 4, pause: 60 }), { kind: 'wrong', triesLeft: 4, pauseMs: 60_000 }],
    [answer(429, { code: 'paused', retry_after: 12 }), { kind: 'paused', untilMs: 1_700_000_012_000 }],
    [answer(429, undefined, 7), { kind: 'paused', untilMs: 1_700_000_007_000 }],
    [answer(503, { code: 'store' }), { kind: 'unavailable' }],
    [answer(503, { code: 'busy' }), { kind: 'busy' }],
    [answer(502, '<html>'), { kind: 'refused', status: 502 }],
    [answer(200, { user: {}, token: 't' }), { kind: 'unreadable' }],
  ])('%j is told as %j, and nobody is signed in', async (said, failure) => {
    browser.answers = () => said;
    const tab = browser.tab();
    tab.assumeSignedOut();
    const signing = tab.signIn('mara', 'pw');
    expect(tab.state.get().kind).toBe('signing-in');
    await settle(0);
    expect(await signing).toEqual(failure);
    expect(tab.state.get()).toEqual({ kind: 'signed-out', reason: 'none' });
  });

  test('who signs in in one tab is signed in in all, and so it is with signing out', async () => {
    browser.answers = () => signedIn('t1');
    const [a, b] = [browser.tab(), browser.tab()];
    a.assumeSignedOut();
    b.assumeSignedOut();
    const signing = a.signIn('mara', 'pw');
    await settle();
    expect(await signing).toBeNull();
    expect(b.state.get().kind).toBe('signed-in');
    expect(a.wasSignedIn).toBe(true);

    browser.answers = () => answer(204, undefined);
    const ending = b.signOut();
    await settle();
    expect(await ending).toBeNull();
    for (const tab of [a, b]) expect(tab.state.get()).toEqual({ kind: 'signed-out', reason: 'logout' });
    expect([...browser.stored.keys()]).toEqual([]);
    expect(await a.get()).toBeNull();
    expect(browser.paths()).toEqual(['/auth/login', '/auth/logout']);
  });

  test('a login that was ended elsewhere ends in all tabs with the reason that the hub gave first', async () => {
    browser.answers = () => signedIn('t1');
    const [a, b] = [browser.tab(), browser.tab()];
    const signing = a.signIn('mara', 'pw');
    await settle();
    await signing;
    let isFirst = true;
    browser.answers = () => {
      const reason = isFirst ? 'revoked' : 'none';
      isFirst = false;
      return signedOut(reason);
    };
    const verified = Promise.all([a.verify(), b.verify()]);
    await settle();
    expect(await verified).toEqual([false, false]);
    const me = a.me(new AbortController().signal);
    await settle();
    await me;
    for (const tab of [a, b]) expect(tab.state.get()).toEqual({ kind: 'signed-out', reason: 'revoked' });
    expect([...browser.stored.keys()]).toEqual([]);
  });

  test('signing out that does not reach the hub is no signing out', async () => {
    browser.answers = () => signedIn('t1');
    const tab = browser.tab();
    const first = tab.get();
    await settle();
    await first;
    browser.answers = () => Promise.reject(new FetchError({ kind: 'slow', afterMs: 1 }));
    const ending = tab.signOut();
    await settle();
    expect(await ending).toEqual({ kind: 'slow', afterMs: 1 });
    expect(tab.state.get().kind).toBe('signed-in');
  });

  test('a browser that was signed in is so until the hub says otherwise', async () => {
    browser.stored.set('aether.user', JSON.stringify({ name: 'mara', role: 'admin' }));
    const tab = browser.tab();
    expect(tab.state.get()).toEqual({ kind: 'signed-in', user: { name: 'mara', role: 'admin' } });
    browser.answers = () => signedOut('idle');
    const wanted = tab.get();
    await settle();
    expect(await wanted).toBeNull();
    expect(tab.state.get()).toEqual({ kind: 'signed-out', reason: 'idle' });
  });

  test('what a storage holds that somebody else wrote is nobody', () => {
    for (const stored of ['', '{', '7', '{"name":""}', '{"name":7,"role":"admin"}', '[]']) {
      browser.stored.set('aether.user', stored);
      expect(browser.tab().state.get(), stored).toEqual({ kind: 'asking' });
    }
  });

  test('the password goes to the hub and nowhere else', async () => {
    const told: unknown[] = [];
    browser.answers = () => signedIn('t1');
    const tab = browser.tab();
    browser.tab();
    const tell = vi.spyOn(globalThis, 'structuredClone');
    const signing = tab.signIn('mara', 'correct horse');
    await settle();
    await signing;
    told.push(...tell.mock.calls, ...browser.stored);
    expect(JSON.stringify(told)).not.toContain('correct horse');
    expect(browser.asked[0]).toMatchObject({ method: 'POST', body: { name: 'mara', password: 'correct horse' } });
    tell.mockRestore();
  });
});

describe('what the hub tells', () => {
  test.each([
    null,
    [],
    'x',
    {},
    { user: { name: 'a', role: 'viewer' }, token: '', expires_in: 1 },
    { user: { name: '', role: 'viewer' }, token: 't', expires_in: 1 },
    { user: { name: 'a', role: 'viewer' }, token: 't', expires_in: 0 },
    { user: { name: 'a', role: 'viewer' }, token: 't', expires_in: '900' },
  ])('%j is nobody signed in', (body) => {
    expect(parseSignedIn(body, 0)).toBeNull();
  });

  test('logins come with the current one first, and what is no login is left out', () => {
    const row = (id: string, lastSeen: unknown, more = {}) => ({
      id,
      device: 'd',
      address: 'a',
      last_seen_at: lastSeen,
      ...more,
    });
    const logins = parseLogins({
      sessions: [
        row('old', 1),
        row('new', 9, { live: [{ client: 'c', transport: 'websocket', address: '::1', since: 3 }, { since: 1 }, null] }),
        row('mine', 'yesterday', { is_current: true }),
        { device: 'no id' },
        null,
        7,
      ],
    });
    expect(logins?.map(({ id }) => id)).toEqual(['mine', 'new', 'old']);
    expect(logins?.[0]).toMatchObject({ isCurrent: true, lastSeenAtMs: null, live: [] });
    expect(logins?.[1]?.live).toEqual([{ client: 'c', transport: 'websocket', address: '::1', sinceMs: 3 }]);
    expect(parseLogins({ sessions: Array.from({ length: 500 }, (_, n) => row(String(n), n)) })).toHaveLength(200);
    for (const body of [null, {}, { sessions: {} }, []]) expect(parseLogins(body)).toBeNull();
  });

  test('an account is read member by member', () => {
    expect(parseMe({ name: 'mara', role: 'viewer', created_at: 5, rights: ['publish', 7, null] })).toEqual({
      name: 'mara',
      role: 'viewer',
      createdAtMs: 5,
      passwordChangedAtMs: null,
      rights: ['publish'],
    });
    for (const body of [null, {}, { name: 'x' }, { name: 7, role: 'viewer' }]) expect(parseMe(body)).toBeNull();
  });

  test('a reason that nobody knows is none', () => {
    expect(parseFailure(signedOut('whatever'), 0)).toEqual({ kind: 'signed-out', reason: 'none' });
    expect(parseFailure(answer(403, { code: 'insecure' }), 0)).toEqual({ kind: 'insecure' });
    expect(parseFailure(answer(403, null), 0)).toEqual({ kind: 'forbidden' });
  });

  test('pages', () => {
    const page = { live: true, websocket: '/connection/websocket', auth: '/auth' };
    expect(parsePage(page, 'https://hub')).toEqual({
      websocketUrl: 'wss://hub/connection/websocket',
      hasLive: true,
      auth: '/auth',
      transports: NO_PATHS,
    });
    expect(parsePage({ live: 'yes', websocket: null, auth: null }, 'http://hub')).toEqual({
      websocketUrl: null,
      hasLive: false,
      auth: null,
      transports: NO_PATHS,
    });
    const transports = { http_stream: '/h', sse: '//evil/s', uni_sse: 7, emulation: '/e', mercure: 'm' };
    expect(parsePage({ transports }, 'http://hub')?.transports).toEqual({ ...NO_PATHS, httpStream: '/h', emulation: '/e' });
    for (const body of [null, [], 'x']) expect(parsePage(body, 'http://hub')).toBeNull();
  });

  const bytes = (text: string) => new TextEncoder().encode(text);
  test('a notice is a level and a text, and nothing else is a notice', () => {
    expect(parseNotice(bytes('{"aether":"notice","level":"critical","text":" <b>x</b> "}'))).toEqual({
      level: 'critical',
      text: '<b>x</b>',
    });
    expect(parseNotice(bytes('{"aether":"notice","level":"panic","text":"x"}'))?.level).toBe('info');
    expect(parseNotice(bytes(JSON.stringify({ aether: 'notice', level: 'info', text: 'x'.repeat(9_000) })))?.text).toHaveLength(
      2_000,
    );
    for (const text of [
      '',
      '{',
      '[]',
      '{"text":"x"}',
      '{"aether":"notice","text":7}',
      '{"aether":"notice","text":"  "}',
      '{"aether":"other","text":"x"}',
    ])
      expect(parseNotice(bytes(text)), text).toBeNull();
    expect(parseNotice(new Uint8Array(70_000)), 'too much').toBeNull();
  });
});
