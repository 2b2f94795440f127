// The official JavaScript SDK as an operator uses it: every command with the example that its help gives, and the hub's own channels.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';
import { eventually, Hub, inSeconds, token } from './hub.js';

// What an example names is not there in a fresh hub, or the hub is not set up for it. Anything else is a mistake of the help.
const EXCUSED = {
  'admin.sessions.show': 104,
  'admin.debug.session': 104,
  'admin.trace.stop': 104,
  // The example's namespace is none of this hub's.
  'admin.history.purge': 104,
  'admin.certificates.reload': 108,
  'admin.keys.rotate': 104,
  'admin.keys.remove': 104,
  'admin.alerts.ack': 104,
  'admin.alerts.unsilence': 104,
  // A hub of no feeds, whose rules let none in at the example's address.
  'admin.upstream.add': 107,
  ...Object.fromEntries(
    ['check_feed', 'pause', 'reconnect', 'remove', 'report', 'resume', 'rotate', 'show'].map((name) => [`admin.upstream.${name}`, 104]),
  ),
  // A hub that has just been started has no time behind it.
  'admin.reports.get': 104,
  'admin.reports.make': 104,
};

/** A hub that knows roles, with what the examples are about. */
async function start() {
  return Hub.start({
    AETHER_CLIENT_TOKEN_ROLE_CLAIM: 'role',
    AETHER_ACCOUNTS_PASSWORD_MEMORY: '64KiB',
    AETHER_ACCOUNTS_PASSWORD_ITERATIONS: '1',
  });
}

async function operator(hub, role) {
  const client = new Centrifuge(`${hub.websocket}?for=admin`, { websocket: WebSocket, token: token({ sub: `the-${role}`, role, exp: inSeconds(600) }) });
  client.connect();
  await client.ready(10_000);
  return client;
}

const call = async (client, name, args = {}) => (await client.rpc(name, args)).data;

test('every command of the help does what its example asks', { timeout: 60_000 }, async (t) => {
  const hub = await start();
  hub.command(['user', 'add', 'root', '--role', 'admin', '--generate']);
  hub.command(['user', 'add', 'alice', '--generate']);
  const admin = await operator(hub, 'admin');
  // Otherwise it would go on looking for a hub that a failure has ended.
  t.after(() => admin.disconnect());
  const seen = { events: [], audit: [] };
  for (const [name, list] of Object.entries(seen)) {
    const sub = admin.newSubscription(`$admin:${name}`);
    sub.on('publication', ({ data }) => list.push(data));
    sub.subscribe();
    await sub.ready(10_000);
  }

  const topic = admin.newSubscription('news:world');
  topic.subscribe();
  await topic.ready(10_000);

  const { commands } = await call(admin, 'admin.help');
  assert.ok(commands.length >= 45, `${commands.length} commands`);
  const names = new Set(commands.map(({ name }) => name));
  assert.deepEqual(
    Object.keys(EXCUSED).filter((name) => !names.has(name)),
    [],
    'excused, but no command',
  );
  // An account is there before it is changed, and removed at last; the end of the hub comes last of all.
  const first = (name) => (name === 'admin.users.add' ? 0 : name === 'admin.users.remove' ? 2 : name === 'admin.drain' ? 3 : 1);
  const inOrder = commands.toSorted((a, b) => first(a.name) - first(b.name));
  const failures = [];
  const ended = new Promise((resolve) => admin.once('disconnected', resolve));
  const gone = new Promise((resolve) => admin.once('connecting', resolve));
  for (const { name, example } of inOrder) {
    try {
      const answer = await call(admin, name, example);
      assert.equal(typeof answer, 'object', name);
    } catch (error) {
      if (error.code !== EXCUSED[name]) failures.push(`${name} ${JSON.stringify(example)}: ${error.code} ${error.message}`);
    }
  }
  assert.deepEqual(failures, []);
  // The drain sends this client away too, to come back, which it cannot: the hub ends.
  await Promise.race([gone, ended]);
  admin.disconnect();
  const actions = new Set(seen.audit.map(({ action, outcome }) => `${action} ${outcome}`));
  for (const name of ['admin.users.add', 'admin.bans.add', 'admin.broadcast', 'admin.drain']) {
    assert.ok(actions.has(`${name} begun`), `${name} was shown as it began: ${[...actions].join(', ')}`);
  }
  assert.ok(!JSON.stringify(seen).includes('"password":"'), 'no password is shown to those who watch');
  await eventually('the end of the hub', () => hub.child.exitCode === 0);
});

test('roles decide, and errors carry their code', { timeout: 30_000 }, async () => {
  const hub = await start();
  const viewer = await operator(hub, 'viewer');
  const { commands } = await call(viewer, 'admin.help');
  assert.ok(commands.some(({ name }) => name === 'admin.sessions.list') && !commands.some(({ name }) => name === 'admin.sessions.kick'));
  await assert.rejects(call(viewer, 'admin.sessions.kick', { user: 'alice' }), (error) => error.code === 103 && /sessions\.kick/.test(error.message));
  await assert.rejects(call(viewer, 'admin.sessions.list', { limit: 0 }), (error) => error.code === 107 && /"limit"/.test(error.message));
  await assert.rejects(call(viewer, 'admin.nothing'), { code: 104 });
  const sub = viewer.newSubscription('$admin:audit');
  const refused = new Promise((resolve) => sub.once('unsubscribed', resolve));
  sub.subscribe();
  assert.equal((await refused).code, 103);
  viewer.disconnect();

  const stranger = new Centrifuge(hub.websocket, { websocket: WebSocket, token: token({ sub: 'eve', exp: inSeconds(600) }) });
  stranger.connect();
  await stranger.ready(10_000);
  await assert.rejects(call(stranger, 'admin.help'), { code: 103 });
  stranger.disconnect();
  await hub.untilEmpty();
  await hub.stop();
});

test('during maintenance an operator gets in, and a notice reaches everybody', { timeout: 30_000 }, async () => {
  const hub = await start();
  const admin = await operator(hub, 'operator');
  const alice = new Centrifuge(hub.websocket, { websocket: WebSocket, token: token({ sub: 'alice', exp: inSeconds(600) }) });
  const notices = [];
  alice.on('message', ({ data }) => notices.push(data));
  alice.connect();
  await alice.ready(10_000);
  await call(admin, 'admin.broadcast', { level: 'warning', text: 'The hub restarts at noon.' });
  await eventually('the notice', () => notices.length > 0);
  assert.deepEqual(notices, [{ aether: 'notice', level: 'warning', text: 'The hub restarts at noon.' }]);
  await call(admin, 'admin.maintenance.enter', { message: 'back at noon' });
  const second = await operator(hub, 'operator');
  assert.equal((await call(second, 'admin.status')).maintenance.message, 'back at noon');
  await call(second, 'admin.maintenance.leave');
  for (const client of [admin, alice, second]) client.disconnect();
  await hub.untilEmpty();
  await hub.stop();
});
