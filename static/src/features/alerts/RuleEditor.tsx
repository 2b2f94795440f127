/** A rule is a sentence with fields; what it would have done stands below it, by the evaluator that also does the real thing. */

import { useEffect, useMemo, useState } from 'react';
import {
  CONDITIONS,
  type Condition,
  type KnownRule,
  listRules,
  previewRule,
  type Rule,
  removeRule,
  SEVERITIES,
  type Severity,
  saveRule,
} from '../../client/admin/alerts';
import { listMetrics, metricsPast } from '../../client/admin/metrics';
import { Reading, useAsk, useDesk, useRight, useTell, useWhy } from '../../components/dashboard/desk';
import { TimeChart } from '../../components/dashboard/TimeChart';
import { FigureOf, Figures, Segments, When } from '../../components/dashboard/Tools';
import { Icon } from '../../components/Icon';
import { Notice } from '../../components/Panel';
import { Problem } from '../../components/Problem';
import { useWords } from '../../components/words';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';
import { timeIn, timeText, valueSaid } from './alert_words';

/** After the last change; a preview for each letter would be thrown away. */
const PREVIEW_MS = 300;
const NEW: Rule = {
  name: '',
  metric: 'latency.p99_ms',
  condition: 'above',
  value: 50,
  clear: 40,
  forMs: 60_000,
  clearForMs: 60_000,
  severity: 'warning',
  repeatMs: 4 * 3_600_000,
  routes: ['page', 'log'],
  isEnabled: true,
  title: '',
  advice: '',
};

const SPANS = ['24h', '7d', '30d'] as const;
type Span = (typeof SPANS)[number];
const SPAN_MS: Readonly<Record<Span, number>> = { '24h': 86_400_000, '7d': 7 * 86_400_000, '30d': 30 * 86_400_000 };
const SPAN_STEP_MS: Readonly<Record<Span, number>> = { '24h': 300_000, '7d': 1_800_000, '30d': 7_200_000 };
/** Firings that are listed. */
const FIRINGS_SHOWN = 6;
/** More would not wake anybody up any more. */
const NOISY = 50;

export function RuleEditor({ name }: { name: string }) {
  const { t } = useWords();
  const asked = useAsk(['alerts', 'rules'], listRules);
  return (
    <section className="panel is-flush rule" aria-label={t('alerts.editRule')}>
      <Reading asked={asked} title={t('alerts.rulesFailed')} right="metrics.read">
        {(rules) => {
          const saved = rules.find((rule) => rule.name === name) ?? null;
          if (saved === null && name !== '')
            return (
              <div className="panel-pad">
                <Notice title={t('alerts.noRuleTitle', { name: visible(name) })}>{t('alerts.noRule')}</Notice>
              </div>
            );
          return <Edited key={name} saved={saved} />;
        }}
      </Reading>
    </section>
  );
}

/** What is typed, which need not be a rule yet. */
interface Draft {
  readonly name: string;
  readonly title: string;
  readonly advice: string;
  readonly metric: string;
  readonly condition: Condition;
  readonly value: string;
  readonly clear: string;
  readonly forTime: string;
  readonly clearTime: string;
  readonly repeat: string;
  readonly severity: Severity;
  readonly routes: readonly string[];
}

function draftOf(rule: Rule): Draft {
  const { name, title, advice, metric, condition, severity, routes } = rule;
  return {
    name,
    title,
    advice,
    metric,
    condition,
    severity,
    routes,
    value: rule.value === null ? '' : String(rule.value),
    clear: rule.clear === null ? '' : String(rule.clear),
    forTime: timeText(rule.forMs),
    clearTime: timeText(rule.clearForMs),
    repeat: timeText(rule.repeatMs),
  };
}

/** `null`: something in it is not what it must be. */
export function ruleOf(draft: Draft, isEnabled: boolean): Rule | null {
  const [forMs, clearForMs, repeatMs] = [timeIn(draft.forTime), timeIn(draft.clearTime), timeIn(draft.repeat)];
  const isGone = draft.condition === 'gone';
  const value = isGone ? null : numberIn(draft.value);
  const clear = isGone ? null : numberIn(draft.clear === '' ? draft.value : draft.clear);
  if (forMs === null || clearForMs === null || repeatMs === null || (!isGone && (value === null || clear === null))) return null;
  const { name, title, advice, metric, condition, severity, routes } = draft;
  const trimmed = { name: name.trim(), title: title.trim(), advice: advice.trim() };
  return { ...trimmed, metric, condition, severity, routes, value, clear, forMs, clearForMs, repeatMs, isEnabled };
}

