/** What the hub tells every page of its own: which pages there are, and where to connect. */

import { FetchError, getJson } from './http';
import { fields, text } from './parse';

const PATH = '/page.json';

export interface PageConfig {
  readonly websocketUrl: string | null;
  readonly hasLive: boolean;
  /** What the addresses for signing in begin with; `null`: there are no accounts. */
  readonly auth: string | null;
  readonly transports: TransportPaths;
}

/** The ways in besides WebSocket; `null`: off. */
export interface TransportPaths {
  readonly httpStream: string | null;
  readonly sse: string | null;
  readonly uniSse: string | null;
  /** Where the commands of the first two go. */
  readonly emulation: string | null;
  readonly mercure: string | null;
}

export function parsePage(value: unknown, origin: string): PageConfig | null {
  const page = fields(value);
  if (page === null) return null;
  const transports = fields(page['transports']);
  return {
    websocketUrl: websocketUrl(text(page['websocket']), origin),
    hasLive: page['live'] === true,
    auth: text(page['auth']),
    transports: {
      httpStream: path(transports?.['http_stream']),
      sse: path(transports?.['sse']),
      uniSse: path(transports?.['uni_sse']),
      emulation: path(transports?.['emulation']),
      mercure: path(transports?.['mercure']),
    },
  };
}

/** A path of the hub itself. */
function path(value: unknown): string | null {
  const path = text(value);
  return path?.startsWith('/') === true && !path.startsWith('//') ? path : null;
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
