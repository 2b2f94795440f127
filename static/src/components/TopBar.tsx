import { type ReactNode, useEffect } from 'react';
import { theme } from '../lib/theme';
import { Icon, Logo } from './Icon';
import { useWords } from './words';

/** What stands over a page: whose it is, how fresh it is, the theme, and the menu of whoever is signed in. */
export function TopBar({ menu, children }: { menu: ReactNode; children: ReactNode }) {
  const { t } = useWords();
  useThemeKey();
  return (
    <>
      <a className="skip" href="#main">
        {t('page.skip')}
      </a>
      <header className="top">
        <span className="brand">
          <Logo />
          <span>Aether</span>
        </span>
        {children}
        <ThemeButton />
        {menu}
      </header>
    </>
  );
}

export function ThemeButton() {
  const { t } = useWords();
  return (
    <button type="button" className="button is-quiet is-square" aria-label={t('theme.switch')} onClick={() => theme.toggle()}>
      <Icon name="moon" />
    </button>
  );
}

function useThemeKey(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isTyping =
        event.target instanceof Element && event.target.closest('input, textarea, select, dialog, [contenteditable]') !== null;
      if (event.key.toLowerCase() !== 'l' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      theme.toggle();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}
