/** A value that tells its readers when it was replaced. For structure only: what comes many times a second goes into rings instead. */
export interface Signal<T> {
  readonly get: () => T;
  readonly subscribe: (reader: () => void) => () => void;
}

export interface WritableSignal<T> extends Signal<T> {
  readonly set: (value: T) => void;
}

export function signal<T>(initial: T): WritableSignal<T> {
  let value = initial;
  const readers = new Set<() => void>();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const reader of [...readers]) reader();
    },
    subscribe(reader) {
      readers.add(reader);
      return () => readers.delete(reader);
    },
  };
}
