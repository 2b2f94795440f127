/**
 * How the reader wants the page: kept in this browser, in force at once. The theme is kept apart, as it is needed before the first paint. For
 * who has signed in the dashboard also saves them on the hub (`settings_keeper.ts`).
 */

import { type Limits, limitsIn, type PanelId, panelsIn } from './panels';

export const DENSITIES = ['compact', 'comfortable', 'wall'] as const;
export type Density = (typeof DENSITIES)[number];

export const LANGUAGES = ['system', 'en', 'de'] as const;
export type Language = (typeof LANGUAGES)[number];

export interface Preferences {
  readonly density: Density;
  readonly language: Language;
  /** Single keys do things. */
  readonly hasKeys: boolean;
  /** Those that the overview shows, in their order; `null`: nobody has chosen. */
  readonly panels: readonly PanelId[] | null;
  readonly limits: Limits;
  /** Whose changes the hub has not taken yet. */
  readonly unsavedBy: string | null;
}

const NAME = 'aether.preferences';
const FIRST: Preferences = {
  density: 'compact',
  language: 'system',
  hasKeys: true,
  panels: null,
  limits: {},
  unsavedBy: null,
};

const readers = new Set<() => void>();

/** Whatever is given, it becomes preferences. */
export function preferencesIn(value: unknown): Preferences {
  const kept = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  return {
    density: DENSITIES.find((known) => known === kept['density']) ?? FIRST.density,
    language: LANGUAGES.find((known) => known === kept['language']) ?? FIRST.language,
    hasKeys: kept['hasKeys'] !== false,
    panels: panelsIn(kept['panels']),
    limits: limitsIn(kept['limits']),
    unsavedBy: typeof kept['unsavedBy'] === 'string' ? kept['unsavedBy'] : null,
  };
}

/** Whatever stands there, it becomes preferences. */
export function parsePreferences(source: string | null): Preferences {
  try {
    return preferencesIn(JSON.parse(source ?? '{}'));
  } catch {
    // Not ours, or cut: then as at first.
    return FIRST;
  }
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
