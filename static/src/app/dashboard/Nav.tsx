/** The menu: at the left, on narrow windows a rail, on phones a bar at the bottom. What a role may not open leads to the page that says so. */

import { useState } from 'react';
import type { Account } from '../../client/account';
import { listAlerts } from '../../client/admin/alerts';
import { readStatus } from '../../client/admin/status';
import { wallMs } from '../../client/clock';
import { roleName } from '../../components/account_words';
import { useAsk, useDesk, useRight } from '../../components/dashboard/desk';
import { Icon, type IconName, Logo } from '../../components/Icon';
import { Link } from '../../components/Link';
import { useSignOut } from '../../components/sign_out';
import { useWords } from '../../components/words';
import { useMedia } from '../../lib/hooks';
import { ACCOUNT, CONNECTION_TEST, LIVE, pathOf, type View } from '../../lib/router';
import { visible } from '../../lib/text';

const GROUPS: readonly (readonly View[])[] = [
  ['overview', 'channels', 'sessions', 'upstreams', 'alerts'],
  ['reports', 'audit', 'console'],
  ['access', 'nodes', 'settings'],
];
/** What a thumb reaches; the rest is behind the last button. */
const AT_BOTTOM: readonly View[] = ['overview', 'alerts', 'upstreams', 'sessions'];
const EVERY_MS = 5_000;
const PHONE = '(max-width: 640px)';

interface Count {
  readonly text: string;
  readonly isWarning: boolean;
}

export function Nav({
  view,
  account,
  hasLive,
  failed,
}: {
  view: View;
  account: Account;
  hasLive: boolean;
  failed: (sentence: string) => void;
}) {
  const { t } = useWords();
  const counts = useCounts();
  const isPhone = useMedia(PHONE);
  const [isMore, setIsMore] = useState(false);
  const item = (one: View) => (
    <NavItem key={one} view={one} isCurrent={one === view} count={counts[one] ?? null} onClick={() => setIsMore(false)} />
  );
  const own = <Own account={account} hasLive={hasLive} failed={failed} />;
  if (!isPhone)
    return (
      <nav className="desk-nav" aria-label={t('desk.menu')}>
        <span className="brand">
          <Logo />
          <span>Aether</span>
        </span>
        {GROUPS.map((group) => (
          <div key={group[0]} className="desk-group">
            {group.map(item)}
          </div>
        ))}
        <div className="desk-own">{own}</div>
      </nav>
    );
  return (
    <nav className="desk-tabs" aria-label={t('desk.menu')}>
      {isMore && (
        <div className="desk-more" id="desk-more">
          {GROUPS.flat()
            .filter((one) => !AT_BOTTOM.includes(one))
            .map(item)}
          {own}
        </div>
      )}
      {AT_BOTTOM.map(item)}
      <button
        type="button"
        className="desk-item"
        aria-expanded={isMore}
        aria-controls="desk-more"
        onClick={() => setIsMore(!isMore)}
      >
        <Icon name="more" />
        <span>{t('desk.more')}</span>
      </button>
    </nav>
  );
}

function NavItem({
  view,
  isCurrent,
  count,
  onClick,
}: {
  view: View;
  isCurrent: boolean;
  count: Count | null;
  onClick: () => void;
}) {
  const { t } = useWords();
  const name = t(`view.${view}`);
  return (
    <Link className="desk-item" href={pathOf(view)} aria-current={isCurrent ? 'page' : undefined} title={name} onClick={onClick}>
      <Icon name={ICONS[view]} />
      <span>{name}</span>
      {count !== null && <em className={count.isWarning ? 'is-warn' : undefined}>{count.text}</em>}
    </Link>
  );
}

const ICONS: Readonly<Record<View, IconName>> = {
  overview: 'overview',
  channels: 'channels',
  sessions: 'person',
  upstreams: 'upstreams',
  alerts: 'alerts',
  reports: 'reports',
  audit: 'audit',
  console: 'console',
  access: 'access',
  nodes: 'nodes',
  settings: 'settings',
};

function useCounts(): Partial<Record<View, Count>> {
  const { format } = useWords();
  const mayRead = useRight('metrics.read');
  const { clock } = useDesk();
  const status = useAsk(
    ['status'],
    async (admin) => {
      const askedMs = wallMs();
      const answer = await readStatus(admin);
      if (answer.atMs !== null) clock.sample(askedMs, wallMs(), answer.atMs);
      return answer;
    },
    { everyMs: EVERY_MS, isWanted: mayRead },
  );
  const alerts = useAsk(['alerts', 'active'], listAlerts, { everyMs: EVERY_MS, isWanted: mayRead });
  const counts: Partial<Record<View, Count>> = {};
  if (status.kind === 'ready') {
    const { sessions, channels, feeds } = status.value;
    counts.sessions = { text: format.short(sessions), isWarning: false };
    counts.channels = { text: format.short(channels), isWarning: false };
    if (feeds.all > 0)
      counts.upstreams = { text: `${feeds.open}/${feeds.all}`, isWarning: feeds.open + feeds.paused < feeds.all };
  }
  if (alerts.kind === 'ready') {
    const open = alerts.value.alerts.filter((alert) => alert.state === 'firing' && alert.acknowledgedBy === null).length;
    if (open > 0) counts.alerts = { text: format.count(open), isWarning: true };
  }
  return counts;
}

/** Who is signed in, the pages besides the dashboard, and the way out. */
function Own({ account, hasLive, failed }: { account: Account; hasLive: boolean; failed: (sentence: string) => void }) {
  const words = useWords();
  const { t } = words;
  const { user } = useDesk();
  const signOut = useSignOut(account, failed);
  return (
    <>
      {hasLive && (
        <Link className="desk-item is-minor" href={LIVE} title={t('desk.live')}>
          <Icon name="send" />
          <span>{t('desk.live')}</span>
        </Link>
      )}
      <Link className="desk-item is-minor" href={CONNECTION_TEST} title={t('test.title')}>
        <Icon name="rotate" />
        <span>{t('test.title')}</span>
      </Link>
      <Link className="desk-item" href={ACCOUNT} title={visible(user.name)}>
        <Icon name="person" />
        <bdi>{visible(user.name)}</bdi>
        <em>{roleName(user.role, words)}</em>
      </Link>
      <button type="button" className="desk-item" onClick={() => void signOut()} title={t('menu.signOut')}>
        <Icon name="right" />
        <span>{t('menu.signOut')}</span>
      </button>
    </>
  );
}
