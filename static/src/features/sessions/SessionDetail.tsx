import { useEffect, useState } from 'react';
import {
  type SessionDetail as Detail,
  insideSession,
  kickSession,
  type SessionRow,
  showSession,
} from '../../client/admin/sessions';
import { NOT_FOUND } from '../../client/codes';
import { Ask } from '../../components/dashboard/Ask';
import { Reading, useAsk, useRight, useTell } from '../../components/dashboard/desk';
import { Facts, isTyping, When } from '../../components/dashboard/Tools';
import { Trace } from '../../components/dashboard/Trace';
import { Icon } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Notice, Panel } from '../../components/Panel';
import { useWords } from '../../components/words';
import { device } from '../../lib/device';
import { useNow } from '../../lib/hooks';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';
import { UserName } from './Sessions';
import { transportName } from './session_words';

const EVERY_MS = 3_000;
/** More than one message or two: it does not take what it is sent as fast as it comes. */
const BEHIND_BYTES = 64 * 1024;

export function SessionDetail({ id }: { id: string }) {
  const { t } = useWords();
  const asked = useAsk(['sessions', 'one', id], (admin) => showSession(admin, id), { everyMs: EVERY_MS });
  const back = () => router.go(pathOf('sessions') + location.search);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !isTyping(event) && document.querySelector('dialog[open]') === null) back();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  });
  const isGone =
    asked.kind === 'ready' ? asked.error?.code === NOT_FOUND : asked.kind === 'failed' && asked.error.code === NOT_FOUND;
  if (isGone && asked.kind === 'failed')
    return (
      <div className="detail">
        <section className="panel" aria-label={t('session.label')}>
          <Notice
            title={t('session.goneTitle')}
            action={
              <Link className="button" href={pathOf('sessions') + location.search}>
                {t('session.all')}
              </Link>
            }
          >
            {t('session.gone')}
          </Notice>
        </section>
      </div>
    );
  return (
    <div className="detail">
      <Reading asked={asked} title={t('session.failed')} right="sessions.read">
        {(session) => <Known session={session} isGone={isGone === true} onClose={back} />}
      </Reading>
    </div>
  );
}

function Known({ session, isGone, onClose }: { session: Detail; isGone: boolean; onClose: () => void }) {
  const words = useWords();
  const { t, format } = words;
  const now = useNow();
  const [isKicking, setIsKicking] = useState(false);
  const mayKick = useRight('sessions.kick');
  const mayTrace = useRight('debug.trace');
  const { browser, system, full } = device(session.device);
  const agent = [browser, system].filter((part) => part !== null).join(', ');
  return (
    <>
      <section className="panel" aria-label={t('session.label')}>
        <div className="detail-head">
          <div className="detail-name">
            <h2>
              <UserName user={session.user} />
            </h2>
            <p className="mono">{session.id}</p>
          </div>
          <button
            type="button"
            className="button is-plain-danger"
            disabled={!mayKick || isGone}
            title={mayKick ? undefined : t('session.mayNotKick')}
            onClick={() => setIsKicking(true)}
          >
            {t('session.kick')}
          </button>
          <button type="button" className="button is-quiet is-square" aria-label={t('action.close')} onClick={onClose}>
            <Icon name="close" />
          </button>
        </div>
        {isGone && (
          <p className="is-warn-text" role="status">
            {t('session.left')}
          </p>
        )}
        <hr className="rule" />
        <Facts
          rows={[
            [
              t('session.connected'),
              <>
                <When ms={session.sinceMs} fine />
                {session.sinceMs !== null && t('session.ago', { age: format.age(now - session.sinceMs) })}
              </>,
            ],
            [
              t('session.through'),
              t('session.throughText', { transport: transportName(session.transport, words), codec: session.codec }),
            ],
            [
              t('session.from'),
              <span key="from" title={full}>
                {[session.address, agent].filter((part) => part !== '').join(', ')}
              </span>,
            ],
            session.lastSeenMs === null
              ? null
              : [t('sessions.heard'), t('session.agoOnly', { age: format.age(Math.max(0, now - session.lastSeenMs)) })],
            session.waitingBytes === null
              ? null
              : [
                  t('session.waiting'),
                  <span key="waiting" className={session.waitingBytes > BEHIND_BYTES ? 'is-warn-text' : undefined}>
                    {session.waitingBytes === 0 ? t('session.nothingWaits') : format.bytes(session.waitingBytes)}
                  </span>,
                ],
            session.lastPingMs === null
              ? null
              : [
                  t('session.ping'),
                  <span key="ping" className={session.isPongDue ? 'is-warn-text' : undefined}>
                    {session.roundTripMs === null
                      ? t('session.pinged', { age: format.age(Math.max(0, now - session.lastPingMs)) })
                      : t('session.answered', {
                          time: format.latency(session.roundTripMs),
                          age: format.age(Math.max(0, now - session.lastPingMs)),
                        })}
                  </span>,
                ],
            [
              t('session.token'),
              session.expiresAtMs === null
                ? t('session.noEnd')
                : t('session.ends', { age: format.age(Math.max(0, session.expiresAtMs - now)) }),
            ],
            session.role === null ? null : [t('account.role'), visible(session.role)],
            session.token === null
              ? null
              : [
                  t('session.tokenId'),
                  <span key="jti" className="mono">
                    {visible(session.token)}
                  </span>,
                ],
          ]}
        />
      </section>
      <Subscriptions session={session} />
      {mayTrace && !isGone && <Trace target={{ session: session.id }} />}
      {isKicking && <Kick session={session} onClose={() => setIsKicking(false)} />}
    </>
  );
}

