/** What flows here, who gets it, can a client that was away catch up? */

import { useEffect, useMemo, useState } from 'react';
import { type ChannelDetail, publishTo, purgeHistory, showChannel } from '../../client/admin/channels';
import { count, json } from '../../client/parse';
import { Ask, Sure } from '../../components/dashboard/Ask';
import { Reading, useAsk, useDesk, useRight, useTell, useWhy } from '../../components/dashboard/desk';
import { TimeChart } from '../../components/dashboard/TimeChart';
import { FigureOf, Figures } from '../../components/dashboard/Tools';
import { Trace } from '../../components/dashboard/Trace';
import { Icon } from '../../components/Icon';
import { Link } from '../../components/Link';
import { ChosenChannel } from '../../components/messages/chosen_channel';
import { MessageList } from '../../components/messages/MessageList';
import { Panel } from '../../components/Panel';
import { Problem } from '../../components/Problem';
import { Tabs } from '../../components/Tabs';
import { useWords } from '../../components/words';
import { UNKNOWN } from '../../lib/format';
import { useSignal } from '../../lib/hooks';
import { indented } from '../../lib/payload';
import { pathOf } from '../../lib/router';
import { visible } from '../../lib/text';
import { namespaceOf } from './namespace';

const EVERY_MS = 2_000;
/** Beyond so many listeners a publication is asked about twice. */
const MANY = 1_000;
/** Of the hub's own limit for one client message. */
const PAYLOAD_MAX = 64 * 1024;

export function ChannelView({ name }: { name: string }) {
  const { t } = useWords();
  const asked = useAsk(['channels', 'one', name], (admin) => showChannel(admin, name), { everyMs: EVERY_MS });
  return (
    <Reading asked={asked} title={t('chan.failed', { name: visible(name) })} right="channels.read">
      {(detail) => <Known detail={detail} again={asked.again} />}
    </Reading>
  );
}

function Known({ detail, again }: { detail: ChannelDetail; again: () => void }) {
  const { t, format } = useWords();
  const { hub, clock } = useDesk();
  const [isPurging, setIsPurging] = useState(false);
  const mayPurge = useRight('history.purge');
  const mayTrace = useRight('debug.trace');
  const { name, options, history } = detail;
  const channel = useMemo(() => new ChosenChannel(name, hub, clock), [name, hub, clock]);
  useEffect(() => {
    channel.open();
    return () => channel.close();
  }, [channel]);
  // Looking makes one subscriber more: said at once, and not at the next turn.
  const isSubscribed = useSignal(channel.state).kind === 'subscribed';
  useEffect(() => {
    if (isSubscribed) again();
  }, [isSubscribed, again]);
  const namespace = namespaceOf(name);
  const ttl = ttlOf(options);
  const chips = [
    namespace === '' ? null : t('chan.namespace', { name: visible(namespace) }),
    history === null ? null : t('chan.hasHistory'),
    detail.present === null ? null : t('chan.hasPresence'),
    options['force_recovery'] === true ? t('chan.hasRecovery') : null,
  ].filter((chip) => chip !== null);
  return (
    <>
      <div className="head">
        <div>
          <h2>
            <bdi className="mono">{visible(name)}</bdi>
            {chips.map((chip) => (
              <span key={chip} className="chip">
                {chip}
              </span>
            ))}
          </h2>
          <p>{detail.subscribers === 0 ? t('chan.nobody') : t('chan.listens', { n: detail.subscribers })}</p>
        </div>
        <div className="head-actions">
          {history !== null && (
            <button type="button" className="button is-plain-danger" disabled={!mayPurge} onClick={() => setIsPurging(true)}>
              {t('chan.purge')}
            </button>
          )}
        </div>
      </div>
      <Figures>
        <FigureOf label={t('chans.subscribers')} value={format.short(detail.subscribers)} />
        <FigureOf label={t('chan.published')} value={format.perSecond(detail.rate)} unit={t('unit.msgs')} />
        <FigureOf label={t('chan.delivered')} value={format.perSecond(detail.rate * detail.subscribers)} unit={t('unit.msgs')} />
        <FigureOf
          label={t('chans.history')}
          value={history === null ? UNKNOWN : format.count(history.publications)}
          unit={
            history === null
              ? t('chan.noHistory')
              : ttl === null
                ? format.bytes(history.bytes)
                : t('chan.historyOf', { size: format.bytes(history.bytes), ttl: format.age(ttl) })
          }
        />
        <FigureOf
          label={t('chan.position')}
          value={history?.offset == null ? UNKNOWN : format.count(history.offset)}
          unit={history === null || history.epoch === '' ? '' : t('chan.epoch', { epoch: visible(history.epoch) })}
        />
      </Figures>
      <div className="columns">
        <div>
          <Rate detail={detail} />
          <section className="panel is-flush channel-live" aria-label={t('chan.live')}>
            <Tabs
              label={t('chan.parts')}
              tabs={[
                {
                  id: 'live',
                  label: t('chan.live'),
                  content: (
                    <div className="messages-inner">
                      <MessageList channel={channel} />
                    </div>
                  ),
                },
                { id: 'options', label: t('chan.options'), content: <Options detail={detail} /> },
              ]}
            />
          </section>
          {mayTrace && <Trace target={{ channel: name }} />}
        </div>
        <div>
          <Publish detail={detail} />
          <Here detail={detail} channel={channel} />
        </div>
      </div>
      {isPurging && <Purge detail={detail} onClose={() => setIsPurging(false)} />}
    </>
  );
}

