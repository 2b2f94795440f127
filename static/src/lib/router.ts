/** Which page is shown: the path of the address, and how it is changed without loading everything anew. */

const readers = new Set<() => void>();

export const router = {
  get: (): string => location.pathname,
  subscribe(reader: () => void): () => void {
    readers.add(reader);
    addEventListener('popstate', reader);
    return () => {
      readers.delete(reader);
      removeEventListener('popstate', reader);
    };
  },
  /** `replace`: where one was is not to be found by Back. */
  go(path: string, how: 'push' | 'replace' = 'push'): void {
    if (how === 'push') history.pushState(null, '', path);
    else history.replaceState(null, '', path);
    scrollTo(0, 0);
    for (const reader of [...readers]) reader();
  },
};

export const LIVE = '/';
export const LOGIN = '/login';
export const ACCOUNT = '/account';
export const CONNECTION_TEST = '/connection-test';

/** Where somebody is after signing in who wanted nothing in particular. */
const WANTED = 'next';

/** The address of the login page that leads back to `from`. */
export function loginPath(from: string): string {
  return `${LOGIN}?${WANTED}=${encodeURIComponent(from)}`;
}

/**
 * Where to go after signing in: a path of this origin, whatever the address of the login page claims. The browser's own parser decides what
 * an address is; it takes a backslash for a slash and forgives much else, so looking for prefixes would not do.
 */
export function returnPath(search: string, origin: string, fallback: string): string {
  const wanted = new URLSearchParams(search).get(WANTED);
  if (wanted === null || !wanted.startsWith('/')) return fallback;
  let url: URL;
  try {
    url = new URL(wanted, origin);
  } catch {
    return fallback;
  }
  // A path that begins with two slashes would be taken for a host when it is used.
  if (url.origin !== origin || url.pathname === LOGIN || url.pathname.startsWith('//')) return fallback;
  return url.pathname + url.search + url.hash;
}
