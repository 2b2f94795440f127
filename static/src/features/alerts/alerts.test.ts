import { expect, test } from 'vitest';
import { createWords } from '../../lib/i18n';
import { de } from '../../lib/i18n/de';
import { en } from '../../lib/i18n/en';
import { conditionSaid, timeIn, timeText } from './alert_words';

test.each([
  ['30s', 30_000],
  ['90', 90_000],
  ['1h 30m', 5_400_000],
  ['1h30m', 5_400_000],
  ['2 min', 120_000],
  ['1.5h', 5_400_000],
  ['7d', 604_800_000],
  ['', null],
  ['soon', null],
  ['-5s', null],
])('%j is a time of %s', (text, ms) => expect(timeIn(text)).toBe(ms));

test.each([0, 1_000, 90_000, 3_600_000, 5_400_000, 90_061_000])('%d ms can be typed', (ms) =>
  expect(timeIn(timeText(ms))).toBe(ms),
);

test('a condition is a sentence', () => {
  const words = createWords('en', en);
  const rule = { metric: 'latency.p99_ms', condition: 'above' as const, value: 50, forMs: 120_000 };
  expect(conditionSaid(rule, words)).toBe('latency.p99_ms above 50\u202fms for 2\u202fmin');
  expect(conditionSaid({ ...rule, condition: 'gone', value: null }, words)).toBe('no reading of latency.p99_ms for 2\u202fmin');
  expect(conditionSaid({ ...rule, metric: 'panics', value: 0.25, forMs: 0 }, words)).toBe('panics above 0.25');
  expect(conditionSaid({ ...rule, metric: 'panics', value: 0.25 }, createWords('de', de))).toBe(
    'panics über 0,25 für 2\u202fmin',
  );
  expect(conditionSaid({ ...rule, metric: 'certificate.ends_in_seconds', condition: 'below', value: 1_209_600 }, words)).toBe(
    'certificate.ends_in_seconds below 14\u202fd for 2\u202fmin',
  );
  expect(conditionSaid({ ...rule, metric: 'leak.memory_per_hour', value: 4_194_304 }, words)).toMatch(/ above 4\.00\sMiB for /);
});
