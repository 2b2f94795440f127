// The dashboard: each of its views on a real hub, what a role may not see, what a lost connection does, and lists that are long.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { eventually, launch } from './support/browser.mjs';
import { countsOf, loadAgain, PASSWORD, signIn } from './support/desk.mjs';
import { startHub } from './support/hub.mjs';
import { assertClean, assertLegible, assertNoSidewaysScroll } from './support/looks.mjs';
import { layWire } from './support/wire.mjs';

const HOSTILE = '<img src=x onerror=alert(1)>';
const VIEWS = ['overview', 'channels', 'sessions', 'upstreams', 'alerts', 'reports', 'audit', 'console', 'access', 'nodes', 'settings'];

let browser;
let hub;

before(async () => {
  [browser, hub] = await Promise.all([launch(), startHub()]);
  await hub.addUser('mara', PASSWORD, 'admin');
  await hub.addUser('vera', PASSWORD, 'viewer');
});

after(async () => {
  await browser?.close();
  await hub?.end('SIGTERM');
});

/** A browser that is signed in and shows a view. */
const signedIn = (t, path, { name = 'mara', on = hub.url, ...options } = {}) => signIn(t, browser, on, path, name, options);

/** Until nothing on the page is being read for the first time. */
const read = (view) => eventually('everything is read', async () => (await view.page.locator('.desk-page [aria-busy=true], .desk-page > .skeleton').count()) === 0);

// Both themes of a view are one visit: what they differ in are colours, so of the second one axe looks at these.
for (const [width, height] of [
  [390, 844],
  [820, 1180],
  [1440, 900],
])
  test(`every view is clean at ${width} in both themes`, async (t) => {
    const view = await signedIn(t, '/settings', { width, height, theme: 'dark' });
    for (const name of VIEWS) {
      await view.page.goto(`${hub.url}/${name}`);
      await eventually('the view', async () => (await view.page.locator(`.desk-page[data-view=${name}] .panel`).count()) > 0);
      await read(view);
      await assertClean(view);
      await assertNoSidewaysScroll(view);
      await view.shoot(`${name}-dark-${width}`);
      await view.page.emulateMedia({ colorScheme: 'light' });
      await eventually('light', async () => (await view.page.evaluate(() => document.documentElement.dataset.theme)) === 'light');
      await assertLegible(view);
      await view.shoot(`${name}-light-${width}`);
      await view.page.emulateMedia({ colorScheme: 'dark' });
    }
    view.assertQuiet();
  });

test('the views hold together at 320 px and in German, which is longer', async (t) => {
  const view = await signedIn(t, '/settings', { width: 320, height: 640, theme: 'light', locale: 'de-DE' });
  for (const name of VIEWS) {
    await view.page.goto(`${hub.url}/${name}`);
    await eventually('the view', async () => (await view.page.locator(`.desk-page[data-view=${name}] .panel`).count()) > 0);
    await read(view);
    await assertNoSidewaysScroll(view).catch((error) => assert.fail(`${name}: ${error.message}`));
  }
  assert.equal(await view.text('.desk-crumb h1'), 'Einstellungen');
  view.assertQuiet();
});

test('who may not see something is told which right it needs, and is offered nothing that would be refused', async (t) => {
  const view = await signedIn(t, '/audit', { name: 'vera' });
  await eventually('the right', async () => /It needs the right audit\.read\. Your role is viewer/.test(await view.text('.desk-page')));
  await assertClean(view);
  await view.page.goto(`${hub.url}/access`);
  await eventually('the right', async () => /It needs the right users\.read/.test(await view.text('.desk-page')));
  assert.ok(await view.page.locator('.tools .is-primary').isDisabled());
  await view.page.goto(`${hub.url}/upstreams/demo`);
  await eventually('the feed', async () => /demo/.test(await view.text('.head h2')));
  assert.ok(await view.page.locator('.head-actions .is-primary').isDisabled());
  view.assertQuiet();
});

