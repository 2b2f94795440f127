/** Who is connected, who suffers, and what exactly did this client do? */

import { useMemo } from 'react';
import { browseSessions, type SessionRow } from '../../client/admin/sessions';
import { Reading } from '../../components/dashboard/desk';
import { type Column, Table } from '../../components/dashboard/Table';
import { Chips, SearchField } from '../../components/dashboard/Tools';
import { useRows } from '../../components/dashboard/window';
import { Link } from '../../components/Link';
import { Notice } from '../../components/Panel';
import { useWords } from '../../components/words';
import { device } from '../../lib/device';
import { useInAddress, useNow } from '../../lib/hooks';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';
import { SessionDetail } from './SessionDetail';
import { sortIn, transportName } from './session_words';
import './sessions.css';

const EVERY_MS = 3_000;

export default function Sessions({ thing }: { thing: string | null }) {
  const { t, format } = useWords();
  const [text, setText] = useInAddress('q');
  const [transport, setTransport] = useInAddress('transport');
  const [sortText, setSortText] = useInAddress('sort');
  const sort = sortIn(sortText);

  const wanted = {
    text: text.trim(),
    transport: transport === '' ? null : transport,
    sort: sort.by,
    descending: sort.descending,
  };
  const { asked, rowAt, onVisible } = useRows(
    ['sessions', 'browse', JSON.stringify(wanted)],
    (admin, range) => browseSessions(admin, { ...wanted, ...range }),
    EVERY_MS,
  );
  const now = useNow();
  const columns = useColumns(now);
  const choose = (row: SessionRow) => router.go(pathOf('sessions', row.id) + location.search);

  return (
    <>
      <div className="tools">
        <SearchField label={t('sessions.search')} value={text} onChange={setText} />
        {asked.kind === 'ready' && <Transports window={asked.value} chosen={transport} onChoose={setTransport} />}
      </div>
      <div className={thing === null ? 'split' : 'split has-detail'}>
        <section className="panel list-panel" aria-label={t('view.sessions')}>
          <Reading asked={asked} title={t('sessions.failed')} right="sessions.read">
            {(answer) =>
              answer.count === 0 ? (
                <div className="panel-pad">
                  {answer.inAll === 0 ? (
                    <Notice title={t('sessions.noneTitle')}>{t('sessions.none')}</Notice>
                  ) : (
                    <Notice
                      title={text === '' ? t('sessions.noneHere') : t('sessions.noMatchTitle', { q: visible(text) })}
                      action={
                        <button type="button" className="button" onClick={() => router.adjust({ q: null, transport: null })}>
                          {t('search.clearAll')}
                        </button>
                      }
                    >
                      {t('sessions.noMatch', { n: answer.inAll })}
                    </Notice>
                  )}
                </div>
              ) : (
                <Table
                  label={t('view.sessions')}
                  className="sessions-table"
                  columns={columns}
                  count={answer.count}
                  rowAt={rowAt}
                  keyOf={(row) => row.id}
                  chosen={thing}
                  onChoose={choose}
                  sort={sort}
                  onSort={(next) => setSortText(`${next.descending ? '-' : ''}${next.by}`)}
                  onVisible={onVisible}
                  small={(row) => <SmallRow row={row} now={now} />}
                />
              )
            }
          </Reading>
        </section>
        {thing !== null && <SessionDetail key={thing} id={thing} />}
      </div>
      <div className="view-foot">
        <span>
          {asked.kind === 'ready'
            ? t('sessions.shown', { n: asked.value.count, all: format.count(asked.value.inAll) })
            : '\u00a0'}
        </span>
        <span className="is-keys">
          <kbd>↑</kbd>
          <kbd>↓</kbd> {t('foot.move')} <kbd>↵</kbd> {t('foot.open')} <kbd>/</kbd> {t('foot.search')} <kbd>?</kbd>{' '}
          {t('foot.keys')}
        </span>
      </div>
    </>
  );
}

function Transports({
  window,
  chosen,
  onChoose,
}: {
  window: { readonly transports: ReadonlyMap<string, number> };
  chosen: string;
  onChoose: (id: string) => void;
}) {
  const words = useWords();
  const all = [...window.transports.values()].reduce((sum, count) => sum + count, 0);
  const there = [...window.transports].filter(([name, count]) => count > 0 || name === chosen);
  return (
    <Chips
      label={words.t('sessions.transport')}
      chosen={chosen}
      onChoose={onChoose}
      choices={[
        { id: '', label: words.t('filter.all'), count: all },
        ...there.map(([id, count]) => ({ id, label: transportName(id, words), count })),
      ]}
    />
  );
}

function useColumns(now: number): readonly Column<SessionRow>[] {
  const words = useWords();
  return useMemo(() => {
    const { t, format } = words;
    return [
      {
        id: 'user',
        head: t('sessions.user'),
        width: 'minmax(104px, 1.7fr)',
        canSort: true,
        cell: (row) => (
          <Link className="is-strong" data-stop="" href={pathOf('sessions', row.id) + location.search} title={visible(row.user)}>
            <UserName user={row.user} />
          </Link>
        ),
      },
      {
        id: 'transport',
        head: t('sessions.transport'),
        width: 'minmax(80px, 0.8fr)',
        cell: (row) => transportName(row.transport, words),
      },
      {
        id: 'address',
        head: t('sessions.from'),
        width: 'minmax(96px, 1fr)',
        canSort: true,
        from: 'medium',
        cell: (row) => <span className="mono">{row.address}</span>,
      },
      {
        id: 'device',
        head: t('sessions.device'),
        width: 'minmax(90px, 1fr)',
        from: 'wide',
        cell: (row) => <Device agent={row.device} />,
      },
      {
        id: 'since',
        head: t('sessions.for'),
        width: '92px',
        isNumber: true,
        canSort: true,
        cell: (row) => (row.sinceMs === null ? '–' : format.age(now - row.sinceMs)),
      },
      {
        id: 'subscriptions',
        head: t('sessions.channels'),
        width: '78px',
        isNumber: true,
        canSort: true,
        cell: (row) => (
          <span className={row.subscriptions === 0 ? 'is-nought' : undefined}>{format.count(row.subscriptions)}</span>
        ),
      },
      {
        id: 'last_seen',
        head: t('sessions.heard'),
        width: '84px',
        isNumber: true,
        canSort: true,
        from: 'medium',
        cell: (row) => (row.lastSeenMs === null ? '–' : format.age(Math.max(0, now - row.lastSeenMs))),
      },
    ];
  }, [words, now]);
}

/** What nobody has said is not a name. */
export function UserName({ user }: { user: string }) {
  const { t } = useWords();
  return user === '' ? <span className="t3">{t('session.anonymous')}</span> : <bdi>{visible(user)}</bdi>;
}

function Device({ agent }: { agent: string }) {
  const { browser, system, full } = device(agent);
  return <span title={full}>{[browser, system].filter((part) => part !== null).join(', ') || (full === '' ? '–' : full)}</span>;
}

function SmallRow({ row, now }: { row: SessionRow; now: number }) {
  const words = useWords();
  const { t, format } = words;
  return (
    <>
      <div>
        <Link className="is-strong" data-stop="" href={pathOf('sessions', row.id) + location.search}>
          <UserName user={row.user} />
        </Link>
        <span className="t2">{transportName(row.transport, words)}</span>
      </div>
      <div className="is-second">
        <span className="trunc">
          {row.address}
          {row.sinceMs !== null && `, ${format.age(now - row.sinceMs)}`}
        </span>
        <span>{t('sessions.nChannels', { n: row.subscriptions })}</span>
      </div>
    </>
  );
}
