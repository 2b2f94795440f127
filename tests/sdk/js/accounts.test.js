// The official JavaScript SDK as somebody uses it who has signed in: its getToken asks the hub by the cookie, for as long as the page is open.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';
import { eventually, Hub } from './hub.js';

const PASSWORD = 'correct horse battery';
const REFRESHES = 50;
const RECONNECTS = 20;

/** What a browser does with the hub's cookie. */
class Browser {
  constructor(hub) {
    this.hub = hub;
    this.tokens = 0;
  }

  async post(path, body) {
    const headers = { 'Content-Type': 'application/json', Connection: 'close' };
    if (this.cookie) headers.Cookie = this.cookie;
    const answer = await fetch(`${this.hub.http}/auth/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    for (const cookie of answer.headers.getSetCookie()) this.cookie = cookie.split(';')[0];
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    return answer.status === 204 ? {} : answer.json();
  }

  login = () => this.post('login', { name: 'alice', password: PASSWORD });

  getToken = async () => {
    this.tokens += 1;
    return (await this.post('token', {})).token;
  };
}

let hub;
before(async () => {
  // A token is good for a second, so that a minute brings as many refreshes as half a day.
  hub = await Hub.start({
    AETHER_ACCOUNTS_TOKEN_TTL: '1s',
    AETHER_ACCOUNTS_PASSWORD_MEMORY: '64KiB',
    AETHER_ACCOUNTS_PASSWORD_ITERATIONS: '1',
  });
  hub.command(['user', 'add', 'alice'], `${PASSWORD}\n`);
});
after(() => hub.stop());

test(`${REFRESHES} refreshes and ${RECONNECTS} reconnects lose nothing`, { timeout: 180_000 }, async () => {
  const browser = new Browser(hub);
  await browser.login();
  const client = new Centrifuge(hub.websocket, { websocket: WebSocket, getToken: browser.getToken, minReconnectDelay: 20, maxReconnectDelay: 200 });
  const errors = [];
  const ends = [];
  let connects = 0;
  client.on('error', ({ error }) => errors.push(error.message));
  client.on('connected', () => (connects += 1));
  client.on('disconnected', ({ code, reason }) => ends.push(`${code} ${reason}`));
  const sub = client.newSubscription('news:ticker');
  const seen = [];
  const unrecovered = [];
  sub.on('publication', ({ data }) => seen.push(data));
  sub.on('subscribed', ({ wasRecovering, recovered }) => wasRecovering && !recovered && unrecovered.push(seen.length));
  sub.subscribe();
  client.connect();
  await client.ready(10_000);
  await sub.ready(10_000);

  let published = 0;
  let goesOn = true;
  const publishing = (async () => {
    while (goesOn) {
      await hub.api('publish', { channel: 'news:ticker', data: published });
      published += 1;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  })();

  for (let cuts = 0; cuts < RECONNECTS; cuts += 1) {
    const before = { tokens: browser.tokens, connects };
    await eventually('another token', () => browser.tokens > before.tokens);
    await eventually('being connected', () => client.state === 'connected');
    // Under the SDK's feet, without a close frame.
    client._transport._transport.terminate();
    await eventually('another connection', () => connects > before.connects && client.state === 'connected');
  }
  while (browser.tokens < REFRESHES + 1) {
    const before = browser.tokens;
    await eventually('another token', () => browser.tokens > before);
  }
  goesOn = false;
  await publishing;
  await eventually('the last publication', () => seen.length >= published);
  assert.deepEqual(seen, Array.from({ length: published }, (_, number) => number), 'each once, in order');
  assert.deepEqual(unrecovered, []);
  assert.deepEqual(ends, [], 'it was never sent away');
  assert.ok(connects > RECONNECTS && published > 500, `${connects} connections, ${published} publications`);
  client.disconnect();
  await hub.untilEmpty();
});

test('signing out ends the connection for good, and getToken has no other', { timeout: 45_000 }, async () => {
  const browser = new Browser(hub);
  await browser.login();
  const client = new Centrifuge(hub.websocket, { websocket: WebSocket, getToken: browser.getToken, minReconnectDelay: 20 });
  const ended = new Promise((resolve) => client.on('disconnected', resolve));
  client.connect();
  await client.ready(10_000);
  await browser.post('logout', {});
  assert.equal((await ended).code, 3500);
  await assert.rejects(browser.getToken(), /signed_out/);
  await hub.untilEmpty();
});
