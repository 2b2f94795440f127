/** Which ways into the hub work from this browser, and why one does not. */

import { type ReactNode, useEffect, useState } from 'react';
import type { FetchFailure } from '../../client/http';
import { Glyph, Icon } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Notice, Panel, Skeleton } from '../../components/Panel';
import { Problem } from '../../components/Problem';
import { causeOf } from '../../components/reasons';
import { TopBar } from '../../components/TopBar';
import { useWords } from '../../components/words';
import { timeOfDay } from '../../lib/format';
import { useSignal } from '../../lib/hooks';
import { LIVE } from '../../lib/router';
import { ConnectionTest, type Row } from './connection_test_model';
import { type Run, reportText, rowWords, type Surroundings, verdict } from './test_words';
import './connection_test.css';

/** How long a button says what it did. */
const SAID_MS = 2_000;

interface Props {
  /** The page that leads on from here. */
  readonly home: string;
  readonly menu: ReactNode;
}

export function ConnectionTestPage({ home, menu }: Props) {
  const { t } = useWords();
  const [test] = useState(() => new ConnectionTest());
  useEffect(() => {
    test.open();
    return () => test.close();
  }, [test]);
  return (
    <>
      <TopBar menu={menu}>{null}</TopBar>
      <main id="main" className="page connection-test" tabIndex={-1}>
        <div className="test-head">
          <h1>{t('test.title')}</h1>
          <Link className="test-home" href={home}>
            {t(home === LIVE ? 'test.home.live' : 'test.home.account')}
          </Link>
          <p className="t2">{t('test.intro')}</p>
        </div>
        <Content test={test} />
      </main>
    </>
  );
}

function Content({ test }: { test: ConnectionTest }) {
  const { t } = useWords();
  const state = useSignal(test.state);
  const again = () => void test.start();
  switch (state.kind) {
    case 'reading':
      return (
        <Panel title={t('test.panel')} className="test-panel">
          <Skeleton lines={[60, 75, 90, 60, 75]} />
        </Panel>
      );
    case 'failed':
      return <Failed failure={state.failure} onRetry={again} />;
    case 'run':
      return state.rows.every((row) => row.state.kind === 'off') ? (
        <Panel title={t('test.panel')} className="test-panel">
          <Notice title={t('test.emptyTitle')} action={<AgainButton onClick={again} />}>
            {t('test.empty')}
          </Notice>
        </Panel>
      ) : (
        <Results run={state} test={test} />
      );
  }
}

function Failed({ failure, onRetry }: { failure: FetchFailure; onRetry: () => void }) {
  const words = useWords();
  const { t } = words;
  return (
    <Panel title={t('test.panel')} className="test-panel">
      <Problem
        action={
          <button type="button" className="button" onClick={onRetry}>
            {t('action.retry')}
          </button>
        }
      >
        {t('test.failed', { cause: causeOf(failure, words) })}
      </Problem>
    </Panel>
  );
}

function AgainButton({ onClick }: { onClick: () => void }) {
  const { t } = useWords();
  return (
    <button type="button" className="button is-primary" onClick={onClick}>
      {t('test.again')}
    </button>
  );
}

