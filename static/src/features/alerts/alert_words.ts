/** A rule in words, and times and values as people type them. */

import type { Rule } from '../../client/admin/alerts';
import type { Words } from '../../lib/i18n';
import { visible } from '../../lib/text';

const UNITS: readonly (readonly [suffix: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
];

/** `90s`, `2m`, `1h 30m`; a number alone is seconds. `null`: it is no time. */
export function timeIn(text: string): number | null {
  const parts = text
    .trim()
    .toLowerCase()
    .replaceAll('min', 'm')
    .match(/^(?:\d+(?:\.\d+)?\s*[dhms]?\s*)+$/);
  if (parts === null) return null;
  let sum = 0;
  for (const [, number = '', unit = ''] of text
    .trim()
    .toLowerCase()
    .replaceAll('min', 'm')
    .matchAll(/(\d+(?:\.\d+)?)\s*([dhms]?)/g))
    sum += Number(number) * (UNITS.find(([suffix]) => suffix === unit)?.[1] ?? 1_000);
  return Math.round(sum);
}

/** The same way back, as it would be typed. */
export function timeText(ms: number): string {
  let rest = Math.round(ms / 1_000) * 1_000;
  if (rest === 0) return '0s';
  const out: string[] = [];
  for (const [suffix, unit] of UNITS) {
    const count = Math.floor(rest / unit);
    if (count > 0) out.push(`${count}${suffix}`);
    rest -= count * unit;
  }
  return out.join(' ');
}

export function conditionSaid(
  rule: Pick<Rule, 'metric' | 'condition' | 'value' | 'forMs'>,
  { t, format }: Pick<Words, 't' | 'format'>,
): string {
  const metric = visible(rule.metric);
  const says =
    rule.condition === 'gone'
      ? t('alerts.says.gone', { metric })
      : t(`alerts.says.${rule.condition}`, { metric, value: valueSaid(rule.metric, rule.value, format) });
  return rule.forMs === 0 ? says : t('alerts.says.for', { says, time: format.age(rule.forMs) });
}

/** A bound with its unit, as far as the metric's name says which. */
export function valueSaid(metric: string, value: number | null, format: Words['format']): string {
  if (value === null) return '–';
  if (metric.endsWith('_seconds')) return format.age(value * 1_000);
  if (metric.endsWith('_ms')) return format.latency(value);
  if (/memory|bytes/.test(metric)) return format.bytes(value);
  return format.exact(value);
}
