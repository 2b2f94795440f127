/** Is it working, for whom not, and since when? */

import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react';
import { type Alert, acknowledge, listAlerts } from '../../client/admin/alerts';
import { type FeedRow, feedMoves, listFeeds } from '../../client/admin/feeds';
import { type MetricsStep, metricsPast, type Objective } from '../../client/admin/metrics';
import { readStatus } from '../../client/admin/status';
import { AlertLine } from '../../components/dashboard/AlertLine';
import { Denied, Reading, useAsk, useDesk, useRight, useTell, useWhy } from '../../components/dashboard/desk';
import { feedReason, lookOf, shownState, stateName } from '../../components/dashboard/feed_states';
import { type Line, Spark, TimeChart } from '../../components/dashboard/TimeChart';
import { Segments } from '../../components/dashboard/Tools';
import { Glyph, type Status } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Notice, Panel, Skeleton } from '../../components/Panel';
import { useWords } from '../../components/words';
import { timeOfDay, UNKNOWN } from '../../lib/format';
import { useInAddress, useNow, useSignal } from '../../lib/hooks';
import { pathOf, type View } from '../../lib/router';
import { visible } from '../../lib/text';
import { MetricsFeed } from './metrics_feed';
import { type Courses, coursesOf, RANGES, type Range, reachOf } from './ranges';
import './overview.css';

/** Steps that are kept while one looks, for the live range. */
const HEARD_MAX = 400;
const ALERTS_SHOWN = 3;
const MIB = 1024 * 1024;
const YOUNG_MS = 15 * 60_000;

const CHARTED = [
  'messages.published',
  'messages.delivered',
  'sessions.open',
  'channels.open',
  'feeds.open',
  'latency.p50_ms',
  'latency.p95_ms',
  'latency.p99_ms',
  'sessions.websocket',
  'sessions.sse',
  'sessions.http_stream',
  'sessions.one_way',
  'closed.client',
  'closed.slow',
  'closed.silent',
  'closed.expired',
  'closed.shutdown',
  'closed.other',
  'process.cpu',
  'memory.allocated',
  'memory.resident',
  'workers.lag_ms',
] as const;

export default function Overview() {
  const { rights } = useDesk();
  if (rights !== null && !rights.has('metrics.read'))
    return (
      <section className="panel">
        <Denied right="metrics.read" />
      </section>
    );
  return <Allowed />;
}

function Allowed() {
  const { t } = useWords();
  const { hub, admin } = useDesk();
  const why = useWhy();
  const [feed, setFeed] = useState<MetricsFeed | null>(null);
  useEffect(() => {
    const made = new MetricsFeed(hub, admin);
    made.start();
    setFeed(made);
    return () => made.stop();
  }, [hub, admin]);
  if (feed === null) return <Skeleton lines={[60, 90, 75]} />;
  return <Listening feed={feed} why={why} failedTitle={t('over.failed')} />;
}

function Listening({ feed, why, failedTitle }: { feed: MetricsFeed; why: ReturnType<typeof useWhy>; failedTitle: string }) {
  const { t } = useWords();
  const state = useSignal(feed.state);
  switch (state.kind) {
    case 'loading':
      return (
        <section className="panel" aria-busy="true" aria-label={t('view.overview')}>
          <Skeleton lines={[60, 90, 75]} />
        </section>
      );
    case 'failed':
      return (
        <section className="panel" aria-label={t('view.overview')} role="alert">
          <Notice
            title={failedTitle}
            action={
              <button type="button" className="button" onClick={() => feed.again()}>
                {t('action.retry')}
              </button>
            }
          >
            {why(state.error)}
          </Notice>
        </section>
      );
    case 'ready':
      return <Known step={state.step} />;
  }
}

