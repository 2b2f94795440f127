/** Asking the hub's own addresses, in JSON and with a deadline. */

import { json } from './parse';

export type FetchFailure =
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'slow'; readonly afterMs: number }
  | { readonly kind: 'refused'; readonly status: number }
  | { readonly kind: 'unreadable' };

export class FetchError extends Error {
  override readonly name = 'FetchError';
  constructor(readonly failure: FetchFailure) {
    super(failure.kind);
  }
}

const DEADLINE_MS = 5_000;

export interface Question {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  /** `undefined` when the body is no JSON. */
  readonly body: unknown;
  /** How long not to ask again (RFC 9110, 10.2.3), where the hub says it in seconds. */
  readonly retryAfterS: number | null;
}

/** Whatever the hub answers, whichever status it has. Throws `FetchError` when no answer comes, or the abort reason of `signal`. */
export async function ask({ method, path, body, signal, deadlineMs = DEADLINE_MS }: Question): Promise<HttpAnswer> {
  const deadline = AbortSignal.timeout(deadlineMs);
  try {
    const response = await fetch(path, {
      method,
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      cache: 'no-store',
      credentials: 'same-origin',
      ...(body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
    });
    const retryAfter = response.headers.get('Retry-After') ?? '';
    return {
      status: response.status,
      body: json(await response.text()),
      retryAfterS: /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : null,
    };
  } catch {
    signal?.throwIfAborted();
    throw new FetchError(deadline.aborted ? { kind: 'slow', afterMs: deadlineMs } : { kind: 'unreachable' });
  }
}

/** The parsed body. Throws `FetchError`, or the abort reason of `signal`. */
export async function getJson(path: string, signal: AbortSignal): Promise<unknown> {
  const { status, body } = await ask({ method: 'GET', path, signal });
  if (status < 200 || status > 299) throw new FetchError({ kind: 'refused', status });
  if (body === undefined) throw new FetchError({ kind: 'unreadable' });
  return body;
}
