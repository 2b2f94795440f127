/** How the reader wants the page: kept in this browser, in force at once. The theme is kept apart, as it is needed before the first paint. */

export const DENSITIES = ['compact', 'comfortable', 'wall'] as const;
export type Density = (typeof DENSITIES)[number];

export const LANGUAGES = ['system', 'en', 'de'] as const;
export type Language = (typeof LANGUAGES)[number];

export interface Preferences {
  readonly density: Density;
  readonly language: Language;
  /** Single keys do things. */
  readonly hasKeys: boolean;
}

const NAME = 'aether.preferences';
const FIRST: Preferences = { density: 'compact', language: 'system', hasKeys: true };

const readers = new Set<() => void>();

/** Whatever stands there, it becomes preferences. */
export function parsePreferences(source: string | null): Preferences {
  let kept: Readonly<Record<string, unknown>> = {};
  try {
    const value: unknown = JSON.parse(source ?? '{}');
    if (typeof value === 'object' && value !== null) kept = value as Readonly<Record<string, unknown>>;
  } catch {
    // Not ours, or cut: then as at first.
  }
  return {
    density: DENSITIES.find((known) => known === kept['density']) ?? FIRST.density,
    language: LANGUAGES.find((known) => known === kept['language']) ?? FIRST.language,
    hasKeys: kept['hasKeys'] !== false,
  };
}

function stored(): string | null {
  try {
    return localStorage.getItem(NAME);
  } catch {
    return null;
  }
}

let current: Preferences | null = null;

export const preferences = {
  get(): Preferences {
    current ??= parsePreferences(stored());
    return current;
  },
  subscribe(reader: () => void): () => void {
    readers.add(reader);
    return () => readers.delete(reader);
  },
  set(change: Partial<Preferences>): void {
    current = { ...preferences.get(), ...change };
    try {
      localStorage.setItem(NAME, JSON.stringify(current));
    } catch {
      // The browser keeps nothing: it holds until the page is left.
    }
    preferences.apply();
    for (const reader of [...readers]) reader();
  },
  nextDensity(): void {
    const at = DENSITIES.indexOf(preferences.get().density);
    preferences.set({ density: DENSITIES[(at + 1) % DENSITIES.length] ?? FIRST.density });
  },
  apply(): void {
    document.documentElement.dataset['density'] = preferences.get().density;
  },
};
