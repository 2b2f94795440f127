import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../client/config';
import type { ConnectionState, Message, Recovery } from '../../client/hub';
import { freshness } from '../../components/freshness';
import { MessageFeed, SHOWN_PER_SECOND } from '../../components/messages/message_feed';
import { reasonOf } from '../../components/reasons';
import { createWords } from '../../lib/i18n';
import { en } from '../../lib/i18n/en';
import { ChatLog, parseSaid } from './chat_log';
import { parseHostFigures } from './host_figures';
import { Journal, summarize } from './journal';
import { gaps, type Measurement, PulseSeries, parseMeasurement } from './pulse_series';
import { curl, nodeSend } from './snippets';

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const words = createWords('en', en);

describe('the pulse', () => {
  const at = (n: number, more: Partial<Measurement> = {}): Measurement => ({ cpu: 50, t: n * 100, n, ...more });

  test.each(['', 'null', '[]', '{"cpu":"1","t":1,"n":1}', '{"cpu":1,"t":1}', '{"cpu":-1,"t":1,"n":1}'])(
    '%j is no measurement',
    (text) => {
      expect(parseMeasurement(bytes(text))).toBeNull();
    },
  );

  test('more than everything is everything', () => {
    expect(parseMeasurement(bytes({ cpu: 101, t: 1, n: 1 }))?.cpu).toBe(100);
  });

  test('a gap in the sequence is counted and drawn as one', () => {
    const series = new PulseSeries();
    for (const n of [5, 6, 10]) series.push(at(n), n * 100 + 2);
    expect(series.lost).toBe(3);
    expect(series.received).toBe(3);
    expect(gaps(series.points, 1_000, 1_500)).toEqual([[-0.4, 0]]);
  });

  test('what a recovery brings is not lost', () => {
    const series = new PulseSeries();
    for (const n of [1, 2]) series.push(at(n), n * 100);
    for (const n of [3, 4, 5]) series.push(at(n), null);
    series.push(at(6), 600);
    expect(series.lost).toBe(0);
    expect(gaps(series.points, 600, 1_500)).toEqual([]);
  });

  test('a feed that starts anew has lost nothing that we could count', () => {
    const series = new PulseSeries();
    series.push(at(5_000), 0);
    series.push(at(1, { t: 900_000 }), 0);
    expect(series.lost).toBe(0);
    expect(series.points.at(-1)?.followsGap).toBe(true);
    series.push(at(9_000_000, { t: 900_100 }), 0);
    expect(series.lost).toBe(0);
  });

  test('silence is hatched up to now, not drawn', () => {
    const series = new PulseSeries();
    series.push(at(1), 100);
    expect(gaps(series.points, 1_500, 1_500)).toEqual([]);
    expect(gaps(series.points, 3_100, 1_500)).toEqual([[-3, 0]]);
  });

  test('the delay is the median, and never negative', () => {
    const series = new PulseSeries();
    for (const [n, delay] of [
      [1, 2],
      [2, 500],
      [3, -4],
    ] as const)
      series.push(at(n), n * 100 + delay);
    expect(series.delayMs()).toBe(2);
  });

  test('what came before is put in front, once, and not counted', () => {
    const series = new PulseSeries();
    series.push(at(5), 500);
    series.backfill([at(1), at(2), at(4), at(5), at(6)]);
    expect(series.points.map(({ t, followsGap }) => [t, followsGap])).toEqual([
      [100, false],
      [200, false],
      [400, true],
      [500, false],
    ]);
    expect([series.received, series.lost]).toEqual([1, 0]);
  });

  test('an hour costs no more than a minute', () => {
    const series = new PulseSeries();
    for (let n = 1; n <= 36_000; n += 1) series.push(at(n), n * 100);
    expect(series.points.length).toBeLessThan(700);
    expect(series.bounds()).toEqual({ low: 50, high: 50, now: 50 });
  });

  test('a clock that was set back starts a new curve', () => {
    const series = new PulseSeries();
    series.push(at(1), 0);
    series.push(at(2, { t: 50 }), 0);
    expect(series.points).toHaveLength(1);
  });
});

