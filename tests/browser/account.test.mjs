// Signing in and out, the account, notices: on the real hub, in a real browser.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, launch, open } from './support/browser.mjs';
import { startHub } from './support/hub.mjs';
import { assertClean, assertNoSidewaysScroll } from './support/looks.mjs';
import { layWire } from './support/wire.mjs';

const PASSWORD = 'correct horse battery';
/** What browsers write into the console when the hub says no: 401, 429, 503. */
const SAID_NO = [/Failed to load resource.*(?:401|429|503)/];
const HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';

let browser;
let hub;

before(async () => {
  [browser, hub] = await Promise.all([
    launch(),
    startHub({ AETHER_ACCOUNTS_TRIES: '3', AETHER_ACCOUNTS_PAUSE: '3s', AETHER_ACCOUNTS_TRIES_PER_ADDRESS: '1000' }),
  ]);
});

after(async () => {
  await browser?.close();
  await hub?.end('SIGTERM');
});

let users = 0;
/** Every test has users of its own: what it does to them concerns no other. */
async function newUser(role = 'viewer', of = hub) {
  const name = `user${(users += 1)}`;
  await of.addUser(name, PASSWORD, role);
  return name;
}

const pathOf = (view) => view.page.evaluate(() => location.pathname + location.search);
async function at(view, path) {
  let here;
  const isThere = async () => {
    here = await pathOf(view);
    return here === path;
  };
  await eventually(`at ${path}`, isThere).catch((error) => assert.fail(`${error.message}, at ${here}`));
}
const connected = (view) => eventually('connected', async () => /^Connected by WebSocket/.test(await view.text('.status-mark')));

async function fillIn(view, name, password = PASSWORD) {
  await view.page.fill('input[name=username]', name);
  await view.page.fill('input[name=password]', password);
  await view.page.keyboard.press('Enter');
}

/** A browser that is signed in and shows `path`. */
async function signedIn(t, name, { path = '/', on = hub.url, ...options } = {}) {
  const view = await open(t, browser, `${on}/login?next=${encodeURIComponent(path)}`, options);
  await fillIn(view, name);
  await at(view, path);
  await eventually('the menu', async () => (await view.text('.menu-name')) === name);
  await connected(view);
  return view;
}

test('who signs in is back where they were, and connected as themselves', async (t) => {
  const name = await newUser('operator');
  const view = await open(t, browser, hub.url);
  await connected(view);
  await view.page.click('header >> text=Sign in');
  await at(view, '/login?next=%2F');
  assert.equal(await view.page.title(), 'Sign in · Aether');
  assert.equal(await view.page.evaluate(() => document.activeElement.name), 'username');
  await fillIn(view, name);
  await at(view, '/');
  await connected(view);
  await view.page.click('.channels-body a:has-text("demo:chat")');
  await eventually('their name among those who are here', async () => (await view.text('.here')).includes(name));
  await view.page.click('.menu > button');
  assert.match(await view.text('.menu-who'), new RegExp(`^${name}\\s+operator$`));
  view.assertQuiet();

  const kept = await view.page.evaluate(() => [document.cookie, ...Object.values(localStorage), ...Object.values(sessionStorage)].join('\n'));
  assert.doesNotMatch(kept, /v1\.|eyJ|correct horse/, 'neither cookie nor token is in a script’s reach');
});

test('a page that needs a login leads to it and is there after it', async (t) => {
  const name = await newUser();
  const view = await open(t, browser, `${hub.url}/account`, { expected: SAID_NO });
  await at(view, '/login?next=%2Faccount');
  await fillIn(view, name);
  await at(view, '/account');
  await eventually('the name', async () => (await view.text('.account-you')).includes(name));
  view.assertQuiet();
});

