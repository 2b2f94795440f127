/** How was the day or week, of the hub and of its feeds, and what recurs? Made to be printed as it stands. */

import { readHubReport } from '../../client/admin/hub_reports';
import { type Period, type Report, readReport } from '../../client/admin/reports';
import { NOT_AVAILABLE, NOT_FOUND } from '../../client/codes';
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
import { Bars } from './Bars';
import { HubReportView } from './HubReportView';
import { backIn, dateName, found, sentences } from './report_words';
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
  const [ofText, setOf] = useInAddress('of');
  const isOfFeeds = ofText === 'feeds';
  const everyMs = back === 0 ? EVERY_MS : 0;
  const asked = useAsk(['report', period, back], (admin) => readReport(admin, period, back), { everyMs, isWanted: isOfFeeds });
  const hub = useAsk(['hub_report', period, back], (admin) => readHubReport(admin, period, back), {
    everyMs,
    isWanted: !isOfFeeds,
  });
  const shown = isOfFeeds ? asked : hub;
  const failed = shown.kind === 'failed' ? shown.error.code : 0;
  return (
    <>
      <div className="tools">
        <Segments
          label={t('reports.of')}
          chosen={isOfFeeds ? 'feeds' : 'hub'}
          onChoose={(next) => setOf(next === 'feeds' ? next : '')}
          choices={[
            { id: 'hub', label: t('reports.ofHub') },
            { id: 'feeds', label: t('reports.ofFeeds') },
          ]}
        />
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
      {failed === NOT_FOUND || (failed === NOT_AVAILABLE && !isOfFeeds) ? (
        <section className="panel" aria-label={t('view.reports')}>
          <Notice title={t('reports.noneTitle')}>{t(failed === NOT_FOUND ? 'reports.none' : 'reports.off')}</Notice>
        </section>
      ) : !isOfFeeds ? (
        <Reading asked={hub} title={t('reports.failed')} right="reports.read">
          {(report) => <HubReportView report={report} back={back} />}
        </Reading>
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
          {[...sentences(report, words), ...report.findings.map((finding) => found(finding, words))].map((sentence) => (
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
