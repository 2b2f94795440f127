import { useState } from 'react';
import type { Account } from '../client/account';
import { whyNot } from './account_words';
import { useWords } from './words';

/** Signs out, once at a time; `failed` hears why it did not work. */
export function useSignOut(account: Account, failed: (sentence: string) => void): () => Promise<void> {
  const words = useWords();
  const [isBusy, setIsBusy] = useState(false);
  return async () => {
    if (isBusy) return;
    setIsBusy(true);
    const failure = await account.signOut();
    setIsBusy(false);
    if (failure !== null) failed(words.t('menu.signOutFailed', { cause: whyNot(failure, words) }));
  };
}
