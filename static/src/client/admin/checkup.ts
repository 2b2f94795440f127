/** Feeds that are examined: one at a time on the whole hub, the latest is known. */

import { count, fields, list, text } from '../parse';
import { parseSentence, type Sentence } from '../said';
import type { Admin } from './admin';

export const FINDING_LEVELS = ['fine', 'note', 'warning', 'problem'] as const;
export type FindingLevel = (typeof FINDING_LEVELS)[number];

export interface Finding {
  /** Of a closed set; one of a later hub is shown as it is. */
  readonly check: string;
  readonly level: FindingLevel;
  readonly result: Sentence;
  readonly advice: Sentence | null;
}

export interface Checkup {
  readonly id: number;
  /** `null`: an address that is no feed yet. */
  readonly feed: string | null;
  readonly by: string;
  /** Without what may be a secret. */
  readonly address: string;
  readonly isRunning: boolean;
  readonly tookMs: number;
  readonly listensMs: number;
  readonly findings: readonly Finding[];
  readonly verdict: {
    readonly worst: FindingLevel;
    readonly warnings: number;
    readonly problems: number;
    readonly isCutShort: boolean;
  } | null;
  /** TOML that reads the feed. */
  readonly config: string | null;
}

/** What the hub knows: the latest examination, or that there was none. */
export interface Checked {
  readonly latest: Checkup | null;
}

/** What is not known as harmless is shown as a note. */
function levelIn(value: unknown): FindingLevel {
  return FINDING_LEVELS.find((known) => known === value) ?? 'note';
}

export function parseChecked(value: unknown): Checked | null {
  const answer = fields(value);
  if (answer === null) return null;
  const id = count(answer['check']);
  if (id === null) return { latest: null };
  const verdict = fields(answer['verdict']);
  return {
    latest: {
      id,
      feed: text(answer['feed']),
      by: text(answer['by']) ?? '',
      address: text(answer['url']) ?? '',
      isRunning: answer['is_running'] === true,
      tookMs: count(answer['took_ms']) ?? 0,
      listensMs: count(answer['listens_ms']) ?? 0,
      findings: list(answer['findings']).flatMap((entry) => {
        const finding = fields(entry);
        if (finding === null) return [];
        const result = parseSentence(finding['result'], [finding['said']]);
        if (result === null) return [];
        return [
          {
            check: text(finding['check']) ?? '',
            level: levelIn(finding['level']),
            result,
            advice: parseSentence(finding['advice'], list(finding['advised'])),
          },
        ];
      }),
      verdict:
        verdict === null
          ? null
          : {
              worst: levelIn(verdict['worst']),
              warnings: count(verdict['warnings']) ?? 0,
              problems: count(verdict['problems']) ?? 0,
              isCutShort: verdict['is_cut_short'] === true,
            },
      config: text(answer['config']),
    },
  };
}

export function readChecked(admin: Admin): Promise<Checked> {
  return admin.ask('upstream.checked', {}, parseChecked);
}

/** What is examined: an address, or a feed that there is. */
export type Subject = { readonly address: string } | { readonly feed: string };

export function beginCheck(admin: Admin, subject: Subject, seconds: number): Promise<void> {
  const command = 'feed' in subject ? 'upstream.check_feed' : 'upstream.check';
  return admin.tell(command, { ...subject, duration: `${seconds}s` });
}

export function endCheck(admin: Admin): Promise<void> {
  return admin.tell('upstream.check_end', {});
}
