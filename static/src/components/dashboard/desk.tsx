/**
 * What every view of the dashboard works with: the connection, who is signed in with which rights, and answers of the hub that are kept,
 * asked for again, and say how old they are. Views ask by `useAsk`; nothing else in them talks to the hub but commands that change something.
 */

import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useCallback, useContext, useRef } from 'react';
import type { Admin } from '../../client/admin/admin';
import type { HubClock } from '../../client/clock';
import { INVALID_TOKEN, NOT_AVAILABLE, NOT_FOUND, PERMISSION_DENIED } from '../../client/codes';
import { type Hub, HubError } from '../../client/hub';
import type { Signal } from '../../client/signal';
import { useSignal } from '../../lib/hooks';
import { visible } from '../../lib/text';
import { rightName, roleName } from '../account_words';
import { Notice, Skeleton } from '../Panel';
import { reasonOf } from '../reasons';
import { useWords } from '../words';
import type { Kept } from './settings_keeper';

export interface Desk {
  readonly hub: Hub;
  readonly admin: Admin;
  /** The hub's own, as far as its answers told. */
  readonly clock: HubClock;
  readonly user: { readonly name: string; readonly role: string };
  /** `null`: not known yet. */
  readonly rights: ReadonlySet<string> | null;
  /** Where the reader's settings are kept. */
  readonly kept: Signal<Kept>;
  /** Says what came of something, for a few seconds. */
  readonly say: (toast: Toast) => void;
}

export interface Toast {
  readonly status: 'ok' | 'crit';
  readonly text: string;
}

export const DeskContext = createContext<Desk | null>(null);

export function useDesk(): Desk {
  const desk = useContext(DeskContext);
  if (desk === null) throw new Error('a view of the dashboard stands outside of it');
  return desk;
}

/** Whether the reader may do something. What is not known yet is not offered. */
export function useRight(right: string): boolean {
  return useDesk().rights?.has(right) ?? false;
}

export function useIsOpen(): boolean {
  return useSignal(useDesk().hub.state).kind === 'connected';
}

export type Asked<T> =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly error: HubError }
  | {
      readonly kind: 'ready';
      readonly value: T;
      readonly updatedMs: number;
      /** The last try to read it anew failed. */
      readonly error: HubError | null;
      /** It is the answer to the question before this one. */
      readonly isPrevious: boolean;
    };

/** An answer that cannot be had is asked for less and less often, down to this. */
const BACKOFF_MAX_MS = 30_000;

export function nextAskMs(everyMs: number, failures: number): number {
  return Math.min(BACKOFF_MAX_MS, everyMs * 2 ** Math.min(failures, 8));
}

/**
 * `key` says what is asked, as the answer is kept under it. With `everyMs` it is asked again and again, while the page is looked at and the
 * connection is open; a failure does not take away what was read before.
 */
export function useAsk<T>(
  key: readonly unknown[],
  ask: (admin: Admin) => Promise<T>,
  { everyMs = 0, isWanted = true }: { readonly everyMs?: number; readonly isWanted?: boolean } = {},
): Asked<T> & { readonly again: () => void } {
  const { admin } = useDesk();
  const isOpen = useIsOpen();
  const failures = useRef(0);
  const query = useQuery<T, HubError>({
    queryKey: key,
    queryFn: async () => {
      try {
        const value = await ask(admin);
        failures.current = 0;
        return value;
      } catch (error) {
        failures.current += 1;
        throw hubError(error);
      }
    },
    enabled: isOpen && isWanted,
    placeholderData: keepPreviousData,
    // What is not there does not come back by being asked for, and each refused call is an entry of the audit log.
    refetchInterval: ({ state }) =>
      everyMs === 0 || state.error?.code === NOT_FOUND ? false : nextAskMs(everyMs, failures.current),
  });
  const again = useCallback(() => void query.refetch(), [query.refetch]);
  const { data, error, dataUpdatedAt, isPlaceholderData } = query;
  if (data !== undefined)
    return { kind: 'ready', value: data, updatedMs: dataUpdatedAt, error, isPrevious: isPlaceholderData, again };
  return error === null ? { kind: 'loading', again } : { kind: 'failed', error, again };
}

