/** Keys that are good in every view, and the card that lists them. Single keys only without a modifier, and not while something is typed. */

import { useEffect, useRef, useState } from 'react';
import { isTyping } from '../../components/dashboard/Tools';
import { useWords } from '../../components/words';
import type { Key } from '../../lib/i18n';
import { preferences } from '../../lib/preferences';
import { pathOf, router, type View } from '../../lib/router';
import { theme } from '../../lib/theme';
import { isMac } from './Bar';

/** After `G`, within this. */
const GO_MS = 1_200;

const GO: Readonly<Record<string, View>> = {
  o: 'overview',
  c: 'channels',
  s: 'sessions',
  u: 'upstreams',
  a: 'alerts',
  r: 'reports',
  l: 'audit',
  t: 'console',
  p: 'access',
  n: 'nodes',
  e: 'settings',
};

export type Open = 'palette' | 'keys';

export function useKeys(): { open: Open | null; setOpen: (open: Open | null) => void } {
  const [open, setOpen] = useState<Open | null>(null);
  const goMs = useRef(0);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const key = event.key.toLowerCase();
      if (key === 'k' && (event.ctrlKey || event.metaKey) && !event.altKey) {
        event.preventDefault();
        setOpen('palette');
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event) || !preferences.get().hasKeys) return;
      const goes = GO[key];
      if (goes !== undefined && Date.now() - goMs.current < GO_MS) {
        event.preventDefault();
        event.stopImmediatePropagation();
        goMs.current = 0;
        router.go(pathOf(goes));
        return;
      }
      goMs.current = key === 'g' ? Date.now() : 0;
      if (event.key === '?') setOpen('keys');
      else if (key === 'l') theme.toggle();
      else if (key === '.') preferences.nextDensity();
    };
    // Before the views' own keys: what follows a G is meant for it.
    document.addEventListener('keydown', onKey, true);
    return () => document.removeEventListener('keydown', onKey, true);
  }, []);
  return { open, setOpen };
}

const LINES: readonly (readonly [readonly string[], Key])[] = [
  [['Ctrl K'], 'keys.palette'],
  [['/'], 'keys.search'],
  [['G', 'O C S U A'], 'keys.go'],
  [['G', 'R L T P N E'], 'keys.goMore'],
  [['↑', '↓', 'J', 'K'], 'keys.move'],
  [['↵'], 'keys.open'],
  [['Esc'], 'keys.close'],
  [['L'], 'keys.theme'],
  [['.'], 'keys.density'],
  [['?'], 'keys.this'],
];

export function Keys({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => void dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} className="dialog keys" aria-labelledby="keys-title" onClose={onClose}>
      <h2 id="keys-title">{t('keys.title')}</h2>
      <dl>
        {LINES.map(([keys, what]) => (
          <div key={what}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key === 'Ctrl K' && isMac() ? '⌘K' : key}</kbd>
              ))}
            </dt>
            <dd>{t(what)}</dd>
          </div>
        ))}
      </dl>
      <div className="dialog-actions">
        <button type="button" className="button" onClick={() => dialog.current?.close()}>
          {t('action.close')}
        </button>
      </div>
    </dialog>
  );
}
