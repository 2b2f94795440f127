/** The account page: who am I here, where am I signed in, and a new password. */

import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { Account, Me } from '../../client/account';
import { Hub, type HubOptions } from '../../client/hub';
import { roleName, whyNot } from '../../components/account_words';
import { Link } from '../../components/Link';
import { Notice, Panel, Skeleton } from '../../components/Panel';
import { watchQuiet } from '../../components/quiet';
import { StatusBar, StatusMark, useStatus, type Watched } from '../../components/Status';
import { TopBar } from '../../components/TopBar';
import { useWords } from '../../components/words';
import { useSignal } from '../../lib/hooks';
import { LIVE } from '../../lib/router';
import { visible } from '../../lib/text';
import { AccountModel, type Reading } from './account_model';
import { Password } from './Password';
import { Rights } from './Rights';
import { Sessions } from './Sessions';
import './account.css';

interface Props {
  readonly account: Account;
  readonly websocketUrl: string | null;
  readonly hasLive: boolean;
  readonly noticed: HubOptions['noticed'];
  readonly menu: ReactNode;
}

export function AccountPage({ account, websocketUrl, hasLive, noticed, menu }: Props) {
  const { t } = useWords();
  const [model, setModel] = useState<AccountModel | null>(null);
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    const made = new AccountModel(account);
    made.start();
    setModel(made);
    return () => made.stop();
  }, [account]);
  const watched = useConnection(account, websocketUrl, noticed);
  useReadOnConnect(model, watched);

  useEffect(() => {
    main.current?.focus();
  }, []);

  return (
    <>
      <TopBar menu={menu}>{watched !== null && <Connection watched={watched} />}</TopBar>
      <main id="main" className="page account" tabIndex={-1} ref={main}>
        <div className="account-head">
          <h1>{t('account.title')}</h1>
          {hasLive && (
            <Link className="account-live" href={LIVE}>
              {t('login.live')}
            </Link>
          )}
        </div>
        {model !== null && <Content model={model} />}
      </main>
    </>
  );
}

function Connection({ watched }: { watched: Watched }) {
  const said = useStatus(watched);
  return (
    <>
      <StatusMark said={said} />
      <StatusBar said={said} watched={watched} />
    </>
  );
}

function Content({ model }: { model: AccountModel }) {
  const { t } = useWords();
  const me = useSignal(model.me);
  const logins = useSignal(model.logins);
  // All at once: how long the panels are is known when they are read, and none may push those below it away.
  if (isAwaited(me) || isAwaited(logins))
    return (
      <Panel title={t('account.you')} className="account-wait">
        <Skeleton lines={[60, 75, 90, 60, 75]} />
        <p className="t2 account-slow">{me.isSlow || logins.isSlow ? t('account.slow') : ''}</p>
      </Panel>
    );
  return (
    <div className="account-grid">
      <WhoPanel me={me} onRetry={() => void model.read()} />
      <div className="account-column">
        <Sessions model={model} />
        <Password account={model.account} name={me.value?.name ?? ''} onChanged={() => void model.read()} />
      </div>
    </div>
  );
}

function isAwaited({ value, failure }: Reading<unknown>): boolean {
  return value === null && failure === null;
}

function WhoPanel({ me: reading, onRetry }: { me: Reading<Me>; onRetry: () => void }) {
  const words = useWords();
  const { t, format } = words;
  const me = reading.value;
  if (me === null)
    return (
      <Panel title={t('account.you')} className="account-you">
        <Notice
          title={t('account.failedTitle')}
          action={
            <button type="button" className="button" onClick={onRetry}>
              {t('action.retry')}
            </button>
          }
        >
          {reading.failure !== null && whyNot(reading.failure, words)}
        </Notice>
      </Panel>
    );
  const now = Date.now();
  const time = (ms: number | null) => (
    <time dateTime={iso(ms)} title={iso(ms)}>
      {format.when(ms, now)}
    </time>
  );
  return (
    <Panel title={t('account.you')} className="account-you">
      <dl className="facts">
        <dt>{t('account.name')}</dt>
        <dd dir="auto">{visible(me.name)}</dd>
        <dt>{t('account.role')}</dt>
        <dd>{roleName(me.role, words)}</dd>
        <dt>{t('account.since')}</dt>
        <dd>{time(me.createdAtMs)}</dd>
        <dt>{t('account.passwordSince')}</dt>
        <dd>{time(me.passwordChangedAtMs)}</dd>
      </dl>
      <Rights rights={me.rights} />
    </Panel>
  );
}

export function iso(ms: number | null): string | undefined {
  return ms === null || !(Math.abs(ms) <= 8.64e15) ? undefined : new Date(ms).toISOString();
}

/** A connection that was just made is not in what was read before, and after one that was lost much may have changed. */
function useReadOnConnect(model: AccountModel | null, watched: Watched | null): void {
  useEffect(() => {
    if (model === null || watched === null) return;
    return watched.hub.state.subscribe(() => {
      if (watched.hub.state.get().kind === 'connected') void model.read();
    });
  }, [model, watched]);
}

/** This page needs no channel; it is connected to hear what operators tell everybody, and at once when its login ends. */
function useConnection(account: Account, url: string | null, noticed: HubOptions['noticed']): Watched | null {
  const [watched, setWatched] = useState<Watched | null>(null);
  useEffect(() => {
    if (url === null) return;
    const hub = new Hub({ url, tokens: account, noticed, returned: () => {} });
    const { watched, stop } = watchQuiet(hub, () => {});
    setWatched(watched);
    return stop;
  }, [account, url, noticed]);
  return watched;
}
