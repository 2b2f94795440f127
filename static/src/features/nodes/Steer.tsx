/** Taking a node out of service: no new clients (maintenance), or none at all (drain); and what is so at this moment. */

import { useId, useState } from 'react';
import {
  DRAIN_WITHIN,
  type DrainWithin,
  drain,
  enterMaintenance,
  type HubNode,
  leaveMaintenance,
} from '../../client/admin/nodes';
import { Ask } from '../../components/dashboard/Ask';
import { useRight, useTell, useWhy } from '../../components/dashboard/desk';
import { TextField } from '../../components/dashboard/TextField';
import { Segments } from '../../components/dashboard/Tools';
import { Glyph } from '../../components/Icon';
import { Problem } from '../../components/Problem';
import { useWords } from '../../components/words';
import { visible } from '../../lib/text';

const CHANGES = [['nodes'], ['status']] as const;

/** What a message to those who are refused may hold, in characters. */
const MESSAGE_MAX = 200;

export function Steer({ node }: { node: HubNode }) {
  const { t } = useWords();
  const id = useId();
  const why = useWhy();
  const may = useRight('maintenance');
  const [asks, setAsks] = useState<'maintenance' | 'drain' | null>(null);
  const leave = useTell((admin) => leaveMaintenance(admin), { changes: CHANGES, done: () => t('nodes.leftMaintenance') });
  const { state } = node;
  const close = () => setAsks(null);
  // What one may not do stays in sight and says why, so that it is known whom to ask.
  const button = (label: string, act: () => void, isBusy = false) => (
    <button
      type="button"
      className="button"
      aria-disabled={!may || isBusy}
      aria-describedby={may ? undefined : id}
      title={may ? undefined : t('nodes.mayNot')}
      onClick={may && !isBusy ? act : undefined}
    >
      {label}
    </button>
  );
  return (
    <section className="node-steer" aria-label={t('nodes.steer')}>
      {state !== 'ready' && (
        <p className={state === 'draining' ? 'node-now is-move' : 'node-now is-warn'}>
          <Glyph status={state === 'draining' ? 'move' : 'warn'} />
          <span>{t(state === 'draining' ? 'nodes.isDraining' : 'nodes.inMaintenance', { n: node.sessions })}</span>
        </p>
      )}
      {state !== 'draining' && (
        <div className="node-buttons">
          {state === 'maintenance'
            ? button(t('nodes.leaveMaintenance'), () => leave.run(undefined), leave.isBusy)
            : button(t('nodes.enterMaintenance'), () => setAsks('maintenance'))}
          {button(t('nodes.drain'), () => setAsks('drain'))}
        </div>
      )}
      {!may && state !== 'draining' && (
        <p id={id} className="hint">
          {t('nodes.mayNot')}
        </p>
      )}
      {leave.error !== null && <Problem>{why(leave.error)}</Problem>}
      {asks === 'maintenance' && <EnterDialog node={node} onClose={close} />}
      {asks === 'drain' && <DrainDialog node={node} onClose={close} />}
    </section>
  );
}

function EnterDialog({ node, onClose }: { node: HubNode; onClose: () => void }) {
  const { t } = useWords();
  const id = useId();
  const [message, setMessage] = useState('');
  const enter = useTell((admin) => enterMaintenance(admin, message.trim()), {
    changes: CHANGES,
    done: () => null,
    onDone: onClose,
  });
  return (
    <Ask
      title={t('nodes.maintenanceTitle', { name: visible(node.name) })}
      verb={t('nodes.maintenanceVerb')}
      isBusy={enter.isBusy}
      error={enter.error}
      onDone={() => enter.run(undefined)}
      onClose={onClose}
    >
      <p>{t('nodes.maintenanceText', { n: node.sessions })}</p>
      <div className="form">
        <TextField
          id={id}
          label={t('nodes.maintenanceMessage')}
          hint={t('nodes.maintenanceHint')}
          value={message}
          maxLength={MESSAGE_MAX}
          onText={setMessage}
        />
      </div>
    </Ask>
  );
}

function DrainDialog({ node, onClose }: { node: HubNode; onClose: () => void }) {
  const { t } = useWords();
  const [within, setWithin] = useState<DrainWithin>('configured');
  const tell = useTell((admin) => drain(admin, within), { changes: CHANGES, done: () => null, onDone: onClose });
  return (
    <Ask
      title={t('nodes.drainTitle', { name: visible(node.name) })}
      verb={t('nodes.drainVerb')}
      isDangerous
      isBusy={tell.isBusy}
      error={tell.error}
      onDone={() => tell.run(undefined)}
      onClose={onClose}
    >
      <p>{t('nodes.drainText', { n: node.sessions })}</p>
      <p>{t('nodes.drainEnd')}</p>
      <div className="node-within">
        <span className="t2">{t('nodes.drainWithin')}</span>
        <Segments
          label={t('nodes.drainWithin')}
          chosen={within}
          onChoose={setWithin}
          choices={DRAIN_WITHIN.map((one) => ({
            id: one,
            label: one === 'configured' ? t('nodes.drainConfigured') : one.replace(/(\d+)/, '$1\u202f').replace(/m$/, 'min'),
          }))}
        />
      </div>
    </Ask>
  );
}
