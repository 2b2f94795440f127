import { count, type Fields, fields, list, text } from '../parse';
import type { Admin } from './admin';

export interface ChannelFacts {
  readonly name: string;
  readonly subscribers: number;
  /** Publications a second. */
  readonly rate: number;
  /** `null`: the channel keeps no history. */
  readonly history: StreamFacts | null;
}

export interface StreamFacts {
  readonly publications: number;
  readonly bytes: number;
  readonly offset: number | null;
  readonly epoch: string;
  /** Why it could not be looked at. */
  readonly trouble: string | null;
}

export interface ChannelPage {
  readonly rows: readonly ChannelFacts[];
  /** All that match, and their subscribers. */
  readonly count: number;
  readonly subscribers: number;
}

export const CHANNEL_ORDERS = ['rate', 'subscribers', 'name'] as const;
export type ChannelOrder = (typeof CHANNEL_ORDERS)[number];

export interface ChannelDetail extends ChannelFacts {
  /** `null`: nobody keeps account of who is present. */
  readonly present: { readonly count: number; readonly first: readonly Present[] } | null;
  readonly options: Fields;
  /** Publications a second, a step each, the oldest first; `null`: nobody here is subscribed, so nobody counts. */
  readonly curve: { readonly stepMs: number; readonly rates: readonly number[] } | null;
}

export interface Present {
  readonly user: string;
  readonly session: string;
}

function parseStream(value: unknown): StreamFacts | null {
  const stream = fields(value);
  if (stream === null) return null;
  return {
    publications: count(stream['publications']) ?? 0,
    bytes: count(stream['bytes']) ?? 0,
    offset: count(stream['offset']),
    epoch: text(stream['epoch']) ?? '',
    trouble: text(stream['error']),
  };
}

function parseFacts(value: unknown): ChannelFacts | null {
  const row = fields(value);
  const name = text(row?.['channel']);
  if (row === null || name === null) return null;
  return {
    name,
    subscribers: count(row['subscribers']) ?? 0,
    rate: count(row['publications_per_second']) ?? 0,
    history: parseStream(row['history']),
  };
}

export function parseChannelPage(value: unknown): ChannelPage | null {
  const answer = fields(value);
  if (answer === null || !Array.isArray(answer['channels'])) return null;
  const rows = list(answer['channels']).flatMap((entry) => parseFacts(entry) ?? []);
  return {
    rows,
    count: count(answer['count']) ?? rows.length,
    subscribers: count(answer['subscribers']) ?? 0,
  };
}

export function parseChannelDetail(value: unknown): ChannelDetail | null {
  const facts = parseFacts(value);
  const answer = fields(value);
  if (facts === null || answer === null) return null;
  const present = fields(answer['present']);
  return {
    ...facts,
    present:
      present === null
        ? null
        : {
            count: count(present['count']) ?? 0,
            first: list(present['first']).flatMap((entry) => {
              const one = fields(entry);
              const session = text(one?.['session']);
              return session === null ? [] : [{ session, user: text(one?.['user']) ?? '' }];
            }),
          },
    options: fields(answer['options']) ?? {},
    curve: parseCurve(answer['curve']),
  };
}

function parseCurve(value: unknown): ChannelDetail['curve'] {
  const curve = fields(value);
  const stepMs = count(curve?.['step_ms']);
  if (curve === null || stepMs === null || stepMs === 0) return null;
  return { stepMs, rates: list(curve['publications_per_second']).map((rate) => count(rate) ?? 0) };
}

/** What a person types becomes a pattern: a text without signs of one is looked for anywhere in the name. */
export function patternOf(typed: string): string | null {
  const wanted = typed.trim();
  if (wanted === '') return null;
  // What closes something that was never opened, and the sign that takes others their meaning, are meant as they stand.
  return /[*?[{]/.test(wanted) ? wanted : `*${wanted.replace(/[\\\]}]/g, '\\$&')}*`;
}

/** The busiest first, or by name. */
export function browseChannels(
  admin: Admin,
  { text, sort, ...part }: { readonly text: string; readonly sort: ChannelOrder; readonly skip: number; readonly limit: number },
): Promise<ChannelPage> {
  const values = { pattern: patternOf(text), sort, descending: sort !== 'name', ...part };
  return admin.ask('channels.browse', values, parseChannelPage);
}

export function showChannel(admin: Admin, channel: string): Promise<ChannelDetail> {
  return admin.ask('channels.show', { channel }, parseChannelDetail);
}

/** Where it stands in the stream; `null` where the channel keeps none. */
export function publishTo(admin: Admin, channel: string, data: unknown): Promise<{ readonly offset: number | null }> {
  return admin.ask('channels.publish', { channel, data }, (value) => {
    const answer = fields(value);
    return answer === null ? null : { offset: count(answer['offset']) };
  });
}

export function purgeHistory(admin: Admin, channel: string): Promise<void> {
  return admin.tell('history.purge', { channel, confirm: true });
}
