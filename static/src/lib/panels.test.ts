import { describe, expect, test } from 'vitest';
import { FIRST_PANELS, limitsIn, moved, panelsIn } from './panels';

test.each([
  [undefined, null],
  ['cpu', null],
  [[], []],
  [
    ['cpu', 'nothing', 7, 'cpu', 'lag', 'toString'],
    ['cpu', 'lag'],
  ],
])('%j are the panels %j', (value, panels) => expect(panelsIn(value)).toEqual(panels));

test.each([
  [null, {}],
  [[1], {}],
  [{ cpu: 80, lag: 0, memory: '5', latency: -1, delivered: 3, nothing: 4, store: Number.NaN }, { cpu: 80 }],
])('%j are the limits %j', (value, limits) => expect(limitsIn(value)).toEqual(limits));

describe('a panel that is moved', () => {
  const [first, second, third] = FIRST_PANELS;
  if (first === undefined || second === undefined || third === undefined) throw new Error('there are three');
  test('takes the place of another one, from before it and from behind', () => {
    expect(moved([first, second, third], first, third)).toEqual([second, third, first]);
    expect(moved([first, second, third], third, first)).toEqual([third, first, second]);
  });
  test('stays where the other one is not', () => expect(moved([first, second], first, third)).toEqual([first, second]));
});
