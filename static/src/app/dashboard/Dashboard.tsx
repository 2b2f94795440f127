/**
 * The dashboard: one connection, one memory of answers, and around each view the menu, the top bar and what lies over the page. A view is
 * loaded when it is gone to. Deliberately absent: what a view shows; and a second way to the hub than the commands for operators.
 */

import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { type ComponentType, lazy, Suspense, useEffect, useMemo, useRef, useState } from 'react';
import type { Account, User } from '../../client/account';
import type { HubOptions } from '../../client/hub';
import { type Desk, DeskContext } from '../../components/dashboard/desk';
import { SettingsKeeper } from '../../components/dashboard/settings_keeper';
import { Notice, NoticeLevel, Skeleton } from '../../components/Panel';
import type { Watched } from '../../components/Status';
import { useWords } from '../../components/words';
import { preferences } from '../../lib/preferences';
import type { Place, View } from '../../lib/router';
import { visible } from '../../lib/text';
import { Bar } from './Bar';
import { useConnection, useRights } from './connection';
import { Keys, useKeys } from './Keys';
import { Nav } from './Nav';
import { Palette } from './Palette';
import { Toasts, useToasts } from './Toasts';
import '../../components/dashboard/dashboard.css';

/** An answer that is not asked for any more is kept this long, so that going back shows at once what was there. */
const KEPT_MS = 5 * 60_000;

const VIEW: Readonly<Record<View, ComponentType<{ readonly thing: string | null }>>> = {
  overview: lazy(() => import('../../features/overview/Overview')),
  channels: lazy(() => import('../../features/channels/Channels')),
  sessions: lazy(() => import('../../features/sessions/Sessions')),
  upstreams: lazy(() => import('../../features/upstreams/Upstreams')),
  alerts: lazy(() => import('../../features/alerts/Alerts')),
  reports: lazy(() => import('../../features/reports/Reports')),
  audit: lazy(() => import('../../features/audit/Audit')),
  console: lazy(() => import('../../features/console/Console')),
  access: lazy(() => import('../../features/access/Access')),
  nodes: lazy(() => import('../../features/nodes/Nodes')),
  settings: lazy(() => import('../../features/settings/Settings')),
};

interface Props {
  readonly account: Account;
  readonly user: User;
  readonly websocketUrl: string | null;
  readonly hasLive: boolean;
  readonly place: Place;
  readonly noticed: HubOptions['noticed'];
  /** Hears why signing out did not work. */
  readonly failed: (sentence: string) => void;
}

export default function Dashboard(props: Props) {
  const { t } = useWords();
  const { account, user, websocketUrl, noticed } = props;
  const [queries] = useState(
    () =>
      new QueryClient({
        // Whether there is a connection is known better than what the browser thinks of the network.
        defaultOptions: {
          queries: { retry: false, gcTime: KEPT_MS, networkMode: 'always' },
          mutations: { networkMode: 'always' },
        },
      }),
  );
  const connected = useConnection({ account, url: websocketUrl, noticed, queries });
  const rights = useRights(account, connected?.watched.hub ?? null);
  const toasts = useToasts();
  useEffect(() => preferences.apply(), []);
  const keeper = useMemo(
    () => (connected === null ? null : new SettingsKeeper(connected.watched.hub, connected.admin, user.name)),
    [connected, user.name],
  );
  useEffect(() => {
    keeper?.start();
    return () => keeper?.stop();
  }, [keeper]);
  const desk = useMemo<Desk | null>(
    () =>
      connected === null || keeper === null
        ? null
        : {
            hub: connected.watched.hub,
            admin: connected.admin,
            clock: connected.clock,
            kept: keeper.state,
            user,
            rights,
            say: toasts.say,
          },
    [connected, keeper, user, rights, toasts.say],
  );
  if (websocketUrl === null)
    return (
      <main className="whole">
        <Notice title={t('desk.noWebsocketTitle')}>{t('desk.noWebsocket')}</Notice>
      </main>
    );
  if (connected === null || desk === null) return null;
  return (
    <QueryClientProvider client={queries}>
      <DeskContext value={desk}>
        <NoticeLevel value="h2">
          <Frame {...props} watched={connected.watched} />
        </NoticeLevel>
        <Toasts toasts={toasts} />
      </DeskContext>
    </QueryClientProvider>
  );
}

function Frame({ account, place, hasLive, failed, watched }: Props & { watched: Watched }) {
  const { t } = useWords();
  const main = useRef<HTMLElement>(null);
  const { view, thing } = place;
  const { open, setOpen } = useKeys();
  const title = t(`view.${view}`);
  // Rules are the only things that alerts have, and a new one has no name yet.
  const named = thing === 'rules/' ? t('alerts.newRule') : (thing?.replace(/^rules\//, '') ?? null);
  useEffect(() => {
    document.title =
      named === null ? t('desk.title', { view: title }) : t('desk.titleOf', { view: title, thing: visible(named) });
  }, [t, title, named]);
  // Another view begins at its beginning, for those too who do not see it.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the view is what it is about.
  useEffect(() => void main.current?.focus({ preventScroll: true }), [view]);
  const Shown = VIEW[view];
  return (
    <div className="desk">
      <a className="skip" href="#main">
        {t('page.skip')}
      </a>
      <Nav view={view} account={account} hasLive={hasLive} failed={failed} />
      <div className="desk-main">
        <Bar view={view} thing={named} watched={watched} onSearch={() => setOpen('palette')} />
        <main id="main" ref={main} className="desk-page" data-view={view} tabIndex={-1}>
          <Suspense fallback={<Skeleton lines={[60, 90, 75, 90, 60]} />}>
            <Shown key={view} thing={thing} />
          </Suspense>
        </main>
      </div>
      {open === 'palette' && <Palette onClose={() => setOpen(null)} />}
      {open === 'keys' && <Keys onClose={() => setOpen(null)} />}
    </div>
  );
}
