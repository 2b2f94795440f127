/** The rows of a long list that have been read: parts of it, as they were asked for. */

import { useRef } from 'react';

/** Rows that are kept; beyond it those farthest from the newest part are let go. */
const KEPT_MAX = 4_000;

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

/** `key` says what the list is of: another one begins without rows, as soon as any of it is there. */
export function useWindow<T>(key: string, part: Part<T> | null): RowWindow<T> {
  const kept = useRef<{ key: string; rows: RowWindow<T> }>({ key, rows: new RowWindow<T>() });
  if (part !== null && kept.current.key !== key) kept.current = { key, rows: new RowWindow<T>() };
  if (part !== null) kept.current.rows.put(part);
  return kept.current.rows;
}
