/** Which page stands at which address, as whom it connects, and what is over all of them. */

import { lazy, type ReactNode, Suspense, useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { Account } from '../client/account';
import { readConfig } from '../client/config';
import type { Notice } from '../client/notice';
import { type PageConfig, readPage } from '../client/page';
import { browserMemory, browserTabs } from '../client/tabs';
import { endedReason } from '../components/account_words';
import { Link } from '../components/Link';
import { useWords } from '../components/words';
import { AccountPage } from '../features/account/AccountPage';
import { UserMenu } from '../features/account/UserMenu';
import { ConnectionTestPage } from '../features/connection_test/ConnectionTestPage';
import { LivePage } from '../features/live/LivePage';
import { LoginPage } from '../features/login/LoginPage';
import { NoticeCard, Notices } from '../features/notices/Notices';
import { NoticeList } from '../features/notices/notice_list';
import { timeOfDay } from '../lib/format';
import { useSignal } from '../lib/hooks';
import { ACCOUNT, CONNECTION_TEST, LIVE, LOGIN, loginPath, OVERVIEW, placeOf, returnPath, router } from '../lib/router';
import { Loading, NoAnswer } from './Loading';
import { useReading } from './reading';

/** Visitors never load it. */
const Dashboard = lazy(() => import('./dashboard/Dashboard'));

export function App() {
  const { language } = useWords();
  const page = useReading(readPage);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  switch (page.kind) {
    case 'loading':
      return <Loading isSlow={page.isSlow} />;
    case 'failed':
      return <NoAnswer onRetry={page.retry} />;
    case 'ready':
      return <Pages page={page.value} />;
  }
}

function Pages({ page }: { page: PageConfig }) {
  const hasAccounts = page.auth !== null;
  const [account] = useState(() => new Account(page.auth ?? '', browserTabs(), browserMemory));
  const [notices] = useState(() => new NoticeList());
  const noticed = useCallback((notice: Notice) => notices.add(notice, Date.now()), [notices]);
  const path = useSyncExternalStore(router.subscribe, router.get);
  const state = useSignal(account.state);
  const failed = useCallback((text: string) => notices.add({ level: 'warning', text }, Date.now()), [notices]);
  useTitle(path);

  // Only where there is something to find out, the hub is asked: a visitor without a login costs it nothing.
  const isAsking = state.kind === 'asking';
  const place = hasAccounts ? placeOf(path) : null;
  const needsLogin = path === ACCOUNT || place !== null;
  useEffect(() => {
    if (!hasAccounts) account.assumeSignedOut();
    else if (isAsking && !needsLogin) account.assumeSignedOut();
    else if (isAsking) account.get().catch(() => {});
  }, [hasAccounts, account, isAsking, needsLogin]);

  const menu = hasAccounts ? <UserMenu account={account} state={state} failed={failed} /> : null;
  return (
    <>
      {content()}
      <Notices list={notices} urgent={path === LOGIN ? null : <EndedCard account={account} />} />
    </>
  );

  function content(): ReactNode {
    if (path === LOGIN && hasAccounts) {
      const next = () => router.go(returnPath(location.search, location.origin, OVERVIEW), 'replace');
      return <LoginPage account={account} hasLive={page.hasLive} onSignedIn={next} />;
    }
    if (needsLogin && hasAccounts)
      switch (state.kind) {
        case 'asking':
          return <Loading isSlow={false} />;
        case 'unanswered':
          return <NoAnswer onRetry={() => account.get().catch(() => {})} />;
        case 'signed-out':
        case 'signing-in':
          return (
            <Redirect to={state.kind === 'signed-out' && state.reason === 'logout' ? LOGIN : loginPath(path + location.search)} />
          );
        case 'signed-in':
          if (place !== null)
            return (
              <Suspense fallback={<Loading isSlow={false} />}>
                <Dashboard
                  key={state.user.name}
                  account={account}
                  user={state.user}
                  websocketUrl={page.websocketUrl}
                  hasLive={page.hasLive}
                  place={place}
                  noticed={noticed}
                  failed={failed}
                />
              </Suspense>
            );
          return (
            <AccountPage
              key={state.user.name}
              account={account}
              websocketUrl={page.websocketUrl}
              hasLive={page.hasLive}
              noticed={noticed}
              menu={menu}
            />
          );
      }
    if (path === CONNECTION_TEST) return <ConnectionTestPage home={page.hasLive ? LIVE : OVERVIEW} menu={menu} />;
    if (!page.hasLive) return <Redirect to={OVERVIEW} />;
    if (state.kind === 'asking') return <Loading isSlow={false} />;
    const user = state.kind === 'signed-in' ? state.user.name : null;
    return <Live key={user} tokens={user === null ? null : account} noticed={noticed} menu={menu} />;
  }
}

function Live({ tokens, noticed, menu }: { tokens: Account | null; noticed: (notice: Notice) => void; menu: ReactNode }) {
  const config = useReading(readConfig);
  switch (config.kind) {
    case 'loading':
      return <Loading isSlow={config.isSlow} />;
    case 'failed':
      return <NoAnswer onRetry={config.retry} />;
    case 'ready':
      return <LivePage config={config.value} tokens={tokens} noticed={noticed} menu={menu} />;
  }
}

/** A login that ended by itself or by others is news, wherever one is; one's own signing out is not. */
function EndedCard({ account }: { account: Account }) {
  const words = useWords();
  const { t } = words;
  const state = useSignal(account.state);
  const [seen, setSeen] = useState<unknown>(null);
  const [endedMs, setEndedMs] = useState(0);
  const isNews = state.kind === 'signed-out' && state.reason !== 'none' && state.reason !== 'logout';
  useEffect(() => {
    if (isNews) setEndedMs(Date.now());
  }, [isNews]);
  if (!isNews || seen === state) return null;
  return (
    <NoticeCard
      level={state.reason === 'replayed' ? 'critical' : 'warning'}
      title={t('notice.session', { time: timeOfDay(endedMs === 0 ? Date.now() : endedMs) })}
      action={
        <Link className="button" href={loginPath(location.pathname + location.search)}>
          {t('menu.signIn')}
        </Link>
      }
      onDismiss={() => setSeen(state)}
    >
      {t('bar.ended', { reason: endedReason(state.reason, words) })}
    </NoticeCard>
  );
}

function Redirect({ to }: { to: string }) {
  useEffect(() => router.go(to, 'replace'), [to]);
  return null;
}

const TITLES: Readonly<Record<string, 'page.title' | 'login.pageTitle' | 'account.pageTitle' | 'test.pageTitle'>> = {
  [LIVE]: 'page.title',
  [LOGIN]: 'login.pageTitle',
  [ACCOUNT]: 'account.pageTitle',
  [CONNECTION_TEST]: 'test.pageTitle',
};

/** On another page the focus is at its beginning, and not where a link was that is gone. */
function useTitle(path: string): void {
  const { t } = useWords();
  const before = useRef(path);
  useEffect(() => {
    // The dashboard says which of its things one looks at.
    if (placeOf(path) === null) document.title = t(TITLES[path] ?? 'page.title');
    if (before.current === path) return;
    before.current = path;
    // The login page and the account page know better where to begin.
    if (path === LIVE || path === CONNECTION_TEST) document.getElementById('main')?.focus();
  }, [path, t]);
}