function numberIn(text: string): number | null {
  const value = Number(text.trim().replace(',', '.'));
  return text.trim() === '' || !Number.isFinite(value) ? null : value;
}

const ROUTES = ['page', 'log', 'webhook', 'email'] as const;

function Edited({ saved }: { saved: KnownRule | null }) {
  const { t, told } = useWords();
  const mayWrite = useRight('alerts.write');
  const why = useWhy();
  const first = useMemo(() => draftOf(saved ?? NEW), [saved]);
  const [draft, setDraft] = useState(first);
  const rule = ruleOf(draft, saved?.isEnabled ?? true);
  const isChanged = JSON.stringify(draft) !== JSON.stringify(first);
  const set = (change: Partial<Draft>) => setDraft((before) => ({ ...before, ...change }));
  const save = useTell((admin, next: Rule) => saveRule(admin, next), {
    changes: [['alerts']],
    done: (next) => t('alerts.ruleSaved', { name: visible(next.title) }),
    onDone: () => {
      if (saved === null && rule !== null) router.go(pathOf('alerts', `rules/${rule.name}`));
    },
  });
  const remove = useTell((admin, name: string) => removeRule(admin, name), {
    changes: [['alerts']],
    done: () => t(saved?.isDefault === true ? 'alerts.ruleRestored' : 'alerts.ruleRemoved'),
    onDone: () => {
      if (saved?.isDefault !== true) router.go(pathOf('alerts'));
    },
  });
  const canSave = rule !== null && rule.title !== '' && /^[a-z0-9_-]{1,64}$/.test(rule.name);
  return (
    <>
      <div className="panel-head rule-head">
        <h2>{saved === null ? t('alerts.newRule') : visible(saved.title === '' ? saved.name : told(saved.title))}</h2>
        <span className="panel-scope">
          {isChanged ? t('alerts.notSaved') : saved?.isDefault === true ? t('alerts.isDefault') : ''}
        </span>
        <button
          type="button"
          className="button is-quiet is-square"
          aria-label={t('action.close')}
          onClick={() => router.go(pathOf('alerts'))}
        >
          <Icon name="close" />
        </button>
      </div>
      <form
        className="rule-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (canSave && rule !== null && mayWrite) save.run(rule);
        }}
      >
        <div className="rule-names">
          <div className="field">
            <label htmlFor="rule-title">{t('alerts.field.title')}</label>
            <input
              id="rule-title"
              className="input"
              value={draft.title}
              maxLength={70}
              onChange={(event) => set({ title: event.target.value })}
            />
          </div>
          {saved === null && (
            <div className="field">
              <label htmlFor="rule-name">{t('alerts.field.name')}</label>
              <input
                id="rule-name"
                className="input mono"
                value={draft.name}
                maxLength={64}
                spellCheck={false}
                autoComplete="off"
                onChange={(event) => set({ name: event.target.value.toLowerCase() })}
              />
            </div>
          )}
        </div>
        <Sentence draft={draft} set={set} />
        <div className="field">
          <label htmlFor="rule-advice">{t('alerts.field.advice')}</label>
          <input
            id="rule-advice"
            className="input"
            value={draft.advice}
            maxLength={500}
            onChange={(event) => set({ advice: event.target.value })}
          />
        </div>
        {rule === null && <p className="is-warn-text">{t('alerts.notARule')}</p>}
        {save.error !== null && <Problem>{why(save.error)}</Problem>}
        {remove.error !== null && <Problem>{why(remove.error)}</Problem>}
        <div className="form-row rule-actions">
          {saved !== null && (!saved.isDefault || saved.isChanged) && (
            <button
              type="button"
              className="button is-plain-danger"
              disabled={!mayWrite || remove.isBusy}
              onClick={() => remove.run(saved.name)}
            >
              {t(saved.isDefault ? 'alerts.restore' : 'alerts.removeRule')}
            </button>
          )}
          <button type="button" className="button is-quiet is-end" disabled={!isChanged} onClick={() => setDraft(first)}>
            {t('alerts.discard')}
          </button>
          <button
            type="submit"
            className="button is-primary"
            disabled={!mayWrite || !canSave || save.isBusy || (!isChanged && saved !== null)}
          >
            {t('alerts.saveRule')}
          </button>
        </div>
      </form>
      {rule !== null && <PreviewOf rule={rule} />}
    </>
  );
}

