import { type ReactNode, type Ref, useId, useState } from 'react';
import { useWords } from './words';

/** A password that its owner may look at while typing. */
export function PasswordField({
  ref,
  label,
  name,
  autoComplete,
  hint,
  onChange,
}: {
  ref?: Ref<HTMLInputElement>;
  label: string;
  name: string;
  autoComplete: 'current-password' | 'new-password';
  hint?: ReactNode;
  onChange?: (value: string) => void;
}) {
  const { t } = useWords();
  const id = useId();
  const [isShown, setIsShown] = useState(false);
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <div className="reveal">
        <input
          ref={ref}
          id={id}
          className="input"
          name={name}
          type={isShown ? 'text' : 'password'}
          autoComplete={autoComplete}
          autoCapitalize="none"
          spellCheck={false}
          required
          aria-describedby={hint === undefined ? undefined : `${id}-hint`}
          onChange={(event) => onChange?.(event.target.value)}
        />
        <button
          type="button"
          aria-pressed={isShown}
          aria-label={t(isShown ? 'password.hideThis' : 'password.showThis', { field: label })}
          onClick={() => setIsShown(!isShown)}
        >
          {t(isShown ? 'password.hide' : 'password.show')}
        </button>
      </div>
      {hint !== undefined && (
        <p className="field-hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
