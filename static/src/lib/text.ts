/** Text from outside, made safe to look at. Safe to insert it is anyway: it only ever becomes a text node. */

/** Controls, bidi marks and other characters that change what one sees around them. Joiners stay: scripts and emoji need them. */
// biome-ignore-start lint/suspicious/noControlCharactersInRegex: finding them is what it is for.
const INVISIBLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: finding them is what it is for.

/** Shows each such character as its picture (␀), or by its number where Unicode has no picture (⟨202E⟩). */
export function visible(text: string): string {
  return text.replace(INVISIBLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (code <= 0x1f) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return '\u2421';
    return `\u27e8${code.toString(16).toUpperCase().padStart(4, '0')}\u27e9`;
  });
}

/** A value as people read it, over several lines. */
export function visibleJson(value: unknown): string {
  return JSON.stringify(value ?? null, null, 2)
    .split('\n')
    .map(visible)
    .join('\n');
}

/** Hebrew, Arabic and their neighbours. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** What stands in a sentence and runs from right to left is set apart (UAX #9, 2.7), or it would take numbers and points beside it along. */
export function isolated(text: string): string {
  return RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text;
}

/** At most `max` characters, with an ellipsis where something was cut; never half a surrogate pair. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = /[\ud800-\udbff]/.test(text.charAt(max - 1)) ? max - 1 : max;
  return `${text.slice(0, end)}\u2026`;
}

/** Ids: the two ends tell them apart. */
export function middleCut(id: string): string {
  return id.length <= 14 ? id : `${id.slice(0, 8)}\u2026${id.slice(-4)}`;
}