/** "When [metric] is [above] [value] for [time], raise a [severity]. Clear it when it is below [value] for [time]. Tell [routes], again every [time]." */
function Sentence({ draft, set }: { draft: Draft; set: (change: Partial<Draft>) => void }) {
  const { t } = useWords();
  const metrics = useAsk(['metrics', 'list'], listMetrics);
  const known = metrics.kind === 'ready' ? metrics.value : [];
  const names = known.some(({ name }) => name === draft.metric) ? known : [{ name: draft.metric, unit: '', help: '' }, ...known];
  const unit = known.find(({ name }) => name === draft.metric)?.unit ?? '';
  const isGone = draft.condition === 'gone';
  const back: Condition = draft.condition === 'below' ? 'above' : 'below';
  const word = (label: string, value: string, change: (value: string) => void, size: number) => (
    <input
      className="input rule-word"
      aria-label={label}
      value={value}
      size={size}
      maxLength={20}
      onChange={(event) => change(event.target.value)}
    />
  );
  const choice = <T extends string>(
    label: string,
    value: T,
    all: readonly T[],
    said: (one: T) => string,
    change: (one: T) => void,
  ) => (
    <select
      className="input rule-word"
      aria-label={label}
      value={value}
      onChange={(event) => change(all.find((one) => one === event.target.value) ?? value)}
    >
      {all.map((one) => (
        <option key={one} value={one}>
          {said(one)}
        </option>
      ))}
    </select>
  );
  return (
    <div className="rule-sentence">
      <span>{t('alerts.when')}</span>
      {choice(
        t('alerts.field.metric'),
        draft.metric,
        names.map(({ name }) => name),
        visible,
        (metric) => set({ metric }),
      )}
      <span>{t('alerts.is')}</span>
      {choice(
        t('alerts.field.condition'),
        draft.condition,
        CONDITIONS,
        (one) => t(`alerts.condition.${one}`),
        (condition) => set({ condition }),
      )}
      {!isGone && word(t('alerts.field.value'), draft.value, (value) => set({ value }), 5)}
      {!isGone && unit !== '' && unit !== 'count' && (
        <span className="t3">{t('alerts.unit', { unit: visible(unit.replaceAll('_', ' ')) })}</span>
      )}
      <span>{t('alerts.forTime')}</span>
      {word(t('alerts.field.for'), draft.forTime, (forTime) => set({ forTime }), 5)}
      <span className="is-tight">{t('alerts.raise')}</span>
      {choice(
        t('alerts.field.severity'),
        draft.severity,
        SEVERITIES,
        (one) => t(`alerts.severity.${one}`),
        (severity) => set({ severity }),
      )}
      <span className="is-tight">{t('alerts.clearWhen')}</span>
      <span>{isGone ? t('alerts.hasReading') : t(`alerts.condition.${back}`)}</span>
      {!isGone && word(t('alerts.field.clear'), draft.clear, (clear) => set({ clear }), 5)}
      <span>{t('alerts.forTime')}</span>
      {word(t('alerts.field.clearFor'), draft.clearTime, (clearTime) => set({ clearTime }), 5)}
      <span className="is-tight">{t('alerts.tell')}</span>
      {ROUTES.map((route) => (
        <label key={route} className="rule-route">
          <input
            type="checkbox"
            checked={draft.routes.includes(route)}
            onChange={(event) =>
              set({ routes: event.target.checked ? [...draft.routes, route] : draft.routes.filter((one) => one !== route) })
            }
          />
          {t(`alerts.route.${route}`)}
        </label>
      ))}
      <span>{t('alerts.repeat')}</span>
      {word(t('alerts.field.repeat'), draft.repeat, (repeat) => set({ repeat }), 5)}
    </div>
  );
}

