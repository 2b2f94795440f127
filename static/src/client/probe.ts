/**
 * Tries the ways into the hub, one at a time: opens, waits for the first message, asks once more, and closes. What did not work is asked
 * about by a plain request, because a browser tells a page nothing of why a handshake or an EventSource failed.
 *
 * Everybody's test: it connects without a token. A hub that lets nobody in without one says so, and that it could say so is the proof that
 * the way is open; and no token comes into an address.
 */

import type { TransportPaths } from './page';
import {
  CONNECT_ID,
  connectBytes,
  connectCommand,
  emulationBody,
  listenerRequest,
  type Said,
  SECOND_ID,
  saidBytes,
  saidJson,
  secondBytes,
  secondCommand,
} from './probe_wire';

export const PROBES = ['websocketJson', 'websocketProtobuf', 'httpStream', 'sse', 'uniSse', 'mercure'] as const;
export type ProbeName = (typeof PROBES)[number];

/** For one way in, from its beginning to its last answer. */
export const LIMIT_MS = 10_000;
/** For the question why it did not work. */
const WHY_MS = 4_000;
/** The hub writes its first message with the head of its answer; what comes so much later was held back on the way. */
export const LATE_MS = 1_000;
/** Of what the hub or a proxy says, as much is shown. */
const SAYS_CHARACTERS = 160;

export interface Times {
  /** Until the connection was open, or the head of the answer was there. */
  readonly openMs: number | null;
  readonly firstMs: number | null;
  /** A command and its reply. */
  readonly roundTripMs: number | null;
}

export type Cause =
  /** The answer is a refusal. `says`: its text, if it is one. */
  | { readonly kind: 'status'; readonly status: number; readonly says: string }
  /** The hub does not let this page's origin, or this address, in. */
  | { readonly kind: 'origin'; readonly says: string }
  /** The address answers plain requests, and no WebSocket comes about. */
  | { readonly kind: 'upgrade' }
  /** The policy of the page or the browser forbids it. */
  | { readonly kind: 'policy'; readonly directive: string }
  /** Short answers come, one without an end does not, or nothing after its head. */
  | { readonly kind: 'held'; readonly hasHead: boolean }
  /** It opened, and the second command was not answered. `status`: of the request that it went by, `null`: that got no answer. */
  | { readonly kind: 'commands'; readonly status: number | null }
  | { readonly kind: 'silent' }
  /** It opened, and ended before it was done. */
  | { readonly kind: 'cut' }
  /** Something else than the hub answers there. */
  | { readonly kind: 'foreign' }
  | { readonly kind: 'unreachable' };

export type Outcome =
  | ({ readonly kind: 'works' } & Times)
  /** It works, and something on the way keeps messages back for a while. */
  | ({ readonly kind: 'late' } & Times)
  /** The way is open: the hub itself did not let the test in, mostly because it lets nobody in without a token. */
  | ({ readonly kind: 'guarded'; readonly code: number } & Times)
  | ({ readonly kind: 'blocked'; readonly cause: Cause } & Times);

export interface Target {
  readonly name: ProbeName;
  readonly url: string;
  /** Where commands go beside an answer; `null` where there are none. */
  readonly emulationUrl: string | null;
}

/** `null`: it is off in the hub's configuration. */
export function target(name: ProbeName, websocketUrl: string | null, paths: TransportPaths, origin: string): Target | null {
  const at = (path: string | null, emulation: string | null = null): Target | null =>
    path === null
      ? null
      : { name, url: new URL(path, origin).href, emulationUrl: emulation === null ? null : new URL(emulation, origin).href };
  switch (name) {
    case 'websocketJson':
    case 'websocketProtobuf':
      return websocketUrl === null ? null : { name, url: websocketUrl, emulationUrl: null };
    case 'httpStream':
      return at(paths.httpStream, paths.emulation);
    case 'sse':
      return at(paths.sse, paths.emulation);
    case 'uniSse':
      return at(paths.uniSse);
    case 'mercure':
      return at(paths.mercure);
  }
}

