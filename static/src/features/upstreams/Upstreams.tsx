/** Is every feed delivering, and is the trouble one feed's or a host's? */

import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { type FeedList, type FeedRow, feedMoves, listFeeds, type Stay } from '../../client/admin/feeds';
import { Reading, useAsk, useDesk, useRight } from '../../components/dashboard/desk';
import {
  delivers,
  feedReason,
  lookOf,
  segments,
  shownState,
  stateName,
  worstFirst,
} from '../../components/dashboard/feed_states';
import { Ribbon } from '../../components/dashboard/Ribbon';
import { type Column, Table } from '../../components/dashboard/Table';
import { Chips, FigureOf, Figures, SearchField } from '../../components/dashboard/Tools';
import { Glyph, Icon } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Notice } from '../../components/Panel';
import { useWords } from '../../components/words';
import { timeOfDay, UNKNOWN } from '../../lib/format';
import { useInAddress } from '../../lib/hooks';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';
import { AddFeed } from './AddFeed';
import { Doctor } from './Doctor';
import { type FeedDraft, NO_DRAFT } from './draft';
import { FeedView } from './FeedView';
import './upstreams.css';

const EVERY_MS = 2_000;
/** A move is told at once; this is for what the telling missed. */
const MOVES_EVERY_MS = 15_000;
/** Moves within this time are one reason to ask. */
const SETTLE_MS = 300;
export const WINDOW_MS = 3_600_000;

export default function Upstreams({ thing }: { thing: string | null }) {
  useMovesTold();
  return thing === null ? <List /> : <FeedView key={thing} name={thing} />;
}

