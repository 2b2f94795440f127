/** The login page. It says nothing about the hub, and the same about a wrong password as about a name that nobody has. */

import { type FormEvent, useEffect, useId, useRef, useState } from 'react';
import type { Account, AccountFailure, SignedOutReason } from '../../client/account';
import { Fan } from '../../components/Fan';
import { Logo } from '../../components/Icon';
import { Link } from '../../components/Link';
import { PasswordField } from '../../components/PasswordField';
import { Problem } from '../../components/Problem';
import { ThemeButton } from '../../components/TopBar';
import { useWords } from '../../components/words';
import { useFrame, useSignal } from '../../lib/hooks';
import { LIVE } from '../../lib/router';
import { loginProblem, secondsLeft } from './login_problem';
import './login.css';

interface Props {
  readonly account: Account;
  readonly hasLive: boolean;
  /** Called once somebody is signed in. */
  readonly onSignedIn: () => void;
}

export function LoginPage({ account, hasLive, onSignedIn }: Props) {
  const { t } = useWords();
  const state = useSignal(account.state);
  const entered = useRef(onSignedIn);
  useEffect(() => {
    entered.current = onSignedIn;
  });
  const isSignedIn = state.kind === 'signed-in';
  useEffect(() => {
    if (!isSignedIn) return;
    let isHere = true;
    // A name that the browser remembers is no login yet: only with a token there is something to go on to.
    account.get().then(
      (token) => {
        if (isHere && token !== null) entered.current();
      },
      () => {},
    );
    return () => {
      isHere = false;
    };
  }, [account, isSignedIn]);

  return (
    <div className="login">
      <main className="login-side" id="main" tabIndex={-1}>
        <div className="brand">
          <Logo />
          <span>Aether</span>
        </div>
        <Form
          account={account}
          isBusy={state.kind === 'signing-in'}
          ended={state.kind === 'signed-out' ? state.reason : 'none'}
        />
        <div className="login-foot">
          {hasLive && (
            <Link className="login-live" href={LIVE}>
              {t('login.live')}
            </Link>
          )}
          <ThemeButton />
        </div>
      </main>
      <div className="login-art" aria-hidden="true">
        <Fan shape="wall" />
      </div>
    </div>
  );
}

function Form({ account, isBusy, ended }: { account: Account; isBusy: boolean; ended: SignedOutReason }) {
  const { t } = useWords();
  const id = useId();
  const [failure, setFailure] = useState<AccountFailure | null>(null);
  const [wasTried, setWasTried] = useState(false);
  const name = useRef<HTMLInputElement>(null);
  const password = useRef<HTMLInputElement>(null);
  const isPaused = usePaused(failure, () => setFailure(null));

  useEffect(() => {
    name.current?.focus();
  }, []);

  const submit = async (event?: FormEvent) => {
    event?.preventDefault();
    if (isBusy || isPaused) return;
    setWasTried(true);
    setFailure(null);
    const failed = await account.signIn(name.current?.value.trim() ?? '', password.current?.value ?? '');
    setFailure(failed);
    // Both fields keep what was typed; the password is the more likely mistake.
    if (failed?.kind === 'wrong') {
      password.current?.focus();
      password.current?.select();
    }
  };

  return (
    <form className="login-form" aria-labelledby={id} onSubmit={(event) => void submit(event)}>
      <div>
        <h1 id={id}>{t('login.title')}</h1>
        <p className="t2">{t('login.for')}</p>
      </div>
      {failure !== null ? (
        <FailureLine failure={failure} onRetry={() => void submit()} />
      ) : (
        !wasTried && ended !== 'none' && <EndedLine reason={ended} />
      )}
      <div className="field">
        <label htmlFor={`${id}-name`}>{t('login.name')}</label>
        <input
          ref={name}
          id={`${id}-name`}
          className="input"
          name="username"
          autoComplete="username"
          autoCapitalize="none"
          autoCorrect="off"
          spellCheck={false}
          maxLength={64}
          required
          // The pause may be another name's.
          onChange={() => isPaused && setFailure(null)}
        />
      </div>
      <PasswordField ref={password} label={t('login.password')} name="password" autoComplete="current-password" />
      {/* It stays enabled: a button that loses its focus while one waits throws the keyboard's user out. */}
      <button type="submit" className="button is-primary" aria-disabled={isBusy || isPaused} aria-busy={isBusy}>
        {t(isBusy ? 'login.busy' : 'login.submit')}
      </button>
      <p className="login-help">
        {t('login.help')} <code className="mono">aether user add</code>
      </p>
    </form>
  );
}

function FailureLine({ failure, onRetry }: { failure: AccountFailure; onRetry: () => void }) {
  const words = useWords();
  const [nowMs, setNowMs] = useState(Date.now());
  useFrame((now) => {
    // Whole seconds: more often it does not change.
    if (failure.kind === 'paused' && secondsLeft(failure.untilMs, now) !== secondsLeft(failure.untilMs, nowMs)) setNowMs(now);
  });
  const { sentence, spoken, mayRetry } = loginProblem(failure, nowMs, words);
  return (
    <Problem
      isSpoken={failure.kind !== 'paused'}
      action={
        mayRetry && (
          <button type="button" className="button is-quiet" onClick={onRetry}>
            {words.t('action.retry')}
          </button>
        )
      }
    >
      {failure.kind === 'paused' ? (
        <>
          <span aria-hidden="true">{sentence}</span>
          <span className="sr-only" role="alert">
            {spoken}
          </span>
        </>
      ) : (
        sentence
      )}
    </Problem>
  );
}

function EndedLine({ reason }: { reason: Exclude<SignedOutReason, 'none'> }) {
  const { t } = useWords();
  return (
    <Problem status={reason === 'logout' ? 'ok' : reason === 'replayed' ? 'crit' : 'warn'}>{t(`signedOut.${reason}`)}</Problem>
  );
}

/** Whether the hub takes no try now; `onEnd` is called when it does again. */
function usePaused(failure: AccountFailure | null, onEnd: () => void): boolean {
  const untilMs = failure?.kind === 'paused' ? failure.untilMs : null;
  const ended = useRef(onEnd);
  useEffect(() => {
    ended.current = onEnd;
  });
  useEffect(() => {
    if (untilMs === null) return;
    const timer = setTimeout(() => ended.current(), Math.max(0, untilMs - Date.now()));
    return () => clearTimeout(timer);
  }, [untilMs]);
  return untilMs !== null;
}
