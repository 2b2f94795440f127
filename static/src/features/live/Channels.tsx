import { type KeyboardEvent, type MouseEvent, useEffect, useMemo, useRef, useState } from 'react';
import { CHANNELS_MAX, type ChannelRow } from '../../client/channels';
import { Icon } from '../../components/Icon';
import { Notice, Panel, Skeleton } from '../../components/Panel';
import { causeOf } from '../../components/reasons';
import { useWords } from '../../components/words';
import { useSignal } from '../../lib/hooks';
import { visible } from '../../lib/text';
import type { LiveModel } from './model';

/** Rows keep their place between two sortings. */
const SORT_EVERY_MS = 5_000;

export function Channels({
  model,
  chosen,
  onChoose,
}: {
  model: LiveModel;
  chosen: string | null;
  onChoose: (name: string) => void;
}) {
  const words = useWords();
  const { t } = words;
  const list = useSignal(model.channels.state);
  const [query, setQuery] = useState('');
  const search = useRef<HTMLInputElement>(null);
  const body = useRef<HTMLUListElement>(null);
  const rows = list.kind === 'read' ? list.rows : list.kind === 'failed' ? list.last : [];
  const ordered = useHeldOrder(rows, body);
  const shown = useMemo(() => {
    const wanted = query.trim().toLowerCase();
    return wanted === '' ? ordered : ordered.filter((row) => row.name.toLowerCase().includes(wanted));
  }, [ordered, query]);

  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent) => {
      const isTyping =
        event.target instanceof Element && event.target.closest('input, textarea, select, [contenteditable]') !== null;
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      search.current?.focus();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);

  const onArrow = (event: KeyboardEvent) => {
    const links: Element[] = [...(body.current?.querySelectorAll('a') ?? [])];
    const at = document.activeElement === null ? -1 : links.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (to === undefined || at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const link = links[Math.min(links.length - 1, Math.max(0, to))];
    if (link instanceof HTMLElement) link.focus();
  };

  const choose = (event: MouseEvent, name: string) => {
    // Whoever wants a new tab gets one.
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onChoose(name);
  };

  const stop = shown.some((row) => row.name === chosen) ? chosen : shown[0]?.name;
  const scope =
    list.kind !== 'read'
      ? undefined
      : list.total > list.rows.length
        ? t('channels.some', { shown: list.rows.length, n: list.total })
        : t('channels.total', { n: list.total });

  return (
    <Panel title={t('channels.title')} scope={scope} className="channels is-flush">
      <div className="search">
        <Icon name="search" />
        <input
          ref={search}
          type="search"
          aria-label={t('channels.search')}
          placeholder={t('channels.search')}
          value={query}
          maxLength={255}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setQuery(event.target.value)}
        />
        <kbd aria-hidden="true">/</kbd>
      </div>
      <div className="channels-head" aria-hidden="true">
        <span>{t('channels.name')}</span>
        <span>{t('channels.subscribers')}</span>
        <span>{t('channels.rate')}</span>
      </div>
      {list.kind === 'failed' && (
        <div className="panel-problem" role="alert">
          <Notice
            title={t('channels.failedTitle')}
            action={
              <button type="button" className="button" onClick={() => model.channels.now()}>
                {t('action.retry')}
              </button>
            }
          >
            {t('channels.failed', { cause: causeOf(list.failure, words) })}
          </Notice>
        </div>
      )}
      {list.kind === 'loading' && (
        <div className="panel-pad">
          <Skeleton lines={[75, 60, 90]} />
        </div>
      )}
      {list.kind === 'read' && rows.length === 0 && (
        <div className="panel-pad">
          <Notice title={t('channels.emptyTitle')}>{t('channels.empty')}</Notice>
        </div>
      )}
      {rows.length > 0 && shown.length === 0 && (
        <div className="panel-pad">
          <Notice
            title={t('channels.noMatchTitle', { q: visible(query.trim()) })}
            action={
              <button type="button" className="button" onClick={() => setQuery('')}>
                {t('channels.clear')}
              </button>
            }
          >
            {t('channels.noMatch', { n: rows.length })}
          </Notice>
        </div>
      )}
      {shown.length > 0 && (
        <ul ref={body} className="channels-body" aria-label={t('channels.title')} onKeyDown={onArrow}>
          {shown.map((row) => (
            <ChannelItem key={row.name} row={row} isChosen={row.name === chosen} isStop={row.name === stop} onClick={choose} />
          ))}
        </ul>
      )}
    </Panel>
  );
}

function ChannelItem({
  row,
  isChosen,
  isStop,
  onClick,
}: {
  row: ChannelRow;
  isChosen: boolean;
  isStop: boolean;
  onClick: (event: MouseEvent, name: string) => void;
}) {
  const { t, format } = useWords();
  const name = visible(row.name);
  const subscribers = format.short(row.subscribers);
  const rate = format.perSecond(row.rate);
  return (
    <li>
      <a
        href={`?channel=${encodeURIComponent(row.name)}`}
        aria-current={isChosen ? 'true' : undefined}
        aria-label={t('channels.row', { name, subscribers, rate })}
        tabIndex={isStop ? 0 : -1}
        title={name}
        onClick={(event) => onClick(event, row.name)}
      >
        <bdi className="channel-name">{name}</bdi>
        <span>{subscribers}</span>
        <span className={row.rate === 0 ? 'is-nought' : undefined}>{rate}</span>
      </a>
    </li>
  );
}

/** Busiest first; sorted anew every 5 s, but never under a pointer or a focus. New channels wait at the end for that. */
function useHeldOrder(rows: readonly ChannelRow[], body: React.RefObject<HTMLElement | null>): readonly ChannelRow[] {
  const order = useRef<{ names: Map<string, number>; sortedMs: number }>({ names: new Map(), sortedMs: 0 });
  return useMemo(() => {
    const held = order.current;
    const isHeld = body.current?.matches(':hover, :focus-within') ?? false;
    const now = Date.now();
    // Names of channels that ended go with the next sorting; held for long, they may not pile up.
    if (held.names.size === 0 || held.names.size > 4 * CHANNELS_MAX || (!isHeld && now - held.sortedMs >= SORT_EVERY_MS)) {
      const sorted = [...rows].sort((a, b) => b.rate - a.rate || b.subscribers - a.subscribers || (a.name < b.name ? -1 : 1));
      held.names = new Map(sorted.map((row, at) => [row.name, at]));
      held.sortedMs = now;
    }
    for (const row of rows) if (!held.names.has(row.name)) held.names.set(row.name, held.names.size);
    return [...rows].sort((a, b) => (held.names.get(a.name) ?? 0) - (held.names.get(b.name) ?? 0));
  }, [rows, body]);
}
