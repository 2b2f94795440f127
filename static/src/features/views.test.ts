import { describe, expect, test } from 'vitest';
import type { AuditRow } from '../client/admin/audit';
import { parsePast, parseStep } from '../client/admin/metrics';
import { createFormat } from '../lib/format';
import { parsePreferences } from '../lib/preferences';
import { pathOf, placeOf } from '../lib/router';
import { isForgotten, listIn } from './access/access_model';
import { csv, csvCell } from './audit/audit_model';
import { namespaceOf } from './channels/namespace';
import { coursesOf } from './overview/ranges';
import { backIn } from './reports/report_words';
import { sortIn } from './sessions/session_words';
import { openShare } from './upstreams/lanes';

describe('addresses', () => {
  test.each(['demo:pulse', 'a/b', 'ä ö', '100%', '<img>', '..', 'x?y#z'])('%j is found again', (thing) => {
    const url = new URL(pathOf('channels', thing), 'http://hub');
    if (thing !== '..') expect(placeOf(url.pathname)).toEqual({ view: 'channels', thing });
  });
  test('what is no view is none, and a per cent sign that begins nothing stays', () => {
    expect(placeOf('/')).toBeNull();
    expect(placeOf('/nothing')).toBeNull();
    expect(placeOf('/sessions/')).toEqual({ view: 'sessions', thing: null });
    expect(placeOf('/channels/%zz')).toEqual({ view: 'channels', thing: '%zz' });
  });
});

test.each([
  ['', { by: 'since', descending: true }],
  ['user', { by: 'user', descending: false }],
  ['-subscriptions', { by: 'subscriptions', descending: true }],
  ['password', { by: 'since', descending: true }],
])('%j orders sessions by %j', (text, sort) => expect(sortIn(text)).toEqual(sort));

test.each([
  ['news:a', 'news'],
  ['$chat:1', 'chat'],
  ['plain', ''],
  [':a', ''],
])('%j is in the namespace %j', (name, namespace) => expect(namespaceOf(name)).toBe(namespace));

test.each([
  ['', 0],
  ['3', 3],
  ['99', 34],
  ['-1', 0],
  ['x', 0],
])('%j reports ago are %d', (text, back) => expect(backIn(text, 34)).toBe(back));

describe('a file of the audit log', () => {
  test.each([
    ['plain', 'plain'],
    ['a,b', '"a,b"'],
    ['say "x"', '"say ""x"""'],
    ['=1+1', "'=1+1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['a\nb', '"a\nb"'],
  ])('%j stands as %j', (value, cell) => expect(csvCell(value)).toBe(cell));

  test('each record is a line', () => {
    const row: AuditRow = {
      sequence: 7,
      atMs: 0,
      actor: 'mara',
      origin: '127.0.0.1',
      action: 'admin.sessions.kick',
      object: '=x',
      outcome: 'done',
      details: { a: 1 },
      hash: 'ff',
      record: {},
    };
    expect(csv([row]).split('\r\n')[1]).toBe(
      `7,1970-01-01T00:00:00.000Z,mara,127.0.0.1,admin.sessions.kick,'=x,done,"{""a"":1}",ff`,
    );
  });
});

test('a key is forgotten when nobody has used it for 90 days', () => {
  const day = 86_400_000;
  expect(isForgotten({ lastUsedAtMs: 0, createdAtMs: 0 }, 91 * day)).toBe(true);
  expect(isForgotten({ lastUsedAtMs: 80 * day, createdAtMs: 0 }, 91 * day)).toBe(false);
  expect(isForgotten({ lastUsedAtMs: null, createdAtMs: 80 * day }, 91 * day)).toBe(false);
  expect(listIn(' a, b  c,,')).toEqual(['a', 'b', 'c']);
});

test('how much of a time a feed delivered is said of what is known', () => {
  expect(openShare([])).toBeNull();
  expect(
    openShare([
      { state: 'open', fromAgoMs: 100, toAgoMs: 40 },
      { state: 'backoff', fromAgoMs: 40, toAgoMs: 20 },
      { state: 'degraded', fromAgoMs: 20, toAgoMs: 0 },
    ]),
  ).toBe(0.8);
});

test.each([
  [null, '–'],
  [1, '100\u202f%'],
  [0.99998, '99.998\u202f%'],
  [0.9999999, '99.999\u202f%'],
  [0.9991, '99.91\u202f%'],
  [0.5, '50.0\u202f%'],
  [0, '0\u202f%'],
])('the share %s is %s', (value, text) => expect(createFormat('en').share(value)).toBe(text));

test.each([null, '', '{', '[]', '{"density":"huge","language":7,"hasKeys":"x"}'])(
  'whatever is kept, %j becomes preferences',
  (source) => {
    expect(parsePreferences(source)).toEqual({
      density: 'compact',
      language: 'system',
      hasKeys: true,
      panels: null,
      limits: {},
      unsavedBy: null,
    });
  },
);

test('what is heard goes over what was, on one axis; what nobody measured is a gap', () => {
  const past = parsePast({
    from: 0,
    to: 300_000,
    step_ms: 1_000,
    metrics: { a: { avg: [5, 6, null], min: [], max: [7, 8, null] } },
  });
  const heard = parseStep({ at: 300_000, step_ms: 1_000, is_whole: true, values: { a: 9 }, verdict: {}, objectives: [] });
  if (past === null || heard === null) throw new Error('unreadable');
  const courses = coursesOf(past, [heard], 'live', 300_400);
  expect([courses.fromS, courses.toS, courses.stepS, courses.times.length]).toEqual([0, 300, 1, 301]);
  expect(courses.values('a').slice(0, 3)).toEqual([5, 6, null]);
  expect(courses.values('a').at(-1)).toBe(9);
  expect(courses.highest('a')[1]).toBe(8);
  expect(courses.values('b').every((value) => value === null)).toBe(true);
});
