import { describe, expect, test } from 'vitest';
import type { FeedRow, Stay } from '../../client/admin/feeds';
import { createWords } from '../../lib/i18n';
import { en } from '../../lib/i18n/en';
import { type ChartData, gapsOf, niceTop, stacked } from './chart';
import { nextAskMs } from './desk';
import { ribbonWords, segments, shownState, worstFirst } from './feed_states';
import { factsOf } from './Trace';
import { RowWindow, rangeAround } from './window';

const words = createWords('en', en);

describe('what a feed was', () => {
  const stays: readonly Stay[] = [
    [120_000, 'connecting'],
    [119_000, 'open'],
    [60_000, 'backoff'],
    [10_000, 'open'],
  ];

  test('states follow each other up to now, and none begins before the window', () => {
    expect(segments(stays, 100_000)).toEqual([
      { state: 'open', fromAgoMs: 100_000, toAgoMs: 60_000 },
      { state: 'backoff', fromAgoMs: 60_000, toAgoMs: 10_000 },
      { state: 'open', fromAgoMs: 10_000, toAgoMs: 0 },
    ]);
    expect(segments([], 100_000)).toEqual([]);
  });

  test('a ribbon says the same in words', () => {
    expect(ribbonWords(segments(stays, 100_000), words)).toBe('Open 50\u202fs, Backing off 50\u202fs, now Open');
    expect(ribbonWords([], words)).toBe('nothing known yet');
  });

  const feed = (name: string, change: Partial<FeedRow>): FeedRow => ({
    name,
    state: 'open',
    isPaused: false,
    isResting: false,
    origin: 'configured',
    priority: 0,
    ageMs: 1,
    sinceMs: 0,
    reason: null,
    detail: '',
    lastEventId: '',
    events: 0,
    dropped: 0,
    bytes: 0,
    errors: 0,
    reconnects: 0,
    rotations: 0,
    repeated: 0,
    gaps: 0,
    perMinute: 0,
    bytesPerMinute: 0,
    errorsPerMinute: 0,
    usualPerMinute: null,
    latencyMs: null,
    silentMs: null,
    nextTryMs: null,
    ...change,
  });

  test('the worst comes first, then the longest silent, then the name', () => {
    const feeds = [
      feed('b', {}),
      feed('a', {}),
      feed('quiet', { silentMs: 9_000 }),
      feed('paused', { isPaused: true, state: 'idle' }),
      feed('down', { state: 'backoff' }),
      feed('worse', { state: 'degraded' }),
    ];
    expect([...feeds].sort(worstFirst).map(({ name }) => name)).toEqual(['down', 'worse', 'paused', 'quiet', 'a', 'b']);
  });

  test('what an operator or the lack of listeners made of it is said instead of what the hub calls it', () => {
    expect(shownState(feed('a', { isPaused: true }))).toBe('paused');
    expect(shownState(feed('a', { isResting: true, state: 'idle' }))).toBe('resting');
    expect(shownState(feed('a', { isResting: true }))).toBe('open');
  });
});

describe('a chart', () => {
  const data = (values: readonly (number | null)[], toS: number): ChartData => ({
    times: values.map((_, at) => at * 10),
    series: [{ colour: '--series-1', values }],
    fromS: 0,
    toS,
    stepS: 10,
  });

  test.each([
    [0, 1],
    [0.4, 0.5],
    [1, 1.5],
    [5_100, 6_000],
    [11, 15],
    [24, 25],
    [99, 100],
    [183_912, 200_000],
    [Number.NaN, 1],
  ])('the axis of %d ends at %d', (max, top) => expect(niceTop(max)).toBeCloseTo(top));

  test('what was not measured is a gap, up to the end too; one step late is none', () => {
    expect(gapsOf(data([1, 2, 3], 20))).toEqual([]);
    expect(gapsOf(data([1, null, null, 4], 30))).toEqual([[10, 30]]);
    expect(gapsOf(data([1, 2], 60))).toEqual([[20, 60]]);
    expect(gapsOf(data([null, null, null, 1], 30))).toEqual([]);
    expect(gapsOf(data([null, null, null], 40))).toEqual([[0, 40]]);
  });

  test('bars stand on those below them, and nothing on nothing', () => {
    const series = [
      { colour: '', values: [1, null, 3] },
      { colour: '', values: [10, 20, null] },
    ];
    expect(stacked(series)).toEqual([
      [1, null, 3],
      [11, 20, null],
    ]);
  });
});

test('an answer that cannot be had is asked for less and less often', () => {
  expect([0, 1, 2, 3, 30].map((failures) => nextAskMs(2_000, failures))).toEqual([2_000, 4_000, 8_000, 16_000, 30_000]);
});

test('rows that were read stay within bounds, and the newest part is whole', () => {
  const rows = new RowWindow<number>();
  for (let skip = 0; skip < 20_000; skip += 100) rows.put({ skip, rows: Array.from({ length: 100 }, (_, at) => skip + at) });
  expect(rows.get(19_900)).toBe(19_900);
  expect(rows.get(19_999)).toBe(19_999);
  expect(rows.get(0)).toBeUndefined();
});

test('an entry of a trace is cut and made visible', () => {
  const entry = { atMs: 0, what: 'publish', facts: { session: 'x', channel: 'a\u202eb', bytes: 6, more: 'y'.repeat(500) } };
  expect(factsOf(entry)).toMatch(/^channel a⟨202E⟩b, bytes 6, more y+…$/);
});

test.each([
  [0, 20, 0, 100],
  [70, 90, 0, 200],
  [130, 150, 100, 100],
  [99_960, 99_999, 99_900, 200],
  [0, 5_000, 0, 1_000],
])('for the rows %d to %d, those behind %d are asked for, %d of them', (first, last, skip, limit) =>
  expect(rangeAround(first, last)).toEqual({ skip, limit }),
);
