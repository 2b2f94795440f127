/** Reading JSON from the hub's own addresses, with a deadline. */

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

/** The parsed body. Throws `FetchError`, or the abort reason of `signal`. */
export async function getJson(path: string, signal: AbortSignal): Promise<unknown> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  let response: Response;
  try {
    response = await fetch(path, { signal: AbortSignal.any([signal, deadline]), cache: 'no-store', credentials: 'same-origin' });
  } catch {
    signal.throwIfAborted();
    throw new FetchError(deadline.aborted ? { kind: 'slow', afterMs: DEADLINE_MS } : { kind: 'unreachable' });
  }
  if (!response.ok) throw new FetchError({ kind: 'refused', status: response.status });
  try {
    return await response.json();
  } catch {
    signal.throwIfAborted();
    throw new FetchError(deadline.aborted ? { kind: 'slow', afterMs: DEADLINE_MS } : { kind: 'unreadable' });
  }
}
