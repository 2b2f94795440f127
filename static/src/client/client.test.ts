import { expect, test } from 'vitest';
import { backoffMs } from './backoff';
import { CHANNELS_MAX, parseChannels } from './channels';
import { HubClock } from './clock';
import { DISCONNECTS, ERRORS, UNSUBSCRIBES } from './codes';
import { parseConfig } from './config';

const ORIGIN = 'https://localhost:8443';
const CONFIG = {
  websocket: '/connection/websocket',
  node: 'hub-1',
  version: '1',
  demo: { channel: 'demo:pulse', host: 'demo:host' },
  chat: 'demo:chat',
  api: '/api',
};

test('a configuration names paths on the host that the page came from', () => {
  expect(parseConfig(CONFIG, ORIGIN)).toEqual({
    websocketUrl: 'wss://localhost:8443/connection/websocket',
    node: 'hub-1',
    version: '1',
    demo: { channel: 'demo:pulse', host: 'demo:host' },
    chat: 'demo:chat',
    apiUrl: 'https://localhost:8443/api',
  });
  expect(parseConfig(CONFIG, 'http://h:8000')?.websocketUrl).toBe('ws://h:8000/connection/websocket');
  expect(parseConfig({ ...CONFIG, websocket: 'wss://other/ws' }, 'http://h:8000')?.websocketUrl).toBe('wss://other/ws');
});

test('without a feed and without a chat a configuration is still one', () => {
  expect(parseConfig({ websocket: '/w', demo: null, chat: null }, ORIGIN)).toMatchObject({ demo: null, chat: null, node: '' });
  expect(parseConfig({ websocket: '/w', demo: { channel: 'd' } }, ORIGIN)?.demo).toEqual({ channel: 'd', host: null });
});

test.each([[null], [[]], ['x'], [{}], [{ websocket: 7 }], [{ websocket: 'http://[' }]])('%j is no configuration', (value) => {
  expect(parseConfig(value, ORIGIN)).toBeNull();
});

test('channels are read row by row; what is no row is left out', () => {
  expect(
    parseChannels({
      channels: [
        { name: 'a', subscribers: 3, rate: 10.5, offset: 7 },
        { name: 5 },
        null,
        { name: 'b', rate: -1, subscribers: 'x' },
      ],
      total: 9,
      time: 5.5,
    }),
  ).toEqual({
    rows: [
      { name: 'a', subscribers: 3, rate: 10.5, offset: 7 },
      { name: 'b', subscribers: 0, rate: 0, offset: null },
    ],
    total: 9,
    timeMs: 5.5,
  });
  expect(parseChannels({ total: 1 })).toBeNull();
});

test('no answer makes the list longer than what was asked for', () => {
  const channels = Array.from({ length: 10_000 }, (_, n) => ({ name: `c${n}` }));
  expect(parseChannels({ channels })).toMatchObject({ rows: { length: CHANNELS_MAX }, total: CHANNELS_MAX });
});

test('the hub’s clock is read from the fastest answer', () => {
  const clock = new HubClock();
  expect(clock.errorMs()).toBeNull();
  expect(clock.toHub(1_000)).toBe(1_000);
  clock.sample(1_000, 1_100, 6_089.5);
  expect(clock.toHub(0)).toBe(5_040);
  clock.sample(2_000, 2_002, 7_000.5);
  expect(clock.toHub(0)).toBe(5_000);
  expect(clock.errorMs()).toBe(1.5);
  clock.sample(3_000, 3_500, 8_000);
  expect(clock.toHub(0)).toBe(5_000);
  clock.sample(9, 3, 0);
  expect(clock.errorMs()).toBe(1.5);
});

test('a fast answer is forgotten in time, because clocks drift', () => {
  const clock = new HubClock();
  clock.sample(0, 1, 100);
  for (let n = 0; n < 30; n += 1) clock.sample(1_000, 1_010, 1_204.5);
  expect(clock.toHub(0)).toBe(200);
});

test.each([
  [0, 0, 250],
  [0, 0.999, 750],
  [3, 0.5, 2_250],
  [40, 0.999, 20_230],
])('try %i waits within its bounds', (attempt, random, ms) => {
  expect(backoffMs(attempt, random)).toBe(ms);
});

test('every code stands once', () => {
  for (const table of [ERRORS, DISCONNECTS, UNSUBSCRIBES]) expect(new Set(table.map(([code]) => code)).size).toBe(table.length);
});
