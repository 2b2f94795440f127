import { describe, expect, test } from 'vitest';
import { HubError } from '../hub';
import { Admin } from './admin';
import { parseAlerts, parsePreview, parseRule, ruleMembers } from './alerts';
import { parseAuditPage } from './audit';
import { parseChannelDetail, parseChannelPage, patternOf } from './channels';
import { parseHelp } from './commands';
import { feedState, parseFeedDetail, parseFeedList, parseStays } from './feeds';
import { laidOver, metricsPast, parsePast, parseStep } from './metrics';
import { addUser, parseKeys, parseUsers } from './people';
import { parseReport } from './reports';
import { browseSessions, parseInside, parseSession, parseSessionWindow } from './sessions';
import { parseStatus } from './status';
import { parseEntry } from './trace';

const parsers: readonly (readonly [string, (value: unknown) => unknown])[] = [
  ['alerts', parseAlerts],
  ['preview', parsePreview],
  ['rule', parseRule],
  ['audit', parseAuditPage],
  ['channels', parseChannelPage],
  ['channel', parseChannelDetail],
  ['help', parseHelp],
  ['feeds', parseFeedList],
  ['feed', parseFeedDetail],
  ['moves', parseStays],
  ['step', parseStep],
  ['past', parsePast],
  ['users', parseUsers],
  ['keys', parseKeys],
  ['day', (value) => parseReport('day', value)],
  ['week', (value) => parseReport('week', value)],
  ['session', parseSession],
  ['sessions', parseSessionWindow],
  ['inside', parseInside],
  ['status', parseStatus],
];

describe('whatever an answer holds, it becomes a value or nothing', () => {
  const answers: readonly unknown[] = [
    undefined,
    null,
    0,
    '',
    'text',
    true,
    [],
    [1],
    {},
    { sessions: 1 },
    { alerts: [null, 1, {}] },
    { values: [] },
  ];
  test.each(parsers)('%s', (_, parse) => {
    for (const answer of answers) expect(() => parse(answer)).not.toThrow();
    for (const answer of [undefined, null, 7, 'text', []]) expect(parse(answer)).toBeNull();
  });
});

test('an answer that cannot be read is an error, as is one that refuses', async () => {
  const admin = new Admin({ call: async () => ({ nonsense: 1 }) });
  await expect(
    browseSessions(admin, { text: '', transport: null, sort: 'user', descending: false, skip: 0, limit: 1 }),
  ).rejects.toThrow(HubError);
});

test('members that are not wanted are sent as none', async () => {
  const asked: unknown[] = [];
  const admin = new Admin({
    call: async (method, values) => {
      asked.push(method, values);
      return { sessions: [], count: 0, in_all: 3, transports: { websocket: 3, sse: 'x' } };
    },
  });
  const window = await browseSessions(admin, { text: '', transport: null, sort: 'since', descending: true, skip: 0, limit: 5 });
  expect(asked).toEqual([
    'admin.sessions.browse',
    { text: null, transport: null, sort: 'since', descending: true, skip: 0, limit: 5 },
  ]);
  expect(window).toEqual({ rows: [], count: 0, inAll: 3, transports: new Map([['websocket', 3]]) });
});

test('what is told once is read from where it is told, and nowhere else', async () => {
  const admin = new Admin({ call: async () => ({ user: 'nils', once: { password: 'secret' } }) });
  await expect(addUser(admin, 'nils', 'viewer')).resolves.toBe('secret');
  await expect(addUser(new Admin({ call: async () => ({ password: 'secret' }) }), 'nils', 'viewer')).rejects.toThrow(HubError);
});

test.each([
  ['', null],
  ['  ', null],
  ['news', '*news*'],
  ['news:*', 'news:*'],
  ['a?', 'a?'],
  ['a}]\\b', '*a\\}\\]\\\\b*'],
])('%j is looked for as %j', (typed, pattern) => expect(patternOf(typed)).toBe(pattern));

