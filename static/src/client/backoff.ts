/** How long to wait before the next try: full jitter, so that clients thrown out together do not come back together. */

const FIRST_MS = 500;
const MAX_MS = 20_000;

/** `attempt` counts from 0, `random` lies in [0, 1). */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return Math.round(FIRST_MS / 2 + random * ceiling);
}
