// The official JavaScript SDK, unchanged, against the real hub: every scenario on every transport in every codec that it carries.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, describe, test as scenario } from 'node:test';
import { Centrifuge as JsonCentrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { eventually, Hub, inSeconds, token, versionOf } from './hub.js';

const decoder = new TextDecoder();
const codecs = {
  json: { Centrifuge: JsonCentrifuge, write: (value) => value, read: (data) => data },
  protobuf: {
    Centrifuge: ProtobufCentrifuge,
    write: (value) => new TextEncoder().encode(JSON.stringify(value)),
    read: (data) => JSON.parse(decoder.decode(data)),
  },
};

/** The ways in, each in the codecs that it carries. They are files of their own, so that they run side by side. */
const lines = {
  json: { ...codecs.json, transport: 'websocket' },
  protobuf: { ...codecs.protobuf, transport: 'websocket' },
  'http_stream, json': { ...codecs.json, transport: 'http_stream' },
  'http_stream, protobuf': { ...codecs.protobuf, transport: 'http_stream' },
  'sse, json': { ...codecs.json, transport: 'sse' },
};

/** A scenario that waits for something that never comes fails alone. */
const test = (name, steps) => scenario(name, { timeout: 45_000 }, steps);

/** The next event of a kind. */
const once = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));

