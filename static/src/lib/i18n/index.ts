/**
 * The page's words. A text is a key of the English catalogue; another language must have the same keys, which the compiler checks.
 * Sentences are whole, with `{name}` where a value goes; a text that depends on a number has its plural forms and chooses by `{n}`.
 */

import { createFormat, type Format } from '../format';
import { isolated } from '../text';
import { en } from './en';

export type Key = keyof typeof en;
export type Text = string | Readonly<Partial<Record<Intl.LDMLPluralRule, string>> & { other: string }>;
export type Catalogue = Readonly<Record<Key, Text>>;
export type Values = Readonly<Record<string, string | number>>;

export interface Words {
  readonly language: string;
  readonly format: Format;
  t(key: Key, values?: Values): string;
  /** What the hub says, in the reader's language where it is one of its own sentences, or holds one; all else stays as it was said. */
  told(text: string): string;
  /** What the hub found, in the reader's language; in English where a part of it is not known here. */
  said(finding: Finding): string;
}

/** What the hub found, as it says it in English and as data (`client/said.ts`). */
export interface Finding {
  readonly english: string;
  readonly said: readonly { readonly code: string; readonly values: Values }[];
}

/** How findings are said in another language than English. */
export interface Findings {
  /** By code, with the values in their places; braces that are meant stand twice. */
  readonly sentences: Readonly<Record<string, string>>;
  /** Values that count something are said with it, by name. */
  readonly things: Readonly<Record<string, Readonly<Partial<Record<Intl.LDMLPluralRule, string>> & { other: string }>>>;
  /** Values out of closed sets, by name. */
  readonly terms: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** A sentence of the hub's and what it is in another language. `{subject}` stands for a name. */
export type Phrases = readonly (readonly [says: string, means: string])[];

export function createWords(language: string, catalogue: Catalogue, phrases: Phrases = [], findings?: Findings): Words {
  const plural = new Intl.PluralRules(language);
  const format = createFormat(language);
  const valueIn = ({ things, terms }: Findings, name: string, value: string | number): string => {
    // The hub's own alerts may be named in a finding.
    if (typeof value === 'string') return own(own(terms, name) ?? {}, value) ?? words.told(value);
    if (name.endsWith('_ms')) return format.duration(value);
    if (name.endsWith('_bytes')) return format.bytes(value);
    if (name.endsWith('_share')) return format.share(value);
    if (name.endsWith('_percent')) {
      const sign = value < 0 ? '\u2212' : name === 'change_percent' ? '+' : '';
      return `${sign}${format.decimal(Math.abs(value), 0)}\u202f%`;
    }
    const number = format.exact(value);
    const thing = own(things, name);
    return thing === undefined ? number : `${number} ${thing[plural.select(value)] ?? thing.other}`;
  };
  const words: Words = {
    language,
    format,
    said({ english, said }) {
      if (findings === undefined || said.length === 0) return english;
      const sentences: string[] = [];
      for (const { code, values } of said) {
        const sentence = own(findings.sentences, code);
        if (sentence === undefined) return english;
        let isWhole = true;
        sentences.push(
          sentence.replace(/\{(\{\w+\})\}|\{(\w+)\}/g, (_, literal: string | undefined, name: string) => {
            if (literal !== undefined) return literal;
            const value = own(values, name);
            isWhole &&= value !== undefined;
            return value === undefined ? '' : valueIn(findings, name, value);
          }),
        );
        if (!isWhole) return english;
      }
      return sentences.join(' ');
    },
    told(text) {
      for (const [says, means] of phrases) {
        const [before = '', after] = says.split('{subject}');
        if (after === undefined) {
          if (text.includes(says) && (text === says || says.endsWith('.'))) return text.replace(says, () => means);
        } else if (text.length > before.length + after.length && text.startsWith(before) && text.endsWith(after)) {
          const subject = text.slice(before.length, text.length - after.length);
          return means.replace('{subject}', () => subject);
        }
      }
      return text;
    },
    t(key, values = {}) {
      const text = catalogue[key];
      const n = values['n'];
      const form = typeof text === 'string' ? text : ((typeof n === 'number' ? text[plural.select(n)] : undefined) ?? text.other);
      return form.replace(/\{(\w+)\}/g, (whole, name: string) => {
        const value = values[name];
        return value === undefined ? whole : typeof value === 'number' ? format.count(value) : isolated(value);
      });
    },
  };
  return words;
}

/** A member of its own: names from outside may be those of every object's. */
function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** The first language of the reader that there is a catalogue for. Others than English are loaded when they are wanted. */
export async function loadWords(wanted: readonly string[]): Promise<Words> {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split('-')[0];
    if (language === 'en') break;
    if (language === 'de') {
      try {
        const [{ de }, { deRules }, { deFindings }] = await Promise.all([
          import('./de'),
          import('./de_rules'),
          import('./de_findings'),
        ]);
        return createWords(tag, de, deRules, deFindings);
      } catch {
        break;
      }
    }
  }
  return createWords('en', en);
}
