/** How the whole hub did: what stands out first, then what was promised, what went wrong, and what was used. */

import type { ReactNode } from 'react';
import { type HubReport, makeHubReport } from '../../client/admin/hub_reports';
import { useRight, useTell, useWhy } from '../../components/dashboard/desk';
import { FigureOf, Figures } from '../../components/dashboard/Tools';
import { Glyph } from '../../components/Icon';
import { Panel } from '../../components/Panel';
import { Problem } from '../../components/Problem';
import { useWords } from '../../components/words';
import { UNKNOWN } from '../../lib/format';
import type { Words } from '../../lib/i18n';
import { visible } from '../../lib/text';
import { Bars } from './Bars';
import { dateName, found } from './report_words';

/** What takes time, as docs/metrics.md has it. */
const PATHS = ['canaries', 'delivery', 'feed_delivery', 'connect', 'subscribe', 'recovery', 'rpc', 'api_publish'] as const;

const OBJECTIVES = ['connections', 'delivery', 'latency', 'errors', 'recovery'] as const;

export function HubReportView({ report, back }: { report: HubReport; back: number }) {
  const words = useWords();
  const { t, format } = words;
  const why = useWhy();
  const mayMake = useRight('reports.write');
  const make = useTell((admin) => makeHubReport(admin, report.period, back), {
    changes: [['hub_report']],
    done: () => t('reports.made'),
  });
  const isDay = report.period === 'day';
  const range = isDay
    ? dateName(report.from, words.language)
    : t('reports.range', { from: dateName(report.from, words.language), to: dateName(report.to, words.language) });
  const by = t(isDay ? 'reports.byHour' : 'reports.byDay');
  return (
    <article className="report">
      <header className="report-head">
        <div>
          <h2>{range}</h2>
          <p className="t2">
            {report.isOver ? t('reports.measured', { share: format.share(report.measured) }) : t('reports.running')}
          </p>
          {!report.isWhole && <p className="is-warn-text">{t('reports.notWhole')}</p>}
        </div>
        {mayMake && (
          <button type="button" className="button report-make" disabled={make.isBusy} onClick={() => make.run(undefined)}>
            {t('reports.make')}
          </button>
        )}
      </header>
      {make.error !== null && <Problem>{why(make.error)}</Problem>}
      <Panel title={t('reports.findings')}>
        {report.findings.length === 0 ? (
          <p className="t2">{t('reports.nothingStandsOut')}</p>
        ) : (
          <ul className="report-sentences">
            {report.findings.map((finding) => (
              <li key={finding.english}>{found(finding, words)}</li>
            ))}
          </ul>
        )}
      </Panel>
      <Figures>
        <FigureOf
          label={t('reports.sessions')}
          value={format.short(report.sessionsMost === null ? null : Math.round(report.sessionsMost))}
          unit={t('reports.meanOf', { n: format.short(report.sessionsMean === null ? null : Math.round(report.sessionsMean)) })}
        />
        <FigureOf
          label={t('reports.delivered')}
          value={format.short(report.delivered)}
          unit={format.bytes(report.deliveredBytes)}
        />
        <FigureOf
          label={t('reports.letIn')}
          value={format.share(report.letIn)}
          unit={t('reports.refused', { n: report.refused, shown: format.short(report.refused) })}
        />
        <FigureOf
          label={t('reports.arrived')}
          value={format.share(report.arrived)}
          unit={t('reports.lost', { n: report.lost, shown: format.short(report.lost) })}
        />
        <FigureOf
          label={t('reports.recovered')}
          value={format.short(report.recovered)}
          unit={t('reports.notRecovered', { n: report.notRecovered, shown: format.short(report.notRecovered) })}
        />
      </Figures>
      <div className="report-two">
        <Panel title={t('reports.delivered')} scope={by}>
          <Bars
            rows={report.course.map(({ label, delivered }) => [label, delivered] as const)}
            kind="series"
            label={t('reports.delivered')}
          />
        </Panel>
        <Panel title={t('reports.hubTrouble')} scope={by}>
          <Bars
            rows={report.course.map(({ label, errors }) => [label, errors] as const)}
            kind="error"
            label={t('reports.hubTrouble')}
          />
        </Panel>
      </div>
      <div className="report-two">
        <Panel title={t('reports.objectives')}>
          <Rows
            heads={[t('over.objective'), t('reports.kept'), t('over.goalShort'), t('over.budget')]}
            rows={report.objectives.map(({ name, goal, share, budgetLeft }) => {
              const known = OBJECTIVES.find((one) => one === name);
              const isMissed = share !== null && goal !== null && share < goal;
              return [
                known === undefined ? visible(name) : t(`over.objective.${known}`),
                <b key="share" className={isMissed ? 'is-warn-text' : undefined}>
                  {format.share(share)}
                </b>,
                format.share(goal),
                budgetLeft === null ? UNKNOWN : `${format.decimal(Math.max(0, budgetLeft) * 100, 0)} %`,
              ];
            })}
          />
        </Panel>
        <Panel title={t('reports.latency')}>
          <Rows
            heads={[t('reports.path'), t('reports.meanShort'), t('reports.worstShort')]}
            rows={report.latency.map(({ path, percentile, meanMs, mostMs }) => {
              const known = PATHS.find((one) => one === path);
              return [
                `${known === undefined ? visible(path) : t(`reports.path.${known}`)} ${visible(percentile)}`,
                format.latency(meanMs),
                format.latency(mostMs),
              ];
            })}
          />
        </Panel>
      </div>
      <div className="report-two">
        <Panel title={t('reports.causes')} scope={t('reports.causesScope')}>
          {report.causes.length === 0 ? (
            <p className="t3">{t('reports.noTrouble')}</p>
          ) : (
            <Rows
              heads={['', '', t('reports.change')]}
              rows={report.causes.map(({ metric, count, isOwn, changePercent }) => [
                <span key="metric">
                  <span className="mono">{visible(metric)}</span>
                  {isOwn && <small className="t3"> {t('reports.own')}</small>}
                </span>,
                format.short(count),
                changed(changePercent, words),
              ])}
            />
          )}
        </Panel>
        <Panel title={t('reports.alerts')}>
          {report.alerts.length === 0 ? (
            <p className="t3">{t('reports.noAlerts')}</p>
          ) : (
            <ul className="lines">
              {report.alerts.map(({ rule, title, severity, count, activeMs }) => (
                <li key={rule}>
                  <Glyph status={severity === 'critical' ? 'crit' : severity === 'warning' ? 'warn' : 'info'} />
                  <span className="grow">{visible(words.told(title))}</span>
                  <span className="num">{t('reports.fired', { n: count })}</span>
                  <span className="num">{t('reports.activeFor', { time: format.age(activeMs) })}</span>
                </li>
              ))}
            </ul>
          )}
        </Panel>
      </div>
      <Panel title={t('reports.resources')}>
        <Rows
          heads={['', t('reports.least'), t('reports.meanShort'), t('reports.most2'), t('reports.change')]}
          rows={report.resources.map(({ metric, unit, min, avg, max, changePercent }) => [
            <span key="metric" className="mono">
              {visible(metric)}
            </span>,
            measured(min, unit, words),
            measured(avg, unit, words),
            measured(max, unit, words),
            changed(changePercent, words),
          ])}
        />
      </Panel>
    </article>
  );
}

