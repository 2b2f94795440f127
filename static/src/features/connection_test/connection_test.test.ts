import { expect, test } from 'vitest';
import type { ProbeName } from '../../client/probe';
import { createWords } from '../../lib/i18n';
import { en } from '../../lib/i18n/en';
import type { Row } from './connection_test_model';
import { type Run, reportText, rowWords, verdict } from './test_words';

const words = createWords('en', en);
const TIMES = { openMs: 4, firstMs: 5, roundTripMs: 2 };
const WORKS = { kind: 'works', ...TIMES } as const;
const BLOCKED = { kind: 'blocked', cause: { kind: 'upgrade' }, openMs: null, firstMs: null, roundTripMs: null } as const;
const OFF = { kind: 'off' } as const;

function run(states: Partial<Record<ProbeName, Row['state']>>, over: Partial<Run> = {}): Run {
  const names: ProbeName[] = ['websocketJson', 'websocketProtobuf', 'httpStream', 'sse', 'uniSse', 'mercure'];
  const rows = names.map((name): Row => {
    const state = states[name] ?? OFF;
    return { name, path: state.kind === 'off' ? null : `/${name}`, state };
  });
  return { kind: 'run', rows, endedMs: 0, isStopped: false, isOld: false, ...over };
}

test.each<[string, Run, string, RegExp]>([
  ['works', run({ websocketJson: WORKS, sse: BLOCKED }), 'ok', /^WebSocket works/],
  ['falls back', run({ websocketJson: BLOCKED, websocketProtobuf: BLOCKED, sse: WORKS }), 'warn', /SSE with commands does/],
  ['has no WebSocket', run({ httpStream: WORKS }), 'ok', /off in the configuration, HTTP stream works/],
  ['only listens', run({ websocketJson: BLOCKED, mercure: WORKS }), 'warn', /listening work from here: Mercure/],
  ['is shut out', run({ websocketJson: BLOCKED, sse: BLOCKED }), 'crit', /^No way in/],
  ['goes on', run({ websocketJson: WORKS }, { endedMs: null }), 'move', /^Testing/],
  ['was stopped', run({ websocketJson: WORKS }, { isStopped: true }), 'off', /stopped/],
])('a browser that %s is told so', (_, state, status, sentence) => {
  expect(verdict(state, words)).toEqual({ status, sentence: expect.stringMatching(sentence) });
});

test('every outcome has its words', () => {
  const row = (state: Row['state']) => rowWords({ name: 'sse', path: '/s', state }, 'http://page', words);
  const blocked = (cause: (Row['state'] & { kind: 'blocked' })['cause']) => row({ ...BLOCKED, cause }).why;
  expect(row(OFF)).toMatchObject({ status: 'off', why: expect.stringContaining('sse.enabled = true') });
  expect(row({ ...WORKS, kind: 'late', firstMs: 2_004 })).toMatchObject({
    status: 'warn',
    why: expect.stringContaining('2.0\u202fs'),
  });
  expect(row({ ...WORKS, kind: 'guarded', code: 3501 }).why).toContain('3501');
  expect(blocked({ kind: 'origin', says: '' })).toContain('http://page');
  expect(blocked({ kind: 'status', status: 502, says: '' })).toContain('502');
  // What a proxy says is shown, not obeyed.
  expect(blocked({ kind: 'status', status: 502, says: 'a\u202eb' })).not.toContain('\u202e');
  expect(blocked({ kind: 'held', hasHead: true })).not.toBe(blocked({ kind: 'held', hasHead: false }));
  expect(blocked({ kind: 'commands', status: null })).not.toContain('status');
  for (const kind of ['upgrade', 'silent', 'cut', 'foreign', 'unreachable'] as const)
    expect(blocked({ kind })).toMatch(/^\S.*[.]$/);
});

test('the text for a ticket says all that the page says', () => {
  const state = run({ websocketJson: WORKS, httpStream: BLOCKED });
  const text = reportText(state, { origin: 'http://hub', browser: 'Browser/1', protocol: 'h2' }, words);
  expect(text.replaceAll('\u202f', ' ').split('\n')).toEqual([
    'Connection test of http://hub, 1970-01-01T00:00:00.000Z',
    'WebSocket works from here: clients connect in the best way.',
    '',
    '- WebSocket, JSON (/websocketJson): Works, Open 4.0 ms, First message 5.0 ms, Round trip 2.0 ms',
    expect.stringMatching(/^- WebSocket, Protobuf: Off in the configuration\. .*websocket\.disabled = false$/),
    expect.stringMatching(/^- HTTP stream \(\/httpStream\): Blocked\. The hub answers plain requests/),
    expect.stringContaining('sse.enabled = true'),
    expect.stringContaining('uni_sse.enabled = true'),
    expect.stringContaining('mercure.enabled = true'),
    '',
    'This page came by: h2',
    'Browser: Browser/1',
  ]);
});
