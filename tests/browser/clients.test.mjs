// The pages of docs/clients.md in Chromium, behind a real nginx that does not pass WebSocket on: they fall back, come back, and miss nothing.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, startNginx } from '../peers/nginx.mjs';
import { eventually, launch, open } from './support/browser.mjs';
import { startHub } from './support/hub.mjs';
import { layWire } from './support/wire.mjs';

const docs = readFileSync(fileURLToPath(new URL('../../docs/clients.md', import.meta.url)), 'utf8');
const [withSdk, withEventSource] = [...docs.matchAll(/```html\n(.*?)```/gs)].map(([, text]) => text);
const SDK = fileURLToPath(new URL('../../static/node_modules/centrifuge/dist/centrifuge.js', import.meta.url));
const NAMESPACE = { name: 'news', allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true, history_size: 100, history_ttl: '10m', force_recovery: true };

let browser;
let hub;
before(async () => {
  [browser, hub] = await Promise.all([
    launch(),
    startHub({
      AETHER_HTTP_STREAM_ENABLED: 'true',
      AETHER_SSE_ENABLED: 'true',
      AETHER_MERCURE_ENABLED: 'true',
      AETHER_MERCURE_ANONYMOUS: 'true',
      AETHER_CLIENT_ALLOW_ANONYMOUS_CONNECT_WITHOUT_TOKEN: 'true',
      AETHER_CLIENT_PING_INTERVAL: '2s',
      AETHER_CLIENT_PONG_TIMEOUT: '1s',
      AETHER_CHANNEL_NAMESPACES: JSON.stringify([NAMESPACE]),
    }),
  ]);
});
after(async () => {
  await browser?.close();
  await hub?.end('SIGTERM');
});

/** nginx with the pages beside the hub. It knows no upgrade; `more` are further faults. */
async function proxied(t, more = '') {
  const port = await freePort();
  const http = (root) => `server {
    listen 127.0.0.1:${port};
    root ${root};
    ${more}
    location ~ ^/(connection|emulation|.well-known) { proxy_pass ${hub.url}; proxy_set_header Host $http_host; }
  }`;
  const nginx = await startNginx(port, http, { 'sdk.html': withSdk, 'plain.html': withEventSource });
  t.after(() => nginx.end());
  const wire = await layWire(port);
  t.after(() => wire.remove());
  return wire;
}

const metrics = async () => (await fetch(`${hub.url}/metrics`)).text();

/** Connections by transport since the start of the hub. */
async function opened(transport) {
  const lines = (await metrics()).split('\n').filter((line) => line.startsWith('aether_sessions_opened_total') && line.includes(`transport="${transport}"`));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

const gauge = async (name) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await metrics())?.[1] ?? Number.NaN);
const shown = (view) => view.page.locator('#news li').allInnerTexts();
const publish = (title) => hub.publish('news:world', { data: { title } });

async function listensOverACut(view, wire, listeners) {
  await eventually('a listener', async () => (await listeners()) === 1);
  await publish('one');
  await eventually('the first', async () => (await shown(view)).length === 1);
  wire.cut();
  await eventually('its end', async () => (await listeners()) === 0);
  await publish('while it was away');
  wire.mend();
  await eventually('what it missed', async () => (await shown(view)).length === 2, 30_000);
  await publish('three');
  await eventually('what is live', async () => (await shown(view)).length === 3);
  assert.deepEqual(await shown(view), ['one', 'while it was away', 'three']);
}

const faults = /WebSocket connection|Failed to load resource|net::ERR/;
for (const [blocked, transport] of [
  ['', 'http_stream'],
  ['location = /connection/http_stream { return 403; }', 'sse'],
])
  test(`the page with the SDK falls back to ${transport} behind nginx without upgrade`, { timeout: 90_000 }, async (t) => {
    const wire = await proxied(t, blocked);
    const before = await opened(transport);
    const prepare = (page) => page.route('https://unpkg.com/**', (route) => route.fulfill({ path: SDK, contentType: 'text/javascript' }));
    const view = await open(t, browser, `${wire.url}/sdk.html`, { expected: [faults], prepare });
    await listensOverACut(view, wire, () => gauge('aether_subscriptions'));
    assert.ok((await opened(transport)) > before, `by ${transport}`);
    view.assertQuiet();
    await view.close();
    await eventually('nobody is left', async () => (await gauge('aether_sessions')) === 0);
  });

test('the page without a library comes back by itself behind nginx', { timeout: 90_000 }, async (t) => {
  const wire = await proxied(t);
  const view = await open(t, browser, `${wire.url}/plain.html`, { expected: [faults] });
  await listensOverACut(view, wire, () => gauge('aether_mercure_subscribers_connected'));
  view.assertQuiet();
  await view.close();
  await eventually('nobody is left', async () => (await gauge('aether_mercure_subscribers_connected')) === 0);
});
