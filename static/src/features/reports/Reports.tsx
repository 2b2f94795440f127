/** How was the day or week of the feeds, and what recurs? Made to be printed as it stands. */

import { type Period, type Report, readReport } from '../../client/admin/reports';
import { NOT_FOUND } from '../../client/codes';
import { Reading, useAsk } from '../../components/dashboard/desk';
import { feedReason } from '../../components/dashboard/feed_states';
import { FigureOf, Figures, Segments } from '../../components/dashboard/Tools';
import { Icon } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Notice, Panel } from '../../components/Panel';
import { useWords } from '../../components/words';
import { UNKNOWN } from '../../lib/format';
import { useInAddress } from '../../lib/hooks';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';
import { backIn, sentences } from './report_words';
import './reports.css';

const EVERY_MS = 60_000;
/** As many as the hub keeps. */
const BACK_MAX: Readonly<Record<Period, number>> = { day: 34, week: 25 };

export default function Reports() {
  const { t } = useWords();
  const [periodText, setPeriod] = useInAddress('period');
  const [backText, setBack] = useInAddress('back');
  const period: Period = periodText === 'week' ? 'week' : 'day';
  const back = backIn(backText, BACK_MAX[period]);
  const asked = useAsk(['report', period, back], (admin) => readReport(admin, period, back), {
    everyMs: back === 0 ? EVERY_MS : 0,
  });
  const isNone = asked.kind === 'failed' && asked.error.code === NOT_FOUND;
  return (
    <>
      <div className="tools">
        <Segments
          label={t('reports.period')}
          chosen={period}
          onChoose={(next) => {
            setPeriod(next === 'day' ? '' : next);
            router.adjust({ back: null });
          }}
          choices={[
            { id: 'day', label: t('reports.day') },
            { id: 'week', label: t('reports.week') },
          ]}
        />
        <button type="button" className="button" disabled={back >= BACK_MAX[period]} onClick={() => setBack(String(back + 1))}>
          <Icon name="left" />
          {t('reports.before')}
        </button>
        <button type="button" className="button" disabled={back === 0} onClick={() => setBack(back <= 1 ? '' : String(back - 1))}>
          {t('reports.after')}
          <Icon name="right" />
        </button>
        <div className="tools-end">
          <button type="button" className="button" onClick={() => print()}>
            <Icon name="print" />
            {t('reports.print')}
          </button>
        </div>
      </div>
      {isNone ? (
        <section className="panel" aria-label={t('view.reports')}>
          <Notice title={t('reports.noneTitle')}>{t('reports.none')}</Notice>
        </section>
      ) : (
        <Reading asked={asked} title={t('reports.failed')} right="upstream.read">
          {(report) => <Known report={report} isRunning={back === 0} />}
        </Reading>
      )}
    </>
  );
}

