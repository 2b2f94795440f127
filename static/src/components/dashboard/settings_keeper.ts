/**
 * Keeps on the hub how the reader wants the dashboard: read when the connection opens first, saved a moment after a change. The browser has it
 * too, so the hub's store may be down: then the change is saved when it can be, and until then the page says so. Of two pages of one user the
 * last one to change something wins, and the other one learns of it when it is loaded.
 */

import type { Admin } from '../../client/admin/admin';
import { readSettings, saveSettings } from '../../client/admin/settings';
import { NOT_AVAILABLE } from '../../client/codes';
import { type Hub, HubError } from '../../client/hub';
import type { Fields } from '../../client/parse';
import { signal } from '../../client/signal';
import { type Preferences, preferences, preferencesIn } from '../../lib/preferences';
import { THEMES, theme } from '../../lib/theme';

/** Who drags a panel changes its place several times. */
const SETTLE_MS = 600;
const AGAIN_MS = 30_000;

export type Kept =
  /** Not known yet. */
  | { readonly kind: 'asking' }
  | { readonly kind: 'on_hub' }
  /** In this browser alone. `error`: why; it is tried again. */
  | { readonly kind: 'in_browser'; readonly error: HubError | null };

/** All of it, as the hub keeps it. */
function bodyOf({ density, language, hasKeys, panels, limits }: Preferences): Fields {
  return { theme: theme.chosen(), density, language, hasKeys, panels, limits };
}

export class SettingsKeeper {
  readonly #state = signal<Kept>({ kind: 'asking' });
  readonly state = this.#state;
  #known = '';
  #hasRead = false;
  #timer = 0;
  #stops: (() => void)[] = [];

  constructor(
    private readonly hub: Pick<Hub, 'state'>,
    private readonly admin: Admin,
    private readonly user: string,
  ) {}

  start(): void {
    this.#known = JSON.stringify(bodyOf(preferences.get()));
    this.#stops = [
      preferences.subscribe(this.#changed),
      theme.subscribe(this.#changed),
      this.hub.state.subscribe(() => this.#opened()),
    ];
    this.#opened();
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  #opened(): void {
    if (this.hub.state.get().kind !== 'connected') return;
    if (!this.#hasRead) void this.#read();
    else if (preferences.get().unsavedBy === this.user) void this.#save();
  }

  async #read(): Promise<void> {
    this.#hasRead = true;
    // What the hub has not taken is newer than what it has.
    if (preferences.get().unsavedBy === this.user) return this.#save();
    try {
      const { settings } = await readSettings(this.admin);
      if (this.#stops.length === 0) return;
      if (settings !== null && preferences.get().unsavedBy !== this.user) this.#take(settings);
      this.#state.set({ kind: 'on_hub' });
    } catch (error) {
      this.#hasRead = false;
      this.#failed(error);
    }
  }

  #take(settings: Fields): void {
    const { density, language, hasKeys, panels, limits } = preferencesIn(settings);
    const wanted = THEMES.find((known) => known === settings['theme']) ?? theme.chosen();
    this.#known = JSON.stringify({ theme: wanted, density, language, hasKeys, panels, limits });
    if (wanted !== theme.chosen()) theme.choose(wanted);
    preferences.set({ density, language, hasKeys, panels, limits, unsavedBy: null });
  }

  readonly #changed = (): void => {
    if (JSON.stringify(bodyOf(preferences.get())) === this.#known) return;
    this.#known = JSON.stringify(bodyOf(preferences.get()));
    preferences.set({ unsavedBy: this.user });
    this.#later(SETTLE_MS);
  };

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#opened(), ms);
  }

  async #save(): Promise<void> {
    const body = bodyOf(preferences.get());
    try {
      await saveSettings(this.admin, body);
      if (this.#stops.length === 0) return;
      this.#state.set({ kind: 'on_hub' });
      // Changed meanwhile: that is saved by its own timer.
      if (JSON.stringify(body) === this.#known) preferences.set({ unsavedBy: null });
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (this.#stops.length === 0) return;
    const why = error instanceof HubError ? error : new HubError(0, String(error));
    this.#state.set({ kind: 'in_browser', error: why });
    // Who has no name, or a role that may not, will not be let another time.
    if (why.code !== NOT_AVAILABLE) this.#later(AGAIN_MS);
  }
}
