/**
 * The page's one animation frame. Data goes into rings as it comes and asks for a frame; painters then write what changed straight
 * into the document. Without data nothing runs but one slow tick for ages and countdowns.
 */

type Painter = (nowMs: number) => void;

/** Ages are shown in seconds; four looks a second keep them from skipping one. */
const TICK_MS = 250;

const painters = new Set<Painter>();
let frame = 0;
let tick = 0;

/** Something new is there to be painted. Cheap; call it for every message. */
export function requestFrame(): void {
  if (frame === 0 && painters.size > 0 && !document.hidden) frame = requestAnimationFrame(paint);
}

/** Calls `painter` once a frame while there is something new, and on every tick. Returns how to stop it. */
export function onFrame(painter: Painter): () => void {
  painters.add(painter);
  if (tick === 0) {
    tick = window.setInterval(requestFrame, TICK_MS);
    document.addEventListener('visibilitychange', requestFrame);
  }
  requestFrame();
  return () => {
    painters.delete(painter);
    if (painters.size > 0) return;
    clearInterval(tick);
    cancelAnimationFrame(frame);
    document.removeEventListener('visibilitychange', requestFrame);
    tick = 0;
    frame = 0;
  };
}

function paint(): void {
  frame = 0;
  const now = Date.now();
  for (const painter of painters) painter(now);
}

/** Writes only what differs: an equal text would still cost a layout. */
export function write(element: Element | null, text: string): void {
  if (element !== null && element.textContent !== text) element.textContent = text;
}
