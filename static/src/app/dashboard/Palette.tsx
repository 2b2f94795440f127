/** Search or run: the views, what is on the hub by that name, and commands, which open in the console. It runs nothing by itself. */

import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import { browseChannels } from '../../client/admin/channels';
import { readHelp } from '../../client/admin/commands';
import { listFeeds } from '../../client/admin/feeds';
import { browseSessions } from '../../client/admin/sessions';
import { useAsk, useRight } from '../../components/dashboard/desk';
import { shownState, stateName } from '../../components/dashboard/feed_states';
import { Icon, type IconName } from '../../components/Icon';
import { useWords } from '../../components/words';
import { pathOf, router, VIEWS } from '../../lib/router';
import { visible } from '../../lib/text';

const TYPED_MS = 150;
/** Of each kind. */
const FOUND_MAX = 5;

interface Entry {
  readonly id: string;
  readonly icon: IconName;
  readonly name: string;
  readonly isMono: boolean;
  readonly note: string;
  readonly path: string;
}

export function Palette({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState('');
  const [wanted, setWanted] = useState('');
  const [at, setAt] = useState(0);
  const groups = useEntries(wanted);
  const all = groups.flatMap(({ entries }) => entries);
  const current = all[Math.min(at, all.length - 1)];

  useEffect(() => void dialog.current?.showModal(), []);
  useEffect(() => {
    const timer = setTimeout(() => {
      setWanted(typed.trim());
      setAt(0);
    }, TYPED_MS);
    return () => clearTimeout(timer);
  }, [typed]);

  const go = (entry: Entry) => {
    dialog.current?.close();
    router.go(entry.path);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
    if (to !== undefined && all.length > 0) {
      event.preventDefault();
      setAt((to + all.length) % all.length);
    } else if (event.key === 'Enter' && current !== undefined) {
      event.preventDefault();
      go(current);
    }
  };
  return (
    <dialog ref={dialog} className="dialog palette" aria-label={t('palette.open')} onClose={onClose}>
      <div className="palette-field">
        <Icon name="search" />
        <input
          role="combobox"
          aria-expanded="true"
          aria-controls={id}
          aria-activedescendant={current === undefined ? undefined : `${id}-${current.id}`}
          aria-label={t('palette.open')}
          placeholder={t('palette.placeholder')}
          value={typed}
          maxLength={200}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setTyped(event.target.value)}
          onKeyDown={onKeyDown}
        />
      </div>
      <div role="listbox" id={id} className="palette-list" aria-label={t('palette.found')} tabIndex={-1}>
        {groups.map(
          ({ title, entries }) =>
            entries.length > 0 && (
              <div key={title} role="group" aria-label={title}>
                <p aria-hidden="true">{title}</p>
                {entries.map((entry) => (
                  // biome-ignore lint/a11y/useKeyWithClickEvents: the field above has the keys.
                  <div
                    key={entry.id}
                    id={`${id}-${entry.id}`}
                    role="option"
                    aria-selected={entry === current}
                    className="palette-entry"
                    onClick={() => go(entry)}
                    onPointerMove={() => setAt(all.indexOf(entry))}
                  >
                    <Icon name={entry.icon} />
                    <bdi className={entry.isMono ? 'mono trunc' : 'trunc'}>{entry.name}</bdi>
                    <small>{entry.note}</small>
                  </div>
                ))}
              </div>
            ),
        )}
        {all.length === 0 && (
          <div className="palette-none" role="option" aria-selected="false" aria-disabled="true">
            {t('palette.none', { q: visible(typed.trim()) })}
          </div>
        )}
      </div>
    </dialog>
  );
}

function useEntries(wanted: string): readonly { readonly title: string; readonly entries: readonly Entry[] }[] {
  const words = useWords();
  const { t } = words;
  const isSearch = wanted !== '';
  const like = (text: string) => text.toLowerCase().includes(wanted.toLowerCase());
  const [mayChannels, maySessions, mayFeeds] = [useRight('channels.read'), useRight('sessions.read'), useRight('upstream.read')];
  const channels = useAsk(
    ['channels', 'palette', wanted],
    (admin) => browseChannels(admin, { text: wanted, sort: 'name', skip: 0, limit: FOUND_MAX }),
    {
      isWanted: isSearch && mayChannels,
    },
  );
  const sessions = useAsk(
    ['sessions', 'palette', wanted],
    (admin) =>
      browseSessions(admin, { text: wanted, transport: null, sort: 'user', descending: false, skip: 0, limit: FOUND_MAX }),
    { isWanted: isSearch && maySessions },
  );
  const feeds = useAsk(['feeds', 'list'], listFeeds, { isWanted: isSearch && mayFeeds });
  const commands = useAsk(['help'], readHelp);

  const views = VIEWS.map(
    (view): Entry => ({
      id: `view-${view}`,
      icon: view === 'sessions' ? 'person' : view,
      name: t(`view.${view}`),
      isMono: false,
      note: '',
      path: pathOf(view),
    }),
  );
  const found: Entry[] = [];
  if (isSearch && feeds.kind === 'ready')
    for (const feed of feeds.value.feeds.filter(({ name }) => like(name)).slice(0, FOUND_MAX))
      found.push({
        id: `feed-${feed.name}`,
        icon: 'upstreams',
        name: visible(feed.name),
        isMono: false,
        note: t('palette.feed', { state: stateName(shownState(feed), words) }),
        path: pathOf('upstreams', feed.name),
      });
  if (isSearch && channels.kind === 'ready' && !channels.isPrevious)
    for (const channel of channels.value.rows)
      found.push({
        id: `channel-${channel.name}`,
        icon: 'channels',
        name: visible(channel.name),
        isMono: true,
        note: t('palette.channel', { n: channel.subscribers }),
        path: pathOf('channels', channel.name),
      });
  if (isSearch && sessions.kind === 'ready' && !sessions.isPrevious)
    for (const session of sessions.value.rows)
      found.push({
        id: `session-${session.id}`,
        icon: 'person',
        name: session.user === '' ? t('session.anonymous') : visible(session.user),
        isMono: false,
        note: t('palette.session', { address: session.address }),
        path: pathOf('sessions', session.id),
      });
  const known = commands.kind === 'ready' && isSearch ? commands.value : [];
  return [
    { title: t('palette.go'), entries: [...views.filter(({ name }) => like(name)), ...found] },
    {
      title: t('view.console'),
      entries: known
        .filter(({ name, summary }) => like(name) || like(summary))
        .slice(0, FOUND_MAX)
        .map((command) => ({
          id: `command-${command.name}`,
          icon: 'console' as const,
          name: command.name,
          isMono: true,
          note: t('palette.console'),
          path: `${pathOf('console')}?command=${encodeURIComponent(command.name)}`,
        })),
    },
  ];
}
