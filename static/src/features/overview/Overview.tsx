/** Is it working, for whom not, and since when? */

import { lazy, Suspense, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { type Alert, acknowledge, listAlerts } from '../../client/admin/alerts';
import { type MetricsStep, metricsPast } from '../../client/admin/metrics';
import { readStatus } from '../../client/admin/status';
import { AlertLine } from '../../components/dashboard/AlertLine';
import { Denied, useAsk, useDesk, useRight, useTell, useWhy } from '../../components/dashboard/desk';
import { Spark } from '../../components/dashboard/TimeChart';
import { Segments } from '../../components/dashboard/Tools';
import { Glyph, Icon, type Status } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Notice, Skeleton } from '../../components/Panel';
import { useWords } from '../../components/words';
import { useInAddress, useSignal } from '../../lib/hooks';
import { FIRST_PANELS, PANELS, type PanelId } from '../../lib/panels';
import { preferences } from '../../lib/preferences';
import { pathOf, type View } from '../../lib/router';
import { visible } from '../../lib/text';
import { MetricsFeed } from './metrics_feed';
import { metricsOf, OnePanel, type Shown } from './panels';
import { type Courses, coursesOf, RANGES, type Range, reachOf } from './ranges';
import './overview.css';

/** Steps that are kept while one looks, for the live range. */
const HEARD_MAX = 400;
const ALERTS_SHOWN = 3;
const YOUNG_MS = 15 * 60_000;

/** Who arranges nothing does not load what it takes. */
const Arranged = lazy(() => import('./Arranged'));

/** What the strip of stages draws. */
const FLOW = ['messages.published', 'messages.delivered', 'sessions.open', 'channels.open', 'feeds.open'] as const;

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
  const words = useWords();
  const { t } = words;
  const { admin, clock } = useDesk();
  const [rangeText, setRange] = useInAddress('range');
  const status = useAsk(['status'], readStatus);
  // A hub that has just begun has no hour to show.
  const isYoung = status.kind === 'ready' && (status.value.uptimeMs ?? 0) < YOUNG_MS;
  const usual: Range = isYoung ? 'live' : '1h';
  const range: Range = RANGES.find((known) => known === rangeText) ?? usual;
  const { spanMs, stepMs, everyMs } = reachOf(range);
  const { panels: chosen, limits } = useSyncExternalStore(preferences.subscribe, preferences.get);
  const panels = chosen ?? FIRST_PANELS;
  const [isArranging, setIsArranging] = useState(false);
  // In one order, so that panels that only change their places are not asked for anew.
  const metrics = useMemo(() => [...new Set([...FLOW, ...metricsOf(panels)])].sort(), [panels]);
  const asked = useAsk(
    ['metrics', range, ...metrics],
    async () => {
      const now = clock.now();
      const to = Math.floor(now / stepMs) * stepMs + stepMs;
      return { range, past: await metricsPast(admin, metrics, to - spanMs - 2 * stepMs, to, stepMs) };
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
  // An answer about other panels is good as well: what is not in it comes with the next one.
  const past = asked.kind === 'ready' && asked.value.range === range ? asked.value.past : null;
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
        <div className="tools-end">
          {isArranging && (
            <button
              type="button"
              className="button is-quiet"
              disabled={chosen === null}
              onClick={() => preferences.set({ panels: null })}
            >
              {t('arrange.reset')}
            </button>
          )}
          <button
            type="button"
            className={isArranging ? 'button is-primary' : 'button is-quiet'}
            aria-pressed={isArranging}
            onClick={() => setIsArranging(!isArranging)}
          >
            <Icon name={isArranging ? 'check' : 'grip'} />
            {t(isArranging ? 'arrange.done' : 'arrange.begin')}
          </button>
        </div>
      </div>
      <Verdict step={step} />
      <Flow step={step} courses={courses} />
      <Panels panels={panels} isArranging={isArranging} shown={courses === null ? null : { step, courses, limits, words }} />
    </>
  );
}

function Panels({ panels, isArranging, shown }: { panels: readonly PanelId[]; isArranging: boolean; shown: Shown | null }) {
  const { t } = useWords();
  if (shown === null)
    return (
      <div className="panels">
        {panels.map((id) => (
          <section key={id} className={`panel is-width-${PANELS[id].width}`} aria-hidden="true">
            <Skeleton lines={[60, 90, 75, 90, 60, 75]} />
          </section>
        ))}
      </div>
    );
  const all = panels.map((id) => (
    <div key={id} className={`panel-place is-width-${PANELS[id].width}`}>
      <OnePanel id={id} shown={shown} />
    </div>
  ));
  if (isArranging)
    return (
      <Suspense fallback={<div className="panels">{all}</div>}>
        <Arranged panels={panels} shown={shown} onChange={(next) => preferences.set({ panels: next })} />
      </Suspense>
    );
  if (panels.length === 0)
    return (
      <section className="panel" aria-label={t('arrange.noneTitle')}>
        <Notice title={t('arrange.noneTitle')}>{t('arrange.none')}</Notice>
      </section>
    );
  return <div className="panels">{all}</div>;
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
  const { t, told, said, format } = useWords();
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
          .map((reason) => `${visible(reason.said.length > 0 ? said(reason) : told(reason.english)).replace(/\.$/, '')}.`)
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
        t('over.sessionsLine', {
          n: number('sessions.subscriptions') ?? 0,
          shown: format.short(number('sessions.subscriptions')),
        }),
        'sessions.open',
        '--series-1',
      )}
    </nav>
  );
}