for (const next of ['//evil.example/', 'https://evil.example/', '/\\evil.example', 'javascript:window.pwned=1'])
  test(`after signing in nobody is led to ${next}`, async (t) => {
    const name = await newUser();
    const view = await open(t, browser, `${hub.url}/login?next=${encodeURIComponent(next)}`);
    await fillIn(view, name);
    await at(view, '/overview');
    assert.equal(new URL(view.page.url()).origin, hub.url);
    assert.equal(await view.page.evaluate(() => window.pwned), undefined);
  });

test('a wrong password and a name that nobody has are told in the same words, and what was typed stays', async (t) => {
  const name = await newUser();
  const view = await open(t, browser, `${hub.url}/login`, { expected: SAID_NO });
  const words = [];
  for (const tried of [name, 'nobody-has-this-name', 'No/Such Name!']) {
    await fillIn(view, tried, 'not this one');
    words.push(await eventually('what went wrong', () => view.text('.problem')));
    assert.equal(await view.page.inputValue('input[name=username]'), tried);
    assert.equal(await view.page.evaluate(() => document.activeElement.name), 'password');
    await view.page.fill('input[name=username]', '');
  }
  assert.match(words[0], /^Name or password is wrong\. 2 tries left before a pause of 3\ss\.$/);
  assert.equal(words[1], words[0]);
  assert.match(words[2], /^Name or password is wrong\./);
  await fillIn(view, name);
  await at(view, '/overview');
});

test('too many tries bring a pause that counts down, and end with it', async (t) => {
  const name = await newUser();
  const view = await open(t, browser, `${hub.url}/login`, { expected: SAID_NO });
  for (let n = 0; n < 3; n += 1) {
    await fillIn(view, name, `wrong ${n}`);
    await eventually('an answer', async () => (await view.page.locator('button[type=submit][aria-busy=false]').count()) === 1);
  }
  const seconds = async () => Number(/^Too many tries\. Wait (\d)\ss\.$/m.exec(await view.text('.problem'))?.[1]);
  const first = await eventually('the pause', seconds);
  await view.shoot('login-paused-1440');
  await eventually('that it counts down', async () => (await seconds()) < first);
  await eventually('its end', async () => (await view.page.locator('.problem').count()) === 0);
  await fillIn(view, name);
  await at(view, '/overview');
});

test('a hub that does not answer is said to be silent, and the form keeps what was typed', async (t) => {
  const name = await newUser();
  const wire = await layWire(hub.port);
  t.after(() => wire.remove());
  const view = await open(t, browser, `${wire.url}/login`, { expected: [/ERR_|Failed to load/] });
  await eventually('the form', () => view.page.locator('input[name=username]').isVisible());
  wire.cut();
  await fillIn(view, name);
  await eventually('the sentence', async () => /^The hub does not answer\.\s+Try again$/.test(await view.text('.problem')));
  await assertClean(view);
  await view.shoot('login-no-hub-1440');
  wire.mend();
  await view.page.click('text=Try again');
  await at(view, '/overview');
  await eventually('connected', async () => (await view.text('.status-mark')) === 'Live');
});

test('without its store the hub says why nobody can sign in', async (t) => {
  const view = await open(t, browser, `${hub.url}/login`, { expected: SAID_NO });
  await view.page.route('**/auth/login', (route) => route.fulfill({ status: 503, json: { code: 'store', message: '', retry_after: 1 } }));
  await fillIn(view, 'mara');
  await eventually('the sentence', async () =>
    /^Nobody can sign in now: the store does not answer\. What is connected goes on\./.test(await view.text('.problem')),
  );
});

test('a login outlives reloads and restarts of the hub', async (t) => {
  const settings = { AETHER_ACCOUNTS_TOKEN_TTL: '10m' };
  let other = await startHub(settings);
  const wire = await layWire(other.port);
  try {
    const name = await newUser('viewer', other);
    const view = await signedIn(t, name, { on: wire.url, expected: [/WebSocket|ERR_|Failed to load/] });
    await view.page.reload();
    await connected(view);
    assert.equal(await view.text('.menu-name'), name);

    await other.end('SIGTERM', { keep: true });
    await eventually('that it is gone', async () => /restarting|Reconnecting/.test(await view.text('.status-mark')));
    other = await startHub(settings, { folder: other.folder });
    wire.mend(other.port);
    await eventually('connected again', async () => /^Connected by/.test(await view.text('.status-mark')), 30_000);
    assert.equal(await view.text('.menu-name'), name);
    await view.page.reload();
    await connected(view);
    assert.equal(await view.text('.menu-name'), name);
    assert.equal(await pathOf(view), '/');
  } finally {
    await wire.remove();
    await other.end('SIGTERM');
  }
});

