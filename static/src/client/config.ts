/** What the hub tells its Live page: where to connect and which demo channels exist. No key and no token is in it. */

import { FetchError, getJson } from './http';
import { websocketUrl } from './page';
import { fields, text } from './parse';

const PATH = '/live/config.json';

export interface DemoFeed {
  /** CPU use of the hub's host, ten times a second. */
  readonly channel: string;
  /** All figures of the host, once a second. */
  readonly host: string | null;
}

export interface LiveConfig {
  readonly websocketUrl: string;
  readonly node: string;
  readonly version: string;
  readonly demo: DemoFeed | null;
  readonly chat: string | null;
  readonly apiUrl: string;
}

/** `origin` is where the page came from: the hub names paths, or whole addresses when it is reached another way. */
export function parseConfig(value: unknown, origin: string): LiveConfig | null {
  const config = fields(value);
  const websocket = websocketUrl(text(config?.['websocket']), origin);
  if (config === null || websocket === null) return null;
  const demo = fields(config['demo']);
  const channel = text(demo?.['channel']);
  let apiUrl: URL;
  try {
    apiUrl = new URL(text(config['api']) ?? '/api', origin);
  } catch {
    return null;
  }
  return {
    websocketUrl: websocket,
    node: text(config['node']) ?? '',
    version: text(config['version']) ?? '',
    demo: channel === null ? null : { channel, host: text(demo?.['host']) },
    chat: text(config['chat']),
    apiUrl: apiUrl.href.replace(/\/$/, ''),
  };
}

export async function readConfig(signal: AbortSignal): Promise<LiveConfig> {
  const config = parseConfig(await getJson(PATH, signal), location.origin);
  if (config === null) throw new FetchError({ kind: 'unreadable' });
  return config;
}
