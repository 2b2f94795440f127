import { useEffect, useRef, useSyncExternalStore } from 'react';
import { onFrame } from './frame';

interface Readable<T> {
  readonly get: () => T;
  readonly subscribe: (reader: () => void) => () => void;
}

export function useSignal<T>(signal: Readable<T>): T {
  return useSyncExternalStore(signal.subscribe, signal.get);
}

/** Runs `paint` in the page's frame as long as the component is there. */
export function useFrame(paint: (nowMs: number) => void): void {
  const latest = useRef(paint);
  useEffect(() => {
    latest.current = paint;
  });
  useEffect(() => onFrame((now) => latest.current(now)), []);
}
