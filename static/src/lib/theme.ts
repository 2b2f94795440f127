/** Dark or light. Chosen before the first paint by `theme.js`; changed here, and kept in a cookie so that the hub could write it too. */

export type Theme = 'dark' | 'light';

export const THEMES = ['system', 'dark', 'light'] as const;
export type ChosenTheme = (typeof THEMES)[number];

/** A year, in seconds. */
const COOKIE_AGE_S = 31_536_000;

const readers = new Set<() => void>();

export const theme = {
  get: (): Theme => (document.documentElement.dataset['theme'] === 'light' ? 'light' : 'dark'),
  subscribe(reader: () => void): () => void {
    readers.add(reader);
    return () => readers.delete(reader);
  },
  /** What was asked for, which may be whatever the system has. */
  chosen: (): ChosenTheme => {
    const kept = /(?:^|; )theme=(dark|light)(?:;|$)/.exec(document.cookie)?.[1];
    return kept === 'dark' || kept === 'light' ? kept : 'system';
  },
  choose(next: ChosenTheme): void {
    const secure = location.protocol === 'https:' ? '; Secure' : '';
    const age = next === 'system' ? 0 : COOKIE_AGE_S;
    // biome-ignore lint/suspicious/noDocumentCookie: theme.js has to read it synchronously, before the first paint.
    document.cookie = `theme=${next}; Path=/; Max-Age=${age}; SameSite=Lax${secure}`;
    apply(next === 'system' ? ofSystem() : next);
  },
  toggle(): void {
    theme.choose(theme.get() === 'light' ? 'dark' : 'light');
  },
};

function apply(next: Theme): void {
  document.documentElement.dataset['theme'] = next;
  for (const reader of [...readers]) reader();
}

function ofSystem(): Theme {
  return matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
}

/** Follows the system as long as nothing was chosen. */
export function followSystem(): void {
  matchMedia('(prefers-color-scheme: light)').addEventListener('change', (event) => {
    if (!/(?:^|; )theme=/.test(document.cookie)) apply(event.matches ? 'light' : 'dark');
  });
}
