import type { Hub } from '../client/hub';
import type { Watched } from './Status';

/**
 * Connects `hub`, which brings no steady flow: pings tell whether the connection lives, so while it is open, what it told is fresh. `cameBack`
 * hears when it is open after it was lost.
 */
export function watchQuiet(hub: Hub, cameBack: () => void): { readonly watched: Watched; readonly stop: () => void } {
  let lostMs: number | null = null;
  const forget = hub.state.subscribe(() => {
    const isOpen = hub.state.get().kind === 'connected';
    const wasLost = lostMs !== null;
    if (isOpen) lostMs = null;
    else if (lostMs === null && hub.clientId !== null) lostMs = Date.now();
    if (isOpen && wasLost) cameBack();
  });
  hub.connect();
  const watched = {
    hub,
    roundTripMs: null,
    get updatedMs() {
      return hub.clientId === null ? null : (lostMs ?? Date.now());
    },
  };
  const stop = () => {
    forget();
    hub.close();
  };
  return { watched, stop };
}
