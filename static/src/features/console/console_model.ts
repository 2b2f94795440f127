/** A line of the console: what it means, how it could go on, and how an answer becomes a table. */

import type { CommandHelp } from '../../client/admin/commands';
import { type Fields, fields, json, list } from '../../client/parse';
import { cut, visible } from '../../lib/text';

export type Answered =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'answer'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly why: string; readonly code: number };

export interface Line {
  readonly id: number;
  readonly atMs: number;
  readonly source: string;
  readonly answer: Answered;
}

export type Wrong = 'command' | 'argument' | 'value' | 'quote' | 'json' | 'word' | 'missing';

export type Understood =
  | { readonly ok: true; readonly command: CommandHelp; readonly values: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly why: Wrong; readonly what: string };

/** Splits as a shell does: quotes hold words together, a backslash takes the next sign as it is. `null`: a quote has no end. */
export function words(source: string): readonly string[] | null {
  const out: string[] = [];
  let word = '';
  let isWord = false;
  let quote = '';
  for (let at = 0; at < source.length; at += 1) {
    const sign = source.charAt(at);
    if (sign === '\\' && quote !== "'" && at + 1 < source.length) {
      at += 1;
      word += source.charAt(at);
      isWord = true;
    } else if (quote !== '') {
      if (sign === quote) quote = '';
      else word += sign;
    } else if (sign === '"' || sign === "'") {
      quote = sign;
      isWord = true;
    } else if (/\s/.test(sign)) {
      if (isWord) out.push(word);
      word = '';
      isWord = false;
    } else {
      word += sign;
      isWord = true;
    }
  }
  if (quote !== '') return null;
  if (isWord) out.push(word);
  return out;
}

/** `name --argument value --flag`, or `name {"argument": …}`. */
export function understood(source: string, commands: readonly CommandHelp[]): Understood {
  const first = source.trim().split(/\s/, 1)[0] ?? '';
  const name = first.startsWith('admin.') ? first.slice('admin.'.length) : first;
  const command = commands.find((known) => known.name === name);
  if (command === undefined) return { ok: false, why: 'command', what: visible(cut(name, 64)) };
  const rest = source.trim().slice(first.length).trim();
  if (rest.startsWith('{')) {
    const values = fields(json(rest));
    return values === null ? { ok: false, why: 'json', what: '' } : { ok: true, command, values };
  }
  const parts = words(rest);
  if (parts === null) return { ok: false, why: 'quote', what: '' };
  const values: Record<string, unknown> = {};
  for (let at = 0; at < parts.length; at += 1) {
    const part = parts[at] ?? '';
    if (!part.startsWith('--')) {
      // `help sessions.kick`: the only argument that there is need not be named.
      const only = command.arguments.length === 1 ? command.arguments[0] : undefined;
      if (only === undefined || only.name in values) return { ok: false, why: 'word', what: visible(cut(part, 64)) };
      values[only.name] = command.name === 'help' && !part.startsWith('admin.') ? `admin.${part}` : part;
      continue;
    }
    const equals = part.indexOf('=');
    const argument = (equals < 0 ? part.slice(2) : part.slice(2, equals)).replaceAll('-', '_');
    const known = command.arguments.find((one) => one.name === argument);
    if (known === undefined) return { ok: false, why: 'argument', what: visible(cut(argument, 64)) };
    if (known.schema['type'] === 'boolean' && equals < 0 && !/^(?:true|false)$/.test(parts[at + 1] ?? '')) {
      values[argument] = true;
      continue;
    }
    const text = equals < 0 ? parts[++at] : part.slice(equals + 1);
    const value = text === undefined ? undefined : typedValue(text, known.schema);
    if (value === undefined) return { ok: false, why: 'value', what: argument };
    values[argument] = value;
  }
  const missing = command.arguments.find((one) => one.isRequired && one.name !== 'confirm' && !(one.name in values));
  return missing === undefined ? { ok: true, command, values } : { ok: false, why: 'missing', what: missing.name };
}

/** A text as the argument's type wants it; `undefined` where it cannot be that. */
function typedValue(text: string, schema: Fields): unknown {
  switch (schema['type']) {
    case 'string':
      return text;
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'integer':
    case 'number':
      return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined;
    case 'array': {
      const listed = json(text);
      return Array.isArray(listed) ? listed : text.split(',').map((one) => one.trim());
    }
    case 'object':
      return fields(json(text)) ?? undefined;
    default: {
      const value = json(text);
      return value === undefined ? text : value;
    }
  }
}

