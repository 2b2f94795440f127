/** A new password. Strength is told by length only: length is what counts, and rules about characters make passwords worse. */

import { type FormEvent, useRef, useState } from 'react';
import type { Account, AccountFailure } from '../../client/account';
import { whyNot } from '../../components/account_words';
import { Panel } from '../../components/Panel';
import { PasswordField } from '../../components/PasswordField';
import { Problem } from '../../components/Problem';
import { useWords } from '../../components/words';
import { PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, strength } from './strength';

type Said =
  | { readonly kind: 'failed'; readonly failure: AccountFailure }
  | { readonly kind: 'changed' }
  | { readonly kind: 'same' };

export function Password({ account, name, onChanged }: { account: Account; name: string; onChanged: () => void }) {
  const words = useWords();
  const { t } = words;
  const [said, setSaid] = useState<Said | null>(null);
  const [isBusy, setIsBusy] = useState(false);
  const [next, setNext] = useState('');
  const current = useRef<HTMLInputElement>(null);
  const wanted = useRef<HTMLInputElement>(null);
  const { level, characters } = strength(next);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const [old, fresh] = [current.current?.value ?? '', wanted.current?.value ?? ''];
    if (isBusy) return;
    if (strength(fresh).level === 'short' || strength(fresh).level === 'tooLong') {
      setSaid(null);
      wanted.current?.focus();
      return;
    }
    if (old === fresh) {
      setSaid({ kind: 'same' });
      wanted.current?.focus();
      return;
    }
    setIsBusy(true);
    setSaid(null);
    const outcome = await account.changePassword(old, fresh);
    setIsBusy(false);
    if (!outcome.ok) {
      setSaid({ kind: 'failed', failure: outcome.failure });
      if (outcome.failure.kind === 'wrong') {
        current.current?.focus();
        current.current?.select();
      }
      return;
    }
    if (current.current !== null) current.current.value = '';
    if (wanted.current !== null) wanted.current.value = '';
    setNext('');
    setSaid({ kind: 'changed' });
    onChanged();
  };

  return (
    <Panel title={t('password.title')} className="account-password">
      <form className="password-form" onSubmit={(event) => void submit(event)}>
        {/* Password managers want to know whose password it is. */}
        <input
          className="sr-only"
          type="text"
          name="username"
          autoComplete="username"
          value={name}
          readOnly
          tabIndex={-1}
          aria-hidden="true"
        />
        <PasswordField ref={current} label={t('password.current')} name="current" autoComplete="current-password" />
        <PasswordField
          ref={wanted}
          label={t('password.new')}
          name="new"
          autoComplete="new-password"
          onChange={setNext}
          hint={
            <span className="strength" data-level={level}>
              <i aria-hidden="true" />
              {level === 'empty'
                ? t('password.rule', { n: PASSWORD_BYTES_MIN })
                : level === 'tooLong'
                  ? t('password.tooLong', { n: PASSWORD_BYTES_MAX })
                  : t(`password.${level}`, { n: characters })}
            </span>
          }
        />
        {said !== null && (
          <Problem status={said.kind === 'changed' ? 'ok' : 'crit'}>
            {said.kind === 'changed'
              ? t('password.changed')
              : said.kind === 'same'
                ? t('password.same')
                : said.failure.kind === 'wrong'
                  ? t('password.wrong')
                  : t('password.failed', { cause: whyNot(said.failure, words) })}
          </Problem>
        )}
        <div className="password-foot">
          <p className="field-hint">{t('password.effect')}</p>
          <button type="submit" className="button is-primary" aria-disabled={isBusy} aria-busy={isBusy}>
            {t('password.submit')}
          </button>
        </div>
      </form>
    </Panel>
  );
}