/** How far one try came, and how it ended. */
export type End =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly code: number }
  | { readonly kind: 'time' }
  | { readonly kind: 'commands'; readonly status: number | null }
  | { readonly kind: 'status'; readonly status: number; readonly says: string }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'broken' };

class Try {
  readonly #startMs = performance.now();
  #askedMs = 0;
  readonly times = { openMs: null as number | null, firstMs: null as number | null, roundTripMs: null as number | null };
  readonly end: Promise<End>;
  /** Ends it. Only the first time counts. */
  readonly finish: (end: End) => void;
  readonly over = new AbortController();

  constructor(outer: AbortSignal, limitMs: number) {
    const { promise, resolve } = withResolvers<End>();
    this.end = promise;
    const timer = setTimeout(() => this.finish({ kind: 'time' }), limitMs);
    const stop = () => this.finish({ kind: 'broken' });
    outer.addEventListener('abort', stop);
    this.finish = (end) => {
      clearTimeout(timer);
      outer.removeEventListener('abort', stop);
      resolve(end);
      this.over.abort();
    };
  }

  opened(): void {
    this.times.openMs ??= performance.now() - this.#startMs;
  }

  first(): void {
    this.opened();
    this.times.firstMs ??= performance.now() - this.#startMs;
  }

  /** `ask` sends the second command once the first is answered. */
  hears(said: Said[] | null, ask: (connected: Said & { kind: 'reply' }) => void): void {
    if (said === null) this.finish({ kind: 'foreign' });
    for (const answer of said ?? []) {
      if (answer.kind === 'other') continue;
      this.first();
      if (answer.kind === 'ended') this.finish({ kind: 'refused', code: answer.code });
      else if (answer.id === CONNECT_ID && answer.code !== null) this.finish({ kind: 'refused', code: answer.code });
      else if (answer.id === CONNECT_ID) {
        this.#askedMs = performance.now();
        ask(answer);
      } else if (answer.id === SECOND_ID) {
        this.times.roundTripMs = performance.now() - this.#askedMs;
        this.finish({ kind: 'done' });
      }
    }
  }
}

/** Throws the abort reason of `signal`. */
export async function probe(target: Target, signal: AbortSignal, limitMs = LIMIT_MS): Promise<Outcome> {
  signal.throwIfAborted();
  const policy = new Policy(target.url);
  const one = new Try(signal, limitMs);
  try {
    begin(target, one);
    const end = await one.end;
    signal.throwIfAborted();
    const outcome = judge(target.name, end, one.times);
    if (outcome !== null) return outcome;
    const directive = policy.directive();
    const cause = directive === null ? await why(target, one.times, signal) : ({ kind: 'policy', directive } as const);
    signal.throwIfAborted();
    // Mercure says who must show a token by a status.
    if (target.name === 'mercure' && cause.kind === 'status' && cause.status === 401)
      return { kind: 'guarded', code: cause.status, ...one.times };
    return { kind: 'blocked', cause, ...one.times };
  } finally {
    policy.stop();
    one.finish({ kind: 'broken' });
  }
}

/** What is known without asking further; `null`: it has to be asked. */
export function judge(name: ProbeName, end: End, times: Times): Outcome | null {
  const isSocket = name === 'websocketJson' || name === 'websocketProtobuf';
  const isLate = !isSocket && times.openMs !== null && times.firstMs !== null && times.firstMs - times.openMs >= LATE_MS;
  switch (end.kind) {
    case 'done':
      return { kind: isLate ? 'late' : 'works', ...times };
    case 'refused':
      return { kind: 'guarded', code: end.code, ...times };
    case 'commands':
    case 'foreign':
      return { kind: 'blocked', cause: end, ...times };
    case 'status':
      return name === 'mercure' && end.status === 401
        ? { kind: 'guarded', code: end.status, ...times }
        : { kind: 'blocked', cause: refusal(end.status, end.says), ...times };
    case 'time':
      if (times.firstMs !== null) return { kind: 'blocked', cause: { kind: 'commands', status: null }, ...times };
      if (times.openMs === null) return null;
      return { kind: 'blocked', cause: isSocket ? { kind: 'silent' } : { kind: 'held', hasHead: true }, ...times };
    case 'broken':
      return times.openMs === null ? null : { kind: 'blocked', cause: { kind: 'cut' }, ...times };
  }
}

