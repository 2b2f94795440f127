/** What the test found, in words: for the page, and as a text to send to whoever can help. */

import { LIMIT_MS, type Outcome, type ProbeName } from '../../client/probe';
import type { Status } from '../../components/Icon';
import type { Words } from '../../lib/i18n';
import { visible } from '../../lib/text';
import type { Row, TestState } from './connection_test_model';

/** What switches a way on. */
const SETTINGS: Readonly<Record<ProbeName, string>> = {
  websocketJson: 'websocket.disabled = false',
  websocketProtobuf: 'websocket.disabled = false',
  httpStream: 'http_stream.enabled = true',
  sse: 'sse.enabled = true',
  uniSse: 'uni_sse.enabled = true',
  mercure: 'mercure.enabled = true',
};

export interface RowWords {
  readonly status: Status;
  readonly result: string;
  /** A sentence, or nothing to add. */
  readonly why: string;
}

export function rowWords({ name, state }: Row, origin: string, words: Words): RowWords {
  const { t, format } = words;
  switch (state.kind) {
    case 'off':
      return { status: 'off', result: t('test.off'), why: t('test.offHow', { key: SETTINGS[name] }) };
    case 'waiting':
      return { status: 'off', result: t('test.waiting'), why: '' };
    case 'testing':
      return { status: 'move', result: t('test.testing'), why: '' };
    case 'stopped':
      return { status: 'off', result: t('test.stopped'), why: '' };
    case 'works':
      return { status: 'ok', result: t('test.works'), why: '' };
    case 'late': {
      const wait = format.latency((state.firstMs ?? 0) - (state.openMs ?? 0));
      return { status: 'warn', result: t('test.late'), why: t('test.lateWhy', { wait }) };
    }
    case 'guarded':
      return { status: 'info', result: t('test.guarded'), why: t('test.guardedWhy', { code: String(state.code) }) };
    case 'blocked':
      return { status: 'crit', result: t('test.blocked'), why: causeWords(state, origin, words) };
  }
}

function causeWords({ cause }: Outcome & { kind: 'blocked' }, origin: string, { t, format }: Words): string {
  const limit = format.age(LIMIT_MS);
  switch (cause.kind) {
    case 'status': {
      const status = String(cause.status);
      return cause.says === ''
        ? t('test.cause.status', { status })
        : t('test.cause.statusSays', { status, says: visible(cause.says) });
    }
    case 'origin':
      return cause.says === ''
        ? t('test.cause.origin', { origin })
        : t('test.cause.originSays', { origin, says: visible(cause.says) });
    case 'policy':
      return t('test.cause.policy', { directive: visible(cause.directive) });
    case 'held':
      return t(cause.hasHead ? 'test.cause.heldHead' : 'test.cause.held', { limit });
    case 'commands':
      return cause.status === null ? t('test.cause.noCommands') : t('test.cause.commands', { status: String(cause.status) });
    case 'silent':
      return t('test.cause.silent', { limit });
    case 'upgrade':
    case 'cut':
    case 'foreign':
    case 'unreachable':
      return t(`test.cause.${cause.kind}`);
  }
}

export type Run = TestState & { kind: 'run' };

/** The whole in a sentence. */
export function verdict({ rows, endedMs, isStopped }: Run, { t }: Words): { status: Status; sentence: string } {
  if (endedMs === null) return { status: 'move', sentence: t('test.verdict.testing') };
  if (isStopped) return { status: 'off', sentence: t('test.verdict.stopped') };
  const open = rows.filter(({ state }) => state.kind === 'works' || state.kind === 'late' || state.kind === 'guarded');
  const is = (...names: ProbeName[]) => open.find(({ name }) => names.includes(name));
  if (is('websocketJson', 'websocketProtobuf') !== undefined) return { status: 'ok', sentence: t('test.verdict.websocket') };
  const fallback = is('httpStream', 'sse');
  const isOff = rows.some(({ name, state }) => name === 'websocketJson' && state.kind === 'off');
  if (fallback !== undefined) {
    const name = t(`test.name.${fallback.name}`);
    return isOff
      ? { status: 'ok', sentence: t('test.verdict.fallbackOnly', { name }) }
      : { status: 'warn', sentence: t('test.verdict.fallback', { name }) };
  }
  const listening = is('uniSse', 'mercure');
  if (listening !== undefined)
    return { status: 'warn', sentence: t('test.verdict.listening', { name: t(`test.name.${listening.name}`) }) };
  return { status: 'crit', sentence: t('test.verdict.none') };
}

export interface Surroundings {
  readonly origin: string;
  readonly browser: string;
  /** How the page came: `http/1.1`, `h2`; empty: the browser does not say. */
  readonly protocol: string;
}

/** For a ticket: nothing that is secret is in it. */
export function reportText(run: Run, around: Surroundings, words: Words): string {
  const { t, format } = words;
  const time = new Date(run.endedMs ?? Date.now()).toISOString();
  const lines = run.rows.map((row) => {
    const { result, why } = rowWords(row, around.origin, words);
    const times = 'openMs' in row.state ? row.state : null;
    const figures = [
      [t('test.open'), times?.openMs ?? null],
      [t('test.first'), times?.firstMs ?? null],
      [t('test.roundTrip'), times?.roundTripMs ?? null],
    ] as const;
    const measured = figures.filter(([, ms]) => ms !== null).map(([label, ms]) => `${label} ${format.latency(ms)}`);
    const place = row.path === null ? '' : ` (${row.path})`;
    return `- ${t(`test.name.${row.name}`)}${place}: ${[result, ...measured].join(', ')}${why === '' ? '' : `. ${why}`}`;
  });
  return [
    t('test.report.head', { origin: around.origin, time }),
    verdict(run, words).sentence,
    '',
    ...lines,
    '',
    ...(around.protocol === '' ? [] : [t('test.report.protocol', { protocol: around.protocol })]),
    t('test.report.browser', { browser: around.browser }),
  ].join('\n');
}
