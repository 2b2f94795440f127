/** How do I want it? In force at once, saved on the hub a moment later. */

import { type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { readStatus } from '../../client/admin/status';
import { Reading, useAsk, useDesk, useWhy } from '../../components/dashboard/desk';
import { Facts, Segments } from '../../components/dashboard/Tools';
import { Glyph } from '../../components/Icon';
import { Panel } from '../../components/Panel';
import { useWords } from '../../components/words';
import { useSignal } from '../../lib/hooks';
import { FIRST_PANELS, LIMITED_PANELS, type Limits, limitIn, PANEL_IDS, PANELS, type PanelId } from '../../lib/panels';
import { DENSITIES, LANGUAGES, preferences } from '../../lib/preferences';
import { visible } from '../../lib/text';
import { THEMES, theme } from '../../lib/theme';
import './settings.css';

const SAVED_MS = 2_000;

export default function Settings() {
  const { t } = useWords();
  const kept = useSyncExternalStore(preferences.subscribe, preferences.get);
  const chosen = useSyncExternalStore(theme.subscribe, theme.chosen);
  const { user, kept: place } = useDesk();
  const where = useSignal(place);
  const why = useWhy();
  return (
    <div className="settings">
      <div>
        {where.kind === 'in_browser' && where.error !== null && (
          <p className="settings-where" role="status">
            <Glyph status="warn" />
            <span>{t('settings.keptFailed', { why: why(where.error) })}</span>
          </p>
        )}
        <Panel title={t('settings.look')} scope={t(`settings.kept.${where.kind}`, { name: visible(user.name) })}>
          <Row label={t('settings.theme')} value={chosen}>
            <Segments
              label={t('settings.theme')}
              chosen={chosen}
              onChoose={theme.choose}
              choices={THEMES.map((id) => ({ id, label: t(`settings.theme.${id}`) }))}
            />
          </Row>
          <Row label={t('settings.density')} value={kept.density}>
            <Segments
              label={t('settings.density')}
              chosen={kept.density}
              onChoose={(density) => preferences.set({ density })}
              choices={DENSITIES.map((id) => ({ id, label: t(`settings.density.${id}`) }))}
            />
          </Row>
          <Row label={t('settings.language')} value={kept.language}>
            <Segments
              label={t('settings.language')}
              chosen={kept.language}
              onChoose={(language) => preferences.set({ language })}
              choices={LANGUAGES.map((id) => ({ id, label: t(`settings.language.${id}`) }))}
            />
          </Row>
          <Row label={t('settings.keys')} value={String(kept.hasKeys)} hint={t('settings.keysHint')}>
            <Segments
              label={t('settings.keys')}
              chosen={kept.hasKeys ? 'on' : 'off'}
              onChoose={(on) => preferences.set({ hasKeys: on === 'on' })}
              choices={[
                { id: 'on', label: t('settings.on') },
                { id: 'off', label: t('settings.off') },
              ]}
            />
          </Row>
        </Panel>
        <LimitsPanel limits={kept.limits} />
      </div>
      <div>
        <PanelsPanel panels={kept.panels ?? FIRST_PANELS} />
        <About />
      </div>
    </div>
  );
}

function PanelsPanel({ panels }: { panels: readonly PanelId[] }) {
  const { t } = useWords();
  return (
    <Panel title={t('settings.panels')} scope={t('settings.panelsScope', { n: panels.length, all: PANEL_IDS.length })}>
      <p className="hint">{t('settings.arrangeHint')}</p>
      <ul className="settings-panels">
        {PANEL_IDS.map((id) => {
          const isShown = panels.includes(id);
          return (
            <li key={id}>
              <label>
                <input
                  type="checkbox"
                  checked={isShown}
                  onChange={() => preferences.set({ panels: isShown ? panels.filter((one) => one !== id) : [...panels, id] })}
                />
                {t(`panel.${id}`)}
              </label>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

function LimitsPanel({ limits }: { limits: Limits }) {
  const { t } = useWords();
  return (
    <Panel title={t('settings.limits')} scope={t('settings.limitsScope')}>
      <p className="hint">{t('settings.limitsHint')}</p>
      <div className="settings-limits">
        {LIMITED_PANELS.map((id) => (
          <LimitRow key={id} id={id} limit={limits[id] ?? null} limits={limits} />
        ))}
      </div>
    </Panel>
  );
}

function LimitRow({ id, limit, limits }: { id: PanelId; limit: number | null; limits: Limits }) {
  const { t } = useWords();
  const [typed, setTyped] = useState(limit === null ? '' : String(limit));
  const sent = useRef(limit);
  // Changed by what the hub had.
  useEffect(() => {
    if (limit === sent.current) return;
    sent.current = limit;
    setTyped(limit === null ? '' : String(limit));
  }, [limit]);
  const read = limitIn(Number(typed.trim().replace(',', '.')));
  const isGood = typed.trim() === '' || read !== null;
  const name = t(`panel.${id}`);
  const keep = (text: string) => {
    setTyped(text);
    const next = limitIn(Number(text.trim().replace(',', '.')));
    if (next === null && text.trim() !== '') return;
    sent.current = next;
    const { [id]: _, ...others } = limits;
    preferences.set({ limits: next === null ? others : { ...others, [id]: next } });
  };
  return (
    <Row label={name} value={String(limit)} hint={isGood ? undefined : t('settings.limitBad')}>
      <span className="limit">
        <input
          className="input"
          inputMode="decimal"
          aria-label={`${name}, ${PANELS[id].limit ?? ''}`}
          aria-invalid={!isGood}
          placeholder={t('settings.limitNone')}
          value={typed}
          maxLength={12}
          autoComplete="off"
          onChange={(event) => keep(event.target.value)}
        />
        <span className="t3">{PANELS[id].limit}</span>
      </span>
    </Row>
  );
}

function Row({ label, value, hint, children }: { label: string; value: string; hint?: string | undefined; children: ReactNode }) {
  const { t } = useWords();
  const before = useRef(value);
  const [isSaved, setIsSaved] = useState(false);
  useEffect(() => {
    if (before.current === value) return;
    before.current = value;
    setIsSaved(true);
    const timer = setTimeout(() => setIsSaved(false), SAVED_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return (
    <div className="settings-row">
      <div>
        <b>{label}</b>
        {hint !== undefined && <p className="hint">{hint}</p>}
      </div>
      <span role="status" className="is-ok-text">
        {isSaved ? t('settings.saved') : ''}
      </span>
      {children}
    </div>
  );
}

function About() {
  const { t, format } = useWords();
  const { user } = useDesk();
  const asked = useAsk(['status'], readStatus, { everyMs: 5_000 });
  return (
    <Panel title={t('settings.about')}>
      <Reading asked={asked} title={t('settings.aboutFailed')} right="metrics.read" lines={[60, 75, 60]}>
        {(status) => (
          <Facts
            rows={[
              [
                t('settings.version'),
                <span key="v" className="mono">
                  {visible(status.version)}
                </span>,
              ],
              [t('settings.node'), <bdi key="n">{visible(status.node)}</bdi>],
              status.uptimeMs === null ? null : [t('settings.up'), format.age(status.uptimeMs)],
              [
                t('settings.store'),
                status.store.trouble === null
                  ? visible(status.store.kind)
                  : `${visible(status.store.kind)}: ${visible(status.store.trouble)}`,
              ],
              [t('settings.maintenance'), status.maintenance === null ? t('settings.off') : visible(status.maintenance)],
              [t('settings.you'), visible(user.name)],
            ]}
          />
        )}
      </Reading>
    </Panel>
  );
}
