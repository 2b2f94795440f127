/** What came of something that was done: one at a time, for a few seconds; what went wrong stays until it is put away. */

import { useCallback, useEffect, useState } from 'react';
import type { Toast } from '../../components/dashboard/desk';
import { Glyph, Icon } from '../../components/Icon';
import { useWords } from '../../components/words';

const SHOWN_MS = 5_000;

export interface ToastState {
  readonly shown: Toast | null;
  readonly say: (toast: Toast) => void;
  readonly dismiss: () => void;
}

export function useToasts(): ToastState {
  const [shown, setShown] = useState<Toast | null>(null);
  useEffect(() => {
    if (shown === null || shown.status === 'crit') return;
    const timer = setTimeout(() => setShown(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [shown]);
  const dismiss = useCallback(() => setShown(null), []);
  return { shown, say: setShown, dismiss };
}

export function Toasts({ toasts: { shown, dismiss } }: { toasts: ToastState }) {
  const { t } = useWords();
  return (
    <div className="toasts" role="status">
      {shown !== null && (
        <div className="toast">
          <Glyph status={shown.status} />
          <span>{shown.text}</span>
          <button type="button" className="button is-quiet is-square" aria-label={t('action.close')} onClick={dismiss}>
            <Icon name="close" />
          </button>
        </div>
      )}
    </div>
  );
}
