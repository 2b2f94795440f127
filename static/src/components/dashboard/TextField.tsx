import type { InputHTMLAttributes, ReactNode } from 'react';

/** A line of text in a form, with its label above it and what helps to fill it in below. */
export function TextField({
  id,
  label,
  hint,
  isMono = false,
  onText,
  ...input
}: {
  id: string;
  label: string;
  hint?: ReactNode;
  isMono?: boolean;
  onText: (text: string) => void;
} & Omit<InputHTMLAttributes<HTMLInputElement>, 'id' | 'className' | 'onChange'>) {
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className={isMono ? 'input mono' : 'input'}
        autoComplete="off"
        spellCheck={false}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        onChange={(event) => onText(event.target.value)}
        {...input}
      />
      {hint !== undefined && (
        <p id={`${id}-hint`} className="field-hint">
          {hint}
        </p>
      )}
    </div>
  );
}
