// What lists cost that are as long as they get, asked for by command and looked at in Chromium, on a hub of its own; not a test, as figures
// are the machine's (docs/benchmarks.md):
//
//     AETHER_BIN=$PWD/target/release/aether node tests/browser/crowd.mjs [--sessions 10000] [--channels 10] [--feeds 50]

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { eventually, launch } from './support/browser.mjs';
import { gather } from './support/crowd.mjs';
import { operator, PASSWORD, signIn } from './support/desk.mjs';
import { startHub } from './support/hub.mjs';

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '10000' },
    channels: { type: 'string', default: '10' },
    feeds: { type: 'string', default: '50' },
  },
});
const [sessions, channels, feeds] = [values.sessions, values.channels, values.feeds].map(Number);
/** Each question is asked so often, one after the other. */
const TIMES = 10;
/** A view is left open for so long, to see what it costs. */
const OPEN_MS = 20_000;
const SCROLL_MS = 5_000;
/** Of `/proc/PID/stat`: USER_HZ, which Linux has fixed. */
const TICKS_PER_SECOND = 100;

const say = (what, figure) => console.log(`${what.padEnd(62)} ${figure}`);
const ms = (times) => {
  const sorted = [...times].sort((one, other) => one - other);
  return `${sorted[Math.floor(sorted.length / 2)].toFixed(1)}, ${sorted.at(-1).toFixed(1)}`;
};

