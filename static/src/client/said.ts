/** A sentence that the hub says: in English, and what it is made of, for readers of another language (docs/reports.md). */

import { type Fields, fields, list, text } from './parse';

/** One sentence as data: a code that names it, and the values in it, whose units are the ends of their names. */
export interface Said {
  readonly code: string;
  readonly values: Readonly<Record<string, string | number>>;
}

export interface Sentence {
  readonly english: string;
  /** One after the other they say the same. None: an older hub, or one that does not say. */
  readonly said: readonly Said[];
}

function parseSaid(value: unknown): Said | null {
  const said = fields(value);
  const code = text(said?.['code']);
  if (said === null || code === null) return null;
  const values: Record<string, string | number> = {};
  for (const [name, one] of Object.entries(fields(said['values']) ?? {}))
    if (typeof one === 'string' || (typeof one === 'number' && Number.isFinite(one))) values[name] = one;
  return { code, values };
}

/** A text and its data; `null` where there is no text. What cannot be read of the data leaves the English. */
export function parseSentence(english: unknown, data: readonly unknown[]): Sentence | null {
  const words = text(english);
  if (words === null) return null;
  const said = data.flatMap((one) => parseSaid(one) ?? []);
  return { english: words, said: said.length === data.length ? said : [] };
}

/** What a report finds: `findings`, and in the same order `said`. */
export function parseFindings(report: Fields): readonly Sentence[] {
  const said = list(report['said']);
  return list(report['findings']).flatMap((finding, at) => parseSentence(finding, said.slice(at, at + 1)) ?? []);
}
