/** What state something was in, over a time: a coloured strip that says the same in words. */

import { useWords } from '../words';
import { type FeedSegment, lookOf, ribbonWords } from './feed_states';

/** Of one strip; the width is whatever there is. */
const WIDTH = 1_000;
/** A state shorter than this would not be seen. */
const LEAST = 5;

export function Ribbon({ segments, windowMs }: { segments: readonly FeedSegment[]; windowMs: number }) {
  const words = useWords();
  return (
    <svg
      className="ribbon"
      viewBox={`0 0 ${WIDTH} 14`}
      preserveAspectRatio="none"
      role="img"
      aria-label={ribbonWords(segments, words)}
    >
      {segments.map(({ state, fromAgoMs, toAgoMs }) => {
        const { fill, height } = lookOf(state);
        const left = WIDTH * (1 - Math.min(1, fromAgoMs / windowMs));
        const width = Math.max(LEAST, WIDTH * (1 - toAgoMs / windowMs) - left);
        const top = (14 - height) / 2;
        return <rect key={`${fromAgoMs}-${state}`} className={`fill-${fill}`} x={left} y={top} width={width} height={height} />;
      })}
    </svg>
  );
}
