/** A report in a few sentences: what a reader wants to know before any table. */

import type { Report } from '../../client/admin/reports';
import type { Sentence } from '../../client/said';
import { feedReason } from '../../components/dashboard/feed_states';
import type { Words } from '../../lib/i18n';
import { visible } from '../../lib/text';

export function sentences(report: Report, words: Words): readonly string[] {
  const { t, format } = words;
  const { sums, feeds, reasons } = report;
  const out = [t('reports.say.events', { n: sums.events, size: format.bytes(sums.bytes), feeds: format.count(feeds.length) })];
  const worst = feeds[0];
  if (sums.errors === 0) out.push(t('reports.say.noErrors'));
  else {
    const [reason] = reasons[0] ?? [''];
    out.push(t('reports.say.errors', { n: sums.errors, reason: feedReason(reason, words) }));
    if (worst !== undefined && worst.sums.errors > 0 && feeds.length > 1)
      out.push(
        t('reports.say.worst', {
          name: visible(worst.name),
          n: worst.sums.errors,
          share: format.share(worst.sums.errors / sums.errors),
        }),
      );
  }
  out.push(sums.gaps === 0 ? t('reports.say.noGaps') : t('reports.say.gaps', { n: sums.gaps }));
  if (report.connectionsMax > 0)
    out.push(
      t('reports.say.capacity', {
        n: report.connectionsMost,
        max: format.count(report.connectionsMax),
        percent: format.count(report.usedPercentMost),
      }),
    );
  return out;
}

/** The hub writes what it found as part of a list: here each stands for itself. */
export function found(finding: Sentence, { said }: Words): string {
  const text = visible(said(finding));
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}

/** How many ago, as the address says it. */
export function backIn(text: string, max: number): number {
  return /^\d{1,3}$/.test(text) ? Math.min(max, Number(text)) : 0;
}

/** A day as people say it. */
export function dateName(date: string, language: string): string {
  const at = Date.parse(`${date}T12:00:00Z`);
  if (Number.isNaN(at)) return visible(date);
  return new Intl.DateTimeFormat(/^en\b/.test(language) ? 'en-GB' : language, {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    timeZone: 'UTC',
  }).format(at);
}