test('a state of a later hub is one in between', () => {
  expect(feedState('open')).toBe('open');
  expect(feedState('dancing')).toBe('idle');
  expect(parseStays({ feeds: { a: [[5, 'open'], ['x', 'open'], [3]] } })).toEqual(
    new Map([
      [
        'a',
        [
          [5, 'open'],
          [3, 'idle'],
        ],
      ],
    ]),
  );
});

describe('metrics', () => {
  const step = (at: number, values: object, isWhole = false) => {
    const parsed = parseStep({
      at,
      step_ms: 1_000,
      is_whole: isWhole,
      values,
      verdict: { state: 'warned', reasons: ['a'], warning: 1 },
      objectives: [],
    });
    if (parsed === null) throw new Error('no step');
    return parsed;
  };

  test('a part is laid over what is known, the whole replaces it, and an older one changes nothing', () => {
    const first = step(1, { a: 1, b: null }, true);
    const next = laidOver(first, step(2, { a: 2 }));
    expect([...next.values]).toEqual([
      ['a', 2],
      ['b', null],
    ]);
    expect(laidOver(next, step(1, { a: 9 }))).toBe(next);
    expect([...laidOver(next, step(3, { c: 1 }, true)).values]).toEqual([['c', 1]]);
    expect(laidOver(null, first)).toBe(first);
    expect(first.verdict).toEqual({ state: 'warned', reasons: [{ english: 'a', said: [] }], critical: 0, warning: 1 });
  });

  test('more metrics than one question may name are asked for by several', async () => {
    const asked: unknown[] = [];
    const admin = new Admin({
      call: async (_, values) => {
        const { metrics } = values as { metrics: string[] };
        asked.push(metrics.length);
        return {
          from: 0,
          to: 10,
          step_ms: 5,
          is_whole: asked.length < 2,
          metrics: Object.fromEntries(metrics.map((name) => [name, { avg: [1, null], min: [1, null], max: ['x', 2] }])),
        };
      },
    });
    const past = await metricsPast(
      admin,
      Array.from({ length: 20 }, (_, n) => `m${n}`),
      0,
      10,
      5,
    );
    expect(asked).toEqual([16, 4]);
    expect([past.metrics.size, past.isWhole]).toEqual([20, false]);
    expect(past.metrics.get('m19')).toEqual({ avg: [1, null], min: [1, null], max: [null, 2] });
  });
});

test('a rule goes back as it came', () => {
  const members = {
    name: 'latency',
    metric: 'latency.p99_ms',
    condition: 'above',
    value: 50,
    clear: 40,
    for_ms: 120_000,
    clear_for_ms: 60_000,
    severity: 'warning',
    repeat_ms: 14_400_000,
    routes: ['page', 'log'],
    is_enabled: true,
    title: 'Delivery is slow',
    advice: 'Look.',
  };
  const rule = parseRule(members);
  expect(rule === null ? null : ruleMembers(rule)).toEqual(members);
});

test('a day is summed up over its feeds, the worst of which come first', () => {
  const feed = (events: number, errors: number) => ({
    sums: { events, errors, bytes: 10, late_ms: 30, timed: 3 },
    errors_by_hour: [errors],
    events_by_hour: [events],
    reasons: errors > 0 ? { dns: errors } : {},
  });
  const report = parseReport('day', { report: { date: '2026-11-21', minutes: 5, feeds: { calm: feed(7, 0), bad: feed(1, 3) } } });
  expect(report?.feeds.map(({ name }) => name)).toEqual(['bad', 'calm']);
  expect([report?.sums.events, report?.sums.errors, report?.sums.lateMs]).toEqual([8, 3, 10]);
  expect(report?.course[0]).toEqual(['00', 8, 3]);
  expect(report?.reasons).toEqual([['dns', 3]]);
});

test('an entry of a trace keeps what it says of itself', () => {
  const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  expect(parseEntry(bytes({ at: 5, what: 'publish', bytes: 6 }))).toEqual({ atMs: 5, what: 'publish', facts: { bytes: 6 } });
  expect(parseEntry(bytes([]))).toBeNull();
});
