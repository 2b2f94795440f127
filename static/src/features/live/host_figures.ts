/** The host's other figures, once a second: memory, network, disk. */

import { count, fields, json } from '../../client/parse';

export interface HostFigures {
  readonly memoryUsed: number | null;
  readonly memoryTotal: number | null;
  /** Bytes a second. */
  readonly networkIn: number | null;
  readonly networkOut: number | null;
  readonly diskRead: number | null;
  readonly diskWritten: number | null;
}

const decoder = new TextDecoder();

export function parseHostFigures(bytes: Uint8Array): HostFigures | null {
  const payload = fields(json(decoder.decode(bytes)));
  if (payload === null) return null;
  const memory = fields(payload['memory']);
  const network = fields(payload['network']);
  const disk = fields(payload['disk']);
  return {
    memoryUsed: count(memory?.['used']),
    memoryTotal: count(memory?.['total']),
    networkIn: count(network?.['received']),
    networkOut: count(network?.['sent']),
    diskRead: count(disk?.['read']),
    diskWritten: count(disk?.['written']),
  };
}