/** The hub says when a feed moves: then the list is read at once. */
function useMovesTold(): void {
  const { hub } = useDesk();
  const queries = useQueryClient();
  const maySee = useRight('sessions.read');
  useEffect(() => {
    if (!maySee) return;
    let timer = 0;
    const stop = hub.watch('$admin:events', {
      message: ({ bytes }) => {
        if (timer !== 0 || !new TextDecoder().decode(bytes).includes('"feed_moved"')) return;
        timer = window.setTimeout(() => {
          timer = 0;
          void queries.invalidateQueries({ queryKey: ['feeds'] });
        }, SETTLE_MS);
      },
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [hub, queries, maySee]);
}

const FILTERS = ['all', 'trouble', 'open', 'moving', 'resting'] as const;
type Filter = (typeof FILTERS)[number];

function groupOf(feed: FeedRow): Exclude<Filter, 'all'> {
  const state = shownState(feed);
  const { fill } = lookOf(state);
  if (fill === 'crit' || fill === 'warn') return 'trouble';
  if (fill === 'move') return 'moving';
  return fill === 'off' ? 'resting' : 'open';
}

function List() {
  const { t } = useWords();
  const asked = useAsk(['feeds', 'list'], listFeeds, { everyMs: EVERY_MS });
  const moves = useAsk(['feeds', 'moves'], feedMoves, { everyMs: MOVES_EVERY_MS });
  const [adding, setAdding] = useState<FeedDraft | null>(null);
  const [isChecking, setIsChecking] = useState(false);
  const mayAdd = useRight('upstream.write');
  return (
    <>
      <Reading asked={asked} title={t('feeds.failed')} right="upstream.read">
        {(list) =>
          list.feeds.length === 0 ? (
            <section className="panel" aria-label={t('view.upstreams')}>
              <Notice
                title={t('feeds.noneTitle')}
                action={
                  <span className="notice-actions">
                    <button type="button" className="button is-primary" disabled={!mayAdd} onClick={() => setAdding(NO_DRAFT)}>
                      <Icon name="plus" />
                      {t('feeds.add')}
                    </button>
                    <button type="button" className="button" disabled={!mayAdd} onClick={() => setIsChecking(true)}>
                      <Icon name="doctor" />
                      {t('doctor.open')}
                    </button>
                  </span>
                }
              >
                {t('feeds.none')}
              </Notice>
            </section>
          ) : (
            <Known
              list={list}
              stays={moves.kind === 'ready' ? moves.value : null}
              staysMs={moves.kind === 'ready' ? moves.updatedMs : 0}
              onAdd={mayAdd ? () => setAdding(NO_DRAFT) : null}
              onCheck={() => setIsChecking(true)}
            />
          )
        }
      </Reading>
      {adding !== null && <AddFeed draft={adding} onClose={() => setAdding(null)} />}
      {isChecking && (
        <Doctor
          feed={null}
          onAdd={(draft) => {
            setIsChecking(false);
            setAdding(draft);
          }}
          onClose={() => setIsChecking(false)}
        />
      )}
    </>
  );
}

function Known({
  list,
  stays,
  staysMs,
  onAdd,
  onCheck,
}: {
  list: FeedList;
  stays: ReadonlyMap<string, readonly Stay[]> | null;
  staysMs: number;
  onAdd: (() => void) | null;
  onCheck: () => void;
}) {
  const { t, format } = useWords();
  const [text, setText] = useInAddress('q');
  const [filterText, setFilter] = useInAddress('state');
  const filter: Filter = FILTERS.find((known) => known === filterText) ?? 'all';
  const { feeds } = list;
  const counts = (of: Filter) => (of === 'all' ? feeds.length : feeds.filter((feed) => groupOf(feed) === of).length);
  const rows = useMemo(() => {
    const like = text.trim().toLowerCase();
    return feeds
      .filter((feed) => (filter === 'all' || groupOf(feed) === filter) && feed.name.toLowerCase().includes(like))
      .sort(worstFirst);
  }, [feeds, filter, text]);
  const columns = useColumns(stays, staysMs);
  const sum = (of: (feed: FeedRow) => number) => feeds.reduce((all, feed) => all + of(feed), 0);
  const open = feeds.filter((feed) => delivers(feed.state)).length;
  return (
    <>
      <Figures>
        <FigureOf label={t('feeds.open')} value={format.count(open)} unit={t('feeds.of', { n: feeds.length })} />
        <FigureOf label={t('feeds.in')} value={format.perSecond(sum((feed) => feed.perMinute) / 60)} unit={t('unit.msgs')} />
        <FigureOf
          label={t('feeds.errors')}
          value={format.count(sum((feed) => feed.errorsPerMinute))}
          unit={t('feeds.lastMinute')}
        />
        <FigureOf label={t('feeds.gaps')} value={format.count(sum((feed) => feed.gaps))} unit={t('feeds.sinceStart')} />
        <FigureOf
          label={t('feeds.connections')}
          value={format.count(list.held)}
          unit={list.waiting > 0 ? t('feeds.waiting', { n: list.waiting }) : t('feeds.rotating', { n: list.rotating })}
        />
      </Figures>
      <div className="tools">
        <SearchField label={t('feeds.search')} value={text} onChange={setText} />
        <Chips
          label={t('feeds.state')}
          chosen={filter}
          onChoose={(id) => setFilter(id === 'all' ? '' : id)}
          choices={FILTERS.filter((id) => id === 'all' || id === filter || counts(id) > 0).map((id) => ({
            id,
            label: t(`feeds.filter.${id}`),
            count: counts(id),
          }))}
        />
        {onAdd !== null && (
          <div className="tools-end">
            <button type="button" className="button" onClick={onCheck}>
              <Icon name="doctor" />
              {t('doctor.open')}
            </button>
            <button type="button" className="button is-primary" onClick={onAdd}>
              <Icon name="plus" />
              {t('feeds.add')}
            </button>
          </div>
        )}
      </div>
      <section className="panel list-panel feeds-panel" aria-label={t('view.upstreams')}>
        {rows.length === 0 ? (
          <div className="panel-pad">
            <Notice
              title={
                text === ''
                  ? t('feeds.noneLike', { state: t(`feeds.filter.${filter}`) })
                  : t('feeds.noMatch', { q: visible(text) })
              }
              action={
                <button type="button" className="button" onClick={() => router.adjust({ q: null, state: null })}>
                  {t('search.clearAll')}
                </button>
              }
            >
              {t('feeds.inAll', { n: feeds.length })}
            </Notice>
          </div>
        ) : (
          <Table
            label={t('view.upstreams')}
            columns={columns}
            count={rows.length}
            rowAt={(index) => rows[index]}
            keyOf={(row) => row.name}
            onChoose={(row) => router.go(pathOf('upstreams', row.name))}
            smallHeight={86}
            small={(row) => <SmallRow feed={row} stays={stays?.get(row.name) ?? []} staysMs={staysMs} />}
          />
        )}
      </section>
      <div className="view-foot">
        <span>{t('feeds.shown', { shown: format.count(rows.length), n: feeds.length })}</span>
        <span className="is-keys">
          <kbd>↑</kbd>
          <kbd>↓</kbd> {t('foot.move')} <kbd>↵</kbd> {t('foot.open')} <kbd>/</kbd> {t('foot.search')}
        </span>
      </div>
    </>
  );
}

export function FeedStateOf({ feed, withAge = true }: { feed: FeedRow; withAge?: boolean }) {
  const words = useWords();
  const state = shownState(feed);
  const { status } = lookOf(state);
  const why = feed.reason === null || status === 'ok' ? undefined : feedReason(feed.reason, words);
  return (
    <span className={status === 'ok' ? 'state' : `state is-${status}`} title={why}>
      <Glyph status={status} />
      <span className="trunc">{stateName(state, words)}</span>
      {withAge && status !== 'ok' && <small>{words.format.age(feed.sinceMs)}</small>}
    </span>
  );
}

/** What was known some time ago is older by now. */
function aged(stays: readonly Stay[], staysMs: number): readonly Stay[] {
  const byMs = Math.max(0, Date.now() - staysMs);
  return stays.map(([agoMs, state]): Stay => [agoMs + byMs, state]);
}

function useColumns(stays: ReadonlyMap<string, readonly Stay[]> | null, staysMs: number): readonly Column<FeedRow>[] {
  const words = useWords();
  return useMemo(() => {
    const { t, format } = words;
    const silent = (feed: FeedRow) => {
      if (feed.silentMs === null) return UNKNOWN;
      return t('feeds.ago', { age: format.age(feed.silentMs) });
    };
    return [
      {
        id: 'name',
        head: t('feeds.feed'),
        width: 'minmax(120px, 1.3fr)',
        cell: (row) => (
          <Link className="is-strong" data-stop="" href={pathOf('upstreams', row.name)} title={visible(row.name)}>
            <bdi>{visible(row.name)}</bdi>
          </Link>
        ),
      },
      { id: 'state', head: t('feeds.state'), width: '168px', cell: (row) => <FeedStateOf feed={row} /> },
      {
        id: 'ribbon',
        head: (
          <span className="scale">
            <span>{timeOfDay(Date.now() - WINDOW_MS).slice(0, 5)}</span>
            <span>{timeOfDay(Date.now() - WINDOW_MS / 2).slice(0, 5)}</span>
            <span>{t('feeds.now')}</span>
          </span>
        ),
        width: 'minmax(120px, 2.2fr)',
        cell: (row) =>
          stays === null ? null : (
            <Ribbon segments={segments(aged(stays.get(row.name) ?? [], staysMs), WINDOW_MS)} windowMs={WINDOW_MS} />
          ),
      },
      {
        id: 'rate',
        head: t('feeds.perMinute'),
        width: '98px',
        isNumber: true,
        cell: (row) => <span className={row.perMinute === 0 ? 'is-nought' : undefined}>{format.short(row.perMinute)}</span>,
      },
      { id: 'last', head: t('feeds.last'), width: '96px', isNumber: true, cell: silent },
      {
        id: 'latency',
        head: t('feeds.latency'),
        width: '72px',
        isNumber: true,
        from: 'wide',
        cell: (row) => format.latency(row.latencyMs),
      },
      {
        id: 'age',
        head: t('feeds.age'),
        width: '84px',
        isNumber: true,
        from: 'wide',
        cell: (row) => (row.ageMs === null ? UNKNOWN : format.age(row.ageMs)),
      },
      {
        id: 'errors',
        head: t('feeds.errors'),
        width: '64px',
        isNumber: true,
        from: 'wide',
        cell: (row) => <span className={row.errors === 0 ? 'is-nought' : undefined}>{format.short(row.errors)}</span>,
      },
    ];
  }, [words, stays, staysMs]);
}

function SmallRow({ feed, stays, staysMs }: { feed: FeedRow; stays: readonly Stay[]; staysMs: number }) {
  const { t, format } = useWords();
  return (
    <>
      <div>
        <Link className="is-strong trunc" data-stop="" href={pathOf('upstreams', feed.name)}>
          <bdi>{visible(feed.name)}</bdi>
        </Link>
        <FeedStateOf feed={feed} />
      </div>
      <div className="is-second">
        <span>{feed.silentMs === null ? t('feeds.neverRead') : t('feeds.lastAgo', { age: format.age(feed.silentMs) })}</span>
        <span>{t('feeds.rateOf', { n: format.short(feed.perMinute) })}</span>
      </div>
      <Ribbon segments={segments(aged(stays, staysMs), WINDOW_MS)} windowMs={WINDOW_MS} />
    </>
  );
}
