// The connection test at the real hub: with every way open, behind proxies that break some, and at hubs that do not offer or allow them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, launch, open } from './support/browser.mjs';
import { startHub } from './support/hub.mjs';
import { assertClean, assertNoSidewaysScroll } from './support/looks.mjs';
import { startProxy } from './support/proxy.mjs';

const PATH = '/connection-test';
const ALL = ['websocketJson', 'websocketProtobuf', 'httpStream', 'sse', 'uniSse', 'mercure'];
// One way may take its ten seconds, and the question why four more.
const DEADLINE_MS = 100_000;

const OPEN = {
  AETHER_HTTP_STREAM_ENABLED: 'true',
  AETHER_SSE_ENABLED: 'true',
  AETHER_UNI_SSE_ENABLED: 'true',
  AETHER_MERCURE_ENABLED: 'true',
  AETHER_MERCURE_ANONYMOUS: 'true',
  AETHER_MERCURE_PUBLISHER_KEY: 'a-secret-of-publishers-in-these-tests',
  AETHER_MERCURE_SUBSCRIBER_KEY: 'a-secret-of-subscribers-in-these-tests',
};

let browser;
let hub;

before(async () => {
  [browser, hub] = await Promise.all([launch(), startHub(OPEN)]);
});

after(async () => {
  await browser?.close();
  await hub?.end('SIGTERM');
});

async function started(t, settings) {
  const one = await startHub(settings);
  t.after(() => one.end('SIGTERM'));
  return one;
}

async function proxied(t, options) {
  const proxy = await startProxy(hub.port, options);
  t.after(() => proxy.end());
  return proxy;
}

const states = (view) =>
  view.page.evaluate(() => Object.fromEntries([...document.querySelectorAll('[data-way]')].map(({ dataset }) => [dataset.way, dataset.state])));
const row = (view, way) => view.text(`[data-way="${way}"]`);

/** Waits for the end of the run. */
async function ended(view) {
  await eventually('the end of the run', async () => (await view.page.getByRole('button', { name: /Test again|Erneut testen/ }).count()) === 1, DEADLINE_MS);
  return states(view);
}

const every = (state) => Object.fromEntries(ALL.map((way) => [way, state]));

for (const theme of ['dark', 'light'])
  for (const [width, height] of [
    [390, 844],
    [1440, 900],
  ])
    test(`every way works where every way is open, at ${width} in the ${theme} theme`, async (t) => {
      const view = await open(t, browser, hub.url + PATH, { width, height, theme });
      assert.deepEqual(await ended(view), every('works'));
      assert.match(await view.text('.test-verdict'), /^WebSocket works from here/);
      for (const way of ALL.slice(0, 4)) {
        const figures = await view.page.locator(`[data-way="${way}"] .test-figure`).allInnerTexts();
        assert.ok(figures.every((figure) => /\d\s?ms$/.test(figure)), `${way}: ${JSON.stringify(figures)}`);
      }
      await assertClean(view);
      await assertNoSidewaysScroll(view);
      await view.assertStill();
      await view.shoot(`connection-test-${theme}-${width}`, { fullPage: true });
      view.assertQuiet();
    });

