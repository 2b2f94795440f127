import type { ReactNode } from 'react';
import { Glyph, type Status } from './Icon';

/** A sentence that belongs to a form or a panel, with at most one action. `isSpoken`: it is the answer to what the reader just did. */
export function Problem({
  status = 'crit',
  isSpoken = true,
  children,
  action,
}: {
  status?: Status;
  isSpoken?: boolean;
  children: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className="problem" data-status={status} role={isSpoken ? (status === 'crit' ? 'alert' : 'status') : undefined}>
      <Glyph status={status} />
      <span>{children}</span>
      {action}
    </div>
  );
}
