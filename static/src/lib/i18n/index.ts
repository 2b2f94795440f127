/**
 * The page's words. A text is a key of the English catalogue; another language must have the same keys, which the compiler checks.
 * Sentences are whole, with `{name}` where a value goes; a text that depends on a number has its plural forms and chooses by `{n}`.
 */

import { createFormat, type Format } from '../format';
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
}

/** A sentence of the hub's and what it is in another language. `{subject}` stands for a name. */
export type Phrases = readonly (readonly [says: string, means: string])[];

export function createWords(language: string, catalogue: Catalogue, phrases: Phrases = []): Words {
  const plural = new Intl.PluralRules(language);
  const format = createFormat(language);
  return {
    language,
    format,
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
        return value === undefined ? whole : typeof value === 'number' ? format.count(value) : value;
      });
    },
  };
}

/** The first language of the reader that there is a catalogue for. Others than English are loaded when they are wanted. */
export async function loadWords(wanted: readonly string[]): Promise<Words> {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split('-')[0];
    if (language === 'en') break;
    if (language === 'de') {
      try {
        const [{ de }, { deRules }] = await Promise.all([import('./de'), import('./de_rules')]);
        return createWords(tag, de, deRules);
      } catch {
        break;
      }
    }
  }
  return createWords('en', en);
}
