/** What stands over a list: a field to search in, and chips that narrow it down. */

import { type ReactNode, useEffect, useRef, useState } from 'react';
import { Icon } from '../Icon';
import { useWords } from '../words';

/** Typing is followed after this; each letter for itself would ask the hub for nothing. */
const TYPED_MS = 200;

export function SearchField({ label, value, onChange }: { label: string; value: string; onChange: (value: string) => void }) {
  const { t } = useWords();
  const [typed, setTyped] = useState(value);
  const input = useRef<HTMLInputElement>(null);
  const sent = useRef(value);
  useEffect(() => {
    // Changed by something else, as a link or a button.
    if (value !== sent.current) {
      sent.current = value;
      setTyped(value);
    }
  }, [value]);
  useEffect(() => {
    if (typed === sent.current) return;
    const timer = setTimeout(() => {
      sent.current = typed;
      onChange(typed);
    }, TYPED_MS);
    return () => clearTimeout(timer);
  }, [typed, onChange]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      event.preventDefault();
      input.current?.select();
      input.current?.focus();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
  return (
    <div className="search">
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        aria-label={label}
        placeholder={label}
        value={typed}
        maxLength={200}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => setTyped(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return;
          setTyped('');
          if (typed === '') input.current?.blur();
        }}
      />
      {typed === '' ? (
        <kbd aria-hidden="true">/</kbd>
      ) : (
        <button type="button" className="search-clear" aria-label={t('search.clear')} onClick={() => setTyped('')}>
          <Icon name="close" />
        </button>
      )}
    </div>
  );
}

/** Whether a key belongs to what is being typed. */
export function isTyping(event: KeyboardEvent): boolean {
  return event.target instanceof Element && event.target.closest('input, textarea, select, dialog, [contenteditable]') !== null;
}

export interface Choice {
  readonly id: string;
  readonly label: ReactNode;
  /** `undefined`: nobody counts them. */
  readonly count?: number | undefined;
}

export function Chips({
  label,
  choices,
  chosen,
  onChoose,
}: {
  label: string;
  choices: readonly Choice[];
  chosen: string;
  onChoose: (id: string) => void;
}) {
  const { format } = useWords();
  return (
    <div className="filters" role="group" aria-label={label}>
      {choices.map(({ id, label: name, count }) => (
        <button key={id} type="button" className="filter" aria-pressed={id === chosen} onClick={() => onChoose(id)}>
          {name}
          {count !== undefined && <b>{format.count(count)}</b>}
        </button>
      ))}
    </div>
  );
}

/** One of a few, side by side. */
export function Segments<T extends string>({
  label,
  choices,
  chosen,
  onChoose,
}: {
  label: string;
  choices: readonly { readonly id: T; readonly label: string }[];
  chosen: T;
  onChoose: (id: T) => void;
}) {
  return (
    <div className="segments" role="group" aria-label={label}>
      {choices.map(({ id, label: name }) => (
        <button key={id} type="button" aria-pressed={id === chosen} onClick={() => onChoose(id)}>
          {name}
        </button>
      ))}
    </div>
  );
}

/** The few numbers that answer a view's question. */
export function Figures({ children }: { children: ReactNode }) {
  return <dl className="panel figures">{children}</dl>;
}

export function FigureOf({ label, value, unit, title }: { label: string; value: string; unit?: string; title?: string }) {
  return (
    <div title={title}>
      <dt>{label}</dt>
      <dd>
        <b>{value}</b>
        {unit !== undefined && <small>{unit}</small>}
      </dd>
    </div>
  );
}

/** Names and values, one below the other. `null` values are left out. */
export function Facts({ rows }: { rows: readonly (readonly [string, ReactNode] | null)[] }) {
  return (
    <dl className="facts">
      {rows.map(
        (row) =>
          row !== null && (
            <div key={row[0]}>
              <dt>{row[0]}</dt>
              <dd>{row[1]}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

/** A moment as the page writes moments, with all of it on hover. */
export function When({ ms, fine = false }: { ms: number | null; fine?: boolean }) {
  const { format } = useWords();
  const isMoment = ms !== null && Math.abs(ms) <= 8.64e15;
  const iso = isMoment ? new Date(ms).toISOString() : undefined;
  return (
    <time dateTime={iso} title={iso}>
      {fine && isMoment ? format.moment(ms, Date.now()) : format.when(ms, Date.now())}
    </time>
  );
}
