/** The dashboard's one connection, and what the account that it is made by may do. */

import type { QueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import type { Account } from '../../client/account';
import { Admin } from '../../client/admin/admin';
import { HubClock } from '../../client/clock';
import { Hub, type HubOptions } from '../../client/hub';
import { watchQuiet } from '../../components/quiet';
import type { Watched } from '../../components/Status';

/** The hub gives a command 20 s; verifying a long audit log takes some of them. */
const ANSWER_MS = 20_000;

export interface Connected {
  readonly watched: Watched;
  readonly admin: Admin;
  readonly clock: HubClock;
}

export function useConnection({
  account,
  url,
  noticed,
  queries,
}: {
  account: Account;
  url: string | null;
  noticed: HubOptions['noticed'];
  queries: QueryClient;
}): Connected | null {
  const [connected, setConnected] = useState<Connected | null>(null);
  useEffect(() => {
    if (url === null) return;
    const hub = new Hub({
      url: forOperators(url),
      tokens: account,
      noticed,
      returned: () => {},
      name: 'aether-dashboard',
      answerMs: ANSWER_MS,
    });
    // What was read before may be anything by now.
    const { watched, stop } = watchQuiet(hub, () => void queries.invalidateQueries());
    setConnected({ admin: new Admin(hub), clock: new HubClock(), watched });
    return () => {
      stop();
      setConnected(null);
    };
  }, [account, url, noticed, queries]);
  return connected;
}

/** Whoever may end maintenance is let in during it. */
function forOperators(url: string): string {
  const address = new URL(url);
  address.searchParams.set('for', 'admin');
  return address.href;
}

/** Read when the connection opens: a role that is changed brings the connection back with it. */
export function useRights(account: Account, hub: Hub | null): ReadonlySet<string> | null {
  const [rights, setRights] = useState<ReadonlySet<string> | null>(null);
  useEffect(() => {
    if (hub === null) return;
    const run = new AbortController();
    const read = () => {
      if (hub.state.get().kind !== 'connected') return;
      account.me(run.signal).then(
        (answer) => {
          if (answer.ok) setRights(new Set(answer.value.rights));
        },
        () => {},
      );
    };
    read();
    const stop = hub.state.subscribe(read);
    return () => {
      stop();
      run.abort();
    };
  }, [account, hub]);
  return rights;
}
