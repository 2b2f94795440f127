/** The time that a page is about, in steps that are few enough to be drawn and long enough to be kept. */

import type { MetricsPast, MetricsStep } from '../../client/admin/metrics';

export const RANGES = ['live', '1h', '24h', '7d', '30d'] as const;
export type Range = (typeof RANGES)[number];

interface Reach {
  readonly spanMs: number;
  readonly stepMs: number;
  /** How often what was is asked for anew. */
  readonly everyMs: number;
}

const REACHES: Readonly<Record<Range, Reach>> = {
  live: { spanMs: 300_000, stepMs: 1_000, everyMs: 10_000 },
  '1h': { spanMs: 3_600_000, stepMs: 10_000, everyMs: 10_000 },
  '24h': { spanMs: 86_400_000, stepMs: 300_000, everyMs: 60_000 },
  '7d': { spanMs: 7 * 86_400_000, stepMs: 1_800_000, everyMs: 300_000 },
  '30d': { spanMs: 30 * 86_400_000, stepMs: 7_200_000, everyMs: 600_000 },
};

export function reachOf(range: Range): Reach {
  return REACHES[range];
}

export interface Courses {
  readonly times: readonly number[];
  readonly fromS: number;
  readonly toS: number;
  readonly stepS: number;
  /** `null` where nothing was measured. */
  values(metric: string): readonly (number | null)[];
  highest(metric: string): readonly (number | null)[];
}

/** What was, as curves over one axis; and, live, what came since. */
export function coursesOf(past: MetricsPast, since: readonly MetricsStep[], range: Range, nowMs: number): Courses {
  const { spanMs } = REACHES[range];
  const { stepMs } = past;
  const toMs = Math.floor(nowMs / stepMs) * stepMs;
  const fromMs = toMs - spanMs;
  const length = Math.floor(spanMs / stepMs) + 1;
  const times = Array.from({ length }, (_, at) => (fromMs + at * stepMs) / 1000);
  const shift = Math.round((fromMs - past.fromMs) / stepMs);
  const steps = new Map(since.map((step) => [Math.floor(step.atMs / stepMs) - Math.floor(fromMs / stepMs), step]));
  const of = (metric: string, kind: 'avg' | 'max') => {
    const course = past.metrics.get(metric)?.[kind] ?? [];
    return times.map((_, at) => {
      const heard = steps.get(at)?.values.get(metric);
      return heard ?? course[at + shift] ?? null;
    });
  };
  return {
    times,
    fromS: fromMs / 1000,
    toS: toMs / 1000,
    stepS: stepMs / 1000,
    values: (metric) => of(metric, 'avg'),
    highest: (metric) => of(metric, 'max'),
  };
}
