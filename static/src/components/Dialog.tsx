import { type ReactNode, useEffect, useId, useRef } from 'react';
import { useWords } from './words';

/**
 * A dialog over the page as long as it is there. Where it has nothing to fill in, the focus begins on Cancel; at its end it goes back to where it
 * was.
 */
export function useModal() {
  const dialog = useRef<HTMLDialogElement>(null);
  const cancel = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    if (dialog.current?.querySelector('input, textarea, select') === null) cancel.current?.focus();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return { dialog, cancel };
}

/**
 * A question before something that cannot be undone: the title asks, the text says what will happen, the button is the verb. The browser's
 * own dialog keeps the focus inside and gives it back to where it was.
 */
export function Confirm({
  title,
  verb,
  isBusy,
  problem,
  children,
  onConfirm,
  onCancel,
}: {
  title: string;
  verb: string;
  isBusy: boolean;
  /** Why it was not done; the question stays open. */
  problem: ReactNode;
  children: ReactNode;
  onConfirm: () => void;
  onCancel: () => void;
}) {
  const { t } = useWords();
  const id = useId();
  const { dialog, cancel } = useModal();
  return (
    <dialog
      ref={dialog}
      className="dialog"
      role="alertdialog"
      aria-labelledby={id}
      aria-describedby={`${id}-text`}
      onCancel={(event) => {
        event.preventDefault();
        if (!isBusy) onCancel();
      }}
    >
      <h2 id={id}>{title}</h2>
      <p id={`${id}-text`}>{children}</p>
      {problem}
      <div className="dialog-actions">
        <button ref={cancel} type="button" className="button" disabled={isBusy} onClick={onCancel}>
          {t('action.cancel')}
        </button>
        <button type="button" className="button is-danger" aria-disabled={isBusy} onClick={() => isBusy || onConfirm()}>
          {verb}
        </button>
      </div>
    </dialog>
  );
}
