/** What came back after the connection was lost, in one sentence. */

import { useEffect, useState } from 'react';
import { useWords } from '../../components/words';
import { useSignal } from '../../lib/hooks';
import type { Words } from '../../lib/i18n';
import { summarize } from './journal';
import type { LiveModel } from './model';

/** How long the bar says it. */
const BACK_MS = 3_000;

/** The sentence about the last return, while it is news. */
export function useReturnedSentence(model: LiveModel): string | null {
  const words = useWords();
  const returned = useSignal(model.returned);
  const [isNews, setIsNews] = useState(false);
  useEffect(() => {
    if (returned === null) return;
    setIsNews(true);
    const timer = setTimeout(() => setIsNews(false), BACK_MS);
    return () => clearTimeout(timer);
  }, [returned]);
  return isNews && returned !== null ? returnSentence(summarize(returned.recoveries), words) : null;
}

export function returnSentence(back: ReturnType<typeof summarize>, { t }: Words): string {
  switch (back.kind) {
    case 'recovered':
      return back.messages === 0 ? t('back.nothing') : t('back.recovered', { n: back.messages });
    case 'missed':
      return t('back.missed', { n: back.messages });
    case 'unknown':
      return t('back.unknown');
    case 'plain':
      return t('back.plain');
  }
}
