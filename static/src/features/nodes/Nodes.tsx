/** Are all nodes alike and reachable, and what is each of them? As many as the hub tells of: today that is the one that answers. */

import { useMemo } from 'react';
import { type HubNode, listNodes, type NodeActors, type NodeState } from '../../client/admin/nodes';
import { Reading, useAsk } from '../../components/dashboard/desk';
import { type Column, Table } from '../../components/dashboard/Table';
import { Facts, When } from '../../components/dashboard/Tools';
import { Glyph, type Status } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Notice, Panel } from '../../components/Panel';
import { useWords } from '../../components/words';
import { UNKNOWN } from '../../lib/format';
import type { Words } from '../../lib/i18n';
import { pathOf, router } from '../../lib/router';
import { visible } from '../../lib/text';
import { Steer } from './Steer';
import './nodes.css';

const EVERY_MS = 2_000;
/** A worker that is later is worth a look: clients feel it. */
const LATE_MS = 50;
/** A certificate that ends sooner should have a successor. */
const ENDING_S = 14 * 86_400;

const STATUS: Readonly<Record<NodeState, Status>> = { ready: 'ok', maintenance: 'warn', draining: 'move' };

export default function Nodes({ thing }: { thing: string | null }) {
  const { t } = useWords();
  const asked = useAsk(['nodes'], listNodes, { everyMs: EVERY_MS });
  return (
    <Reading asked={asked} title={t('nodes.failed')} right="metrics.read">
      {(nodes) => <Known nodes={nodes} thing={thing} />}
    </Reading>
  );
}

function Known({ nodes, thing }: { nodes: readonly HubNode[]; thing: string | null }) {
  const words = useWords();
  const { t } = words;
  const columns = useMemo(() => columnsIn(words), [words]);
  const [only] = nodes;
  const isAlone = nodes.length === 1 && only !== undefined;
  const chosen = thing === null ? (isAlone ? only : undefined) : nodes.find(({ name }) => name === thing);
  return (
    <>
      <div className="head">
        <p>
          {isAlone ? `${t('nodes.one', { name: visible(only.name) })} ${t('nodes.alone')}` : t('nodes.many', { n: nodes.length })}
        </p>
      </div>
      <section className="panel list-panel nodes-panel" aria-label={t('nodes.list')}>
        <Table
          label={t('nodes.list')}
          columns={columns}
          count={nodes.length}
          rowAt={(index) => nodes[index]}
          keyOf={({ name }) => name}
          chosen={chosen?.name ?? null}
          onChoose={({ name }) => router.go(pathOf('nodes', name))}
          small={(node) => <SmallRow node={node} />}
        />
      </section>
      {chosen?.isThis === true && <Steer node={chosen} />}
      {chosen !== undefined && <Detail node={chosen} />}
      {chosen === undefined && thing !== null && (
        <section className="panel" aria-label={t('nodes.node')}>
          <Notice
            title={t('nodes.noneTitle', { name: visible(thing) })}
            action={
              <Link className="button" href={pathOf('nodes')}>
                {t('nodes.all')}
              </Link>
            }
          >
            {t('nodes.none')}
          </Notice>
        </section>
      )}
    </>
  );
}

function latest({ workers }: HubNode): number {
  return workers.reduce((most, { lagMs }) => Math.max(most, lagMs), 0);
}

function State({ state }: { state: NodeState }) {
  const { t } = useWords();
  const status = STATUS[state];
  return (
    <span className={status === 'ok' ? 'state' : `state is-${status}`}>
      <Glyph status={status} />
      <span className="trunc">{t(`nodes.state.${state}`)}</span>
    </span>
  );
}

