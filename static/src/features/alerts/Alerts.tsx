/** What needs me, what woke us, will this rule wake us for nothing? */

import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import {
  type Alert,
  type AlertList,
  acknowledge,
  type KnownRule,
  listAlerts,
  listRules,
  pastAlerts,
  type Silence,
  saveRule,
  silence,
  unsilence,
} from '../../client/admin/alerts';
import { AlertLine, severityStatus } from '../../components/dashboard/AlertLine';
import { Ask } from '../../components/dashboard/Ask';
import { Reading, useAsk, useDesk, useRight, useTell } from '../../components/dashboard/desk';
import { Segments, When } from '../../components/dashboard/Tools';
import { Glyph, Icon } from '../../components/Icon';
import { Notice, Panel } from '../../components/Panel';
import { Tabs } from '../../components/Tabs';
import { useWords } from '../../components/words';
import { useNow } from '../../lib/hooks';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';
import { conditionSaid } from './alert_words';
import { RuleEditor } from './RuleEditor';
import './alerts.css';

const EVERY_MS = 5_000;
const RULES_EVERY_MS = 30_000;
const PAST_MS = 7 * 86_400_000;

export default function Alerts({ thing }: { thing: string | null }) {
  useAlertsTold();
  const rule = thing?.startsWith('rules/') === true ? thing.slice('rules/'.length) : thing;
  return (
    <div className={rule === null ? 'alerts' : 'alerts has-rule'}>
      <div className="alerts-lists">
        <Lists />
        <Rules chosen={rule} />
      </div>
      {rule !== null && <RuleEditor key={rule} name={rule} />}
    </div>
  );
}

/** The hub says when an alert changes: then all of them are read at once. */
function useAlertsTold(): void {
  const { hub } = useDesk();
  const queries = useQueryClient();
  const maySee = useRight('metrics.read');
  useEffect(() => {
    if (!maySee) return;
    return hub.watch('$admin:alerts', { message: () => void queries.invalidateQueries({ queryKey: ['alerts'] }) });
  }, [hub, queries, maySee]);
}

function Lists() {
  const { t } = useWords();
  const active = useAsk(['alerts', 'active'], listAlerts, { everyMs: EVERY_MS });
  return (
    <section className="panel is-flush alerts-tabs" aria-label={t('view.alerts')}>
      <Tabs
        label={t('alerts.parts')}
        tabs={[
          {
            id: 'active',
            label: t('alerts.active'),
            content: (
              <Reading asked={active} title={t('alerts.failed')} right="metrics.read">
                {(list) => <Active list={list} />}
              </Reading>
            ),
          },
          { id: 'history', label: t('alerts.history'), content: <Past /> },
          {
            id: 'silences',
            label: t('alerts.silences'),
            content: (
              <Reading asked={active} title={t('alerts.failed')} right="metrics.read">
                {({ silences }) => <Silences silences={silences} />}
              </Reading>
            ),
          },
        ]}
      />
    </section>
  );
}

function Active({ list }: { list: AlertList }) {
  const { t, format } = useWords();
  const now = useNow(5_000);
  const order = { firing: 0, pending: 1, resolved: 2 };
  const alerts = [...list.alerts].sort(
    (one, other) => order[one.state] - order[other.state] || (other.firedAtMs ?? 0) - (one.firedAtMs ?? 0),
  );
  if (alerts.length === 0)
    return (
      <div className="panel-pad">
        <Notice title={t('alerts.quietTitle')}>
          {list.lastResolvedAtMs === null
            ? t('alerts.quietEver')
            : t('alerts.quiet', { age: format.age(Math.max(0, now - list.lastResolvedAtMs)) })}
        </Notice>
      </div>
    );
  return (
    <ul className="alerts-active">
      {alerts.map((alert) => (
        <ActiveItem key={alert.id} alert={alert} now={now} />
      ))}
    </ul>
  );
}

