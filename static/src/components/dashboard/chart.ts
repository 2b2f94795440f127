/** One plot over time: uPlot draws it, this file says what. Axes, gaps and colours follow one rule for all charts of the dashboard. */

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { faded, hatch, token } from '../plot';

/** A line, and nothing; an area, where there is one series only; or bars that stand on each other. */
export type ChartKind = 'line' | 'area' | 'bars';

export interface ChartSeries {
  /** A name of tokens.css. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
}

export interface ChartData {
  /** Unix seconds, one a step. */
  readonly times: readonly number[];
  readonly series: readonly ChartSeries[];
  /** The whole range, seconds: what is not known is hatched, not left out. */
  readonly fromS: number;
  readonly toS: number;
  readonly stepS: number;
}

export interface ChartOptions {
  readonly kind: ChartKind;
  readonly tick: (value: number) => string;
  /** Drawn across, dashed. */
  readonly goal: number | null;
  /** A ratio has its end at 1, and per cents at 100. */
  readonly top: number | null;
  /** What ticks are round numbers of: 1, or a MiB. */
  readonly unit: number;
  readonly onCursor: (index: number | null) => void;
}

const AXIS_PX = 50;
/** The longest label of a time axis: hours, minutes and seconds. */
const LABEL_PX = 50;
/** All charts of the page share it. */
const SYNC = 'desk';

