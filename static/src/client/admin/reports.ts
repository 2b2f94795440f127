/** What the feeds did in a day or a week, as the hub sums it up. */

import { count, type Fields, fields, finite, list, text } from '../parse';
import { parseFindings, type Sentence } from '../said';
import type { Admin } from './admin';

export type Period = 'day' | 'week';

export interface Sums {
  readonly events: number;
  readonly bytes: number;
  readonly errors: number;
  readonly attempts: number;
  readonly rotations: number;
  readonly gaps: number;
  readonly repeated: number;
  readonly dropped: number;
  readonly downMs: number;
  /** `null`: no event told its time. */
  readonly lateMs: number | null;
}

export interface ReportFeed {
  readonly name: string;
  readonly sums: Sums;
  /** The most frequent first. */
  readonly reasons: readonly (readonly [string, number])[];
}

export interface Report {
  readonly period: Period;
  /** `2026-11-21`, or the Monday and the Sunday of a week. */
  readonly from: string;
  readonly to: string;
  /** How much of it is known: minutes of a day, days of a week. */
  readonly known: number;
  readonly sums: Sums;
  /** By hour of a day, by day of a week: label, messages, errors. */
  readonly course: readonly (readonly [label: string, events: number, errors: number])[];
  /** Errors by hour of the day, UTC. */
  readonly errorsByHour: readonly number[];
  readonly reasons: readonly (readonly [string, number])[];
  /** Those with the most trouble first. */
  readonly feeds: readonly ReportFeed[];
  readonly connectionsMost: number;
  readonly connectionsMax: number;
  readonly usedPercentMost: number;
  readonly emergencies: number;
  readonly eventsChangePercent: number | null;
  readonly errorsChangePercent: number | null;
  readonly findings: readonly Sentence[];
}

function parseSums(value: unknown): Sums {
  const sums = fields(value);
  const number = (member: string) => count(sums?.[member]) ?? 0;
  const timed = number('timed');
  return {
    events: number('events'),
    bytes: number('bytes'),
    errors: number('errors'),
    attempts: number('attempts'),
    rotations: number('rotations'),
    gaps: number('gaps'),
    repeated: number('repeated'),
    dropped: number('dropped'),
    downMs: number('down_ms'),
    lateMs: timed === 0 ? null : number('late_ms') / timed,
  };
}

function added(one: Sums, other: Sums): Sums {
  const late = one.lateMs === null ? other.lateMs : other.lateMs === null ? one.lateMs : Math.max(one.lateMs, other.lateMs);
  return {
    events: one.events + other.events,
    bytes: one.bytes + other.bytes,
    errors: one.errors + other.errors,
    attempts: one.attempts + other.attempts,
    rotations: one.rotations + other.rotations,
    gaps: one.gaps + other.gaps,
    repeated: one.repeated + other.repeated,
    dropped: one.dropped + other.dropped,
    downMs: one.downMs + other.downMs,
    lateMs: late,
  };
}

function parseReasons(value: unknown): readonly (readonly [string, number])[] {
  return Object.entries(fields(value) ?? {})
    .map(([reason, times]) => [reason, count(times) ?? 0] as const)
    .filter(([, times]) => times > 0)
    .sort(([, one], [, other]) => other - one);
}

const hours = (value: unknown): readonly number[] => Array.from({ length: 24 }, (_, hour) => count(list(value)[hour]) ?? 0);

/** A day says it feed by feed; its sums are made here. */
function parseDay(day: Fields): Report {
  const named = Object.entries(fields(day['feeds']) ?? {}).map(([name, value]) => ({ name, facts: fields(value) ?? {} }));
  const feeds = named.map(
    ({ name, facts }): ReportFeed => ({ name, sums: parseSums(facts['sums']), reasons: parseReasons(facts['reasons']) }),
  );
  feeds.sort(
    (one, other) =>
      other.sums.errors - one.sums.errors || other.sums.downMs - one.sums.downMs || other.sums.events - one.sums.events,
  );
  const byHour = (member: string) =>
    hours(null).map((_, hour) => named.reduce((sum, { facts }) => sum + (hours(facts[member])[hour] ?? 0), 0));
  const [events, errors] = [byHour('events_by_hour'), byHour('errors_by_hour')];
  const reasons = new Map<string, number>();
  for (const feed of feeds) for (const [reason, times] of feed.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + times);
  const date = text(day['date']) ?? '';
  return {
    period: 'day',
    from: date,
    to: date,
    known: count(day['minutes']) ?? 0,
    sums: feeds.map(({ sums }) => sums).reduce(added, parseSums(null)),
    course: events.map((sum, hour) => [String(hour).padStart(2, '0'), sum, errors[hour] ?? 0] as const),
    errorsByHour: errors,
    reasons: parseReasons(Object.fromEntries(reasons)),
    feeds,
    ...highest(day),
    eventsChangePercent: null,
    errorsChangePercent: null,
    findings: [],
  };
}

function highest(report: Fields) {
  return {
    connectionsMost: count(report['connections_most']) ?? 0,
    connectionsMax: count(report['connections_max']) ?? 0,
    usedPercentMost: count(report['used_percent_most']) ?? 0,
    emergencies: count(report['emergencies']) ?? 0,
  };
}

function parseWeek(week: Fields): Report {
  const pairs = (value: unknown) =>
    list(value).flatMap((entry) => {
      const [date, sum] = list(entry);
      const label = text(date);
      return label === null ? [] : [[label, count(sum) ?? 0] as const];
    });
  const errors = new Map(pairs(week['errors_by_day']));
  const feeds = list(week['most_errors']).flatMap((entry): ReportFeed[] => {
    const ranked = fields(entry);
    const name = text(ranked?.['feed']);
    if (name === null) return [];
    const reason = text(ranked?.['reason']);
    const times = count(ranked?.['count']) ?? 0;
    const down = list(week['longest_down'])
      .map(fields)
      .find((one) => one?.['feed'] === name);
    const late = list(week['latest'])
      .map(fields)
      .find((one) => one?.['feed'] === name);
    const sums = {
      ...parseSums(null),
      errors: times,
      downMs: (count(down?.['count']) ?? 0) * 1000,
      lateMs: count(late?.['mean_ms']),
    };
    return [{ name, sums, reasons: reason === null ? [] : [[reason, times]] }];
  });
  return {
    period: 'week',
    from: text(week['from']) ?? '',
    to: text(week['to']) ?? '',
    known: count(week['days']) ?? 0,
    sums: parseSums(week['sums']),
    course: pairs(week['events_by_day']).map(([date, sum]) => [date, sum, errors.get(date) ?? 0] as const),
    errorsByHour: hours(week['errors_by_hour']),
    reasons: parseReasons(week['reasons']),
    feeds,
    ...highest(week),
    eventsChangePercent: finite(week['events_change_percent']),
    errorsChangePercent: finite(week['errors_change_percent']),
    findings: parseFindings(week),
  };
}

export function parseReport(period: Period, value: unknown): Report | null {
  const report = fields(fields(value)?.['report']);
  if (report === null) return null;
  return period === 'day' ? parseDay(report) : parseWeek(report);
}

export function readReport(admin: Admin, period: Period, back: number): Promise<Report> {
  return admin.ask('upstream.report', { period, back }, (value) => parseReport(period, value));
}
