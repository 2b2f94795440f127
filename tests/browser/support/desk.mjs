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

/** What must be back where it was when pages come and go; the connection that asks is in it. */
export async function countsOf(url, name) {
  const login = await fetch(`${url}/auth/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Sec-Fetch-Site': 'same-origin' },
    body: JSON.stringify({ name, password: PASSWORD }),
  });
  const { token } = await login.json();
  const socket = new WebSocket(`${url.replace('http', 'ws')}/connection/websocket?for=admin`);
  try {
    return await new Promise((resolve, reject) => {
      const ask = (id, command) => socket.send(JSON.stringify({ id, ...command }));
      socket.on('error', reject);
      socket.on('open', () => ask(1, { connect: { token } }));
      socket.on('message', (data) => {
        for (const line of String(data).split('\n').filter((one) => one !== '{}')) {
          const reply = JSON.parse(line);
          if (reply.error) reject(new Error(line));
          else if (reply.id === 1) ask(2, { rpc: { method: 'admin.status', data: {} } });
          else if (reply.id === 2) resolve(Object.fromEntries(COUNTED.map((one) => [one, reply.rpc.data.counts[one]])));
        }
      });
    });
  } finally {
    socket.close();
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
