// What the dashboard costs, measured in Chromium on a hub of its own; not a test, as figures are the machine's (docs/benchmarks.md):
//
//     AETHER_BIN=$PWD/target/release/aether node tests/browser/measure.mjs [--loads 500] [--minutes 10]

import { parseArgs } from 'node:util';
import { launch } from './support/browser.mjs';
import { countsOf, loadAgain, PASSWORD, signIn } from './support/desk.mjs';
import { startHub } from './support/hub.mjs';

const { values } = parseArgs({ options: { loads: { type: 'string', default: '500' }, minutes: { type: 'string', default: '10' } } });
const PANELS =
  'delivered latency sessions objectives pool closed cpu memory lag happened feeds errors recoveries descriptors store waiting canaries host sockets leak'.split(' ');
const FRAMES_MS = 20_000;
const HIDDEN_MS = 10_000;
/** Of the time that the page is open; at the end of each its heap is read. */
const HEAP_PARTS = 6;

const hub = await startHub();
const browser = await launch();
const ends = [];
const t = { after: (end) => ends.push(end) };
/** Topics linger for a moment, so that who loads a page anew finds them. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 20_000));
const say = (what, figure) => console.log(`${what.padEnd(46)} ${figure}`);
try {
  await hub.addUser('mara', PASSWORD, 'admin');
  const view = await signIn(t, browser, hub.url, '/overview', 'mara');
  const { page } = view;

  await page.evaluate((panels) => {
    localStorage.setItem('aether.preferences', JSON.stringify({ panels, unsavedBy: 'mara' }));
  }, PANELS);
  const paints = [];
  for (let n = 0; n < 10; n += 1) {
    await page.goto(`${hub.url}/overview?range=live`);
    await page.waitForSelector('.chart canvas');
    paints.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN));
  }
  paints.sort((one, other) => one - other);
  say('first paint, ms (middle and worst of 10)', `${Math.round(paints[5])}, ${Math.round(paints[9])}`);
  say('live charts on the page', await page.locator('.chart canvas').count());
  const frames = await page.evaluate(
    (ms) =>
      new Promise((resolve) => {
        let [count, worst, before] = [0, 0, performance.now()];
        const end = before + ms;
        const frame = (now) => {
          count += 1;
          worst = Math.max(worst, now - before);
          before = now;
          if (now < end) requestAnimationFrame(frame);
          else resolve({ perSecond: (count * 1000) / ms, worst });
        };
        requestAnimationFrame(frame);
      }),
    FRAMES_MS,
  );
  say('frames a second; longest frame, ms', `${frames.perSecond.toFixed(1)}; ${Math.round(frames.worst)}`);

  let sent = 0;
  let heard = 0;
  const other = await view.tab('about:blank');
  other.page.on('websocket', (socket) => {
    socket.on('framesent', () => (sent += 1));
    socket.on('framereceived', () => (heard += 1));
  });
  await other.page.goto(`${hub.url}/overview?range=live`);
  await other.page.waitForSelector('.chart canvas');
  await other.page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { get: () => true });
    Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  // It gives its channels back after five seconds.
  await other.page.waitForTimeout(7_000);
  [sent, heard] = [0, 0];
  await other.page.waitForTimeout(HIDDEN_MS);
  say(`frames to and from a hidden tab in ${HIDDEN_MS / 1000} s`, `${sent}, ${heard}`);
  await other.page.close();

  const heap = await page.context().newCDPSession(page);
  const used = async () => {
    await heap.send('HeapProfiler.collectGarbage');
    return (await heap.send('Runtime.getHeapUsage')).usedSize / (1024 * 1024);
  };
  // The steps of the live range, 400 of them, come together first; from then on it is to stay as it is.
  const minutes = Number(values.minutes);
  const readings = [(await used()).toFixed(1)];
  for (let part = 0; part < HEAP_PARTS; part += 1) {
    await page.waitForTimeout((minutes * 60_000) / HEAP_PARTS);
    readings.push((await used()).toFixed(1));
  }
  say(`heap over ${minutes} min, MiB`, readings.join(', '));
  await view.close();

  await loadAgain(t, browser, hub.url, 3, 'mara');
  await settled();
  const before = await countsOf(hub.url, 'mara');
  const loads = Number(values.loads);
  await loadAgain(t, browser, hub.url, loads, 'mara');
  await settled();
  const after = await countsOf(hub.url, 'mara');
  for (const [name, count] of Object.entries(before)) say(`${name}: before, after ${loads} page loads`, `${count}, ${after[name]}`);
} finally {
  for (const end of ends) await end().catch(() => {});
  await browser.close();
  await hub.end('SIGTERM');
}
