import { createContext, type ReactNode, useContext, useId } from 'react';

/** A titled part of a page. `scope` stands at the right of the title: unit, count or reach. */
export function Panel({
  title,
  label,
  scope,
  className = '',
  children,
}: {
  title: ReactNode;
  /** Names the panel where the title alone would not tell it from another. */
  label?: string;
  scope?: ReactNode | undefined;
  className?: string;
  children: ReactNode;
}) {
  const id = useId();
  return (
    <section className={`panel ${className}`} aria-label={label} aria-labelledby={label === undefined ? id : undefined}>
      <div className="panel-head">
        <h2 id={id}>{title}</h2>
        {scope !== undefined && <span className="panel-scope">{scope}</span>}
      </div>
      {children}
    </section>
  );
}

/** Which level the headings of notices have: below that of panels with titles, or, where lists stand without one, the same. */
export const NoticeLevel = createContext<'h2' | 'h3'>('h3');

/** What stands in a panel instead of its content: heading, one sentence, at most one action. */
export function Notice({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  const Heading = useContext(NoticeLevel);
  return (
    <div className="notice">
      <Heading>{title}</Heading>
      {children !== undefined && <p>{children}</p>}
      {action}
    </div>
  );
}

/** Bars of the coming content's size. Invisible for the first 200 ms, by the style sheet: what is quick shall not flash. */
export function Skeleton({ lines }: { lines: readonly number[] }) {
  return (
    <div className="skeleton" aria-hidden="true">
      {lines.map((width, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the bars never change.
        <i key={at} className={`skeleton-${width}`} />
      ))}
    </div>
  );
}
