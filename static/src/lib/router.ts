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
  search: (): string => location.search,
  /** Changes what a link to this page carries: each value by its name, `null` takes it away. Where one has scrolled to stays. */
  adjust(values: Readonly<Record<string, string | null>>, how: 'push' | 'replace' = 'replace'): void {
    const search = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(values)) {
      if (value === null || value === '') search.delete(name);
      else search.set(name, value);
    }
    const next = search.size === 0 ? location.pathname : `${location.pathname}?${search}`;
    if (next === location.pathname + location.search) return;
    if (how === 'push') history.pushState(null, '', next);
    else history.replaceState(null, '', next);
    for (const reader of [...readers]) reader();
  },
};

export const LIVE = '/';
export const LOGIN = '/login';
export const ACCOUNT = '/account';
export const CONNECTION_TEST = '/connection-test';
export const OVERVIEW = '/overview';

/** The views of the dashboard; what follows the name in an address says which of its things is meant. */
export const VIEWS = [
  'overview',
  'channels',
  'sessions',
  'upstreams',
  'alerts',
  'reports',
  'audit',
  'console',
  'access',
  'nodes',
  'settings',
] as const;
export type View = (typeof VIEWS)[number];

export interface Place {
  readonly view: View;
  /** `null`: the view itself. */
  readonly thing: string | null;
}

/** Which view of the dashboard an address means; `null`: none. */
export function placeOf(path: string): Place | null {
  const [, name = '', ...rest] = path.split('/');
  const view = VIEWS.find((known) => known === name);
  if (view === undefined) return null;
  const thing = rest.join('/');
  if (thing === '') return { view, thing: null };
  try {
    const named = decodeURIComponent(thing);
    return { view, thing: DOTS_MARKED.test(named) ? named.slice(1) : named };
  } catch {
    // A per cent sign that begins nothing: the name is as it stands.
    return { view, thing };
  }
}

/** In an address one dot, or two, are steps and no names, coded as %2E too (WHATWG URL, 4.1); so names of them are marked. */
const DOTS = /^~*\.{1,2}$/;
const DOTS_MARKED = /^~+\.{1,2}$/;

export function pathOf(view: View, thing: string | null = null): string {
  if (thing === null) return `/${view}`;
  return `/${view}/${encodeURIComponent(DOTS.test(thing) ? `~${thing}` : thing)}`;
}

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
