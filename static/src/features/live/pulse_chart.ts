/** The curve of the last minute: uPlot draws it, this file tells it what and when. Its colours are the tokens of the current theme. */

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { faded, hatch, token } from '../../components/plot';
import { gaps, type Point, STEP_MS, WINDOW_MS } from './pulse_series';

/** Without data for longer than this, the rest up to now is hatched. */
const STALE_MS = 1_500;

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
          drawClear: [(plot) => hatch(plot, this.#gaps, this.#colours.hatch)],
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
}

function readColours(): Colours {
  return {
    line: token('--series-2'),
    area: faded('--series-2'),
    grid: token('--grid'),
    hatch: token('--line-strong'),
    cursor: token('--cursor'),
  };
}
