/** Codes and failures in words. */

import type { FetchFailure } from '../client/http';
import type { Key, Words } from '../lib/i18n';
import { visible } from '../lib/text';

/** The SDK's own codes for a connection that broke and for an answer that did not come. */
const SDK_TIMEOUT = 1;
const SDK_CODE_MAX = 99;

const KNOWN: ReadonlySet<number> = new Set([100, 102, 103, 106, 107, 108, 111, 3001, 3008, 3012, 3500, 3501, 3503, 3504, 3507]);

/** Fits into "…: {reason}." */
export function reasonOf(code: number, reason: string, { t }: Words): string {
  if (KNOWN.has(code)) return t(`code.${code}` as Key);
  if (code === SDK_TIMEOUT && /timeout/i.test(reason)) return t('code.timeout');
  // Below 100 the SDK speaks, below 3000 and from 1000 on the WebSocket layer.
  if (code <= SDK_CODE_MAX || (code >= 1000 && code < 3000)) return t('code.network');
  return t('code.other', { reason: visible(reason), code: String(code) });
}

export function causeOf(failure: FetchFailure, { t, format }: Words): string {
  switch (failure.kind) {
    case 'unreachable':
      return t('failure.unreachable');
    case 'slow':
      return t('failure.slow', { wait: format.age(failure.afterMs) });
    case 'refused':
      return t('failure.refused', { status: String(failure.status) });
    case 'unreadable':
      return t('failure.unreadable');
  }
}
