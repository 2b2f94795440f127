// The browser's own EventSource at the Mercure hub: it comes back by itself after the network was gone, and misses nothing.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { eventually, launch, open } from './support/browser.mjs';
import { startHub } from './support/hub.mjs';
import { layWire } from './support/wire.mjs';

const KEY = 'a-secret-of-publishers-in-these-tests';
const PATH = '/.well-known/mercure';

let browser;
let hub;
let wire;

before(async () => {
  const settings = {
    AETHER_MERCURE_ENABLED: 'true',
    AETHER_MERCURE_ANONYMOUS: 'true',
    AETHER_MERCURE_PUBLISHER_KEY: KEY,
    AETHER_MERCURE_SUBSCRIBER_KEY: KEY,
  };
  [browser, hub] = await Promise.all([launch(), startHub(settings)]);
  wire = await layWire(hub.port);
});

after(async () => {
  await browser?.close();
  await wire?.remove();
  await hub?.end('SIGTERM');
});

function token(claims) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const message = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${message}.${createHmac('sha256', KEY).update(message).digest('base64url')}`;
}

/** Straight to the hub, whatever becomes of the browser's wire. */
async function publish(fields) {
  const response = await fetch(`${hub.url}${PATH}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token({ mercure: { publish: ['*'] } })}` },
    body: new URLSearchParams(fields),
  });
  assert.equal(response.status, 200, await response.clone().text());
  return response.text();
}

/** Listens in the page; what comes is kept in `window.seen`. */
const listen = (view, query, types = ['message']) =>
  view.page.evaluate(
    ([path, query, types]) => {
      window.seen = [];
      window.opened = 0;
      window.source = new EventSource(`${path}?${query}`);
      window.source.onopen = () => (window.opened += 1);
      for (const type of types) window.source.addEventListener(type, ({ data, lastEventId }) => window.seen.push([type, data, lastEventId]));
    },
    [PATH, query, types],
  );

const seen = (view) => view.page.evaluate(() => window.seen.map(([, data]) => data));
const opened = (view, count) => eventually(`opened ${count} times`, async () => (await view.page.evaluate(() => window.opened)) >= count, 30_000);
const sees = (view, expected) => eventually(JSON.stringify(expected), async () => JSON.stringify(await seen(view)) === JSON.stringify(expected));

const NETWORK = [/ERR_(CONNECTION|EMPTY_RESPONSE|INCOMPLETE_CHUNKED|NETWORK)/, /Failed to load resource/];

test('what was published while the network was gone comes when it is back', async (t) => {
  const view = await open(t, browser, wire.url, { expected: NETWORK });
  await listen(view, 'topic=https://example.com/books/{id}');
  await opened(view, 1);
  await publish({ topic: 'https://example.com/books/1', data: 'one\nof two lines' });
  await sees(view, ['one\nof two lines']);
  wire.cut();
  for (const data of ['two', 'three']) await publish({ topic: 'https://example.com/books/2', data });
  await publish({ topic: 'https://example.com/authors/1', data: 'of no interest' });
  wire.mend();
  await opened(view, 2);
  await publish({ topic: 'https://example.com/books/3', data: 'four' });
  await sees(view, ['one\nof two lines', 'two', 'three', 'four']);
});

test('types are events of their own, and retry is obeyed', async (t) => {
  const view = await open(t, browser, wire.url, { expected: NETWORK });
  await listen(view, 'topic=types', ['message', 'tick']);
  await opened(view, 1);
  await publish({ topic: 'types', data: '1', type: 'tick', id: 'urn:example:1', retry: '100' });
  await sees(view, ['1']);
  assert.deepEqual(await view.page.evaluate(() => window.seen[0]), ['tick', '1', 'urn:example:1']);
  const before = Date.now();
  wire.cut();
  wire.mend();
  await opened(view, 2);
  assert.ok(Date.now() - before < 2_500, 'the browser waits three seconds by itself');
});

test('a cookie shows private updates', async (t) => {
  const stranger = await open(t, browser, wire.url);
  await listen(stranger, 'topic=secret');
  await opened(stranger, 1);
  const known = await open(t, browser, wire.url);
  await known.page.context().addCookies([{ name: 'mercureAuthorization', value: token({ mercure: { subscribe: ['secret'] } }), url: wire.url }]);
  await listen(known, 'topic=secret');
  await opened(known, 1);
  await publish({ topic: 'secret', data: 'private', private: 'on' });
  await publish({ topic: 'secret', data: 'public' });
  await sees(known, ['private', 'public']);
  await sees(stranger, ['public']);
});

test('a source that may not come in fails for good', async (t) => {
  const view = await open(t, browser, wire.url, { expected: [/401/] });
  await view.page.context().addCookies([{ name: 'mercureAuthorization', value: 'not.a.token', url: wire.url }]);
  await listen(view, 'topic=secret');
  await eventually('closed', () => view.page.evaluate(() => window.source.readyState === EventSource.CLOSED));
});
