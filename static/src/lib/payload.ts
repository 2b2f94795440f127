/** Published bytes, made readable: as JSON when they are JSON, as text when they are text, else as a hex dump. */

import { cut, visible } from './text';

/** A row of a list shows one line. */
const PREVIEW_CHARS = 240;
/** An unfolded message is for reading, not for downloading. */
const FULL_CHARS = 16_384;
/** A hex dump shows how it starts. */
const HEX_BYTES = 256;
const HEX_PER_LINE = 16;

export type PayloadKind = 'json' | 'text' | 'binary' | 'empty';

export interface FullPayload {
  readonly kind: PayloadKind;
  readonly text: string;
  /** Bytes or characters that are not shown. */
  readonly hidden: number;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decoded(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

/** The first bytes as text, without a character that the cut tore apart. */
function decodedStart(bytes: Uint8Array, max: number): string | null {
  if (bytes.length <= max) return decoded(bytes);
  for (let end = max; end > max - 4; end -= 1) {
    const text = decoded(bytes.subarray(0, end));
    if (text !== null) return text;
  }
  return null;
}

/** One line for a list. Costs the same for a large message as for a small one. */
export function preview(bytes: Uint8Array): string {
  // A character is at most four bytes.
  const text = decodedStart(bytes, PREVIEW_CHARS * 4);
  if (text === null) return cut(hexLine(bytes.subarray(0, 32)), 96) + (bytes.length > 32 ? '\u2026' : '');
  const line = cut(text, PREVIEW_CHARS);
  return visible(line.length < text.length || bytes.length <= PREVIEW_CHARS * 4 ? line : `${line}\u2026`);
}

export function full(bytes: Uint8Array): FullPayload {
  if (bytes.length === 0) return { kind: 'empty', text: '', hidden: 0 };
  const text = decoded(bytes);
  if (text === null) {
    const shown = bytes.subarray(0, HEX_BYTES);
    return { kind: 'binary', text: hexDump(shown), hidden: bytes.length - shown.length };
  }
  const kind = isJson(text) ? 'json' : 'text';
  const start = cut(text, FULL_CHARS);
  const hidden = start.length < text.length ? text.length - (start.length - 1) : 0;
  return { kind, text: kind === 'json' ? indented(start) : lines(start), hidden };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Line breaks and tabs of a text stay what they are, all other controls become pictures. */
function lines(text: string): string {
  return text
    .split('\n')
    .map((line) => line.split('\t').map(visible).join('\t'))
    .join('\n');
}

/**
 * Re-indents JSON without parsing it, so that long numbers, repeated members and escapes stay exactly as they were sent. Expects JSON,
 * or the beginning of it.
 */
export function indented(source: string): string {
  let out = '';
  let depth = 0;
  let at = 0;
  const line = () => `\n${'  '.repeat(Math.min(depth, 40))}`;
  while (at < source.length) {
    const character = source.charAt(at);
    if (character === '"') {
      const end = stringEnd(source, at);
      out += visible(source.slice(at, end));
      at = end;
      continue;
    }
    at += 1;
    if (/\s/.test(character)) continue;
    if (character === '{' || character === '[') {
      const close = nextSolid(source, at);
      if (source.charAt(close) === (character === '{' ? '}' : ']')) {
        out += character + source.charAt(close);
        at = close + 1;
        continue;
      }
      depth += 1;
      out += character + line();
    } else if (character === '}' || character === ']') {
      depth = Math.max(0, depth - 1);
      out += line() + character;
    } else if (character === ',') out += `,${line()}`;
    else if (character === ':') out += ': ';
    else out += visible(character);
  }
  return out;
}

function stringEnd(source: string, start: number): number {
  let at = start + 1;
  while (at < source.length && source.charAt(at) !== '"') at += source.charAt(at) === '\\' ? 2 : 1;
  return Math.min(at + 1, source.length);
}

function nextSolid(source: string, start: number): number {
  let at = start;
  while (at < source.length && /\s/.test(source.charAt(at))) at += 1;
  return at;
}

function hexLine(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function hexDump(bytes: Uint8Array): string {
  const out: string[] = [];
  for (let at = 0; at < bytes.length; at += HEX_PER_LINE) {
    const part = bytes.subarray(at, at + HEX_PER_LINE);
    const letters = Array.from(part, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    out.push(`${at.toString(16).padStart(4, '0')}  ${hexLine(part).padEnd(HEX_PER_LINE * 3 - 1)}  ${letters}`);
  }
  return out.join('\n');
}