describe('live messages', () => {
  const message = (n: number): Message => ({
    arrivedMs: n,
    bytes: new Uint8Array(),
    offset: n,
    origin: 'live',
    from: null,
    tags: {},
  });
  const offsets = (rows: ReturnType<MessageFeed['take']>) =>
    rows.map((row) => (row.kind === 'message' ? row.message.offset : row.kind));

  test('a calm channel is shown whole', () => {
    const feed = new MessageFeed();
    const shown: unknown[] = [];
    for (let n = 0; n < 50; n += 1) {
      feed.push(message(n));
      shown.push(...offsets(feed.take(n * 100)));
    }
    expect(shown).toHaveLength(50);
  });

  test('of a flood at most twelve a second are shown, the newest', () => {
    const feed = new MessageFeed();
    let shown = 0;
    let last: unknown;
    for (let ms = 0; ms < 10_000; ms += 16) {
      for (let n = 0; n < 160; n += 1) feed.push(message(ms * 10 + n));
      const rows = offsets(feed.take(ms));
      shown += rows.length;
      last = rows.at(-1) ?? last;
    }
    expect(shown).toBeGreaterThan(100);
    expect(shown).toBeLessThanOrEqual(11 * SHOWN_PER_SECOND);
    expect(last).toBeGreaterThan(98_000);
  });

  test('while paused nothing moves, and what came is counted', () => {
    const feed = new MessageFeed();
    feed.pause(5);
    for (let n = 0; n < 1_000; n += 1) feed.push(message(n));
    expect(feed.take(1_000)).toEqual([]);
    expect(feed.sincePause).toBe(1_000);
    feed.resume();
    expect(offsets(feed.take(2_000))).toEqual([988, 989, 990, 991, 992, 993, 994, 995, 996, 997, 998, 999]);
    expect(feed.sincePause).toBe(0);
  });

  test('a marker of what is missing is shown however many messages come', () => {
    const feed = new MessageFeed();
    feed.mark({ kind: 'gap', atMs: 0, gap: { kind: 'missed', messages: 3 } });
    for (let n = 0; n < 10_000; n += 1) feed.push(message(n));
    expect(offsets(feed.take(0))[0]).toBe('gap');
  });
});

describe('freshness', () => {
  const connected: ConnectionState = { kind: 'connected', clientId: 'c', transport: 'websocket' };
  const lost = (more: Partial<Extract<ConnectionState, { kind: 'connecting' }>> = {}): ConnectionState => ({
    kind: 'connecting',
    attempt: 1,
    retryAtMs: 13_000,
    code: 1,
    reason: '',
    ...more,
  });

  test.each<[string, ConnectionState, number | null, number, string, string]>([
    ['just connected', connected, null, 0, 'fresh', 'none'],
    ['something came', connected, 9_000, 10_000, 'fresh', 'none'],
    ['silent for 3 s', connected, 7_000, 10_000, 'fresh', 'none'],
    ['silent for longer', connected, 6_999, 10_000, 'old', 'none'],
    ['silent for 5 s', connected, 4_999, 10_000, 'old', 'stale'],
    ['first try', lost({ attempt: 0, code: 0 }), null, 10_000, 'connecting', 'none'],
    ['never connected', lost(), null, 10_000, 'reconnecting', 'never'],
    ['a blink', lost(), 9_000, 10_000, 'reconnecting', 'none'],
    ['lost', lost(), 1_000, 10_000, 'reconnecting', 'reconnecting'],
    ['restarting', lost({ code: 3001 }), 9_999, 10_000, 'restarting', 'restarting'],
    ['restarting for too long', lost({ code: 3001 }), 9_999, 40_000, 'reconnecting', 'reconnecting'],
    ['ended', { kind: 'disconnected', code: 3503, reason: 'force disconnect' }, 9_999, 10_000, 'ended', 'ended'],
  ])('%s', (_, state, updated, now, mark, bar) => {
    const said = freshness(state, updated, now);
    expect([said.mark.kind, said.bar.kind]).toEqual([mark, bar]);
  });

  test('the countdown ends at nought', () => {
    expect(freshness(lost(), 1_000, 11_000).bar).toMatchObject({ ageMs: 10_000, waitMs: 2_000 });
    expect(freshness(lost(), 1_000, 14_000).bar).toMatchObject({ waitMs: 0 });
    expect(freshness(lost({ retryAtMs: null }), 1_000, 14_000).bar).toMatchObject({ waitMs: null });
  });
});

describe('the journal', () => {
  const recovery = (recovered: number, gap: Recovery['gap'] = { kind: 'none' }): Recovery => ({ channel: 'c', recovered, gap });

  test.each<[Recovery[], ReturnType<typeof summarize>]>([
    [[], { kind: 'plain' }],
    [[recovery(0)], { kind: 'recovered', messages: 0 }],
    [[recovery(10), recovery(4)], { kind: 'recovered', messages: 14 }],
    [[recovery(10), recovery(0, { kind: 'missed', messages: 7 })], { kind: 'missed', messages: 7 }],
    [[recovery(0, { kind: 'unknown' }), recovery(0, { kind: 'missed', messages: 7 })], { kind: 'unknown' }],
  ])('a return is summed up by the worst of it', (recoveries, back) => {
    expect(summarize(recoveries)).toEqual(back);
  });

  test('a loss is written once, however many tries follow', () => {
    const journal = new Journal();
    const trying: ConnectionState = { kind: 'connecting', attempt: 1, retryAtMs: 1, code: 3001, reason: 'shutdown' };
    journal.connection({ kind: 'connected', clientId: 'c', transport: 'websocket' }, 1);
    journal.connection(trying, 2);
    journal.connection({ ...trying, attempt: 2 }, 3);
    expect(journal.entries.get()).toMatchObject([{ kind: 'shutdown', atMs: 2 }]);
    expect(journal.openedMs.get()).toBe(1);
  });

  test('it forgets what is long past', () => {
    const journal = new Journal();
    for (let n = 0; n < 100; n += 1) journal.returned([recovery(n)], n);
    expect(journal.entries.get()).toHaveLength(8);
    expect(journal.entries.get()[0]).toMatchObject({ atMs: 99 });
  });
});

