/** What the hub tells every page of its own: which pages there are, and where to connect. */

import { FetchError, getJson } from './http';
import { fields, text } from './parse';

const PATH = '/page.json';

export interface PageConfig {
  readonly websocketUrl: string | null;
  readonly hasLive: boolean;
  /** What the addresses for signing in begin with; `null`: there are no accounts. */
  readonly auth: string | null;
}

export function parsePage(value: unknown, origin: string): PageConfig | null {
  const page = fields(value);
  if (page === null) return null;
  return {
    websocketUrl: websocketUrl(text(page['websocket']), origin),
    hasLive: page['live'] === true,
    auth: text(page['auth']),
  };
}

/** A path of the host that the page came from, or a whole address, as an address for WebSocket. */
export function websocketUrl(path: string | null, origin: string): string | null {
  if (path === null) return null;
  try {
    const url = new URL(path, origin);
    url.protocol = /^(?:https|wss):$/.test(url.protocol) ? 'wss:' : 'ws:';
    return url.href;
  } catch {
    return null;
  }
}

export async function readPage(signal: AbortSignal): Promise<PageConfig> {
  const page = parsePage(await getJson(PATH, signal), location.origin);
  if (page === null) throw new FetchError({ kind: 'unreadable' });
  return page;
}