function Rows({ heads, rows }: { heads: readonly string[]; rows: readonly (readonly ReactNode[])[] }) {
  return (
    <table className="plain report-table">
      <thead>
        <tr>
          {heads.map((head, at) =>
            head === '' ? (
              // biome-ignore lint/suspicious/noArrayIndexKey: a column is its place.
              <td key={at} />
            ) : (
              <th key={head} scope="col">
                {head}
              </th>
            ),
          )}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the rows of a report do not move.
          <tr key={at}>
            {row.map((cell, column) =>
              column === 0 ? (
                // biome-ignore lint/suspicious/noArrayIndexKey: a column is its place.
                <th key={column} scope="row">
                  {cell}
                </th>
              ) : (
                // biome-ignore lint/suspicious/noArrayIndexKey: a column is its place.
                <td key={column}>{cell}</td>
              ),
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function changed(percent: number | null, { format }: Words): string {
  if (percent === null) return UNKNOWN;
  return `${percent > 0 ? '+' : percent < 0 ? '−' : ''}${format.decimal(Math.abs(percent), 0)} %`;
}

function measured(value: number | null, unit: string, { format }: Words): string {
  switch (unit) {
    case 'bytes':
      return format.bytes(value);
    case 'ms':
      return format.latency(value);
    case 'ratio':
      return format.share(value);
    case 'percent':
      return value === null ? UNKNOWN : `${format.decimal(value, 0)} %`;
    default:
      return value === null || value > 99 || Number.isInteger(value)
        ? format.short(value === null ? null : Math.round(value))
        : format.decimal(value, 1);
  }
}
