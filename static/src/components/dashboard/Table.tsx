/**
 * A table of any length: only the rows that can be seen are in the document. Columns are a grid's; each row has one link or button that the
 * keyboard stops at, and arrows move from row to row. Sorting is the caller's, by a button in each head that can be sorted by.
 */

import { useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { Icon } from '../Icon';
import { useWords } from '../words';

export interface Column<T> {
  readonly id: string;
  readonly head: ReactNode;
  /** As a grid track: `minmax(0, 1fr)`, `72px`. */
  readonly width: string;
  readonly isNumber?: boolean;
  readonly canSort?: boolean;
  /** The narrowest windows do without. */
  readonly from?: 'medium' | 'wide';
  readonly cell: (row: T) => ReactNode;
}

export interface Sort {
  readonly by: string;
  readonly descending: boolean;
}

/** Rows beyond those that can be seen, so that scrolling shows no white. */
const OVERSCAN = 8;
/** Widths of the table itself, px: with details beside it, it is narrower than the window. */
const WIDE = 900;
const MEDIUM = 620;
const SMALL = 520;

export function Table<T>({
  label,
  columns,
  count,
  rowAt,
  keyOf,
  chosen,
  onChoose,
  sort,
  onSort,
  small,
  rowHeight = 34,
  smallHeight = 60,
  onVisible,
  className = '',
}: {
  label: string;
  columns: readonly Column<T>[];
  count: number;
  /** `undefined`: not read yet. */
  rowAt: (index: number) => T | undefined;
  keyOf: (row: T) => string;
  /** The key of the row whose details are shown. */
  chosen?: string | null;
  onChoose?: (row: T) => void;
  sort?: Sort;
  onSort?: (sort: Sort) => void;
  /** A row on a phone: two lines. Without it the columns are kept. */
  small?: (row: T) => ReactNode;
  rowHeight?: number;
  smallHeight?: number;
  onVisible?: (first: number, last: number) => void;
  className?: string;
}) {
  const { t } = useWords();
  const scroller = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(WIDE);
  useLayoutEffect(() => {
    const { current } = scroller;
    if (current === null) return;
    const observer = new ResizeObserver(() => setWidth(current.offsetWidth));
    setWidth(current.offsetWidth);
    observer.observe(current);
    return () => observer.disconnect();
  }, []);
  const rowPx = useRowHeight(rowHeight);
  const [stop, setStop] = useState(0);
  const isSmall = width < SMALL && small !== undefined;
  const size = isSmall ? smallHeight : rowPx;
  const virtual = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => size,
    overscan: OVERSCAN,
    getItemKey: (index) => {
      const row = rowAt(index);
      return row === undefined ? index : keyOf(row);
    },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another height is what it measures anew for.
  useEffect(() => virtual.measure(), [virtual, size]);
  const items = virtual.getVirtualItems();
  const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  useEffect(() => onVisible?.(first, last), [onVisible, first, last]);

  // The head keeps the place of the rows' scroll bar free, where there is one.
  const hasBar = virtual.getTotalSize() > (virtual.scrollRect?.height ?? 0) + 1;
  const shown = columns.filter(({ from }) => (from === 'wide' ? width >= WIDE : from === 'medium' ? width >= MEDIUM : true));
  const tracks = shown.map(({ width }) => width).join(' ');

  // The row may have to be scrolled to, and read, before there is something in it to stand on.
  const wanted = useRef<number | null>(null);
  useEffect(() => {
    if (wanted.current === null) return;
    const row = scroller.current?.querySelector(`[data-index="${wanted.current}"]`);
    const link = row?.querySelector<HTMLElement>('[data-stop]');
    if (link === null || link === undefined) return;
    wanted.current = null;
    link.focus({ preventScroll: true });
  });

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = Number((event.target as Element).closest('[data-index]')?.getAttribute('data-index') ?? Number.NaN);
    if (Number.isNaN(at)) return;
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? size) / size) - 1);
    const to = {
      ArrowDown: at + 1,
      j: at + 1,
      ArrowUp: at - 1,
      k: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: count - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = Math.min(count - 1, Math.max(0, to));
    setStop(next);
    wanted.current = next;
    virtual.scrollToIndex(next);
  };

  return (
    <div
      className={`table ${className}`}
      role="table"
      aria-label={label}
      data-bar={hasBar ? '' : undefined}
      aria-rowcount={count + 1}
      onKeyDown={onKeyDown}
    >
      <div role="rowgroup" className={isSmall ? 'sr-only' : 'table-head'}>
        <div role="row" aria-rowindex={1} className="table-row" style={{ gridTemplateColumns: tracks }}>
          {shown.map(({ id, head, isNumber, canSort }) => {
            const isBy = sort?.by === id;
            return (
              <div
                key={id}
                role="columnheader"
                className={isNumber === true ? 'is-number' : undefined}
                aria-sort={canSort !== true ? undefined : isBy ? (sort.descending ? 'descending' : 'ascending') : 'none'}
              >
                {canSort === true && onSort !== undefined ? (
                  <button
                    type="button"
                    className="table-sort"
                    tabIndex={isSmall ? -1 : undefined}
                    onClick={() => onSort({ by: id, descending: isBy ? !sort.descending : isNumber === true })}
                  >
                    {head}
                    <span className="table-sort-mark" data-way={isBy ? (sort.descending ? 'down' : 'up') : undefined}>
                      <Icon name="down" />
                    </span>
                  </button>
                ) : (
                  head
                )}
              </div>
            );
          })}
        </div>
      </div>
      <div
        ref={scroller}
        className="table-scroll"
        role="rowgroup"
        aria-label={label}
        style={{ flexBasis: virtual.getTotalSize() }}
      >
        <div role="presentation" className="table-all" style={{ height: virtual.getTotalSize() }}>
          {items.map((item) => {
            const row = rowAt(item.index);
            const isChosen = row !== undefined && chosen !== undefined && chosen === keyOf(row);
            return (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the link in the row is what the keyboard uses.
              <div
                key={item.key}
                role="row"
                aria-rowindex={item.index + 2}
                aria-current={isChosen ? 'true' : undefined}
                data-index={item.index}
                data-stops={item.index === Math.min(stop, count - 1) ? '' : undefined}
                className={isSmall ? 'table-row is-small' : 'table-row'}
                style={{
                  transform: `translateY(${item.start}px)`,
                  height: size,
                  gridTemplateColumns: isSmall ? undefined : tracks,
                }}
                onFocus={() => setStop(item.index)}
                onClick={(event) => {
                  const inside = event.target instanceof Element && event.target.closest('a, button, input, [role="menu"]');
                  if (row === undefined || inside || !(getSelection()?.isCollapsed ?? true)) return;
                  if (event.metaKey || event.ctrlKey) return;
                  onChoose?.(row);
                }}
              >
                {row === undefined ? (
                  <div role="cell" aria-colspan={shown.length} className="table-wait">
                    <i className="skeleton-60" />
                    <span className="sr-only">{t('table.wait')}</span>
                  </div>
                ) : isSmall ? (
                  <div role="cell" aria-colspan={shown.length} className="table-small">
                    {small(row)}
                  </div>
                ) : (
                  shown.map(({ id, isNumber, cell }) => (
                    <div key={id} role="cell" className={isNumber === true ? 'is-number' : undefined}>
                      {cell(row)}
                    </div>
                  ))
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** Rows follow the density, which is a token. */
function useRowHeight(least: number): number {
  const [height, setHeight] = useState(least);
  useEffect(() => {
    const read = () => {
      const token = Number.parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--row-h'));
      setHeight(Number.isFinite(token) ? Math.max(token, least) : least);
    };
    read();
    const observer = new MutationObserver(read);
    observer.observe(document.documentElement, { attributeFilter: ['data-density'] });
    return () => observer.disconnect();
  }, [least]);
  return height;
}
