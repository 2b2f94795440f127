/** The motif, large: one line in, many out. It stands still: what moves on our pages is data. */
export function Fan({ shape }: { shape: keyof typeof SHAPES }) {
  const { width, height, hubX, fit, lines } = SHAPES[shape];
  const middle = height / 2;
  return (
    <svg className="fan" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio={fit} aria-hidden="true">
      {lines.map(({ y, path, opacity, dots }) => (
        <g key={y}>
          <path className="fan-out" d={path} strokeOpacity={opacity} />
          {dots.map((dot) => (
            <circle key={dot.at} className="fan-dot" cx={dot.x} cy={dot.y} r={dot.r} opacity={dot.opacity} />
          ))}
        </g>
      ))}
      <path className="fan-in" d={`M0 ${middle}H${hubX}`} />
      {Array.from({ length: Math.floor((hubX - 10 - 18) / 30) + 1 }, (_, n) => 18 + n * 30).map((x) => (
        <circle key={x} className="fan-dot" cx={x} cy={middle} r="2.4" />
      ))}
      <circle className="fan-hub" cx={hubX} cy={middle} r="6" />
    </svg>
  );
}

const SHAPES = {
  /** Behind a headline. */
  band: fan({ count: 18, width: 520, height: 250, hubX: 110, fit: 'xMaxYMid meet' }),
  /** Half a window, cut where it does not fit. */
  wall: fan({ count: 34, width: 800, height: 900, hubX: 150, fit: 'xMidYMid slice' }),
};

function fan({ count, width, height, hubX, fit }: { count: number; width: number; height: number; hubX: number; fit: string }) {
  const a = hubX + (width - hubX) * 0.28;
  const b = hubX + (width - hubX) * 0.36;
  const middle = height / 2;
  // Always the same "random" numbers: the picture belongs to the page like its logo.
  let seed = 77;
  const random = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  const lines = Array.from({ length: count }, (_, line) => {
    const y = height * 0.035 + (line / (count - 1)) * height * 0.93;
    const dots = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
      const at = 0.18 + random() * 0.8;
      const back = 1 - at;
      return {
        at,
        x: back ** 3 * hubX + 3 * back ** 2 * at * a + 3 * back * at ** 2 * b + at ** 3 * width,
        y: back ** 3 * middle + 3 * back ** 2 * at * middle + 3 * back * at ** 2 * y + at ** 3 * y,
        r: 1.6 + at * 1.2,
        opacity: 0.5 + 0.5 * random(),
      };
    });
    const opacity = 0.5 * (0.16 + 0.5 * (1 - Math.abs(line - count / 2) / (count / 2)));
    return { y, path: `M${hubX} ${middle}C${a} ${middle} ${b} ${y} ${width} ${y}`, opacity, dots };
  });
  return { width, height, hubX, fit, lines };
}
