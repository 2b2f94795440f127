import type { ReactNode } from 'react';
import type { Alert, Severity } from '../../client/admin/alerts';
import { visible } from '../../lib/text';
import type { Status } from '../Icon';
import { useWords } from '../words';

export function severityStatus(severity: Severity): Status {
  return severity === 'critical' ? 'crit' : severity === 'warning' ? 'warn' : 'info';
}

/** One alert: how bad, what, why, and what can be done about it at its end. */
export function AlertLine({ alert, children }: { alert: Alert; children?: ReactNode }) {
  const { t, told, said } = useWords();
  const status = severityStatus(alert.severity);
  return (
    <div className="alert-line">
      <span className={`chip is-state is-${status}`}>{t(`alerts.severity.${alert.severity}`)}</span>
      <p>
        <b>{visible(told(alert.title))}</b> <span className="t2">{visible(said(alert.text))}</span>
      </p>
      <div className="alert-actions">{children}</div>
    </div>
  );
}
