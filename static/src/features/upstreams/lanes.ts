/** The states of a feed that have a lane, in the order in which they always stand; and how much of a time it delivered. */

import { FEED_STATES, type FeedState } from '../../client/admin/feeds';
import { delivers, type FeedSegment } from '../../components/dashboard/feed_states';

export const LANES: readonly FeedState[] = FEED_STATES.filter((state) => state !== 'idle' && state !== 'closed');

/** Of the time that is known, the part in which messages could come in; `null` if nothing is known. */
export function openShare(parts: readonly FeedSegment[]): number | null {
  const lasted = (of: readonly FeedSegment[]) => of.reduce((sum, part) => sum + part.fromAgoMs - part.toAgoMs, 0);
  const all = lasted(parts);
  return all === 0 ? null : lasted(parts.filter(({ state }) => delivers(state))) / all;
}
