/** The processes that the hub is made of. */

import { count, fields, finite, list, text } from '../parse';
import type { Admin } from './admin';

export interface NodeWorker {
  readonly lagMs: number;
  readonly sessions: number;
  readonly channels: number;
  readonly subscriptions: number;
  readonly waitingBytes: number;
}

export interface NodeActors {
  readonly kind: string;
  readonly count: number;
  readonly restarts: number;
  /** Why, and how often for that. */
  readonly causes: readonly (readonly [cause: string, times: number])[];
}

export const NODE_STATES = ['ready', 'maintenance', 'draining'] as const;
export type NodeState = (typeof NODE_STATES)[number];

export interface HubNode {
  readonly name: string;
  /** It is the one that answered. */
  readonly isThis: boolean;
  readonly version: string;
  readonly state: NodeState;
  readonly uptimeMs: number;
  readonly startedAtMs: number | null;
  readonly process: number | null;
  readonly listeners: readonly { readonly address: string; readonly isTls: boolean }[];
  readonly sessions: number;
  readonly channels: number;
  readonly workers: readonly NodeWorker[];
  readonly actors: readonly NodeActors[];
  readonly store: {
    readonly kind: string;
    readonly trouble: string | null;
    readonly waiting: number;
    readonly connections: number;
  };
  readonly broker: string;
  readonly machine: { readonly name: string | null; readonly kernel: string | null; readonly cores: number | null };
  /** By the names of what is measured; `null` where nothing is. */
  readonly figure: (metric: string) => number | null;
}

export function parseNode(value: unknown): HubNode | null {
  const node = fields(value);
  const name = text(node?.['node']);
  if (node === null || name === null) return null;
  const [store, broker, machine, figures] = ['store', 'broker', 'machine', 'figures'].map((member) => fields(node[member]));
  return {
    name,
    isThis: node['is_this'] === true,
    version: text(node['version']) ?? '',
    state: NODE_STATES.find((known) => known === node['state']) ?? 'ready',
    uptimeMs: count(node['uptime_ms']) ?? 0,
    startedAtMs: count(node['started_at']),
    process: count(node['process']),
    listeners: list(node['listeners']).flatMap((entry) => {
      const address = text(fields(entry)?.['address']);
      return address === null ? [] : [{ address, isTls: fields(entry)?.['is_tls'] === true }];
    }),
    sessions: count(node['sessions']) ?? 0,
    channels: count(node['channels']) ?? 0,
    workers: list(node['workers']).flatMap((entry) => {
      const worker = fields(entry);
      if (worker === null) return [];
      const number = (member: string) => count(worker[member]) ?? 0;
      return [
        {
          lagMs: number('lag_ms'),
          sessions: number('sessions'),
          channels: number('channels'),
          subscriptions: number('subscriptions'),
          waitingBytes: number('outbox_bytes'),
        },
      ];
    }),
    actors: list(node['actors']).flatMap((entry) => {
      const actors = fields(entry);
      const kind = text(actors?.['kind']);
      if (kind === null) return [];
      const causes = Object.entries(fields(actors?.['causes']) ?? {}).map(
        ([cause, times]) => [cause, count(times) ?? 0] as const,
      );
      return [{ kind, count: count(actors?.['count']) ?? 0, restarts: count(actors?.['restarts']) ?? 0, causes }];
    }),
    store: {
      kind: text(store?.['kind']) ?? '',
      trouble: text(store?.['trouble']),
      waiting: count(store?.['waiting']) ?? 0,
      connections: count(store?.['connections']) ?? 0,
    },
    broker: text(broker?.['kind']) ?? '',
    machine: { name: text(machine?.['name']), kernel: text(machine?.['kernel']), cores: count(machine?.['cores']) },
    figure: (metric) => finite(figures?.[metric]),
  };
}

export function parseNodes(value: unknown): readonly HubNode[] | null {
  const answer = fields(value);
  if (answer === null || !Array.isArray(answer['nodes'])) return null;
  return list(answer['nodes']).flatMap((entry) => parseNode(entry) ?? []);
}

export function listNodes(admin: Admin): Promise<readonly HubNode[]> {
  return admin.ask('nodes.list', {}, parseNodes);
}

/** New clients are refused with this message; those that are there stay. Of the node that answers. */
export function enterMaintenance(admin: Admin, message: string): Promise<void> {
  return admin.tell('maintenance.enter', { message: message === '' ? undefined : message });
}

export function leaveMaintenance(admin: Admin): Promise<void> {
  return admin.tell('maintenance.leave', {});
}

/** How long the goodbyes may take; as the configuration has it, or longer for those who come back slowly. */
export const DRAIN_WITHIN = ['configured', '60s', '5m'] as const;
export type DrainWithin = (typeof DRAIN_WITHIN)[number];

/** Sends all clients of the node that answers away, and ends it. */
export function drain(admin: Admin, within: DrainWithin): Promise<void> {
  return admin.tell('drain', { within: within === 'configured' ? undefined : within, confirm: true });
}