function Known({ step }: { step: MetricsStep }) {
  const { t } = useWords();
  const { admin, clock } = useDesk();
  const [rangeText, setRange] = useInAddress('range');
  const status = useAsk(['status'], readStatus);
  // A hub that has just begun has no hour to show.
  const isYoung = status.kind === 'ready' && (status.value.uptimeMs ?? 0) < YOUNG_MS;
  const usual: Range = isYoung ? 'live' : '1h';
  const range: Range = RANGES.find((known) => known === rangeText) ?? usual;
  const { spanMs, stepMs, everyMs } = reachOf(range);
  const asked = useAsk(
    ['metrics', range],
    () => {
      const now = clock.now();
      const to = Math.floor(now / stepMs) * stepMs + stepMs;
      return metricsPast(admin, CHARTED, to - spanMs - 2 * stepMs, to, stepMs);
    },
    { everyMs },
  );
  const heard = useRef<MetricsStep[]>([]);
  if (heard.current.at(-1) !== step) {
    heard.current.push(step);
    if (heard.current.length > HEARD_MAX) heard.current.shift();
  }
  // Steps are the hub's, so its clock says where the axis ends.
  const endMs = Math.floor(Math.max(step.atMs, clock.now()) / stepMs) * stepMs;
  const past = asked.kind === 'ready' && !asked.isPrevious ? asked.value : null;
  const courses = useMemo(
    () => (past === null ? null : coursesOf(past, range === 'live' ? heard.current : [], range, endMs)),
    [past, range, endMs],
  );
  return (
    <>
      <div className="tools">
        <Segments
          label={t('over.range')}
          chosen={range}
          onChoose={(next) => setRange(next === usual ? '' : next)}
          choices={RANGES.map((id) => ({ id, label: t(`over.range.${id}`) }))}
        />
        {past !== null && !past.isWhole && <span className="is-warn-text">{t('over.notWhole')}</span>}
        {asked.kind === 'failed' && <span className="is-warn-text">{t('over.pastFailed')}</span>}
        {step.stepMs > 1_500 && <span className="t3">{t('over.sampled', { n: Math.round(step.stepMs / 1000) })}</span>}
      </div>
      <Verdict step={step} />
      <Flow step={step} courses={courses} />
      {courses === null ? (
        <div className="grid-3">
          {[0, 1, 2].map((at) => (
            <section key={at} className="panel" aria-hidden="true">
              <Skeleton lines={[60, 90, 75, 90, 60, 75]} />
            </section>
          ))}
        </div>
      ) : (
        <Charts step={step} courses={courses} />
      )}
    </>
  );
}

function useNumbers(step: MetricsStep) {
  return (metric: string): number | null => step.values.get(metric) ?? null;
}

const VERDICT_STATUS: Readonly<Record<MetricsStep['verdict']['state'], Status>> = {
  working: 'ok',
  warned: 'warn',
  affected: 'crit',
  not_ready: 'move',
};

function Verdict({ step }: { step: MetricsStep }) {
  const { t, format } = useWords();
  const { verdict } = step;
  const number = useNumbers(step);
  const alerts = useAsk(['alerts', 'active'], listAlerts, { everyMs: 5_000 });
  const firing =
    alerts.kind === 'ready'
      ? alerts.value.alerts.filter(({ state, acknowledgedBy }) => state === 'firing' && acknowledgedBy === null)
      : [];
  const delivery = step.objectives.find(({ name }) => name === 'delivery');
  const sentence =
    verdict.reasons.length > 0
      ? verdict.reasons
          .slice(0, 2)
          .map((reason) => `${visible(reason).replace(/\.$/, '')}.`)
          .join(' ')
      : (number('sessions.open') ?? 0) === 0
        ? t('over.nobody')
        : t('over.all', {
            delivered: format.perSecond(number('messages.delivered')),
            share: format.share(delivery?.now ?? null),
          });
  return (
    <section className="panel verdict" aria-label={t('over.verdict')}>
      <div className="verdict-head">
        <Glyph status={VERDICT_STATUS[verdict.state]} />
        <div>
          <div role="status">
            <h2>
              {verdict.state === 'warned' ? t('over.warned', { n: Math.max(1, verdict.warning) }) : t(`over.${verdict.state}`)}
            </h2>
          </div>
          <p>{sentence}</p>
        </div>
      </div>
      {firing.slice(0, ALERTS_SHOWN).map((alert) => (
        <FiringLine key={alert.id} alert={alert} />
      ))}
      {firing.length > ALERTS_SHOWN && (
        <Link className="is-link verdict-more" href={pathOf('alerts')}>
          {t('over.moreAlerts', { n: firing.length - ALERTS_SHOWN })}
        </Link>
      )}
    </section>
  );
}

