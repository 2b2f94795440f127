import { useCallback, useEffect, useRef, useState } from 'react';
import { Icon } from '../../components/Icon';
import { Notice, Panel } from '../../components/Panel';
import { reasonOf } from '../../components/reasons';
import { useWords } from '../../components/words';
import { timeOfDay, UNKNOWN } from '../../lib/format';
import { requestFrame, write } from '../../lib/frame';
import { useFrame, useSignal } from '../../lib/hooks';
import { visible } from '../../lib/text';
import type { ChosenChannel } from './chosen_channel';
import { SHOWN_PER_SECOND } from './message_feed';
import { MessageTable } from './message_table';
import type { LiveModel } from './model';

const FIGURES_EVERY_MS = 1_000;

export function NoMessages() {
  const { t } = useWords();
  return (
    <Panel title={t('messages.title')} className="messages">
      <Notice title={t('messages.chooseTitle')}>{t('messages.choose')}</Notice>
    </Panel>
  );
}

export function Messages({ model, channel }: { model: LiveModel; channel: ChosenChannel }) {
  const words = useWords();
  const { t, format } = words;
  const state = useSignal(channel.state);
  const [isPaused, setIsPaused] = useState(false);
  const panel = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const table = useRef<MessageTable | null>(null);
  const rate = useRef<HTMLElement>(null);
  const offset = useRef<HTMLElement>(null);
  const latency = useRef<HTMLElement>(null);
  const subscribers = useRef<HTMLElement>(null);
  const line = useRef<HTMLSpanElement>(null);
  const waiting = useRef<HTMLDivElement>(null);
  const figuresMs = useRef(0);

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
    figuresMs.current = 0;
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
      if (!panel.current?.matches(':hover, :focus-within')) return;
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
    if (now - figuresMs.current < FIGURES_EVERY_MS && now >= figuresMs.current) return;
    figuresMs.current = now;
    write(rate.current, format.perSecond(perSecond));
    write(offset.current, channel.offset === null ? UNKNOWN : format.count(channel.offset));
    write(latency.current, format.latency(channel.latencyMs));
    const list = model.channels.state.get();
    const row = list.kind === 'read' ? list.rows.find(({ name }) => name === channel.name) : undefined;
    write(subscribers.current, row === undefined ? UNKNOWN : format.short(row.subscribers));
  });

  return (
    <Panel
      label={t('messages.of', { name: visible(channel.name) })}
      title={
        <bdi className="channel-name" title={visible(channel.name)}>
          {visible(channel.name)}
        </bdi>
      }
      scope={
        state.kind === 'subscribed' ? (
          <span className="chip">{t(state.isRecoverable ? 'messages.recoverable' : 'messages.live')}</span>
        ) : undefined
      }
      className="messages is-flush"
    >
      <div ref={panel} className="messages-inner">
        <dl className="messages-figures">
          <div>
            <dt>{t('messages.rate')}</dt>
            <dd>
              <b ref={rate}>{UNKNOWN}</b>
            </dd>
          </div>
          <div title={t('messages.noOffset')}>
            <dt>{t('messages.offset')}</dt>
            <dd>
              <b ref={offset}>{UNKNOWN}</b>
            </dd>
          </div>
          <div title={t('messages.noLatency')}>
            <dt>{t('messages.latency')}</dt>
            <dd>
              <b ref={latency}>{UNKNOWN}</b>
            </dd>
          </div>
          <div>
            <dt>{t('messages.subscribers')}</dt>
            <dd>
              <b ref={subscribers}>{UNKNOWN}</b>
            </dd>
          </div>
        </dl>
        <div className="messages-bar">
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
      </div>
    </Panel>
  );
}
