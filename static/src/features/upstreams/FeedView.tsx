/** What happened to this feed, why, what is the hub doing about it, shall I help? */

import { useState } from 'react';
import {
  type FeedDetail,
  type FeedMove,
  type FeedOrder,
  type FeedRow,
  orderFeed,
  type Stay,
  showFeed,
} from '../../client/admin/feeds';
import { Sure } from '../../components/dashboard/Ask';
import { Reading, useAsk, useRight, useTell } from '../../components/dashboard/desk';
import { type FeedSegment, feedReason, lookOf, segments, shownState, stateName } from '../../components/dashboard/feed_states';
import { Facts, FigureOf, Figures } from '../../components/dashboard/Tools';
import { Glyph, Icon } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Panel } from '../../components/Panel';
import { useWords } from '../../components/words';
import { timeOfDay, UNKNOWN } from '../../lib/format';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';
import { Doctor } from './Doctor';
import { LANES, openShare } from './lanes';
import { Machine } from './Machine';

const EVERY_MS = 1_000;
const WINDOW_MS = 3_600_000;
/** Moves that are listed before the reader asks for all. */
const LISTED = 12;

export function FeedView({ name }: { name: string }) {
  const { t } = useWords();
  const asked = useAsk(['feeds', 'one', name], (admin) => showFeed(admin, name), { everyMs: EVERY_MS });
  return (
    <Reading asked={asked} title={t('feed.failed', { name: visible(name) })} right="upstream.read">
      {(detail) => <Known detail={detail} />}
    </Reading>
  );
}

function Known({ detail }: { detail: FeedDetail }) {
  const words = useWords();
  const { t, format } = words;
  const { feed, moves } = detail;
  const state = shownState(feed);
  const { status } = lookOf(state);
  const stays = [...moves].reverse().map((move): Stay => [move.agoMs, move.to]);
  const parts = segments(stays, WINDOW_MS);
  return (
    <>
      <div className="head">
        <div>
          <h2>
            <bdi>{visible(feed.name)}</bdi>
            <span className={`chip is-state is-${status}`}>
              <Glyph status={status} />
              {stateName(state, words)}
            </span>
          </h2>
          <p>{useSentence(feed)}</p>
        </div>
        <Actions feed={feed} />
      </div>
      <Figures>
        <FigureOf
          label={t('feeds.perMinute')}
          value={format.short(feed.perMinute)}
          unit={
            feed.usualPerMinute === null
              ? t('feed.usualUnknown')
              : t('feed.usual', { n: format.short(Math.round(feed.usualPerMinute)) })
          }
        />
        <FigureOf
          label={t('feeds.last')}
          value={feed.silentMs === null ? UNKNOWN : format.age(feed.silentMs)}
          unit={t('feed.agoUnit')}
        />
        <FigureOf label={t('feeds.latency')} value={format.latency(feed.latencyMs)} unit={t('feed.latencyUnit')} />
        <FigureOf
          label={t('feeds.errors')}
          value={format.count(feed.errors)}
          unit={t('feed.errorsUnit', { n: feed.errorsPerMinute })}
        />
        <FigureOf label={t('feeds.gaps')} value={format.count(feed.gaps)} unit={t('feed.repeated', { n: feed.repeated })} />
      </Figures>
      <div className="columns">
        <div>
          <Panel
            title={t('feed.hour')}
            scope={
              parts.length === 0 ? undefined : t('feed.hourScope', { share: format.share(openShare(parts)), n: inWindow(moves) })
            }
          >
            <Lanes parts={parts} />
          </Panel>
          <FactsPanel detail={detail} />
        </div>
        <div>
          <Panel title={t('feed.machine')} scope={t('feed.machineScope')}>
            <Machine state={feed.state} moves={moves} />
          </Panel>
          <Moves moves={moves} />
        </div>
      </div>
    </>
  );
}

function inWindow(moves: readonly FeedMove[]): number {
  return moves.filter(({ agoMs }) => agoMs <= WINDOW_MS).length;
}