function FiringLine({ alert }: { alert: Alert }) {
  const { t } = useWords();
  const mayWrite = useRight('alerts.write');
  const take = useTell((admin) => acknowledge(admin, alert.id, false), { changes: [['alerts']], done: () => t('alerts.acked') });
  return (
    <AlertLine alert={alert}>
      <button type="button" className="button" disabled={!mayWrite || take.isBusy} onClick={() => take.run(undefined)}>
        {t('alerts.ack')}
      </button>
      <Link className="button is-quiet" href={pathOf('alerts')}>
        {t('alerts.openOne')}
      </Link>
    </AlertLine>
  );
}

/** A message's way: feed, hub, channel, session. */
function Flow({ step, courses }: { step: MetricsStep; courses: Courses | null }) {
  const { t, format } = useWords();
  const number = useNumbers(step);
  const feeds = number('feeds.all');
  const channels = number('channels.open');
  const published = number('messages.published');
  const delivered = number('messages.delivered');
  const each = published !== null && delivered !== null && published > 0 ? delivered / published : null;
  const stage = (
    view: View,
    label: string,
    value: string,
    unit: string,
    line: string,
    metric: string,
    colour: string,
    kind: 'area' | 'step' = 'area',
  ) => (
    <Link className="flow-stage" href={pathOf(view)}>
      <span className="flow-label">{label}</span>
      <span className="flow-figure">
        <b>{value}</b> <small>{unit}</small>
      </span>
      <span className="flow-line">{line}</span>
      {courses === null ? <span className="spark" /> : <Spark values={courses.values(metric)} colour={colour} kind={kind} />}
    </Link>
  );
  return (
    <nav className="panel flow" aria-label={t('over.flow')}>
      {stage(
        'upstreams',
        t('over.feeds'),
        format.count(number('feeds.open')),
        feeds === null ? '' : t('over.ofOpen', { n: feeds }),
        t('over.feedsLine', { down: format.count(number('feeds.down')), paused: format.count(number('feeds.paused')) }),
        'feeds.open',
        '--series-2',
        'step',
      )}
      {stage(
        'channels',
        t('over.published'),
        format.perSecond(published),
        t('unit.msgs'),
        t('over.publishedLine', { rate: format.perSecond(number('feeds.events')) }),
        'messages.published',
        '--series-2',
      )}
      {stage(
        'channels',
        t('view.channels'),
        format.short(channels),
        '',
        each === null
          ? t('over.eachUnknown')
          : t('over.each', { n: each >= 100 ? format.short(Math.round(each)) : format.decimal(each, 1) }),
        'channels.open',
        '--series-3',
      )}
      {stage(
        'sessions',
        t('over.delivered'),
        format.perSecond(delivered),
        t('unit.msgs'),
        t('over.deliveredLine', {
          p99: format.latency(number('latency.p99_ms')),
          lost: format.perSecond(number('messages.lost')),
        }),
        'messages.delivered',
        '--series-1',
      )}
      {stage(
        'sessions',
        t('view.sessions'),
        format.short(number('sessions.open')),
        '',
        t('over.sessionsLine', { n: format.short(number('sessions.subscriptions')) }),
        'sessions.open',
        '--series-1',
      )}
    </nav>
  );
}

