/** The curve of the last minute: uPlot draws it, this file tells it what and when. Its colours are the tokens of the current theme. */

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { gaps, type Point, STEP_MS, WINDOW_MS } from './pulse_series';

/** Without data for longer than this, the rest up to now is hatched. */
const STALE_MS = 1_500;
const HATCH_PX = 6;

interface Colours {
  readonly line: string;
  readonly area: string;
  readonly grid: string;
  readonly hatch: string;
  readonly cursor: string;
}

export class PulseChart {
  readonly #plot: uPlot;
  readonly #host: HTMLElement;
  readonly #resize: ResizeObserver;
  #colours: Colours;
  #gaps: [number, number][] = [];

  /** `onCursor` hears the point under the pointer, or `null`. */
  constructor(host: HTMLElement, onCursor: (index: number | null) => void) {
    this.#host = host;
    this.#colours = readColours();
    this.#plot = new uPlot(
      {
        width: Math.max(120, host.clientWidth),
        height: Math.max(60, host.clientHeight),
        padding: [6, 0, 1, 0],
        legend: { show: false },
        // The window scrolls by a tenth of a second, which is no whole number of pixels: rounding would make the line tremble.
        pxAlign: 0,
        scales: { x: { time: false, range: [-WINDOW_MS / 1000, 0] }, y: { range: [0, 100] } },
        axes: [
          { show: false },
          {
            size: 0,
            gap: 0,
            splits: [0, 50, 100],
            values: () => [],
            ticks: { show: false },
            grid: { stroke: () => this.#colours.grid, width: 1 },
          },
        ],
        series: [
          {},
          {
            stroke: () => this.#colours.line,
            fill: () => this.#colours.area,
            width: 1.5,
            spanGaps: false,
            points: { show: false },
          },
        ],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7, width: 0, fill: () => this.#colours.line } },
        hooks: {
          drawClear: [(plot) => this.#hatch(plot)],
          setCursor: [
            (plot) => onCursor(plot.cursor.left !== undefined && plot.cursor.left >= 0 ? (plot.cursor.idx ?? null) : null),
          ],
        },
      },
      [[], []],
      host,
    );
    this.#resize = new ResizeObserver(() =>
      this.#plot.setSize({ width: Math.max(120, host.clientWidth), height: Math.max(60, host.clientHeight) }),
    );
    this.#resize.observe(host);
  }

  /** Draws the window that ends at `edgeMs`, hub time. Returns what each drawn point stands for. */
  draw(points: readonly Point[], nowMs: number): (Point | null)[] {
    const edgeMs = Math.floor(nowMs / STEP_MS) * STEP_MS;
    const xs: number[] = [];
    const ys: (number | null)[] = [];
    const drawn: (Point | null)[] = [];
    for (const point of points) {
      const x = (point.t - edgeMs) / 1000;
      if (x < -WINDOW_MS / 1000 - 1) continue;
      if (point.followsGap && xs.length > 0) {
        xs.push(x - STEP_MS / 2000);
        ys.push(null);
        drawn.push(null);
      }
      xs.push(Math.min(0, x));
      ys.push(point.cpu);
      drawn.push(point);
    }
    this.#gaps = gaps(points, edgeMs, STALE_MS);
    this.#plot.setData([xs, ys]);
    return drawn;
  }

  /** Puts the crosshair on a point; the reader moves it by the arrow keys. */
  point(index: number | null): void {
    const x = index === null ? undefined : this.#plot.data[0]?.[index];
    if (x === undefined) this.#plot.setCursor({ left: -10, top: -10 });
    else this.#plot.setCursor({ left: this.#plot.valToPos(x, 'x'), top: 1 });
  }

  recolour(): void {
    this.#colours = readColours();
    this.#plot.redraw(false);
  }

  destroy(): void {
    this.#resize.disconnect();
    this.#plot.destroy();
    this.#host.replaceChildren();
  }

  #hatch(plot: uPlot): void {
    if (this.#gaps.length === 0) return;
    const { ctx, bbox } = plot;
    const step = HATCH_PX * devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = this.#colours.hatch;
    ctx.lineWidth = devicePixelRatio;
    for (const [from, to] of this.#gaps) {
      const left = Math.max(bbox.left, plot.valToPos(from, 'x', true));
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, 'x', true));
      if (right - left < 2) continue;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, bbox.top, right - left, bbox.height);
      ctx.clip();
      ctx.beginPath();
      for (let x = left - bbox.height; x < right; x += step) {
        ctx.moveTo(x, bbox.top + bbox.height);
        ctx.lineTo(x + bbox.height, bbox.top);
      }
      ctx.stroke();
      ctx.restore();
    }
    ctx.restore();
  }
}

function readColours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(name).trim();
  const line = token('--series-2');
  const area = Math.round((Number.parseFloat(token('--area')) / 100) * 255);
  return {
    line,
    area: `${line}${(Number.isFinite(area) ? area : 26).toString(16).padStart(2, '0')}`,
    grid: token('--grid'),
    hatch: token('--line-strong'),
    cursor: token('--cursor'),
  };
}