/** The last minute, as the channel's own topic counted it. */
function Rate({ detail: { curve } }: { detail: ChannelDetail }) {
  const { t, format } = useWords();
  const { clock } = useDesk();
  if (curve === null || curve.rates.length < 2) return null;
  const stepS = curve.stepMs / 1000;
  const toS = Math.floor(clock.now() / curve.stepMs) * stepS;
  const fromS = toS - (curve.rates.length - 1) * stepS;
  return (
    <Panel title={t('chan.rate')} scope={t('chan.lastMinute')}>
      <TimeChart
        times={curve.rates.map((_, at) => fromS + at * stepS)}
        fromS={fromS}
        toS={toS}
        stepS={stepS}
        label={t('chan.rate')}
        kind="area"
        height={112}
        withLegend={false}
        format={format.perSecond}
        tick={format.short}
        lines={[{ label: t('chan.rate'), colour: '--series-2', values: curve.rates }]}
      />
    </Panel>
  );
}

/** How long publications are kept, ms. */
function ttlOf(options: ChannelDetail['options']): number | null {
  const ttl = options['history_ttl'];
  const match = typeof ttl === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(ttl) : null;
  if (match === null) return count(ttl);
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] ?? ''] ?? 0;
  const ms = Number(match[1]) * unit;
  return ms > 0 ? ms : null;
}