test('a session is found by its name, looked into, traced and closed', async (t) => {
  // Another page, whose user is to be found.
  const guest = await signedIn(t, '/channels/demo%3Achat', { name: 'vera' });
  const view = await signedIn(t, '/sessions');
  await view.page.keyboard.press('/');
  await view.page.keyboard.type('vera');
  await eventually('the address carries the search', () => view.page.url().includes('q=vera'));
  await eventually('only vera', async () => (await view.page.locator('.table-scroll [role=row]').count()) === 1);
  await view.page.keyboard.press('Tab');
  await view.page.locator('.table-scroll [data-stop]').first().focus();
  await view.page.keyboard.press('Enter');
  await eventually('the details', async () => /vera/.test(await view.text('.detail h2')));
  await eventually('its channels', async () => /demo:chat/.test(await view.text('.detail')));
  await view.page.click('text=Start trace');
  await eventually('the trace runs', async () => /stops by itself in/.test(await view.text('.detail')));
  await assertClean(view);
  await view.shoot('session-detail-1440');
  await view.page.click('text=Kick…');
  await view.page.fill('#kick-reason', 'the lesson is over');
  await assertClean(view);
  await view.page.click('text=Kick session');
  await eventually('it is said', async () => /The session of vera is closed/.test(await view.text('.toasts')));
  await eventually('the page says that it was closed', async () => /^Your session ended/.test(await guest.text('.status-bar')));
  await eventually('the trace ended with it, or the session is shown as gone', async () => /It has left|This session is over/.test(await view.text('.detail')));
  view.assertQuiet();
});

test('thousands of sessions are one list: few rows in the document, any of them in reach, in the order that is asked for', { timeout: 180_000 }, async (t) => {
  // Ten thousand are reached by AETHER_MANY=10000, where the system allows as many descriptors.
  const COUNT = Number(process.env.AETHER_MANY ?? 2_000);
  const sockets = [];
  t.after(() => {
    for (const socket of sockets) socket.terminate();
  });
  const connect = (n) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`${hub.url.replace('http', 'ws')}/connection/websocket`);
      sockets.push(socket);
      socket.on('open', () => socket.send(JSON.stringify({ id: 1, connect: { name: `n${n}` } })));
      socket.on('message', (data) => (String(data) === '{}' ? socket.send('{}') : resolve()));
      socket.on('error', reject);
    });
  for (let n = 0; n < COUNT; n += 100) await Promise.all(Array.from({ length: 100 }, (_, at) => connect(n + at)));
  const view = await signedIn(t, '/sessions?sort=user');
  await eventually('all of them', async () => Number((await view.text('.filter b')).replace(/\D/g, '')) > COUNT);
  const rows = await view.page.locator('.table-scroll [role=row]').count();
  assert.ok(rows < 80, `${rows} rows are in the document`);
  assert.equal(Number(await view.page.locator('[role=table]').getAttribute('aria-rowcount')), Number((await view.text('.filter b')).replace(/\D/g, '')) + 1);
  await view.page.locator('.table-scroll [data-stop]').first().focus();
  const began = Date.now();
  await view.page.keyboard.press('End');
  // The names come last, behind all who have none.
  await eventually('the last row', async () => /mara/.test(await view.page.locator('.table-scroll').innerText()));
  t.diagnostic(`the end of ${COUNT} sessions was there after ${Date.now() - began} ms`);
  await eventually('the focus is there', async () => /mara/.test(await view.page.evaluate(() => document.activeElement.closest('[role=row]')?.textContent ?? '')));
  view.assertQuiet();
});

test('what is published stands there as text, whatever it is called and holds', async (t) => {
  const name = `demo:${HOSTILE}`;
  const view = await signedIn(t, `/channels/${encodeURIComponent(name)}`);
  await eventually('the name', async () => (await view.text('.head h2')).includes(HOSTILE));
  await eventually('subscribed', async () => /Waiting for the next message/.test(await view.text('.channel-live')));
  await view.page.fill('textarea', JSON.stringify({ text: HOSTILE }));
  await view.page.click('text=/Publish to/');
  await eventually('the message', async () => (await view.text('.messages-body')).includes(HOSTILE));
  await eventually('it is said', async () => /^Published/.test(await view.text('.toasts')));
  await view.page.fill('textarea', '{ no json');
  assert.ok(await view.page.locator('text=/Publish to/').isDisabled());
  // The page itself is what keeps the channel in the list.
  const list = await view.tab(`${hub.url}/channels?order=name`);
  await eventually('the list', async () => (await list.text('.table-scroll')).includes(HOSTILE));
  await assertClean(list);
  view.assertQuiet();
});

