/**
 * One connection to the hub by the official SDK, and one subscription a channel, shared by all who watch it.
 *
 * The codec is Protobuf: payloads arrive as the bytes that were published, so that binary channels can be shown and sizes are true
 * (a JSON connection that meets a binary payload is closed with 3506). When to try again is decided here and not by the SDK, because
 * the page owes its reader a countdown; what to recover is the SDK's business.
 *
 * Deliberately absent: React, and any knowledge of what a payload means.
 */

import {
  Centrifuge,
  type ClientInfo,
  type PublicationContext,
  State,
  type SubscribedContext,
  type Subscription,
  UnauthorizedError,
} from 'centrifuge/build/protobuf';
import type { TokenSource } from './account';
import { backoffMs } from './backoff';
import { wallMs } from './clock';
import { INVALID_TOKEN, KICKED, TOKEN_EXPIRED } from './codes';
import { type Notice, parseNotice } from './notice';
import { json } from './parse';
import { type Signal, signal } from './signal';

export type ConnectionState =
  /** `code` and `reason` say how the last connection ended; `retryAtMs` is `null` while a try is under way. */
  | {
      readonly kind: 'connecting';
      readonly attempt: number;
      readonly retryAtMs: number | null;
      readonly code: number;
      readonly reason: string;
    }
  | { readonly kind: 'connected'; readonly clientId: string; readonly transport: string }
  | { readonly kind: 'disconnected'; readonly code: number; readonly reason: string };

export interface Message {
  /** When it arrived: Unix ms of our clock, with fractions. */
  readonly arrivedMs: number;
  readonly bytes: Uint8Array;
  /** `null` where the channel keeps no history. */
  readonly offset: number | null;
  readonly origin: Origin;
  /** Session that published it; `null` for a feed or the server API. */
  readonly from: Session | null;
  readonly tags: Readonly<Record<string, string>>;
}

/** Live; in answer to a recovery after we were away; or read from what the channel keeps, when `arrivedMs` says nothing. */
export type Origin = 'live' | 'recovered' | 'history';

export interface Session {
  readonly clientId: string;
  readonly user: string;
}

/** How a subscription came back after it was gone. */
export interface Recovery {
  readonly channel: string;
  readonly recovered: number;
  readonly gap: Gap;
}

export type Gap =
  | { readonly kind: 'none' }
  /** The history does not reach back far enough. */
  | { readonly kind: 'missed'; readonly messages: number }
  /** The stream began anew: nobody knows what was sent in between. */
  | { readonly kind: 'unknown' };

export type SubscriptionState =
  | { readonly kind: 'subscribing' }
  | {
      readonly kind: 'subscribed';
      readonly isRecoverable: boolean;
      readonly isPositioned: boolean;
      readonly offset: number | null;
    }
  | { readonly kind: 'refused'; readonly code: number; readonly reason: string };

/** Called synchronously as things arrive: whoever paints keeps what it needs and paints later. */
export interface ChannelWatcher {
  message?(message: Message): void;
  state?(state: SubscriptionState): void;
  recovery?(recovery: Recovery): void;
  /** Somebody came or left. */
  presence?(): void;
}

/** A refused or failed request, with the row of the code table. Codes below 100 are the SDK's own. */
export class HubError extends Error {
  override readonly name = 'HubError';
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** The answer to a call could not be understood. The hub's own codes begin with 100. */
export const UNREADABLE = -1;

/** What one may wait for an answer by default (the SDK's own default). */
const ANSWER_MS = 5_000;

/** A connection must be open this long before the next loss starts counting attempts from zero: a hub that drops us at once is not well. */
const STEADY_MS = 5_000;
/** After a reconnect, how long to wait for all channels before saying what was recovered. */
const RETURN_DEADLINE_MS = 3_000;

export interface HubOptions {
  readonly url: string;
  /** `null`: connects as nobody. */
  readonly tokens: TokenSource | null;
  /** Hears once after each reconnect what the watched channels recovered. */
  readonly returned: (recoveries: readonly Recovery[]) => void;
  readonly noticed: (notice: Notice) => void;
  /** What the hub's operators see this client called by. */
  readonly name?: string;
  /** Time for an answer, for pages that ask what takes longer. */
  readonly answerMs?: number;
}

export class Hub {
  readonly #client: Centrifuge;
  readonly #state = signal<ConnectionState>({ kind: 'connecting', attempt: 0, retryAtMs: null, code: 0, reason: '' });
  readonly state: Signal<ConnectionState> = this.#state;
  readonly #channels = new Map<string, Channel>();
  readonly #returned: (recoveries: readonly Recovery[]) => void;
  readonly #tokens: TokenSource | null;
  #isSecondChance = false;
  #isClosed = false;
  #attempt = 0;
  #retryTimer = 0;
  #steadyTimer = 0;
  /** Of the newest connection, also when it is gone. */
  #clientId: string | null = null;
  #return: { waiting: Set<string>; recoveries: Recovery[]; timer: number } | null = null;

