/** What the hub measures of itself: now, as it changes, and as it was. See docs/metrics.md. */

import { count, fields, finite, json, list, text } from '../parse';
import { parseSentence, type Sentence } from '../said';
import type { Admin } from './admin';

/** The channel of all figures as they change. */
export const METRICS = '$metrics:overview';

export interface Objective {
  readonly name: string;
  readonly goal: number;
  /** Of the last five minutes, and of the whole window; `null`: nothing happened. */
  readonly now: number | null;
  readonly window: number | null;
  /** 1: all of it. */
  readonly budgetLeft: number | null;
  readonly windowDays: number;
}

export const VERDICTS = ['working', 'warned', 'affected', 'not_ready'] as const;
export type VerdictState = (typeof VERDICTS)[number];

export interface MetricsVerdict {
  readonly state: VerdictState;
  /** Why the hub takes nobody in, if it does not; then the titles of what is wrong, the worst first. */
  readonly reasons: readonly Sentence[];
  readonly critical: number;
  readonly warning: number;
}

export interface MetricsStep {
  readonly atMs: number;
  readonly stepMs: number;
  readonly isWhole: boolean;
  readonly values: ReadonlyMap<string, number | null>;
  readonly verdict: MetricsVerdict;
  readonly objectives: readonly Objective[];
}

export function parseStep(value: unknown): MetricsStep | null {
  const step = fields(value);
  const atMs = count(step?.['at']);
  const values = fields(step?.['values']);
  if (step === null || atMs === null || values === null) return null;
  const verdict = fields(step['verdict']);
  const said = fields(verdict?.['said']);
  return {
    atMs,
    stepMs: Math.max(100, count(step['step_ms']) ?? 1_000),
    isWhole: step['is_whole'] === true,
    values: new Map(Object.entries(values).map(([name, reading]) => [name, finite(reading)])),
    verdict: {
      state: VERDICTS.find((known) => known === verdict?.['state']) ?? 'working',
      reasons: list(verdict?.['reasons']).flatMap(
        (reason, at) => parseSentence(reason, at === 0 && said !== null ? [said] : []) ?? [],
      ),
      critical: count(verdict?.['critical']) ?? 0,
      warning: count(verdict?.['warning']) ?? 0,
    },
    objectives: list(step['objectives']).flatMap((entry) => {
      const objective = fields(entry);
      const name = text(objective?.['name']);
      if (objective === null || name === null) return [];
      return [
        {
          name,
          goal: finite(objective['goal']) ?? 0,
          now: finite(objective['now']),
          window: finite(objective['window']),
          budgetLeft: finite(objective['budget_left']),
          windowDays: count(objective['window_days']) ?? 30,
        },
      ];
    }),
  };
}

export function stepIn(bytes: Uint8Array): MetricsStep | null {
  return parseStep(json(new TextDecoder().decode(bytes)));
}

/** What a later step says goes over what is known; what it does not name is as it was. */
export function laidOver(known: MetricsStep | null, next: MetricsStep): MetricsStep {
  if (known === null || next.isWhole) return next;
  if (next.atMs < known.atMs) return known;
  return { ...next, isWhole: known.isWhole, values: new Map([...known.values, ...next.values]) };
}

export function metricsNow(admin: Admin): Promise<MetricsStep> {
  return admin.ask('metrics.now', {}, parseStep);
}

export interface Course {
  readonly avg: readonly (number | null)[];
  readonly min: readonly (number | null)[];
  readonly max: readonly (number | null)[];
}

export interface MetricsPast {
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
  readonly metrics: ReadonlyMap<string, Course>;
  /** The store could be read. */
  readonly isWhole: boolean;
}

export function parsePast(value: unknown): MetricsPast | null {
  const past = fields(value);
  const fromMs = count(past?.['from']);
  const stepMs = count(past?.['step_ms']);
  const metrics = fields(past?.['metrics']);
  if (past === null || fromMs === null || stepMs === null || stepMs === 0 || metrics === null) return null;
  const numbers = (readings: unknown) => list(readings).map((reading) => finite(reading));
  return {
    fromMs,
    toMs: count(past['to']) ?? fromMs,
    stepMs,
    metrics: new Map(
      Object.entries(metrics).map(([name, course]) => {
        const of = fields(course);
        return [name, { avg: numbers(of?.['avg']), min: numbers(of?.['min']), max: numbers(of?.['max']) }];
      }),
    ),
    isWhole: past['is_whole'] !== false,
  };
}

/** Metrics of one question. */
const METRICS_MAX = 16;

/** As many questions as it takes; all of them are about the same steps. */
export async function metricsPast(
  admin: Admin,
  metrics: readonly string[],
  from: number,
  to: number,
  stepMs: number,
): Promise<MetricsPast> {
  const parts: MetricsPast[] = [];
  for (let at = 0; at < metrics.length; at += METRICS_MAX) {
    const values = { metrics: metrics.slice(at, at + METRICS_MAX), from, to, step_ms: stepMs };
    parts.push(await admin.ask('metrics.history', values, parsePast));
  }
  const [first] = parts;
  if (first === undefined) return { fromMs: from, toMs: to, stepMs, metrics: new Map(), isWhole: true };
  return { ...first, metrics: new Map(parts.flatMap((part) => [...part.metrics])), isWhole: parts.every((part) => part.isWhole) };
}

export interface MetricKind {
  readonly name: string;
  readonly unit: string;
  readonly help: string;
}

export function listMetrics(admin: Admin): Promise<readonly MetricKind[]> {
  return admin.ask('metrics.list', {}, (value) => {
    const answer = fields(value);
    if (!Array.isArray(answer?.['metrics'])) return null;
    return list(answer['metrics']).flatMap((entry) => {
      const metric = fields(entry);
      const name = text(metric?.['name']);
      return name === null ? [] : [{ name, unit: text(metric?.['unit']) ?? 'count', help: text(metric?.['help']) ?? '' }];
    });
  });
}
