/** What operators tell everybody: an async message of the hub, `{"aether":"notice","level":…,"text":…}`. Other messages are none of ours. */

import { fields, json, text } from './parse';

export const NOTICE_LEVELS = ['info', 'warning', 'critical'] as const;
export type NoticeLevel = (typeof NOTICE_LEVELS)[number];

export interface Notice {
  readonly level: NoticeLevel;
  readonly text: string;
}

/** A notice is a sentence or two. */
const BYTES_MAX = 64 * 1024;
const TEXT_MAX = 2_000;

export function parseNotice(bytes: Uint8Array): Notice | null {
  if (bytes.length > BYTES_MAX) return null;
  const message = fields(json(new TextDecoder().decode(bytes)));
  const said = text(message?.['text'])?.trim() ?? '';
  if (message?.['aether'] !== 'notice' || said === '') return null;
  // A level of a later hub is shown too, as one that need not be feared.
  const level = NOTICE_LEVELS.find((known) => known === message['level']) ?? 'info';
  return { level, text: said.slice(0, TEXT_MAX) };
}
