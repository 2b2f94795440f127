/** The account in words: roles, what has failed, why a login is over. */

import type { AccountFailure, SignedOutReason } from '../client/account';
import type { Key, Words } from '../lib/i18n';
import { en } from '../lib/i18n/en';
import { visible } from '../lib/text';
import { causeOf } from './reasons';

/** A role that this page does not know is called what the hub calls it. */
export function roleName(role: string, { t }: Words): string {
  const key = `role.${role}`;
  return Object.hasOwn(en, key) ? t(key as Key) : visible(role);
}

export function rightName(right: string, { t }: Words): string {
  const key = `right.${right}`;
  return Object.hasOwn(en, key) ? t(key as Key) : visible(right);
}

/** Fits into "… cannot be saved: {cause}." and stands alone as "{cause}." */
export function whyNot(failure: AccountFailure, words: Words): string {
  const { t, format } = words;
  switch (failure.kind) {
    case 'wrong':
      return t('failure.wrong');
    case 'paused':
      return t('failure.paused', { wait: format.age(Math.max(1_000, failure.untilMs - Date.now())) });
    case 'signed-out':
      return t('failure.signedOut');
    case 'unavailable':
      return t('failure.store');
    case 'busy':
      return t('failure.busy');
    case 'insecure':
      return t('failure.insecure');
    case 'forbidden':
      return t('failure.forbidden');
    default:
      return causeOf(failure, words);
  }
}

/** Fits into "Your session ended: {reason}." */
export function endedReason(reason: SignedOutReason, { t }: Words): string {
  return t(`ended.${reason}`);
}
