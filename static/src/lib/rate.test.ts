import { expect, test } from 'vitest';
import { Rate } from './rate';
import { Ring } from './ring';

test('a rate is counted over full seconds', () => {
  const rate = new Rate();
  expect(rate.perSecond(500)).toBe(0);
  for (let at = 1_000; at < 4_000; at += 100) rate.add(at);
  expect(rate.perSecond(3_999)).toBe(10);
  expect(rate.perSecond(4_000)).toBe(10);
});

test('a rate forgets what is older than its window', () => {
  const rate = new Rate();
  for (let at = 0; at < 1_000; at += 10) rate.add(at);
  expect(rate.perSecond(1_000)).toBe(100);
  expect(rate.perSecond(5_500)).toBe(20);
  expect(rate.perSecond(6_000)).toBe(0);
  expect(rate.perSecond(1e9)).toBe(0);
});

test('a clock that jumps back breaks nothing', () => {
  const rate = new Rate();
  rate.add(10_000);
  rate.add(2_000);
  expect(rate.perSecond(11_000)).toBe(2);
});

test('a ring keeps the last ones in order', () => {
  const ring = new Ring<number>(3);
  expect([...ring]).toEqual([]);
  expect(ring.last()).toBeUndefined();
  for (const n of [1, 2, 3, 4, 5]) ring.push(n);
  expect([...ring]).toEqual([3, 4, 5]);
  expect(ring.last()).toBe(5);
  ring.clear();
  expect(ring.length).toBe(0);
});
