import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type End, judge, LATE_MS, type Outcome, probe, type Times, target } from './probe';
import { connectBytes, connectCommand, emulationBody, saidBytes, saidJson, secondBytes, secondCommand } from './probe_wire';

const NO_PATHS = { httpStream: null, sse: null, uniSse: null, emulation: null, mercure: null };
const reply = (id: number, code: number | null = null, connect: object | null = null) => ({ kind: 'reply', id, code, connect });

describe('the two commands', () => {
  test('are the same in both codecs', () => {
    expect(JSON.parse(connectCommand())).toEqual({ id: 1, connect: { name: 'connection-test' } });
    expect(JSON.parse(secondCommand())).toEqual({ id: 2, unsubscribe: { channel: 'connection-test' } });
    const name = [...new TextEncoder().encode('connection-test')];
    // Length, then id as field 1, and the request as field 4 or 6 with the name as its field 4 or the channel as its field 1.
    expect([...connectBytes()]).toEqual([21, 8, 1, 0x22, 17, 0x22, 15, ...name]);
    expect([...secondBytes()]).toEqual([21, 8, 2, 0x32, 17, 0x0a, 15, ...name]);
  });

  test('go beside an answer only with what the hub said of the session', () => {
    expect(emulationBody({ session: 's', node: 'n' })).toBe(JSON.stringify({ session: 's', node: 'n', data: secondCommand() }));
    for (const connect of [null, {}, { session: 's' }, { session: 1, node: 'n' }]) expect(emulationBody(connect)).toBeNull();
  });
});

describe('answers', () => {
  test.each([
    ['{"id":1,"connect":{"client":"c"}}\n{}\n', [reply(1, null, { client: 'c' }), { kind: 'other' }]],
    ['{"id":1,"error":{"code":101,"message":"unauthorized"}}', [reply(1, 101)]],
    ['{"connect":{"client":"c"}}', [reply(1, null, { client: 'c' })]],
    ['{"disconnect":{"code":3501}}', [{ kind: 'ended', code: 3501 }]],
    ['{"push":{"disconnect":{"code":3000}}}', [{ kind: 'ended', code: 3000 }]],
    ['{"push":{"channel":"a","pub":{}}}', [{ kind: 'other' }]],
    ['', []],
    ['<html>', null],
    ['{"id":1}\n[]', null],
  ])('in JSON: %s', (lines, said) => expect(saidJson(lines)).toEqual(said));

  test.each([
    [[4, 8, 1, 0x2a, 0], [reply(1)]],
    [
      [2, 8, 2, 0],
      [reply(2), { kind: 'other' }],
    ],
    [[8, 8, 1, 0x12, 4, 8, 101, 0x12, 0], [reply(1, 101)]],
    [[7, 0x22, 5, 0x5a, 3, 8, 0xad, 0x1b], [{ kind: 'ended', code: 3501 }]],
    [[], []],
    [[5, 8, 1], null],
    [[2, 0x0f, 0], null],
    [[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], null],
  ])('in Protobuf: %j', (bytes, said) => expect(saidBytes(Uint8Array.from(bytes))).toEqual(said));
});

test('a way that the hub does not offer has no target', () => {
  expect(target('websocketJson', null, NO_PATHS, 'http://hub')).toBeNull();
  for (const name of ['httpStream', 'sse', 'uniSse', 'mercure'] as const)
    expect(target(name, 'ws://hub/w', NO_PATHS, 'http://hub')).toBeNull();
  expect(target('sse', null, { ...NO_PATHS, sse: '/s', emulation: '/e' }, 'http://hub')).toEqual({
    name: 'sse',
    url: 'http://hub/s',
    emulationUrl: 'http://hub/e',
  });
});

