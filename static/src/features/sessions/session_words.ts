/** Sessions in words, and what the address says of their order. */

import { SESSION_ORDERS, type SessionOrder } from '../../client/admin/sessions';
import type { Key, Words } from '../../lib/i18n';
import { en } from '../../lib/i18n/en';
import { visible } from '../../lib/text';

export function transportName(transport: string, { t }: Words): string {
  const key = `transport.${transport}`;
  return Object.hasOwn(en, key) ? t(key as Key) : visible(transport);
}

export interface SessionSort {
  readonly by: SessionOrder;
  readonly descending: boolean;
}

/** `-subscriptions`: by subscriptions, the most first. Whoever came last stands on top where the address says nothing of use. */
export function sortIn(text: string): SessionSort {
  const descending = text.startsWith('-');
  const by = SESSION_ORDERS.find((known) => known === text.slice(descending ? 1 : 0));
  return by === undefined ? { by: 'since', descending: true } : { by, descending };
}