const CLOSED: readonly (readonly [metric: string, key: 'client' | 'slow' | 'silent' | 'expired' | 'other', colour: string])[] = [
  ['closed.client', 'client', '--control'],
  ['closed.expired', 'expired', '--series-3'],
  ['closed.silent', 'silent', '--series-1'],
  ['closed.slow', 'slow', '--series-4'],
  ['closed.other', 'other', '--series-5'],
];

function Charts({ step, courses }: { step: MetricsStep; courses: Courses }) {
  const { t, format } = useWords();
  const number = useNumbers(step);
  const axis = { times: courses.times, fromS: courses.fromS, toS: courses.toS, stepS: courses.stepS };
  const mib = (value: number) => format.bytes(value);
  const perMinute = (values: readonly (number | null)[]) => values.map((value) => (value === null ? null : value * 60));
  const goal = step.objectives.find(({ name }) => name === 'latency') === undefined ? null : 50;
  return (
    <>
      <div className="grid-3">
        <Panel title={t('over.chart.delivered')} scope={t('unit.msgs')}>
          <TimeChart
            {...axis}
            label={t('over.chart.delivered')}
            kind="area"
            format={format.perSecond}
            tick={format.short}
            lines={[{ label: t('over.allTransports'), colour: '--series-1', values: courses.values('messages.delivered') }]}
          />
        </Panel>
        <Panel title={t('over.chart.latency')} scope="ms">
          <TimeChart
            {...axis}
            label={t('over.chart.latency')}
            kind="line"
            format={format.latency}
            goal={goal}
            {...(goal === null ? {} : { goalLabel: t('over.goal', { goal: format.latency(goal) }) })}
            lines={[
              { label: 'p50', colour: '--series-1', values: courses.values('latency.p50_ms') },
              { label: 'p95', colour: '--series-2', values: courses.values('latency.p95_ms') },
              { label: 'p99', colour: '--series-4', values: courses.values('latency.p99_ms') },
            ]}
          />
        </Panel>
        <Panel title={t('over.chart.sessions')} scope={t('over.now', { n: format.short(number('sessions.open')) })}>
          <TimeChart
            {...axis}
            label={t('over.chart.sessions')}
            kind="line"
            format={(value) => format.short(Math.round(value))}
            lines={seen([
              { label: 'WebSocket', colour: '--series-1', values: courses.values('sessions.websocket') },
              { label: 'SSE', colour: '--series-2', values: courses.values('sessions.sse') },
              { label: t('over.httpStream'), colour: '--series-3', values: courses.values('sessions.http_stream') },
              { label: t('over.oneWay'), colour: '--series-4', values: courses.values('sessions.one_way') },
            ])}
          />
        </Panel>
      </div>
      <div className="grid-3">
        <Objectives objectives={step.objectives} />
        <Pool />
        <Panel title={t('over.chart.closed')} scope={t('over.byCause')}>
          <TimeChart
            {...axis}
            label={t('over.chart.closed')}
            kind="bars"
            format={(value) => format.short(Math.round(value))}
            lines={seen(
              CLOSED.map(([metric, key, colour]) => ({
                label: t(`over.closed.${key}`),
                colour,
                values: perMinute(courses.values(metric)),
              })),
            )}
          />
        </Panel>
      </div>
      <div className="grid-4">
        <Small
          title={t('over.chart.cpu')}
          scope={t('over.cpuScope')}
          figure={number('process.cpu') === null ? UNKNOWN : format.decimal(number('process.cpu'), 0)}
          unit="%"
        >
          <TimeChart
            {...axis}
            label={t('over.chart.cpu')}
            kind="area"
            height={112}
            withLegend={false}
            format={(value) => `${format.decimal(value, 0)} %`}
            tick={(value) => format.decimal(value, 0)}
            lines={[{ label: t('over.chart.cpu'), colour: '--series-1', values: courses.values('process.cpu') }]}
          />
        </Small>
        <Small
          title={t('over.chart.memory')}
          scope={t('over.resident', { size: format.bytes(number('memory.resident')) })}
          figure={format.bytes(number('memory.allocated'))}
          unit={t('over.inUse')}
        >
          <TimeChart
            {...axis}
            label={t('over.chart.memory')}
            kind="line"
            height={112}
            withLegend={false}
            format={mib}
            unit={MIB}
            lines={[
              { label: t('over.inUse'), colour: '--series-1', values: courses.values('memory.allocated') },
              { label: t('over.residentShort'), colour: '--series-rest', values: courses.values('memory.resident') },
            ]}
          />
        </Small>
        <Small
          title={t('over.chart.lag')}
          scope={t('over.worstWorker')}
          figure={format.latency(number('workers.lag_ms'))}
          unit=""
        >
          <TimeChart
            {...axis}
            label={t('over.chart.lag')}
            kind="area"
            height={112}
            withLegend={false}
            format={format.latency}
            lines={[{ label: t('over.chart.lag'), colour: '--series-1', values: courses.highest('workers.lag_ms') }]}
          />
        </Small>
        <Happened />
      </div>
    </>
  );
}

