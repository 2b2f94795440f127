import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

// The floors are WCAG 2.2: 4.5 for text (1.4.3), 3 for what a control or a graph is recognised by (1.4.11); 7 is our own for running text.
const css = readFileSync(new URL('./tokens.css', import.meta.url), 'utf8');

function tokens(theme: string): Record<string, string> {
  const at = css.indexOf(`:root[data-theme="${theme}"]`, css.indexOf('color-scheme') - 200);
  const body = css.slice(css.indexOf('{', at) + 1, css.indexOf('}', at));
  return Object.fromEntries([...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/gi)].map((match) => [match[1], match[2]]));
}

function luminance(hex: string): number {
  const channel = (start: number) => {
    const value = Number.parseInt(hex.slice(start, start + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const pairs: [string, string, number][] = [];
for (const surface of ['bg', 'surface-1', 'surface-2', 'surface-3'])
  for (const text of ['text', 'text-2', 'text-3', 'link', 'ok', 'warn', 'crit', 'info', 'off']) pairs.push([text, surface, 4.5]);
for (const status of ['ok', 'warn', 'crit', 'info', 'off'])
  pairs.push([status, `${status}-bg`, 4.5], ['text', `${status}-bg`, 7]);
pairs.push(['on-ink', 'ink', 7]);
for (const surface of ['bg', 'surface-1', 'surface-2']) pairs.push(['control', surface, 3], ['focus', surface, 3]);
for (const series of ['1', '2', '3', '4', '5', 'rest']) pairs.push([`series-${series}`, 'surface-1', 3]);
// fill-ok and fill-off recede on purpose: they are the absence of news.
for (const fill of ['fill-warn', 'fill-crit', 'fill-move']) pairs.push([fill, 'surface-1', 3]);
// The words of a chip.
pairs.push(['text-2', 'off-bg', 4.5]);

describe.each(['dark', 'light'])('in the %s theme', (theme) => {
  const colours = tokens(theme);
  test.each(pairs)('%s can be told from %s (%f:1)', (front, back, floor) => {
    expect(colours[front], front).toBeDefined();
    expect(colours[back], back).toBeDefined();
    expect(contrast(colours[front] ?? '', colours[back] ?? '')).toBeGreaterThanOrEqual(floor);
  });
});
