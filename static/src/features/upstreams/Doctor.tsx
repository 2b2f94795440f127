/**
 * The doctor for feeds: what the hub sees when it reads an address as it reads its feeds, finding by finding as they are made, and the lines that
 * would read it. One is examined at a time on the whole hub; whoever comes back sees how the latest one ended.
 */

import { type ReactNode, useId, useState } from 'react';
import {
  beginCheck,
  type Checkup,
  endCheck,
  type Finding,
  type FindingLevel,
  readChecked,
  type Subject,
} from '../../client/admin/checkup';
import { Code } from '../../components/Code';
import { useModal } from '../../components/Dialog';
import { useAsk, useRight, useTell, useWhy } from '../../components/dashboard/desk';
import { TextField } from '../../components/dashboard/TextField';
import { Segments } from '../../components/dashboard/Tools';
import { Glyph, type Status } from '../../components/Icon';
import { Problem } from '../../components/Problem';
import { useWords } from '../../components/words';
import type { Key } from '../../lib/i18n';
import { visible } from '../../lib/text';
import { draftIn, type FeedDraft } from './draft';

const EVERY_MS = 1_000;
/** Seconds that one may have a feed listened to; the hub allows a minute. */
const SECONDS = ['10', '20', '60'] as const;
type Seconds = (typeof SECONDS)[number];

const STATUS: Readonly<Record<FindingLevel, Status>> = { fine: 'ok', note: 'info', warning: 'warn', problem: 'crit' };

export function Doctor({
  feed,
  onAdd,
  onClose,
}: {
  /** `null`: an address is asked for. */
  feed: string | null;
  /** Takes what was examined over as a new feed. */
  onAdd?: (draft: FeedDraft) => void;
  onClose: () => void;
}) {
  const { t } = useWords();
  const id = useId();
  const why = useWhy();
  const { dialog, cancel } = useModal();
  const [address, setAddress] = useState('https://');
  const [seconds, setSeconds] = useState<Seconds>('20');
  const mayControl = useRight('upstream.control');
  const mayWrite = useRight('upstream.write');
  const may = feed === null ? mayWrite : mayControl;
  const asked = useAsk(['feeds', 'checked'], readChecked, { everyMs: EVERY_MS, isWanted: mayControl });
  const latest = asked.kind === 'ready' ? asked.value.latest : null;
  const isOurs = latest !== null && latest.feed === feed;
  const isRunning = latest?.isRunning === true;
  const begin = useTell((admin, subject: Subject) => beginCheck(admin, subject, Number(seconds)), {
    changes: [['feeds', 'checked']],
    done: () => null,
  });
  const end = useTell((admin) => endCheck(admin), { changes: [['feeds', 'checked']], done: () => null });
  const canBegin = may && !isRunning && !begin.isBusy && (feed !== null || /^https?:\/\/[^/\s]+/.test(address.trim()));
  const title = feed === null ? t('doctor.title') : t('doctor.titleOf', { name: visible(feed) });
  const config = isOurs ? (latest?.config ?? null) : null;
  return (
    <dialog
      ref={dialog}
      className="dialog is-wide doctor"
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <h2 id={id}>{title}</h2>
      <p>{t(feed === null ? 'doctor.text' : 'doctor.textOf')}</p>
      <form
        className="doctor-ask"
        onSubmit={(event) => {
          event.preventDefault();
          if (canBegin) begin.run(feed === null ? { address: address.trim() } : { feed });
        }}
      >
        {feed === null && (
          <TextField
            id={`${id}-address`}
            label={t('addFeed.url')}
            isMono
            type="url"
            value={address}
            maxLength={2_048}
            onText={setAddress}
          />
        )}
        <div className="doctor-row">
          <span className="t2">{t('doctor.listen')}</span>
          <Segments
            label={t('doctor.listen')}
            chosen={seconds}
            onChoose={setSeconds}
            choices={SECONDS.map((one) => ({ id: one, label: `${one}\u202fs` }))}
          />
          {isRunning && isOurs ? (
            <button type="button" className="button" disabled={end.isBusy} onClick={() => end.run(undefined)}>
              {t('doctor.end')}
            </button>
          ) : (
            <button
              type="submit"
              className="button is-primary"
              aria-disabled={!canBegin}
              title={may ? undefined : t('doctor.mayNot')}
            >
              {t('doctor.begin')}
            </button>
          )}
        </div>
      </form>
      {!may && <p className="hint">{t('doctor.mayNot')}</p>}
      {begin.error !== null && <Problem>{why(begin.error)}</Problem>}
      {end.error !== null && <Problem>{why(end.error)}</Problem>}
      {asked.kind === 'failed' && <Problem>{why(asked.error)}</Problem>}
      {isRunning && !isOurs && <p className="hint">{t('doctor.busy', { name: visible(latest?.by ?? '') })}</p>}
      {isOurs && latest !== null && <Findings checkup={latest} />}
      {config !== null && (
        <>
          <h3>{t('doctor.config')}</h3>
          <Code source={config} />
        </>
      )}
      <div className="dialog-actions">
        <button ref={cancel} type="button" className="button" onClick={onClose}>
          {t('action.close')}
        </button>
        {onAdd !== undefined && config !== null && mayWrite && (
          <button type="button" className="button is-primary" onClick={() => onAdd(draftIn(config))}>
            {t('doctor.add')}
          </button>
        )}
      </div>
    </dialog>
  );
}

