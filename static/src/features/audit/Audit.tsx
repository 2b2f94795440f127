/** Who did what, and is the log whole? */

import { useCallback, useMemo, useRef, useState } from 'react';
import {
  type AuditPage,
  type AuditRow,
  type AuditWanted,
  listAudit,
  OUTCOMES,
  type Verdict,
  verifyAudit,
} from '../../client/admin/audit';
import { hubError, Reading, useAsk, useDesk, useWhy } from '../../components/dashboard/desk';
import { type Column, Table } from '../../components/dashboard/Table';
import { Chips, SearchField, Segments, When } from '../../components/dashboard/Tools';
import { Glyph, Icon, type Status } from '../../components/Icon';
import { Notice } from '../../components/Panel';
import { Problem } from '../../components/Problem';
import { useWords } from '../../components/words';
import { useInAddress } from '../../lib/hooks';
import { router } from '../../lib/router';
import { visible, visibleJson } from '../../lib/text';
import { csv, EXPORT_MAX, SPANS, save, spanMs, verbOf } from './audit_model';
import './audit.css';

const EVERY_MS = 5_000;
const PAGE = 200;

export default function Audit() {
  const { t } = useWords();
  const [actor, setActor] = useInAddress('actor');
  const [action, setAction] = useInAddress('action');
  const [outcome, setOutcome] = useInAddress('outcome');
  const [spanText, setSpan] = useInAddress('span');
  const span = SPANS.find((known) => known === spanText) ?? 'all';
  // Whole minutes: another question every time would never be answered from what is known.
  const from = span === 'all' ? null : Math.floor((Date.now() - spanMs(span)) / 60_000) * 60_000;
  const wanted: AuditWanted = { actor: actor.trim(), action: actionOf(action), outcome: outcome === '' ? null : outcome, from };
  const pages = usePages(wanted);
  const columns = useColumns();
  const [open, setOpen] = useState<number | null>(null);
  const shown = pages.rows.find(({ sequence }) => sequence === open) ?? null;

  return (
    <>
      <Head wanted={wanted} />
      <div className="tools">
        <SearchField label={t('audit.action')} value={action} onChange={setAction} />
        <input
          className="input audit-actor"
          aria-label={t('audit.actor')}
          placeholder={t('audit.actor')}
          value={actor}
          maxLength={256}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setActor(event.target.value)}
        />
        <Chips
          label={t('audit.outcome')}
          chosen={outcome}
          onChoose={setOutcome}
          choices={[{ id: '', label: t('filter.all') }, ...OUTCOMES.map((id) => ({ id, label: t(`audit.outcome.${id}`) }))]}
        />
        <div className="tools-end">
          <Segments
            label={t('audit.span')}
            chosen={span}
            onChoose={(next) => setSpan(next === 'all' ? '' : next)}
            choices={SPANS.map((id) => ({ id, label: t(`audit.span.${id}`) }))}
          />
        </div>
      </div>
      <div className={shown === null ? 'split' : 'split has-detail'}>
        <section className="panel list-panel audit-list" aria-label={t('view.audit')}>
          <Reading asked={pages.asked} title={t('audit.failed')} right="audit.read">
            {() =>
              pages.rows.length === 0 ? (
                <div className="panel-pad">
                  <Notice
                    title={t('audit.noneTitle')}
                    action={
                      <button
                        type="button"
                        className="button"
                        onClick={() => router.adjust({ actor: null, action: null, outcome: null, span: null })}
                      >
                        {t('search.clearAll')}
                      </button>
                    }
                  >
                    {t('audit.none')}
                  </Notice>
                </div>
              ) : (
                <Table
                  label={t('view.audit')}
                  columns={columns(setOpen)}
                  count={pages.rows.length}
                  rowAt={(index) => pages.rows[index]}
                  keyOf={(row) => String(row.sequence)}
                  chosen={open === null ? null : String(open)}
                  onChoose={(row) => setOpen(row.sequence === open ? null : row.sequence)}
                  onVisible={pages.onVisible}
                  smallHeight={78}
                  small={(row) => <SmallRow row={row} onOpen={() => setOpen(row.sequence)} />}
                />
              )
            }
          </Reading>
        </section>
        {shown !== null && <Detail row={shown} onClose={() => setOpen(null)} />}
      </div>
      <div className="view-foot">
        <span>
          {pages.asked.kind === 'ready' && t(pages.hasMore ? 'audit.shownMore' : 'audit.shown', { n: pages.rows.length })}
        </span>
      </div>
    </>
  );
}

/** `sessions` and `sessions.kick` are meant as `admin.sessions…`; other actions are named as they are. */
function actionOf(typed: string): string {
  const action = typed.trim();
  if (action === '' || action.startsWith('admin.') || /^(?:login|logout|password|user|key)\b/.test(action)) return action;
  return `admin.${action}`;
}

