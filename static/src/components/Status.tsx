/** How fresh the page is: the mark in the top bar, the bar below it when that needs a sentence. */

import { useEffect, useRef, useState } from 'react';
import { INVALID_TOKEN, KICKED } from '../client/codes';
import type { Hub } from '../client/hub';
import { timeOfDay } from '../lib/format';
import { useFrame } from '../lib/hooks';
import type { Words } from '../lib/i18n';
import { loginPath } from '../lib/router';
import { type Bar, freshness, type Mark } from './freshness';
import { Glyph, type Status } from './Icon';
import { Link } from './Link';
import { reasonOf } from './reasons';
import { useWords } from './words';

/** What a page shows the state of. */
export interface Watched {
  readonly hub: Hub;
  /** When anything last came from the hub, our time. */
  readonly updatedMs: number | null;
  /** To the hub and back; `null`: nobody measured it. */
  readonly roundTripMs: number | null;
}

/** A live region that talks more often is a nuisance. */
const SPOKEN_EVERY_MS = 10_000;

export interface Said {
  readonly status: Status;
  readonly mark: string;
  readonly bar: string;
  /** Said aloud: without figures that change every second. */
  readonly spoken: string;
  readonly action: 'none' | 'now' | 'again' | 'signIn';
}

const QUIET: Said = { status: 'move', mark: '', bar: '', spoken: '', action: 'none' };

export function useStatus(watched: Watched): Said {
  const words = useWords();
  const [said, setSaid] = useState<Said>({ ...QUIET, mark: words.t('status.connecting') });
  useFrame((now) => {
    const { mark, bar } = freshness(watched.hub.state.get(), watched.updatedMs, now);
    const next = { ...markSaid(mark, watched, words), ...barSaid(bar, watched, words, now) };
    // React keeps an update that changes nothing until it renders again, which on a quiet page is never.
    if (Object.keys(next).some((key) => next[key as keyof Said] !== said[key as keyof Said])) setSaid(next);
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

export function StatusBar({ said, watched }: { said: Said; watched: Watched }) {
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
          {said.action === 'signIn' && (
            <Link className="button is-quiet" href={loginPath(location.pathname + location.search)}>
              {t('bar.signIn')}
            </Link>
          )}
          {(said.action === 'now' || said.action === 'again') && (
            <button type="button" className="button is-quiet" onClick={() => watched.hub.connect()}>
              {t(said.action === 'now' ? 'bar.tryNow' : 'bar.tryAgain')}
            </button>
          )}
        </div>
      )}
    </>
  );
}

function markSaid(mark: Mark, watched: Watched, { t, format }: Words): Pick<Said, 'status' | 'mark'> {
  switch (mark.kind) {
    case 'connecting':
      return { status: 'move', mark: t('status.connecting') };
    case 'fresh': {
      const transport = t('transport.websocket');
      return watched.roundTripMs === null
        ? { status: 'ok', mark: t('status.connected', { transport }) }
        : { status: 'ok', mark: t('status.connectedIn', { transport, latency: format.latency(watched.roundTripMs) }) };
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

function barSaid(bar: Bar, watched: Watched, words: Words, nowMs: number): Pick<Said, 'bar' | 'spoken' | 'action'> {
  const { t, format } = words;
  const time = timeOfDay(watched.updatedMs ?? nowMs);
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
      const isLoginsEnd = watched.hub.isUsers && (bar.code === INVALID_TOKEN || bar.code === KICKED);
      return { bar: sentence, spoken: sentence, action: isLoginsEnd ? 'signIn' : 'again' };
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
