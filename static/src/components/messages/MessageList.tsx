/** The messages of a channel as they come: the newest on top, never more than can be read, and none that move while paused. */

import { useCallback, useEffect, useRef, useState } from 'react';
import { timeOfDay } from '../../lib/format';
import { requestFrame, write } from '../../lib/frame';
import { useFrame, useSignal } from '../../lib/hooks';
import { Icon } from '../Icon';
import { Notice } from '../Panel';
import { reasonOf } from '../reasons';
import { useWords } from '../words';
import type { ChosenChannel } from './chosen_channel';
import { SHOWN_PER_SECOND } from './message_feed';
import { MessageTable } from './message_table';
import './messages.css';

export function MessageList({ channel }: { channel: ChosenChannel }) {
  const words = useWords();
  const { t, format } = words;
  const state = useSignal(channel.state);
  const [isPaused, setIsPaused] = useState(false);
  const bar = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const table = useRef<MessageTable | null>(null);
  const line = useRef<HTMLSpanElement>(null);
  const waiting = useRef<HTMLDivElement>(null);

  const pause = useCallback(
    (on: boolean) => {
      if (on) channel.feed.pause(Date.now());
      else channel.feed.resume();
      setIsPaused(on);
      requestFrame();
    },
    [channel],
  );

  useEffect(() => {
    if (body.current === null) return;
    const made = new MessageTable(body.current, words, () => pause(true));
    table.current = made;
    setIsPaused(false);
    return () => {
      made.destroy();
      table.current = null;
    };
  }, [words, pause]);

  // Space pauses while the pointer or the focus is here; elsewhere it scrolls the page as ever.
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== ' ' || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      const target = event.target instanceof Element ? event.target : null;
      if (target?.closest('input, textarea, select, button, a, [contenteditable]')) return;
      if (!bar.current?.parentElement?.matches(':hover, :focus-within')) return;
      event.preventDefault();
      pause(channel.feed.pausedAtMs === null);
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [channel, pause]);

  useFrame((now) => {
    const { feed } = channel;
    const rows = feed.take(now);
    if (rows.length > 0 && table.current !== null) {
      table.current.add(rows, (message) => {
        const latencyMs = channel.latencyOf(message);
        if (message.origin === 'live') channel.latencyMs = latencyMs;
        return { latencyMs, sentMs: message.origin === 'history' ? channel.sentMs(message) : null };
      });
    }
    if (waiting.current !== null) waiting.current.hidden = table.current === null || !table.current.isEmpty;
    const perSecond = channel.rate.perSecond(now);
    const paused = feed.pausedAtMs;
    write(
      line.current,
      paused !== null
        ? t('messages.paused', { time: timeOfDay(paused), n: feed.sincePause })
        : perSecond > SHOWN_PER_SECOND
          ? t('messages.sampled', { shown: SHOWN_PER_SECOND, n: format.perSecond(perSecond) })
          : '',
    );
  });

  return (
    <>
      <div ref={bar} className="messages-bar">
        <span ref={line} className="messages-line" />
        <button type="button" className="button" onClick={() => pause(!isPaused)} disabled={state.kind === 'refused'}>
          <Icon name={isPaused ? 'play' : 'pause'} />
          <span className="messages-toggle">{t(isPaused ? 'messages.resume' : 'messages.pause')}</span>
          <kbd aria-hidden="true">{t('messages.key')}</kbd>
        </button>
      </div>
      {state.kind === 'refused' ? (
        <div className="panel-pad">
          <Notice title={t('messages.refusedTitle')}>
            {t('refused.says', { reason: reasonOf(state.code, state.reason, words) })}
          </Notice>
        </div>
      ) : (
        <div className="messages-table" role="treegrid" aria-label={t('messages.title')} aria-live="off">
          <div role="rowgroup" className="messages-head">
            <div role="row">
              <span role="columnheader">{t('messages.time')}</span>
              <span role="columnheader">{t('messages.offset')}</span>
              <span role="columnheader">{t('messages.latency')}</span>
              <span role="columnheader">{t('messages.data')}</span>
              <span role="columnheader">{t('messages.size')}</span>
            </div>
          </div>
          <div ref={waiting} className="panel-pad t3" role="rowgroup">
            <div role="row">
              <span role="gridcell">{t(state.kind === 'subscribing' ? 'messages.subscribing' : 'messages.waiting')}</span>
            </div>
          </div>
          <div ref={body} role="rowgroup" className="messages-body" />
        </div>
      )}
    </>
  );
}
