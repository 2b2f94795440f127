// What a person would try on the Live page, tried on the real hub in a real browser.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, launch, number, open } from './support/browser.mjs';
import { startHub } from './support/hub.mjs';
import { layWire } from './support/wire.mjs';

let browser;
let hub;
let wire;

before(async () => {
  [browser, hub] = await Promise.all([launch(), startHub()]);
  wire = await layWire(hub.port);
});

after(async () => {
  await browser?.close();
  await wire?.remove();
  await hub?.end('SIGTERM');
});

const received = (view) => view.text('.legend b').then(number);
const connected = (view) => eventually('connected', async () => /^Connected by WebSocket/.test(await view.text('.status-mark')));

test('the page connects, and the curve is alive', async (t) => {
  const view = await open(t, browser, wire.url);
  await connected(view);
  const first = await eventually('the first measurements', () => received(view));
  await eventually('more of them', async () => (await received(view)) > first + 5);
  assert.equal(number(await view.text('.legend span:nth-child(2) b')), 0, 'lost');
  await eventually('the figure', async () => /^\d+\.\d$/.test(await view.text('.figure-value')));
  await eventually('a delay', async () => /ms$/.test(await view.text('.pulse-delay')));
  await eventually('the host’s figures', async () => /Memory\s.+\sof\s.+\sNetwork\s.+\sDisk\s.+/.test(await view.text('.host-figures')));
  const painted = await view.page.evaluate(() => {
    const canvas = document.querySelector('.plot canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0);
  });
  assert.ok(painted, 'nothing is painted');
  await view.assertStill();
  view.assertQuiet();
});

test('a strict policy stands over the page, and everything it loads is its own', async (t) => {
  const view = await open(t, browser, wire.url);
  const policy = view.response.headers()['content-security-policy'] ?? '';
  assert.match(policy, /default-src '(?:none|self)'/);
  assert.match(policy, /script-src 'self'(?:;|$)/);
  assert.doesNotMatch(policy, /unsafe-/);
  await connected(view);
  const foreign = await view.page.evaluate(() =>
    performance.getEntriesByType('resource').filter(({ name }) => !name.startsWith(`${location.origin}/`)).map(({ name }) => name),
  );
  assert.deepEqual(foreign, []);
  assert.equal(await view.page.evaluate(() => document.fonts.check('13px "Inter Variable"')), true);
  view.assertQuiet();
});

test('what one tab says the other hears, and both count each other', async (t) => {
  const [alice, bob] = await Promise.all([open(t, browser, wire.url), open(t, browser, wire.url, { theme: 'light' })]);
  await Promise.all([connected(alice), connected(bob)]);
  await eventually('two tabs', async () => /^2 tabs/.test(await alice.text('.trip-stop:last-child')));
  await alice.page.fill('.say-form input', 'hello from alice');
  await alice.page.keyboard.press('Enter');
  await eventually('the message in the other tab', async () => /hello from alice/.test(await bob.text('.say-log')));
  await eventually('its round trip', async () => /ms$/.test(await alice.text('.trip-stop:last-child b')));
  assert.match(await alice.text('.trip-stop:nth-child(3) b'), /ms$/);
  assert.equal(await alice.page.inputValue('.say-form input'), '');
  await bob.close();
  await eventually('one tab', async () => /^1 tab$/m.test(await alice.text('.trip-stop:last-child')));
  alice.assertQuiet();
});

test('who comes later sees what was said before', async (t) => {
  const alice = await open(t, browser, wire.url);
  await connected(alice);
  await alice.page.fill('.say-form input', 'said before bob came');
  await alice.page.keyboard.press('Enter');
  await eventually('it is said', async () => /said before bob came/.test(await alice.text('.say-log')));
  const bob = await open(t, browser, wire.url);
  await eventually('bob reads it', async () => /said before bob came/.test(await bob.text('.say-log')));
});

test('the list names the channels that live, and a channel can be looked into', async (t) => {
  const view = await open(t, browser, wire.url);
  await eventually('the feed’s channel', async () => /demo:pulse\s+\d+\s+\d/.test(await view.text('.channels-body')));
  await view.page.click('.channels-body a:has-text("demo:host")');
  assert.equal(new URL(view.page.url()).searchParams.get('channel'), 'demo:host');
  await eventually('its messages', async () => /"memory"/.test(await view.text('.messages-body')));
  await eventually('its offset', async () => number(await view.text('.messages-figures div:nth-child(2) b')) > 0);
  await eventually('this tab is here', async () => /this tab/.test(await view.text('.here')));
  await view.page.goBack();
  await eventually('back at the feed', async () => /"cpu"/.test(await view.text('.messages-body')));
  await view.page.fill('.search input', 'no such channel');
  assert.match(await view.text('.channels'), /No channel matches “no such channel”/);
  await view.page.click('text=Clear search');
  assert.match(await view.text('.channels-body'), /demo:pulse/);
  view.assertQuiet();
});

test('the list can be paused by the space bar, and a message unfolded by the keyboard', async (t) => {
  const view = await open(t, browser, `${wire.url}/?channel=demo:pulse`);
  await eventually('messages', async () => (await view.page.locator('.messages-body [data-message]').count()) > 5);
  await view.page.hover('.messages-body');
  await view.page.keyboard.press('Space');
  await eventually('paused', async () => /^Paused at .+ [1-9]\d* new$/.test(await view.text('.messages-line')));
  const top = await view.text('.messages-body [data-message]');
  await view.page.focus('.messages-body [data-message][tabindex="0"]');
  await view.page.keyboard.press('ArrowDown');
  await view.page.keyboard.press('Enter');
  assert.match(await view.text('.message-full pre'), /^\{\n {2}"cpu": [\d.]+,/);
  assert.equal(await view.text('.messages-body [data-message]'), top, 'the list moved while paused');
  await view.page.keyboard.press('Escape');
  assert.equal(await view.page.locator('.message-full').count(), 0);
  await view.page.keyboard.press('Space');
  await eventually('it goes on', async () => (await view.text('.messages-body [data-message]')) !== top);
  view.assertQuiet();
});

test('after a cut the page says so, comes back by itself, and nothing is lost', async (t) => {
  const view = await open(t, browser, wire.url, { expected: [/WebSocket connection|ERR_|Failed to load/] });
  await connected(view);
  await eventually('measurements', async () => (await received(view)) > 5);
  wire.cut();
  await eventually('the loss is noticed', async () => /Reconnecting/.test(await view.text('.status-mark')));
  await eventually('the bar says how old it is and when it tries', async () =>
    /Last update \d+\ss ago\. Reconnecting, next try in \d+\ss\. What you see is from \d\d:\d\d:\d\d\./.test(await view.text('.status-bar')),
  );
  await view.shoot('reconnecting');
  assert.equal(await view.page.locator('.say-form button').isDisabled(), true);
  wire.mend();
  await eventually('what came back', async () => /Connected again\. [\d\s]+ messages recovered\./.test(await view.text('.journal-list')), 40_000);
  await view.shoot('recovered');
  assert.equal(number(await view.text('.legend span:nth-child(2) b')), 0, 'lost');
  assert.match(await view.text('.messages-body'), /Recovered \d+ messages/);
  assert.match(await view.text('.journal-list'), /Connection lost/);
  await view.assertStill();
  view.assertQuiet();
});

test('the next try can be made at once', async (t) => {
  const view = await open(t, browser, wire.url, { expected: [/WebSocket connection|ERR_|Failed to load/] });
  await connected(view);
  wire.cut();
  await eventually('a wait of many seconds', async () => Number(/next try in (\d+)/.exec(await view.text('.status-bar'))?.[1]) >= 7, 90_000);
  wire.mend();
  await view.page.click('text=Try now');
  await eventually('connected, long before the wait is over', async () => /^Connected/.test(await view.text('.status-mark')), 6_000);
});

test('a hub that is killed and started anew is found again, and the page does not pretend that nothing happened', async (t) => {
  const view = await open(t, browser, wire.url, { expected: [/WebSocket connection|ERR_|Failed to load/] });
  await connected(view);
  await eventually('measurements', async () => (await received(view)) > 5);
  await hub.end('SIGKILL');
  await eventually('the loss is noticed', async () => /Reconnecting/.test(await view.text('.status-mark')));
  hub = await startHub();
  wire.mend(hub.port);
  await eventually('it is back', async () => /The hub began new histories/.test(await view.text('.journal-list')), 60_000);
  const then = await received(view);
  await eventually('the curve goes on', async () => (await received(view)) > then + 5);
});

test('a hub that is told to stop says goodbye', async (t) => {
  const view = await open(t, browser, wire.url, { expected: [/WebSocket connection|ERR_|Failed to load/] });
  await connected(view);
  await hub.end('SIGTERM');
  await eventually('the goodbye', async () => /The hub is restarting\. This page comes back by itself\./.test(await view.text('.status-bar')));
  await view.shoot('restarting');
  hub = await startHub();
  wire.mend(hub.port);
  await eventually('it is back', async () => /^Connected/.test(await view.text('.status-mark')), 60_000);
});

test('hostile names and payloads are only looked at', async (t) => {
  const channel = 'demo:<img src=x onerror="window.pwned=1">';
  const evil = '<script>window.pwned=1</script><img src=x onerror=window.pwned=1>';
  const view = await open(t, browser, `${wire.url}/?channel=${encodeURIComponent(channel)}`);
  await connected(view);
  await eventually('subscribed', async () => /this tab/.test(await view.text('.here')));
  await hub.publish(channel, { data: { text: evil, rtl: '\u202eevil' } });
  await eventually('shown as text', async () => (await view.text('.messages-body')).includes(evil));
  await view.page.click('.messages-body [data-message]');
  assert.match(await view.text('.message-full pre'), /⟨202E⟩evil/);
  await eventually('listed as text', async () => (await view.text('.channels-body')).includes('demo:<img src=x'));
  assert.equal(await view.page.locator('.messages img, .messages script, .channels img').count(), 0);
  await view.page.fill('.say-form input', `${evil}\u202e`);
  await view.page.keyboard.press('Enter');
  await eventually('said as text', async () => (await view.text('.say-log')).includes(`${evil}⟨202E⟩`));
  assert.equal(await view.page.evaluate(() => window.pwned), undefined);
  view.assertQuiet();
});

test('a name that no channel may have is refused in words, and shown with what is hidden in it', async (t) => {
  const view = await open(t, browser, `${wire.url}/?channel=${encodeURIComponent('demo:\u202egnp.exe')}`);
  await eventually('the refusal', async () => /This channel cannot be read\s+The hub says: the hub does not accept it\./.test(await view.text('.messages')));
  assert.match(await view.text('.messages h2'), /^demo:⟨202E⟩gnp\.exe$/);
  await view.page.click('.channels-body a:has-text("demo:pulse")');
  await eventually('another channel', async () => /"cpu"/.test(await view.text('.messages-body')));
  view.assertQuiet();
});

test('a channel of strangers stays closed', async (t) => {
  const view = await open(t, browser, `${wire.url}/?channel=private`);
  await eventually('the refusal', async () => /The hub says: you may not do that here\./.test(await view.text('.messages')));
  assert.match(await view.text('.here'), /You may not see who is here\./);
  view.assertQuiet();
});

test('binary messages are shown byte by byte, long ones in part', async (t) => {
  const view = await open(t, browser, `${wire.url}/?channel=demo:binary`);
  await connected(view);
  await eventually('subscribed', async () => /this tab/.test(await view.text('.here')));
  await hub.publish('demo:binary', { b64data: Buffer.concat([Buffer.from([0, 0xff, 0xfe]), Buffer.alloc(600, 0x41)]).toString('base64') });
  await eventually('its first bytes', async () => /00 ff fe 41/.test(await view.text('.messages-body')));
  await view.page.click('.messages-body [data-message]');
  assert.match(await view.text('.message-full'), /0000 {2}00 ff fe 41[\s\S]+binary, 603\sB[\s\S]+347 more not shown/);
  view.assertQuiet();
});

test('a flood is counted whole and shown in part', async (t) => {
  const view = await open(t, browser, `${wire.url}/?channel=demo:flood`);
  await connected(view);
  await eventually('subscribed', async () => /this tab/.test(await view.text('.here')));
  let isFlooding = true;
  const flood = (async () => {
    for (let n = 0; isFlooding; n += 1) await Promise.all(Array.from({ length: 20 }, (_, i) => hub.publish('demo:flood', { data: { n, i } })));
  })();
  await eventually('more than can be read', async () => /^12 of [\d\s]+\/s shown$/.test(await view.text('.messages-line')), 30_000);
  isFlooding = false;
  await flood;
  assert.ok((await view.page.locator('.messages-body [data-message]').count()) <= 201);
  view.assertQuiet();
});

test('German readers read German', async (t) => {
  const view = await open(t, browser, wire.url, { locale: 'de-DE', width: 390, height: 844 });
  await eventually('verbunden', async () => /^Verbunden über WebSocket/.test(await view.text('.status-mark')));
  assert.equal(await view.page.getAttribute('html', 'lang'), 'de-DE');
  assert.match(await view.text('h1'), /Ihr Hub läuft/);
  view.assertQuiet();
});

test('a chosen theme is kept, and stands before the first paint', async (t) => {
  const view = await open(t, browser, wire.url, { theme: 'light' });
  await connected(view);
  assert.equal(await view.page.getAttribute('html', 'data-theme'), 'light');
  await view.page.click('[aria-label="Switch theme"]');
  assert.equal(await view.page.getAttribute('html', 'data-theme'), 'dark');
  await view.page.reload({ waitUntil: 'commit' });
  assert.equal(await view.page.getAttribute('html', 'data-theme'), 'dark');
  view.assertQuiet();
});
