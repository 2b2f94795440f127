// The examples of docs/transports.md, as they stand there, and what the SDK does where WebSocket is blocked.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Centrifuge } from 'centrifuge';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { eventually, Hub, inSeconds, token } from './hub.js';

const page = readFileSync(fileURLToPath(new URL('../../../docs/transports.md', import.meta.url)), 'utf8');
const examples = (language) => [...page.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, text]) => text);
const AsyncFunction = (async () => {}).constructor;

let hub;
before(async () => {
  globalThis.WebSocket = WebSocket;
  globalThis.EventSource = EventSource;
  hub = await Hub.start({
    AETHER_CLIENT_ALLOW_ANONYMOUS_CONNECT_WITHOUT_TOKEN: 'true',
    AETHER_CHANNEL_WITHOUT_NAMESPACE_ALLOW_SUBSCRIBE_FOR_ANONYMOUS: 'true',
    AETHER_CLIENT_TOKEN_ROLE_CLAIM: 'role',
  });
});
afterEach(() => hub.untilEmpty());
after(() => hub.stop());

/** Runs an example against this hub and returns what it made. */
async function run(example, made, scope) {
  const here = example.replaceAll('http://localhost:8000', hub.http).replace(/^import .*$/m, '');
  return new AsyncFunction(...Object.keys(scope), `${here}; return ${made};`)(...Object.values(scope));
}

for (const [blocked, expected] of [[[], 'websocket'], [['websocket'], 'http_stream'], [['websocket', 'http_stream'], 'sse']]) {
  test(`with ${blocked.join(' and ') || 'nothing'} blocked the SDK connects by ${expected}`, { timeout: 45_000 }, async () => {
    const seen = [];
    const example = blocked.reduce((text, name) => text.replace(`/connection/${name}`, `/connection/blocked_${name}`), examples('js')[0]);
    const scope = { Centrifuge, getToken: async () => token({ sub: '42' }), show: (data) => seen.push(data) };
    const client = await run(example, 'client', scope);
    let transport;
    client.on('connected', (context) => (transport = context.transport));
    const news = Object.values(client.subscriptions())[0];
    await news.ready(20_000);
    assert.equal(transport, expected);
    await hub.api('publish', { channel: 'news', data: { a: 1 } });
    await eventually('the publication', () => seen.length === 1);
    await news.publish({ a: 2 });
    await eventually('its own publication', () => seen.length === 2);
    assert.deepEqual(seen, [{ a: 1 }, { a: 2 }]);
    client.disconnect();
  });
}

test('an EventSource listens', { timeout: 45_000 }, async () => {
  const seen = [];
  const source = await run(examples('js')[1], 'source', { EventSource, show: (push) => seen.push(push) });
  await eventually('the connect push', () => seen.some((push) => push.connect));
  await hub.api('publish', { channel: 'news', data: { a: 1 } });
  await eventually('the publication', () => seen.some((push) => push.pub));
  assert.deepEqual(seen.find((push) => push.pub), { channel: 'news', pub: { data: { a: 1 } } });
  source.close();
});

/** Runs a command of the page; the lines that it prints. */
function listen(t, command) {
  const env = { ...process.env, TOKEN: token({ sub: 'watcher', role: 'viewer', exp: inSeconds(600) }) };
  const child = spawn('sh', ['-c', `exec ${command.replaceAll('http://localhost:8000', hub.http)}`], { stdio: ['ignore', 'pipe', 'ignore'], env });
  t.after(() => child.kill());
  const seen = [];
  createInterface({ input: child.stdout }).on('line', (line) => line && seen.push(JSON.parse(line.replace(/^data: /, ''))));
  return seen;
}

const isOfOurs = (command) => command.includes('$metrics:');

for (const command of examples('sh').filter((command) => !isOfOurs(command))) {
  test(command.trim(), { timeout: 45_000 }, async (t) => {
    const seen = listen(t, command);
    await eventually('the connect push', () => seen.length === 1);
    await hub.api('publish', { channel: 'news', data: { a: 1 } });
    await eventually('the publication', () => seen.length === 2);
    assert.deepEqual(seen[1], { channel: 'news', pub: { data: { a: 1 } } });
  });
}

for (const command of examples('sh').filter(isOfOurs)) {
  test(command.trim(), { timeout: 45_000 }, async (t) => {
    const seen = listen(t, command);
    const { channel, pub } = await eventually('a publication', () => seen.find((push) => push.pub));
    assert.equal(channel, '$metrics:overview');
    assert.equal(typeof pub.data.at, 'number');
    assert.ok(Object.hasOwn(seen[0].connect.subs, channel), JSON.stringify(seen[0]));
  });
}
