import { useEffect, useState } from 'react';
import { type LiveConfig, readConfig } from '../client/config';
import { Skeleton } from '../components/Panel';
import { useWords } from '../components/words';
import { LivePage } from '../features/live/LivePage';

const RETRY_MS = 3_000;
/** What takes longer deserves a word. */
const SLOW_MS = 5_000;

type Phase =
  | { readonly kind: 'loading'; readonly isSlow: boolean }
  | { readonly kind: 'failed' }
  | { readonly kind: 'ready'; readonly config: LiveConfig };

export function App() {
  const { t, format, language } = useWords();
  const [phase, setPhase] = useState<Phase>({ kind: 'loading', isSlow: false });
  const [round, setRound] = useState(0);

  useEffect(() => {
    document.documentElement.lang = language;
    document.title = t('page.title');
  }, [t, language]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round is a new try.
  useEffect(() => {
    const run = new AbortController();
    let retry = 0;
    const slow = window.setTimeout(
      () => setPhase((now) => (now.kind === 'loading' ? { kind: 'loading', isSlow: true } : now)),
      SLOW_MS,
    );
    readConfig(run.signal).then(
      (config) => setPhase({ kind: 'ready', config }),
      () => {
        if (run.signal.aborted) return;
        setPhase({ kind: 'failed' });
        retry = window.setTimeout(() => setRound((n) => n + 1), RETRY_MS);
      },
    );
    return () => {
      run.abort();
      clearTimeout(slow);
      clearTimeout(retry);
    };
  }, [round]);

  switch (phase.kind) {
    case 'ready':
      return <LivePage config={phase.config} />;
    case 'failed':
      return (
        <main className="whole">
          <h1>{t('load.failed', { host: location.host })}</h1>
          <p>{t('load.retry', { wait: format.age(RETRY_MS) })}</p>
          <button type="button" className="button is-primary" onClick={() => setRound((n) => n + 1)}>
            {t('action.retry')}
          </button>
        </main>
      );
    case 'loading':
      return (
        <main className="whole" aria-busy="true">
          <h1 className="sr-only">Aether</h1>
          <Skeleton lines={[75, 60, 90]} />
          <p>{phase.isSlow ? t('load.slow') : '\u00a0'}</p>
        </main>
      );
  }
}