test('a feed is added, paused, resumed, rotated and removed, and each of its moves is told with its reason', async (t) => {
  const view = await signedIn(t, '/upstreams');
  await view.page.click('text=Add feed…');
  await view.page.fill('#feed-name', 'gone');
  await view.page.fill('#feed-url', 'http://127.0.0.1:9/none');
  await view.page.fill('#feed-channel', 'demo:gone');
  await assertClean(view);
  await view.page.click('button[type=submit]:has-text("Add feed")');
  await eventually('its page', () => new URL(view.page.url()).pathname === '/upstreams/gone');
  await eventually('why it is down', async () => /refused/.test(await view.text('.moves')));
  await eventually('the sentence', async () => /^Down for .*refused/.test(await view.text('.head p')));
  await assertClean(view);
  await view.shoot('feed-down-1440');
  await view.page.click('text=Pause');
  await eventually('paused', async () => /Paused/.test(await view.text('.head h2')));
  await view.page.click('text=Resume');
  await eventually('read again', async () => !/Paused/.test(await view.text('.head h2')));
  await view.page.click('text=Remove…');
  await view.page.click('.dialog .is-danger');
  await eventually('the list', () => new URL(view.page.url()).pathname === '/upstreams');
  await view.page.goto(`${hub.url}/upstreams/demo`);
  await eventually('open', async () => /Open/.test(await view.text('.head h2')));
  await view.page.click('text=Rotate');
  await eventually('rotated', async () => /Draining|rotated/.test(await view.text('.moves')), 20_000);
  view.assertQuiet();
});

test('the console completes, says what is wrong, shows rows, and asks before what cannot be taken back', async (t) => {
  const view = await signedIn(t, '/console');
  const prompt = view.page.locator('.console-prompt input');
  const enter = async (text) => {
    await prompt.fill(text);
    await prompt.press('Enter');
  };
  await prompt.fill('sessions.li');
  await prompt.press('Tab');
  assert.equal(await prompt.inputValue(), 'sessions.list ');
  await prompt.pressSequentially('--lim');
  await prompt.press('Tab');
  assert.equal(await prompt.inputValue(), 'sessions.list --limit ');
  await prompt.pressSequentially('5');
  await prompt.press('Enter');
  await eventually('a table', async () => /websocket/.test(await view.text('.console-table')));
  await enter('sesions.list');
  await eventually('which command', async () => /There is no command sesions\.list/.test(await view.text('.console-log')));
  await enter('sessions.kick --user');
  await eventually('which value', async () => /--user has no value/.test(await view.text('.console-log')));
  await enter('history.purge --channel demo:chat');
  await eventually('the question', async () => /Type history\.purge to go on/.test(await view.text('.console-log')));
  await assertClean(view);
  await view.page.keyboard.press('Escape');
  await eventually('nothing was done', async () => (await view.page.locator('.console-confirm').count()) === 0);
  await prompt.press('ArrowUp');
  assert.equal(await prompt.inputValue(), 'history.purge --channel demo:chat');
  await view.shoot('console-1440');
  view.assertQuiet();
});

test('the audit log is whole, is narrowed down, and looking at a list again and again is one entry', async (t) => {
  const view = await signedIn(t, '/audit?action=sessions.kick');
  await view.page.click('.audit-head button:has-text("Verify")');
  await eventually('whole', async () => /^The chain is whole: /.test(await view.text('.audit-verdict')));
  const begun = view.page.waitForEvent('download');
  await view.page.click('text=CSV');
  assert.equal((await begun).suggestedFilename(), 'audit.csv');
  await view.page.goto(`${hub.url}/sessions`);
  await eventually('rows', async () => (await view.page.locator('.table-scroll [role=row]').count()) > 0);
  // Long enough for the list to have been asked for several times.
  await eventually('time goes by', async () => /1\d\ss|[2-9]\d\ss|min/.test(await view.text('.table-scroll')), 30_000);
  await view.page.goto(`${hub.url}/audit?action=sessions.browse&actor=mara`);
  await eventually('entries', async () => (await view.page.locator('.audit-list .table-scroll [role=row]').count()) > 0);
  const entries = await view.page.locator('.audit-list .table-scroll [role=row]').count();
  assert.ok(entries < 20, `${entries} entries for looking`);
  view.assertQuiet();
});