function Options({ detail: { options } }: { detail: ChannelDetail }) {
  const { t } = useWords();
  const set = Object.entries(options).filter(
    ([, value]) => value !== false && value !== 0 && value !== '' && value !== null && JSON.stringify(value) !== '[]',
  );
  return (
    <div className="panel-pad channel-options">
      {set.length === 0 ? (
        <p className="t3">{t('chan.noOptions')}</p>
      ) : (
        <dl>
          {set.map(([name, value]) => (
            <div key={name}>
              <dt className="mono">{name}</dt>
              <dd className="mono">{visible(typeof value === 'string' ? value : JSON.stringify(value))}</dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}

function Publish({ detail: { name, subscribers } }: { detail: ChannelDetail }) {
  const { t, format } = useWords();
  const { user } = useDesk();
  const why = useWhy();
  const mayPublish = useRight('broadcast');
  const [typed, setTyped] = useState('{\n  "text": "hello"\n}');
  const [isAsking, setIsAsking] = useState(false);
  const data = json(typed);
  const bytes = new TextEncoder().encode(typed).length;
  const isValid = data !== undefined && bytes <= PAYLOAD_MAX;
  const publish = useTell((admin, value: unknown) => publishTo(admin, name, value), {
    changes: [['channels', 'one', name]],
    done: (_, { offset }) => (offset === null ? t('publish.done') : t('publish.doneAt', { offset: format.count(offset) })),
    onDone: () => setIsAsking(false),
  });
  const isOwn = name.startsWith('$admin') || name.startsWith('$metrics');
  return (
    <Panel title={t('publish.title')} scope={t('publish.scope', { name: visible(user.name) })}>
      {!mayPublish || isOwn ? (
        <p className="t2">{t(isOwn ? 'publish.own' : 'publish.denied')}</p>
      ) : (
        <form
          className="form"
          onSubmit={(event) => {
            event.preventDefault();
            if (!isValid || publish.isBusy) return;
            if (subscribers > MANY) setIsAsking(true);
            else publish.run(data);
          }}
        >
          <textarea
            className="input"
            rows={5}
            aria-label={t('publish.data')}
            spellCheck={false}
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
          />
          {publish.error !== null && !isAsking && <Problem>{why(publish.error)}</Problem>}
          <div className="form-row">
            <span className={isValid ? 'hint is-ok-text' : 'hint is-warn-text'} role="status">
              {isValid
                ? t('publish.valid', { size: format.bytes(bytes) })
                : t(bytes > PAYLOAD_MAX ? 'publish.tooLong' : 'publish.invalid')}
            </span>
            <button
              type="button"
              className="button is-quiet is-end"
              disabled={!isValid}
              onClick={() => setTyped(indented(typed))}
            >
              {t('publish.format')}
            </button>
            <button type="submit" className="button is-primary" disabled={!isValid || publish.isBusy}>
              <Icon name="send" />
              {t('publish.to', { n: subscribers })}
            </button>
          </div>
        </form>
      )}
      {isAsking && (
        <Ask
          title={t('publish.manyTitle', { n: subscribers })}
          verb={t('publish.verb')}
          isBusy={publish.isBusy}
          error={publish.error}
          onDone={() => publish.run(data)}
          onClose={() => setIsAsking(false)}
        >
          <p>{t('publish.many', { name: visible(name) })}</p>
        </Ask>
      )}
    </Panel>
  );
}

function Here({ detail, channel }: { detail: ChannelDetail; channel: ChosenChannel }) {
  const { t, format } = useWords();
  const state = useSignal(channel.state);
  const { present, name } = detail;
  const namespace = namespaceOf(name);
  return (
    <Panel title={t('chan.here')} scope={present === null ? undefined : t('chan.sessions', { n: present.count })}>
      {present === null ? (
        <p className="t3">{namespace === '' ? t('chan.presenceOffPlain') : t('chan.presenceOff', { ns: visible(namespace) })}</p>
      ) : present.first.length === 0 ? (
        <p className="t3">{t('chan.nobodyHere')}</p>
      ) : (
        <ul className="lines channel-here">
          {present.first.map(({ user, session }) => (
            <li key={session}>
              <Link className="grow" href={pathOf('sessions', session)}>
                {user === '' ? <span className="t3">{t('session.anonymous')}</span> : <bdi>{visible(user)}</bdi>}
              </Link>
              <span className="num mono">{session.slice(0, 8)}</span>
            </li>
          ))}
        </ul>
      )}
      {present !== null && present.count > present.first.length && (
        <p className="hint">{t('chan.morePresent', { n: format.count(present.count - present.first.length) })}</p>
      )}
      {state.kind === 'subscribed' && <p className="hint">{t('chan.youToo')}</p>}
    </Panel>
  );
}

function Purge({ detail: { name, history }, onClose }: { detail: ChannelDetail; onClose: () => void }) {
  const { t } = useWords();
  const purge = useTell((admin) => purgeHistory(admin, name), {
    changes: [['channels']],
    done: () => t('chan.purged', { name: visible(name) }),
    onDone: onClose,
  });
  return (
    <Sure title={t('chan.purgeTitle', { name: visible(name) })} verb={t('chan.purgeVerb')} act={purge} onClose={onClose}>
      {t('chan.purgeText', { n: history?.publications ?? 0 })}
    </Sure>
  );
}
