import type { ChosenChannel, Presence } from '../../components/messages/chosen_channel';
import { Panel, Skeleton } from '../../components/Panel';
import { useWords } from '../../components/words';
import { useSignal } from '../../lib/hooks';
import { middleCut, visible } from '../../lib/text';

const SHOWN_MAX = 8;

/** Who is subscribed to the chosen channel. */
export function Here({ channel }: { channel: ChosenChannel }) {
  const { t } = useWords();
  const presence = useSignal(channel.presence);
  return (
    <Panel
      title={t('presence.title')}
      scope={total(presence) === null ? undefined : t('presence.count', { n: total(presence) ?? 0 })}
      className="here"
    >
      <Content presence={presence} />
    </Panel>
  );
}

function Content({ presence }: { presence: Presence }) {
  const { t } = useWords();
  switch (presence.kind) {
    case 'loading':
      return <Skeleton lines={[60, 75]} />;
    case 'many':
      return <p className="t2">{t('presence.many')}</p>;
    case 'off':
      return <p className="t2">{t('presence.off')}</p>;
    case 'denied':
      return <p className="t2">{t('presence.denied')}</p>;
    case 'failed':
      return <p className="t2">{t('presence.failed')}</p>;
    case 'listed': {
      if (presence.sessions.length === 0) return <p className="t2">{t('presence.empty')}</p>;
      const sorted = [...presence.sessions].sort(
        (a, b) => Number(b.clientId === presence.own) - Number(a.clientId === presence.own) || (a.clientId < b.clientId ? -1 : 1),
      );
      const more = sorted.length - SHOWN_MAX;
      return (
        <ul className="here-list">
          {sorted.slice(0, SHOWN_MAX).map((session) => (
            <li key={session.clientId}>
              <bdi className="trunc" title={visible(session.user)}>
                {session.user === '' ? t('presence.anonymous') : visible(session.user)}
              </bdi>
              {session.clientId === presence.own ? (
                <span className="chip">{t('presence.you')}</span>
              ) : (
                <span className="mono t3" title={visible(session.clientId)}>
                  {visible(middleCut(session.clientId))}
                </span>
              )}
            </li>
          ))}
          {more > 0 && <li className="t3">{t('presence.more', { n: more })}</li>}
        </ul>
      );
    }
  }
}

function total(presence: Presence): number | null {
  return presence.kind === 'listed' ? presence.sessions.length : presence.kind === 'many' ? presence.total : null;
}
