import './tokens.css';
import './base.css';
import './shell.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { WordsContext } from '../components/words';
import { loadWords } from '../lib/i18n';
import { preferences } from '../lib/preferences';
import { followSystem } from '../lib/theme';
import { App } from './App';

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');

followSystem();
const { language } = preferences.get();
const words = await loadWords(language === 'system' ? navigator.languages : [language, ...navigator.languages]);
createRoot(root).render(
  <StrictMode>
    <WordsContext value={words}>
      <App />
    </WordsContext>
  </StrictMode>,
);
