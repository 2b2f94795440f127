import { useState } from 'react';
import { addFeed } from '../../client/admin/feeds';
import { Ask } from '../../components/dashboard/Ask';
import { useTell } from '../../components/dashboard/desk';
import { TextField } from '../../components/dashboard/TextField';
import { useWords } from '../../components/words';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';
import { type FeedDraft, NO_DRAFT } from './draft';

/** The hub checks it like a feed of the configuration; here only what would be sent for nothing. */
export function AddFeed({ draft = NO_DRAFT, onClose }: { draft?: FeedDraft; onClose: () => void }) {
  const { t } = useWords();
  const [name, setName] = useState(draft.name);
  const [url, setUrl] = useState(draft.address);
  const [channel, setChannel] = useState(draft.channel);
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
        <TextField id="feed-name" label={t('addFeed.name')} value={name} maxLength={64} onText={setName} />
        <TextField id="feed-url" label={t('addFeed.url')} isMono type="url" value={url} maxLength={2_048} onText={setUrl} />
        <TextField
          id="feed-channel"
          label={t('addFeed.channel')}
          isMono
          value={channel}
          maxLength={255}
          placeholder="ticks:{event}"
          hint={t('addFeed.channelHint', { event: '{event}', pointer: '{/symbol}' })}
          onText={setChannel}
        />
      </div>
    </Ask>
  );
}
