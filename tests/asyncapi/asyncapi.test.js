// The description of the WebSocket side: correct by the official parser, and true of every frame that a real hub takes and sends here.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Parser } from '@asyncapi/parser';
import Ajv from 'ajv';
import WebSocket from 'ws';
import { startHub } from '../browser/support/hub.mjs';

const DEADLINE_MS = 10_000;
/** Of the parser's severities: what is wrong or doubtful. It also remarks that there is a newer version of the format. */
const WARNING = 1;

let document;
let diagnostics;
let hub;

before(async () => {
  const source = await readFile(new URL('../../docs/asyncapi.yaml', import.meta.url), 'utf8');
  ({ document, diagnostics } = await new Parser().parse(source));
  hub = await startHub({
    AETHER_CLIENT_SUBSCRIBE_TO_USER_PERSONAL_CHANNEL_ENABLED: 'true',
    AETHER_CLIENT_CONNECT_INCLUDE_SERVER_TIME: 'true',
  });
});

after(() => hub?.end('SIGTERM'));

test('the official parser finds nothing wrong', () => {
  const found = diagnostics.filter(({ severity }) => severity <= WARNING);
  assert.deepEqual(found.map(({ path, message }) => `${path.join('.')}: ${message}`), []);
  assert.deepEqual(document.operations().all().filter((operation) => operation.messages().length === 0), []);
  const used = document.operations().all().flatMap((operation) => [...operation.messages().all(), ...(operation.reply()?.messages().all() ?? [])]);
  const described = document.components().messages().all();
  assert.deepEqual(described.map((message) => message.id()).filter((id) => !used.some((message) => message.id() === id)), [], 'messages that nobody sends');
});

/** What is described is all that there is: here, unlike for readers of the description, a member too many is a mistake. */
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const copy = Object.fromEntries(Object.entries(schema).filter(([key]) => !key.startsWith('x-parser')).map(([key, value]) => [key, closed(value)]));
  // Without `properties` nothing but an empty object is described.
  return copy.type === 'object' ? { additionalProperties: false, ...copy } : copy;
}

const validators = new Map();

/** Fails unless the object is what the description says of this message. */
function assertDescribed(id, object) {
  if (!validators.has(id)) {
    const message = document.components().messages().get(id);
    assert.ok(message, `${id} is not described: ${JSON.stringify(object)}`);
    validators.set(id, new Ajv({ strict: false }).compile(closed(message.payload().json())));
  }
  const validate = validators.get(id);
  assert.ok(validate(object), `${id}: ${JSON.stringify(validate.errors)} in ${JSON.stringify(object)}`);
}

function assertAnswerDescribed(answer) {
  const kind = Object.keys(answer).find((key) => key !== 'id');
  if (kind === undefined) return assertDescribed('ping', answer);
  if (kind === 'push') return assertDescribed(`${Object.keys(answer.push).find((key) => key !== 'channel')}Push`, answer);
  return assertDescribed(kind === 'error' ? 'errorReply' : `${kind}Reply`, answer);
}

/** A client that compares all that it says and hears with the description. */
async function client() {
  const socket = new WebSocket(`${hub.url.replace('http', 'ws')}/connection/websocket`);
  const waiting = new Map();
  const pushed = [];
  let failure = null;
  let id = 0;
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  socket.on('message', (data) => {
    for (const line of String(data).split('\n').filter((line) => line !== '')) {
      const answer = JSON.parse(line);
      try {
        assertAnswerDescribed(answer);
      } catch (error) {
        failure ??= error;
      }
      if (answer.push !== undefined) pushed.push(answer.push);
      waiting.get(answer.id)?.(answer);
    }
  });
  return {
    async ask(name, request) {
      id += 1;
      const command = { id, [name]: request };
      assertDescribed(`${name}Command`, command);
      const answer = new Promise((resolve, reject) => {
        waiting.set(command.id, resolve);
        setTimeout(() => reject(new Error(`${name} was not answered`)), DEADLINE_MS).unref();
      });
      socket.send(JSON.stringify(command));
      const heard = await answer;
      if (failure !== null) throw failure;
      return heard;
    },
    async pushed(kind) {
      const end = Date.now() + DEADLINE_MS;
      while (!pushed.some((push) => kind in push)) {
        if (failure !== null) throw failure;
        assert.ok(Date.now() < end, `no ${kind}; pushed: ${JSON.stringify(pushed)}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    close: () => socket.close(),
  };
}

const CHANNEL = 'demo:chat';

test('what the hub says is what is described', async () => {
  const [one, two] = [await client(), await client()];
  const connected = await one.ask('connect', { name: 'one', version: '1', data: { any: [1] } });
  assert.ok(connected.connect, JSON.stringify(connected));
  await two.ask('connect', {});
  const subscribed = await one.ask('subscribe', { channel: CHANNEL, recoverable: true, positioned: true, join_leave: true });
  assert.ok(subscribed.subscribe, JSON.stringify(subscribed));
  await two.ask('subscribe', { channel: CHANNEL });
  assert.ok((await two.ask('publish', { channel: CHANNEL, data: { text: 'hello' } })).publish);
  await one.pushed('pub');
  for (const name of ['presence', 'presence_stats']) assert.ok((await one.ask(name, { channel: CHANNEL }))[name], name);
  const { history } = await one.ask('history', { channel: CHANNEL, limit: 10 });
  assert.ok(history.publications.length > 0, 'the channel keeps what was said');
  // What was published meanwhile comes with the subscription.
  await two.ask('unsubscribe', { channel: CHANNEL });
  const { epoch } = history;
  const recovered = await two.ask('subscribe', { channel: CHANNEL, recover: true, epoch, offset: 0 });
  assert.ok(recovered.subscribe.recovered, JSON.stringify(recovered));
  assert.ok((await two.ask('rpc', { method: 'nobody.has.it', data: null })).error);
  assert.ok((await two.ask('subscribe', { channel: 'nowhere:x' })).error);
  await hub.api('unsubscribe', { user: '', channel: CHANNEL, client: connected.connect.client });
  await one.pushed('unsubscribe');
  await hub.api('subscribe', { user: '', channel: CHANNEL, client: connected.connect.client });
  await one.pushed('subscribe');
  one.close();
  two.close();
});

test('a frame that is not described would be noticed', () => {
  assert.throws(() => assertAnswerDescribed({ id: 1, publish: { extra: 1 } }), /publishReply/);
  assert.throws(() => assertAnswerDescribed({ id: 1, connect: { client: 'c' } }), /version/);
  assert.throws(() => assertAnswerDescribed({ push: { channel: 'c', shout: {} } }), /shoutPush is not described/);
});