test('tokens that end are replaced unnoticed, by one tab for all', async (t) => {
  const other = await startHub({ AETHER_ACCOUNTS_TOKEN_TTL: '4s' });
  t.after(() => other.end('SIGTERM'));
  const name = await newUser('viewer', other);
  const first = await signedIn(t, name, { on: other.url });
  const tabs = [first, await first.tab(other.url), await first.tab(`${other.url}/account`)];
  for (const view of tabs) await connected(view);
  const asked = [];
  for (const view of tabs)
    view.page.on('request', (request) => {
      if (request.url().endsWith('/auth/token')) asked.push(Date.now());
    });
  const since = Date.now();
  const lost = [];
  await eventually(
    'four refreshes',
    async () => {
      for (const view of tabs) if (!/^Connected by/.test(await view.text('.status-mark'))) lost.push(await view.text('.status-mark'));
      return asked.length >= 4;
    },
    30_000,
  );
  assert.deepEqual(lost, [], 'nobody noticed');
  const seconds = (Date.now() - since) / 1000;
  // A token lives for 4 s and is replaced at the earliest with a quarter of that left.
  assert.ok(asked.length <= seconds / 3 + 2, `${asked.length} refreshes of three tabs in ${seconds} s`);
  assert.match(await first.text('.journal'), /^This connection\s+Test it\s+Open since/);
  for (const view of tabs) view.assertQuiet();
});

test('tabs that are opened later ask for nothing', async (t) => {
  const name = await newUser();
  const first = await signedIn(t, name);
  const asked = [];
  const prepare = (page) => page.on('request', (request) => request.url().includes('/auth/token') && asked.push(request.url()));
  const tabs = [];
  for (let n = 0; n < 4; n += 1) tabs.push(await first.tab(hub.url, { prepare }));
  for (const view of tabs) {
    await connected(view);
    assert.equal(await view.text('.menu-name'), name);
    view.assertQuiet();
  }
  assert.deepEqual(asked, []);
});

test('signing out in one tab signs out in all', async (t) => {
  const name = await newUser();
  const live = await signedIn(t, name, { expected: SAID_NO });
  const account = await live.tab(`${hub.url}/account`);
  const other = await live.tab(hub.url);
  await connected(account);
  await connected(other);
  await live.page.click('.menu > button');
  await live.page.click('text=Sign out');
  for (const view of [live, other]) {
    await eventually('nobody', () => view.page.locator('header >> text=Sign in').isVisible());
    await connected(view);
  }
  await at(account, '/login');
  await eventually('why', async () => /^You are signed out\.$/.test(await account.text('.problem')));
  await account.page.goto(`${hub.url}/account`);
  await at(account, '/login?next=%2Faccount');
});

