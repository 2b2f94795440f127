/** How do I want it? Kept in this browser, in force at once. */

import { type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { readStatus } from '../../client/admin/status';
import { Reading, useAsk, useDesk } from '../../components/dashboard/desk';
import { Facts, Segments } from '../../components/dashboard/Tools';
import { Panel } from '../../components/Panel';
import { useWords } from '../../components/words';
import { DENSITIES, LANGUAGES, preferences } from '../../lib/preferences';
import { visible } from '../../lib/text';
import { THEMES, theme } from '../../lib/theme';
import './settings.css';

const SAVED_MS = 2_000;

export default function Settings() {
  const { t } = useWords();
  const kept = useSyncExternalStore(preferences.subscribe, preferences.get);
  const chosen = useSyncExternalStore(theme.subscribe, theme.chosen);
  return (
    <div className="settings">
      <Panel title={t('settings.look')} scope={t('settings.scope')}>
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
        <Row label={t('settings.language')} value={kept.language} hint={t('settings.languageHint')}>
          <Segments
            label={t('settings.language')}
            chosen={kept.language}
            onChoose={(language) => {
              preferences.set({ language });
              // The words are loaded before anything is shown.
              location.reload();
            }}
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
      <About />
    </div>
  );
}

function Row({ label, value, hint, children }: { label: string; value: string; hint?: string; children: ReactNode }) {
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