/** What is so, why, and what comes next. */
function useSentence(feed: FeedRow): string {
  const words = useWords();
  const { t, format } = words;
  const state = shownState(feed);
  const why = feed.reason === null ? '' : feedReason(feed.reason, words);
  const since = format.age(feed.sinceMs);
  switch (state) {
    case 'open':
      return feed.silentMs === null
        ? t('feed.say.openSilent', { since })
        : t('feed.say.open', { since, last: format.age(feed.silentMs) });
    case 'paused':
      return t('feed.say.paused', { since });
    case 'resting':
      return t('feed.say.resting');
    case 'backoff':
    case 'cooling_off':
    case 'parked':
      return feed.nextTryMs === null
        ? t('feed.say.down', { why, since })
        : t('feed.say.waits', { why, since, next: format.age(Math.max(1_000, feed.nextTryMs)) });
    case 'degraded':
    case 'stalled':
      return feed.detail === ''
        ? t('feed.say.worse', { why, since })
        : t('feed.say.worseBecause', { since, detail: visible(feed.detail) });
    default:
      return t('feed.say.moving', { state: stateName(state, words), since });
  }
}

function Actions({ feed }: { feed: FeedRow }) {
  const { t } = useWords();
  const mayControl = useRight('upstream.control');
  const mayRemove = useRight('upstream.write') && feed.origin === 'added';
  const [isRemoving, setIsRemoving] = useState(false);
  const [isChecking, setIsChecking] = useState(false);
  const name = visible(feed.name);
  const order = useTell((admin, what: FeedOrder) => orderFeed(admin, what, feed.name), {
    changes: [['feeds'], ['status']],
    done: (what) => t(`feed.done.${what}`, { name }),
    onDone: () => {},
  });
  const remove = useTell((admin) => orderFeed(admin, 'remove', feed.name), {
    changes: [['feeds'], ['status']],
    done: () => t('feed.done.remove', { name }),
    onDone: () => router.go(pathOf('upstreams')),
  });
  const isConnected = feed.ageMs !== null;
  const title = mayControl ? undefined : t('feed.mayNot');
  const problem = order.error;
  const why = problem === null ? null : visible(problem.message);
  return (
    <div className="head-actions">
      {!feed.isPaused &&
        (isConnected ? (
          <button
            type="button"
            className="button is-primary"
            disabled={!mayControl || order.isBusy}
            title={title}
            onClick={() => order.run('rotate')}
          >
            <Icon name="rotate" />
            {t('feed.rotate')}
          </button>
        ) : (
          <button
            type="button"
            className="button is-primary"
            disabled={!mayControl || order.isBusy}
            title={title}
            onClick={() => order.run('reconnect')}
          >
            <Icon name="play" />
            {t('feed.retry')}
          </button>
        ))}
      <button
        type="button"
        className={feed.isPaused ? 'button is-primary' : 'button'}
        disabled={!mayControl || order.isBusy}
        title={title}
        onClick={() => order.run(feed.isPaused ? 'resume' : 'pause')}
      >
        <Icon name={feed.isPaused ? 'play' : 'pause'} />
        {t(feed.isPaused ? 'feed.resume' : 'feed.pause')}
      </button>
      <button type="button" className="button" disabled={!mayControl} title={title} onClick={() => setIsChecking(true)}>
        <Icon name="doctor" />
        {t('feed.doctor')}
      </button>
      {mayRemove && (
        <button type="button" className="button is-plain-danger" onClick={() => setIsRemoving(true)}>
          {t('feed.remove')}
        </button>
      )}
      {why !== null && (
        <p role="alert" className="is-crit-text">
          {t('ask.says', { says: why })}
        </p>
      )}
      {isChecking && <Doctor feed={feed.name} onClose={() => setIsChecking(false)} />}
      {isRemoving && (
        <Sure
          title={t('feed.removeTitle', { name })}
          verb={t('feed.removeVerb')}
          act={remove}
          onClose={() => setIsRemoving(false)}
        >
          {t('feed.removeText')}
        </Sure>
      )}
    </div>
  );
}

