import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { de } from './de';
import { deFindings } from './de_findings';
import { deRules } from './de_rules';
import { en } from './en';
import { createWords, type Key, loadWords } from './index';

const keys = Object.keys(en) as Key[];
const forms = (text: (typeof de)[Key]) => (typeof text === 'string' ? [text] : Object.values(text));
const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

test.each(keys)('%s has the same places in both languages', (key) => {
  const expected = places(forms(en[key])[0] ?? '');
  for (const form of [...forms(en[key]), ...forms(de[key])]) expect(places(form)).toEqual(expected);
});

test('the form follows the number', () => {
  const words = createWords('en', en);
  expect(words.t('back.recovered', { n: 1 })).toBe('Connected again. 1 message recovered.');
  expect(words.t('back.recovered', { n: 1_400 })).toBe('Connected again. 1\u202f400 messages recovered.');
});

test('a value that looks like a place is not filled again', () => {
  expect(createWords('en', en).t('channels.noMatchTitle', { q: '{n} $& {q}' })).toBe('No channel matches “{n} $& {q}”');
});

test('the first language that there is a catalogue for is taken', async () => {
  expect((await loadWords(['fr-FR', 'de-AT', 'en'])).t('say.send')).toBe('Senden');
  expect((await loadWords(['en-US', 'de'])).t('say.send')).toBe('Send');
  expect((await loadWords(['tlh'])).t('say.send')).toBe('Send');
});

test('no text pleads, shouts or ends a label with a full stop', () => {
  for (const key of keys) for (const form of forms(en[key])) expect(form, key).not.toMatch(/please|oops|successfully|!/i);
});

test('every sentence of the rules that the hub brings along is there in German, and no other', () => {
  const source = readFileSync(new URL('../../../../src/metrics/alerts/defaults.rs', import.meta.url), 'utf8');
  const table = source.slice(source.indexOf('\nrows! {'), source.indexOf('\n}', source.indexOf('\nrows! {')));
  const said = [...table.matchAll(/^ {8}"([^"]+)", "([^"]+)";$/gm)].flatMap(([, title = '', advice = '']) => [title, advice]);
  expect(said.length).toBeGreaterThan(60);
  expect(new Set(deRules.map(([says]) => says))).toEqual(new Set(said));
});

test('what the hub says is told in the reader’s language, with the names that are in it, and the rest as it was said', () => {
  const { told } = createWords('de', de, deRules);
  expect(told('Feed $& is {subject} is down')).toBe('Zufluss $& is {subject} ist ausgefallen');
  expect(told('The store is slow')).toBe('Die Ablage ist langsam');
  expect(told('The store is slowly dying')).toBe('The store is slowly dying');
  expect(told('panics is 1. The log says what it was.')).toBe('panics is 1. Das Log sagt, was es war.');
  expect(createWords('en', en).told('The store is slow')).toBe('The store is slow');
});

test('every finding of the hub is there in German, and no other, with no value that it does not have', () => {
  const root = new URL('../../../../src/', import.meta.url);
  const said = new Map<string, string>();
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.rs')) continue;
    const source = readFileSync(new URL(name, root), 'utf8');
    for (const [, code = '', english = ''] of source.matchAll(/said!\(\s*"([^"]+)",\s*"((?:[^"\\]|\\[\s\S])*)"/g))
      if (!code.startsWith('test.')) said.set(code, english);
  }
  expect(said.size).toBeGreaterThan(200);
  expect(Object.keys(deFindings.sentences).sort()).toEqual([...said.keys()].sort());
  for (const [code, german] of Object.entries(deFindings.sentences))
    expect(new Set(places(said.get(code) ?? '')), code).toEqual(new Set(places(german)));
});

test('a finding is said with its values in the reader’s language, and in English where a part is not known', () => {
  const { said } = createWords('de', de, deRules, deFindings);
  const finding = (code: string, values: Readonly<Record<string, string | number>>) => ({
    english: 'in English',
    said: [{ code, values }],
  });
  const table: readonly (readonly [string, Readonly<Record<string, string | number>>, string])[] = [
    ['stream.heard', { events: 1, size_bytes: 1_536, took_ms: 1_500 }, '1 Ereignis und 1,50\u202fKiB in 1,5\u202fs'],
    ['report.sessions_change', { change_percent: -31, period: 'day' }, '\u221231\u202f% Sitzungen gegen den Tag davor'],
    ['report.sessions_change', { change_percent: 31, period: 'aeon' }, '+31\u202f% Sitzungen gegen aeon'],
    [
      'feeds.worst',
      { feed: '{reason}', share_percent: 60, reason: 'rst' },
      '{reason} hat 60\u202f% aller Fehler, meist: abgebrochen',
    ],
    ['alert.read', { metric: 'host.cpu', value: 98.537 }, 'host.cpu ist 98,537.'],
    ['rule.below_for', { limit: 0.0005, for_ms: 300_000 }, 'Die Regel: unter 0,0005, 5\u202fmin lang.'],
    ['alert.feed.reason', { state: 'backoff', reason: 'rst' }, 'Wartet kurz: abgebrochen.'],
    ['ready.maintenance', { message: 'um 7 zurück' }, 'Wartung: um 7 zurück'],
    ['event_names.all', { names: '{{event}} {names}' }, '{{event}} {names}'],
    [
      'report.critical_once',
      { alert: 'The store is slow', active_ms: 90_000 },
      'kritisch: Die Ablage ist langsam (einmal, insgesamt 90,0\u202fs)',
    ],
    ['stream.heard', { events: 1 }, 'in English'],
    ['no.such', {}, 'in English'],
    ['toString', {}, 'in English'],
  ];
  for (const [code, values, told] of table) expect(said(finding(code, values)), code).toBe(told);
  expect(said({ english: 'in English', said: [] })).toBe('in English');
  expect(said(finding('event_names.many', {}))).toContain(' {event} ');
  const two = [...finding('hub.parks_it', {}).said, ...finding('hub.waits', {}).said];
  expect(said({ english: '', said: two })).toMatch(/^Der Hub parkt .*\. Der Hub wartet /);
  expect(createWords('en', en).said(finding('hub.waits', {}))).toBe('in English');
});
