import { Glyph } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Panel } from '../../components/Panel';
import { reasonOf } from '../../components/reasons';
import { useWords } from '../../components/words';
import { timeOfDay } from '../../lib/format';
import { useSignal } from '../../lib/hooks';
import type { Words } from '../../lib/i18n';
import { CONNECTION_TEST } from '../../lib/router';
import type { Entry } from './journal';
import type { LiveModel } from './model';
import { returnSentence } from './returned';

/** What happened to this connection, newest first. */
export function Connection({ model }: { model: LiveModel }) {
  const words = useWords();
  const { t } = words;
  const entries = useSignal(model.journal.entries);
  const openedMs = useSignal(model.journal.openedMs);
  return (
    <Panel
      title={t('journal.title')}
      scope={
        <Link className="journal-test" href={CONNECTION_TEST} aria-label={`${t('journal.test')}: ${t('test.title')}`}>
          {t('journal.test')}
        </Link>
      }
      className="journal"
    >
      {entries.length === 0 ? (
        <p className="t2">{openedMs === null ? t('journal.waiting') : t('journal.empty', { time: timeOfDay(openedMs) })}</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a list that scrolls must be reachable by keyboard.
        <ol className="journal-list" tabIndex={0} aria-label={t('journal.title')}>
          {entries.map((entry) => (
            <li key={entry.id}>
              <time>{timeOfDay(entry.atMs)}</time>
              <Glyph status={statusOf(entry)} />
              <span>{sentenceOf(entry, words)}</span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

function statusOf(entry: Entry) {
  if (entry.kind !== 'back') return 'off';
  return entry.back.kind === 'missed' || entry.back.kind === 'unknown' ? 'warn' : 'ok';
}

function sentenceOf(entry: Entry, words: Words): string {
  switch (entry.kind) {
    case 'lost':
      return words.t('journal.lost', { reason: reasonOf(entry.code, entry.reason, words) });
    case 'shutdown':
      return words.t('journal.shutdown');
    case 'back':
      return returnSentence(entry.back, words);
  }
}
