/** The states of a feed and the ways between them: where it is, and which ways it took lately. */

import type { FeedMove, FeedState } from '../../client/admin/feeds';
import { lookOf, stateName } from '../../components/dashboard/feed_states';
import { useWords } from '../../components/words';

const W = 92;
const H = 28;

/** Where each state stands: a picture that never moves. */
const PLACES: Readonly<Partial<Record<FeedState, readonly [number, number]>>> = {
  idle: [0, 8],
  connecting: [124, 8],
  open: [248, 8],
  cooling_off: [0, 78],
  backoff: [124, 78],
  stalled: [248, 78],
  parked: [0, 148],
  draining: [124, 148],
  degraded: [248, 148],
};

/** Ways that are drawn: from, to, path, and where its count stands. */
const WAYS: readonly (readonly [FeedState, FeedState, string, number, number])[] = [
  ['idle', 'connecting', 'M92 22H120', 106, 16],
  ['connecting', 'open', 'M216 22H244', 230, 16],
  ['connecting', 'backoff', 'M160 36V74', 150, 58],
  ['backoff', 'connecting', 'M180 78V40', 190, 58],
  ['open', 'stalled', 'M294 36V74', 304, 58],
  ['stalled', 'backoff', 'M248 92H220', 234, 86],
  ['backoff', 'cooling_off', 'M124 92H96', 110, 86],
  ['cooling_off', 'connecting', 'M60 78L122 39', 84, 50],
  ['backoff', 'parked', 'M150 106C140 132 110 150 96 158', 112, 134],
  ['open', 'degraded', 'M340 26C356 60 356 120 343 158', 358, 96],
  ['degraded', 'draining', 'M248 162H220', 234, 156],
  ['open', 'draining', 'M258 36C226 70 222 110 206 145', 226, 124],
];

export function Machine({ state, moves }: { state: FeedState; moves: readonly FeedMove[] }) {
  const words = useWords();
  const count = (from: FeedState, to: FeedState) => moves.filter((move) => move.from === from && move.to === to).length;
  const latest = moves[0];
  return (
    <svg
      className="machine"
      viewBox="-2 0 370 184"
      role="img"
      aria-label={words.t('feed.machineLabel', { state: stateName(state, words) })}
    >
      <defs>
        <marker id="machine-arrow" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">
          <path d="M0 0 6 3 0 6z" className="machine-head" />
        </marker>
      </defs>
      {WAYS.map(([from, to, path, x, y]) => {
        const taken = count(from, to);
        const isLatest = latest?.from === from && latest.to === to;
        return (
          <g
            key={`${from}-${to}`}
            className={isLatest ? 'machine-way is-latest' : taken > 0 ? 'machine-way is-taken' : 'machine-way'}
          >
            <path d={path} markerEnd="url(#machine-arrow)" />
            {taken > 0 && (
              <text x={x} y={y}>
                {words.format.count(taken)}
              </text>
            )}
          </g>
        );
      })}
      {Object.entries(PLACES).map(([name, [x, y]]) => {
        const one = name as FeedState;
        const isHere = one === state;
        return (
          <g key={name} className={isHere ? `machine-state is-${lookOf(one).fill}` : 'machine-state'}>
            <rect x={x} y={y} width={W} height={H} rx="5" />
            <text x={x + W / 2} y={y + H / 2 + 4}>
              {stateName(one, words)}
            </text>
          </g>
        );
      })}
    </svg>
  );
}
