/**
 * The other tabs of this browser on the same hub: one of them refreshes for all, and what one learns all know.
 *
 * Locks exist in secure contexts only. Without them tabs may ask the hub at the same time, which it bears: a cookie that has just been
 * replaced is good for a little longer. What is told goes from tab to tab and is never written down.
 */

export interface Tabs {
  /** Does `work` while no other tab does such work. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  tell(news: unknown): void;
  /** Hears what other tabs tell, which is as trustworthy as anything from outside. */
  hear(reader: (news: unknown) => void): () => void;
}

const NAME = 'aether-account';
/** A tab that holds its turn for longer than an answer may take is frozen: then we go without. */
const TURN_MAX_MS = 15_000;

export function browserTabs(): Tabs {
  const channel = typeof BroadcastChannel === 'function' ? new BroadcastChannel(NAME) : null;
  const locks: LockManager | undefined = navigator.locks;
  return {
    async alone<T>(work: () => Promise<T>): Promise<T> {
      if (locks === undefined) return work();
      let isOurs = false;
      const turn = () => {
        isOurs = true;
        return work();
      };
      try {
        return await locks.request(NAME, { signal: AbortSignal.timeout(TURN_MAX_MS) }, turn);
      } catch (error) {
        if (isOurs) throw error;
        return work();
      }
    },
    tell(news) {
      channel?.postMessage(news);
    },
    hear(reader) {
      const onMessage = (event: MessageEvent<unknown>) => reader(event.data);
      channel?.addEventListener('message', onMessage);
      return () => channel?.removeEventListener('message', onMessage);
    },
  };
}

/** What tabs that are opened later shall know: two short texts, neither of them a secret. */
export interface Memory {
  get(name: string): string | null;
  set(name: string, value: string | null): void;
}

/** The browser may forbid it; then every tab begins without knowing anything. */
export const browserMemory: Memory = {
  get(name) {
    try {
      return localStorage.getItem(name);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      if (value === null) localStorage.removeItem(name);
      else localStorage.setItem(name, value);
    } catch {
      // As said: then it is not remembered.
    }
  },
};