describe('what is said', () => {
  test('anything that was published is shown as it is', () => {
    expect(parseSaid(bytes({ text: 'hi', from: 'x', t: 5 }))).toEqual({ text: 'hi', from: 'x', t: 5 });
    expect(parseSaid(bytes('<b>'))).toEqual({ text: '<b>', from: null, t: null });
    expect(parseSaid(bytes({ text: 7 })).text).toBe('{"text":7}');
    expect(parseSaid(bytes('x'.repeat(100_000))).text).toHaveLength(301);
  });

  test('our own message is timed by our own clock, and the hub had it when it came back at the latest', () => {
    const log = new ChatLog('me');
    log.sent(5_000, 100);
    log.heard({ text: 'hi', from: 'me', t: 5_000 }, 102, 7_000, true);
    log.taken(5_000, 103);
    expect(log.trip).toEqual({ hubMs: 2, backMs: 2 });
    expect(log.lines()[0]).toMatchObject({ text: 'hi', tookMs: 2 });
  });

  test('others’ messages are timed by the hub’s clock; old ones not at all', () => {
    const log = new ChatLog('me');
    log.heard({ text: 'a', from: 'you', t: 6_990 }, 1_000, 7_000, true);
    log.heard({ text: 'b', from: 'you', t: 6_990 }, 1_000, 7_000, false);
    log.heard({ text: 'c', from: null, t: null }, 1_000, 7_000, true);
    log.heard({ text: 'd', from: 'you', t: -1e15 }, 1_000, 7_000, true);
    expect(log.lines().map(({ tookMs, atMs }) => [tookMs, atMs])).toEqual([
      [10, 990],
      [null, 990],
      [null, 1_000],
      [null, 1_000],
    ]);
  });

  test('the log is short', () => {
    const log = new ChatLog('me');
    for (let n = 0; n < 1_000; n += 1) log.heard({ text: `${n}`, from: null, t: null }, n, n, true);
    expect(log.lines().map(({ text }) => text)).toEqual(['994', '995', '996', '997', '998', '999']);
  });
});

test('host figures are read as the feed names them', () => {
  const payload = { memory: { used: 1, total: 2 }, network: { received: 3, sent: 4 }, disk: { read: 5, written: 6 } };
  expect(Object.values(parseHostFigures(bytes(payload)) ?? {})).toEqual([1, 2, 3, 4, 5, 6]);
});

test('host figures that are missing are unknown, not nought', () => {
  expect(parseHostFigures(bytes({ memory: { used: 1 }, network: 'x' }))).toEqual({
    memoryUsed: 1,
    memoryTotal: null,
    networkIn: null,
    networkOut: null,
    diskRead: null,
    diskWritten: null,
  });
  expect(parseHostFigures(bytes('no'))).toBeNull();
});

test.each([
  [103, 'permission denied', 'you may not do that here'],
  [1, 'timeout', 'no answer in time'],
  [1, 'transport closed', 'no network connection to the hub'],
  [1006, '', 'no network connection to the hub'],
  [4501, 'out\u202e', 'out\u27e8202E\u27e9, code 4501'],
])('code %i in words', (code, reason, text) => {
  expect(reasonOf(code, reason, words)).toBe(text);
});

test('snippets name this host, and allow for its development certificate only where there is one', () => {
  const config = (origin: string) => {
    const parsed = parseConfig(
      { websocket: '/connection/websocket', demo: { channel: 'demo:pulse' }, chat: 'demo:chat' },
      origin,
    );
    if (parsed === null) throw new Error('no configuration');
    return parsed;
  };
  expect(curl(config('https://localhost:8443'), words)).toContain('curl -k https://localhost:8443/api/publish');
  expect(curl(config('http://10.0.0.7:8000'), words)).toContain('curl http://10.0.0.7:8000/api/publish');
  expect(nodeSend(config('https://hub.example'), words)).not.toContain('NODE_EXTRA_CA_CERTS');
});
