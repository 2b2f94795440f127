/** The panels of the overview, each by its name: what it shows, of which metrics, and when it is beyond a limit of the reader's own. */

import { type FeedRow, feedMoves, listFeeds } from '../../client/admin/feeds';
import type { MetricsStep, Objective } from '../../client/admin/metrics';
import { Reading, useAsk } from '../../components/dashboard/desk';
import { feedReason, lookOf, shownState, stateName } from '../../components/dashboard/feed_states';
import { type Line, TimeChart } from '../../components/dashboard/TimeChart';
import { Glyph } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Panel } from '../../components/Panel';
import { useWords } from '../../components/words';
import { timeOfDay, UNKNOWN } from '../../lib/format';
import { useNow } from '../../lib/hooks';
import type { Words } from '../../lib/i18n';
import { type Limits, PANELS, type PanelId } from '../../lib/panels';
import { pathOf } from '../../lib/router';
import { visible } from '../../lib/text';
import type { Courses } from './ranges';

const MIB = 1024 * 1024;
const GOAL_MS = 50;
const SMALL_PX = 112;

export interface Shown {
  readonly step: MetricsStep;
  readonly courses: Courses;
  readonly limits: Limits;
  readonly words: Words;
}

/** What a curve is drawn of. */
interface Drawn {
  readonly metric: string;
  readonly colour: string;
  readonly label: (words: Words) => string;
}

const CLOSED: readonly Drawn[] = [
  { metric: 'closed.client', colour: '--control', label: ({ t }) => t('over.closed.client') },
  { metric: 'closed.expired', colour: '--series-3', label: ({ t }) => t('over.closed.expired') },
  { metric: 'closed.silent', colour: '--series-1', label: ({ t }) => t('over.closed.silent') },
  { metric: 'closed.slow', colour: '--series-4', label: ({ t }) => t('over.closed.slow') },
  { metric: 'closed.other', colour: '--series-5', label: ({ t }) => t('over.closed.other') },
];

interface Chart {
  readonly kind: 'line' | 'area' | 'bars';
  readonly drawn: readonly Drawn[];
  readonly scope: (shown: Shown, number: (metric: string) => number | null) => string | undefined;
  /** Above a small chart. */
  readonly figure?: (words: Words, number: (metric: string) => number | null) => readonly [figure: string, unit: string];
  readonly format: (words: Words) => (value: number) => string;
  readonly tick?: (words: Words) => (value: number) => string;
  /** What is drawn is so many times what was measured. */
  readonly times?: number;
  /** Ticks are round numbers of it. */
  readonly unit?: number;
  /** What a limit's unit is, in what is drawn. */
  readonly limitUnit?: number;
  /** The metrics whose sum is compared with a limit; the first one drawn where nothing is said. */
  readonly compared?: readonly string[];
  readonly isHighest?: boolean;
  /** Curves of what never happened are left out. */
  readonly isSparse?: boolean;
}

const named =
  (key: Parameters<Words['t']>[0]) =>
  ({ t }: Words) =>
    t(key);
const plain = (name: string) => () => name;
const perSecond = ({ format }: Words) => format.perSecond;
const short = ({ format }: Words) => format.short;
const whole =
  ({ format }: Words) =>
  (value: number) =>
    format.short(Math.round(value));
/** Half a per cent is one: ticks say what they are. */
const exact =
  ({ format }: Words) =>
  (value: number) =>
    format.decimal(value, Number.isInteger(value) ? 0 : 1);
const bytes =
  ({ format }: Words) =>
  (value: number) =>
    format.bytes(value);
const latency =
  ({ format }: Words) =>
  (value: number) =>
    format.latency(value);
const percent =
  ({ format }: Words) =>
  (value: number) =>
    `${format.decimal(value, 0)} %`;
const figureOf =
  (
    metric: string,
    of: (words: Words) => (value: number) => string,
    unit: (words: Words) => string = () => '',
  ): NonNullable<Chart['figure']> =>
  (words, number) => {
    const value = number(metric);
    return [value === null ? UNKNOWN : of(words)(value), unit(words)];
  };

