import { expect, test } from 'vitest';
import { cut, isolated, middleCut, visible } from './text';

test.each([
  ['plain ü 漢字 👩‍👩‍👧', 'plain ü 漢字 👩‍👩‍👧'],
  ['a\u0000b\u0007c\u001f\u007f', 'a\u2400b\u2407c\u241f\u2421'],
  ['line\nbreak\ttab', 'line\u240abreak\u2409tab'],
  ['demo:\u202egnp.exe', 'demo:\u27e8202E\u27e9gnp.exe'],
  ['\u2066\u200f\u061c\u200b\ufeff', '\u27e82066\u27e9\u27e8200F\u27e9\u27e8061C\u27e9\u27e8200B\u27e9\u27e8FEFF\u27e9'],
  ['c1\u0085', 'c1\u27e80085\u27e9'],
  ['tag\u{e0041}', 'tag\u27e8E0041\u27e9'],
  ['<img src=x>', '<img src=x>'],
])('what cannot be seen or moves what can is shown: %j', (from, to) => {
  expect(visible(from)).toBe(to);
});

test('a cut never leaves half a character', () => {
  expect(cut('ab😀cd', 3)).toBe('ab\u2026');
  expect(cut('ab😀cd', 4)).toBe('ab😀\u2026');
  expect(cut('abc', 3)).toBe('abc');
});

test('an id keeps both its ends', () => {
  expect(middleCut('c4f1b2a8-0000-0000-0000-000000004c1e')).toBe('c4f1b2a8\u20264c1e');
  expect(middleCut('short')).toBe('short');
});

test.each([
  ['mara', 'mara'],
  ['שלום 123', '\u2068שלום 123\u2069'],
  ['مرحبا', '\u2068مرحبا\u2069'],
  ['Zoë 日本', 'Zoë 日本'],
])('%j stands in a sentence as %j', (name, shown) => expect(isolated(name)).toBe(shown));