/** What it is subscribed to stands inside it, and looking there is a right of its own. */
function Subscriptions({ session }: { session: SessionRow }) {
  const { t } = useWords();
  const mayLook = useRight('debug.read');
  const asked = useAsk(['sessions', 'inside', session.id], (admin) => insideSession(admin, session.id), {
    everyMs: EVERY_MS,
    isWanted: mayLook,
  });
  if (!mayLook) return null;
  return (
    <Panel title={t('sessions.channels')} scope={asked.kind === 'ready' ? String(asked.value.subscriptionsInAll) : undefined}>
      <Reading asked={asked} title={t('session.insideFailed')} right="debug.read" lines={[75, 60]}>
        {(inside) => (
          <>
            {inside.isPongDue && <p className="is-warn-text">{t('session.pongDue')}</p>}
            {inside.subscriptions.length === 0 ? (
              <p className="t3">{t('session.noChannels')}</p>
            ) : (
              <ul className="lines session-channels">
                {inside.subscriptions.map(({ channel, isServerSide }) => (
                  <li key={channel}>
                    <Link className="grow mono" href={pathOf('channels', channel)} title={visible(channel)}>
                      <bdi>{visible(channel)}</bdi>
                    </Link>
                    {isServerSide && <span className="chip">{t('session.serverSide')}</span>}
                  </li>
                ))}
              </ul>
            )}
            {inside.subscriptionsInAll > inside.subscriptions.length && (
              <p className="t3">{t('session.moreChannels', { n: inside.subscriptionsInAll - inside.subscriptions.length })}</p>
            )}
          </>
        )}
      </Reading>
    </Panel>
  );
}

function Kick({ session, onClose }: { session: SessionRow; onClose: () => void }) {
  const { t } = useWords();
  const [reason, setReason] = useState('');
  const name = session.user === '' ? t('session.anonymous') : visible(session.user);
  const kick = useTell((admin, text: string) => kickSession(admin, session.id, text), {
    changes: [['sessions'], ['status']],
    done: () => t('session.kicked', { name }),
    onDone: onClose,
  });
  return (
    <Ask
      title={t('session.kickTitle', { name })}
      verb={t('session.kickVerb')}
      isDangerous
      isBusy={kick.isBusy}
      error={kick.error}
      onDone={() => kick.run(reason.trim())}
      onClose={onClose}
    >
      <p>{t('session.kickText')}</p>
      <div className="form">
        <div className="field">
          <label htmlFor="kick-reason">{t('session.kickReason')}</label>
          {/* A close frame has room for 123 bytes (RFC 6455, 5.5). */}
          <input
            id="kick-reason"
            className="input"
            value={reason}
            maxLength={100}
            onChange={(event) => setReason(event.target.value)}
          />
        </div>
      </div>
    </Ask>
  );
}