function begin(target: Target, one: Try): void {
  try {
    switch (target.name) {
      case 'websocketJson':
      case 'websocketProtobuf':
        viaWebSocket(target, one);
        break;
      case 'httpStream':
        void viaStream(target, one);
        break;
      case 'sse':
      case 'uniSse':
      case 'mercure':
        viaEventSource(target, one);
        break;
    }
  } catch {
    // Some browsers throw where a policy forbids an address.
    one.finish({ kind: 'broken' });
  }
}

function viaWebSocket({ name, url }: Target, one: Try): void {
  const isBinary = name === 'websocketProtobuf';
  const socket = isBinary ? new WebSocket(url, 'centrifuge-protobuf') : new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => {
    one.opened();
    socket.send(isBinary ? connectBytes() : connectCommand());
  };
  socket.onmessage = ({ data }: MessageEvent<unknown>) =>
    one.hears(data instanceof ArrayBuffer ? saidBytes(new Uint8Array(data)) : saidJson(String(data)), () =>
      socket.send(isBinary ? secondBytes() : secondCommand()),
    );
  // From 3000 on it is the hub that speaks, below it the protocol or the browser (RFC 6455, 7.4.2).
  socket.onclose = ({ code }) => one.finish(code >= 3_000 ? { kind: 'refused', code } : { kind: 'broken' });
  one.over.signal.addEventListener('abort', () => socket.close());
}

async function viaStream({ url, emulationUrl }: Target, one: Try): Promise<void> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: connectCommand(),
      cache: 'no-store',
      signal: one.over.signal,
    });
    if (!response.ok) return one.finish({ kind: 'status', status: response.status, says: await says(response) });
    one.opened();
    const reader = response.body?.getReader();
    const decoder = new TextDecoder();
    let rest = '';
    for (;;) {
      const piece = await reader?.read();
      if (piece === undefined || piece.done) return one.finish({ kind: 'broken' });
      rest += decoder.decode(piece.value, { stream: true });
      const end = rest.lastIndexOf('\n') + 1;
      one.hears(saidJson(rest.slice(0, end)), ({ connect }) => void command(emulationUrl, emulationBody(connect), one));
      rest = rest.slice(end);
    }
  } catch {
    one.finish({ kind: 'broken' });
  }
}

function viaEventSource({ name, url, emulationUrl }: Target, one: Try): void {
  const address = new URL(url);
  if (name === 'mercure') address.searchParams.set('topic', 'connection-test');
  else address.searchParams.set('cf_connect', name === 'sse' ? connectCommand() : listenerRequest());
  const source = new EventSource(address);
  source.onopen = () => {
    one.opened();
    // Nobody publishes for a test. The hub begins with a comment, which EventSource keeps to itself and a reader of bytes sees.
    if (name === 'mercure') void firstBytes(address.href, one);
  };
  source.onmessage = ({ data }: MessageEvent<unknown>) =>
    one.hears(saidJson(String(data)), ({ connect }) => {
      if (name === 'sse') void command(emulationUrl, emulationBody(connect), one);
      else one.finish({ kind: 'done' });
    });
  // It would come back by itself for ever.
  source.onerror = () => one.finish({ kind: 'broken' });
  one.over.signal.addEventListener('abort', () => source.close());
}

async function firstBytes(url: string, one: Try): Promise<void> {
  try {
    const response = await fetch(url, { headers: { Accept: 'text/event-stream' }, cache: 'no-store', signal: one.over.signal });
    const piece = await response.body?.getReader().read();
    if (piece === undefined || piece.done) return one.finish({ kind: 'broken' });
    one.first();
    one.finish({ kind: 'done' });
  } catch {
    one.finish({ kind: 'broken' });
  }
}

