/** Dark or light. Chosen before the first paint by `theme.js`; changed here, and kept in a cookie so that the hub could write it too. */

export type Theme = 'dark' | 'light';

/** A year, in seconds. */
const COOKIE_AGE_S = 31_536_000;

const readers = new Set<() => void>();

export const theme = {
  get: (): Theme => (document.documentElement.dataset['theme'] === 'light' ? 'light' : 'dark'),
  subscribe(reader: () => void): () => void {
    readers.add(reader);
    return () => readers.delete(reader);
  },
  toggle(): void {
    const next: Theme = theme.get() === 'light' ? 'dark' : 'light';
    const secure = location.protocol === 'https:' ? '; Secure' : '';
    // biome-ignore lint/suspicious/noDocumentCookie: theme.js has to read it synchronously, before the first paint.
    document.cookie = `theme=${next}; Path=/; Max-Age=${COOKIE_AGE_S}; SameSite=Lax${secure}`;
    apply(next);
  },
};

function apply(next: Theme): void {
  document.documentElement.dataset['theme'] = next;
  for (const reader of [...readers]) reader();
}

/** Follows the system as long as nothing was chosen. */
export function followSystem(): void {
  matchMedia('(prefers-color-scheme: light)').addEventListener('change', (event) => {
    if (!/(?:^|; )theme=/.test(document.cookie)) apply(event.matches ? 'light' : 'dark');
  });
}
