/** What stands in a page's place while there is none. */

import { Skeleton } from '../components/Panel';
import { useWords } from '../components/words';
import { RETRY_MS } from './reading';

export function Loading({ isSlow }: { isSlow: boolean }) {
  const { t } = useWords();
  return (
    <main className="whole" aria-busy="true">
      <h1 className="sr-only">Aether</h1>
      <Skeleton lines={[75, 60, 90]} />
      <p>{isSlow ? t('load.slow') : '\u00a0'}</p>
    </main>
  );
}

export function NoAnswer({ onRetry }: { onRetry: () => void }) {
  const { t, format } = useWords();
  return (
    <main className="whole">
      <h1>{t('load.failed', { host: location.host })}</h1>
      <p>{t('load.retry', { wait: format.age(RETRY_MS) })}</p>
      <button type="button" className="button is-primary" onClick={onRetry}>
        {t('action.retry')}
      </button>
    </main>
  );
}