const CHARTS: Readonly<Partial<Record<PanelId, Chart>>> = {
  delivered: {
    kind: 'area',
    drawn: [{ metric: 'messages.delivered', colour: '--series-1', label: named('over.allTransports') }],
    scope: ({ words }) => words.t('unit.msgs'),
    format: perSecond,
    tick: short,
  },
  latency: {
    kind: 'line',
    drawn: [
      { metric: 'latency.p50_ms', colour: '--series-1', label: plain('p50') },
      { metric: 'latency.p95_ms', colour: '--series-2', label: plain('p95') },
      { metric: 'latency.p99_ms', colour: '--series-4', label: plain('p99') },
    ],
    scope: plain('ms'),
    format: latency,
    compared: ['latency.p99_ms'],
  },
  sessions: {
    kind: 'line',
    drawn: [
      { metric: 'sessions.websocket', colour: '--series-1', label: plain('WebSocket') },
      { metric: 'sessions.sse', colour: '--series-2', label: plain('SSE') },
      { metric: 'sessions.http_stream', colour: '--series-3', label: named('over.httpStream') },
      { metric: 'sessions.one_way', colour: '--series-4', label: named('over.oneWay') },
    ],
    scope: ({ words }, number) => words.t('over.now', { n: words.format.short(number('sessions.open')) }),
    format: whole,
    isSparse: true,
  },
  closed: {
    kind: 'bars',
    drawn: CLOSED,
    scope: ({ words }) => words.t('over.byCause'),
    format: whole,
    times: 60,
    compared: CLOSED.map(({ metric }) => metric),
    isSparse: true,
  },
  cpu: {
    kind: 'area',
    drawn: [{ metric: 'process.cpu', colour: '--series-1', label: named('panel.cpu') }],
    scope: ({ words }) => words.t('over.cpuScope'),
    figure: figureOf(
      'process.cpu',
      ({ format }) =>
        (value) =>
          format.decimal(value, 0),
      plain('%'),
    ),
    format: percent,
    tick: exact,
  },
  memory: {
    kind: 'line',
    drawn: [
      { metric: 'memory.allocated', colour: '--series-1', label: named('over.inUse') },
      { metric: 'memory.resident', colour: '--series-rest', label: named('over.residentShort') },
    ],
    scope: ({ words }, number) => words.t('over.resident', { size: words.format.bytes(number('memory.resident')) }),
    figure: figureOf('memory.allocated', bytes, named('over.inUse')),
    format: bytes,
    unit: MIB,
    limitUnit: MIB,
  },
  lag: {
    kind: 'area',
    drawn: [{ metric: 'workers.lag_ms', colour: '--series-1', label: named('panel.lag') }],
    scope: ({ words }) => words.t('over.worstWorker'),
    figure: figureOf('workers.lag_ms', latency),
    format: latency,
    isHighest: true,
  },
  feeds: {
    kind: 'area',
    drawn: [{ metric: 'feeds.events', colour: '--series-2', label: named('over.allFeeds') }],
    scope: ({ words }) => words.t('unit.msgs'),
    format: perSecond,
    tick: short,
  },
  errors: {
    kind: 'line',
    drawn: [
      { metric: 'commands.refused', colour: '--series-1', label: named('over.errors.commands') },
      { metric: 'tokens.refused', colour: '--series-3', label: named('over.errors.tokens') },
      { metric: 'connections.refused', colour: '--series-4', label: named('over.errors.connections') },
      { metric: 'commands.failed', colour: '--series-5', label: named('over.errors.failed') },
    ],
    scope: ({ words }) => words.t('over.perSecond'),
    format: perSecond,
    tick: short,
    compared: ['commands.refused', 'tokens.refused', 'connections.refused'],
    isSparse: true,
  },
  recoveries: {
    kind: 'line',
    drawn: [
      { metric: 'recoveries.done', colour: '--series-1', label: named('over.recoveries.done') },
      { metric: 'recoveries.failed', colour: '--series-5', label: named('over.recoveries.failed') },
    ],
    scope: ({ words }) => words.t('over.perSecond'),
    format: perSecond,
    tick: short,
  },
  descriptors: {
    kind: 'area',
    drawn: [{ metric: 'descriptors.open', colour: '--series-1', label: named('panel.descriptors') }],
    scope: ({ words }, number) => words.t('over.ofAllowed', { share: words.format.share(number('descriptors.used')) }),
    figure: figureOf('descriptors.open', whole),
    format: whole,
    compared: ['descriptors.used'],
    limitUnit: 0.01,
  },
  store: {
    kind: 'area',
    drawn: [{ metric: 'store.latency_ms', colour: '--series-1', label: named('panel.store') }],
    scope: ({ words }, number) => words.t('over.storeWaits', { n: number('store.waiting') ?? 0 }),
    figure: figureOf('store.latency_ms', latency, named('over.onAverage')),
    format: latency,
  },
  waiting: {
    kind: 'area',
    drawn: [{ metric: 'outbox.bytes', colour: '--series-1', label: named('panel.waiting') }],
    scope: ({ words }) => words.t('over.allSessions'),
    figure: figureOf('outbox.bytes', bytes),
    format: bytes,
    unit: 1024,
    limitUnit: MIB,
  },
  canaries: {
    kind: 'area',
    drawn: [{ metric: 'canaries.lost', colour: '--series-5', label: named('panel.canaries') }],
    scope: ({ words }, number) => words.t('over.canariesSent', { rate: words.format.perSecond(number('canaries.sent')) }),
    figure: figureOf('canaries.lost', perSecond, named('over.perSecond')),
    format: perSecond,
  },
  host: {
    kind: 'area',
    drawn: [{ metric: 'host.cpu', colour: '--series-1', label: named('panel.host') }],
    scope: ({ words }, number) => words.t('over.hostMemory', { share: words.format.share(number('host.memory_used')) }),
    figure: figureOf(
      'host.cpu',
      ({ format }) =>
        (value) =>
          format.decimal(value, 0),
      plain('%'),
    ),
    format: percent,
    tick: exact,
  },
  sockets: {
    kind: 'area',
    drawn: [{ metric: 'host.socket_memory', colour: '--series-1', label: named('panel.sockets') }],
    scope: ({ words }) => words.t('over.wholeMachine'),
    figure: figureOf('host.socket_memory', bytes),
    format: bytes,
    unit: 1024,
    limitUnit: MIB,
  },
  leak: {
    kind: 'area',
    drawn: [{ metric: 'leak.memory_per_hour', colour: '--series-1', label: named('panel.leak') }],
    scope: ({ words }) => words.t('over.notByLoad'),
    figure: figureOf('leak.memory_per_hour', bytes, named('over.perHour')),
    format: bytes,
    unit: 1024,
    limitUnit: MIB,
  },
};

