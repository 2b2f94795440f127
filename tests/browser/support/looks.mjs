// What holds for every page in every width: nothing that axe finds, nothing to scroll sideways.

import assert from 'node:assert/strict';
import { AxeBuilder } from '@axe-core/playwright';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

export async function assertClean(view) {
  const { violations } = await new AxeBuilder({ page: view.page }).withTags(RULES).analyze();
  assert.deepEqual(
    violations.map(({ id, nodes }) => `${nodes.length} × ${id}: ${nodes[0].html} ${nodes[0].failureSummary}`),
    [],
  );
}

export async function assertNoSidewaysScroll(view) {
  const [content, window] = await view.page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(content <= window, `the page is ${content} wide in a window of ${window}`);
}
