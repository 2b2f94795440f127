/** A chart with its legend, which holds the values: of now, or of the step that the pointer or an arrow key is on. */

import { type KeyboardEvent, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { UNKNOWN } from '../../lib/format';
import { theme } from '../../lib/theme';
import { useWords } from '../words';
import { bridged, Chart, type ChartData, type ChartKind } from './chart';

export interface Line {
  readonly label: string;
  readonly colour: string;
  readonly values: readonly (number | null)[];
}

export function TimeChart({
  label,
  kind,
  lines,
  times,
  fromS,
  toS,
  stepS,
  format,
  tick = format,
  goal = null,
  goalLabel,
  top = null,
  unit = 1,
  height = 168,
  withLegend = true,
}: {
  /** What is shown, as a sentence's beginning. */
  label: string;
  kind: ChartKind;
  lines: readonly Line[];
  times: readonly number[];
  fromS: number;
  toS: number;
  stepS: number;
  format: (value: number) => string;
  tick?: (value: number) => string;
  goal?: number | null;
  goalLabel?: string;
  top?: number | null;
  /** What ticks are round numbers of. */
  unit?: number;
  height?: number;
  withLegend?: boolean;
}) {
  const { t } = useWords();
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const colours = useSyncExternalStore(theme.subscribe, theme.get);
  const data: ChartData = { times, series: lines, fromS, toS, stepS };
  const latest = useRef(data);
  latest.current = data;
  const ticks = useRef(tick);
  ticks.current = tick;
  // biome-ignore lint/correctness/useExhaustiveDependencies: other data is set below; another make needs another chart.
  useEffect(() => {
    if (host.current === null) return;
    const made = new Chart(host.current, latest.current, {
      kind,
      tick: (value) => ticks.current(value),
      goal,
      top,
      unit,
      onCursor: setAt,
    });
    chart.current = made;
    return () => {
      made.destroy();
      chart.current = null;
    };
  }, [kind, goal, top, unit, lines.map(({ colour }) => colour).join()]);
  useEffect(() => void chart.current?.set(data));
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read anew by the chart itself.
  useEffect(() => void chart.current?.recolour(), [colours]);

  const shown = at === null || at >= times.length ? null : at;
  const shownValue = ({ values }: Line) => {
    const value = shown === null ? values.findLast((one) => one !== null) : values[shown];
    return value === null || value === undefined ? UNKNOWN : format(value);
  };
  const time = shown === null ? null : times[shown];
  const onKeyDown = (event: KeyboardEvent) => {
    const last = times.length - 1;
    const from = shown ?? last;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = Math.min(last, Math.max(0, to));
    setAt(next);
    chart.current?.point(next);
  };
  return (
    <div className="chart">
      {withLegend && (
        <div className="chart-legend">
          {lines.map((line) => (
            <span key={line.label}>
              {/* A colour needs no style attribute, which the policy forbids: it is a class of the series' own. */}
              <i className={line.colour.slice(2)} />
              {line.label} <b>{shownValue(line)}</b>
            </span>
          ))}
          {goalLabel !== undefined && time === null && <span className="t3">{goalLabel}</span>}
          {time !== null && time !== undefined && <span className="t3">{new Date(time * 1000).toLocaleTimeString()}</span>}
        </div>
      )}
      <div
        ref={host}
        className="chart-plot"
        style={{ height }}
        role="img"
        aria-label={t('chart.label', {
          what: label,
          values: lines.map((line) => `${line.label} ${shownValue(line)}`).join(', '),
        })}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: arrows move along the curve.
        tabIndex={0}
        onKeyDown={onKeyDown}
        onBlur={() => {
          setAt(null);
          chart.current?.point(null);
        }}
      />
    </div>
  );
}

const SPARK_W = 200;
const SPARK_H = 32;

/** A curve without axes, for its shape alone. */
export function Spark({
  values: measured,
  colour,
  kind = 'area',
}: {
  values: readonly (number | null)[];
  colour: string;
  kind?: 'area' | 'step';
}) {
  const values = bridged(measured).map((value, at) => (value === undefined ? (measured[at - 1] ?? null) : value));
  let max = 0;
  for (const value of values) if (value !== null && value > max) max = value;
  const x = (at: number) => (values.length < 2 ? SPARK_W : (at / (values.length - 1)) * SPARK_W);
  const y = (value: number) => SPARK_H - 1 - (max === 0 ? 0 : value / max) * (SPARK_H - 3);
  const runs: string[] = [];
  const areas: string[] = [];
  let run: string[] = [];
  let first = 0;
  const end = (last: number) => {
    if (run.length > 1) {
      runs.push(`M${run.join('L')}`);
      areas.push(`M${x(first).toFixed(1)} ${SPARK_H}L${run.join('L')}L${x(last).toFixed(1)} ${SPARK_H}Z`);
    }
    run = [];
  };
  for (const [at, value] of values.entries()) {
    if (value === null) {
      end(at - 1);
      continue;
    }
    if (run.length === 0) first = at;
    else if (kind === 'step') run.push(`${x(at).toFixed(1)} ${run.at(-1)?.split(' ')[1] ?? ''}`);
    run.push(`${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
  }
  end(values.length - 1);
  return (
    <svg
      className={`spark ${colour.slice(2)}`}
      viewBox={`0 0 ${SPARK_W} ${SPARK_H}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <path className="spark-area" d={areas.join('')} />
      <path className="spark-line" d={runs.join('')} />
    </svg>
  );
}
