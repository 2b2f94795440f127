// What holds for every page in every width: nothing that axe finds, nothing to scroll sideways.

import assert from 'node:assert/strict';
import { AxeBuilder } from '@axe-core/playwright';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

export async function assertClean(view) {
  none(await new AxeBuilder({ page: view.page }).withTags(RULES).analyze());
}

/** Only what colours are judged by. */
export async function assertLegible(view) {
  none(await new AxeBuilder({ page: view.page }).withRules(['color-contrast', 'link-in-text-block']).analyze());
}

function none({ violations }) {
  assert.deepEqual(
    violations.map(({ id, nodes }) => `${nodes.length} × ${id}: ${nodes[0].html} ${nodes[0].failureSummary}`),
    [],
  );
}

export async function assertNoSidewaysScroll(view) {
  const [content, window] = await view.page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(content <= window, `the page is ${content} wide in a window of ${window}`);
}