function columnsIn(words: Words): readonly Column<HubNode>[] {
  const { t, format } = words;
  const percent = (value: number | null) => (value === null ? UNKNOWN : `${format.decimal(value, 0)} %`);
  return [
    {
      id: 'name',
      head: t('nodes.node'),
      width: 'minmax(120px, 1.6fr)',
      cell: ({ name }) => (
        <Link className="is-strong" data-stop="" href={pathOf('nodes', name)} title={visible(name)}>
          <bdi>{visible(name)}</bdi>
        </Link>
      ),
    },
    { id: 'state', head: t('nodes.state'), width: '116px', cell: ({ state }) => <State state={state} /> },
    { id: 'version', head: t('nodes.version'), width: '96px', from: 'medium', cell: ({ version }) => visible(version) },
    { id: 'sessions', head: t('view.sessions'), width: '84px', isNumber: true, cell: (node) => format.short(node.sessions) },
    {
      id: 'delivered',
      head: t('nodes.delivered'),
      width: '104px',
      isNumber: true,
      from: 'medium',
      cell: (node) => format.perSecond(node.figure('messages.delivered')),
    },
    { id: 'cpu', head: t('nodes.cpu'), width: '68px', isNumber: true, cell: (node) => percent(node.figure('process.cpu')) },
    {
      id: 'memory',
      head: t('nodes.memory'),
      width: '90px',
      isNumber: true,
      from: 'medium',
      cell: (node) => format.bytes(node.figure('memory.resident')),
    },
    {
      id: 'lag',
      head: t('nodes.lag'),
      width: '76px',
      isNumber: true,
      cell: (node) => <Lag ms={latest(node)} />,
    },
    { id: 'up', head: t('nodes.up'), width: '112px', isNumber: true, from: 'wide', cell: (node) => format.age(node.uptimeMs) },
  ];
}

function Lag({ ms }: { ms: number }) {
  const { format } = useWords();
  return <span className={ms > LATE_MS ? 'is-warn-text' : undefined}>{format.latency(ms)}</span>;
}

function SmallRow({ node }: { node: HubNode }) {
  const { t, format } = useWords();
  return (
    <>
      <div>
        <Link className="is-strong trunc" data-stop="" href={pathOf('nodes', node.name)}>
          <bdi>{visible(node.name)}</bdi>
        </Link>
        <State state={node.state} />
      </div>
      <div className="is-second">
        <span>{`${t('view.sessions')} ${format.short(node.sessions)}`}</span>
        <span>{format.age(node.uptimeMs)}</span>
      </div>
    </>
  );
}

