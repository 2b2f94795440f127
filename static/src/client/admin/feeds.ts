import { count, fields, finite, list, text } from '../parse';
import type { Admin } from './admin';

export const FEED_STATES = [
  'open',
  'degraded',
  'stalled',
  'connecting',
  'draining',
  'backoff',
  'cooling_off',
  'parked',
  'idle',
  'closed',
] as const;
export type FeedState = (typeof FEED_STATES)[number];

export interface FeedRow {
  readonly name: string;
  readonly state: FeedState;
  readonly isPaused: boolean;
  readonly isResting: boolean;
  /** `configured`, `added` or `on_demand`. */
  readonly origin: string;
  readonly priority: number;
  /** How old the connection is. */
  readonly ageMs: number | null;
  /** How long it is in its state. */
  readonly sinceMs: number;
  readonly reason: string | null;
  readonly detail: string;
  readonly lastEventId: string;
  readonly events: number;
  readonly dropped: number;
  readonly bytes: number;
  readonly errors: number;
  readonly reconnects: number;
  readonly rotations: number;
  readonly repeated: number;
  readonly gaps: number;
  readonly perMinute: number;
  readonly bytesPerMinute: number;
  readonly errorsPerMinute: number;
  readonly usualPerMinute: number | null;
  readonly latencyMs: number | null;
  readonly silentMs: number | null;
  readonly nextTryMs: number | null;
}

export interface FeedList {
  readonly feeds: readonly FeedRow[];
  readonly max: number;
  readonly held: number;
  readonly rotating: number;
  readonly waiting: number;
}

export interface FeedMove {
  readonly agoMs: number;
  readonly from: FeedState;
  readonly to: FeedState;
  readonly reason: string | null;
  readonly detail: string;
}

export interface FeedDetail {
  readonly feed: FeedRow;
  readonly host: string;
  readonly isTls: boolean;
  readonly channels: readonly string[];
  /** The newest first. */
  readonly moves: readonly FeedMove[];
}

/** When a feed went into which state, the oldest first. */
export type Stay = readonly [agoMs: number, state: FeedState];

/** A state of a later hub is shown as one in between. */
export function feedState(value: unknown): FeedState {
  return FEED_STATES.find((known) => known === value) ?? 'idle';
}

export function parseFeed(value: unknown): FeedRow | null {
  const row = fields(value);
  const name = text(row?.['feed']);
  if (row === null || name === null) return null;
  const number = (member: string) => count(row[member]) ?? 0;
  return {
    name,
    state: feedState(row['state']),
    isPaused: row['is_paused'] === true,
    isResting: row['is_resting'] === true,
    origin: text(row['origin']) ?? '',
    priority: finite(row['priority']) ?? 0,
    ageMs: count(row['age_ms']),
    sinceMs: number('since_ms'),
    reason: text(row['reason']),
    detail: text(row['detail']) ?? '',
    lastEventId: text(row['last_event_id']) ?? '',
    events: number('events'),
    dropped: number('dropped'),
    bytes: number('bytes'),
    errors: number('errors'),
    reconnects: number('reconnects'),
    rotations: number('rotations'),
    repeated: number('repeated'),
    gaps: number('gaps'),
    perMinute: number('events_per_minute'),
    bytesPerMinute: number('bytes_per_minute'),
    errorsPerMinute: number('errors_per_minute'),
    usualPerMinute: count(row['usual_per_minute']),
    latencyMs: count(row['latency_ms']),
    silentMs: count(row['silent_ms']),
    nextTryMs: count(row['next_try_in_ms']),
  };
}

export function parseFeedList(value: unknown): FeedList | null {
  const answer = fields(value);
  if (answer === null || !Array.isArray(answer['feeds'])) return null;
  const connections = fields(answer['connections']);
  return {
    feeds: list(answer['feeds']).flatMap((entry) => parseFeed(entry) ?? []),
    max: count(answer['max']) ?? 0,
    held: count(connections?.['held']) ?? 0,
    rotating: count(connections?.['rotating']) ?? 0,
    waiting: count(connections?.['waiting']) ?? 0,
  };
}

export function listFeeds(admin: Admin): Promise<FeedList> {
  return admin.ask('upstream.list', {}, parseFeedList);
}

export function parseStays(value: unknown): ReadonlyMap<string, readonly Stay[]> | null {
  const feeds = fields(fields(value)?.['feeds']);
  if (feeds === null) return null;
  return new Map(
    Object.entries(feeds).map(([name, stays]): [string, readonly Stay[]] => [
      name,
      list(stays).flatMap((stay): Stay[] => {
        const [ago, state] = list(stay);
        const agoMs = count(ago);
        return agoMs === null ? [] : [[agoMs, feedState(state)]];
      }),
    ]),
  );
}

export function feedMoves(admin: Admin): Promise<ReadonlyMap<string, readonly Stay[]>> {
  return admin.ask('upstream.moves', {}, parseStays);
}

export function parseFeedDetail(value: unknown): FeedDetail | null {
  const answer = fields(value);
  const feed = parseFeed(answer?.['feed']);
  if (answer === null || feed === null) return null;
  return {
    feed,
    host: text(answer['host']) ?? '',
    isTls: answer['is_tls'] === true,
    channels: list(answer['channels']).flatMap((name) => text(name) ?? []),
    moves: list(answer['moves']).flatMap((entry) => {
      const move = fields(entry);
      const agoMs = count(move?.['ago_ms']);
      if (move === null || agoMs === null) return [];
      return [
        {
          agoMs,
          from: feedState(move['from']),
          to: feedState(move['to']),
          reason: text(move['reason']),
          detail: text(move['detail']) ?? '',
        },
      ];
    }),
  };
}

export function showFeed(admin: Admin, feed: string): Promise<FeedDetail> {
  return admin.ask('upstream.show', { feed }, parseFeedDetail);
}

export type FeedOrder = 'pause' | 'resume' | 'reconnect' | 'rotate' | 'remove';

export function orderFeed(admin: Admin, order: FeedOrder, feed: string): Promise<void> {
  return admin.tell(`upstream.${order}`, { feed });
}

export function addFeed(
  admin: Admin,
  feed: string,
  definition: { readonly url: string; readonly channel: string },
): Promise<void> {
  return admin.tell('upstream.add', { feed, definition });
}
