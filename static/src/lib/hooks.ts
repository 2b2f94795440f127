import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { onFrame } from './frame';
import { router } from './router';

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

export function useMedia(query: string): boolean {
  const subscribe = useCallback(
    (reader: () => void) => {
      const media = matchMedia(query);
      media.addEventListener('change', reader);
      return () => media.removeEventListener('change', reader);
    },
    [query],
  );
  return useSyncExternalStore(subscribe, () => matchMedia(query).matches);
}

/** What a link to this page carries under `name`; empty: nothing. */
export function useInAddress(name: string): [string, (value: string) => void] {
  const search = useSyncExternalStore(router.subscribe, router.search);
  const value = new URLSearchParams(search).get(name) ?? '';
  const change = useCallback((next: string) => router.adjust({ [name]: next }), [name]);
  return [value, change];
}

/** Seconds that pass: renders once in `everyMs` while the page is looked at. For what is counted down or grows old in words. */
export function useNow(everyMs = 1_000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setNow(Date.now());
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
