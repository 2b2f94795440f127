import { expect, test } from 'vitest';
import type { AccountFailure } from '../../client/account';
import { createWords } from '../../lib/i18n';
import { en } from '../../lib/i18n/en';
import { loginProblem } from './login_problem';

const words = createWords('en', en);
const N = '\u202f';

test.each<[AccountFailure, string]>([
  [{ kind: 'wrong', triesLeft: 4, pauseMs: 60_000 }, `Name or password is wrong. 4 tries left before a pause of 1${N}min.`],
  [{ kind: 'wrong', triesLeft: 1, pauseMs: 60_000 }, `Name or password is wrong. 1 try left before a pause of 1${N}min.`],
  [{ kind: 'wrong', triesLeft: null, pauseMs: null }, 'Name or password is wrong.'],
  [{ kind: 'refused', status: 400 }, 'Name or password is wrong.'],
  [{ kind: 'refused', status: 413 }, 'Name or password is wrong.'],
  [{ kind: 'paused', untilMs: 41_500 }, `Too many tries. Wait 42${N}s.`],
  [{ kind: 'paused', untilMs: -5 }, `Too many tries. Wait 1${N}s.`],
  [{ kind: 'unreachable' }, 'The hub does not answer.'],
  [{ kind: 'slow', afterMs: 5_000 }, 'The hub does not answer.'],
  [{ kind: 'unavailable' }, 'Nobody can sign in now: the store does not answer. What is connected goes on.'],
  [{ kind: 'insecure' }, 'Signing in needs https, except on this machine.'],
  [{ kind: 'refused', status: 502 }, 'The hub answered with status 502.'],
])('%j is said as a sentence', (failure, sentence) => {
  expect(loginProblem(failure, 0, words).sentence).toBe(sentence);
});

test('a countdown is not read out every second', () => {
  expect(loginProblem({ kind: 'paused', untilMs: 9_000 }, 0, words).spoken).not.toMatch(/\d/);
});
