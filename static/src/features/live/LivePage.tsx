/** The Live page: does it work at all, and how do I use it? Only true data. */

import { type ReactNode, useEffect, useMemo, useState } from 'react';
import type { LiveConfig } from '../../client/config';
import type { HubOptions } from '../../client/hub';
import type { ChosenChannel } from '../../components/messages/chosen_channel';
import { StatusBar, StatusMark, useStatus } from '../../components/Status';
import { TopBar } from '../../components/TopBar';
import { useWords } from '../../components/words';
import { useSignal } from '../../lib/hooks';
import { visible } from '../../lib/text';
import { Channels } from './Channels';
import { Connection } from './Connection';
import { Snippets, Steps } from './Guide';
import { Here } from './Here';
import { Hero } from './Hero';
import { Messages, NoMessages } from './Messages';
import { LiveModel } from './model';
import { Pulse } from './Pulse';
import { useReturnedSentence } from './returned';
import { Say } from './Say';
import './live.css';

interface Props {
  readonly config: LiveConfig;
  /** As whom the page connects. */
  readonly tokens: HubOptions['tokens'];
  readonly noticed: HubOptions['noticed'];
  /** What stands at the end of the top bar. */
  readonly menu: ReactNode;
}

export function LivePage({ config, tokens, noticed, menu }: Props) {
  const [model, setModel] = useState<LiveModel | null>(null);
  useEffect(() => {
    const made = new LiveModel(config, { tokens, noticed });
    made.start();
    setModel(made);
    return () => made.stop();
  }, [config, tokens, noticed]);
  return model === null ? null : <Page model={model} menu={menu} />;
}

function Page({ model, menu }: { model: LiveModel; menu: ReactNode }) {
  const { t } = useWords();
  const said = useStatus(model);
  const back = useReturnedSentence(model);
  const [chosenName, choose] = useChosenName(model);
  const channel = useChosenChannel(model, chosenName);
  const { node, version } = model.config;

  return (
    <>
      <TopBar menu={menu}>
        <StatusMark said={said} />
        <StatusBar
          said={back === null || said.bar !== '' ? said : { ...said, status: 'ok', bar: back, spoken: back, action: 'none' }}
          watched={model}
        />
      </TopBar>
      <main id="main" className="page" tabIndex={-1}>
        <Hero hasFeed={model.config.demo !== null} />
        <div className="first">
          <Pulse model={model} />
          <Say model={model} />
        </div>
        <div className="inside">
          <Channels model={model} chosen={chosenName} onChoose={choose} />
          {channel === null ? <NoMessages /> : <Messages key={channel.name} model={model} channel={channel} />}
          <div className="aside">
            {channel !== null && <Here channel={channel} />}
            <Connection model={model} />
          </div>
        </div>
        <Snippets config={model.config} />
        <Steps />
      </main>
      <footer className="foot">
        {version !== '' && <span>{t('foot.version', { version: visible(version) })}</span>}
        {node !== '' && <span>{t('foot.node', { node: visible(node) })}</span>}
      </footer>
    </>
  );
}

/** The chosen channel is part of the address, so that a link carries it and Back works. Without one: the feed, or what lives here. */
function useChosenName(model: LiveModel): [string | null, (name: string) => void] {
  const [named, setNamed] = useState(nameInAddress);
  const list = useSignal(model.channels.state);
  const [fallback, setFallback] = useState(model.config.demo?.channel ?? model.config.chat);
  const first = list.kind === 'read' ? list.rows[0]?.name : undefined;

  useEffect(() => {
    // Once found, it stays: the first of a list changes.
    if (fallback === null && first !== undefined) setFallback(first);
  }, [fallback, first]);
  useEffect(() => {
    const onPop = () => setNamed(nameInAddress());
    addEventListener('popstate', onPop);
    return () => removeEventListener('popstate', onPop);
  }, []);

  const choose = (name: string) => {
    if (name === nameInAddress()) return;
    history.pushState(null, '', `?channel=${encodeURIComponent(name)}`);
    setNamed(name);
  };
  return [named ?? fallback, choose];
}

function nameInAddress(): string | null {
  const name = new URLSearchParams(location.search).get('channel');
  return name === '' ? null : name;
}

function useChosenChannel(model: LiveModel, name: string | null): ChosenChannel | null {
  const channel = useMemo(() => (name === null ? null : model.choose(name)), [model, name]);
  useEffect(() => {
    channel?.open();
    return () => channel?.close();
  }, [channel]);
  return channel;
}