test('a user and a key are made; what is told once is told once', async (t) => {
  const view = await signedIn(t, '/access');
  await view.page.click('text=Add user…');
  await view.page.fill('#user-name', 'nils');
  await view.page.selectOption('#role', 'operator');
  await view.page.click('button[type=submit]:has-text("Add user")');
  const password = await eventually('the password', () => view.text('.once code'));
  assert.ok(password.length >= 12);
  await assertClean(view);
  await view.page.click('text=I have kept it');
  await eventually('the user', async () => /nils/.test(await view.text('.access-list')));
  assert.ok(!(await view.page.content()).includes(password), 'it is gone from the page');
  await view.page.click('text=API keys');
  await view.page.click('text=Make key…');
  await view.page.fill('#key-name', 'shop');
  await view.page.click('button[type=submit]:has-text("Make key")');
  await eventually('the key', () => view.text('.once code'));
  await view.page.click('text=I have kept it');
  await eventually('the key in the list', async () => /shop/.test(await view.text('.access-list')));
  view.assertQuiet();
});

test('a rule is written, tried on what was, wakes somebody, is taken, silenced and removed', async (t) => {
  const view = await signedIn(t, '/alerts');
  const { page } = view;
  await page.click('text=New rule');
  await page.fill('#rule-title', `Somebody is here ${HOSTILE}`);
  await page.fill('#rule-name', 'somebody');
  await page.getByLabel('Metric').selectOption('sessions.open');
  await page.getByLabel('Value', { exact: true }).fill('0,5');
  await page.getByLabel('For how long', { exact: true }).fill('soon');
  await eventually('what is wrong', async () => /times are like 30s/.test(await view.text('.rule-form')));
  assert.ok(await page.locator('text=Save rule').isDisabled());
  await page.getByLabel('For how long', { exact: true }).fill('0s');
  await page.getByLabel('Value to clear at').fill('0.5');
  await eventually('what it would have done', async () => /would have fired/i.test(await view.text('.rule-preview .figures')));
  await assertClean(view);
  await page.click('text=Save rule');
  await eventually('it is said', async () => /is saved/.test(await view.text('.toasts')));
  const item = page.locator('.alerts-active > li', { hasText: 'Somebody is here' });
  await eventually('it fires', async () => /For \d/.test(await item.innerText()));
  assert.ok((await item.innerText()).includes(HOSTILE), 'a title is text');
  await view.shoot('alert-1440');
  await assertClean(view);

  const overview = await view.tab(`${hub.url}/overview`);
  await eventually('it stands above everything', async () => (await overview.text('.desk-page')).includes('Somebody is here'));
  await overview.page.close();

  await item.getByText('Acknowledge', { exact: true }).click();
  await eventually('whose it is', async () => /Acknowledged by mara/.test(await item.innerText()));
  await item.getByText('Silence…').click();
  assert.equal(await page.locator('.dialog [type=submit]').getAttribute('aria-disabled'), 'true', 'why is to be said');
  await page.fill('#silence-why', 'it is the test');
  await page.locator('.dialog [type=submit]').click();
  await eventually('it is silent', async () => /Silent for/.test(await item.innerText()));
  await page.getByRole('tab', { name: 'Silences' }).click();
  await eventually('the silence', async () => /mara: it is the test/.test(await view.text('.alerts-past')));
  await page.click('text=End silence');
  await eventually('there is none', async () => /Nothing is silenced/.test(await view.text('.alerts-tabs')));
  await page.click('text=Remove rule');
  await eventually('the rule is gone', async () => !(await view.text('.alerts-rules')).includes('Somebody is here'));
  await page.getByRole('tab', { name: 'Active' }).click();
  await eventually('so is its alert', async () => (await item.count()) === 0);
  view.assertQuiet();
});

test('a lost connection is said, what was read stays, and it all comes back', async (t) => {
  const wire = await layWire(hub.port);
  t.after(() => wire.remove());
  const view = await signedIn(t, '/upstreams', { on: wire.url, expected: [/WebSocket|ERR_|Failed to load/] });
  await eventually('the feed', async () => /demo/.test(await view.text('.table-scroll')));
  wire.cut();
  await eventually('how old it is', async () => /^Last update .* ago\. Reconnecting/.test(await view.text('.status-bar')), 20_000);
  assert.match(await view.text('.table-scroll'), /demo/);
  await assertClean(view);
  await view.shoot('stale-1440');
  wire.mend();
  await eventually('live again', async () => (await view.text('.status-mark')) === 'Live', 30_000);
  await eventually('the bar is gone', async () => (await view.page.locator('.status-bar').count()) === 0);
});

