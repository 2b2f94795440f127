/** A feed's states as the dashboard shows them: word, shape, colour, how bad they are; and what was when, from the moves that are known. */

import { FEED_STATES, type FeedRow, type FeedState, type Stay } from '../../client/admin/feeds';
import type { Key, Words } from '../../lib/i18n';
import { en } from '../../lib/i18n/en';
import { visible } from '../../lib/text';
import type { Status } from '../Icon';

interface Look {
  readonly status: Status;
  /** The name of a fill, in tokens. */
  readonly fill: 'ok' | 'warn' | 'crit' | 'move' | 'off';
  /** Of its part of a ribbon: told apart by height too, for those who see no hue. */
  readonly height: number;
  /** The worst come first. */
  readonly rank: number;
}

const LOOKS: Readonly<Record<FeedState, Look>> = {
  parked: { status: 'parked', fill: 'crit', height: 14, rank: 0 },
  cooling_off: { status: 'down', fill: 'crit', height: 14, rank: 1 },
  backoff: { status: 'down', fill: 'crit', height: 14, rank: 2 },
  stalled: { status: 'warn', fill: 'warn', height: 10, rank: 3 },
  degraded: { status: 'warn', fill: 'warn', height: 10, rank: 4 },
  connecting: { status: 'move', fill: 'move', height: 8, rank: 5 },
  draining: { status: 'move', fill: 'move', height: 8, rank: 6 },
  idle: { status: 'off', fill: 'off', height: 4, rank: 7 },
  closed: { status: 'off', fill: 'off', height: 4, rank: 8 },
  open: { status: 'ok', fill: 'ok', height: 6, rank: 9 },
};

/** What the page calls a feed's state: those of the hub, and what operators and listeners made of it. */
export type ShownState = FeedState | 'paused' | 'resting';

export function shownState({ state, isPaused, isResting }: Pick<FeedRow, 'state' | 'isPaused' | 'isResting'>): ShownState {
  if (isPaused) return 'paused';
  return isResting && (state === 'idle' || state === 'closed') ? 'resting' : state;
}

export function lookOf(state: ShownState): Look {
  if (state === 'paused') return { status: 'parked', fill: 'off', height: 4, rank: 6.5 };
  if (state === 'resting') return { status: 'off', fill: 'off', height: 4, rank: 8.5 };
  return LOOKS[state];
}

export function stateName(state: ShownState, { t }: Words): string {
  return t(`feed.state.${state}`);
}

/** Whether messages come in. */
export function delivers(state: FeedState): boolean {
  return state === 'open' || state === 'degraded' || state === 'draining';
}

export function feedReason(reason: string, { t }: Words): string {
  const key = `feed.reason.${reason}`;
  return Object.hasOwn(en, key) ? t(key as Key) : visible(reason);
}

/** Worst state first, then the longest silence; what is equal stays in the order of names. */
export function worstFirst(one: FeedRow, other: FeedRow): number {
  return (
    lookOf(shownState(one)).rank - lookOf(shownState(other)).rank ||
    (other.silentMs ?? 0) - (one.silentMs ?? 0) ||
    (one.name < other.name ? -1 : 1)
  );
}

export interface FeedSegment {
  readonly state: FeedState;
  readonly fromAgoMs: number;
  readonly toAgoMs: number;
}

/** States over the last `windowMs`, the oldest first, none of them outside it. Before the first move that is known nothing is known. */
export function segments(stays: readonly Stay[], windowMs: number): readonly FeedSegment[] {
  return stays.flatMap(([fromAgoMs, state], at): FeedSegment[] => {
    const toAgoMs = stays[at + 1]?.[0] ?? 0;
    return toAgoMs >= windowMs || fromAgoMs <= toAgoMs ? [] : [{ state, fromAgoMs: Math.min(fromAgoMs, windowMs), toAgoMs }];
  });
}

/** "open 57 min, backing off 2 min, now backing off". */
export function ribbonWords(parts: readonly FeedSegment[], words: Words): string {
  const { t, format } = words;
  const now = parts.at(-1);
  if (now === undefined) return t('feed.ribbon.unknown');
  const sums = FEED_STATES.map((state) => {
    const ms = parts.filter((part) => part.state === state).reduce((sum, part) => sum + part.fromAgoMs - part.toAgoMs, 0);
    return { state, ms };
  });
  const said = sums
    .filter(({ ms }) => ms > 0)
    .map(({ state, ms }) => t('feed.ribbon.part', { state: stateName(state, words), time: format.age(ms) }));
  return t('feed.ribbon.all', { parts: said.join(', '), state: stateName(now.state, words) });
}
