import { expect, test } from 'vitest';
import { createFormat, timeOfDayFine } from './format';

const en = createFormat('en');
const de = createFormat('de-DE');
const N = '\u202f';

test.each([
  [0, `0${N}ms`],
  [0.04, `0.0${N}ms`],
  [0.64, `0.6${N}ms`],
  [9.94, `9.9${N}ms`],
  [9.96, `10${N}ms`],
  [999.4, `999${N}ms`],
  [999.6, `1.0${N}s`],
  [1_234, `1.2${N}s`],
  [null, '\u2013'],
  [Number.NaN, '\u2013'],
])('latency of %s ms', (ms, text) => {
  expect(en.latency(ms)).toBe(text);
});

test.each([
  [0, '0'],
  [-0, '0'],
  [99_999, `99${N}999`],
  [100_000, `100${N}k`],
  [183_940, `184${N}k`],
  [12_345_678, `12.3${N}M`],
  [999_999, `1.00${N}M`],
  [null, '\u2013'],
])('short form of %s', (value, text) => {
  expect(en.short(value)).toBe(text);
});

test.each([
  [0, `0${N}B`],
  [1_023, `1${N}023${N}B`],
  [1_024, `1.00${N}KiB`],
  [500, `500${N}B`],
  [4.4e9, `4.10${N}GiB`],
  [150 * 1024, `150${N}KiB`],
])('%s bytes', (value, text) => {
  expect(en.bytes(value)).toBe(text);
});

test.each([
  [0, `0${N}s`],
  [12_900, `12${N}s`],
  [192_000, `3${N}min 12${N}s`],
  [3_600_000, `1${N}h`],
  [41 * 86_400_000 + 6 * 3_600_000 + 5_000, `41${N}d 6${N}h`],
])('age of %s ms', (ms, text) => {
  expect(en.age(ms)).toBe(text);
});

test('other languages have their own marks', () => {
  expect(de.count(1_234_567)).toBe('1.234.567');
  expect(de.latency(1.9)).toBe(`1,9${N}ms`);
  expect(de.perSecond(10)).toBe('10,0');
});

test('rates keep their digits', () => {
  expect([0, 0.5, 10, 99.94, 120.4, 123_456].map(en.perSecond)).toEqual(['0', '0.5', '10.0', '99.9', '120', `123${N}k`]);
});

test('fine times show hundredths, whatever the fraction', () => {
  expect(timeOfDayFine(new Date(2026, 0, 2, 3, 4, 5, 67).getTime() + 0.9)).toBe('03:04:05.06');
});

test('a moment is as exact as its distance makes it useful', () => {
  const now = new Date(2026, 10, 21, 15, 0, 0).getTime();
  expect(en.when(new Date(2026, 10, 21, 9, 5, 59).getTime(), now)).toBe('09:05');
  expect(en.when(new Date(2026, 10, 17, 9, 12).getTime(), now)).toBe('Tue 09:12');
  expect(en.when(new Date(2026, 10, 4, 9, 12).getTime(), now)).toBe('4 Nov 09:12');
  expect(en.when(new Date(2025, 10, 4, 9, 12).getTime(), now)).toBe('4 Nov 2025');
  expect(de.when(new Date(2026, 10, 17, 9, 12).getTime(), now)).toBe('Di 09:12');
  expect([null, Number.NaN, 9e15, -9e15].map((ms) => en.when(ms, now))).toEqual(['\u2013', '\u2013', '\u2013', '\u2013']);
});
