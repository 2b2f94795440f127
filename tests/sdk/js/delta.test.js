// The hub's patches, read by the JavaScript implementation of Fossil's own delta format, which shares nothing with the hub or the SDK.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { applyDelta, getDeltaTargetSize } from 'fossil-delta';
import WebSocket from 'ws';
import { eventually, Hub, token, versionOf } from './hub.js';

const CHANNEL = 'doc:patches';
const PUBLICATIONS = 400;

let hub;
before(async () => {
  hub = await Hub.start();
});
after(() => hub.stop());

/** Numbers that are the same in every run. */
function* numbers(seed) {
  for (let state = seed; ; state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) yield state >>> 8;
}

/** Texts that are made of the one before by a few edits, of all sizes. */
function texts(count) {
  const random = numbers(7);
  const below = (max) => random.next().value % max;
  const alphabet = [...'abc {}":,0123456789äöü€₭😀😁\\\n'];
  const piece = () => Array.from({ length: below(12) }, () => alphabet[below(alphabet.length)]).join('');
  const all = [];
  let characters = [...JSON.stringify(versionOf(0))];
  for (let number = 0; number < count; number++) {
    for (let edits = below(8); edits > 0; edits--) {
      const at = below(characters.length + 1);
      if (below(20) === 0) characters.push(...characters.slice(at));
      else characters.splice(at, below(20), ...piece());
    }
    characters = characters.slice(0, 6_000);
    all.push(characters.join(''));
  }
  return all;
}

test('every patch makes of the publication before what was published', async () => {
  const socket = new WebSocket(hub.websocket);
  const told = [];
  await new Promise((resolve, reject) => {
    socket.once('close', (code, reason) => reject(new Error(`the hub closed with ${code} ${reason}`)));
    socket.on('message', (frame) => {
      for (const message of frame.toString().split('\n').map((line) => JSON.parse(line))) {
        if (Object.keys(message).length === 0) socket.send('{}');
        if (message.connect) socket.send(JSON.stringify({ id: 2, subscribe: { channel: CHANNEL, delta: 'fossil' } }));
        if (message.subscribe) resolve();
        if (message.push?.pub) told.push(message.push.pub);
      }
    });
    socket.once('open', () => socket.send(JSON.stringify({ id: 1, connect: { token: token({ sub: '42' }) } })));
  });
  const published = texts(PUBLICATIONS);
  for (const data of published) await hub.api('publish', { channel: CHANNEL, data });
  await eventually(`${PUBLICATIONS} publications arriving`, () => told.length === PUBLICATIONS);
  socket.close();

  let base;
  let patches = 0;
  told.forEach(({ data, delta }, number) => {
    const bytes = Buffer.from(data);
    if (delta) {
      patches++;
      assert.equal(getDeltaTargetSize(bytes), Buffer.byteLength(JSON.stringify(published[number])));
      base = Buffer.from(applyDelta(base, bytes));
    } else {
      base = bytes;
    }
    assert.equal(JSON.parse(base.toString()), published[number], `publication ${number + 1}`);
  });
  assert.ok(patches > PUBLICATIONS / 2, `${patches} patches of ${PUBLICATIONS} publications`);
});
