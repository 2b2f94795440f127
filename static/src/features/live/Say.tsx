import { type FormEvent, useRef, useState } from 'react';
import { HubError } from '../../client/hub';
import { Icon } from '../../components/Icon';
import { Notice, Panel } from '../../components/Panel';
import { reasonOf } from '../../components/reasons';
import { useWords } from '../../components/words';
import { timeOfDay, UNKNOWN } from '../../lib/format';
import { write } from '../../lib/frame';
import { useFrame, useSignal } from '../../lib/hooks';
import { visible } from '../../lib/text';
import type { LiveModel } from './model';

/** A message that everyone sees should be readable at a glance. */
const TEXT_CHARS_MAX = 280;

export function Say({ model }: { model: LiveModel }) {
  const { t } = useWords();
  return (
    <Panel title={t('say.title')} scope={model.config.chat === null ? undefined : t('say.scope')} className="say">
      {model.config.chat === null ? <Notice title={t('say.offTitle')}>{t('say.off')}</Notice> : <Chat model={model} />}
    </Panel>
  );
}

function Chat({ model }: { model: LiveModel }) {
  const words = useWords();
  const { t, format } = words;
  const connection = useSignal(model.hub.state);
  const [text, setText] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const [sends, setSends] = useState(0);
  const you = useRef<HTMLElement>(null);
  const hub = useRef<HTMLElement>(null);
  const back = useRef<HTMLElement>(null);
  const tabs = useRef<HTMLSpanElement>(null);
  const log = useRef<HTMLOListElement>(null);
  const empty = useRef<HTMLParagraphElement>(null);
  const version = useRef(-1);

  useFrame(() => {
    write(tabs.current, model.tabs === null ? t('say.tabs', { n: 1 }) : t('say.tabs', { n: model.tabs }));
    if (version.current === model.chat.version) return;
    version.current = model.chat.version;
    const { trip } = model.chat;
    write(you.current, model.chat.version > 0 && (trip.hubMs !== null || trip.backMs !== null) ? format.latency(0) : UNKNOWN);
    write(hub.current, format.latency(trip.hubMs));
    write(back.current, format.latency(trip.backMs));
    paintLog();
  });

  const paintLog = () => {
    if (log.current === null) return;
    const lines = model.chat.lines();
    log.current.replaceChildren(
      ...lines.map((line) => {
        const item = document.createElement('li');
        const time = document.createElement('span');
        time.className = 'say-time';
        time.textContent = line.atMs === null ? UNKNOWN : timeOfDay(line.atMs);
        const said = document.createElement('bdi');
        said.dir = 'auto';
        said.textContent = visible(line.text);
        said.title = said.textContent;
        const took = document.createElement('span');
        took.className = 'say-took';
        took.textContent = line.tookMs === null ? '' : format.latency(line.tookMs);
        item.append(time, said, took);
        return item;
      }),
    );
    if (empty.current !== null) empty.current.hidden = lines.length > 0;
  };

  const send = async (event: FormEvent) => {
    event.preventDefault();
    const said = text.trim();
    if (said === '' || connection.kind !== 'connected') return;
    setProblem(null);
    setText('');
    setSends((n) => n + 1);
    try {
      await model.say(said);
    } catch (error) {
      // What was typed meanwhile is worth more than what could not be sent.
      setText((typed) => (typed === '' ? said : typed));
      const { code, message } = error instanceof HubError ? error : new HubError(0, '');
      setProblem(t('say.failed', { reason: reasonOf(code, message, words) }));
    }
  };

  const isOffline = connection.kind !== 'connected';
  return (
    <>
      <div className="trip">
        <span className="trip-stop">
          {t('say.you')}
          <b ref={you}>{UNKNOWN}</b>
        </span>
        <span className="trip-way">{sends > 0 && <i key={sends} className="trip-dot" />}</span>
        <span className="trip-stop" title={t('say.hubTitle')}>
          {t('say.hub')}
          <b ref={hub}>{UNKNOWN}</b>
        </span>
        <span className="trip-way">{sends > 0 && <i key={sends} className="trip-dot is-second" />}</span>
        <span className="trip-stop" title={t('say.tabsTitle')}>
          <span ref={tabs}>{t('say.tabs', { n: 1 })}</span>
          <b ref={back}>{UNKNOWN}</b>
        </span>
      </div>
      <div className="say-log">
        <p ref={empty}>{t('say.empty')}</p>
        <ol ref={log} aria-label={t('say.log')} />
      </div>
      <form className="say-form" onSubmit={(event) => void send(event)}>
        <input
          className="input"
          aria-label={t('say.label')}
          aria-describedby="say-problem"
          placeholder={t('say.placeholder')}
          value={text}
          maxLength={TEXT_CHARS_MAX}
          autoComplete="off"
          enterKeyHint="send"
          onChange={(event) => setText(event.target.value)}
        />
        <button type="submit" className="button is-primary" disabled={isOffline} title={isOffline ? t('say.offline') : undefined}>
          <Icon name="send" />
          {t('say.send')}
        </button>
      </form>
      <p id="say-problem" className="say-problem" role="alert">
        {problem}
      </p>
    </>
  );
}
