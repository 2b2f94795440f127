/** What charts have in common that uPlot draws: colours by the tokens of the theme, and times of which nothing is known. */

import type uPlot from 'uplot';

const HATCH_PX = 6;

/** A token of tokens.css, as the current theme has it. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The colour of the area below a line of this colour; both are names of tokens. */
export function faded(colour: string): string {
  const share = Math.round((Number.parseFloat(token('--area')) / 100) * 255);
  return `${token(colour)}${(Number.isFinite(share) ? share : 26).toString(16).padStart(2, '0')}`;
}

/** Hatches times, as far as they are in the picture. */
export function hatch(plot: uPlot, times: readonly (readonly [number, number])[], colour: string): void {
  if (times.length === 0) return;
  const { ctx, bbox } = plot;
  const step = HATCH_PX * devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  for (const [from, to] of times) {
    const left = Math.max(bbox.left, plot.valToPos(from, 'x', true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, 'x', true));
    // Not a number, where nothing is drawn yet, is no width either.
    if (!(right - left >= 2)) continue;
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
