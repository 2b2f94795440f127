import { useRef } from 'react';
import type { ChosenChannel } from '../../components/messages/chosen_channel';
import { MessageList } from '../../components/messages/MessageList';
import { Notice, Panel } from '../../components/Panel';
import { useWords } from '../../components/words';
import { UNKNOWN } from '../../lib/format';
import { write } from '../../lib/frame';
import { useFrame, useSignal } from '../../lib/hooks';
import { visible } from '../../lib/text';
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
  const { t, format } = useWords();
  const state = useSignal(channel.state);
  const rate = useRef<HTMLElement>(null);
  const offset = useRef<HTMLElement>(null);
  const latency = useRef<HTMLElement>(null);
  const subscribers = useRef<HTMLElement>(null);
  const figuresMs = useRef(0);

  useFrame((now) => {
    if (now - figuresMs.current < FIGURES_EVERY_MS && now >= figuresMs.current) return;
    figuresMs.current = now;
    write(rate.current, format.perSecond(channel.rate.perSecond(now)));
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
      <div className="messages-inner">
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
        <MessageList channel={channel} />
      </div>
    </Panel>
  );
}