function Known({ report, isRunning }: { report: Report; isRunning: boolean }) {
  const words = useWords();
  const { t, format } = words;
  const { sums } = report;
  const isDay = report.period === 'day';
  const range = isDay
    ? dateName(report.from, words.language)
    : t('reports.range', { from: dateName(report.from, words.language), to: dateName(report.to, words.language) });
  return (
    <article className="report">
      <header>
        <h2>{range}</h2>
        <p className="t2">
          {isRunning
            ? t('reports.running')
            : isDay
              ? t('reports.knownDay', { time: format.age(report.known * 60_000) })
              : t('reports.knownWeek', { n: report.known })}
        </p>
      </header>
      <Panel title={t('reports.short')}>
        <ul className="report-sentences">
          {[...sentences(report, words), ...report.findings.map(visible)].map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ul>
      </Panel>
      <Figures>
        <FigureOf
          label={t('reports.events')}
          value={format.short(sums.events)}
          unit={change(report.eventsChangePercent) ?? format.bytes(sums.bytes)}
        />
        <FigureOf
          label={t('feeds.errors')}
          value={format.count(sums.errors)}
          unit={change(report.errorsChangePercent) ?? t('reports.ofAttempts', { n: sums.attempts })}
        />
        <FigureOf
          label={t('reports.down')}
          value={sums.downMs === 0 ? '0' : format.age(sums.downMs)}
          unit={t('reports.allFeeds')}
        />
        <FigureOf label={t('feeds.gaps')} value={format.count(sums.gaps)} unit={t('feed.repeated', { n: sums.repeated })} />
        <FigureOf
          label={t('feeds.latency')}
          value={sums.lateMs === null ? UNKNOWN : format.latency(sums.lateMs)}
          unit={t('reports.mean')}
        />
      </Figures>
      <div className="report-two">
        <Panel title={t('reports.events')} scope={t(isDay ? 'reports.byHour' : 'reports.byDay')}>
          <Bars
            rows={report.course.map(([label, events]) => [label, events] as const)}
            kind="series"
            label={t('reports.events')}
          />
        </Panel>
        <Panel title={t('feeds.errors')} scope={t(isDay ? 'reports.byHour' : 'reports.byDay')}>
          <Bars
            rows={report.course.map(([label, , errors]) => [label, errors] as const)}
            kind="error"
            label={t('feeds.errors')}
          />
        </Panel>
      </div>
      <div className="report-two">
        <Panel title={t('reports.worst')} scope={t('reports.byErrors')}>
          {report.feeds.length === 0 ? (
            <p className="t3">{t('reports.noFeeds')}</p>
          ) : (
            <ul className="lines">
              {report.feeds.slice(0, 10).map((feed) => (
                <li key={feed.name}>
                  <Link className="grow" href={pathOf('upstreams', feed.name)}>
                    <bdi>{visible(feed.name)}</bdi>
                    {feed.reasons[0] !== undefined && feed.sums.errors > 0 && (
                      <small className="t3">{feedReason(feed.reasons[0][0], words)}</small>
                    )}
                  </Link>
                  <span className="num">{t('reports.nErrors', { n: feed.sums.errors })}</span>
                  <span className="num">
                    {feed.sums.downMs === 0
                      ? t('reports.neverDown')
                      : t('reports.downFor', { time: format.age(feed.sums.downMs) })}
                  </span>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <Panel title={t('reports.reasons')} scope={t('reports.ofErrors')}>
          {report.reasons.length === 0 ? (
            <p className="t3">{t('reports.noErrors')}</p>
          ) : (
            <ul className="lines">
              {report.reasons.slice(0, 10).map(([reason, times]) => (
                <li key={reason}>
                  <span className="grow">{feedReason(reason, words)}</span>
                  <span className="num">{format.count(times)}</span>
                </li>
              ))}
            </ul>
          )}
        </Panel>
      </div>
    </article>
  );

  function change(percent: number | null): string | null {
    if (percent === null) return null;
    return t(percent < 0 ? 'reports.less' : 'reports.more', { percent: format.count(Math.abs(percent)) });
  }
}

function dateName(date: string, language: string): string {
  const at = Date.parse(`${date}T12:00:00Z`);
  if (Number.isNaN(at)) return visible(date);
  return new Intl.DateTimeFormat(/^en\b/.test(language) ? 'en-GB' : language, {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    timeZone: 'UTC',
  }).format(at);
}

/** Bars with their values in words; zero is a bar of no height, and nothing is missing. */
function Bars({ rows, kind, label }: { rows: readonly (readonly [string, number])[]; kind: 'series' | 'error'; label: string }) {
  const { t, format } = useWords();
  const most = Math.max(1, ...rows.map(([, value]) => value));
  const highest = rows.reduce((best, row) => (row[1] > best[1] ? row : best), rows[0] ?? ['', 0]);
  const every = rows.length > 12 ? 6 : 1;
  const said = t('reports.barsLabel', { what: label, label: highest[0], value: format.count(highest[1]) });
  return (
    <div className="bars" data-kind={kind}>
      <svg viewBox={`0 0 ${rows.length * 10} 100`} preserveAspectRatio="none" role="img" aria-label={said}>
        {rows.map(([name, value], at) => {
          const height = value === 0 ? 0 : Math.max(2, (value / most) * 100);
          return (
            <rect key={name} x={at * 10 + 1} y={100 - height} width="8" height={height}>
              <title>{`${name}: ${format.count(value)}`}</title>
            </rect>
          );
        })}
      </svg>
      <div className="scale" aria-hidden="true">
        {rows
          .filter((_, at) => at % every === 0)
          .map(([name]) => (
            <span key={name}>{name.length > 5 ? name.slice(5) : name}</span>
          ))}
        {/* Hours end at midnight; a week ends with its last day. */}
        {every > 1 && <span>24</span>}
      </div>
      <p className="hint">{t('reports.most', { value: format.short(highest[1]) })}</p>
    </div>
  );
}