test('keys go from view to view, and the palette finds what is on the hub', async (t) => {
  const view = await signedIn(t, '/settings');
  await view.page.keyboard.press('g');
  await view.page.keyboard.press('s');
  await eventually('sessions', () => new URL(view.page.url()).pathname === '/sessions');
  await view.page.keyboard.press('Control+k');
  await view.page.keyboard.type('demo');
  await eventually('the feed', async () => /feed, Open/.test(await view.text('.palette-list')));
  await assertClean(view);
  await view.page.keyboard.press('Enter');
  await eventually('its page', () => new URL(view.page.url()).pathname === '/upstreams/demo');
  await view.page.keyboard.press('?');
  await eventually('the keys', async () => /Go to Overview/.test(await view.text('.keys')));
  await assertClean(view);
  await view.page.keyboard.press('Escape');
  const before = await view.page.evaluate(() => document.documentElement.dataset.theme);
  await view.page.keyboard.press('l');
  await eventually('the other theme', async () => (await view.page.evaluate(() => document.documentElement.dataset.theme)) !== before);
  view.assertQuiet();
});

test('panels are arranged by keyboard, mouse and buttons, and the hub has them for another browser of the same user', async (t) => {
  const titles = (view) => view.page.locator('.panels .panel-head h2').allInnerTexts();
  const view = await signedIn(t, '/overview');
  await eventually('panels', async () => (await titles(view)).length === 10);
  const [first, second, third] = await titles(view);
  await view.page.click('text=Arrange');
  const said = () => view.page.locator('[id^=DndLiveRegion]').innerText();
  await view.page.getByRole('button', { name: `Move ${first}` }).focus();
  await view.page.keyboard.press('Space');
  await eventually('it is taken', async () => / at place 1 of 10/.test(await said()));
  await view.page.keyboard.press('ArrowRight');
  const grips = () => view.page.locator('.arrange-grip').allInnerTexts();
  await eventually('one place later', async () => / at place 2 of 10/.test(await said()));
  await view.page.keyboard.press('Space');
  await eventually('dropped', async () => (await grips())[1] === first);
  await view.page.getByRole('button', { name: `${third}: one place earlier` }).click();
  await eventually('by button', async () => (await grips())[1] === third);
  const from = await view.page.getByRole('button', { name: 'Move Upstream pool' }).boundingBox();
  const to = await view.page.getByRole('button', { name: `Move ${second}` }).boundingBox();
  await view.page.mouse.move(from.x + 40, from.y + 10);
  await view.page.mouse.down();
  await view.page.mouse.move(from.x + 60, from.y - 40, { steps: 4 });
  await view.page.mouse.move(to.x + 40, to.y + 10, { steps: 12 });
  await view.page.mouse.up();
  await eventually('by mouse', async () => (await grips()).indexOf('Upstream pool') < 3);
  await view.page.getByRole('button', { name: 'Hide Objectives' }).click();
  await view.page.getByRole('button', { name: 'Descriptors', exact: true }).click();
  await assertClean(view);
  await view.shoot('arrange-1440', { fullPage: true });
  const arranged = await grips();
  assert.ok(!arranged.includes('Objectives') && arranged.at(-1) === 'Descriptors', arranged.join());
  await view.page.click('text=Done');
  await view.page.goto(`${hub.url}/settings`);
  await view.page.getByLabel('Memory, MiB', { exact: true }).fill('1');
  await view.page.click('text=Comfortable');
  await eventually('the hub has them', async () => /saved for mara on this hub/.test(await view.text('.settings .panel-scope')));
  await eventually('nothing is unsaved', () => view.page.evaluate(() => JSON.parse(localStorage.getItem('aether.preferences')).unsavedBy === null));
  const other = await signedIn(t, '/overview');
  await eventually('the same panels', async () => (await titles(other)).join() === arranged.join());
  await eventually('what is beyond the limit says so', async () => /above 1 MiB/.test(await other.text('.panel.is-beyond')));
  assert.equal(await other.page.evaluate(() => document.documentElement.dataset.density), 'comfortable');
  await assertClean(other);
  await other.page.click('text=Arrange');
  await other.page.click('text=As at first');
  await eventually('as at first', async () => (await other.page.locator('.arrange-grip').count()) === 10);
  view.assertQuiet();
  other.assertQuiet();
});