test('nothing of a test stays at the hub', async (t) => {
  const view = await open(t, browser, hub.url + PATH);
  await ended(view);
  const metric = async () => /^aether_sessions\{?[^\n]* (\d+)$/m.exec(await (await fetch(`${hub.url}/metrics`)).text())?.[1];
  await eventually('no session is left', async () => (await metric()) === '0');
});

test('a proxy that knows no WebSocket is found, and what to do instead', async (t) => {
  const proxy = await proxied(t);
  const view = await open(t, browser, proxy.url + PATH, { width: 390, height: 844, expected: [/WebSocket connection|Failed to load resource.*400/] });
  assert.deepEqual(await ended(view), { ...every('works'), websocketJson: 'blocked', websocketProtobuf: 'blocked' });
  assert.match(await view.text('.test-verdict'), /WebSocket does not get through, HTTP stream does/);
  assert.match(await row(view, 'websocketJson'), /The hub answers plain requests at this address/);
  await assertClean(view);
  await assertNoSidewaysScroll(view);
  await view.shoot('connection-test-no-websocket-390', { fullPage: true });
});

test('a proxy that holds streams back is found', async (t) => {
  const proxy = await proxied(t, { buffers: true });
  const view = await open(t, browser, proxy.url + PATH, { locale: 'de-DE', theme: 'light', expected: [/WebSocket connection|Failed to load resource/] });
  assert.deepEqual(await ended(view), every('blocked'));
  assert.match(await row(view, 'sse'), /Die Antwort begann, aber in 10\ss kam keine Nachricht: Ein Proxy/);
  assert.match(await view.text('.test-verdict'), /^Von hier aus geht kein Weg/);
  await assertClean(view);
  await view.shoot('connection-test-held-1440-de', { fullPage: true });
});

test('a proxy that passes messages on late is found', async (t) => {
  const proxy = await proxied(t, { delayMs: 1_500 });
  const view = await open(t, browser, proxy.url + PATH, { expected: [/WebSocket connection|Failed to load resource/] });
  const { sse, uniSse, httpStream } = await ended(view);
  assert.deepEqual([httpStream, sse, uniSse], ['late', 'late', 'late']);
  assert.match(await row(view, 'uniSse'), /The first message came 1\.\d\ss after the answer had begun/);
});

test('a hub tells which ways are off, and how they are switched on', async (t) => {
  const settings = { AETHER_WEBSOCKET_DISABLED: 'true', AETHER_HTTP_STREAM_ENABLED: 'false', AETHER_UNI_SSE_ENABLED: 'false', AETHER_MERCURE_ENABLED: 'false' };
  const quiet = await started(t, { ...settings, AETHER_SSE_ENABLED: 'true' });
  const view = await open(t, browser, quiet.url + PATH, { theme: 'light' });
  assert.deepEqual(await ended(view), { ...every('off'), sse: 'works' });
  assert.match(await row(view, 'mercure'), /To switch it on: mercure\.enabled = true/);
  assert.match(await view.text('.test-verdict'), /WebSocket is off in the configuration, SSE with commands works/);
  view.assertQuiet();
  await view.shoot('connection-test-off-1440', { fullPage: true });
});

test('an origin that may not connect is told so', async (t) => {
  const strict = await started(t, { ...OPEN, AETHER_CLIENT_ALLOWED_ORIGINS: 'https://elsewhere.example' });
  const view = await open(t, browser, strict.url + PATH, { expected: [/WebSocket connection|Failed to load resource.*403/] });
  const { websocketJson, httpStream } = await ended(view);
  assert.deepEqual([websocketJson, httpStream], ['blocked', 'blocked']);
  for (const way of ['websocketJson', 'httpStream']) assert.match(await row(view, way), /Refused with status 403, from http:\/\/127\.0\.0\.1:\d+: this origin may not connect/);
});

test('a hub that wants a token is reached all the same', async (t) => {
  const closed = await started(t, {
    ...OPEN,
    AETHER_CLIENT_ALLOW_ANONYMOUS_CONNECT_WITHOUT_TOKEN: 'false',
    AETHER_CLIENT_INSECURE: 'false',
    AETHER_MERCURE_ANONYMOUS: 'false',
  });
  const view = await open(t, browser, closed.url + PATH, { expected: [/Failed to load resource.*401/] });
  assert.deepEqual(await ended(view), every('guarded'));
  assert.match(await row(view, 'websocketJson'), /the hub itself answered, with code 3501/);
  assert.match(await row(view, 'mercure'), /with code 401/);
});

test('the test is found, stopped, begun again, copied, and all that by keyboard', async (t) => {
  const view = await open(t, browser, hub.url);
  await view.page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await view.page.getByRole('link', { name: 'Test it: Connection test' }).click();
  await eventually('the page', async () => (await view.page.title()) === 'Connection test · Aether');
  assert.deepEqual(await ended(view), every('works'));
  const tabTo = async (name) => {
    for (let n = 0; n < 12; n += 1) {
      if ((await view.page.evaluate(() => document.activeElement?.textContent)) === name) return;
      await view.page.keyboard.press('Tab');
    }
    assert.fail(`Tab does not lead to ${name}`);
  };
  await tabTo('Copy as text');
  await view.page.keyboard.press('Enter');
  await eventually('copied', async () => /Copied/.test(await view.text('.test-foot')));
  const text = await view.page.evaluate(() => navigator.clipboard.readText());
  assert.match(text, /^Connection test of http:\/\/127\.0\.0\.1:\d+, \d{4}-/);
  assert.equal(text.match(/: Works, Open/g)?.length, ALL.length);
  // The answer that the run waits for does not come.
  await view.page.route('**/connection/http_stream', () => {});
  await tabTo('Test again');
  await view.page.keyboard.press('Enter');
  await eventually('it hangs', async () => (await states(view)).httpStream === 'testing');
  await view.page.getByRole('button', { name: 'Stop' }).click();
  const stopped = await ended(view);
  assert.deepEqual([stopped.websocketJson, stopped.httpStream, stopped.mercure], ['works', 'stopped', 'stopped']);
  assert.match(await view.text('.test-verdict'), /was stopped/);
});

test('a network that changed makes results old, and a hub that is gone is said', async (t) => {
  const view = await open(t, browser, hub.url + PATH, { width: 390, height: 844, theme: 'light', expected: [/503|ERR_|Failed to load/] });
  await ended(view);
  await view.page.context().setOffline(true);
  await eventually('old', async () => /^These results are from \d\d:\d\d:\d\d/.test(await view.text('.problem')));
  await assertClean(view);
  await view.shoot('connection-test-old-390', { fullPage: true });
  await view.page.getByRole('button', { name: 'Test again' }).click();
  await eventually('gone', async () => /The hub does not answer\. Without it nothing can be tested/.test(await view.text('.problem')));
  await assertClean(view);
  await view.shoot('connection-test-gone-390', { fullPage: true });
  await view.page.context().setOffline(false);
  await view.page.getByRole('button', { name: 'Try again' }).click();
  assert.deepEqual(await ended(view), every('works'));
});

test('a hub without any way in says so', async (t) => {
  const view = await open(t, browser, hub.url + PATH, { expected: [] });
  await ended(view);
  await view.page.route('**/page.json', (route) => route.fulfill({ json: { live: true, websocket: null, auth: null, transports: {} } }));
  await view.page.getByRole('button', { name: 'Test again' }).click();
  await eventually('empty', async () => /There is no way in/.test(await view.text('.test-panel')));
  await assertClean(view);
});
