// The real binary, in development mode, on a free port, with a folder of its own. Known to be ready by its own ready line.

import { execFile, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const READY_DEADLINE_MS = 30_000;
const EXIT_DEADLINE_MS = 15_000;
const OUTPUT_KEPT = 20_000;

// Who is ended from outside leaves no hub and no folder behind either.
for (const [name, number] of [['SIGINT', 2], ['SIGTERM', 15]]) process.once(name, () => process.exit(128 + number));

/** `folder`: of a hub that was there before, and whose data this one is to find. */
export async function startHub(settings = {}, { folder = null } = {}) {
  const binary = process.env.AETHER_BIN;
  if (!binary) throw new Error('AETHER_BIN must name the hub’s binary');
  folder ??= await mkdtemp(join(tmpdir(), 'aether-browser-'));
  const child = spawn(binary, ['serve', '--dev'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      AETHER_DATA_DIR: join(folder, 'data'),
      AETHER_HTTP_SERVER_ADDRESS: '127.0.0.1',
      AETHER_HTTP_SERVER_PORT: '0',
      AETHER_HTTP_SERVER_TLS_PORT: '0',
      ...settings,
    },
  });
  let output = '';
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  process.once('exit', () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  let key = '';
  const hub = {
    get output() {
      return output;
    },
    pid: child.pid,
    /** What it ended with: a code, or the name of a signal. */
    exited,
    url: '',
    port: 0,
    folder,
    /** An account, made as an operator would: on the store, the password by standard input. */
    async addUser(name, password, role = 'viewer') {
      const env = { PATH: process.env.PATH, HOME: folder, AETHER_DATA_DIR: join(folder, 'data') };
      await new Promise((resolve, reject) => {
        const add = execFile(binary, ['user', 'add', name, '--role', role], { cwd: folder, env }, (error, _, stderr) =>
          error ? reject(new Error(`user add ${name}: ${stderr}`)) : resolve(),
        );
        add.stdin.end(password);
      });
    },
    /** `keep`: its data stays, for a hub that is to come after it. */
    async end(signal, { keep = false } = {}) {
      child.kill(signal);
      const ended = await Promise.race([exited, sleep(EXIT_DEADLINE_MS, 'too late', { ref: false })]);
      if (ended === 'too late') child.kill('SIGKILL');
      await exited;
      if (!keep) await rm(folder, { recursive: true, force: true });
      if (ended === 'too late') throw new Error(`the hub did not end in ${EXIT_DEADLINE_MS} ms after ${signal}\n${output}`);
    },
    /** Asks the server API. */
    async api(method, request) {
      const response = await fetch(`${hub.url}/api/${method}`, {
        method: 'POST',
        headers: { 'X-API-Key': key, 'Content-Type': 'application/json' },
        body: JSON.stringify(request),
      });
      const answer = await response.text();
      if (!response.ok || JSON.parse(answer).error) throw new Error(`${method} ${JSON.stringify(request)}: ${response.status} ${answer}`);
    },
    /** Publishes by the server API. `payload` is `{ data }` or `{ b64data }`. */
    publish: (channel, payload) => hub.api('publish', { channel, ...payload }),
  };
  const ready = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        output = (output + text).slice(-OUTPUT_KEPT);
        const line = /^ready (http:\/\/\S+)/m.exec(output);
        if (line) resolve(line[1]);
      });
    }
  });
  const url = await Promise.race([ready, exited.then((end) => ({ end })), sleep(READY_DEADLINE_MS, null, { ref: false })]);
  if (typeof url !== 'string') {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    throw new Error(`the hub did not get ready: ${JSON.stringify(url)}\n${output}`);
  }
  // Made by the hub itself, on its first start.
  key = (await readFile(join(folder, 'data', 'api-key'), 'utf8')).trim();
  hub.url = url.replace(/\/$/, '');
  hub.port = Number(new URL(url).port);
  return hub;
}
