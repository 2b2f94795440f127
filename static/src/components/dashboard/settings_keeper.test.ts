import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Admin } from '../../client/admin/admin';
import { HubError } from '../../client/hub';
import { signal } from '../../client/signal';
import { preferences } from '../../lib/preferences';
import { SettingsKeeper } from './settings_keeper';

const STORE_DOWN = new HubError(100, 'the store cannot be written');

/** A hub of which only the commands for settings are there. */
function hub(kept: Record<string, unknown> | null) {
  const state = signal({ kind: 'connected' });
  const held = { kept, isDown: false, saves: 0 };
  const admin = new Admin({
    call: async (method, values) => {
      if (held.isDown) throw STORE_DOWN;
      if (method === 'admin.settings.get') return { settings: held.kept, saved_at: 1 };
      held.kept = (values as { settings: Record<string, unknown> }).settings;
      held.saves += 1;
      return { saved_at: 2 };
    },
  });
  return { held, admin, hub: { state } as unknown as ConstructorParameters<typeof SettingsKeeper>[0] };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('document', { cookie: '', documentElement: { dataset: {} } });
  vi.stubGlobal('location', { protocol: 'http:' });
  vi.stubGlobal('matchMedia', () => ({ matches: false }));
  vi.stubGlobal('window', globalThis);
  preferences.set({ density: 'compact', panels: null, limits: {}, unsavedBy: null });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('what the hub has is in force, and a change is saved once it has settled', async () => {
  const { held, admin, hub: connection } = hub({ density: 'wall', panels: ['cpu', 'nothing'] });
  const keeper = new SettingsKeeper(connection, admin, 'anna');
  keeper.start();
  await vi.advanceTimersByTimeAsync(0);
  expect(keeper.state.get()).toEqual({ kind: 'on_hub' });
  expect([preferences.get().density, preferences.get().panels]).toEqual(['wall', ['cpu']]);
  preferences.set({ panels: ['lag'] });
  preferences.set({ panels: ['lag', 'cpu'] });
  expect(preferences.get().unsavedBy).toBe('anna');
  await vi.advanceTimersByTimeAsync(5_000);
  expect([held.saves, held.kept?.['panels'], preferences.get().unsavedBy]).toEqual([1, ['lag', 'cpu'], null]);
  keeper.stop();
  preferences.set({ panels: [] });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(held.saves).toBe(1);
});

test('while the store is down the browser has them, and the hub gets them when it can', async () => {
  const { held, admin, hub: connection } = hub(null);
  const keeper = new SettingsKeeper(connection, admin, 'anna');
  keeper.start();
  await vi.advanceTimersByTimeAsync(0);
  held.isDown = true;
  preferences.set({ density: 'comfortable' });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(keeper.state.get()).toEqual({ kind: 'in_browser', error: STORE_DOWN });
  expect(preferences.get()).toMatchObject({ density: 'comfortable', unsavedBy: 'anna' });
  held.isDown = false;
  await vi.advanceTimersByTimeAsync(31_000);
  expect([keeper.state.get().kind, held.kept?.['density']]).toEqual(['on_hub', 'comfortable']);
  keeper.stop();
});

test('what was not saved before the page was loaded anew is newer than what the hub has; that of another user is not', async () => {
  for (const [user, density] of [
    ['anna', 'wall'],
    ['bob', 'comfortable'],
  ] as const) {
    preferences.set({ density: 'wall', unsavedBy: 'anna' });
    const { admin, hub: connection } = hub({ density: 'comfortable' });
    const keeper = new SettingsKeeper(connection, admin, user);
    keeper.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(preferences.get().density, user).toBe(density);
    keeper.stop();
  }
});