/** What is asked of the past for these panels. */
export function metricsOf(panels: readonly PanelId[]): readonly string[] {
  return panels.flatMap((id) => CHARTS[id]?.drawn.map(({ metric }) => metric) ?? []);
}

export function panelTitle(id: PanelId, { t }: Words): string {
  return t(`panel.${id}`);
}

export function OnePanel({ id, shown }: { id: PanelId; shown: Shown }) {
  if (id === 'objectives') return <Objectives objectives={shown.step.objectives} />;
  if (id === 'pool') return <Pool />;
  if (id === 'happened') return <Happened />;
  const chart = CHARTS[id];
  return chart === undefined ? null : <Charted id={id} chart={chart} shown={shown} />;
}

function Charted({ id, chart, shown }: { id: PanelId; chart: Chart; shown: Shown }) {
  const { step, courses, limits, words } = shown;
  const { t, format } = words;
  const number = (metric: string): number | null => step.values.get(metric) ?? null;
  const { width, limit: unit } = PANELS[id];
  const { times: factor = 1, limitUnit = 1 } = chart;
  const limit = limits[id];
  const compared = chart.compared ?? chart.drawn.slice(0, 1).map(({ metric }) => metric);
  const now = compared.reduce((sum, metric) => sum + (number(metric) ?? 0), 0) * factor;
  const isBeyond = limit !== undefined && now > limit * limitUnit;
  // What is compared is not always what is drawn: a share has no line among counts.
  const isDrawn = compared.every((metric) => chart.drawn.some((one) => one.metric === metric));
  const limitText = limit === undefined ? '' : `${format.short(limit)} ${unit ?? ''}`;
  const ofObjective = id === 'latency' && step.objectives.some(({ name }) => name === 'latency') ? GOAL_MS : null;
  const goal = limit !== undefined && isDrawn ? limit * limitUnit : ofObjective;
  const goalLabel =
    limit !== undefined && isDrawn
      ? t('over.limit', { limit: limitText })
      : ofObjective === null
        ? undefined
        : t('over.goal', { goal: format.latency(ofObjective) });
  const values = (metric: string) => {
    const measured = chart.isHighest === true ? courses.highest(metric) : courses.values(metric);
    return factor === 1 ? measured : measured.map((value) => (value === null ? null : value * factor));
  };
  const lines = chart.drawn.map(({ metric, colour, label }): Line => ({ label: label(words), colour, values: values(metric) }));
  const title = panelTitle(id, words);
  const figure = chart.figure?.(words, number);
  return (
    <Panel
      title={title}
      className={isBeyond ? 'is-beyond' : ''}
      scope={
        isBeyond ? (
          <span className="beyond">
            <Glyph status="warn" />
            {t('over.beyond', { limit: limitText })}
          </span>
        ) : (
          // Beside the title, as there it never takes a line of the plot's.
          (goalLabel ?? chart.scope(shown, number))
        )
      }
    >
      {figure !== undefined && (
        <p className="small-figure">
          <b>{figure[0]}</b> <small>{figure[1]}</small>
        </p>
      )}
      <TimeChart
        times={courses.times}
        fromS={courses.fromS}
        toS={courses.toS}
        stepS={courses.stepS}
        label={title}
        kind={chart.kind}
        format={chart.format(words)}
        tick={(chart.tick ?? chart.format)(words)}
        goal={goal}
        unit={chart.unit ?? 1}
        lines={chart.isSparse === true ? seen(lines) : lines}
        withLegend={figure === undefined}
        {...(width === 3 ? { height: SMALL_PX } : {})}
      />
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
