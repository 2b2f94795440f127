/** Which channels carry the load, and does mine exist? */

import { useMemo } from 'react';
import { browseChannels, CHANNEL_ORDERS, type ChannelFacts, type ChannelOrder } from '../../client/admin/channels';
import { Reading } from '../../components/dashboard/desk';
import { type Column, Table } from '../../components/dashboard/Table';
import { SearchField, Segments } from '../../components/dashboard/Tools';
import { useRows } from '../../components/dashboard/window';
import { Link } from '../../components/Link';
import { Notice } from '../../components/Panel';
import { useWords } from '../../components/words';
import { useInAddress } from '../../lib/hooks';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';
import { ChannelView } from './ChannelView';
import { namespaceOf } from './namespace';
import './channels.css';

const EVERY_MS = 3_000;

export default function Channels({ thing }: { thing: string | null }) {
  return thing === null ? <List /> : <ChannelView key={thing} name={thing} />;
}

function List() {
  const { t, format } = useWords();
  const [text, setText] = useInAddress('q');
  const [orderText, setOrder] = useInAddress('order');
  const order: ChannelOrder = CHANNEL_ORDERS.find((known) => known === orderText) ?? 'rate';
  const { asked, rowAt, onVisible } = useRows(
    ['channels', 'browse', order, text],
    (admin, range) => browseChannels(admin, { text, sort: order, ...range }),
    EVERY_MS,
  );
  const columns = useColumns();

  return (
    <>
      <div className="tools">
        <SearchField label={t('chans.search')} value={text} onChange={setText} />
        <Segments
          label={t('chans.order')}
          chosen={order}
          onChoose={(next) => setOrder(next === 'rate' ? '' : next)}
          choices={CHANNEL_ORDERS.map((id) => ({ id, label: t(`chans.by.${id}`) }))}
        />
      </div>
      <section className="panel list-panel" aria-label={t('view.channels')}>
        <Reading asked={asked} title={t('chans.failed')} right="channels.read">
          {(answer) =>
            answer.count === 0 ? (
              <div className="panel-pad">
                {text === '' ? (
                  <Notice title={t('chans.noneTitle')}>{t('chans.none')}</Notice>
                ) : (
                  <Notice
                    title={t('channels.noMatchTitle', { q: visible(text) })}
                    action={
                      <button type="button" className="button" onClick={() => router.adjust({ q: null })}>
                        {t('search.clearAll')}
                      </button>
                    }
                  >
                    {t('chans.noMatch')}
                  </Notice>
                )}
              </div>
            ) : (
              <Table
                label={t('view.channels')}
                columns={columns}
                count={answer.count}
                rowAt={rowAt}
                keyOf={(row) => row.name}
                onChoose={(row) => router.go(pathOf('channels', row.name))}
                onVisible={onVisible}
                small={(row) => <SmallRow row={row} />}
              />
            )
          }
        </Reading>
      </section>
      <div className="view-foot">
        <span>
          {asked.kind === 'ready'
            ? t('chans.shown', { n: asked.value.count, subscribers: format.count(asked.value.subscribers) })
            : '\u00a0'}
        </span>
        <span className="is-keys">
          <kbd>↑</kbd>
          <kbd>↓</kbd> {t('foot.move')} <kbd>↵</kbd> {t('foot.open')} <kbd>/</kbd> {t('foot.search')}
        </span>
      </div>
    </>
  );
}

function useColumns(): readonly Column<ChannelFacts>[] {
  const { t, format } = useWords();
  return useMemo(() => {
    const nought = (value: number) => (value === 0 ? 'is-nought' : undefined);
    return [
      {
        id: 'name',
        head: t('chans.name'),
        width: 'minmax(140px, 2.4fr)',
        cell: (row) => (
          <Link className="mono" data-stop="" href={pathOf('channels', row.name)} title={visible(row.name)}>
            <bdi>{visible(row.name)}</bdi>
          </Link>
        ),
      },
      {
        id: 'namespace',
        head: t('chans.namespace'),
        width: 'minmax(80px, 1fr)',
        from: 'wide',
        cell: (row) => <span className="t2">{visible(namespaceOf(row.name)) || '–'}</span>,
      },
      {
        id: 'subscribers',
        head: t('chans.subscribers'),
        width: '96px',
        isNumber: true,
        cell: (row) => <span className={nought(row.subscribers)}>{format.short(row.subscribers)}</span>,
      },
      {
        id: 'rate',
        head: t('chans.rate'),
        width: '84px',
        isNumber: true,
        cell: (row) => <span className={nought(row.rate)}>{format.perSecond(row.rate)}</span>,
      },
      {
        id: 'delivered',
        head: t('chans.delivered'),
        width: '104px',
        isNumber: true,
        from: 'medium',
        cell: (row) => <span className={nought(row.rate)}>{format.perSecond(row.rate * row.subscribers)}</span>,
      },
      {
        id: 'history',
        head: t('chans.history'),
        width: '112px',
        isNumber: true,
        from: 'medium',
        cell: (row) =>
          row.history === null ? <span className="is-nought">–</span> : t('chans.kept', { n: row.history.publications }),
      },
      {
        id: 'bytes',
        head: t('chans.size'),
        width: '84px',
        isNumber: true,
        from: 'wide',
        cell: (row) => (row.history === null ? <span className="is-nought">–</span> : format.bytes(row.history.bytes)),
      },
    ];
  }, [t, format]);
}

function SmallRow({ row }: { row: ChannelFacts }) {
  const { t, format } = useWords();
  return (
    <>
      <div>
        <Link className="mono" data-stop="" href={pathOf('channels', row.name)}>
          <bdi>{visible(row.name)}</bdi>
        </Link>
        <span className="num">{format.short(row.subscribers)}</span>
      </div>
      <div className="is-second">
        <span>{t('chans.rateOf', { rate: format.perSecond(row.rate) })}</span>
        <span>{row.history === null ? t('chans.noHistory') : t('chans.kept', { n: row.history.publications })}</span>
      </div>
    </>
  );
}
