// Chromium, and a page of it that keeps account of what must not happen: errors, violations of the policy, shifts of the layout.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const SHOTS = process.env.AETHER_SHOTS;

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/**
 * Opens the page in a browser of its own. `expected` are patterns of console errors that a test causes on purpose; `prepare` gets the page
 * before it goes anywhere.
 */
export async function open(t, browser, url, options = {}) {
  const { width = 1440, height = 900, theme = 'dark', locale = 'en-GB', userAgent } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    locale,
    hasTouch: width < 700,
    isMobile: width < 700,
    ...(userAgent === undefined ? {} : { userAgent }),
  });
  t.after(() => context.close());
  return openTab(context, url, options);
}

async function openTab(context, url, { expected = [], prepare = () => {} } = {}) {
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => {
    const text = `${message.type()}: ${message.text()} (${message.location().url})`;
    if (['error', 'warning'].includes(message.type()) && !expected.some((pattern) => pattern.test(text))) problems.push(text);
  });
  page.on('pageerror', (error) => problems.push(`uncaught: ${error}`));
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.addInitScript(() => {
    window.shifts = [];
    // By design move: the rows of a list that grows at its top or at its end, a list that is sorted anew, a number that gains a digit in its box.
    const mayMove = (node) => (node instanceof Element ? node : node?.parentElement)?.closest('.messages-body, .channels-body, .journal-list, .notices');
    const moved = ({ node, previousRect: from, currentRect: to }) => !mayMove(node) && (from.x !== to.x || from.y !== to.y);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries())
        for (const { node, previousRect, currentRect } of entry.hadRecentInput ? [] : entry.sources.filter(moved))
          window.shifts.push({
            what: node?.outerHTML?.slice(0, 120) ?? node?.parentElement?.outerHTML.slice(0, 120),
            from: [previousRect.x, previousRect.y],
            to: [currentRect.x, currentRect.y],
          });
    }).observe({ type: 'layout-shift', buffered: true });
    document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  await prepare(page);
  const response = await page.goto(url);
  return {
    page,
    response,
    /** Another tab of the same browser. */
    tab: (address, more = {}) => openTab(context, address, { expected, ...more }),
    /** The text of the first element that matches. */
    text: (selector) => page.locator(selector).first().innerText(),
    assertQuiet() {
      assert.deepEqual(problems, []);
    },
    async assertStill() {
      assert.deepEqual(await page.evaluate(() => window.shifts), []);
    },
    /** Keeps a picture where AETHER_SHOTS says; without it, none. */
    async shoot(name, { fullPage = false } = {}) {
      if (!SHOTS) return;
      await mkdir(SHOTS, { recursive: true });
      await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage });
    },
    close: () => context.close(),
  };
}

/** Looks until `look` returns something true; what it saw last goes into the failure. */
export async function eventually(what, look, deadlineMs = 15_000) {
  const end = Date.now() + deadlineMs;
  let last;
  for (;;) {
    try {
      last = await look();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) assert.fail(`not within ${deadlineMs} ms: ${what}; last seen: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
    await sleep(50);
  }
}

/** A number as the page writes it. */
export const number = (text) => Number(text.replace(/[^\d.]/g, ''));
