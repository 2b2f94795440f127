/** How the whole hub did in a day or a week, as it sums it up (docs/reports.md). */

import { count, type Fields, fields, finite, list, text } from '../parse';
import { parseFindings, type Sentence } from '../said';
import type { Admin } from './admin';
import type { Period } from './reports';

/** How long something took. */
interface Latency {
  readonly path: string;
  readonly percentile: string;
  readonly meanMs: number | null;
  readonly mostMs: number | null;
}

export interface HubReport {
  readonly period: Period;
  readonly from: string;
  readonly to: string;
  readonly isOver: boolean;
  /** The store could be read. */
  readonly isWhole: boolean;
  /** Share of the time in which the hub ran. */
  readonly measured: number | null;
  readonly findings: readonly Sentence[];
  readonly sessionsMost: number | null;
  readonly sessionsMean: number | null;
  readonly refused: number;
  readonly letIn: number | null;
  readonly delivered: number;
  readonly deliveredBytes: number;
  readonly lost: number;
  readonly arrived: number | null;
  readonly recovered: number;
  readonly notRecovered: number;
  readonly objectives: readonly {
    readonly name: string;
    readonly goal: number | null;
    readonly share: number | null;
    readonly budgetLeft: number | null;
  }[];
  readonly latency: readonly Latency[];
  readonly causes: readonly {
    readonly metric: string;
    readonly count: number;
    readonly isOwn: boolean;
    readonly changePercent: number | null;
  }[];
  /** By hour of a day, by day of a week. */
  readonly course: readonly {
    readonly label: string;
    readonly sessions: number;
    readonly delivered: number;
    readonly errors: number;
  }[];
  readonly alerts: readonly {
    readonly rule: string;
    readonly title: string;
    readonly severity: string;
    readonly count: number;
    readonly activeMs: number;
  }[];
  readonly resources: readonly {
    readonly metric: string;
    readonly unit: string;
    readonly min: number | null;
    readonly avg: number | null;
    readonly max: number | null;
    readonly changePercent: number | null;
  }[];
}

export function parseHubReport(value: unknown): HubReport | null {
  const report = fields(fields(value)?.['report']);
  if (report === null || text(report['from']) === null) return null;
  const [connections, delivery] = [fields(report['connections']), fields(report['delivery'])];
  const period: Period = report['period'] === 'week' ? 'week' : 'day';
  const number = (of: typeof delivery, member: string) => count(of?.[member]) ?? 0;
  const rows = (member: string) =>
    list(report[member]).flatMap((entry): readonly Fields[] => {
      const one = fields(entry);
      return one === null ? [] : [one];
    });
  const course = rows(period === 'day' ? 'hours' : 'days').map((one, at) => ({
    label: text(one['date']) ?? String(at),
    sessions: number(one, 'sessions'),
    delivered: number(one, 'delivered'),
    errors: number(one, 'errors'),
  }));
  return {
    period,
    from: text(report['from']) ?? '',
    to: text(report['to']) ?? '',
    isOver: report['is_over'] === true,
    isWhole: report['is_whole'] !== false,
    measured: count(report['measured']),
    findings: parseFindings(report),
    sessionsMost: count(connections?.['most']),
    sessionsMean: count(connections?.['mean']),
    refused: number(connections, 'refused'),
    letIn: count(connections?.['success']),
    delivered: number(delivery, 'delivered'),
    deliveredBytes: number(delivery, 'delivered_bytes'),
    lost: number(delivery, 'lost'),
    arrived: count(delivery?.['success']),
    recovered: number(delivery, 'recovered'),
    notRecovered: number(delivery, 'not_recovered'),
    objectives: rows('objectives').map((one) => ({
      name: text(one['name']) ?? '',
      goal: count(one['goal']),
      share: count(one['share']),
      budgetLeft: finite(one['budget_left']),
    })),
    latency: rows('latency').map((one) => ({
      path: text(one['path']) ?? '',
      percentile: text(one['percentile']) ?? '',
      meanMs: count(one['mean_ms']),
      mostMs: count(one['most_ms']),
    })),
    causes: rows('errors').map((one) => ({
      metric: text(one['metric']) ?? '',
      count: number(one, 'count'),
      isOwn: one['is_own'] === true,
      changePercent: finite(one['change_percent']),
    })),
    course,
    alerts: rows('alerts').map((one) => ({
      rule: text(one['rule']) ?? '',
      title: text(one['title']) ?? '',
      severity: text(one['severity']) ?? '',
      count: number(one, 'count'),
      activeMs: number(one, 'active_ms'),
    })),
    resources: rows('resources').map((one) => ({
      metric: text(one['metric']) ?? '',
      unit: text(one['unit']) ?? '',
      min: finite(one['min']),
      avg: finite(one['avg']),
      max: finite(one['max']),
      changePercent: finite(one['change_percent']),
    })),
  };
}

export function readHubReport(admin: Admin, period: Period, back: number): Promise<HubReport> {
  return admin.ask('reports.get', { period, back }, parseHubReport);
}

export function makeHubReport(admin: Admin, period: Period, back: number): Promise<HubReport> {
  return admin.ask('reports.make', { period, back }, parseHubReport);
}
