import { useWords } from '../../components/words';

const LINES = 18;
const WIDTH = 520;
const HEIGHT = 250;
const HUB_X = 110;

export function Hero({ hasFeed }: { hasFeed: boolean }) {
  const { t } = useWords();
  return (
    <div className="hero">
      <Fan />
      <h1>{t('hero.title')}</h1>
      <p>{t(hasFeed ? 'hero.text' : 'hero.textNoFeed')}</p>
    </div>
  );
}

/** The motif, large: one line in, many out. It stands still: what moves on this page is data. */
function Fan() {
  const middle = HEIGHT / 2;
  return (
    <svg className="fan" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="xMaxYMid meet" aria-hidden="true">
      {LINES_OUT.map(({ y, opacity, dots }) => (
        <g key={y}>
          <path className="fan-out" d={`M${HUB_X} ${middle}C${A} ${middle} ${B} ${y} ${WIDTH} ${y}`} strokeOpacity={opacity} />
          {dots.map((dot) => (
            <circle key={dot.at} className="fan-dot" cx={dot.x} cy={dot.y} r={dot.r} opacity={dot.opacity} />
          ))}
        </g>
      ))}
      <path className="fan-in" d={`M0 ${middle}H${HUB_X}`} />
      {[18, 48, 78].map((x) => (
        <circle key={x} className="fan-dot" cx={x} cy={middle} r="2.4" />
      ))}
      <circle className="fan-hub" cx={HUB_X} cy={middle} r="6" />
    </svg>
  );
}

const A = HUB_X + (WIDTH - HUB_X) * 0.28;
const B = HUB_X + (WIDTH - HUB_X) * 0.36;

const LINES_OUT = (() => {
  // Always the same "random" numbers: the picture belongs to the page like its logo.
  let seed = 77;
  const random = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  const middle = HEIGHT / 2;
  return Array.from({ length: LINES }, (_, line) => {
    const y = HEIGHT * 0.035 + (line / (LINES - 1)) * HEIGHT * 0.93;
    const dots = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
      const at = 0.18 + random() * 0.8;
      const back = 1 - at;
      return {
        at,
        x: back ** 3 * HUB_X + 3 * back ** 2 * at * A + 3 * back * at ** 2 * B + at ** 3 * WIDTH,
        y: back ** 3 * middle + 3 * back ** 2 * at * middle + 3 * back * at ** 2 * y + at ** 3 * y,
        r: 1.6 + at * 1.2,
        opacity: 0.5 + 0.5 * random(),
      };
    });
    return { y, opacity: 0.5 * (0.16 + 0.5 * (1 - Math.abs(line - LINES / 2) / (LINES / 2))), dots };
  });
})();