  constructor({ url, tokens, returned, noticed, name = 'aether-live', answerMs = ANSWER_MS }: HubOptions) {
    this.#returned = returned;
    this.#tokens = tokens;
    this.#client = new Centrifuge(url, {
      name,
      timeout: answerMs,
      getToken: tokens === null ? null : () => authorized(tokens),
    });
    this.#client.on('message', ({ data }) => {
      const notice = data instanceof Uint8Array ? parseNotice(data) : null;
      if (notice !== null) noticed(notice);
    });
    this.#client.on('connecting', ({ code, reason }) => {
      // Code 0 is our own call of connect().
      if (code !== 0) this.#lost(code, reason);
    });
    this.#client.on('error', ({ error }) => {
      if (error.code === TOKEN_EXPIRED) this.#tokens?.refused();
      if (this.#client.state === State.Connecting) this.#lost(error.code, error.message);
    });
    this.#client.on('connected', ({ client, transport }) => this.#connected(client, transport));
    this.#client.on('disconnected', ({ code, reason }) => {
      // Code 0 is our own call of disconnect().
      if (code !== 0) this.#ended(code, reason);
    });
  }

  /** Whether it connects as somebody. */
  get isUsers(): boolean {
    return this.#tokens !== null;
  }

  get clientId(): string | null {
    return this.#clientId;
  }

  connect(): void {
    clearTimeout(this.#retryTimer);
    const before = this.#state.get();
    const { code, reason } = before.kind === 'connected' ? { code: 0, reason: '' } : before;
    this.#state.set({ kind: 'connecting', attempt: this.#attempt, retryAtMs: null, code, reason });
    window.addEventListener('online', this.#onOnline);
    // The SDK would come back with the token that it had, however old that is.
    if (this.#tokens !== null) this.#client.setToken('');
    this.#client.connect();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#steadyTimer);
    clearTimeout(this.#return?.timer);
    window.removeEventListener('online', this.#onOnline);
    this.#client.disconnect();
    for (const channel of this.#channels.values()) channel.end();
    this.#channels.clear();
  }

  /** Hears everything of a channel until the returned function is called. */
  watch(name: string, watcher: ChannelWatcher): () => void {
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      channel = new Channel(this.#client, name, (recovery) => this.#channelReturned(name, recovery));
      this.#channels.set(name, channel);
    }
    const watched = channel;
    watched.add(watcher);
    return () => {
      if (watched.remove(watcher) > 0) return;
      watched.end();
      if (this.#channels.get(name) === watched) this.#channels.delete(name);
      this.#channelReturned(name, null);
    };
  }

  /** Resolves when the hub has taken the message. */
  async publish(channel: string, payload: string): Promise<void> {
    await asked(this.#client.publish(channel, new TextEncoder().encode(payload)));
  }

  /** Calls a procedure of the hub: JSON there and back. */
  async call(method: string, values: unknown): Promise<unknown> {
    const { data } = await asked(this.#client.rpc(method, new TextEncoder().encode(JSON.stringify(values))));
    const answer = data instanceof Uint8Array ? json(new TextDecoder().decode(data)) : undefined;
    if (answer === undefined) throw new HubError(UNREADABLE, 'unreadable');
    return answer;
  }

  async presence(channel: string): Promise<Session[]> {
    const { clients } = await asked(this.#client.presence(channel));
    return Object.values(clients).map(session);
  }

  /** How many sessions are subscribed, and how long the question took to the hub and back. */
  async presenceCount(channel: string): Promise<{ sessions: number; roundTripMs: number }> {
    const askedMs = wallMs();
    const { numClients } = await asked(this.#client.presenceStats(channel));
    return { sessions: numClients, roundTripMs: wallMs() - askedMs };
  }

  /** The newest messages that the channel still has, oldest first. */
  async latest(channel: string, limit: number): Promise<Message[]> {
    const arrivedMs = wallMs();
    const { publications } = await asked(this.#client.history(channel, { limit, reverse: true }));
    return publications.map((publication) => received(publication, arrivedMs, 'history')).reverse();
  }

  readonly #onOnline = (): void => {
    const state = this.#state.get();
    if (state.kind === 'connecting' && state.retryAtMs !== null) this.connect();
  };

  #connected(clientId: string, transport: string): void {
    clearTimeout(this.#steadyTimer);
    this.#steadyTimer = window.setTimeout(() => {
      this.#attempt = 0;
      this.#isSecondChance = false;
    }, STEADY_MS);
    this.#state.set({ kind: 'connected', clientId, transport });
    if (this.#clientId !== null) {
      clearTimeout(this.#return?.timer);
      const waiting = new Set<string>();
      for (const [name, channel] of this.#channels) if (channel.willRecover) waiting.add(name);
      this.#return = { waiting, recoveries: [], timer: window.setTimeout(() => this.#endReturn(), RETURN_DEADLINE_MS) };
      if (waiting.size === 0) this.#endReturn();
    }
    this.#clientId = clientId;
  }

  /** The connection or a try to make one failed: stops the SDK's own next try and plans ours. */
  #lost(code: number, reason: string): void {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#steadyTimer);
    clearTimeout(this.#return?.timer);
    this.#return = null;
    this.#client.disconnect();
    const waitMs = backoffMs(this.#attempt, Math.random());
    this.#attempt += 1;
    this.#retryTimer = window.setTimeout(() => this.connect(), waitMs);
    // What a failed try says ("transport closed") tells less than how the connection ended: that stays until one is open again.
    const before = this.#state.get();
    const end = before.kind === 'connecting' && before.code >= 3000 ? before : { code, reason };
    this.#state.set({
      kind: 'connecting',
      attempt: this.#attempt,
      retryAtMs: Date.now() + waitMs,
      code: end.code,
      reason: end.reason,
    });
  }

  /**
   * The hub closed it for good. Whoever is signed in is told at once, and the hub is asked what has become of the login: a connection whose
   * token was taken back comes again by itself if the login still is one. Twice in a row is no accident.
   */
  #ended(code: number, reason: string): void {
    clearTimeout(this.#steadyTimer);
    this.#state.set({ kind: 'disconnected', code, reason });
    const tokens = this.#tokens;
    if (tokens === null || (code !== INVALID_TOKEN && code !== KICKED)) return;
    const comesAgain = code === INVALID_TOKEN && !this.#isSecondChance;
    void tokens.verify().then((isSignedIn) => {
      if (!isSignedIn || !comesAgain || this.#isClosed || this.#state.get().kind !== 'disconnected') return;
      this.#isSecondChance = true;
      this.connect();
    });
  }

  #channelReturned(name: string, recovery: Recovery | null): void {
    if (this.#return === null) return;
    this.#return.waiting.delete(name);
    if (recovery !== null) this.#return.recoveries.push(recovery);
    if (this.#return.waiting.size === 0) this.#endReturn();
  }

  #endReturn(): void {
    if (this.#return === null) return;
    const { recoveries, timer } = this.#return;
    clearTimeout(timer);
    this.#return = null;
    this.#returned(recoveries);
  }
}

/** One subscription and those who watch it. */
class Channel {
  readonly #subscription: Subscription;
  readonly #watchers = new Set<ChannelWatcher>();
  #state: SubscriptionState = { kind: 'subscribing' };
  /** Where we are in the stream, to measure what a failed recovery cost. */
  #position: { epoch: string; offset: number } | null = null;
  /** Set while the SDK hands over what it recovered. */
  #recovering: { count: number; gap: Gap } | null = null;

  constructor(
    private readonly client: Centrifuge,
    private readonly name: string,
    private readonly returned: (recovery: Recovery | null) => void,
  ) {
    const subscription =
      client.getSubscription(name) ?? client.newSubscription(name, { recoverable: true, positioned: true, joinLeave: true });
    this.#subscription = subscription;
    subscription.on('subscribing', () => this.#change({ kind: 'subscribing' }));
    subscription.on('subscribed', (context) => this.#subscribed(context));
    subscription.on('unsubscribed', ({ code, reason }) => {
      this.#change({ kind: 'refused', code, reason });
      this.returned(null);
    });
    subscription.on('publication', (publication) => this.#received(publication));
    subscription.on('join', () => this.#presence());
    subscription.on('leave', () => this.#presence());
    subscription.subscribe();
  }

  get willRecover(): boolean {
    return this.#position !== null;
  }

  add(watcher: ChannelWatcher): void {
    this.#watchers.add(watcher);
    const state = this.#state;
    watcher.state?.(state.kind === 'subscribed' ? { ...state, offset: this.#position?.offset ?? state.offset } : state);
  }

  /** Returns how many are left. */
  remove(watcher: ChannelWatcher): number {
    this.#watchers.delete(watcher);
    return this.#watchers.size;
  }

  end(): void {
    this.#watchers.clear();
    this.#subscription.removeAllListeners();
    this.#subscription.unsubscribe();
    this.client.removeSubscription(this.#subscription);
  }

  #change(state: SubscriptionState): void {
    this.#state = state;
    for (const watcher of this.#watchers) watcher.state?.(state);
  }

  #presence(): void {
    for (const watcher of this.#watchers) watcher.presence?.();
  }

  #subscribed(context: SubscribedContext): void {
    const before = this.#position;
    const now = context.streamPosition ?? null;
    if (context.wasRecovering) {
      const gap: Gap = context.recovered
        ? { kind: 'none' }
        : before !== null && now !== null && before.epoch === now.epoch && now.offset >= before.offset
          ? { kind: 'missed', messages: now.offset - before.offset }
          : { kind: 'unknown' };
      const recovering = { count: 0, gap };
      this.#recovering = recovering;
      // The SDK hands the recovered publications over in this same turn; after it everything is live again.
      queueMicrotask(() => {
        if (this.#recovering !== recovering) return;
        this.#recovering = null;
        const recovery: Recovery = { channel: this.name, recovered: recovering.count, gap };
        for (const watcher of this.#watchers) watcher.recovery?.(recovery);
        this.returned(recovery);
      });
    } else {
      this.returned(null);
    }
    this.#position = context.recoverable ? now : null;
    this.#change({
      kind: 'subscribed',
      isRecoverable: context.recoverable,
      isPositioned: context.positioned,
      offset: now?.offset ?? null,
    });
  }

  #received(publication: PublicationContext): void {
    if (this.#recovering !== null) this.#recovering.count += 1;
    const message = received(publication, wallMs(), this.#recovering === null ? 'live' : 'recovered');
    if (this.#position !== null && message.offset !== null) this.#position = { ...this.#position, offset: message.offset };
    for (const watcher of this.#watchers) watcher.message?.(message);
  }
}

function received(publication: PublicationContext, arrivedMs: number, origin: Origin): Message {
  const { data, info, offset, tags } = publication;
  return {
    arrivedMs,
    bytes: data instanceof Uint8Array ? data : new Uint8Array(),
    // Absent where the channel keeps no history; the SDK may then say 0, and streams count from 1.
    offset: typeof offset === 'number' && offset > 0 ? offset : null,
    origin,
    from: info === undefined ? null : session(info),
    tags: tags ?? {},
  };
}

function session(info: ClientInfo): Session {
  return { clientId: info.client, user: info.user };
}

/** The SDK stops for good when it hears that there is no token, and tries again after any other failure. */
async function authorized(tokens: TokenSource): Promise<string> {
  const token = await tokens.get();
  if (token === null) throw new UnauthorizedError('signed out');
  return token;
}

/** The SDK rejects with plain objects of code and message. */
async function asked<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    const { code, message } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown; message?: unknown };
    throw new HubError(typeof code === 'number' ? code : 0, typeof message === 'string' ? message : 'no answer');
  }
}