/** Its reply comes on the answer that is open; the request itself is only taken. */
async function command(url: string | null, body: string | null, one: Try): Promise<void> {
  if (url === null || body === null) return one.finish({ kind: 'foreign' });
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
      cache: 'no-store',
      signal: one.over.signal,
    });
    if (!response.ok) one.finish({ kind: 'commands', status: response.status });
  } catch {
    one.finish({ kind: 'commands', status: null });
  }
}

/** Asks the same address in a way whose answer a page may read. */
async function why({ name, url, emulationUrl }: Target, { openMs }: Times, signal: AbortSignal): Promise<Cause> {
  const isSocket = name === 'websocketJson' || name === 'websocketProtobuf';
  const deadline = AbortSignal.timeout(WHY_MS);
  const over = new AbortController();
  const asking = AbortSignal.any([signal, deadline, over.signal]);
  try {
    const address = new URL(url);
    if (isSocket) address.protocol = address.protocol === 'wss:' ? 'https:' : 'http:';
    // A page says its origin when it posts, not when it gets.
    const isPost = name !== 'mercure';
    if (name === 'mercure') address.searchParams.set('topic', 'connection-test');
    const body = name === 'uniSse' ? listenerRequest() : connectCommand();
    const response = await fetch(address, {
      method: isPost ? 'POST' : 'GET',
      ...(isPost ? { body, headers: { 'Content-Type': 'application/json' } } : {}),
      cache: 'no-store',
      signal: asking,
    });
    if (isSocket) return response.status === 400 ? { kind: 'upgrade' } : refusal(response.status, await says(response));
    if (!response.ok) return refusal(response.status, await says(response));
    return openMs === null && isStream(response, emulationUrl) ? { kind: 'cut' } : { kind: 'foreign' };
  } catch {
    signal.throwIfAborted();
    if (!deadline.aborted) return { kind: 'unreachable' };
  } finally {
    over.abort();
  }
  try {
    await fetch('/page.json', { cache: 'no-store', signal: AbortSignal.any([signal, AbortSignal.timeout(WHY_MS)]) });
    return isSocket ? { kind: 'silent' } : { kind: 'held', hasHead: false };
  } catch {
    signal.throwIfAborted();
    return { kind: 'unreachable' };
  }
}

function isStream(response: Response, emulationUrl: string | null): boolean {
  const type = response.headers.get('Content-Type') ?? '';
  return type.startsWith('text/event-stream') || (emulationUrl !== null && type.startsWith('application/json'));
}

function refusal(status: number, says: string): Cause {
  if (status === 403) return { kind: 'origin', says };
  // Who answers a handshake's address as if it had been a good one is not the hub.
  return status >= 200 && status < 300 ? { kind: 'foreign' } : { kind: 'status', status, says };
}

/** A sentence, and no page. */
async function says(response: Response): Promise<string> {
  if (!(response.headers.get('Content-Type') ?? '').startsWith('text/plain')) return '';
  try {
    return (await response.text()).trim().slice(0, SAYS_CHARACTERS);
  } catch {
    return '';
  }
}

/** Hears whether a policy forbade an address. */
class Policy {
  #directive: string | null = null;
  readonly #origin: string;
  readonly #heard = ({ blockedURI, effectiveDirective }: SecurityPolicyViolationEvent) => {
    if (blockedURI.startsWith(this.#origin)) this.#directive = effectiveDirective;
  };

  constructor(url: string) {
    this.#origin = new URL(url).origin;
    if (typeof document !== 'undefined') document.addEventListener('securitypolicyviolation', this.#heard);
  }

  directive(): string | null {
    return this.#directive;
  }

  stop(): void {
    if (typeof document !== 'undefined') document.removeEventListener('securitypolicyviolation', this.#heard);
  }
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
