import { count, fields, finite, list, text } from '../parse';
import type { Admin } from './admin';

export const SESSION_ORDERS = ['since', 'user', 'subscriptions', 'last_seen', 'address'] as const;
export type SessionOrder = (typeof SESSION_ORDERS)[number];

export interface SessionRow {
  readonly id: string;
  /** Empty: nobody has said who it is. */
  readonly user: string;
  readonly role: string | null;
  readonly login: string | null;
  readonly token: string | null;
  readonly expiresAtMs: number | null;
  readonly address: string;
  readonly device: string;
  readonly transport: string;
  readonly codec: string;
  readonly sinceMs: number | null;
  readonly lastSeenMs: number | null;
  readonly subscriptions: number;
}

export interface SessionWindow {
  readonly rows: readonly SessionRow[];
  /** Those that are meant, and all that are connected. */
  readonly count: number;
  readonly inAll: number;
  readonly transports: ReadonlyMap<string, number>;
}

export interface SessionWanted {
  readonly text: string;
  readonly transport: string | null;
  readonly sort: SessionOrder;
  readonly descending: boolean;
  readonly skip: number;
  readonly limit: number;
}

export function parseSession(value: unknown): SessionRow | null {
  const row = fields(value);
  const id = text(row?.['session']);
  if (row === null || id === null) return null;
  const expiresAt = finite(row['expires_at']);
  return {
    id,
    user: text(row['user']) ?? '',
    role: text(row['role']),
    login: text(row['login']),
    token: text(row['token']),
    expiresAtMs: expiresAt === null ? null : expiresAt * 1000,
    address: text(row['address']) ?? '',
    device: text(row['device']) ?? '',
    transport: text(row['transport']) ?? '',
    codec: text(row['codec']) ?? '',
    sinceMs: count(row['since']),
    lastSeenMs: count(row['last_seen']),
    subscriptions: count(row['subscriptions']) ?? 0,
  };
}

export function parseSessionWindow(value: unknown): SessionWindow | null {
  const answer = fields(value);
  if (answer === null || !Array.isArray(answer['sessions'])) return null;
  const rows = list(answer['sessions']).flatMap((entry) => parseSession(entry) ?? []);
  const transports = Object.entries(fields(answer['transports']) ?? {}).flatMap(([name, sessions]): [string, number][] => {
    const found = count(sessions);
    return found === null ? [] : [[name, found]];
  });
  return {
    rows,
    count: count(answer['count']) ?? rows.length,
    inAll: count(answer['in_all']) ?? rows.length,
    transports: new Map(transports),
  };
}

export function browseSessions(admin: Admin, wanted: SessionWanted): Promise<SessionWindow> {
  const { text: like, transport, sort, descending, skip, limit } = wanted;
  const values = { text: like === '' ? null : like, transport, sort, descending, skip, limit };
  return admin.ask('sessions.browse', values, parseSessionWindow);
}

export function showSession(admin: Admin, session: string): Promise<SessionDetail> {
  return admin.ask('sessions.show', { session }, parseSessionDetail);
}

/** One session with what only it knows itself; `null` where it did not tell in time. */
export interface SessionDetail extends SessionRow {
  readonly waitingBytes: number | null;
  readonly lastPingMs: number | null;
  readonly isPongDue: boolean;
  /** From the last ping to its answer. */
  readonly roundTripMs: number | null;
}

export function parseSessionDetail(value: unknown): SessionDetail | null {
  const session = fields(fields(value)?.['session']);
  const row = parseSession(session);
  if (session === null || row === null) return null;
  return {
    ...row,
    waitingBytes: count(session['waiting_bytes']),
    lastPingMs: count(session['last_ping']),
    isPongDue: session['is_pong_due'] === true,
    roundTripMs: count(session['round_trip_ms']),
  };
}

export interface SessionInside {
  readonly worker: number | null;
  readonly subscriptions: readonly { readonly channel: string; readonly isServerSide: boolean }[];
  readonly subscriptionsInAll: number;
  readonly commandsWaiting: number;
  readonly errors: number;
  readonly isPongDue: boolean;
}

export function parseInside(value: unknown): SessionInside | null {
  const answer = fields(value);
  if (answer === null) return null;
  const subscriptions = list(answer['subscriptions']).flatMap((entry) => {
    const one = fields(entry);
    const channel = text(one?.['channel']);
    return channel === null ? [] : [{ channel, isServerSide: one?.['is_server_side'] === true }];
  });
  return {
    worker: count(answer['worker']),
    subscriptions,
    subscriptionsInAll: count(answer['subscriptions_in_all']) ?? subscriptions.length,
    commandsWaiting: count(answer['commands_waiting']) ?? 0,
    errors: count(answer['errors']) ?? 0,
    isPongDue: answer['is_pong_due'] === true,
  };
}

export function insideSession(admin: Admin, session: string): Promise<SessionInside> {
  return admin.ask('debug.session', { session }, parseInside);
}

/** `reason` is what the client is told; empty: the hub's own words. */
export function kickSession(admin: Admin, session: string, reason: string): Promise<void> {
  return admin.tell('sessions.kick', reason === '' ? { session } : { session, reason });
}