const hub = await startHub();
const ends = [];
const t = { after: (end) => ends.push(end) };
let browser;
try {
  await hub.addUser('mara', PASSWORD, 'admin');
  const began = performance.now();
  const crowd = await gather(hub.url, { sessions, channels });
  ends.push(crowd.end);
  say(`${sessions} sessions with ${sessions * channels} channels are there after, s`, ((performance.now() - began) / 1000).toFixed(1));
  const { ask, close } = await operator(hub.url, 'mara');
  ends.push(close);
  for (let n = 0; n < feeds; n += 1)
    await ask('upstream.add', { feed: `feed-${n}`, definition: { url: `${crowd.feedUrl}/${n}`, channel: `demo:feed-${n}` } });

  const cpuSeconds = async () => {
    const fields = (await readFile(`/proc/${hub.pid}/stat`, 'utf8')).split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  };
  /** How late the slowest worker's timer was at most while `work` was done, and what the hub computed meanwhile. */
  const beside = async (work) => {
    let lag = 0;
    let isOver = false;
    const watch = (async () => {
      while (!isOver) {
        const { workers } = await ask('metrics.now');
        lag = Math.max(lag, ...workers.map(({ lag_ms }) => lag_ms));
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    })();
    const [from, before] = [performance.now(), await cpuSeconds()];
    await work();
    const spent = (await cpuSeconds()) - before;
    const seconds = (performance.now() - from) / 1000;
    // What is told is of the second before.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    isOver = true;
    await watch;
    return { lag, percent: ((100 * spent) / seconds).toFixed(1) };
  };

  const asked = async (what, command, data) => {
    const times = [];
    let answer;
    for (let n = 0; n < TIMES; n += 1) {
      const from = performance.now();
      answer = await ask(command, data);
      times.push(performance.now() - from);
    }
    say(`${what}, ms (middle and worst of ${TIMES})`, ms(times));
    return answer;
  };
  say('hub at rest: per cent of one core', (await beside(() => new Promise((resolve) => setTimeout(resolve, OPEN_MS)))).percent);

  const [few, many, none] = ['*crowd-01234*', '*crowd-0*', '*nobody*'];
  const { lag } = await beside(async () => {
    const all = sessions * channels;
    const at = (n) => `demo:crowd-${String(Math.max(0, n)).padStart(6, '0')}`;
    for (const [where, after] of [['first', undefined], ['middle', at(all / 2)], ['last', at(all - 201)]])
      await asked(`channels.list, ${where} page`, 'channels.list', { limit: 200, after });
    for (const sort of ['rate', 'subscribers', 'name']) {
      const order = { sort, descending: sort !== 'name', limit: 200 };
      for (const [where, skip] of [['first', 0], ['middle', all / 2], ['last', all - 200]])
        await asked(`channels.browse by ${sort}, ${where} page`, 'channels.browse', { ...order, skip: Math.max(0, Math.floor(skip)) });
      for (const [what, pattern] of Object.entries({ few, many, none }))
        await asked(`channels.browse by ${sort}, ${what} match`, 'channels.browse', { ...order, pattern });
    }
    await asked('sessions.list, first page', 'sessions.list', { limit: 100 });
    for (const sort of ['since', 'user', 'subscriptions', 'last_seen', 'address'])
      for (const [where, skip] of [['first', 0], ['middle', sessions / 2], ['last', sessions - 100]])
        await asked(`sessions.browse by ${sort}, ${where} page`, 'sessions.browse', { sort, skip: Math.max(0, Math.floor(skip)), limit: 100 });
    for (const [what, text] of Object.entries({ few: '127.0.0.3', many: 'node', none: 'nobody' }))
      await asked(`sessions.browse, ${what} match`, 'sessions.browse', { text, limit: 100 });
    await asked('upstream.list', 'upstream.list', {});
  });
  say('slowest worker meanwhile, late by at most, ms', lag);

  browser = await launch();
  const view = await signIn(t, browser, hub.url, '/settings', 'mara');
  const { page } = view;
  const heap = await page.context().newCDPSession(page);
  const heapMiB = async () => {
    await heap.send('HeapProfiler.collectGarbage');
    return ((await heap.send('Runtime.getHeapUsage')).usedSize / 1024 / 1024).toFixed(1);
  };
  const rows = page.locator('.table-scroll [role=row]:has([data-stop])');
  const timed = async (what, act, isThere) => {
    const from = performance.now();
    await act();
    await eventually(what, isThere, 120_000);
    say(`${what}, ms`, Math.round(performance.now() - from));
  };
  /** The scroll bar is drawn from end to end and back, as a person would. */
  const scrolled = () =>
    page.locator('.table-scroll').evaluate(
      (node, during) =>
        new Promise((resolve) => {
          let [count, worst, before] = [0, 0, performance.now()];
          const began = before;
          const frame = (now) => {
            count += 1;
            worst = Math.max(worst, now - before);
            before = now;
            const part = (now - began) / during;
            node.scrollTop = (node.scrollHeight - node.clientHeight) * (1 - Math.abs(1 - 2 * part));
            if (part < 1) requestAnimationFrame(frame);
            else resolve(`${((count * 1000) / during).toFixed(1)}, ${Math.round(worst)}`);
          };
          requestAnimationFrame(frame);
        }),
      SCROLL_MS,
    );
  for (const [name, address, typed, last] of [
    ['channels by load', '/channels', 'crowd-01234', `crowd-${String(sessions * channels - 1).padStart(6, '0')}`],
    ['channels by name', '/channels?order=name', 'crowd-01234', `crowd-${String(sessions * channels - 1).padStart(6, '0')}`],
    ['sessions', '/sessions?sort=since', '127.0.0.3', 'mara'],
  ]) {
    await timed(`${name}: first rows`, () => page.goto(`${hub.url}${address}`), async () => (await rows.count()) > 5);
    say(`${name}: heap, MiB`, await heapMiB());
    await page.locator('.table-scroll [data-stop]').first().focus();
    await timed(
      `${name}: the last row by the End key`,
      () => page.keyboard.press('End'),
      async () => (await page.locator('.table-scroll').innerText()).includes(last),
    );
    const drawn = await beside(async () => say(`${name}: drawn from end to end: frames/s, longest, ms`, await scrolled()));
    say(`${name}: slowest worker meanwhile, ms; hub, per cent of one core`, `${drawn.lag}; ${drawn.percent}`);
    await timed(
      `${name}: rows in the middle, after a jump`,
      () => page.locator('.table-scroll').evaluate((node) => (node.scrollTop = node.scrollHeight / 2)),
      async () => (await rows.count()) > 5,
    );
    const all = Number(await page.locator('[role=table]').getAttribute('aria-rowcount'));
    await timed(
      `${name}: a search`,
      () => page.locator('input[type=search]').fill(typed),
      async () => Number(await page.locator('[role=table]').getAttribute('aria-rowcount')) < all && (await rows.first().innerText()).includes(typed),
    );
    await page.locator('input[type=search]').fill('');
    await eventually('all of them', async () => Number(await page.locator('[role=table]').getAttribute('aria-rowcount')) >= all);
    const open = await beside(() => page.waitForTimeout(OPEN_MS));
    say(`${name}: open: hub, per cent of one core; slowest worker, ms`, `${open.percent}; ${open.lag}`);
    say(`${name}: heap at the end, MiB`, await heapMiB());
  }
  await timed('feeds: first rows', () => page.goto(`${hub.url}/upstreams`), async () => (await rows.count()) > 5);
  await timed('overview: charts', () => page.goto(`${hub.url}/overview`), async () => (await page.locator('.chart canvas').count()) > 3);
} finally {
  for (const end of ends.reverse()) await end();
  await browser?.close();
  await hub.end('SIGTERM');
}