function PreviewOf({ rule }: { rule: Rule }) {
  const { t, format } = useWords();
  const { admin } = useDesk();
  const why = useWhy();
  const [span, setSpan] = useState<Span>('7d');
  const [settled, setSettled] = useState(rule);
  const key = JSON.stringify(rule);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the rule is new with every rendering, what it says is not.
  useEffect(() => {
    const timer = setTimeout(() => setSettled(rule), PREVIEW_MS);
    return () => clearTimeout(timer);
  }, [key]);
  const spanMs = SPAN_MS[span];
  const stepMs = SPAN_STEP_MS[span];
  const asked = useAsk(['alerts', 'preview', span, JSON.stringify({ ...settled, title: '', advice: '' })], () =>
    previewRule(admin, settled, Date.now() - spanMs),
  );
  const isOfFeeds = settled.metric.startsWith('feed.');
  const course = useAsk(
    ['metrics', 'course', settled.metric, span],
    () => {
      const to = Math.floor(Date.now() / stepMs) * stepMs;
      return metricsPast(admin, [settled.metric], to - spanMs, to, stepMs);
    },
    { isWanted: !isOfFeeds },
  );
  const values = course.kind === 'ready' ? (course.value.metrics.get(settled.metric)?.max ?? []) : [];
  const short = (value: number) =>
    Math.abs(value) >= 100 || Number.isInteger(value) ? format.short(Math.round(value)) : format.decimal(value, 2);
  return (
    <div className="rule-preview">
      <div className="panel-head">
        <h3>{t('alerts.preview')}</h3>
        <span className="panel-scope">
          <Segments
            label={t('alerts.preview')}
            chosen={span}
            onChoose={setSpan}
            choices={SPANS.map((id) => ({ id, label: t(`alerts.span.${id}`) }))}
          />
        </span>
      </div>
      {course.kind === 'ready' && values.some((value) => value !== null) && (
        <TimeChart
          label={visible(settled.metric)}
          kind="area"
          times={values.map((_, at) => (course.value.fromMs + at * course.value.stepMs) / 1000)}
          fromS={course.value.fromMs / 1000}
          toS={(course.value.fromMs + spanMs) / 1000}
          stepS={course.value.stepMs / 1000}
          format={short}
          goal={settled.value}
          {...(settled.value === null
            ? {}
            : { goalLabel: t('alerts.raiseAt', { value: valueSaid(settled.metric, settled.value, format) }) })}
          lines={[{ label: t('alerts.highest'), colour: '--series-1', values }]}
        />
      )}
      {asked.kind === 'failed' && <Problem status="warn">{why(asked.error)}</Problem>}
      {asked.kind === 'ready' && (
        <>
          <Figures>
            <FigureOf label={t('alerts.wouldFire')} value={format.count(asked.value.fired)} unit={t('alerts.times')} />
            <FigureOf
              label={t('alerts.activeFor')}
              value={asked.value.activeMs === 0 ? '0' : format.age(asked.value.activeMs)}
              unit={t('alerts.inAll')}
            />
            <FigureOf
              label={t('alerts.savedRule')}
              value={asked.value.saved === null ? '–' : format.count(asked.value.saved.fired)}
              unit={t('alerts.times')}
            />
          </Figures>
          {asked.value.fired > NOISY && <p className="is-warn-text">{t('alerts.noisy', { n: asked.value.fired })}</p>}
          {asked.value.missing > 0 && <p className="hint">{t('alerts.missing', { n: asked.value.missing })}</p>}
          <ul className="lines">
            {asked.value.firings
              .slice(-FIRINGS_SHOWN)
              .reverse()
              .map((firing) => (
                <li key={firing.fromMs}>
                  <span className="grow">
                    <When ms={firing.fromMs} />
                  </span>
                  <span className="num">{firing.peak === null ? '' : t('alerts.peak', { value: short(firing.peak) })}</span>
                  <span className="num">
                    {firing.toMs === null ? t('alerts.still') : format.age(Math.max(0, firing.toMs - firing.fromMs))}
                  </span>
                </li>
              ))}
          </ul>
        </>
      )}
    </div>
  );
}