function ActiveItem({ alert, now }: { alert: Alert; now: number }) {
  const { t, told, format } = useWords();
  const mayWrite = useRight('alerts.write');
  const [isSilencing, setIsSilencing] = useState(false);
  const isTaken = alert.acknowledgedBy !== null;
  const take = useTell((admin) => acknowledge(admin, alert.id, isTaken), {
    changes: [['alerts']],
    done: () => t(isTaken ? 'alerts.unacked' : 'alerts.acked'),
  });
  const since = alert.firedAtMs ?? alert.sinceMs;
  return (
    <li data-quiet={isTaken || alert.state === 'pending' ? '' : undefined}>
      <AlertLine alert={alert}>
        <button
          type="button"
          className="button"
          disabled={!mayWrite || take.isBusy || alert.state === 'pending'}
          onClick={() => take.run(undefined)}
        >
          {t(isTaken ? 'alerts.unack' : 'alerts.ack')}
        </button>
        <button type="button" className="button is-quiet" disabled={!mayWrite} onClick={() => setIsSilencing(true)}>
          {t('alerts.silence')}
        </button>
      </AlertLine>
      <p className="alerts-facts">
        {alert.state === 'pending'
          ? t('alerts.pending')
          : since !== null && t('alerts.for', { age: format.age(Math.max(0, now - since)) })}
        {alert.acknowledgedBy !== null && ` ${t('alerts.ackedBy', { name: visible(alert.acknowledgedBy) })}`}
        {alert.silencedUntilMs !== null &&
          alert.silencedUntilMs > now &&
          ` ${t('alerts.silencedFor', { age: format.age(alert.silencedUntilMs - now) })}`}
        {alert.advice !== '' && ` ${visible(told(alert.advice))}`}
      </p>
      {isSilencing && <SilenceDialog alert={alert} onClose={() => setIsSilencing(false)} />}
    </li>
  );
}

const LASTING = ['1h', '8h', '24h', '168h'] as const;

function SilenceDialog({ alert, onClose }: { alert: Alert; onClose: () => void }) {
  const { t, told } = useWords();
  const [lasting, setLasting] = useState<(typeof LASTING)[number]>('1h');
  const [reason, setReason] = useState('');
  const done = useTell((admin) => silence(admin, { rule: alert.rule, subject: alert.subject, lasting, why: reason.trim() }), {
    changes: [['alerts']],
    done: () => t('alerts.silenced'),
    onDone: onClose,
  });
  return (
    <Ask
      title={t('alerts.silenceTitle', { title: visible(told(alert.title)) })}
      verb={t('alerts.silenceVerb')}
      isBusy={done.isBusy}
      canDo={reason.trim() !== ''}
      error={done.error}
      onDone={() => done.run(undefined)}
      onClose={onClose}
    >
      <p>{t('alerts.silenceText')}</p>
      <div className="form">
        <Segments
          label={t('alerts.howLong')}
          chosen={lasting}
          onChoose={setLasting}
          choices={LASTING.map((id) => ({ id, label: t(`alerts.lasting.${id}`) }))}
        />
        <div className="field">
          <label htmlFor="silence-why">{t('alerts.why')}</label>
          <input
            id="silence-why"
            className="input"
            value={reason}
            maxLength={200}
            onChange={(event) => setReason(event.target.value)}
          />
        </div>
      </div>
    </Ask>
  );
}

function Past() {
  const { t, told, said, format } = useWords();
  const asked = useAsk(['alerts', 'past'], (admin) => pastAlerts(admin, Date.now() - PAST_MS), { everyMs: 60_000 });
  return (
    <Reading asked={asked} title={t('alerts.failed')} right="metrics.read">
      {(alerts) =>
        alerts.length === 0 ? (
          <div className="panel-pad">
            <Notice title={t('alerts.noPastTitle')}>{t('alerts.noPast')}</Notice>
          </div>
        ) : (
          <ul className="alerts-past">
            {alerts.map((alert) => (
              <li key={alert.id}>
                <Glyph status={severityStatus(alert.severity)} />
                <span className="grow" title={visible(said(alert.text))}>
                  {visible(told(alert.title))}
                </span>
                <span className="num">
                  {alert.firedAtMs !== null &&
                    alert.resolvedAtMs !== null &&
                    t('alerts.lasted', { age: format.age(Math.max(0, alert.resolvedAtMs - alert.firedAtMs)) })}
                </span>
                <span className="num">
                  <When ms={alert.firedAtMs ?? alert.sinceMs} />
                </span>
              </li>
            ))}
          </ul>
        )
      }
    </Reading>
  );
}

