import { useState } from 'react';
import { addFeed } from '../../client/admin/feeds';
import { Ask } from '../../components/dashboard/Ask';
import { useTell } from '../../components/dashboard/desk';
import { useWords } from '../../components/words';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';

/** The hub checks it like a feed of the configuration; here only what would be sent for nothing. */
export function AddFeed({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  const [name, setName] = useState('');
  const [url, setUrl] = useState('https://');
  const [channel, setChannel] = useState('');
  const add = useTell((admin, feed: string) => addFeed(admin, feed, { url: url.trim(), channel: channel.trim() }), {
    changes: [['feeds'], ['status']],
    done: (feed) => t('addFeed.done', { name: visible(feed) }),
    onDone: () => router.go(pathOf('upstreams', name.trim())),
  });
  const canDo = name.trim() !== '' && /^https?:\/\/[^/\s]+/.test(url.trim()) && channel.trim() !== '';
  return (
    <Ask
      title={t('feeds.add')}
      verb={t('addFeed.verb')}
      isWide
      isBusy={add.isBusy}
      canDo={canDo}
      error={add.error}
      onDone={() => add.run(name.trim())}
      onClose={onClose}
    >
      <p>{t('addFeed.text')}</p>
      <div className="form">
        <div className="field">
          <label htmlFor="feed-name">{t('addFeed.name')}</label>
          <input
            id="feed-name"
            className="input"
            value={name}
            maxLength={64}
            autoComplete="off"
            onChange={(event) => setName(event.target.value)}
          />
        </div>
        <div className="field">
          <label htmlFor="feed-url">{t('addFeed.url')}</label>
          <input
            id="feed-url"
            className="input mono"
            type="url"
            value={url}
            maxLength={2_048}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => setUrl(event.target.value)}
          />
        </div>
        <div className="field">
          <label htmlFor="feed-channel">{t('addFeed.channel')}</label>
          <input
            id="feed-channel"
            className="input mono"
            value={channel}
            maxLength={255}
            autoComplete="off"
            spellCheck={false}
            placeholder="ticks:{event}"
            aria-describedby="feed-channel-hint"
            onChange={(event) => setChannel(event.target.value)}
          />
          <p id="feed-channel-hint" className="field-hint">
            {t('addFeed.channelHint', { event: '{event}', pointer: '{/symbol}' })}
          </p>
        </div>
      </div>
    </Ask>
  );
}
