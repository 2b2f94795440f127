import './tokens.css';
import './base.css';
import './shell.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { WordsContext } from '../components/words';
import { loadWords } from '../lib/i18n';
import { followSystem } from '../lib/theme';
import { App } from './App';

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');

followSystem();
const words = await loadWords(navigator.languages);
createRoot(root).render(
  <StrictMode>
    <WordsContext value={words}>
      <App />
    </WordsContext>
  </StrictMode>,
);
