/** The rows of a long list that have been read: parts of it, as they were asked for; and which part is to be asked for. */

import { useCallback, useEffect, useRef, useState } from 'react';
import type { Admin } from '../../client/admin/admin';
import { type Asked, useAsk } from './desk';

/** Rows that are kept; beyond it those farthest from the newest part are let go. */
const KEPT_MAX = 4_000;

/** Rows that are asked for at once are so many, or a multiple. */
const PAGE = 100;
/** Rows of one answer. */
const ASKED_MAX = 1_000;
/** Who draws the scroll bar sees each part for a frame; between two that are asked for passes so much. */
const RANGE_EVERY_MS = 120;

export interface Range {
  readonly skip: number;
  readonly limit: number;
}

/** Whole pages around the rows that are seen, with a quarter of one to each side, so that scrolling a little asks for nothing. */
export function rangeAround(first: number, last: number): Range {
  const skip = Math.floor(Math.max(0, first - PAGE / 4) / PAGE) * PAGE;
  return { skip, limit: Math.min(ASKED_MAX, Math.ceil((last + PAGE / 4 - skip + 1) / PAGE) * PAGE) };
}

export interface Part<T> {
  readonly skip: number;
  readonly rows: readonly T[];
}

export class RowWindow<T> {
  readonly #rows = new Map<number, T>();

  get(index: number): T | undefined {
    return this.#rows.get(index);
  }

  put({ skip, rows }: Part<T>): void {
    for (const [at, row] of rows.entries()) this.#rows.set(skip + at, row);
    if (this.#rows.size <= KEPT_MAX) return;
    const middle = skip + rows.length / 2;
    for (const index of this.#rows.keys()) if (Math.abs(index - middle) > KEPT_MAX / 2) this.#rows.delete(index);
  }
}

/**
 * The rows that are seen of a list of any length, read again and again. `key` says what the list is of: another one begins without rows, as soon
 * as any of it is there. One part is asked for at a time, so that a hub that needs long for one is not asked for all that were passed meanwhile.
 */
export function useRows<A extends { readonly rows: readonly unknown[] }>(
  key: readonly string[],
  ask: (admin: Admin, range: Range) => Promise<A>,
  everyMs: number,
): {
  readonly asked: Asked<A> & { readonly again: () => void };
  readonly rowAt: (index: number) => A['rows'][number] | undefined;
  readonly onVisible: (first: number, last: number) => void;
} {
  const [range, setRange] = useState<Range>({ skip: 0, limit: PAGE });
  const asked = useAsk([...key, range], (admin) => ask(admin, range), { everyMs });
  const isAnswered = asked.kind === 'failed' || (asked.kind === 'ready' && !asked.isPrevious);

  const wanted = useRef(range);
  const taken = useRef(range);
  const isFree = useRef(isAnswered);
  const pause = useRef<ReturnType<typeof setTimeout> | null>(null);
  const take = useCallback(() => {
    const [{ skip, limit }, before] = [wanted.current, taken.current];
    if (!isFree.current || pause.current !== null || (before.skip === skip && before.limit === limit)) return;
    taken.current = wanted.current;
    isFree.current = false;
    setRange(wanted.current);
    pause.current = setTimeout(() => {
      pause.current = null;
      take();
    }, RANGE_EVERY_MS);
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: an answer that is known already is one to the range before and to this one.
  useEffect(() => {
    isFree.current = isAnswered;
    take();
  }, [isAnswered, range, take]);
  useEffect(
    () => () => {
      if (pause.current !== null) clearTimeout(pause.current);
      pause.current = null;
    },
    [],
  );
  const onVisible = useCallback(
    (first: number, last: number) => {
      wanted.current = rangeAround(first, last);
      take();
    },
    [take],
  );

  const list = JSON.stringify(key);
  const kept = useRef({ list, rows: new RowWindow<A['rows'][number]>() });
  if (asked.kind === 'ready' && !asked.isPrevious) {
    if (kept.current.list !== list) kept.current = { list, rows: new RowWindow<A['rows'][number]>() };
    kept.current.rows.put({ skip: range.skip, rows: asked.value.rows });
  }
  return { asked, rowAt: (index) => kept.current.rows.get(index), onVisible };
}
