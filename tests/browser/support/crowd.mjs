// A crowd, in a process of its own so that what it costs is in nobody's figures: so many sessions with so many channels each, and servers
// that feeds are read from. Ends with its parent.

import { fork } from 'node:child_process';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';

/** One address has 28,000 ports, of which the system may hold back those that were used a moment ago. */
const SESSIONS_OF_ADDRESS = 500;
/** Connections that are being made at one time. */
const AT_ONCE = 100;
const EVENT_EVERY_MS = 1_000;

/** Brings `sessions` with `channels` each to the hub; answers with the address that events come from, and with how it ends. */
export async function gather(url, { sessions, channels }) {
  const crowd = fork(fileURLToPath(import.meta.url), [url, String(sessions), String(channels)]);
  const feedUrl = await new Promise((resolve, reject) => {
    crowd.on('message', resolve);
    crowd.on('exit', (code) => reject(new Error(`the crowd ended with ${code}`)));
  });
  return { feedUrl, end: () => crowd.kill() };
}

async function arrive(url, sessions, channels) {
  let next = 0;
  const connect = (n) =>
    new Promise((resolve, reject) => {
      const localAddress = `127.0.0.${2 + Math.floor(n / SESSIONS_OF_ADDRESS)}`;
      const socket = new WebSocket(`${url.replace('http', 'ws')}/connection/websocket`, { localAddress, perMessageDeflate: false });
      let answers = 0;
      socket.on('open', () => {
        const wanted = Array.from({ length: channels }, (_, at) => `demo:crowd-${String(n * channels + at).padStart(6, '0')}`);
        const commands = [{ connect: { name: `n${n}` } }, ...wanted.map((channel) => ({ subscribe: { channel } }))];
        socket.send(commands.map((command, at) => JSON.stringify({ id: at + 1, ...command })).join('\n'));
      });
      socket.on('message', (data) => {
        for (const line of String(data).split('\n')) {
          if (line === '{}') socket.send('{}');
          else if (line.includes('"error"')) reject(new Error(line));
          else if ('id' in JSON.parse(line) && (answers += 1) > channels) resolve();
        }
      });
      socket.on('error', reject);
      socket.on('close', (code, reason) => reject(new Error(`a session was closed: ${code} ${reason}`)));
    });
  const lane = async () => {
    while (next < sessions) await connect(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url, sessions, channels] = process.argv.slice(2);
  process.on('disconnect', () => process.exit());
  let id = 0;
  const server = createServer((_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
    const timer = setInterval(() => response.write(`id: ${(id += 1)}\ndata: {"n":${id}}\n\n`), EVENT_EVERY_MS);
    response.on('close', () => clearInterval(timer));
  });
  server.listen(0, '127.0.0.1');
  await arrive(url, Number(sessions), Number(channels));
  process.send(`http://127.0.0.1:${server.address().port}`);
}
