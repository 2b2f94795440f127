/** Something that a page cannot do without: asked for until it is there. */

import { useEffect, useState } from 'react';

export const RETRY_MS = 3_000;
/** What takes longer deserves a word. */
const SLOW_MS = 5_000;

type Phase<T> =
  | { readonly kind: 'loading'; readonly isSlow: boolean }
  | { readonly kind: 'failed' }
  | { readonly kind: 'ready'; readonly value: T };

/** `read` must not change from one rendering to the next. */
export function useReading<T>(read: (signal: AbortSignal) => Promise<T>): Phase<T> & { readonly retry: () => void } {
  const [phase, setPhase] = useState<Phase<T>>({ kind: 'loading', isSlow: false });
  const [round, setRound] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round is a new try.
  useEffect(() => {
    const run = new AbortController();
    let retry = 0;
    const slow = window.setTimeout(
      () => setPhase((now) => (now.kind === 'loading' ? { kind: 'loading', isSlow: true } : now)),
      SLOW_MS,
    );
    read(run.signal).then(
      (value) => setPhase({ kind: 'ready', value }),
      () => {
        if (run.signal.aborted) return;
        setPhase({ kind: 'failed' });
        retry = window.setTimeout(() => setRound((n) => n + 1), RETRY_MS);
      },
    );
    return () => {
      run.abort();
      clearTimeout(slow);
      clearTimeout(retry);
    };
  }, [round, read]);

  return { ...phase, retry: () => setRound((n) => n + 1) };
}
