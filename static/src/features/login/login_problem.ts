/** Why signing in did not work, in a sentence. */

import type { AccountFailure } from '../../client/account';
import { whyNot } from '../../components/account_words';
import type { Words } from '../../lib/i18n';

export interface LoginProblem {
  readonly sentence: string;
  /** Said aloud once: without a figure that changes every second. */
  readonly spoken: string;
  readonly mayRetry: boolean;
}

/** A countdown ends at one: nought seconds would be a lie for most of a second. */
export function secondsLeft(untilMs: number, nowMs: number): number {
  return Math.max(1, Math.ceil((untilMs - nowMs) / 1000));
}

export function loginProblem(failure: AccountFailure, nowMs: number, words: Words): LoginProblem {
  const { t, format } = words;
  const say = (sentence: string, mayRetry = false) => ({ sentence, spoken: sentence, mayRetry });
  switch (failure.kind) {
    case 'wrong': {
      const { triesLeft, pauseMs } = failure;
      if (triesLeft === null) return say(t('login.wrong'));
      if (pauseMs === null) return say(t('login.wrongTries', { n: triesLeft }));
      return say(t('login.wrongTriesPause', { n: triesLeft, pause: format.age(pauseMs) }));
    }
    case 'paused': {
      const wait = format.age(secondsLeft(failure.untilMs, nowMs) * 1000);
      return { sentence: t('login.paused', { wait }), spoken: t('login.pausedSpoken'), mayRetry: false };
    }
    case 'unreachable':
    case 'slow':
      return say(t('failure.unreachable'), true);
    case 'unavailable':
      return say(t('login.unavailable'), true);
    case 'refused':
      // What no name and no password can look like is neither.
      return failure.status === 400 || failure.status === 413 ? say(t('login.wrong')) : say(whyNot(failure, words), true);
    case 'insecure':
      return say(whyNot(failure, words));
    case 'busy':
    case 'unreadable':
    case 'forbidden':
    case 'signed-out':
      return say(whyNot(failure, words), true);
  }
}