/** What is not an answer of the hub is a fault of ours, and is told as one. */
export function hubError(error: unknown): HubError {
  return error instanceof HubError ? error : new HubError(0, error instanceof Error ? error.message : String(error));
}

/** Does something, says what came of it, and has everything read anew that begins with `changes`. */
export function useTell<V, R>(
  tell: (admin: Admin, values: V) => Promise<R>,
  {
    changes,
    done,
    onDone,
  }: {
    readonly changes: readonly (readonly unknown[])[];
    /** What is said when it is done; `null`: the view shows it. */
    readonly done: (values: V, result: R) => string | null;
    readonly onDone?: (result: R) => void;
  },
): { readonly run: (values: V) => void; readonly isBusy: boolean; readonly error: HubError | null; readonly reset: () => void } {
  const { admin, say } = useDesk();
  const queries = useQueryClient();
  const mutation = useMutation<R, HubError, V>({
    mutationFn: async (values) => {
      try {
        return await tell(admin, values);
      } catch (error) {
        throw hubError(error);
      }
    },
    onSuccess: (result, values) => {
      for (const key of changes) void queries.invalidateQueries({ queryKey: key });
      const text = done(values, result);
      if (text !== null) say({ status: 'ok', text });
      onDone?.(result);
    },
  });
  return { run: mutation.mutate, isBusy: mutation.isPending, error: mutation.error, reset: mutation.reset };
}

/** Why something was not done, as one sentence. The hub's own words are better than those of the code, where it has some. */
export function useWhy(): (error: HubError) => string {
  const words = useWords();
  return useCallback(
    (error) => {
      if (error.code === PERMISSION_DENIED || error.code === INVALID_TOKEN) return words.t('ask.denied');
      if (error.code >= 100 && error.message !== '' && !PLAIN.has(error.message))
        return words.t('ask.says', { says: visible(error.message) });
      return words.t('ask.failed', { reason: reasonOf(error.code, error.message, words) });
    },
    [words],
  );
}

/** Texts of the code table that say no more than their code. */
const PLAIN: ReadonlySet<string> = new Set(['internal server error', 'permission denied', 'bad request', 'not available']);

/** What stands in a view's place until its answer is there, and when it does not come. */
export function Reading<T>({
  asked,
  title,
  right,
  lines = [75, 60, 90, 60, 75],
  children,
}: {
  asked: Asked<T> & { readonly again: () => void };
  /** "{Thing} cannot be read". */
  title: string;
  right: string;
  lines?: readonly number[];
  children: (value: T) => ReactNode;
}) {
  const { t } = useWords();
  const why = useWhy();
  const { rights } = useDesk();
  if (rights !== null && !rights.has(right)) return <Denied right={right} />;
  switch (asked.kind) {
    case 'loading':
      return (
        <div className="panel-pad" aria-busy="true">
          <Skeleton lines={lines} />
        </div>
      );
    case 'failed': {
      const { error } = asked;
      if (error.code === PERMISSION_DENIED) return <Denied right={right} />;
      const canTryAgain = error.code !== NOT_FOUND && error.code !== NOT_AVAILABLE;
      return (
        <div className="panel-pad" role="alert">
          <Notice
            title={title}
            action={
              canTryAgain && (
                <button type="button" className="button" onClick={asked.again}>
                  {t('action.retry')}
                </button>
              )
            }
          >
            {why(error)}
          </Notice>
        </div>
      );
    }
    case 'ready':
      return children(asked.value);
  }
}

export function Denied({ right }: { right: string }) {
  const words = useWords();
  const { t } = words;
  const { user } = useDesk();
  return (
    <div className="panel-pad">
      <Notice title={t('denied.title', { what: rightName(right, words) })}>
        {t('denied.text', { right, role: roleName(user.role, words) })}
      </Notice>
    </div>
  );
}