function Results({ run, test }: { run: Run; test: ConnectionTest }) {
  const words = useWords();
  const { t } = words;
  const { rows, endedMs, isOld } = run;
  const { status, sentence } = verdict(run, words);
  const around = surroundings();
  const tried = rows.filter(({ state }) => state.kind !== 'off');
  const done = tried.filter(({ state }) => state.kind !== 'waiting' && state.kind !== 'testing').length;
  const hasStreams = tried.some(({ name }) => name !== 'websocketJson' && name !== 'websocketProtobuf');
  return (
    <>
      <div className="test-verdict" data-status={status} role="status">
        <Glyph status={status} />
        <b>{sentence}</b>
      </div>
      {isOld && endedMs !== null && <Problem status="warn">{t('test.stale', { time: timeOfDay(endedMs) })}</Problem>}
      <Panel
        title={t('test.panel')}
        scope={
          endedMs === null ? t('test.progress', { done, n: tried.length }) : t('test.finished', { time: timeOfDay(endedMs) })
        }
        className="test-panel is-flush"
      >
        <Table rows={rows} origin={around.origin} />
        <div className="test-foot">
          {endedMs === null ? (
            <button type="button" className="button" onClick={() => test.stop()}>
              {t('test.stop')}
            </button>
          ) : (
            <>
              <Copy text={() => reportText(run, around, words)} />
              <AgainButton onClick={() => void test.start()} />
            </>
          )}
        </div>
      </Panel>
      {hasStreams && around.protocol === 'http/1.1' && <p className="test-note">{t('test.six')}</p>}
    </>
  );
}

function Table({ rows, origin }: { rows: readonly Row[]; origin: string }) {
  const { t } = useWords();
  return (
    <div className="test-table" role="table" aria-label={t('test.panel')}>
      <div role="rowgroup" className="test-columns">
        <div role="row">
          <span role="columnheader">{t('test.way')}</span>
          <span role="columnheader">{t('test.result')}</span>
          <span role="columnheader">{t('test.open')}</span>
          <span role="columnheader">{t('test.first')}</span>
          <span role="columnheader">{t('test.roundTrip')}</span>
        </div>
      </div>
      <div role="rowgroup">
        {rows.map((row) => (
          <TestRow key={row.name} row={row} origin={origin} />
        ))}
      </div>
    </div>
  );
}

function TestRow({ row, origin }: { row: Row; origin: string }) {
  const words = useWords();
  const { t, format } = words;
  const { status, result, why } = rowWords(row, origin, words);
  const times = 'openMs' in row.state ? row.state : null;
  const figure = (label: string, ms: number | null) => (
    <div role="cell" className="test-figure">
      <small>{label}</small>
      {format.latency(ms)}
    </div>
  );
  return (
    <div role="row" data-way={row.name} data-state={row.state.kind} data-measured={times !== null && times.openMs !== null}>
      <div role="cell" className="test-way">
        <b>{t(`test.name.${row.name}`)}</b>
        {row.path !== null && <bdi className="mono t3">{row.path}</bdi>}
      </div>
      <div role="cell" className="test-result">
        <span>
          <Glyph status={status} />
          {result}
        </span>
        {why !== '' && <p>{why}</p>}
      </div>
      {figure(t('test.open'), times?.openMs ?? null)}
      {figure(t('test.first'), times?.firstMs ?? null)}
      {figure(t('test.roundTrip'), times?.roundTripMs ?? null)}
    </div>
  );
}

/** Without a secure context there is no clipboard: then the text itself appears, to be selected. */
function Copy({ text }: { text: () => string }) {
  const { t } = useWords();
  const [copied, setCopied] = useState<'idle' | 'done' | 'failed'>('idle');
  useEffect(() => {
    if (copied !== 'done') return;
    const timer = setTimeout(() => setCopied('idle'), SAID_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      setCopied('done');
    } catch {
      setCopied('failed');
    }
  };
  return (
    <>
      <button type="button" className="button" onClick={() => void copy()}>
        <Icon name={copied === 'done' ? 'check' : 'copy'} />
        {copied === 'failed' ? t('test.copyFailed') : copied === 'done' ? t('test.copied') : t('test.copy')}
      </button>
      {copied === 'failed' && (
        <textarea
          className="test-report"
          aria-label={t('test.report')}
          readOnly
          rows={10}
          value={text()}
          onFocus={(event) => event.target.select()}
        />
      )}
    </>
  );
}

function surroundings(): Surroundings {
  const [navigation] = performance.getEntriesByType('navigation');
  const protocol = navigation instanceof PerformanceNavigationTiming ? navigation.nextHopProtocol : '';
  return { origin: location.origin, browser: navigator.userAgent, protocol };
}
