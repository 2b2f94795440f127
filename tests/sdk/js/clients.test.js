// The examples of docs/clients.md, as they stand there: each is run against a real hub, over a wire that is cut under it.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';
import { layWire } from '../../browser/support/wire.mjs';
import { freePort, startNginx } from '../../peers/nginx.mjs';
import { eventually, Hub } from './hub.js';

const page = readFileSync(fileURLToPath(new URL('../../../docs/clients.md', import.meta.url)), 'utf8');
const examples = (language) => [...page.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, text]) => text);
/** As the page's configuration has it. */
const KEY = 'a-key-of-your-application';

let hub;
let folder;
before(async () => {
  const own = { AETHER_HTTP_SERVER_ADDRESS: '127.0.0.1', AETHER_HTTP_SERVER_PORT: '0', AETHER_DEBUG_ENABLED: 'true', AETHER_SHUTDOWN_SPREAD: '0s' };
  hub = await Hub.start({ ...own, AETHER_TOPIC_LINGER: '100ms', AETHER_HTTP_API_KEY: KEY }, examples('toml').join('\n'));
  folder = mkdtempSync(join(tmpdir(), 'aether-clients-'));
  symlinkSync(fileURLToPath(new URL('node_modules', import.meta.url)), join(folder, 'node_modules'));
});
afterEach(() => hub.untilEmpty());
after(async () => {
  await hub.stop();
  rmSync(folder, { recursive: true, force: true });
});

const at = (text, url) => text.replaceAll('http://localhost:8000', url).replaceAll('ws://localhost:8000', url.replace('http', 'ws'));
const publish = (title) => hub.api('publish', { channel: 'news:world', data: { title } });
const isHeard = async () => {
  const { members, mercure_subscribers } = JSON.parse(await hub.counts());
  return members + mercure_subscribers > 0;
};

/** A program, and the lines that it has written. */
function start(t, command, ...options) {
  const child = spawn(command, options, { stdio: ['ignore', 'pipe', 'pipe'] });
  const program = { lines: [], errors: '', end: () => child.kill('SIGKILL') };
  t.after(program.end);
  createInterface({ input: child.stdout }).on('line', (line) => line && program.lines.push(line));
  child.stderr.on('data', (text) => (program.errors += text));
  return program;
}

function written(name, text) {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

function built(source) {
  const program = join(folder, 'news');
  const env = { ...process.env, GOPROXY: 'off', GOTOOLCHAIN: 'local', GOFLAGS: '', CGO_ENABLED: '0' };
  execFileSync('go', ['build', '-o', program, source], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  return program;
}

const python = process.env.PYTHON ?? 'python3';
const programs = {
  'in Node.js': (wire) => [process.execPath, written('news.mjs', at(examples('js')[0], wire))],
  'in Python, with the SDK': (wire) => [python, written('sdk.py', at(examples('python')[0], wire))],
  'in Python, without a library': (wire) => [python, written('plain.py', at(examples('python')[1], wire))],
  'in Go': (wire) => [built(written('main.go', at(examples('go')[0], wire)))],
};

for (const [name, command] of Object.entries(programs)) {
  test(`the example ${name} misses nothing when the network was gone`, { timeout: 180_000 }, async (t) => {
    const wire = await layWire(new URL(hub.http).port);
    t.after(() => wire.remove());
    const program = start(t, ...command(wire.url));
    const has = (...titles) => eventually(`${titles} of ${program.lines}; ${program.errors}`, () => program.lines.length >= titles.length);
    await eventually(`its listening; ${program.errors}`, isHeard);
    await publish('one');
    await has('one');
    wire.cut();
    await hub.untilEmpty();
    await publish('while it was away');
    wire.mend();
    await has('one', 'while it was away');
    await publish('three');
    await has('one', 'while it was away', 'three');
    assert.deepEqual(program.lines, ['one', 'while it was away', 'three']);
    program.end();
  });
}

test('behind a proxy that breaks WebSocket, Python and Go hear by Mercure, and the SDK of Node.js by http_stream', { timeout: 180_000 }, async (t) => {
  const port = await freePort();
  const nginx = await startNginx(port, () => `server { listen 127.0.0.1:${port}; location / { proxy_pass ${hub.http}; } }`);
  t.after(() => nginx.end());
  const proxy = `http://127.0.0.1:${port}`;
  const heard = ['in Python, without a library', 'in Go'].map((name) => start(t, ...programs[name](proxy)));
  const seen = [];
  const transports = ['websocket', 'http_stream'].map((transport) => ({
    transport,
    endpoint: `${transport === 'websocket' ? proxy.replace('http', 'ws') : proxy}/connection/${transport}`,
  }));
  const client = new Centrifuge(transports, { emulationEndpoint: `${proxy}/emulation`, websocket: WebSocket });
  let by;
  client.on('connected', ({ transport }) => (by = transport));
  const news = client.newSubscription('news:world');
  news.on('publication', ({ data }) => seen.push(data.title));
  news.subscribe();
  client.connect();
  await news.ready(20_000);
  assert.equal(by, 'http_stream');
  await eventually('both programs', async () => JSON.parse(await hub.counts()).mercure_subscribers === 2);
  await publish('through it');
  await eventually('the event at each', () => seen.length === 1 && heard.every(({ lines }) => lines.includes('through it')));
  client.disconnect();
  for (const program of heard) program.end();
});

test('what curl publishes, curl reads', { timeout: 60_000 }, async (t) => {
  const [publishing, reading] = examples('sh').map((text) => at(text, hub.http));
  const reader = start(t, 'sh', '-c', `exec ${reading}`);
  await eventually('its listening', isHeard);
  const said = execFileSync('sh', ['-c', publishing]).toString();
  assert.equal(typeof JSON.parse(said).result.offset, 'number', said);
  await eventually(`the event among ${reader.lines}`, () => reader.lines.includes('data: {"title":"A launch"}'));
  reader.end();
});

test('nginx, as the page configures it, passes everything on, and HTTP/2 lifts the limit of six', { timeout: 60_000 }, async (t) => {
  const port = await freePort();
  const http = (root) =>
    examples('nginx')[0]
      .replace('listen 443 ', `listen 127.0.0.1:${port} `)
      .replace('/etc/nginx/hub.pem', join(root, 'cert.pem'))
      .replace('/etc/nginx/hub-key.pem', join(root, 'key.pem'))
      .replace('http://127.0.0.1:8000', hub.http);
  const nginx = await startNginx(port, http);
  t.after(() => nginx.end());

  class Trusting extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { rejectUnauthorized: false });
    }
  }
  const seen = [];
  const client = new Centrifuge(`wss://127.0.0.1:${port}/connection/websocket`, { websocket: Trusting });
  const news = client.newSubscription('news:world');
  news.on('publication', ({ data }) => seen.push(data.title));
  news.subscribe();
  client.connect();
  await news.ready(20_000);

  const browser = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  t.after(() => browser.destroy());
  const streams = Array.from({ length: 20 }, () => {
    const stream = browser.request({ ':path': '/.well-known/mercure?topic=news:world' });
    const one = { text: '', close: () => stream.close() };
    stream.setEncoding('utf8');
    stream.on('data', (text) => (one.text += text));
    return one;
  });
  // The comment that opens the answer: nothing holds it back.
  await eventually('twenty answers on one connection', () => streams.every(({ text }) => text.startsWith(':')));
  await publish('to all');
  await eventually('the event on each', () => streams.every(({ text }) => text.includes('data: {"title":"to all"}')));
  await eventually('the event by WebSocket', () => seen.length === 1);
  for (const stream of streams) stream.close();
  client.disconnect();
});
