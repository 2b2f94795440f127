/** How fresh the page is: the mark in the top bar, the bar below it when that needs a sentence. */

import { useEffect, useRef, useState } from 'react';
import { Glyph, type Status } from '../../components/Icon';
import { useWords } from '../../components/words';
import { timeOfDay } from '../../lib/format';
import { useFrame, useSignal } from '../../lib/hooks';
import type { Words } from '../../lib/i18n';
import { type Bar, freshness, type Mark } from './freshness';
import { summarize } from './journal';
import type { LiveModel } from './model';
import { reasonOf } from './reasons';

/** How long the bar says what came back. */
const BACK_MS = 3_000;
/** A live region that talks more often is a nuisance. */
const SPOKEN_EVERY_MS = 10_000;

interface Said {
  readonly status: Status;
  readonly mark: string;
  readonly bar: string;
  /** Said aloud: without figures that change every second. */
  readonly spoken: string;
  readonly action: 'none' | 'now' | 'again';
}

const QUIET: Said = { status: 'move', mark: '', bar: '', spoken: '', action: 'none' };

export function useStatus(model: LiveModel): Said {
  const words = useWords();
  const [said, setSaid] = useState<Said>({ ...QUIET, mark: words.t('status.connecting') });
  useFrame((now) => {
    const { mark, bar } = freshness(model.hub.state.get(), model.updatedMs, now);
    const next = { ...markSaid(mark, model, words), ...barSaid(bar, model, words, now) };
    setSaid((before) =>
      Object.keys(next).every((key) => next[key as keyof Said] === before[key as keyof Said]) ? before : next,
    );
  });
  return said;
}

export function StatusMark({ said }: { said: Said }) {
  return (
    <span className="status-mark">
      <Glyph status={said.status} />
      <span className="trunc">{said.mark}</span>
    </span>
  );
}

export function StatusBar({ said, model }: { said: Said; model: LiveModel }) {
  const { t } = useWords();
  const spoken = useThrottled(said.spoken);
  return (
    <>
      <p role="status" className="sr-only">
        {spoken}
      </p>
      {said.bar !== '' && (
        <div className="status-bar" data-status={said.status}>
          <Glyph status={said.status} />
          <span aria-hidden={said.spoken !== said.bar}>{said.bar}</span>
          {said.action !== 'none' && (
            <button type="button" className="button is-quiet" onClick={() => model.hub.connect()}>
              {t(said.action === 'now' ? 'bar.tryNow' : 'bar.tryAgain')}
            </button>
          )}
        </div>
      )}
    </>
  );
}

/** The sentence about the last return, while it is news. */
export function useReturnedSentence(model: LiveModel): string | null {
  const words = useWords();
  const returned = useSignal(model.returned);
  const [isNews, setIsNews] = useState(false);
  useEffect(() => {
    if (returned === null) return;
    setIsNews(true);
    const timer = setTimeout(() => setIsNews(false), BACK_MS);
    return () => clearTimeout(timer);
  }, [returned]);
  return isNews && returned !== null ? returnSentence(summarize(returned.recoveries), words) : null;
}

export function returnSentence(back: ReturnType<typeof summarize>, { t }: Words): string {
  switch (back.kind) {
    case 'recovered':
      return back.messages === 0 ? t('back.nothing') : t('back.recovered', { n: back.messages });
    case 'missed':
      return t('back.missed', { n: back.messages });
    case 'unknown':
      return t('back.unknown');
    case 'plain':
      return t('back.plain');
  }
}

function markSaid(mark: Mark, model: LiveModel, { t, format }: Words): Pick<Said, 'status' | 'mark'> {
  switch (mark.kind) {
    case 'connecting':
      return { status: 'move', mark: t('status.connecting') };
    case 'fresh': {
      const transport = t('transport.websocket');
      return model.roundTripMs === null
        ? { status: 'ok', mark: t('status.connected', { transport }) }
        : { status: 'ok', mark: t('status.connectedIn', { transport, latency: format.latency(model.roundTripMs) }) };
    }
    case 'old':
      return { status: 'warn', mark: t('status.old', { age: format.age(mark.ageMs) }) };
    case 'reconnecting':
      return { status: 'move', mark: t('status.reconnecting') };
    case 'restarting':
      return { status: 'move', mark: t('status.restarting') };
    case 'ended':
      return { status: 'crit', mark: t('status.ended') };
  }
}

function barSaid(bar: Bar, model: LiveModel, words: Words, nowMs: number): Pick<Said, 'bar' | 'spoken' | 'action'> {
  const { t, format } = words;
  const time = timeOfDay(model.updatedMs ?? nowMs);
  switch (bar.kind) {
    case 'none':
      return { bar: '', spoken: '', action: 'none' };
    case 'stale':
      return { bar: t('bar.stale', { age: format.age(bar.ageMs), time }), spoken: t('bar.spoken.stale'), action: 'none' };
    case 'never':
      return { bar: t('bar.never', { wait: wait(bar.waitMs, words) }), spoken: t('bar.spoken.lost'), action: 'now' };
    case 'reconnecting': {
      const age = format.age(bar.ageMs);
      return bar.waitMs === null
        ? { bar: t('bar.trying', { age, time }), spoken: t('bar.spoken.lost'), action: 'none' }
        : { bar: t('bar.waiting', { age, time, wait: wait(bar.waitMs, words) }), spoken: t('bar.spoken.lost'), action: 'now' };
    }
    case 'restarting':
      return { bar: t('bar.restarting'), spoken: t('bar.restarting'), action: 'none' };
    case 'ended': {
      const sentence = t('bar.ended', { reason: reasonOf(bar.code, bar.reason, words) });
      return { bar: sentence, spoken: sentence, action: 'again' };
    }
  }
}

/** A countdown that ends at one: nought seconds would be a lie for most of a second. */
function wait(ms: number, { format }: Words): string {
  return format.age(Math.max(1, Math.ceil(ms / 1000)) * 1000);
}

function useThrottled(text: string): string {
  const [spoken, setSpoken] = useState(text);
  const last = useRef(0);
  useEffect(() => {
    const waitMs = Math.max(0, last.current + SPOKEN_EVERY_MS - Date.now());
    const timer = setTimeout(() => {
      last.current = Date.now();
      setSpoken(text);
    }, waitMs);
    return () => clearTimeout(timer);
  }, [text]);
  return spoken;
}