/** Every scenario, for one of these lines. */
export function scenariosOf(line) {
  const { Centrifuge, write, read, transport: used } = lines[line];
  describe(line, () => {
    let hub;
    let clients = [];
    before(async () => {
      hub = await Hub.start();
    });
    afterEach(async () => {
      for (const client of clients) client.disconnect();
      clients = [];
      await hub.untilEmpty();
    });
    after(() => hub.stop());

    const client = (options = {}) => {
      const endpoints = [{ transport: used, endpoint: used === 'websocket' ? hub.websocket : `${hub.http}/connection/${used}` }];
      const ways = { websocket: WebSocket, eventsource: EventSource, emulationEndpoint: `${hub.http}/emulation` };
      const made = new Centrifuge(endpoints, { ...ways, token: token({ sub: '42' }), minReconnectDelay: 20, ...options });
      clients.push(made);
      return made;
    };
    const connected = async (options) => {
      const made = client(options);
      made.connect();
      await made.ready(10_000);
      return made;
    };
    const subscribed = async (made, channel, options) => {
      const sub = made.newSubscription(channel, options);
      const subscribedContext = once(sub, 'subscribed');
      sub.subscribe();
      sub.context = await subscribedContext;
      return sub;
    };
    /** Collects the data of publications. */
    const listen = (sub) => {
      const seen = [];
      sub.on('publication', (context) => seen.push(read(context.data)));
      return seen;
    };
    const seenAll = (seen, expected) =>
      eventually(`${JSON.stringify(expected)} arriving`, () => seen.length >= expected.length).then(() => assert.deepEqual(seen, expected));
    const codeOf = (promise) => promise.then(
      () => assert.fail('an error was due'),
      (error) => error.code,
    );
    /** Cuts the socket under the SDK's feet, without a close frame. */
    const cut = (made) => (used === 'websocket' ? made._transport._transport.terminate() : made._transport.close());

    test('connect and many subscribes travel together', async () => {
      const made = client();
      const subs = ['a', 'b', 'news:c', 'room:d', 'tiny:e'].map((channel) => made.newSubscription(channel));
      for (const sub of subs) sub.subscribe();
      const context = once(made, 'connected');
      made.connect();
      const { client: id, transport } = await context;
      assert.match(id, /^[0-9a-f-]{36}$/);
      assert.equal(transport, used);
      await Promise.all(subs.map((sub) => sub.ready(10_000)));
    });

    test('pings keep a connection, and their absence ends it', async () => {
      const made = await connected({ maxServerPingDelay: 1_000 });
      let connecting = 0;
      made.on('connecting', () => connecting++);
      // Longer than ping interval and delay together.
      const until = Date.now() + 4_000;
      await eventually('four seconds', () => Date.now() > until);
      assert.equal(connecting, 0, 'the hub pings in time');
      const left = once(made, 'connecting');
      hub.signal('SIGSTOP');
      try {
        assert.equal((await left).code, 2, 'no ping');
      } finally {
        hub.signal('SIGCONT');
      }
      await made.ready(10_000);
    });

    test('ten clients connect and disconnect in loops', async () => {
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const made = client();
          for (let round = 0; round < 10; round++) {
            made.connect();
            await made.ready(10_000);
            made.disconnect();
          }
          for (let round = 0; round < 50; round++) {
            made.connect();
            made.disconnect();
          }
        }),
      );
    });

    test('quick subscribe and unsubscribe loops end subscribed', async () => {
      const made = await connected();
      const errors = [];
      made.on('error', (context) => errors.push(context));
      const sub = made.newSubscription('news:loop');
      sub.on('error', (context) => errors.push(context));
      for (let round = 0; round < 50; round++) {
        sub.subscribe();
        sub.unsubscribe();
      }
      sub.subscribe();
      await sub.ready(10_000);
      const seen = listen(sub);
      await sub.publish(write('heard'));
      await seenAll(seen, ['heard']);
      assert.deepEqual(errors, []);
    });

    test('a call without a handler is not available, also when it waited for the connection', async () => {
      const made = client();
      made.connect();
      assert.equal(await codeOf(made.rpc('anything', write({}))), 108);
      assert.equal(await codeOf(made.rpc('anything', write({}))), 108);
    });

    test('presence and history are not available where they are off', async () => {
      const made = await connected();
      // At once: over HTTP each call is a request of its own, and one may overtake another.
      const calls = [made.presence('plain'), made.presenceStats('plain'), made.history('plain', { limit: 1 })];
      assert.deepEqual(await Promise.all(calls.map(codeOf)), [108, 108, 108]);
    });

    test('a publication reaches its publisher, with who, where and what', async () => {
      const made = await connected({ token: token({ sub: '42', info: { name: 'Deep' } }) });
      const sub = await subscribed(made, 'news:self');
      const heard = once(sub, 'publication');
      await sub.publish(write({ input: 'grüße 你好 😀' }));
      const publication = await heard;
      assert.deepEqual(read(publication.data), { input: 'grüße 你好 😀' });
      assert.equal(publication.offset, 1);
      assert.equal(publication.info.user, '42');
      assert.deepEqual(read(publication.info.connInfo), { name: 'Deep' });
      const tagged = once(sub, 'publication');
      await hub.api('publish', { channel: 'news:self', data: 1, tags: { kind: 'test' } });
      assert.deepEqual((await tagged).tags, { kind: 'test' });
    });

    test('what a subscription tells reaches the application', async () => {
      const made = await connected();
      const { context } = await subscribed(made, 'news:context');
      assert.equal(context.recoverable, true);
      assert.equal(context.positioned, true);
      assert.equal(context.wasRecovering, false);
      assert.equal(context.recovered, false);
      assert.ok(context.streamPosition.epoch);
      assert.equal(context.streamPosition.offset, 0);
      const data = { channel: 'locked:data', sub: '42', data: { hello: 'you' } };
      const locked = await subscribed(made, 'locked:data', { token: token(data) });
      assert.deepEqual(read(locked.context.data), { hello: 'you' });
    });

    test('after an unsubscribe and after a cut exactly what was missed comes, in order', async () => {
      const made = await connected();
      const sub = await subscribed(made, 'news:recover');
      const seen = listen(sub);
      await hub.api('publish', { channel: 'news:recover', data: 0 });
      await seenAll(seen, [0]);
      sub.unsubscribe();
      for (const number of [1, 2, 3]) await hub.api('publish', { channel: 'news:recover', data: number });
      let again = once(sub, 'subscribed');
      sub.subscribe();
      let context = await again;
      assert.equal(context.wasRecovering, true);
      assert.equal(context.recovered, true);
      await seenAll(seen, [0, 1, 2, 3]);
      again = once(sub, 'subscribed');
      const away = once(made, 'connecting');
      cut(made);
      await away;
      for (const number of [4, 5, 6]) await hub.api('publish', { channel: 'news:recover', data: number });
      context = await again;
      assert.equal(context.recovered, true);
      await hub.api('publish', { channel: 'news:recover', data: 7 });
      await seenAll(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
    });

    test('what the SDK makes of deltas is what was published, also when the connection breaks again and again', async () => {
      const made = await connected();
      const sub = await subscribed(made, 'doc:delta', { delta: 'fossil' });
      const seen = listen(sub);
      const published = [];
      const publish = async (count) => {
        for (let i = 0; i < count; i++) {
          published.push(versionOf(published.length));
          await hub.api('publish', { channel: 'doc:delta', data: published.at(-1) });
        }
      };
      await publish(20);
      for (let round = 0; round < 4; round++) {
        await seenAll(seen, published);
        const back = once(sub, 'subscribed');
        cut(made);
        // Some of these are missed, the others come live.
        await publish(round * 3);
        assert.equal((await back).recovered, true);
        await publish(5);
      }
      await seenAll(seen, published);
      const { numPublications, numDeltaPayloads, bytesReceived, bytesDecoded } = sub.deltaStats();
      assert.equal(numPublications, published.length);
      assert.ok(numDeltaPayloads > published.length / 2, `${numDeltaPayloads} deltas of ${numPublications}`);
      assert.ok(bytesReceived < bytesDecoded * 0.6, `${bytesReceived} bytes in place of ${bytesDecoded}`);
      sub.unsubscribe();
      sub.subscribe();
      await sub.ready(10_000);
      await publish(3);
      await seenAll(seen, published);
    });

    test('deltas are not given where the namespace does not allow them', async () => {
      const made = await connected();
      const sub = await subscribed(made, 'news:delta', { delta: 'fossil' });
      const seen = listen(sub);
      for (const number of [1, 2]) await hub.api('publish', { channel: 'news:delta', data: versionOf(number) });
      await seenAll(seen, [versionOf(1), versionOf(2)]);
      assert.equal(sub.deltaStats().numPublications, 0);
    });

    test('a filter by tags holds for what is live and for what was missed', async () => {
      const made = await connected();
      const tagsFilter = {
        op: 'and',
        nodes: [
          { key: 'kind', cmp: 'in', vals: ['car', 'boat'] },
          { op: 'not', nodes: [{ key: 'price', cmp: 'gte', val: '300' }] },
        ],
      };
      const sub = await subscribed(made, 'doc:filtered', { tagsFilter });
      const seen = listen(sub);
      const offer = (number, kind) => hub.api('publish', { channel: 'doc:filtered', data: number, tags: { kind, price: `${number}00` } });
      for (const [number, kind] of [[1, 'car'], [2, 'plane'], [2, 'boat'], [3, 'car']]) await offer(number, kind);
      await seenAll(seen, [1, 2]);
      made.disconnect();
      for (const [number, kind] of [[1, 'plane'], [1, 'boat'], [9, 'car']]) await offer(number, kind);
      made.connect();
      await made.ready(10_000);
      await offer(2, 'car');
      await seenAll(seen, [1, 2, 1, 2]);
      const wrong = made.newSubscription('news:filtered', { tagsFilter });
      const refused = once(wrong, 'unsubscribed');
      wrong.subscribe();
      assert.equal((await refused).code, 107);
    });

    test('a pattern hears every channel that begins so, and a tag tells which', async () => {
      const made = await connected();
      const sub = await subscribed(made, 'wild:*', { recoverable: true, positioned: true });
      assert.equal(sub.context.recoverable, false);
      const seen = [];
      sub.on('publication', ({ channel, data, tags }) => seen.push([channel, tags.$channel, read(data)]));
      const publish = (channel, data) => hub.api('publish', { channel, data });
      const heard = (expected) =>
        eventually(`${JSON.stringify(expected)} arriving`, () => seen.length >= expected.length).then(() => assert.deepEqual(seen, expected));
      for (const [channel, data] of [['wild:a', 1], ['news:a', 2], ['wild:b', 3]]) await publish(channel, data);
      await heard([['wild:*', 'wild:a', 1], ['wild:*', 'wild:b', 3]]);
      const back = once(sub, 'subscribed');
      cut(made);
      await back;
      await publish('wild:c', 4);
      await heard([['wild:*', 'wild:a', 1], ['wild:*', 'wild:b', 3], ['wild:*', 'wild:c', 4]]);
      assert.equal(await codeOf(sub.history({ limit: 1 })), 108);
      assert.ok([103, 107].includes(await codeOf(sub.publish(write(1)))));
    });

    test('a publisher is not told what it published, where its namespace says so', async () => {
      const [alice, bob] = [await connected(), await connected()];
      const [ofAlice, ofBob] = [await subscribed(alice, 'wild:x'), await subscribed(bob, 'wild:x')];
      const [seenByAlice, seenByBob] = [listen(ofAlice), listen(ofBob)];
      await ofAlice.publish(write(1));
      await ofBob.publish(write(2));
      await hub.api('publish', { channel: 'wild:x', data: 3 });
      await seenAll(seenByAlice, [2, 3]);
      await seenAll(seenByBob, [1, 3]);
    });

    if (used === 'websocket') {
      test('who cannot keep up ends with the newest, is not cut, and deltas go on from there', async (scene) => {
        // Whoever is paused does not answer pings.
        const patient = await Hub.start({ AETHER_CLIENT_PING_INTERVAL: '60s', AETHER_CLIENT_PONG_TIMEOUT: '30s' });
        const made = new Centrifuge(patient.websocket, { websocket: WebSocket, token: token({ sub: '42' }) });
        scene.after(() => {
          made.disconnect();
          return patient.stop();
        });
        made.connect();
        await made.ready(10_000);
        const sub = await subscribed(made, 'latest:a', { delta: 'fossil' });
        const seen = listen(sub);
        let cuts = 0;
        made.on('connecting', () => cuts++);
        const socket = made._transport._transport._socket;
        socket.pause();
        // More than both kernels buffer, and nothing that a delta could be made of.
        const noise = () => randomBytes(36_000).toString('base64');
        for (let number = 1; number <= 200; number++) await patient.api('publish', { channel: 'latest:a', data: { number, noise: noise() } });
        socket.resume();
        await eventually('the newest arriving', () => seen.at(-1)?.number === 200);
        assert.ok(seen.length < 200, 'something gave way');
        assert.deepEqual(seen.map(({ number }) => number), seen.map(({ number }) => number).sort((a, b) => a - b));
        const before = seen.length;
        const small = [201, 202, 203].map((number) => versionOf(number * 9));
        for (const data of small) await patient.api('publish', { channel: 'latest:a', data });
        await eventually('three more', () => seen.length >= before + 3);
        assert.deepEqual(seen.slice(before), small);
        assert.equal(cuts, 0);
      });
    }

    test('more than the history holds is not recovered, and said so', async () => {
      const made = await connected();
      const sub = await subscribed(made, 'tiny:gap', { recoverable: true });
      const seen = listen(sub);
      await hub.api('publish', { channel: 'tiny:gap', data: 0 });
      await seenAll(seen, [0]);
      sub.unsubscribe();
      for (const number of [1, 2, 3]) await hub.api('publish', { channel: 'tiny:gap', data: number });
      const again = once(sub, 'subscribed');
      sub.subscribe();
      const context = await again;
      assert.equal(context.wasRecovering, true);
      assert.equal(context.recovered, false);
      await hub.api('publish', { channel: 'tiny:gap', data: 4 });
      await seenAll(seen, [0, 4]);
    });

    test('an application that loads its own state is asked again when recovery fails', async () => {
      const made = await connected();
      const positions = [];
      const getState = async () => {
        const { offset, epoch } = await hub.api('history', { channel: 'tiny:state', limit: 0 });
        positions.push(offset);
        return { offset, epoch };
      };
      const sub = await subscribed(made, 'tiny:state', { getState, recoverable: true });
      const seen = listen(sub);
      await hub.api('publish', { channel: 'tiny:state', data: 0 });
      await seenAll(seen, [0]);
      assert.deepEqual(positions, [0]);
      sub.unsubscribe();
      for (const number of [1, 2, 3]) await hub.api('publish', { channel: 'tiny:state', data: number });
      const again = once(sub, 'subscribed');
      sub.subscribe();
      await again;
      assert.deepEqual(positions, [0, 4]);
      await hub.api('publish', { channel: 'tiny:state', data: 4 });
      await seenAll(seen, [0, 4]);
    });

    test('the newest publication waits in cache mode', async () => {
      const made = await connected();
      for (const number of [1, 2]) await hub.api('publish', { channel: 'last:x', data: number });
      const sub = made.newSubscription('last:x', { since: { offset: 0, epoch: '' } });
      const seen = listen(sub);
      sub.subscribe();
      await seenAll(seen, [2]);
    });

    test('joins and leaves are seen, and presence names both', async () => {
      const alice = await connected();
      const bob = await connected({ token: token({ sub: 'bob' }) });
      const room = await subscribed(alice, 'room:x');
      const joined = new Promise((resolve) => room.on('join', ({ info }) => info.user === 'bob' && resolve(info)));
      const left = new Promise((resolve) => room.on('leave', ({ info }) => info.user === 'bob' && resolve(info)));
      const his = await subscribed(bob, 'room:x');
      const { client: id } = await joined;
      const { clients: there } = await alice.presence('room:x');
      assert.deepEqual(Object.values(there).map(({ user }) => user).sort(), ['42', 'bob']);
      assert.equal(there[id].user, 'bob');
      assert.deepEqual(await alice.presenceStats('room:x'), { numClients: 2, numUsers: 2 });
      his.unsubscribe();
      assert.equal((await left).client, id);
    });

    test('server-side subscriptions: the personal channel, its publications and joins', async () => {
      const made = client();
      const subscribedContext = once(made, 'subscribed');
      const joined = once(made, 'join');
      made.connect();
      assert.equal((await subscribedContext).channel, 'personal:#42');
      assert.equal((await joined).info.user, '42');
      const publication = once(made, 'publication');
      await hub.api('publish', { channel: 'personal:#42', data: { for: 'you' } });
      assert.deepEqual(read((await publication).data), { for: 'you' });
    });

    test('server-side subscriptions come, go and recover', async () => {
      const made = client();
      const channels = [];
      made.on('subscribed', ({ channel }) => channels.push(channel));
      made.connect();
      await made.ready(10_000);
      await hub.api('subscribe', { user: '42', channel: 'news:pushed' });
      await eventually('the subscription', () => channels.includes('news:pushed'));
      const unsubscribed = once(made, 'unsubscribed');
      await hub.api('unsubscribe', { user: '42', channel: 'news:pushed' });
      assert.equal((await unsubscribed).channel, 'news:pushed');

      const durable = client({ token: token({ sub: '43', channels: ['news:durable'] }) });
      const seen = [];
      durable.on('publication', (context) => seen.push(read(context.data)));
      durable.connect();
      await durable.ready(10_000);
      await hub.api('publish', { channel: 'news:durable', data: 1 });
      await seenAll(seen, [1]);
      const back = once(durable, 'connected');
      const away = once(durable, 'connecting');
      cut(durable);
      await away;
      await hub.api('publish', { channel: 'news:durable', data: 2 });
      await back;
      await seenAll(seen, [1, 2]);
    });

    test('an invalid token is the end', async () => {
      const made = client({ token: `${token({ sub: '42' })}x` });
      const ended = once(made, 'disconnected');
      made.connect();
      assert.equal((await ended).code, 3500);
    });

    test('an expired token is replaced', async () => {
      let asked = 0;
      const getToken = async () => {
        asked++;
        return token({ sub: '42' });
      };
      await connected({ token: token({ sub: '42', exp: inSeconds(-60) }), getToken });
      assert.equal(asked, 1);
    });

    test('a connection is refreshed in time, and lives on', async () => {
      let asked = 0;
      const getToken = async () => {
        asked++;
        return token({ sub: '42', exp: inSeconds(asked === 1 ? 2 : 600) });
      };
      const made = await connected({ token: '', getToken });
      await eventually('the refresh', () => asked === 2);
      await made.publish('plain', write(1));
      assert.equal(made.state, 'connected');
    });

    test('an invalid subscription token unsubscribes', async () => {
      const made = await connected();
      const sub = made.newSubscription('locked:x', { token: 'invalid' });
      const ended = once(sub, 'unsubscribed');
      sub.subscribe();
      assert.equal((await ended).code, 103);
    });

    test('a subscription token is asked for, replaced when expired, and refreshed', async () => {
      const made = await connected();
      let asked = 0;
      const getToken = async ({ channel }) => {
        asked++;
        return token({ sub: '42', channel, exp: inSeconds([-60, 2, 600][asked - 1] ?? 600) });
      };
      const sub = made.newSubscription('locked:refreshed', { getToken, minResubscribeDelay: 20 });
      sub.subscribe();
      await sub.ready(10_000);
      await eventually('the refresh', () => asked >= 3);
      const seen = listen(sub);
      await hub.api('publish', { channel: 'locked:refreshed', data: 1 });
      await seenAll(seen, [1]);
    });

    test('a socket that is cut holds nothing', async () => {
      const sockets = await Promise.all(Array.from({ length: 20 }, (_, number) => connected({ token: token({ sub: `u${number}` }), minReconnectDelay: 60_000, maxReconnectDelay: 60_000 })));
      for (const made of sockets) await subscribed(made, 'room:cut');
      for (const made of sockets) cut(made);
      await hub.untilEmpty();
    });

    test('a client publishes and reads pages without subscribing', async () => {
      const made = await connected();
      for (let number = 1; number <= 10; number++) await made.publish('news:pages', write(number));
      const page = async (options) => {
        const { publications } = await made.history('news:pages', options);
        return publications.map(({ data }) => read(data));
      };
      const top = await made.history('news:pages', { limit: 0 });
      assert.deepEqual([top.offset, top.publications], [10, []]);
      assert.deepEqual(await page({ limit: 3 }), [1, 2, 3]);
      assert.deepEqual(await page({ limit: 3, since: { offset: 3, epoch: top.epoch } }), [4, 5, 6]);
      assert.deepEqual(await page({ limit: 3, reverse: true }), [10, 9, 8]);
      assert.deepEqual(await page({ limit: 3, reverse: true, since: { offset: 3, epoch: top.epoch } }), [2, 1]);
      assert.deepEqual((await page({ limit: -1 })).length, 10);
      assert.equal(await codeOf(made.history('news:pages', { limit: 1, since: { offset: 1, epoch: 'gone' } })), 112);
    });

    test('a payload arrives as it was published', async () => {
      const made = await connected();
      const sub = await subscribed(made, 'plain');
      const heard = once(sub, 'publication');
      const payload = { z: 1, a: [1.5, -0.25, 1e21, null, true, ''], m: { b: 1, a: 2 }, text: '\u0000\u001f"\\/é😀' };
      await hub.api('publish', { channel: 'plain', data: payload });
      assert.equal(JSON.stringify(read((await heard).data)), JSON.stringify(payload));
    });

    test('the application throws a client out for good, or for a moment', async () => {
      const made = await connected();
      const back = once(made, 'connecting');
      await hub.api('disconnect', { user: '42', disconnect: { code: 4000, reason: 'come back' } });
      assert.equal((await back).code, 4000);
      await made.ready(10_000);
      const ended = once(made, 'disconnected');
      await hub.api('disconnect', { user: '42' });
      assert.equal((await ended).code, 3503);
    });

    test('a burst arrives complete and in order', async () => {
      const [speaker, listener] = [await connected(), await connected({ token: token({ sub: 'bob' }) })];
      const seen = listen(await subscribed(listener, 'plain-burst'));
      // Beside an endless answer each command is a request and, here, a connection of its own.
      const numbers = Array.from({ length: used === 'websocket' ? 1_000 : 200 }, (_, number) => number);
      await Promise.all(numbers.map((number) => speaker.publish('plain-burst', write(number))));
      await eventually('all of them arriving', () => seen.length >= numbers.length);
      // Such requests overtake each other.
      assert.deepEqual(used === 'websocket' ? seen : seen.toSorted((one, other) => one - other), numbers);
    });

    if (used === 'websocket') {
      test('clients of a hub that ends are told to reconnect', async () => {
        const mortal = await Hub.start();
        const made = new Centrifuge(mortal.websocket, { websocket: WebSocket, token: token({ sub: '42' }), minReconnectDelay: 60_000, maxReconnectDelay: 60_000 });
        clients.push(made);
        made.connect();
        await made.ready(10_000);
        const told = once(made, 'connecting');
        await mortal.stop();
        const { code, reason } = await told;
        assert.deepEqual([code, reason], [3001, 'shutdown']);
      });
    }
  });
}
