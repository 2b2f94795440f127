/** What one session, user or channel does, live: entries of the hub's, which ends the trace by itself. */

import { useEffect, useRef, useState } from 'react';
import { parseEntry, startTrace, stopTrace, type TraceEntry, type TraceTarget } from '../../client/admin/trace';
import { timeOfDayFine } from '../../lib/format';
import { requestFrame } from '../../lib/frame';
import { useFrame, useNow } from '../../lib/hooks';
import { Ring } from '../../lib/ring';
import { cut, visible } from '../../lib/text';
import { Icon } from '../Icon';
import { Panel } from '../Panel';
import { Problem } from '../Problem';
import { useWords } from '../words';
import { hubError, useDesk, useWhy } from './desk';

const ENTRIES_MAX = 200;
const FACT_CHARS = 120;

type State =
  | { readonly kind: 'off' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'on'; readonly untilMs: number }
  | { readonly kind: 'ended'; readonly why: string }
  | { readonly kind: 'failed'; readonly why: string };

export function Trace({ target }: { target: TraceTarget }) {
  const { t, format } = useWords();
  const { hub, admin } = useDesk();
  const why = useWhy();
  const [state, setState] = useState<State>({ kind: 'off' });
  const [entries, setEntries] = useState<readonly TraceEntry[]>([]);
  const ring = useRef(new Ring<TraceEntry>(ENTRIES_MAX));
  const isNew = useRef(false);
  const end = useRef<() => void>(() => {});
  const now = useNow();
  useEffect(() => () => end.current(), []);
  useFrame(() => {
    if (!isNew.current) return;
    isNew.current = false;
    setEntries([...ring.current].reverse());
  });

  const start = async () => {
    setState({ kind: 'starting' });
    ring.current.clear();
    setEntries([]);
    let isWanted = true;
    end.current = () => {
      isWanted = false;
    };
    try {
      const trace = await startTrace(admin, target);
      const stopAsking = () => void stopTrace(admin, trace.id).catch(() => {});
      if (!isWanted) return stopAsking();
      const unwatch = hub.watch(trace.channel, {
        message: ({ bytes }) => {
          const entry = parseEntry(bytes);
          if (entry === null) return;
          if (entry.what === 'ended') setState({ kind: 'ended', why: String(entry.facts['why'] ?? '') });
          ring.current.push(entry);
          isNew.current = true;
          requestFrame();
        },
      });
      end.current = () => {
        unwatch();
        stopAsking();
      };
      setState({ kind: 'on', untilMs: Date.now() + trace.lastingMs });
    } catch (error) {
      if (isWanted) setState({ kind: 'failed', why: why(hubError(error)) });
    }
  };
  const stop = () => {
    end.current();
    end.current = () => {};
    setState({ kind: 'ended', why: '' });
  };

  const isOn = state.kind === 'on';
  return (
    <Panel
      title={t('trace.title')}
      scope={isOn ? t('trace.until', { time: format.age(Math.max(0, state.untilMs - now)) }) : t('trace.scope')}
    >
      <div className="form-row">
        <button
          type="button"
          className="button"
          disabled={state.kind === 'starting'}
          onClick={() => (isOn ? stop() : void start())}
        >
          <Icon name={isOn ? 'pause' : 'play'} />
          {t(isOn ? 'trace.stop' : 'trace.start')}
        </button>
        <span className="hint">
          {state.kind === 'ended'
            ? t(state.why === '' ? 'trace.stopped' : 'trace.ended', { why: visible(state.why) })
            : t('trace.hint')}
        </span>
      </div>
      {state.kind === 'failed' && <Problem>{state.why}</Problem>}
      {(isOn || entries.length > 0) && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard.
        <div className="trace" role="log" aria-live="off" aria-label={t('trace.title')} tabIndex={0}>
          {entries.length === 0 && <div className="t3">{t('trace.waiting')}</div>}
          {entries.map((entry, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: entries have no name, and rows no state.
            <div key={at}>
              <time>{entry.atMs === null ? '' : timeOfDayFine(entry.atMs)}</time>
              <b>{visible(entry.what)}</b>
              <span>{factsOf(entry)}</span>
            </div>
          ))}
        </div>
      )}
    </Panel>
  );
}

/** Who it is about is known; the rest as `name value`. */
export function factsOf({ facts }: TraceEntry): string {
  const said = Object.entries(facts)
    .filter(([name, value]) => name !== 'session' && name !== 'user' && value !== null && value !== '')
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return visible(cut(said.join(', '), FACT_CHARS));
}