function Silences({ silences }: { silences: readonly Silence[] }) {
  const { t } = useWords();
  if (silences.length === 0)
    return (
      <div className="panel-pad">
        <Notice title={t('alerts.noSilencesTitle')}>{t('alerts.noSilences')}</Notice>
      </div>
    );
  return (
    <ul className="alerts-past">
      {silences.map((one) => (
        <SilenceItem key={one.id} one={one} />
      ))}
    </ul>
  );
}

function SilenceItem({ one }: { one: Silence }) {
  const { t } = useWords();
  const mayWrite = useRight('alerts.write');
  const end = useTell((admin) => unsilence(admin, one.id), { changes: [['alerts']], done: () => t('alerts.unsilenced') });
  const of = [one.rule, one.subject].filter((part) => part !== null && part !== '').join(', ');
  return (
    <li>
      <Icon name="pause" />
      <span className="grow">
        <b>{of === '' ? t('alerts.everything') : visible(of)}</b>{' '}
        <span className="t2">{t('alerts.silenceBy', { name: visible(one.by), why: visible(one.why) })}</span>
      </span>
      <span className="num">
        {t('alerts.until')} <When ms={one.untilMs} />
      </span>
      <button type="button" className="button" disabled={!mayWrite || end.isBusy} onClick={() => end.run(undefined)}>
        {t('alerts.unsilence')}
      </button>
    </li>
  );
}

function Rules({ chosen }: { chosen: string | null }) {
  const { t } = useWords();
  const mayWrite = useRight('alerts.write');
  const asked = useAsk(['alerts', 'rules'], listRules, { everyMs: RULES_EVERY_MS });
  const on = asked.kind === 'ready' ? asked.value.filter(({ isEnabled }) => isEnabled).length : 0;
  return (
    <Panel
      title={t('alerts.rules')}
      scope={asked.kind === 'ready' ? t('alerts.rulesScope', { n: asked.value.length, on: String(on) }) : undefined}
      className="is-flush alerts-rules"
    >
      <Reading asked={asked} title={t('alerts.rulesFailed')} right="metrics.read">
        {(rules) => (
          <>
            <ul>
              {rules.map((rule) => (
                <RuleItem key={rule.name} rule={rule} isChosen={rule.name === chosen} />
              ))}
            </ul>
            <div className="panel-pad">
              <button type="button" className="button" disabled={!mayWrite} onClick={() => router.go(pathOf('alerts', 'rules/'))}>
                <Icon name="plus" />
                {t('alerts.newRule')}
              </button>
            </div>
          </>
        )}
      </Reading>
    </Panel>
  );
}

function RuleItem({ rule, isChosen }: { rule: KnownRule; isChosen: boolean }) {
  const words = useWords();
  const { t, format } = words;
  const mayWrite = useRight('alerts.write');
  const toggle = useTell((admin) => saveRule(admin, { ...rule, isEnabled: !rule.isEnabled }), {
    changes: [['alerts']],
    done: () => t(rule.isEnabled ? 'alerts.ruleOff' : 'alerts.ruleOn', { name: visible(words.told(rule.title)) }),
  });
  return (
    <li aria-current={isChosen ? 'true' : undefined}>
      <Glyph status={rule.isEnabled ? severityStatus(rule.severity) : 'parked'} />
      <a
        href={pathOf('alerts', `rules/${rule.name}`)}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return;
          event.preventDefault();
          router.go(pathOf('alerts', `rules/${rule.name}`));
        }}
      >
        <b>{visible(rule.title === '' ? rule.name : words.told(rule.title))}</b>
        {rule.isChanged && <span className="chip">{t('alerts.changed')}</span>}
        <small>{conditionSaid(rule, words)}</small>
      </a>
      <span className="num" title={t('alerts.fired7d')}>
        {rule.fired7d === null ? '' : format.count(rule.fired7d)}
      </span>
      <button
        type="button"
        role="switch"
        className="switch"
        aria-checked={rule.isEnabled}
        aria-label={t('alerts.switch', { name: visible(words.told(rule.title)) })}
        disabled={!mayWrite || toggle.isBusy}
        onClick={() => toggle.run(undefined)}
      >
        <i />
      </button>
    </li>
  );
}