test('an address is examined as the hub would read it, and becomes a feed', async (t) => {
  let id = 0;
  const server = createServer((request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
    if (request.method === 'HEAD') return response.end();
    const timer = setInterval(() => response.write(`id: ${++id}\ndata: {"n":${id}}\n\n`), 200);
    request.on('close', () => clearInterval(timer));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const view = await signedIn(t, '/upstreams');
  await view.page.click('text=Check a URL…');
  await view.page.locator('.doctor input[type=url]').fill(`http://127.0.0.1:${server.address().port}/ticks`);
  await view.page.click('.doctor button[type=submit]');
  await eventually('findings', async () => /Stream/.test(await view.text('.doctor-found')));
  assert.match(await view.text('.doctor-verdict'), /^Examining for/);
  await assertClean(view);
  await view.page.click('text=End now');
  await eventually('its end', async () => /Ended early|can read it/.test(await view.text('.doctor-verdict')), 20_000);
  await eventually('the configuration', async () => /\[\[upstream\.feeds\]\]/.test(await view.text('.doctor .code')));
  await view.shoot('doctor-1440');
  await view.page.click('text=Add this feed…');
  assert.match(await view.page.inputValue('#feed-url'), /\/ticks$/);
  assert.notEqual(await view.page.inputValue('#feed-name'), '');
  await view.page.fill('#feed-channel', 'demo:ticks');
  await view.page.click('button[type=submit]:has-text("Add feed")');
  await eventually('it is read', async () => /Open/.test(await view.text('.head h2')));
  await view.page.click('text=Remove…');
  await view.page.click('.dialog .is-danger');
  await eventually('the list', () => new URL(view.page.url()).pathname === '/upstreams');
  view.assertQuiet();
});

test('fifty page loads leave the hub as it was', { timeout: 180_000 }, async (t) => {
  await loadAgain(t, browser, hub.url, 2, 'mara');
  const before = await countsOf(hub.url, 'mara');
  await loadAgain(t, browser, hub.url, 50, 'mara');
  await eventually(
    'the baseline',
    async () => {
      const after = await countsOf(hub.url, 'mara');
      // Descriptors of the store's files and of connections that the system has not let go of yet come and go.
      const grown = Object.entries(after).filter(([name, count]) => count > before[name] + (name === 'descriptors' ? 6 : 0));
      assert.deepEqual(grown, [], JSON.stringify({ before, after }));
      return true;
    },
    60_000,
  );
});

test('a node is taken out of service from its page, by whoever may, and the page says what is so', async (t) => {
  let own = await startHub();
  t.after(() => own.end('SIGTERM'));
  await Promise.all([own.addUser('mara', PASSWORD, 'admin'), own.addUser('vera', PASSWORD, 'viewer')]);
  const viewer = await signedIn(t, '/nodes', { name: 'vera', on: own.url });
  await eventually('it says which right it needs', async () => /need the right maintenance/.test(await viewer.text('.node-steer .hint')));
  assert.equal(await viewer.page.getByRole('button', { name: 'Drain…' }).getAttribute('aria-disabled'), 'true');
  await assertClean(viewer);
  const view = await signedIn(t, '/nodes', { on: own.url, expected: [/WebSocket|ERR_|Failed to load/] });
  await view.page.click('text=Enter maintenance…');
  await view.page.getByLabel('What they are told').fill(HOSTILE);
  await assertClean(view);
  await view.shoot('nodes-maintenance-1440');
  await view.page.locator('dialog').getByRole('button', { name: 'Enter maintenance' }).click();
  await eventually('it is in maintenance', async () => /^In maintenance: new clients are refused/.test((await view.text('.node-now')).trim()));
  await viewer.close();
  await view.page.click('text=End maintenance');
  await eventually('it is over', async () => (await view.page.locator('.node-now').count()) === 0);
  await view.page.click('text=Drain…');
  assert.equal(await view.page.evaluate(() => document.activeElement.textContent), 'Cancel');
  await assertClean(view);
  await view.shoot('nodes-drain-1440');
  await view.page.click('text=Drain the node');
  await eventually('the page waits for it', async () => /The hub is restarting\. This page comes back by itself\./.test(await view.text('.desk-bar')));
  await view.shoot('nodes-drained-1440');
  assert.equal(await own.exited, 0);
  own = await startHub({ AETHER_HTTP_SERVER_PORT: String(own.port) }, { folder: own.folder });
  await eventually('the page finds it', async () => (await view.text('.status-mark')) === 'Live', 30_000);
  await eventually('and shows its process', async () => (await view.text('.desk-page')).includes(String(own.pid)), 30_000);
  assert.doesNotMatch(await view.text('.desk-bar'), /restarting/);
});
