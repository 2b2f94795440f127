/** What is wrong, what was, and the rules that say so. See docs/metrics.md. */

import { count, type Fields, fields, finite, list, text } from '../parse';
import { parseSentence, type Sentence } from '../said';
import type { Admin } from './admin';

export const SEVERITIES = ['info', 'warning', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface Alert {
  readonly id: string;
  readonly rule: string;
  /** What of the many things that the rule is about; empty where there is only one. */
  readonly subject: string;
  readonly severity: Severity;
  readonly state: 'pending' | 'firing' | 'resolved';
  readonly metric: string;
  readonly title: string;
  /** What was read, by which rule, and why. */
  readonly text: Sentence;
  readonly advice: string;
  readonly value: number | null;
  readonly peak: number | null;
  readonly sinceMs: number | null;
  readonly firedAtMs: number | null;
  readonly resolvedAtMs: number | null;
  readonly acknowledgedBy: string | null;
  readonly silencedUntilMs: number | null;
}

export interface Silence {
  readonly id: string;
  readonly rule: string | null;
  readonly subject: string | null;
  readonly untilMs: number | null;
  readonly by: string;
  readonly why: string;
}

export interface AlertList {
  readonly alerts: readonly Alert[];
  readonly silences: readonly Silence[];
  readonly lastResolvedAtMs: number | null;
}

export function severityOf(value: unknown): Severity {
  return SEVERITIES.find((known) => known === value) ?? 'warning';
}

/** Ids are texts or numbers. */
function idOf(value: unknown): string | null {
  return text(value) ?? (typeof value === 'number' ? String(value) : null);
}

export function parseAlert(value: unknown): Alert | null {
  const alert = fields(value);
  const id = idOf(alert?.['id']);
  if (alert === null || id === null) return null;
  const state = alert['state'];
  return {
    id,
    rule: text(alert['rule']) ?? '',
    subject: text(alert['subject']) ?? '',
    severity: severityOf(alert['severity']),
    state: state === 'firing' || state === 'resolved' ? state : 'pending',
    metric: text(alert['metric']) ?? '',
    title: text(alert['title']) ?? '',
    text: parseSentence(alert['text'], list(alert['said'])) ?? { english: '', said: [] },
    advice: text(alert['advice']) ?? '',
    value: finite(alert['value']),
    peak: finite(alert['peak']),
    sinceMs: count(alert['since']),
    firedAtMs: count(alert['fired_at']),
    resolvedAtMs: count(alert['resolved_at']),
    acknowledgedBy: text(alert['acknowledged_by']),
    silencedUntilMs: count(alert['silenced_until']),
  };
}

export function parseAlerts(value: unknown): AlertList | null {
  const answer = fields(value);
  if (answer === null || !Array.isArray(answer['alerts'])) return null;
  return {
    alerts: list(answer['alerts']).flatMap((entry) => parseAlert(entry) ?? []),
    silences: list(answer['silences']).flatMap((entry) => {
      const silence = fields(entry);
      const id = idOf(silence?.['id']);
      if (silence === null || id === null) return [];
      const [rule, subject] = [text(silence['rule']), text(silence['subject'])];
      return [
        { id, rule, subject, untilMs: count(silence['until']), by: text(silence['by']) ?? '', why: text(silence['why']) ?? '' },
      ];
    }),
    lastResolvedAtMs: count(answer['last_resolved_at']),
  };
}

export function listAlerts(admin: Admin): Promise<AlertList> {
  return admin.ask('alerts.list', {}, parseAlerts);
}

export function pastAlerts(admin: Admin, from: number): Promise<readonly Alert[]> {
  return admin.ask('alerts.history', { from, limit: 200 }, (value) => parseAlerts(value)?.alerts ?? null);
}

export const CONDITIONS = ['above', 'below', 'gone'] as const;
export type Condition = (typeof CONDITIONS)[number];

export interface Rule {
  readonly name: string;
  readonly metric: string;
  readonly condition: Condition;
  readonly value: number | null;
  readonly clear: number | null;
  readonly forMs: number;
  readonly clearForMs: number;
  readonly severity: Severity;
  readonly repeatMs: number;
  readonly routes: readonly string[];
  readonly isEnabled: boolean;
  readonly title: string;
  readonly advice: string;
}

export interface KnownRule extends Rule {
  readonly isDefault: boolean;
  readonly isChanged: boolean;
  readonly fired7d: number | null;
}

export function parseRule(value: unknown): KnownRule | null {
  const rule = fields(value);
  const name = text(rule?.['name']);
  if (rule === null || name === null) return null;
  return {
    name,
    metric: text(rule['metric']) ?? '',
    condition: CONDITIONS.find((known) => known === rule['condition']) ?? 'above',
    value: finite(rule['value']),
    clear: finite(rule['clear']),
    forMs: count(rule['for_ms']) ?? 0,
    clearForMs: count(rule['clear_for_ms']) ?? 0,
    severity: severityOf(rule['severity']),
    repeatMs: count(rule['repeat_ms']) ?? 0,
    routes: list(rule['routes']).flatMap((route) => text(route) ?? []),
    isEnabled: rule['is_enabled'] !== false,
    title: text(rule['title']) ?? '',
    advice: text(rule['advice']) ?? '',
    isDefault: rule['is_default'] === true,
    isChanged: rule['is_changed'] === true,
    fired7d: count(rule['fired_7d']),
  };
}

export function ruleMembers(rule: Rule): Fields {
  return {
    name: rule.name,
    metric: rule.metric,
    condition: rule.condition,
    value: rule.value,
    clear: rule.clear,
    for_ms: rule.forMs,
    clear_for_ms: rule.clearForMs,
    severity: rule.severity,
    repeat_ms: rule.repeatMs,
    routes: rule.routes,
    is_enabled: rule.isEnabled,
    title: rule.title,
    advice: rule.advice,
  };
}

export function listRules(admin: Admin): Promise<readonly KnownRule[]> {
  return admin.ask('alerts.rules', {}, (value) => {
    const answer = fields(value);
    return Array.isArray(answer?.['rules']) ? list(answer['rules']).flatMap((entry) => parseRule(entry) ?? []) : null;
  });
}

export interface Preview {
  readonly fromMs: number;
  readonly toMs: number;
  readonly fired: number;
  readonly activeMs: number;
  readonly missing: number;
  readonly firings: readonly { readonly fromMs: number; readonly toMs: number | null; readonly peak: number | null }[];
  readonly saved: { readonly fired: number; readonly activeMs: number } | null;
}

export function parsePreview(value: unknown): Preview | null {
  const answer = fields(value);
  const fired = count(answer?.['fired']);
  if (answer === null || fired === null) return null;
  const saved = fields(answer['saved']);
  return {
    fromMs: count(answer['from']) ?? 0,
    toMs: count(answer['to']) ?? 0,
    fired,
    activeMs: count(answer['active_ms']) ?? 0,
    missing: count(answer['missing']) ?? 0,
    firings: list(answer['firings']).flatMap((entry) => {
      const firing = fields(entry);
      const fromMs = count(firing?.['from']);
      return fromMs === null ? [] : [{ fromMs, toMs: count(firing?.['to']), peak: finite(firing?.['peak']) }];
    }),
    saved: saved === null ? null : { fired: count(saved['fired']) ?? 0, activeMs: count(saved['active_ms']) ?? 0 },
  };
}

export function previewRule(admin: Admin, rule: Rule, from: number): Promise<Preview> {
  return admin.ask('alerts.preview', { rule: ruleMembers(rule), from }, parsePreview);
}

export function saveRule(admin: Admin, rule: Rule): Promise<void> {
  return admin.tell('alerts.set_rule', { rule: ruleMembers(rule) });
}

export function removeRule(admin: Admin, rule: string): Promise<void> {
  return admin.tell('alerts.remove_rule', { rule });
}

export function acknowledge(admin: Admin, alert: string, undo: boolean): Promise<void> {
  return admin.tell('alerts.ack', { alert, undo });
}

export function silence(admin: Admin, values: { rule: string; subject: string; lasting: string; why: string }): Promise<void> {
  const { rule, subject, lasting, why } = values;
  return admin.tell('alerts.silence', { rule, subject: subject === '' ? null : subject, lasting, why });
}

export function unsilence(admin: Admin, id: string): Promise<void> {
  return admin.tell('alerts.unsilence', { silence: id });
}