function Findings({ checkup }: { checkup: Checkup }) {
  const { t, format } = useWords();
  const { verdict, isRunning, tookMs, listensMs } = checkup;
  let said: ReactNode;
  if (isRunning) said = t('doctor.running', { time: format.age(Math.max(1_000, tookMs)), all: format.age(listensMs) });
  else if (verdict === null) said = t('doctor.unfinished');
  else if (verdict.problems > 0) said = t('doctor.problems', { n: verdict.problems });
  else if (verdict.isCutShort) said = t('doctor.cutShort');
  else if (verdict.warnings > 0) said = t('doctor.warnings', { n: verdict.warnings });
  else said = t('doctor.fine');
  const status: Status = isRunning
    ? 'move'
    : verdict === null
      ? 'warn'
      : STATUS[verdict.worst === 'note' ? 'fine' : verdict.worst];
  return (
    <section className="doctor-found" aria-label={t('doctor.found')}>
      <p className="doctor-verdict">
        <Glyph status={status} />
        <span role="status">{said}</span>
        {checkup.feed === null && <span className="t3 mono trunc">{visible(checkup.address)}</span>}
      </p>
      <progress aria-label={t('doctor.progress')} max={listensMs} value={isRunning ? Math.min(tookMs, listensMs) : listensMs} />
      <ul>
        {checkup.findings.map((finding, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: findings are only ever added.
          <FindingLine key={at} finding={finding} />
        ))}
      </ul>
    </section>
  );
}

function FindingLine({ finding }: { finding: Finding }) {
  const { t, said } = useWords();
  const { check, level, result, advice } = finding;
  const known = CHECKS.find((one) => one === check);
  return (
    <li>
      <Glyph status={STATUS[level]} />
      <b>{known === undefined ? visible(check) : t(`doctor.check.${known}` satisfies Key)}</b>
      <div>
        <span className="sr-only">{t(`doctor.level.${level}`)}: </span>
        <bdi>{visible(said(result))}</bdi>
        {advice !== null && <p className="t3">{visible(said(advice))}</p>}
      </div>
    </li>
  );
}

const CHECKS = [
  'address',
  'proxy',
  'name',
  'tcp',
  'tls',
  'redirect',
  'status',
  'content_type',
  'headers',
  'second_connection',
  'stream',
  'buffering',
  'heartbeat',
  'rate',
  'size',
  'event_names',
  'ids',
  'retry',
  'text',
  'data',
  'delay',
  'resume',
  'head',
] as const;
