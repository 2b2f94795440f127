import type { KeyRow } from '../../client/admin/people';

/** Each has the rights of those before it. */
export const ROLES = ['viewer', 'publisher', 'operator', 'admin'] as const;

/** A key that nobody has used for so long is one that can go. */
const FORGOTTEN_MS = 90 * 86_400_000;

export function isForgotten({ lastUsedAtMs, createdAtMs }: Pick<KeyRow, 'lastUsedAtMs' | 'createdAtMs'>, nowMs: number): boolean {
  const since = lastUsedAtMs ?? createdAtMs;
  return since !== null && nowMs - since > FORGOTTEN_MS;
}

/** What a person types for several things: parted by commas or spaces. */
export function listIn(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter((one) => one !== '');
}