function Small({
  title,
  scope,
  figure,
  unit,
  children,
}: {
  title: string;
  scope: string;
  figure: string;
  unit: string;
  children: ReactNode;
}) {
  return (
    <Panel title={title} scope={scope}>
      <p className="small-figure">
        <b>{figure}</b> <small>{unit}</small>
      </p>
      {children}
    </Panel>
  );
}

/** What never happened in all this time is no line. The first stays, so that there is a chart. */
function seen(lines: readonly Line[]): readonly Line[] {
  const some = lines.filter(({ values }) => values.some((value) => value !== null && value > 0));
  return some.length > 0 ? some : lines.slice(0, 1);
}

const OBJECTIVES = ['connections', 'delivery', 'latency', 'errors', 'recovery'] as const;

function Objectives({ objectives }: { objectives: readonly Objective[] }) {
  const { t, format } = useWords();
  const days = objectives[0]?.windowDays ?? 30;
  return (
    <Panel title={t('over.objectives')} scope={t('over.days', { n: days })}>
      <table className="objectives">
        <thead>
          <tr>
            <th scope="col">{t('over.objective')}</th>
            <th scope="col">{t('over.nowShort')}</th>
            <th scope="col">{t('over.goalShort')}</th>
            <th scope="col">{t('over.budget')}</th>
          </tr>
        </thead>
        <tbody>
          {objectives.map(({ name, now, goal, budgetLeft }) => {
            const known = OBJECTIVES.find((one) => one === name);
            const left = budgetLeft === null ? null : Math.max(0, Math.min(1, budgetLeft));
            const isLow = left !== null && left < 0.2;
            return (
              <tr key={name}>
                <th scope="row">{known === undefined ? visible(name) : t(`over.objective.${known}`)}</th>
                <td>
                  <b className={now !== null && now < goal ? 'is-warn-text' : undefined}>{format.share(now)}</b>
                </td>
                <td className="t3">{format.share(goal)}</td>
                <td>
                  <span className="budget">
                    <svg viewBox="0 0 40 4" preserveAspectRatio="none" aria-hidden="true">
                      <rect width="40" height="4" className="budget-all" />
                      <rect width={40 * (left ?? 0)} height="4" className={isLow ? 'fill-warn' : 'budget-left'} />
                    </svg>
                    <span className={isLow ? 'is-warn-text' : 't2'}>
                      {left === null ? UNKNOWN : `${format.decimal(left * 100, 0)} %`}
                    </span>
                  </span>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Panel>
  );
}

/** Feeds that are drawn one by one. */
const SQUARES_MAX = 120;

function Pool() {
  const words = useWords();
  const { t, format } = words;
  const asked = useAsk(['feeds', 'list'], listFeeds, { everyMs: 5_000 });
  return (
    <Panel title={t('over.pool')} scope={asked.kind === 'ready' ? t('over.connections', { n: asked.value.held }) : undefined}>
      <Reading asked={asked} title={t('feeds.failed')} right="upstream.read" lines={[90, 75]}>
        {({ feeds }) => {
          if (feeds.length === 0) return <p className="t3">{t('feeds.none')}</p>;
          const ordered = [...feeds].sort((one, other) => (one.name < other.name ? -1 : 1));
          const trouble = ordered.filter((feed) => ['crit', 'warn', 'move'].includes(lookOf(shownState(feed)).fill));
          const counts = new Map<string, FeedRow[]>();
          for (const feed of ordered) {
            const { fill } = lookOf(shownState(feed));
            counts.set(fill, [...(counts.get(fill) ?? []), feed]);
          }
          return (
            <>
              <ul className="squares" aria-label={t('over.pool')}>
                {ordered.slice(0, SQUARES_MAX).map((feed) => (
                  <li key={feed.name}>
                    <Link
                      className={`square is-${lookOf(shownState(feed)).fill}`}
                      href={pathOf('upstreams', feed.name)}
                      title={`${visible(feed.name)}: ${stateName(shownState(feed), words)}`}
                    >
                      <span className="sr-only">{`${visible(feed.name)}: ${stateName(shownState(feed), words)}`}</span>
                    </Link>
                  </li>
                ))}
              </ul>
              <ul className="squares-said">
                {trouble.slice(0, 3).map((feed) => (
                  <li key={feed.name}>
                    <Glyph status={lookOf(shownState(feed)).status} />
                    <Link className="trunc" href={pathOf('upstreams', feed.name)}>
                      <bdi>{visible(feed.name)}</bdi>
                    </Link>
                    <span className="t3 trunc">
                      {feed.reason === null ? stateName(shownState(feed), words) : feedReason(feed.reason, words)}
                      {feed.nextTryMs !== null && `, ${t('over.nextTry', { time: format.age(Math.max(1_000, feed.nextTryMs)) })}`}
                    </span>
                  </li>
                ))}
              </ul>
              <p className="squares-legend">
                {(['ok', 'warn', 'move', 'crit', 'off'] as const).map((fill) => {
                  const own = counts.get(fill);
                  return (
                    own !== undefined && (
                      <span key={fill}>
                        <i className={`square is-${fill}`} aria-hidden="true" />
                        {t(`over.fill.${fill}`)} <b>{format.count(own.length)}</b>
                      </span>
                    )
                  );
                })}
              </p>
            </>
          );
        }}
      </Reading>
    </Panel>
  );
}

/** Moves of feeds that are listed. */
const HAPPENED = 6;

function Happened() {
  const words = useWords();
  const { t } = words;
  const moves = useAsk(['feeds', 'moves'], feedMoves, { everyMs: 5_000 });
  const now = useNow(5_000);
  return (
    <Panel title={t('over.happened')} scope={t('over.happenedScope')}>
      <Reading asked={moves} title={t('feeds.failed')} right="upstream.read" lines={[75, 60, 90]}>
        {(all) => {
          const latest = [...all]
            .flatMap(([name, stays]) =>
              stays
                .filter(([, state]) => state !== 'connecting' && state !== 'idle')
                .map(([agoMs, state]) => ({ name, agoMs, state })),
            )
            .sort((one, other) => one.agoMs - other.agoMs)
            .slice(0, HAPPENED);
          if (latest.length === 0) return <p className="t3">{t('over.nothing')}</p>;
          return (
            <ul className="happened">
              {latest.map(({ name, agoMs, state }) => (
                <li key={`${name}-${agoMs}-${state}`}>
                  <time>{timeOfDay(now - agoMs).slice(0, 5)}</time>
                  <Glyph status={lookOf(state).status} />
                  <span className="trunc">
                    <Link href={pathOf('upstreams', name)}>
                      <b>
                        <bdi>{visible(name)}</bdi>
                      </b>
                    </Link>{' '}
                    {stateName(state, words)}
                  </span>
                </li>
              ))}
            </ul>
          );
        }}
      </Reading>
    </Panel>
  );
}
