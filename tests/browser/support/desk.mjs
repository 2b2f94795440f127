// A browser that is signed in at the dashboard, and what the hub counts of itself, asked for as an operator would.

import { WebSocket } from 'ws';
import { eventually, open } from './browser.mjs';

export const PASSWORD = 'correct horse battery';

/** A browser that is signed in and shows a view. */
export async function signIn(t, browser, url, path, name, options = {}) {
  const view = await open(t, browser, `${url}/login?next=${encodeURIComponent(path)}`, options);
  await view.page.fill('input[name=username]', name);
  await view.page.fill('input[name=password]', PASSWORD);
  await view.page.keyboard.press('Enter');
  await eventually('live', async () => (await view.text('.status-mark')) === 'Live');
  return view;
}

const COUNTED = ['sessions', 'connections', 'members', 'session_actors', 'topics', 'timers', 'descriptors'];

/** A connection for commands of operators; `ask` answers with what the hub does. */
export async function operator(url, name) {
  const login = await fetch(`${url}/auth/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Sec-Fetch-Site': 'same-origin' },
    body: JSON.stringify({ name, password: PASSWORD }),
  });
  const { token } = await login.json();
  const socket = new WebSocket(`${url.replace('http', 'ws')}/connection/websocket?for=admin`);
  const asked = new Map();
  let last = 0;
  const send = (command) =>
    new Promise((resolve, reject) => {
      asked.set((last += 1), { resolve, reject });
      socket.send(JSON.stringify({ id: last, ...command }));
    });
  socket.on('message', (data) => {
    for (const line of String(data).split('\n')) {
      if (line === '{}') socket.send('{}');
      const { id, error, ...reply } = JSON.parse(line);
      const { resolve, reject } = asked.get(id) ?? {};
      asked.delete(id);
      if (error) reject?.(new Error(line));
      else resolve?.(reply);
    }
  });
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  socket.on('close', () => {
    for (const { reject } of asked.values()) reject(new Error('the connection ended'));
  });
  await send({ connect: { token } });
  return {
    ask: async (command, data = {}) => (await send({ rpc: { method: `admin.${command}`, data } })).rpc.data,
    close: () => socket.close(),
  };
}

/** What must be back where it was when pages come and go; the connection that asks is in it. */
export async function countsOf(url, name) {
  const { ask, close } = await operator(url, name);
  try {
    const { counts } = await ask('status');
    return Object.fromEntries(COUNTED.map((one) => [one, counts[one]]));
  } finally {
    close();
  }
}

/** Opens the dashboard so many times in one tab, each time until it is live. */
export async function loadAgain(t, browser, url, times, name) {
  const view = await signIn(t, browser, url, '/overview', name);
  for (let n = 1; n < times; n += 1) {
    await view.page.reload({ waitUntil: 'commit' });
    await eventually('live', async () => (await view.page.locator('.status-mark').innerText({ timeout: 5_000 })) === 'Live', 30_000);
  }
  await view.close();
}
