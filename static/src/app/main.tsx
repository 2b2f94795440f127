import './tokens.css';
import './base.css';
import './shell.css';
import { StrictMode, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { WordsContext } from '../components/words';
import { loadWords, type Words } from '../lib/i18n';
import { preferences } from '../lib/preferences';
import { followSystem } from '../lib/theme';
import { App } from './App';

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');

followSystem();

function wordsOf(language: string): Promise<Words> {
  return loadWords(language === 'system' ? navigator.languages : [language, ...navigator.languages]);
}

/** The page in the language that is chosen, also when another one is. */
function Spoken({ first }: { first: Words }) {
  const [words, setWords] = useState(first);
  useEffect(() => {
    let { language } = preferences.get();
    return preferences.subscribe(() => {
      const next = preferences.get().language;
      if (next === language) return;
      language = next;
      void wordsOf(next).then((loaded) => {
        // Chosen anew while the words came: those of the last choice count.
        if (next === language) setWords(loaded);
      });
    });
  }, []);
  return (
    <WordsContext value={words}>
      <App />
    </WordsContext>
  );
}

const words = await wordsOf(preferences.get().language);
createRoot(root).render(
  <StrictMode>
    <Spoken first={words} />
  </StrictMode>,
);
