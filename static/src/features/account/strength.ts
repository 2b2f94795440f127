/** How good a password is, as far as its length tells. */

/** What the hub takes, in bytes of UTF-8. */
export const PASSWORD_BYTES_MIN = 8;
export const PASSWORD_BYTES_MAX = 1_024;

export type Strength = 'empty' | 'short' | 'weak' | 'fair' | 'good' | 'tooLong';

export function strength(password: string): { readonly level: Strength; readonly characters: number } {
  const characters = [...password].length;
  const bytes = new TextEncoder().encode(password).length;
  const level =
    characters === 0
      ? 'empty'
      : bytes < PASSWORD_BYTES_MIN
        ? 'short'
        : bytes > PASSWORD_BYTES_MAX
          ? 'tooLong'
          : characters < 12
            ? 'weak'
            : characters < 16
              ? 'fair'
              : 'good';
  return { level, characters };
}