function Detail({ node }: { node: HubNode }) {
  const words = useWords();
  const { t, format } = words;
  const { figure, store, machine, workers } = node;
  const isMeasured = figure('process.cpu') !== null;
  const ends = figure('certificate.ends_in_seconds');
  const share = (metric: string) => format.share(figure(metric));
  return (
    <div className="columns">
      <div>
        <Panel title={t('nodes.workers')} scope={t('nodes.workersScope')}>
          <table className="plain">
            <thead>
              <tr>
                <th scope="col">{t('nodes.workerHead')}</th>
                <th scope="col">{t('nodes.lag')}</th>
                <th scope="col">{t('view.sessions')}</th>
                <th scope="col" className="is-medium">
                  {t('view.channels')}
                </th>
                <th scope="col" className="is-wide">
                  {t('nodes.subscriptions')}
                </th>
                <th scope="col">{t('nodes.waiting')}</th>
              </tr>
            </thead>
            <tbody>
              {workers.map((worker, index) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a worker is its number.
                <tr key={index}>
                  <th scope="row">{t('nodes.worker', { n: index })}</th>
                  <td>
                    <Lag ms={worker.lagMs} />
                  </td>
                  <td>{format.short(worker.sessions)}</td>
                  <td className="is-medium">{format.short(worker.channels)}</td>
                  <td className="is-wide">{format.short(worker.subscriptions)}</td>
                  <td>{format.bytes(worker.waitingBytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Panel>
        <Actors actors={node.actors} />
      </div>
      <div>
        <Panel title={t('nodes.process')} scope={<bdi>{visible(node.name)}</bdi>}>
          <Facts
            rows={[
              [t('nodes.version'), visible(node.version)],
              [t('nodes.started'), <When key="started" ms={node.startedAtMs} fine />],
              [t('nodes.up'), format.age(node.uptimeMs)],
              node.process === null ? null : [t('nodes.id'), String(node.process)],
              ...node.listeners.map(
                ({ address, isTls }, at) =>
                  [
                    at === 0 ? t('nodes.address') : `${t('nodes.address')} ${at + 1}`,
                    <span key={address} className="mono">
                      {isTls ? t('nodes.tls', { address }) : address}
                    </span>,
                  ] as const,
              ),
              isMeasured
                ? [
                    t('nodes.memory'),
                    t('nodes.inUse', {
                      used: format.bytes(figure('memory.allocated')),
                      resident: format.bytes(figure('memory.resident')),
                    }),
                  ]
                : null,
              isMeasured
                ? [
                    t('nodes.descriptors'),
                    t('nodes.descriptorsOf', {
                      n: format.count(figure('descriptors.open')),
                      share: share('descriptors.used'),
                    }),
                  ]
                : null,
              isMeasured ? [t('nodes.threads'), format.count(figure('threads'))] : null,
            ]}
          />
        </Panel>
        <Panel title={t('nodes.around')}>
          <Facts
            rows={[
              [
                t('nodes.store'),
                store.trouble === null ? (
                  <span key="store" className="state">
                    <Glyph status="ok" />
                    {t('nodes.storeFine', { kind: visible(store.kind), n: store.waiting })}
                  </span>
                ) : (
                  <span key="store" className="state is-crit">
                    <Glyph status="crit" />
                    {visible(store.trouble)}
                  </span>
                ),
              ],
              figure('store.latency_ms') === null ? null : [t('nodes.storeLatency'), format.latency(figure('store.latency_ms'))],
              [t('nodes.broker'), node.broker === 'memory' ? t('nodes.broker.memory') : visible(node.broker)],
              [
                t('nodes.certificate'),
                ends === null ? (
                  t('nodes.noTls')
                ) : (
                  <span key="certificate" className={ends > ENDING_S ? undefined : 'is-warn-text'}>
                    {ends > 0 ? t('nodes.ends', { time: format.age(ends * 1000) }) : t('nodes.ended')}
                  </span>
                ),
              ],
            ]}
          />
        </Panel>
        <Panel title={t('nodes.machine')} scope={machine.name === null ? undefined : <bdi>{visible(machine.name)}</bdi>}>
          <Facts
            rows={[
              machine.cores === null ? null : [t('nodes.cores'), format.count(machine.cores)],
              machine.kernel === null ? null : [t('nodes.kernel'), visible(machine.kernel)],
              isMeasured ? [t('nodes.hostCpu'), `${format.decimal(figure('host.cpu'), 0)} %`] : null,
              isMeasured ? [t('nodes.load'), format.decimal(figure('host.load'), 2)] : null,
              isMeasured ? [t('nodes.memory'), t('nodes.usedOf', { share: share('host.memory_used') })] : null,
              isMeasured ? [t('nodes.sockets'), format.bytes(figure('host.socket_memory'))] : null,
              isMeasured ? [t('nodes.disk'), share('host.disk_free')] : null,
            ]}
          />
          {!isMeasured && <p className="hint">{t('nodes.notMeasured')}</p>}
        </Panel>
      </div>
    </div>
  );
}

const KINDS = ['sessions', 'topics', 'fanout', 'feeds', 'upstream', 'metrics', 'canaries', 'admin'] as const;
const CAUSES = ['panicked', 'unresponsive', 'requested'] as const;

function Actors({ actors }: { actors: readonly NodeActors[] }) {
  const { t, format } = useWords();
  const restarts = actors.reduce((sum, one) => sum + one.restarts, 0);
  const why = ([cause, times]: readonly [string, number]) => {
    const known = CAUSES.find((name) => name === cause);
    return `${known === undefined ? visible(cause) : t(`nodes.cause.${known}`)} ${format.count(times)}`;
  };
  return (
    <Panel
      title={t('nodes.actors')}
      scope={restarts === 0 ? t('nodes.neverRestarted') : t('nodes.everRestarted', { n: restarts })}
    >
      <table className="plain">
        <thead>
          <tr>
            <th scope="col">{t('nodes.kind')}</th>
            <th scope="col">{t('nodes.alive')}</th>
            <th scope="col">{t('nodes.restarts')}</th>
          </tr>
        </thead>
        <tbody>
          {actors.map((one) => {
            const known = KINDS.find((kind) => kind === one.kind);
            return (
              <tr key={one.kind}>
                <th scope="row">{known === undefined ? visible(one.kind) : t(`nodes.actor.${known}`)}</th>
                <td>{format.short(one.count)}</td>
                <td className={one.restarts > 0 ? 'is-warn-text' : 't3'}>
                  {one.causes.length === 0 ? format.count(one.restarts) : one.causes.map(why).join(', ')}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Panel>
  );
}
