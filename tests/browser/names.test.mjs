// Names that were made to deceive, in every list that takes them, on a real hub: they are text, one sees what is in them, and a link leads to them.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { eventually, launch } from './support/browser.mjs';
import { operator, PASSWORD, signIn } from './support/desk.mjs';
import { startHub } from './support/hub.mjs';
import { assertClean, assertNoSidewaysScroll } from './support/looks.mjs';

const SCRIPT = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';
/** What many may be called. */
const NAMES = [
  SCRIPT,
  `"'><svg onload=window.pwned=1>`,
  'javascript:window.pwned=1',
  '../../login',
  '..',
  '%2e%2e',
  '%',
  '{{7*7}}${7*7}{name}',
  "=cmd|' /C calc'!A1",
  '__proto__',
  'constructor',
  'שלום 123',
  'Z\u0335\u0321a\u0321\u0335lgo \u{1f469}\u200d\u{1f469}\u200d\u{1f467}',
  'w'.repeat(240),
];
/** What changes how the text around it is read; each is shown by its number. */
const DECEPTIVE = ['adm\u202enimda', 'a\u200bdmin'];
/** The only ones that feeds, rules and keys take. */
const PLAIN = ['__proto__', 'constructor', 'hasOwnProperty'];

const seen = (name) => name.replace(/[\u202e\u200b]/g, (character) => `⟨${character.codePointAt(0).toString(16).toUpperCase()}⟩`);
const base64 = (text) => Buffer.from(text).toString('base64url');
function tokenOf(user) {
  const signed = `${base64('{"alg":"HS256","typ":"JWT"}')}.${base64(JSON.stringify({ sub: user, exp: Math.floor(Date.now() / 1000) + 3_600 }))}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}

let browser;
let hub;
let key;
before(async () => {
  [browser, hub] = await Promise.all([launch(), startHub()]);
  await hub.addUser('mara', PASSWORD, 'admin');
  key = (await readFile(join(hub.folder, 'data', 'token-secret'), 'utf8')).trim();
});
after(async () => {
  await browser?.close();
  await hub?.end('SIGTERM');
});

/** One of these users, in the channel of the same name where that may be. Answers with the errors. */
function come(t, name) {
  const socket = new WebSocket(`${hub.url.replace('http', 'ws')}/connection/websocket`, { headers: { 'User-Agent': SCRIPT } });
  t.after(() => socket.terminate());
  return new Promise((resolve, reject) => {
    let answers = 0;
    const errors = [];
    socket.on('error', reject);
    socket.on('open', () => socket.send(`{"id":1,"connect":{"token":"${tokenOf(name)}"}}\n{"id":2,"subscribe":{"channel":${JSON.stringify(`demo:${name}`)}}}`));
    socket.on('close', (code, reason) => reject(new Error(`${name}: ${code} ${reason}`)));
    socket.on('message', (data) => {
      for (const line of String(data).split('\n').map((one) => JSON.parse(one))) {
        // A ping is answered in kind, or the hub takes the client for gone.
        if (Object.keys(line).length === 0) socket.send('{}');
        if (line.error) errors.push(line.error.message);
        if (line.id !== undefined && (answers += 1) === 2) resolve(errors);
      }
    });
  });
}

test('names that were made to deceive are text wherever they stand, and a link leads to each', { timeout: 120_000 }, async (t) => {
  const users = [...NAMES, ...DECEPTIVE];
  const refused = await Promise.all(users.map((name) => come(t, name)));
  const channels = users.filter((_, at) => refused[at].length === 0);
  assert.deepEqual(channels, users.filter((name) => /^[ -~]+$/.test(name)), 'channels have names of ASCII');
  const { ask, close } = await operator(hub.url, 'mara');
  t.after(close);
  for (const name of PLAIN) {
    await ask('upstream.add', { feed: name, definition: { url: 'http://127.0.0.1:9/none', channel: `demo:${name}` } });
    await ask('keys.add', { name });
  }
  await ask('upstream.add', { feed: '..', definition: { url: 'http://127.0.0.1:9/none', channel: 'demo:dots' } });
  const title = `${SCRIPT} ${DECEPTIVE[0]}`;
  const rule = { name: 'constructor', metric: 'sessions.open', condition: 'above', value: 0, for_ms: 0, severity: 'critical', title };
  await ask('alerts.set_rule', { rule });
  await ask('alerts.silence', { rule: 'constructor', lasting: '1h', why: title });
  await ask('maintenance.enter', { message: title });

  const view = await signIn(t, browser, hub.url, '/channels?order=name', 'mara', { width: 1280, height: 1000 });
  const { page } = view;
  const shows = (what, selector, names) =>
    eventually(`${what} at ${page.url()}`, async () => {
      const text = await page.locator(selector).allInnerTexts();
      assert.deepEqual(names.map(seen).filter((name) => !text.some((one) => one.includes(name))), []);
      return true;
    });
  /** Without loading the page anew, which would take a second each time. */
  const go = (path) =>
    page.evaluate((to) => {
      history.pushState(null, '', to);
      dispatchEvent(new PopStateEvent('popstate'));
    }, path);
  const back = () => page.goBack({ waitUntil: 'commit' });

  // A list, and what its links lead to.
  for (const [path, names, heads] of [
    ['/channels?order=name', channels.map((name) => `demo:${name}`), null],
    ['/sessions?sort=user', users, '.detail h2'],
    ['/upstreams', [...PLAIN, '..'], null],
  ]) {
    await go(path);
    await shows('the list', '.table-scroll', names);
    for (const name of names) {
      const link = page.locator('.table-scroll [data-stop]').filter({ has: page.locator(`bdi >> text=${JSON.stringify(seen(name))}`) }).first();
      await link.click();
      await shows('what the link leads to', heads ?? '.head h2', [name]);
      await back();
      await eventually('the list again', async () => (await page.locator('.table-scroll [role=row]').count()) >= names.length);
    }
  }
  // And what a link leads to that somebody was sent.
  for (const path of [`/channels/${encodeURIComponent('demo:../../login')}`, '/channels/demo%3A%252e%252e', '/upstreams/constructor']) {
    await page.goto(`${hub.url}${path}`);
    await shows('the link', '.head h2', [decodeURIComponent(path.split('/')[2])]);
  }
  await go('/overview');
  await shows('what is wrong', '.desk-page', [title]);
  await go('/settings');
  await shows('what clients are told', '.settings', [title]);
  await go('/alerts/rules%2Fconstructor');
  await eventually('the rule', async () => (await page.inputValue('#rule-title')) === title);
  await go('/alerts');
  await page.getByRole('tab', { name: 'Silences' }).click();
  await shows('why it is silent', '.alerts-past', [title]);
  await go('/access');
  await page.click('text=API keys');
  await shows('keys', '.access-list', PLAIN);
  await go('/console');
  for (const [command, shown] of [['upstream.list', PLAIN[0]], ['channels.list', `demo:${SCRIPT.slice(0, 30)}`], ['status', DECEPTIVE[0]]]) {
    await page.locator('.console-prompt input').fill(command);
    await page.locator('.console-prompt input').press('Enter');
    await shows(`the answer to ${command}`, '.console-log', [shown]);
  }
  await page.keyboard.press('Control+k');
  await page.keyboard.type('proto');
  await shows('what is found', '.palette-list', ['demo:__proto__']);
  await page.keyboard.press('Escape');

  // What was asked for is written down, by names that the caller made up. The file is for spreadsheets, which take some texts for orders.
  await ask('channels.publish', { channel: `demo:${NAMES[8]}`, data: 1 });
  await ask('channels.show', { channel: '=1+1' });
  await go('/audit');
  await shows('records', '.audit-list .table-scroll', [`demo:${NAMES[8]}`]);
  const begun = page.waitForEvent('download');
  await page.click('text=CSV');
  const csv = await readFile(await (await begun).path(), 'utf8');
  assert.match(csv, /'=1\+1/);
  assert.doesNotMatch(csv, /(?:^|,)"?[=+\-@]/m);

  const views = ['overview', 'channels', 'sessions', 'upstreams', 'alerts', 'reports', 'audit', 'access', 'nodes', 'settings'];
  const details = [`channels/${encodeURIComponent(`demo:${NAMES.at(-1)}`)}`, `channels/${encodeURIComponent(`demo:${SCRIPT}`)}`, 'alerts/rules%2Fconstructor'];
  await page.evaluate(() => localStorage.setItem('aether.preferences', JSON.stringify({ ...JSON.parse(localStorage.getItem('aether.preferences') ?? '{}'), language: 'de', unsavedBy: 'mara' })));
  await page.reload();
  await page.setViewportSize({ width: 320, height: 640 });
  for (const path of [...views, ...details]) {
    await go(`/${path}`);
    await eventually('the view', async () => (await page.locator(`.desk-page[data-view=${path.split('/')[0]}] .panel`).count()) > 0);
    await eventually('is read', async () => (await page.locator('.desk-page [aria-busy=true], .desk-page > .skeleton').count()) === 0);
    for (const width of [320, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      await assertNoSidewaysScroll(view).catch((error) => assert.fail(`${path}: ${error.message}`));
      await view.shoot(`names-${path.split('/').join('-').slice(0, 30).replace(/[^a-z-]/g, '_')}-${width}`);
    }
  }
  assert.equal(await view.text('.desk-crumb a, .desk-crumb h1'), 'Alarme');
  await assertClean(view);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  view.assertQuiet();
});