export interface Suggestion {
  /** What is added. */
  readonly text: string;
  readonly help: string;
  /** The whole line with it. */
  readonly line: string;
}

const SUGGESTED_MAX = 8;

export function suggestions(typed: string, commands: readonly CommandHelp[]): readonly Suggestion[] {
  const [name = '', ...rest] = typed.trimStart().split(/\s+/);
  if (rest.length === 0) {
    const like = commands.filter((command) => command.name.includes(name) && command.name !== name);
    // Those that begin with it come first.
    like.sort((one, other) => Number(other.name.startsWith(name)) - Number(one.name.startsWith(name)));
    return like
      .slice(0, SUGGESTED_MAX)
      .map((command) => ({ text: command.name, help: command.summary, line: `${command.name} ` }));
  }
  const command = commands.find((known) => known.name === name);
  const last = rest.at(-1) ?? '';
  if (command === undefined || last.startsWith('{')) return [];
  const before = typed.slice(0, typed.length - last.length);
  const previous = rest.at(-2) ?? '';
  const asked = command.arguments.find((argument) => `--${argument.name}` === previous);
  const choices = asked?.schema['enum'];
  if (Array.isArray(choices))
    return choices
      .map(String)
      .filter((choice) => choice.startsWith(last) && choice !== last)
      .slice(0, SUGGESTED_MAX)
      .map((choice) => ({ text: choice, help: asked?.help ?? '', line: `${before}${choice} ` }));
  if (asked !== undefined && asked.schema['type'] !== 'boolean') return [];
  return command.arguments
    .filter(
      ({ name: argument }) =>
        argument !== 'confirm' && `--${argument}`.startsWith(last) && !rest.slice(0, -1).includes(`--${argument}`),
    )
    .filter(({ name: argument }) => `--${argument}` !== last)
    .slice(0, SUGGESTED_MAX)
    .map((argument) => ({ text: `--${argument.name}`, help: argument.help, line: `${before}--${argument.name} ` }));
}

/** Lines that were sent, to be had again. */
export class History {
  readonly #lines: string[] = [];
  #at = 0;
  #draft = '';

  add(line: string): void {
    if (this.#lines.at(-1) !== line) this.#lines.push(line);
    if (this.#lines.length > 100) this.#lines.shift();
    this.#at = this.#lines.length;
    this.#draft = '';
  }

  /** `null`: there is none. */
  before(typed: string): string | null {
    if (this.#at === 0) return null;
    if (this.#at === this.#lines.length) this.#draft = typed;
    this.#at -= 1;
    return this.#lines[this.#at] ?? null;
  }

  after(): string | null {
    if (this.#at >= this.#lines.length) return null;
    this.#at += 1;
    return this.#at === this.#lines.length ? this.#draft : (this.#lines[this.#at] ?? null);
  }
}

const ROWS_MAX = 200;
const COLUMNS_MAX = 12;
const CELL_CHARS = 60;

export interface Rows {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly isNumber: readonly boolean[];
  /** What else the answer said. */
  readonly rest: string;
}

/** An answer whose one list has objects becomes rows; any other does not. */
export function newestRows(value: unknown): Rows | null {
  const answer = fields(value);
  if (answer === null) return null;
  const lists = Object.entries(answer).filter(([, one]) => Array.isArray(one) && one.length > 0);
  const [only] = lists;
  if (only === undefined || lists.length > 1 || !Array.isArray(only[1])) return null;
  const all = list(only[1]).map(fields);
  const rows = all.filter((row) => row !== null).slice(0, ROWS_MAX);
  if (all.includes(null)) return null;
  const head = [...new Set(rows.flatMap((row) => Object.keys(row)))].slice(0, COLUMNS_MAX);
  const rest = Object.entries(answer)
    .filter(([name, one]) => name !== only[0] && one !== null)
    .map(([name, one]) => `${name}: ${cellText(one)}`);
  if (all.length > ROWS_MAX) rest.unshift(`${ROWS_MAX} / ${all.length}`);
  return {
    head,
    rows: rows.map((row) => head.map((name) => cellText(row[name]))),
    isNumber: head.map((name) =>
      rows.every((row) => row[name] === null || row[name] === undefined || typeof row[name] === 'number'),
    ),
    rest: rest.join('   '),
  };
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return '';
  return visible(cut(typeof value === 'string' ? value : JSON.stringify(value), CELL_CHARS));
}