/** A lane a state, always in the same order: what happened stands where it happened. */
function Lanes({ parts }: { parts: readonly FeedSegment[] }) {
  const words = useWords();
  const { t, format } = words;
  const now = Date.now();
  const marks = [0, 0.25, 0.5, 0.75, 1].map((at) => timeOfDay(now - WINDOW_MS * (1 - at)).slice(0, 5));
  return (
    <div className="lanes">
      {LANES.map((state) => {
        const own = parts.filter((part) => part.state === state);
        const { status, fill } = lookOf(state);
        const name = stateName(state, words);
        const ms = own.reduce((sum, part) => sum + part.fromAgoMs - part.toAgoMs, 0);
        const label =
          own.length === 0
            ? t('feed.lane.never', { state: name })
            : t('feed.lane', { state: name, time: format.age(ms), n: own.length });
        return (
          <div key={state} className="lane" data-empty={own.length === 0 ? '' : undefined}>
            <span className="lane-name">
              <Glyph status={status} />
              {name}
            </span>
            <svg viewBox="0 0 1000 13" preserveAspectRatio="none" role="img" aria-label={label}>
              {own.map((part) => {
                const left = 1000 * (1 - part.fromAgoMs / WINDOW_MS);
                return (
                  <rect
                    key={part.fromAgoMs}
                    className={`fill-${fill}`}
                    x={left}
                    y="0"
                    height="13"
                    width={Math.max(4, 1000 * (1 - part.toAgoMs / WINDOW_MS) - left)}
                  >
                    <title>
                      {t('feed.part', {
                        state: name,
                        time: format.age(part.fromAgoMs - part.toAgoMs),
                        at: timeOfDay(now - part.fromAgoMs),
                      })}
                    </title>
                  </rect>
                );
              })}
            </svg>
          </div>
        );
      })}
      <div className="scale lanes-scale" aria-hidden="true">
        {marks.map((mark) => (
          <span key={mark}>{mark}</span>
        ))}
      </div>
    </div>
  );
}

function Moves({ moves }: { moves: readonly FeedMove[] }) {
  const words = useWords();
  const { t } = words;
  const [isAll, setIsAll] = useState(false);
  const shown = isAll ? moves : moves.slice(0, LISTED);
  const now = Date.now();
  return (
    <Panel title={t('feed.moves')} scope={t('feed.movesScope', { n: moves.length })}>
      {moves.length === 0 ? (
        <p className="t3">{t('feed.noMoves')}</p>
      ) : (
        <ol className="moves">
          {shown.map((move) => {
            const { status } = lookOf(move.to);
            const said = [move.reason === null ? '' : feedReason(move.reason, words), visible(move.detail)]
              .filter((part) => part !== '')
              .join(': ');
            return (
              <li key={`${move.agoMs}-${move.to}`}>
                <span className="t3">{stateName(move.from, words)} →</span>
                <span className={status === 'ok' ? 'state' : `state is-${status}`}>
                  <Glyph status={status} />
                  {stateName(move.to, words)}
                </span>
                <time>{timeOfDay(now - move.agoMs)}</time>
                {said !== '' && <p>{said}</p>}
              </li>
            );
          })}
        </ol>
      )}
      {moves.length > LISTED && (
        <button type="button" className="button is-quiet" onClick={() => setIsAll(!isAll)}>
          {t(isAll ? 'feed.fewerMoves' : 'feed.allMoves', { n: moves.length })}
        </button>
      )}
    </Panel>
  );
}

function FactsPanel({ detail: { feed, host, isTls, channels } }: { detail: FeedDetail }) {
  const { t, format } = useWords();
  return (
    <Panel
      title={t('feed.facts')}
      scope={t(`feed.origin.${feed.origin === 'added' || feed.origin === 'on_demand' ? feed.origin : 'configured'}`)}
    >
      <div className="facts-two">
        <Facts
          rows={[
            [
              t('feed.host'),
              <span key="host" className="mono">
                {visible(host)}
                {isTls ? '' : ` (${t('feed.plain')})`}
              </span>,
            ],
            [
              t('feed.into'),
              <span key="into" className="mono">
                {channels.map((channel, at) => (
                  <span key={channel}>
                    {at > 0 && ', '}
                    {channel.includes('{') ? (
                      visible(channel)
                    ) : (
                      <Link href={pathOf('channels', channel)}>{visible(channel)}</Link>
                    )}
                  </span>
                ))}
              </span>,
            ],
            [
              t('feed.resumes'),
              feed.lastEventId === '' ? (
                t('feed.noId')
              ) : (
                <span key="id" className="mono">
                  {visible(feed.lastEventId)}
                </span>
              ),
            ],
            [t('feed.read'), t('feed.readText', { n: feed.events, size: format.bytes(feed.bytes) })],
          ]}
        />
        <Facts
          rows={[
            [t('feed.age'), feed.ageMs === null ? UNKNOWN : format.age(feed.ageMs)],
            [t('feed.reconnects'), format.count(feed.reconnects)],
            [t('feed.rotations'), format.count(feed.rotations)],
            [t('feed.dropped'), format.count(feed.dropped)],
          ]}
        />
      </div>
    </Panel>
  );
}
