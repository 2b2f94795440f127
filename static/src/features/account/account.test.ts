import { expect, test } from 'vitest';
import { rightName, roleName } from '../../components/account_words';
import { createWords } from '../../lib/i18n';
import { en } from '../../lib/i18n/en';
import { strength } from './strength';

const words = createWords('en', en);

test.each([
  ['', 'empty'],
  ['1234567', 'short'],
  ['12345678', 'weak'],
  ['ümläutß', 'weak'],
  ['twelve chars', 'fair'],
  ['a sentence of some length', 'good'],
  ['😀'.repeat(256), 'good'],
  ['😀'.repeat(257), 'tooLong'],
  ['\0'.repeat(8), 'weak'],
])('%j is %s', (password, level) => {
  expect(strength(password).level).toBe(level);
});

test('characters are counted as people count them', () => {
  expect(strength('😀é').characters).toBe(2);
});

test('a role or right that this page does not know is called what the hub calls it, and made safe to look at', () => {
  expect(roleName('operator', words)).toBe('operator');
  expect(roleName('over\u202elord', words)).toBe('over⟨202E⟩lord');
  expect(rightName('audit.read', words)).toBe('Read the audit log');
  expect(rightName('constructor', words)).toBe('constructor');
});