/** The next value above that reads well, and whose half does. */
export function niceTop(max: number): number {
  if (!(max > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  const found = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= max * 1.000_001);
  return (found ?? 10) * power;
}

/**
 * Runs without a reading, longer than a step and a half, as seconds; the last one goes on to the end. What lies before the first reading is
 * none: there was nothing to measure yet. Without a single one, all of it is.
 */
export function gapsOf({ times, series, fromS, toS, stepS }: ChartData): [number, number][] {
  const out: [number, number][] = [];
  let last: number | null = null;
  for (const [at, time] of times.entries()) {
    if (series.every(({ values }) => values[at] === null || values[at] === undefined)) continue;
    if (last !== null && time - last > stepS * 1.5) out.push([last + stepS, time]);
    last = time;
  }
  if (last === null) return [[fromS, toS]];
  if (toS - last > stepS * 2.5) out.push([last + stepS, toS]);
  return out;
}

/** Bars stand on each other: each series is drawn up to the sum of those below and itself. */
export function stacked(series: readonly ChartSeries[]): (number | null)[][] {
  const sums: (number | null)[] = [];
  return series.map(({ values }) =>
    values.map((value, at) => {
      if (value === null) return null;
      const sum = (sums[at] ?? 0) + value;
      sums[at] = sum;
      return sum;
    }),
  );
}

/** A single step that is missing is no gap: the line goes on. What uPlot is to pass over is `undefined`, what it is to leave out `null`. */
export function bridged(values: readonly (number | null)[]): (number | null | undefined)[] {
  return values.map((value, at) =>
    value === null && (values[at - 1] ?? null) !== null && (values[at + 1] ?? null) !== null ? undefined : value,
  );
}

/** Seconds between two labels of a time axis: what people count in. */
const STRIDES = [10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000, 864_000];

/** Round times of the reader's clock, five at most and fewer where there is little room. */
export function timeSplits(fromS: number, toS: number, most: number): number[] {
  const stride = STRIDES.find((one) => (toS - fromS) / one <= Math.min(5, most)) ?? 864_000;
  const offset = new Date(fromS * 1000).getTimezoneOffset() * 60;
  const out: number[] = [];
  for (let at = Math.ceil((fromS - offset) / stride) * stride + offset; at <= toS; at += stride) out.push(at);
  return out;
}

export class Chart {
  readonly #plot: uPlot;
  readonly #host: HTMLElement;
  readonly #resize: ResizeObserver;
  readonly #options: ChartOptions;
  #data: ChartData;
  #gaps: [number, number][] = [];
  #top = 1;

  constructor(host: HTMLElement, data: ChartData, options: ChartOptions) {
    this.#host = host;
    this.#data = data;
    this.#options = options;
    const { kind } = options;
    const size = () => ({ width: Math.max(120, host.clientWidth), height: Math.max(60, host.clientHeight) });
    const bars = uPlot.paths.bars?.({ size: [0.8, 64], align: 1 });
    const ordered = this.#ordered();
    this.#plot = new uPlot(
      {
        ...size(),
        padding: [8, 2, 0, 0],
        legend: { show: false },
        pxAlign: kind === 'bars' ? 1 : 0,
        scales: {
          x: { time: true, range: () => [this.#data.fromS, this.#data.toS] },
          y: { range: () => [0, this.#top] },
        },
        axes: [
          {
            stroke: () => token('--axis'),
            font: axisFont(),
            size: 24,
            gap: 6,
            splits: () => this.#timeSplits(host.clientWidth),
            grid: { show: false },
            ticks: { show: false },
            values: (_, splits) => splits.map((split) => this.#timeTick(split)),
          },
          {
            stroke: () => token('--axis'),
            font: axisFont(),
            size: AXIS_PX,
            gap: 6,
            splits: () => [0, this.#top / 2, this.#top],
            // A half that reads like its neighbour, as of one session, says nothing.
            values: (_, splits) => {
              const said = splits.map(options.tick);
              return said.map((text, at) =>
                at > 0 && at < said.length - 1 && said.indexOf(text) !== said.lastIndexOf(text) ? '' : text,
              );
            },
            ticks: { show: false },
            grid: { stroke: () => token('--grid'), width: 1 },
          },
        ],
        series: [
          {},
          ...ordered.map(
            ({ colour }): uPlot.Series => ({
              stroke: () => token(colour),
              width: kind === 'bars' ? 0 : 1.5,
              spanGaps: false,
              points: { show: false },
              ...(kind === 'area' ? { fill: () => faded(colour) } : {}),
              ...(kind === 'bars' ? { fill: () => token(colour), ...(bars === undefined ? {} : { paths: bars }) } : {}),
            }),
          ),
        ],
        cursor: {
          y: false,
          drag: { x: false, y: false },
          points: { show: kind !== 'bars', size: 7, width: 0 },
          sync: { key: SYNC },
        },
        hooks: {
          drawClear: [(plot) => hatch(plot, this.#gaps, token('--line-strong'))],
          draw: [(plot) => this.#goal(plot)],
          setCursor: [
            (plot) =>
              options.onCursor(plot.cursor.left !== undefined && plot.cursor.left >= 0 ? (plot.cursor.idx ?? null) : null),
          ],
        },
      },
      [[]],
      host,
    );
    this.set(data);
    this.#resize = new ResizeObserver(() => this.#plot.setSize(size()));
    this.#resize.observe(host);
  }

  set(data: ChartData): void {
    this.#data = data;
    this.#gaps = gapsOf(data);
    const { kind, top, goal, unit } = this.#options;
    const columns = kind === 'bars' ? stacked(data.series).reverse() : data.series.map(({ values }) => bridged(values));
    if (top === null) {
      let max = 0;
      for (const column of columns) for (const value of column) if (typeof value === 'number' && value > max) max = value;
      const wanted = niceTop(Math.max(max * 1.1, goal === null ? 0 : Math.min(goal * 1.15, max * 6)) / unit) * unit;
      // Grows at once; shrinks only when there is much too much room, so that the curve does not breathe.
      if (wanted > this.#top || wanted < this.#top / 2) this.#top = wanted;
    } else this.#top = top;
    this.#plot.setData([[...data.times], ...columns] as uPlot.AlignedData);
  }

  /** Puts the crosshair on a step. */
  point(index: number | null): void {
    const x = index === null ? undefined : this.#plot.data[0]?.[index];
    if (x === undefined) this.#plot.setCursor({ left: -10, top: -10 });
    else this.#plot.setCursor({ left: this.#plot.valToPos(x, 'x'), top: 1 });
  }

  recolour(): void {
    this.#plot.redraw(false, true);
  }

  destroy(): void {
    this.#resize.disconnect();
    this.#plot.destroy();
    this.#host.replaceChildren();
  }

  /** The highest stack is drawn first, so that those below cover it. */
  #ordered(): readonly ChartSeries[] {
    return this.#options.kind === 'bars' ? [...this.#data.series].reverse() : this.#data.series;
  }

  /** Without those whose label would be cut at the right end. */
  #timeSplits(widthPx: number): number[] {
    const { fromS, toS } = this.#data;
    const splits = timeSplits(fromS, toS, Math.max(2, Math.floor(widthPx / 72)));
    const pxPerS = (widthPx - AXIS_PX) / Math.max(1, toS - fromS);
    return splits.filter((at) => (toS - at) * pxPerS >= LABEL_PX / 2);
  }

  #timeTick(seconds: number): string {
    const date = new Date(seconds * 1000);
    const span = this.#data.toS - this.#data.fromS;
    const two = (value: number) => String(value).padStart(2, '0');
    if (span <= 600) return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
    if (span <= 90_000) return `${two(date.getHours())}:${two(date.getMinutes())}`;
    return new Intl.DateTimeFormat(
      document.documentElement.lang || 'en-GB',
      span <= 8 * 86_400 ? { weekday: 'short' } : { day: 'numeric', month: 'short' },
    ).format(date);
  }

  #goal(plot: uPlot): void {
    const { goal } = this.#options;
    if (goal === null || goal > this.#top) return;
    const { ctx, bbox } = plot;
    const y = plot.valToPos(goal, 'y', true);
    ctx.save();
    ctx.strokeStyle = token('--text-3');
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }
}

function axisFont(): string {
  return `${token('--fs-micro')} ${token('--font-ui')}`;
}