describe('what a try says', () => {
  const none = { openMs: null, firstMs: null, roundTripMs: null };
  const opened = { ...none, openMs: 5 };
  const answered = { ...opened, firstMs: 6 };
  const late = { openMs: 5, firstMs: 5 + LATE_MS, roundTripMs: 3 };
  const blocked = (cause: (Outcome & { kind: 'blocked' })['cause']) => ({ kind: 'blocked', cause });
  test.each<[string, End, Times, object | null]>([
    ['sse', { kind: 'done' }, answered, { kind: 'works' }],
    ['sse', { kind: 'done' }, late, { kind: 'late' }],
    // A socket's first message has a way to the hub and back before it, which may be long.
    ['websocketJson', { kind: 'done' }, late, { kind: 'works' }],
    ['websocketJson', { kind: 'refused', code: 3501 }, opened, { kind: 'guarded', code: 3501 }],
    ['mercure', { kind: 'status', status: 401, says: '' }, none, { kind: 'guarded', code: 401 }],
    ['sse', { kind: 'time' }, opened, blocked({ kind: 'held', hasHead: true })],
    ['sse', { kind: 'time' }, answered, blocked({ kind: 'commands', status: null })],
    ['websocketJson', { kind: 'time' }, opened, blocked({ kind: 'silent' })],
    ['sse', { kind: 'broken' }, answered, blocked({ kind: 'cut' })],
    ['httpStream', { kind: 'status', status: 403, says: 'no' }, none, blocked({ kind: 'origin', says: 'no' })],
    ['httpStream', { kind: 'status', status: 502, says: '' }, none, blocked({ kind: 'status', status: 502, says: '' })],
    // These have to be asked about.
    ['sse', { kind: 'broken' }, none, null],
    ['websocketJson', { kind: 'time' }, none, null],
  ])('%s, %j after %j', (name, end, times, expected) => {
    expect(judge(name as 'sse', end, times)).toEqual(expected === null ? null : { ...expected, ...times });
  });
});

/** A server that answers as told, and the outcome of an HTTP stream at it. */
async function streamAt(listener: RequestListener, limitMs = 5_000): Promise<Outcome> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return probe({ name: 'httpStream', url: `${url}/h`, emulationUrl: `${url}/e` }, new AbortController().signal, limitMs);
}

const CONNECTED = '{"id":1,"connect":{"session":"s","node":"n"}}\n';

describe('an HTTP stream', () => {
  test('works when the reply to a command beside it comes', async () => {
    let stream: import('node:http').ServerResponse | undefined;
    const outcome = await streamAt((request, response) => {
      if (request.url === '/e') {
        response.writeHead(204).end();
        // In two pieces, as networks cut them.
        stream?.write('{"id":2,"unsub');
        setTimeout(() => stream?.write('scribe":{}}\n'), 20);
      } else {
        stream = response;
        response.writeHead(200).write(CONNECTED);
      }
    });
    expect(outcome).toMatchObject({ kind: 'works', openMs: expect.any(Number), firstMs: expect.any(Number) });
    expect((outcome as Outcome & { kind: 'works' }).roundTripMs).toBeGreaterThan(0);
  });

  test.each<[string, RequestListener, object]>([
    ['is held back', (_, response) => response.writeHead(200).flushHeaders(), { kind: 'held', hasHead: true }],
    ['is cut', (_, response) => response.writeHead(200).end(), { kind: 'cut' }],
    [
      'meets a login page',
      (_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).write('<html>\n'),
      { kind: 'foreign' },
    ],
    [
      'is refused by name',
      (_, response) => response.writeHead(503, { 'Content-Type': 'text/plain' }).end('the hub is in maintenance\n'),
      { kind: 'status', status: 503, says: 'the hub is in maintenance' },
    ],
    [
      'is refused by a page',
      (_, response) => response.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>Bad gateway</h1>'),
      { kind: 'status', status: 502, says: '' },
    ],
    [
      'cannot send commands',
      (request, response) => (request.url === '/e' ? response.writeHead(405).end() : response.writeHead(200).write(CONNECTED)),
      { kind: 'commands', status: 405 },
    ],
    ['finds nobody', (request) => request.socket.destroy(), { kind: 'unreachable' }],
  ])('%s', async (_, listener, cause) => {
    expect(await streamAt(listener, 500)).toMatchObject({ kind: 'blocked', cause });
  });

  test('ends when it is no longer wanted', async () => {
    const run = new AbortController();
    const never = probe({ name: 'httpStream', url: 'http://127.0.0.1:9/', emulationUrl: null }, run.signal);
    run.abort();
    await expect(never).rejects.toMatchObject({ name: 'AbortError' });
  });
});
