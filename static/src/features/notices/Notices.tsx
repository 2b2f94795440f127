/** Over every page: what operators tell everybody, and that one's own login has ended. Text, and nothing but text. */

import type { ReactNode } from 'react';
import type { NoticeLevel } from '../../client/notice';
import { Glyph, Icon } from '../../components/Icon';
import { useWords } from '../../components/words';
import { timeOfDay } from '../../lib/format';
import { useSignal } from '../../lib/hooks';
import { visible } from '../../lib/text';
import type { NoticeList, ShownNotice } from './notice_list';

/** `urgent` is what the page itself has to say; it stands first. */
export function Notices({ list, urgent }: { list: NoticeList; urgent: ReactNode }) {
  const { t } = useWords();
  const shown = useSignal(list.shown);
  const card = (notice: ShownNotice) => (
    <NoticeCard
      key={notice.id}
      level={notice.level}
      title={t(`notice.${notice.level}`, { time: timeOfDay(notice.atMs) })}
      onDismiss={() => list.dismiss(notice.id)}
    >
      {lines(notice.text)}
    </NoticeCard>
  );
  // Both regions are there from the beginning: a screen reader only hears what comes into a region that it knows.
  return (
    <aside className="notices" aria-label={t('notice.all')}>
      <div role="alert">
        {urgent}
        {shown.filter(({ level }) => level === 'critical').map(card)}
      </div>
      <div role="status">{shown.filter(({ level }) => level !== 'critical').map(card)}</div>
    </aside>
  );
}

const STATUS = { info: 'info', warning: 'warn', critical: 'crit' } as const;

export function NoticeCard({
  level,
  title,
  action,
  children,
  onDismiss,
}: {
  level: NoticeLevel;
  title: string;
  action?: ReactNode;
  children: ReactNode;
  onDismiss: () => void;
}) {
  const { t } = useWords();
  return (
    <div className="notice-card" data-level={level}>
      <Glyph status={STATUS[level]} />
      <div>
        <p dir="auto">{children}</p>
        <small>{title}</small>
        {action}
      </div>
      <button type="button" className="button is-quiet is-square" aria-label={t('notice.dismiss')} onClick={onDismiss}>
        <Icon name="close" />
      </button>
    </div>
  );
}

/** Line breaks stay what they are, all other controls become pictures. */
function lines(text: string): string {
  return text.split(/\r?\n/).map(visible).join('\n');
}
