import { expect, test } from 'vitest';
import { full, indented, preview } from './payload';

const bytes = (text: string) => new TextEncoder().encode(text);

test('JSON is laid out and otherwise stays as it was sent: long numbers, repeated members, escapes', () => {
  expect(full(bytes('{"a":12345678901234567890,"a":[1,{}],"s":"x\\u0000,:{"}'))).toEqual({
    kind: 'json',
    text: '{\n  "a": 12345678901234567890,\n  "a": [\n    1,\n    {}\n  ],\n  "s": "x\\u0000,:{"\n}',
    hidden: 0,
  });
});

test.each([
  ['[]', '[]'],
  ['{ \n }', '{}'],
  [' [ 1 , 2 ] ', '[\n  1,\n  2\n]'],
  ['"a\\"b{"', '"a\\"b{"'],
  ['{"open": [1', '{\n  "open": [\n    1'],
])('layout of %j', (from, to) => {
  expect(indented(from)).toBe(to);
});

test('nesting of any depth ends', () => {
  expect(full(bytes(`${'['.repeat(20_000)}${']'.repeat(20_000)}`)).text.length).toBeLessThan(2_000_000);
});

test('text that is no JSON keeps its lines and shows its controls', () => {
  expect(full(bytes('<b>\nA\u0001\tB'))).toEqual({ kind: 'text', text: '<b>\nA\u2401\tB', hidden: 0 });
});

test('binary is a hex dump of the first 256 bytes', () => {
  const payload = full(new Uint8Array(300).fill(0xff).fill(0x41, 16));
  expect(payload.kind).toBe('binary');
  expect(payload.hidden).toBe(44);
  const lines = payload.text.split('\n');
  expect(lines).toHaveLength(16);
  expect(lines[0]).toBe(`0000  ${'ff '.repeat(15)}ff  ................`);
  expect(lines[1]?.endsWith('AAAAAAAAAAAAAAAA')).toBe(true);
});

test('nothing is nothing', () => {
  expect(full(new Uint8Array())).toEqual({ kind: 'empty', text: '', hidden: 0 });
  expect(preview(new Uint8Array())).toBe('');
});

test('what is too long to read is cut, and says by how much', () => {
  const payload = full(bytes('x'.repeat(20_000)));
  expect(payload.text.length + payload.hidden).toBe(20_001); // the ellipsis
  expect(payload.hidden).toBe(20_000 - 16_384);
});

test('a preview is one line, and a large message costs no more than a small one', () => {
  expect(preview(bytes('a\nb'))).toBe('a\u240ab');
  expect(preview(bytes('ü'.repeat(5_000)))).toBe(`${'ü'.repeat(240)}\u2026`);
  expect(preview(bytes('😀'.repeat(300)))).toBe(`${'😀'.repeat(120)}\u2026`);
  expect(preview(new Uint8Array([0xff, 0x00, 0x0a]))).toBe('ff 00 0a');
});
