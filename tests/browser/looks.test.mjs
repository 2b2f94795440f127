// The page in three widths and both themes: without a violation that axe finds, without sideways scrolling, without a shift.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, launch, open } from './support/browser.mjs';
import { startHub } from './support/hub.mjs';
import { assertClean, assertNoSidewaysScroll } from './support/looks.mjs';

let browser;
let hub;

before(async () => {
  [browser, hub] = await Promise.all([launch(), startHub()]);
});

after(async () => {
  await browser?.close();
  await hub?.end('SIGTERM');
});

for (const theme of ['dark', 'light'])
  for (const [width, height] of [
    [390, 844],
    [820, 1180],
    [1440, 900],
  ])
    test(`the page is clean at ${width} in the ${theme} theme`, async (t) => {
      const view = await open(t, browser, hub.url, { width, height, theme });
      await eventually('messages', async () => (await view.page.locator('.messages-body [data-message]').count()) > 10, 20_000);
      await view.page.fill('.say-form input', `hello at ${width}`);
      await view.page.keyboard.press('Enter');
      await eventually('the round trip', async () => /ms$/.test(await view.text('.trip-stop:last-child b')));
      await eventually('who is here', async () => /this tab/.test(await view.text('.here')));
      // Rows that stand still: on a busy machine one has moved away between press and release.
      await view.page.click('.messages-toggle');
      await view.page.click('.messages-body [data-message]');
      await view.page.waitForSelector('.message-full');
      await view.page.mouse.move(0, 0);
      await assertClean(view);
      await assertNoSidewaysScroll(view);
      await view.assertStill();
      await view.shoot(`live-${theme}-${width}`, { fullPage: true });
      view.assertQuiet();
    });

test('the page holds together at 320 px, which is 1280 px at 400 %', async (t) => {
  const view = await open(t, browser, hub.url, { width: 320, height: 640, theme: 'light', locale: 'de-DE' });
  await eventually('messages', async () => (await view.page.locator('.messages-body [data-message]').count()) > 10, 20_000);
  await assertNoSidewaysScroll(view);
  await view.shoot('live-light-320-de', { fullPage: true });
});

test('everything can be reached by the keyboard, and one sees where one is', async (t) => {
  const view = await open(t, browser, hub.url);
  await eventually('messages', async () => (await view.page.locator('.messages-body [data-message]').count()) > 10, 20_000);
  const stops = [];
  for (let n = 0; n < 40; n += 1) {
    await view.page.keyboard.press('Tab');
    const stop = await view.page.evaluate(() => {
      const { activeElement: element } = document;
      if (element === null || element === document.body) return null;
      const { outlineStyle } = getComputedStyle(element);
      const around = element.closest('.search');
      const isSeen = outlineStyle !== 'none' || (around !== null && getComputedStyle(around).outlineStyle !== 'none');
      return { what: element.className || element.getAttribute('role') || element.nodeName, isSeen };
    });
    if (stop === null) break;
    stops.push(stop);
  }
  assert.deepEqual(stops.filter(({ isSeen }) => !isSeen), []);
  for (const wanted of ['skip', 'button is-quiet is-square', 'plot', 'input', 'button is-primary', 'tab'])
    assert.ok(stops.some(({ what }) => what === wanted), `${wanted} is not among ${JSON.stringify(stops)}`);
  assert.ok(stops.length < 30, 'a list has more than one stop');
});

test('a page that finds no hub says so and goes on trying', async (t) => {
  const view = await open(t, browser, hub.url, { width: 390, height: 844, theme: 'light', expected: [/503|ERR_|Failed to load/] });
  await view.page.route('**/live/config.json', (route) => route.fulfill({ status: 503, body: '' }));
  await view.page.reload();
  await eventually('the sentence', async () => /^The hub does not answer at 127\.0\.0\.1:\d+\.$/.test(await view.text('h1')));
  await assertClean(view);
  await view.shoot('no-hub-390');
  await view.page.unroute('**/live/config.json');
  await eventually('it comes up by itself', async () => /Your hub is running/.test(await view.text('h1')));
});

test('a hub without demo feed and without channels shows what it has', async (t) => {
  const view = await open(t, browser, hub.url);
  await view.page.route('**/live/config.json', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), demo: null, chat: null } });
  });
  await view.page.route('**/live/channels.json*', (route) => route.fulfill({ json: { channels: [], total: 0 } }));
  await view.page.reload();
  await eventually('no feed', async () => /No demo feed/.test(await view.text('.pulse')));
  await eventually('no channels', async () => /No channels yet/.test(await view.text('.channels')));
  assert.match(await view.text('.messages'), /Choose a channel/);
  await assertClean(view);
  await view.shoot('empty-1440', { fullPage: true });
});

test('a list that cannot be read says why, and messages go on', async (t) => {
  const view = await open(t, browser, hub.url, { expected: [/500|Failed to load/] });
  await view.page.route('**/live/channels.json*', (route) => route.fulfill({ status: 500, body: 'no' }));
  await view.page.reload();
  await eventually('the cause', async () => /Channels cannot be read\s+The hub answered with status 500\. Live messages go on\./.test(await view.text('.channels')));
  await eventually('messages', async () => (await view.page.locator('.messages-body [data-message]').count()) > 5);
  await assertClean(view);
  await view.shoot('channels-error-1440');
  // The page asks again by itself two seconds after each answer, and takes the button away then: pressed is it right behind one.
  await view.page.waitForResponse('**/live/channels.json*');
  await view.page.unroute('**/live/channels.json*');
  await view.page.click('.channels >> text=Try again');
  await eventually('the list', async () => /demo:pulse/.test(await view.text('.channels-body')));
});
