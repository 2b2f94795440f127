import { describe, expect, test } from 'vitest';
import type { CommandHelp } from '../../client/admin/commands';
import { History, newestRows, suggestions, understood, words } from './console_model';

const argument = (name: string, schema: Record<string, unknown>, isRequired = false) => ({
  name,
  help: `${name}.`,
  isRequired,
  schema,
});
const command = (name: string, given: CommandHelp['arguments'], needsConfirm = false): CommandHelp => ({
  name,
  summary: `${name}.`,
  right: null,
  effect: 'reads',
  needsConfirm,
  arguments: given,
  example: {},
});

const commands = [
  command('help', [argument('command', { type: 'string' })]),
  command('history.purge', [argument('channel', { type: 'string' }, true), argument('confirm', { type: 'boolean' }, true)], true),
  command('log.level', [
    argument('module', { type: 'string' }, true),
    argument('level', { type: 'string', enum: ['debug', 'info'] }),
  ]),
  command('sessions.list', [
    argument('user', { type: 'string' }),
    argument('limit', { type: 'integer' }),
    argument('at_once', { type: 'boolean' }),
  ]),
  command('upstream.add', [argument('feed', { type: 'string' }, true), argument('definition', { type: 'object' }, true)]),
];

test.each([
  ['a b', ['a', 'b']],
  ['  ', []],
  [`'a b' "c d" e\\ f`, ['a b', 'c d', 'e f']],
  [`''`, ['']],
  [`"a\\"b"`, ['a"b']],
  [`'a`, null],
])('%j is the words %j', (source, expected) => expect(words(source)).toEqual(expected));

describe('a line', () => {
  test.each([
    ['sessions.list --user alice --limit 5', { user: 'alice', limit: 5 }],
    ['sessions.list --user=alice --at-once', { user: 'alice', at_once: true }],
    ['admin.sessions.list --at-once false', { at_once: false }],
    ['sessions.list {"limit": 3}', { limit: 3 }],
    ['help sessions.kick', { command: 'admin.sessions.kick' }],
    [`upstream.add --feed a --definition '{"url":"http://x/"}'`, { feed: 'a', definition: { url: 'http://x/' } }],
    ['history.purge --channel a', { channel: 'a' }],
  ])('%j is understood', (source, values) => expect(understood(source, commands)).toMatchObject({ ok: true, values }));

  test.each([
    ['nothing', 'command'],
    ['sessions.list --usr a', 'argument'],
    ['sessions.list --limit x', 'value'],
    ['sessions.list --user', 'value'],
    ["sessions.list --user 'a", 'quote'],
    ['sessions.list {', 'json'],
    ['sessions.list [1]', 'word'],
    ['sessions.list alice', 'word'],
    ['history.purge', 'missing'],
    ['upstream.add --feed a --definition x', 'value'],
  ])('%j is wrong: %s', (source, why) => expect(understood(source, commands)).toMatchObject({ ok: false, why }));
});

describe('how a line could go on', () => {
  test.each([
    ['ses', ['sessions.list']],
    ['l', ['log.level', 'help', 'sessions.list']],
    ['sessions.list --', ['--user', '--limit', '--at_once']],
    ['sessions.list --user a --', ['--limit', '--at_once']],
    ['log.level --level ', ['debug', 'info']],
    ['log.level --level d', ['debug']],
    ['sessions.list --user ', []],
    ['history.purge --', ['--channel']],
    ['nothing --', []],
    ['sessions.list {', []],
  ])('%j: %j', (typed, expected) => expect(suggestions(typed, commands).map(({ text }) => text)).toEqual(expected));

  test('what is chosen is put where it belongs', () => {
    expect(suggestions('sessions.list --us', commands)[0]?.line).toBe('sessions.list --user ');
  });
});

test('lines come back in turn, and what was being typed after them', () => {
  const history = new History();
  for (const line of ['a', 'b', 'b']) history.add(line);
  expect([history.before('draft'), history.before('b'), history.before('a')]).toEqual(['b', 'a', null]);
  expect([history.after(), history.after(), history.after()]).toEqual(['b', 'draft', null]);
});

test('an answer with one list of objects is a table, any other is not', () => {
  expect(newestRows({ users: [{ a: 1 }, { a: null, b: 'x\u202e' }], next: null, count: 2 })).toEqual({
    head: ['a', 'b'],
    rows: [
      ['1', ''],
      ['', 'x⟨202E⟩'],
    ],
    isNumber: [true, false],
    rest: 'count: 2',
  });
  for (const value of [null, [], {}, { a: [] }, { a: [1] }, { a: [{ b: 1 }], c: [{ d: 1 }] }])
    expect(newestRows(value)).toBeNull();
});
