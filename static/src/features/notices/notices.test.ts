import { expect, test } from 'vitest';
import type { NoticeLevel } from '../../client/notice';
import { NOTICES_MAX, NoticeList } from './notice_list';

const texts = (list: NoticeList) => list.shown.get().map(({ text }) => text);

function said(...notices: readonly [NoticeLevel, string][]): NoticeList {
  const list = new NoticeList();
  for (const [level, text] of notices) list.add({ level, text }, 0);
  return list;
}

test('the newest stands first, and what was put away is gone', () => {
  const list = said(['info', 'a'], ['info', 'b']);
  expect(texts(list)).toEqual(['b', 'a']);
  list.dismiss(list.shown.get()[0]?.id ?? -1);
  list.dismiss(99);
  expect(texts(list)).toEqual(['a']);
});

test('a flood ends at the bound, and what matters most stays', () => {
  const list = said(['critical', 'fire'], ['warning', 'smoke']);
  for (let n = 0; n < 1_000; n += 1) list.add({ level: 'info', text: String(n) }, n);
  expect(list.shown.get()).toHaveLength(NOTICES_MAX);
  expect(texts(list)).toContain('fire');
  expect(texts(list)).toContain('smoke');
  expect(texts(list)[0]).toBe('999');
});

test('critical ones make room for newer critical ones', () => {
  const list = said(...Array.from({ length: 8 }, (_, n): [NoticeLevel, string] => ['critical', String(n)]));
  expect(texts(list)).toEqual(['7', '6', '5', '4', '3']);
});

test('the same said again is one notice', () => {
  const list = said(['info', 'a'], ['info', 'b'], ['info', 'a']);
  expect(texts(list)).toEqual(['a', 'b']);
});
