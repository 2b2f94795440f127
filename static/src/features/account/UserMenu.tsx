/** Who is signed in, at the end of the top bar. */

import type { Account, AccountState } from '../../client/account';
import { roleName } from '../../components/account_words';
import { Icon } from '../../components/Icon';
import { Link } from '../../components/Link';
import { Menu } from '../../components/Menu';
import { useSignOut } from '../../components/sign_out';
import { useWords } from '../../components/words';
import { ACCOUNT, CONNECTION_TEST, loginPath, OVERVIEW } from '../../lib/router';
import { visible } from '../../lib/text';

export function UserMenu({
  account,
  state,
  failed,
}: {
  account: Account;
  state: AccountState;
  /** Hears why signing out did not work. */
  failed: (sentence: string) => void;
}) {
  const words = useWords();
  const { t } = words;
  const signOut = useSignOut(account, failed);
  if (state.kind !== 'signed-in')
    return (
      <Link className="button" href={loginPath(location.pathname + location.search)}>
        {t('menu.signIn')}
      </Link>
    );

  const name = visible(state.user.name);
  const role = roleName(state.user.role, words);
  return (
    <Menu
      label={t('menu.label', { name, role })}
      caption={
        <>
          <Icon name="person" />
          <bdi className="menu-name">{name}</bdi>
        </>
      }
      head={
        <>
          <b dir="auto">{name}</b>
          <span className="t2">{role}</span>
        </>
      }
    >
      <Link role="menuitem" href={OVERVIEW}>
        {t('menu.dashboard')}
      </Link>
      <Link role="menuitem" href={ACCOUNT}>
        {t('menu.account')}
      </Link>
      <Link role="menuitem" href={CONNECTION_TEST}>
        {t('test.title')}
      </Link>
      <button type="button" role="menuitem" onClick={() => void signOut()}>
        {t('menu.signOut')}
      </button>
    </Menu>
  );
}
