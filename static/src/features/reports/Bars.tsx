import { useWords } from '../../components/words';

/** Bars with their values in words; zero is a bar of no height, and nothing is missing. */
export function Bars({
  rows,
  kind,
  label,
}: {
  rows: readonly (readonly [string, number])[];
  kind: 'series' | 'error';
  label: string;
}) {
  const { t, format } = useWords();
  const most = Math.max(1, ...rows.map(([, value]) => value));
  const highest = rows.reduce((best, row) => (row[1] > best[1] ? row : best), rows[0] ?? ['', 0]);
  const every = rows.length > 12 ? 6 : 1;
  const said = t('reports.barsLabel', { what: label, label: highest[0], value: format.count(highest[1]) });
  return (
    <div className="bars" data-kind={kind}>
      <svg viewBox={`0 0 ${rows.length * 10} 100`} preserveAspectRatio="none" role="img" aria-label={said}>
        {rows.map(([name, value], at) => {
          const height = value === 0 ? 0 : Math.max(2, (value / most) * 100);
          return (
            <rect key={name} x={at * 10 + 1} y={100 - height} width="8" height={height}>
              <title>{`${name}: ${format.count(value)}`}</title>
            </rect>
          );
        })}
      </svg>
      <div className="scale" aria-hidden="true">
        {rows
          .filter((_, at) => at % every === 0)
          .map(([name]) => (
            <span key={name}>{name.length > 5 ? name.slice(5) : name}</span>
          ))}
        {/* Hours end at midnight; a week ends with its last day. */}
        {every > 1 && <span>24</span>}
      </div>
      <p className="hint">{t('reports.most', { value: format.short(highest[1]) })}</p>
    </div>
  );
}
