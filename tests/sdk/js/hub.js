// Starts the real hub for one test file, and says what an application would: tokens and server API calls.

import { execFileSync, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SECRET = 'a-secret-of-the-tests-32-bytes-long';
const API_KEY = 'the-api-key-of-the-tests';
const DEADLINE_MS = 20_000;

const encode = (text) => Buffer.from(text).toString('base64url');

/** A token signed as an application's backend would sign it. */
export function token(claims) {
  const signed = `${encode(JSON.stringify({ alg: 'HS256', typ: 'JWT' }))}.${encode(JSON.stringify(claims))}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

export const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;

/** Asks again and again until the answer is truthy; fails with the last answer. */
export async function eventually(what, probe) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const answer = await probe();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`${what} did not come true within ${DEADLINE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// Who is ended from outside leaves no hub and no folder behind either.
for (const [name, number] of [['SIGINT', 2], ['SIGTERM', 15]]) process.once(name, () => process.exit(128 + number));

/** A document of which only a little changes from one number to the next: in turn one thing or another, and sometimes everything. */
export function versionOf(number) {
  const rows = Array.from({ length: 12 }, (_, row) => ({ name: `row ${row} – größe €`, value: row === number % 12 ? number : row, note: '😀' }));
  const extra = number % 5 === 0 ? { [`in ${number}`]: 'only,日本語' } : {};
  return number % 9 === 8 ? { nothing: `of the one before: ${number}` } : { number, rows, ...extra };
}

export class Hub {
  /** `variables`: options of this hub alone, as environment variables. `text`: another configuration than that of the tests. */
  static async start(variables = {}, text = null) {
    const binary = process.env.AETHER_BIN;
    if (!binary) throw new Error('AETHER_BIN must name the hub to test');
    const folder = mkdtempSync(join(tmpdir(), 'aether-sdk-'));
    const config = text === null ? fileURLToPath(new URL('../hub.toml', import.meta.url)) : join(folder, 'aether.toml');
    if (text !== null) writeFileSync(config, text);
    const env = { ...process.env, ...variables, AETHER_DATA_DIR: folder };
    const child = spawn(binary, ['serve', '--config', config], { stdio: ['ignore', 'pipe', 'pipe'], env });
    const hub = new Hub(child, variables.AETHER_HTTP_API_KEY ?? API_KEY);
    hub.command = (args, input) => execFileSync(binary, [...args, '--config', config], { env, input, stdio: ['pipe', 'pipe', 'pipe'] });
    child.stderr.on('data', (chunk) => hub.log.push(chunk.toString()));
    const ready = new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => line.startsWith('ready ') && resolve(line.split(' ')[1]));
      child.once('exit', (code) => reject(new Error(`the hub ended with ${code}\n${hub.log.join('')}`)));
    });
    process.once('exit', () => {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    });
    hub.http = await ready;
    hub.baseline = await hub.counts();
    return hub;
  }

  constructor(child, key) {
    this.child = child;
    this.key = key;
    this.log = [];
  }

  get websocket() {
    return `${this.http.replace('http://', 'ws://')}/connection/websocket`;
  }

  async api(method, params) {
    const answer = await fetch(`${this.http}/api/${method}`, {
      method: 'POST',
      headers: { 'X-API-Key': this.key, 'Content-Type': 'application/json', Connection: 'close' },
      body: JSON.stringify(params),
    });
    const body = await answer.json();
    if (!body.result) throw new Error(`${method} answered ${JSON.stringify(body)}`);
    return body.result;
  }

  /** What a client that left may leave no trace in. */
  async counts() {
    const answer = await fetch(`${this.http}/debug/state`, { headers: { 'X-API-Key': this.key, Connection: 'close' } });
    const { sessions, members, topics, presence, mercure_subscribers } = await answer.json();
    return JSON.stringify({ sessions, members, topics, presence, mercure_subscribers });
  }

  signal(name) {
    this.child.kill(name);
  }

  /** Everybody has left, and nothing of them remains. */
  untilEmpty() {
    return eventually('the hub being empty', async () => (await this.counts()) === this.baseline);
  }

  /** Ends the hub as an operator would; it must end well. */
  async stop() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.signal('SIGTERM');
    const code = await ended;
    if (code !== 0) throw new Error(`SIGTERM ended the hub with ${code}\n${this.log.join('')}`);
  }
}
