import { createContext, useContext } from 'react';
import { createWords, type Words } from '../lib/i18n';
import { en } from '../lib/i18n/en';

/** The words in the reader's language. */
export const WordsContext = createContext<Words>(createWords('en', en));

export function useWords(): Words {
  return useContext(WordsContext);
}