test('a session that is ended from another device notices within a second, and comes back with the password', async (t) => {
  const name = await newUser();
  const [phone, desk] = [
    await signedIn(t, name, { width: 390, height: 844, expected: SAID_NO, userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Version/18.6 Mobile/15E148 Safari/604.1' }),
    await signedIn(t, name, { path: '/account' }),
  ];
  const row = desk.page.locator('.logins-table [role=row]', { hasText: 'Safari on iPhone' });
  await eventually('the phone', async () => /1 live connection/.test(await row.innerText()));
  assert.match(await desk.text('.logins-table [role=row]:has-text("this one")'), /Chrome on Linux/);
  await row.locator('text=End session').click();
  assert.equal(await desk.page.evaluate(() => document.activeElement.textContent), 'Cancel');
  assert.equal(await desk.text('dialog h2'), 'End the session on Safari on iPhone?');
  const before = Date.now();
  await desk.page.click('dialog >> text=End session');
  await eventually('that it has ended', async () => /Your session ended/.test(await phone.text('body')), 5_000);
  const tookMs = Date.now() - before;
  assert.ok(tookMs <= 1_000, `noticed after ${tookMs} ms`);
  await eventually('why', async () =>
    /^Your session ended: it was ended from another device or by an operator\.\s+This browser, .*\s+Sign in$/.test(await phone.text('.notice-card')),
  );
  await connected(phone);
  await assertClean(phone);
  await phone.shoot('ended-390');
  await eventually('that it is off the list', async () => (await row.count()) === 0);
  await eventually('the focus is not lost', () => desk.page.evaluate(() => document.activeElement !== null));
  await phone.page.click('.notice-card >> text=Sign in');
  await fillIn(phone, name);
  await at(phone, '/');
  await connected(phone);
  assert.equal(await phone.text('.menu-name'), name);
  desk.assertQuiet();
});

test('all others end, this one stays; and then all end', async (t) => {
  const name = await newUser();
  const views = [];
  for (let n = 0; n < 3; n += 1) views.push(await signedIn(t, name, { path: '/account', expected: SAID_NO }));
  const [own, ...others] = views;
  await own.page.reload();
  await eventually('all of them', async () => /3 sessions/.test(await own.text('.logins')));
  await own.page.click('text=End all others');
  assert.equal(await own.text('dialog h2'), 'End 2 other sessions?');
  await own.page.keyboard.press('Escape');
  assert.equal(await own.page.locator('dialog').count(), 0);
  assert.equal(await own.page.evaluate(() => document.activeElement.textContent), 'End all others');
  await own.page.keyboard.press('Enter');
  await own.page.click('dialog >> text=End sessions');
  for (const view of others) {
    await at(view, '/login?next=%2Faccount');
    await eventually('why', async () => /^Signed out: this login was ended from another device/.test(await view.text('.problem')));
  }
  await eventually('one is left', async () => /1 session\b/.test(await own.text('.logins')));
  assert.equal(await own.page.locator('text=End all others').isDisabled(), true);
  await own.page.click('.logins-foot >> text=Log out everywhere');
  await own.page.click('dialog button:has-text("Log out everywhere")');
  await at(own, '/login');
});

test('a new password keeps what was typed after a mistake, and ends the other sessions', async (t) => {
  const name = await newUser();
  const own = await signedIn(t, name, { path: '/account', expected: SAID_NO });
  const other = await signedIn(t, name, { path: '/account', expected: SAID_NO });
  const next = 'another sentence altogether';
  await own.page.fill('input[name=current]', 'not the one');
  await own.page.fill('input[name=new]', 'short');
  assert.match(await own.text('.strength'), /^5 characters: too short$/);
  await own.page.fill('input[name=new]', next);
  assert.match(await own.text('.strength'), /^27 characters: good$/);
  await own.page.click('text=Change password');
  await eventually('what went wrong', async () => /^The current password is wrong\. Nothing has changed\.$/.test(await own.text('.problem')));
  assert.equal(await own.page.inputValue('input[name=new]'), next);
  await own.page.click('[aria-label="Show: New password"]');
  assert.equal(await own.page.getAttribute('input[name=new]', 'type'), 'text');
  await own.shoot('account-password-1440', { fullPage: true });
  await own.page.fill('input[name=current]', PASSWORD);
  await own.page.keyboard.press('Enter');
  await eventually('that it is done', async () => /^The password is changed\. All your other sessions are ended\.$/.test(await own.text('.problem')));
  assert.equal(await own.page.inputValue('input[name=new]'), '');
  await at(other, '/login?next=%2Faccount');
  await eventually('why', async () => /^Signed out: the password was changed\.$/.test(await other.text('.problem')));
  await fillIn(other, name, PASSWORD);
  await eventually('that the old one is none', async () => /wrong/.test(await other.text('.problem')));
  await fillIn(other, name, next);
  await at(other, '/account');
  await connected(own);
});

test('what an operator closes says so and may come back', async (t) => {
  const name = await newUser();
  const view = await signedIn(t, name);
  await hub.api('disconnect', { user: name, disconnect: { code: 3503, reason: 'force disconnect' } });
  await eventually('the sentence', async () => /^Your session ended: an operator closed it\.\s+Sign in$/.test(await view.text('.status-bar')));
  await view.shoot('kicked-1440');
  await view.page.click('.status-bar >> text=Sign in');
  await at(view, '/');
  await connected(view);
  assert.equal(await view.text('.menu-name'), name);
});

test('what a device claims to be, and what others write, is text and nothing else', async (t) => {
  const name = await newUser();
  const evil = await signedIn(t, name, { path: '/account', userAgent: HOSTILE });
  await eventually('its own words', async () => (await evil.text('.login-name')).includes('<img src=x onerror='));
  const told = { name: HOSTILE, role: HOSTILE, created_at: 'x', rights: [HOSTILE], password_changed_at: 9e99 };
  const session = { id: HOSTILE, device: `${HOSTILE}\u202e\0`, address: HOSTILE, created_at: {}, last_seen_at: -1e300, live: [{ client: HOSTILE, transport: HOSTILE, address: HOSTILE }] };
  await evil.page.route('**/auth/me', (route) => route.fulfill({ json: told }));
  await evil.page.route('**/auth/sessions', (route) => route.fulfill({ json: { sessions: [session, { id: 7 }, null] } }));
  await evil.page.reload();
  await eventually('the name', async () => (await evil.text('.account-you')).includes(HOSTILE));
  await eventually('the device', async () => (await evil.text('.logins')).includes('⟨202E⟩␀'));
  await evil.page.click('text=End session');
  await evil.page.waitForSelector('dialog');
  assert.equal(await evil.page.evaluate(() => window.pwned), undefined);
  assert.equal(await evil.page.locator('main img, main script, dialog img').count(), 0);
  await assertNoSidewaysScroll(evil);
  await assertClean(evil);
  await evil.shoot('account-hostile-1440');
  evil.assertQuiet();
});

/** A push of the client protocol in Protobuf: `Reply.push` (4), `Push.message` (8), `Message.data` (1), with its length before it. */
function messagePush(text) {
  const varint = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
  const field = (number, bytes) => [(number << 3) | 2, ...varint(bytes.length), ...bytes];
  const reply = field(4, field(8, field(1, [...new TextEncoder().encode(text)])));
  return Buffer.from([...varint(reply.length), ...reply]);
}

test('what operators tell everybody is shown as text, put away by a click, and never more than a few', async (t) => {
  let push;
  const prepare = (page) =>
    page.routeWebSocket('**/connection/websocket*', (socket) => {
      socket.connectToServer();
      push = (notice) => socket.send(messagePush(JSON.stringify({ aether: 'notice', ...notice })));
    });
  const view = await open(t, browser, hub.url, { prepare });
  await connected(view);
  const place = () => view.page.evaluate(() => JSON.stringify(document.querySelector('main').getBoundingClientRect()));
  const before = await place();
  push({ level: 'info', text: `Restart at 14:00.\n${HOSTILE}` });
  push({ level: 'critical', text: 'The store is full.' });
  await eventually('both', async () => (await view.page.locator('.notice-card').count()) === 2);
  assert.match(await view.text('.notices [role=alert]'), /^The store is full\.\s+Critical, \d\d:/);
  assert.match(await view.text('.notices [role=status]'), /^Restart at 14:00\.\s+<img src=x onerror=/);
  await assertClean(view);
  await view.shoot('notices-1440');
  for (let n = 0; n < 20; n += 1) push({ level: 'warning', text: `Warning ${n}. ${'Very long. '.repeat(n * 20)}` });
  await eventually('a few', async () => (await view.text('.notices')).includes('Warning 19.'));
  assert.equal(await view.page.locator('.notice-card').count(), 5);
  assert.match(await view.text('.notices [role=alert]'), /The store is full/);
  for (let left = 4; left >= 0; left -= 1) {
    await view.page.locator('.notice-card [aria-label="Put away"]').first().click();
    assert.equal(await view.page.locator('.notice-card').count(), left);
  }
  assert.equal(await view.page.evaluate(() => window.pwned), undefined);
  assert.equal(await place(), before, 'the page stayed where it was');
  view.assertQuiet();
});

test('everything goes by the keyboard', async (t) => {
  const name = await newUser();
  const view = await open(t, browser, `${hub.url}/login?next=/`);
  await eventually('the form', () => view.page.locator('input[name=username]').isVisible());
  const { keyboard } = view.page;
  await keyboard.type(name);
  await keyboard.press('Tab');
  await keyboard.type(PASSWORD);
  await keyboard.press('Tab');
  await keyboard.press('Space');
  assert.equal(await view.page.getAttribute('input[name=password]', 'type'), 'text', 'Show');
  await keyboard.press('Space');
  await keyboard.press('Tab');
  await keyboard.press('Enter');
  await at(view, '/');
  await connected(view);
  await view.page.focus('.menu > button');
  await keyboard.press('ArrowDown');
  const focused = () => view.page.evaluate(() => document.activeElement.textContent);
  assert.equal(await focused(), 'Dashboard');
  await keyboard.press('ArrowUp');
  assert.equal(await focused(), 'Sign out');
  await keyboard.press('Escape');
  assert.equal(await view.page.evaluate(() => document.activeElement.getAttribute('aria-expanded')), 'false');
  await keyboard.press('Enter');
  await keyboard.press('ArrowDown');
  assert.equal(await focused(), 'Account');
  await keyboard.press('Enter');
  await at(view, '/account');
  await eventually('the focus is on the page', () => view.page.evaluate(() => document.activeElement.id === 'main'));
  // What is read from the hub comes later than the focus.
  await eventually('the form', () => view.page.locator('input[name=current]').isVisible());
  const seen = [];
  for (let n = 0; n < 25; n += 1) {
    await keyboard.press('Tab');
    const stop = await view.page.evaluate(() => {
      const { activeElement: element } = document;
      return element === document.body ? null : { what: element.name || element.textContent.trim(), isSeen: getComputedStyle(element).outlineStyle !== 'none' };
    });
    if (stop === null) break;
    seen.push(stop);
  }
  assert.deepEqual(seen.filter(({ isSeen }) => !isSeen), []);
  for (const wanted of ['current', 'new', 'Change password', 'Log out everywhere'])
    assert.ok(seen.some(({ what }) => what === wanted), `${wanted} is not among ${JSON.stringify(seen)}`);
  view.assertQuiet();
});

test('without a Live page there is the dashboard, without accounts there is nothing to sign in to', async (t) => {
  const [closed, open_] = await Promise.all([startHub({ AETHER_LIVE_ENABLED: 'false' }), startHub({ AETHER_ACCOUNTS_ENABLED: 'false' })]);
  t.after(() => Promise.all([closed.end('SIGTERM'), open_.end('SIGTERM')]));
  const name = await newUser('viewer', closed);
  const view = await open(t, browser, closed.url, { expected: SAID_NO });
  await at(view, '/login?next=%2Foverview');
  assert.equal(await view.page.locator('text=See the hub live').count(), 0);
  await fillIn(view, name);
  await at(view, '/overview');
  await eventually('connected', async () => (await view.text('.status-mark')) === 'Live');

  const free = await open(t, browser, open_.url);
  await connected(free);
  assert.equal(await free.page.locator('header >> text=Sign in').count(), 0);
  assert.equal((await free.page.goto(`${open_.url}/login`)).status(), 404);
});

for (const theme of ['dark', 'light'])
  for (const [width, height] of [
    [390, 844],
    [820, 1180],
    [1440, 900],
  ])
    test(`login and account are clean at ${width} in the ${theme} theme`, async (t) => {
      const name = await newUser('admin');
      const view = await open(t, browser, `${hub.url}/login?next=/account`, { width, height, theme, expected: SAID_NO });
      await eventually('the form', () => view.page.locator('input[name=username]').isVisible());
      await assertClean(view);
      await assertNoSidewaysScroll(view);
      await view.assertStill();
      assert.equal(await view.page.locator('.login-art').isVisible(), width > 820);
      await view.shoot(`login-${theme}-${width}`);
      await fillIn(view, name, 'not this one');
      await eventually('what went wrong', () => view.text('.problem'));
      await assertClean(view);
      await view.shoot(`login-wrong-${theme}-${width}`);
      await fillIn(view, name);
      await at(view, '/account');
      await connected(view);
      await eventually('the rights', async () => /Read the audit log/.test(await view.text('.account-you')));
      await eventually('the session', async () => /this one\s+127\.0\.0\.1\s+1 live connection/.test(await view.text('.logins')));
      await assertClean(view);
      await assertNoSidewaysScroll(view);
      await view.shoot(`account-${theme}-${width}`, { fullPage: true });
      await view.page.click('.menu > button');
      await assertClean(view);
      await view.page.keyboard.press('Escape');
      await view.page.click('.logins-foot >> text=Log out everywhere');
      await assertClean(view);
      await view.shoot(`account-dialog-${theme}-${width}`);
      await view.page.keyboard.press('Escape');
      await view.page.reload();
      await eventually('the rights', async () => /Read the audit log/.test(await view.text('.account-you')));
      await connected(view);
      await view.assertStill();
      view.assertQuiet();
    });

test('login and account hold together at 320 px in German, which is 1280 px at 400 %', async (t) => {
  const name = await newUser('admin');
  const view = await open(t, browser, `${hub.url}/login?next=/account`, { width: 320, height: 640, theme: 'light', locale: 'de-DE', expected: SAID_NO });
  await fillIn(view, name, 'falsch und lang genug');
  await eventually('was nicht stimmt', async () => /^Name oder Passwort ist falsch\. Noch 2 Versuche bis zu einer Pause von 3\ss\.$/.test(await view.text('.problem')));
  await assertNoSidewaysScroll(view);
  await view.shoot('login-light-320-de');
  await fillIn(view, name);
  await at(view, '/account');
  await eventually('die Rechte', async () => /Das Audit-Protokoll lesen/.test(await view.text('.account-you')));
  await assertNoSidewaysScroll(view);
  await assertClean(view);
  await view.shoot('account-light-320-de', { fullPage: true });
});

test('an account that cannot be read says why and what goes on', async (t) => {
  const name = await newUser();
  const view = await signedIn(t, name, { path: '/account', expected: SAID_NO });
  await view.page.route('**/auth/sessions', (route) => route.fulfill({ status: 503, json: { code: 'store' } }));
  await view.page.route('**/auth/me', (route) => route.fulfill({ status: 503, json: { code: 'store' } }));
  await view.page.reload();
  await eventually('the cause', async () => /Your sessions cannot be read\s+The store does not answer\.\s+Try again/.test(await view.text('.logins')));
  await eventually('the other one', async () => /Your account cannot be read\s+The store does not answer\./.test(await view.text('.account-you')));
  await assertClean(view);
  await view.shoot('account-error-1440', { fullPage: true });
  await view.page.unroute('**/auth/me');
  await view.page.unroute('**/auth/sessions');
  await view.page.click('.logins >> text=Try again');
  await eventually('both', async () => /this one/.test(await view.text('.logins')) && (await view.text('.account-you')).includes(name));
  await connected(view);
});
