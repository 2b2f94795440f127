import { type ReactNode, useEffect, useId, useRef } from 'react';
import type { HubError } from '../../client/hub';
import { useModal } from '../Dialog';
import { Problem } from '../Problem';
import { useWords } from '../words';
import { useWhy } from './desk';

/**
 * A dialog that is a form: what it asks, what will happen, and the verb. What is dangerous begins with the focus on Cancel; what was typed
 * stays after an error.
 */
export function Ask({
  title,
  verb,
  isDangerous = false,
  isBusy,
  canDo = true,
  isWide = false,
  error,
  children,
  onDone,
  onClose,
}: {
  title: string;
  verb: string;
  isDangerous?: boolean;
  isBusy: boolean;
  canDo?: boolean;
  isWide?: boolean;
  error: HubError | null;
  children: ReactNode;
  onDone: () => void;
  onClose: () => void;
}) {
  const { t } = useWords();
  const why = useWhy();
  const id = useId();
  const { dialog, cancel } = useModal();
  return (
    <dialog
      ref={dialog}
      className={isWide ? 'dialog is-wide' : 'dialog'}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        if (!isBusy) onClose();
      }}
    >
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          if (!isBusy && canDo) onDone();
        }}
      >
        <h2 id={id}>{title}</h2>
        {children}
        {error !== null && <Problem>{why(error)}</Problem>}
        <div className="dialog-actions">
          <button ref={cancel} type="button" className="button" disabled={isBusy} onClick={onClose}>
            {t('action.cancel')}
          </button>
          <button
            type="submit"
            className={isDangerous ? 'button is-danger' : 'button is-primary'}
            aria-disabled={isBusy || !canDo}
          >
            {verb}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** Asks whether something is to be done that cannot be undone; `act` is what `useTell` gave. */
export function Sure({
  title,
  verb,
  act,
  children,
  onClose,
}: {
  title: string;
  verb: string;
  act: { readonly run: (values: undefined) => void; readonly isBusy: boolean; readonly error: HubError | null };
  children: ReactNode;
  onClose: () => void;
}) {
  return (
    <Ask
      title={title}
      verb={verb}
      isDangerous
      isBusy={act.isBusy}
      error={act.error}
      onDone={() => act.run(undefined)}
      onClose={onClose}
    >
      <p>{children}</p>
    </Ask>
  );
}

/** A password or key that is told this once: to be copied before the dialog is closed. */
export function Once({ title, text, secret, onClose }: { title: string; text: string; secret: string; onClose: () => void }) {
  const { t } = useWords();
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const said = useRef<HTMLSpanElement>(null);
  useEffect(() => void dialog.current?.showModal(), []);
  const copy = async () => {
    let isCopied = true;
    try {
      await navigator.clipboard.writeText(secret);
    } catch {
      isCopied = false;
    }
    if (said.current !== null) said.current.textContent = t(isCopied ? 'snippet.copied' : 'snippet.copyFailed');
  };
  return (
    <dialog ref={dialog} className="dialog is-wide" aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      <p>{text}</p>
      <div className="once">
        <code>{secret}</code>
        <button type="button" className="button" onClick={() => void copy()}>
          {t('snippet.copy')}
        </button>
      </div>
      <p className="hint">
        <span ref={said} role="status" />
      </p>
      <div className="dialog-actions">
        <button type="button" className="button is-primary" onClick={() => dialog.current?.close()}>
          {t('once.done')}
        </button>
      </div>
    </dialog>
  );
}
