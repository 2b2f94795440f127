/** Over the view: where one is, the way to search, how fresh it all is, the theme. */

import { Icon } from '../../components/Icon';
import { Link } from '../../components/Link';
import { StatusBar, StatusMark, useStatus, type Watched } from '../../components/Status';
import { ThemeButton } from '../../components/TopBar';
import { useWords } from '../../components/words';
import { type Place, pathOf } from '../../lib/router';
import { visible } from '../../lib/text';

/** `thing`: by the name under which the view shows it. */
export function Bar({
  view,
  thing,
  watched,
  onSearch,
}: Pick<Place, 'view' | 'thing'> & { watched: Watched; onSearch: () => void }) {
  const { t } = useWords();
  const said = useStatus(watched);
  return (
    <header className="desk-bar">
      <div className="desk-crumb">
        {thing === null ? (
          <h1>{t(`view.${view}`)}</h1>
        ) : (
          <>
            <Link href={pathOf(view)}>{t(`view.${view}`)}</Link>
            <span aria-hidden="true">/</span>
            <h1 className="trunc" title={visible(thing)}>
              <bdi>{visible(thing)}</bdi>
            </h1>
          </>
        )}
      </div>
      <button type="button" className="desk-search" onClick={onSearch} aria-label={t('palette.open')}>
        <Icon name="search" />
        <span>{t('palette.open')}</span>
        <kbd aria-hidden="true">{isMac() ? '⌘K' : 'Ctrl K'}</kbd>
      </button>
      <StatusMark said={said.status === 'ok' ? { ...said, mark: t('desk.fresh') } : said} />
      <ThemeButton />
      <StatusBar said={said} watched={watched} />
    </header>
  );
}

export function isMac(): boolean {
  return /Mac|iPhone|iPad/.test(navigator.userAgent);
}
