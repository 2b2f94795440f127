/** Where one is signed in. Everything about a device is its own claim, and is shown as text. */

import { useState } from 'react';
import type { AccountFailure, Login } from '../../client/account';
import { whyNot } from '../../components/account_words';
import { Confirm } from '../../components/Dialog';
import { Notice, Panel } from '../../components/Panel';
import { Problem } from '../../components/Problem';
import { useWords } from '../../components/words';
import { device } from '../../lib/device';
import { timeOfDay, UNKNOWN } from '../../lib/format';
import { useSignal } from '../../lib/hooks';
import type { Words } from '../../lib/i18n';
import { visible } from '../../lib/text';
import type { AccountModel } from './account_model';

type Asked = { readonly kind: 'one'; readonly login: Login } | { readonly kind: 'others' } | { readonly kind: 'all' };

export function Sessions({ model }: { model: AccountModel }) {
  const words = useWords();
  const { t } = words;
  const { value: logins, failure, readMs } = useSignal(model.logins);
  const [asked, setAsked] = useState<Asked | null>(null);
  const others = (logins ?? []).filter(({ isCurrent }) => !isCurrent);
  const retry = (
    <button type="button" className="button" onClick={() => void model.read()}>
      {t('action.retry')}
    </button>
  );

  return (
    <Panel
      title={t('logins.title')}
      scope={logins === null ? undefined : t('logins.count', { n: logins.length })}
      className="logins is-flush"
    >
      {logins === null ? (
        <div className="panel-pad">
          <Notice title={t('logins.failedTitle')} action={retry}>
            {failure !== null && whyNot(failure, words)}
          </Notice>
        </div>
      ) : (
        <>
          {failure !== null && (
            <div className="panel-pad">
              <Problem status="warn" action={retry}>
                {t('logins.stale', { cause: whyNot(failure, words), time: timeOfDay(readMs ?? 0) })}
              </Problem>
            </div>
          )}
          {logins.length === 0 ? (
            <div className="panel-pad">
              <Notice title={t('logins.emptyTitle')}>{t('logins.empty')}</Notice>
            </div>
          ) : (
            <Table logins={logins} onEnd={(login) => setAsked({ kind: 'one', login })} />
          )}
          <div className="logins-foot">
            <button type="button" className="button" disabled={others.length === 0} onClick={() => setAsked({ kind: 'others' })}>
              {t('logins.endOthers')}
            </button>
            <button type="button" className="button" onClick={() => setAsked({ kind: 'all' })}>
              {t('logins.endAll')}
            </button>
          </div>
        </>
      )}
      {asked !== null && <Question asked={asked} others={others} model={model} onClose={() => setAsked(null)} />}
    </Panel>
  );
}

function Table({ logins, onEnd }: { logins: readonly Login[]; onEnd: (login: Login) => void }) {
  const words = useWords();
  const { t, format } = words;
  const now = Date.now();
  return (
    <div className="logins-table" role="table" aria-label={t('logins.title')}>
      <div className="logins-head" role="rowgroup">
        <div role="row">
          <span role="columnheader">{t('logins.device')}</span>
          <span role="columnheader">{t('logins.since')}</span>
          <span role="columnheader">{t('logins.lastSeen')}</span>
          <span role="columnheader" className="sr-only">
            {t('logins.action')}
          </span>
        </div>
      </div>
      <div role="rowgroup">
        {logins.map((login) => {
          const { full } = device(login.device);
          const name = deviceName(login, words);
          return (
            <div role="row" key={login.id}>
              <div role="cell" className="login-device">
                <span className="login-name">
                  <bdi className="trunc" title={full}>
                    {name}
                  </bdi>
                  {login.isCurrent && <span className="chip is-info">{t('logins.current')}</span>}
                </span>
                <span className="login-more">
                  <bdi className="mono">{login.address === '' ? UNKNOWN : visible(login.address)}</bdi>
                  <span title={liveTitle(login, words)}>
                    {login.live.length === 0 ? t('logins.idle') : t('logins.live', { n: login.live.length })}
                  </span>
                </span>
              </div>
              <div role="cell" className="login-since">
                <small>{t('logins.since')}</small>
                {format.when(login.createdAtMs, now)}
              </div>
              <div role="cell" className="login-seen">
                <small>{t('logins.lastSeen')}</small>
                {login.isCurrent || login.live.length > 0 ? t('logins.now') : format.when(login.lastSeenAtMs, now)}
              </div>
              <div role="cell" className="login-end">
                {!login.isCurrent && (
                  <button
                    type="button"
                    className="button"
                    aria-label={t('logins.endThis', { device: name })}
                    onClick={() => onEnd(login)}
                  >
                    {t('logins.end')}
                  </button>
                )}
              </div>
            </div>
          );
        })}
      </div>
    </div>
  );
}

function deviceName(login: Login, { t }: Words): string {
  const { browser, system, full } = device(login.device);
  if (browser !== null && system !== null) return t('logins.browserOn', { browser, system });
  if (browser ?? system) return browser ?? system ?? '';
  return full === '' ? t('logins.unknownDevice') : full;
}

function liveTitle(login: Login, { format }: Words): string {
  const now = Date.now();
  return login.live
    .map(({ client, transport, address, sinceMs }) => visible(`${transport} ${address} ${format.when(sinceMs, now)} ${client}`))
    .join('\n');
}

function Question({
  asked,
  others,
  model,
  onClose,
}: {
  asked: Asked;
  others: readonly Login[];
  model: AccountModel;
  onClose: () => void;
}) {
  const words = useWords();
  const { t } = words;
  const [isBusy, setIsBusy] = useState(false);
  const [failure, setFailure] = useState<AccountFailure | null>(null);

  const confirm = async () => {
    setIsBusy(true);
    const failed = await carryOut(asked, others, model);
    setIsBusy(false);
    setFailure(failed);
    void model.read();
    if (failed === null) onClose();
  };
  const { title, text, verb } = wording(asked, others, words);
  return (
    <Confirm
      title={title}
      verb={verb}
      isBusy={isBusy}
      problem={failure !== null && <Problem>{t('logins.endFailed', { cause: whyNot(failure, words) })}</Problem>}
      onConfirm={() => void confirm()}
      onCancel={onClose}
    >
      {text}
    </Confirm>
  );
}

async function carryOut(asked: Asked, others: readonly Login[], { account }: AccountModel): Promise<AccountFailure | null> {
  if (asked.kind === 'all') return account.signOutEverywhere();
  for (const login of asked.kind === 'one' ? [asked.login] : others) {
    const outcome = await account.endLogin(login.id);
    // One that is gone already is what was wanted.
    if (!outcome.ok && !(outcome.failure.kind === 'refused' && outcome.failure.status === 404)) return outcome.failure;
  }
  return null;
}

function wording(asked: Asked, others: readonly Login[], words: Words): { title: string; text: string; verb: string } {
  const { t } = words;
  switch (asked.kind) {
    case 'one':
      return {
        title: t('logins.ask.one', { device: deviceName(asked.login, words) }),
        text: asked.login.live.length === 0 ? t('logins.effect.idle') : t('logins.effect.one', { n: asked.login.live.length }),
        verb: t('logins.end'),
      };
    case 'others':
      return {
        title: t('logins.ask.others', { n: others.length }),
        text: t('logins.effect.others'),
        verb: t('logins.verb.others'),
      };
    case 'all':
      return { title: t('logins.ask.all'), text: t('logins.effect.all'), verb: t('logins.verb.all') };
  }
}