/** The newest page is read again and again; older ones as far as the reader scrolls. */
function usePages(wanted: AuditWanted) {
  const { admin } = useDesk();
  const key = JSON.stringify(wanted);
  const asked = useAsk<AuditPage>(['audit', key], () => listAudit(admin, wanted, null, PAGE), { everyMs: EVERY_MS });
  const [older, setOlder] = useState<{ key: string; rows: readonly AuditRow[]; next: number | null } | null>(null);
  const isAsking = useRef(false);
  const first = asked.kind === 'ready' && !asked.isPrevious ? asked.value : null;
  const own = older?.key === key ? older : null;
  const rows = useMemo(() => {
    const head = first?.rows ?? [];
    const least = head.at(-1)?.sequence ?? Number.POSITIVE_INFINITY;
    return own === null ? head : [...head, ...own.rows.filter(({ sequence }) => sequence < least)];
  }, [first, own]);
  const next = own === null ? (first?.next ?? null) : own.next;
  const onVisible = useCallback(
    (_: number, last: number) => {
      if (next === null || isAsking.current || last < rows.length - PAGE / 4) return;
      isAsking.current = true;
      const question = JSON.parse(key) as AuditWanted;
      listAudit(admin, question, next, PAGE)
        .then((page) =>
          setOlder((before) => ({ key, rows: [...(before?.key === key ? before.rows : []), ...page.rows], next: page.next })),
        )
        // What cannot be had now is asked for when the reader scrolls on.
        .catch(() => {})
        .finally(() => {
          isAsking.current = false;
        });
    },
    [admin, key, next, rows.length],
  );
  return { asked, rows, onVisible, hasMore: next !== null };
}

function outcomeStatus(outcome: string): Status {
  switch (outcome) {
    case 'done':
      return 'ok';
    case 'failed':
      return 'crit';
    case 'refused':
      return 'warn';
    case 'begun':
      return 'move';
    default:
      return 'off';
  }
}

function OutcomeOf({ outcome }: { outcome: string }) {
  const { t } = useWords();
  const known = OUTCOMES.find((one) => one === outcome);
  const status = outcomeStatus(outcome);
  return (
    <span className={status === 'ok' || status === 'off' ? 'state' : `state is-${status}`}>
      <Glyph status={status} />
      {known === undefined ? visible(outcome) : t(`audit.outcome.${known}`)}
    </span>
  );
}

function useColumns(): (open: (sequence: number) => void) => readonly Column<AuditRow>[] {
  const { t } = useWords();
  return useCallback(
    (open) => [
      { id: 'time', head: t('audit.time'), width: '128px', cell: (row) => <When ms={row.atMs} fine /> },
      {
        id: 'actor',
        head: t('audit.who'),
        width: 'minmax(90px, 1fr)',
        cell: (row) => <bdi className="is-strong">{visible(row.actor)}</bdi>,
      },
      {
        id: 'action',
        head: t('audit.what'),
        width: 'minmax(140px, 1.5fr)',
        cell: (row) => (
          <button type="button" className="row-button mono" data-stop="" onClick={() => open(row.sequence)}>
            {visible(verbOf(row.action))}
          </button>
        ),
      },
      {
        id: 'object',
        head: t('audit.object'),
        width: 'minmax(90px, 1.4fr)',
        cell: (row) => <bdi className="mono">{visible(row.object)}</bdi>,
      },
      { id: 'outcome', head: t('audit.outcome'), width: '112px', cell: (row) => <OutcomeOf outcome={row.outcome} /> },
      {
        id: 'from',
        head: t('audit.from'),
        width: 'minmax(90px, 0.9fr)',
        from: 'wide',
        cell: (row) => <span className="t2">{visible(row.origin.split(' ')[0] ?? '')}</span>,
      },
      {
        id: 'sequence',
        head: '#',
        width: '64px',
        isNumber: true,
        from: 'wide',
        cell: (row) => <span className="t3">{row.sequence}</span>,
      },
    ],
    [t],
  );
}

function SmallRow({ row, onOpen }: { row: AuditRow; onOpen: () => void }) {
  return (
    <>
      <div>
        <button type="button" className="row-button mono" data-stop="" onClick={onOpen}>
          {visible(verbOf(row.action))}
        </button>
        <OutcomeOf outcome={row.outcome} />
      </div>
      <div className="is-second">
        <bdi>{visible(row.actor)}</bdi>
        <When ms={row.atMs} fine />
      </div>
      <div className="is-second">
        <bdi className="trunc mono">{visible(row.object)}</bdi>
      </div>
    </>
  );
}

