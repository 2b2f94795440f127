/** What the hub keeps of how a user wants the dashboard. What is in it, `components/dashboard/settings_keeper.ts` knows. */

import { count, type Fields, fields } from '../parse';
import type { Admin } from './admin';

export interface SavedSettings {
  /** `null`: nothing was ever saved. */
  readonly settings: Fields | null;
  readonly savedAtMs: number | null;
}

export function parseSettings(value: unknown): SavedSettings | null {
  const answer = fields(value);
  return answer === null ? null : { settings: fields(answer['settings']), savedAtMs: count(answer['saved_at']) };
}

export function readSettings(admin: Admin): Promise<SavedSettings> {
  return admin.ask('settings.get', {}, parseSettings);
}

export function saveSettings(admin: Admin, settings: Fields): Promise<void> {
  return admin.tell('settings.set', { settings });
}