function Detail({ row, onClose }: { row: AuditRow; onClose: () => void }) {
  const { t } = useWords();
  return (
    <div className="detail">
      <section className="panel" aria-label={t('audit.record')}>
        <div className="detail-head">
          <div className="detail-name">
            <h2 className="mono">{visible(verbOf(row.action))}</h2>
            <p>{t('audit.recordOf', { sequence: String(row.sequence) })}</p>
          </div>
          <button type="button" className="button is-quiet is-square" aria-label={t('action.close')} onClick={onClose}>
            <Icon name="close" />
          </button>
        </div>
        <dl className="facts audit-facts">
          <div>
            <dt>{t('audit.time')}</dt>
            <dd>
              <When ms={row.atMs} fine />
            </dd>
          </div>
          <div>
            <dt>{t('audit.who')}</dt>
            <dd>{visible(row.actor)}</dd>
          </div>
          <div>
            <dt>{t('audit.from')}</dt>
            <dd className="mono">{visible(row.origin)}</dd>
          </div>
          {row.object !== '' && (
            <div>
              <dt>{t('audit.object')}</dt>
              <dd className="mono">{visible(row.object)}</dd>
            </div>
          )}
          <div>
            <dt>{t('audit.outcome')}</dt>
            <dd>
              <OutcomeOf outcome={row.outcome} />
            </dd>
          </div>
        </dl>
        <pre className="block">{visibleJson(row.details)}</pre>
        <p className="hint">
          {t('audit.hash')} <span className="mono audit-hash">{visible(row.hash)}</span>
        </p>
      </section>
    </div>
  );
}

type Verified =
  | { readonly kind: 'idle' }
  | { readonly kind: 'asking' }
  | { readonly kind: 'known'; readonly verdict: Verdict; readonly atMs: number }
  | { readonly kind: 'failed'; readonly why: string };

/** Whether the chain holds, when one asks; and the way to take the log along. */
function Head({ wanted }: { wanted: AuditWanted }) {
  const { t, format } = useWords();
  const { admin, say, rights } = useDesk();
  const why = useWhy();
  const [verified, setVerified] = useState<Verified>({ kind: 'idle' });
  const [isExporting, setIsExporting] = useState(false);
  if (rights !== null && !rights.has('audit.read')) return null;
  const verify = async () => {
    setVerified({ kind: 'asking' });
    try {
      setVerified({ kind: 'known', verdict: await verifyAudit(admin), atMs: Date.now() });
    } catch (error) {
      setVerified({ kind: 'failed', why: why(hubError(error)) });
    }
  };
  const take = async (as: 'json' | 'csv') => {
    setIsExporting(true);
    const rows: AuditRow[] = [];
    try {
      let after: number | null = null;
      do {
        const page: AuditPage = await listAudit(admin, wanted, after, 500);
        rows.push(...page.rows);
        after = page.next;
      } while (after !== null && rows.length < EXPORT_MAX);
      const isCut = after !== null;
      if (as === 'csv') save('audit.csv', 'text/csv', csv(rows));
      else save('audit.jsonl', 'application/jsonl', rows.map(({ record }) => `${JSON.stringify(record)}\n`).join(''));
      say({ status: 'ok', text: t(isCut ? 'audit.exportedCut' : 'audit.exported', { n: rows.length }) });
    } catch (error) {
      say({ status: 'crit', text: why(hubError(error)) });
    } finally {
      setIsExporting(false);
    }
  };
  const isBroken = verified.kind === 'known' && !verified.verdict.isWhole;
  return (
    <section className="panel audit-head" aria-label={t('audit.chain')}>
      <div className="audit-verdict">
        <Glyph status={verified.kind === 'known' ? (isBroken ? 'crit' : 'ok') : verified.kind === 'asking' ? 'move' : 'off'} />
        <div role="status">
          {verified.kind === 'idle' && t('audit.notVerified')}
          {verified.kind === 'asking' && t('audit.verifying')}
          {verified.kind === 'known' &&
            (isBroken
              ? t('audit.broken', { n: verified.verdict.faultsInAll })
              : t('audit.whole', { n: verified.verdict.records, time: format.when(verified.atMs, Date.now()) }))}
          {verified.kind === 'failed' && verified.why}
        </div>
      </div>
      <div className="form-row">
        <button type="button" className="button" disabled={verified.kind === 'asking'} onClick={() => void verify()}>
          <Icon name="audit" />
          {t('audit.verify')}
        </button>
        <button type="button" className="button" disabled={isExporting} onClick={() => void take('json')}>
          <Icon name="download" />
          JSON
        </button>
        <button type="button" className="button" disabled={isExporting} onClick={() => void take('csv')}>
          <Icon name="download" />
          CSV
        </button>
      </div>
      {isBroken && (
        <Problem>
          {t('audit.brokenText')} {verified.verdict.faults.map(visible).join(' ')}
        </Problem>
      )}
    </section>
  );
}
