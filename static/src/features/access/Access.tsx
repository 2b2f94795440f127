/** Who may do what, and which key should go? */

import { useState } from 'react';
import {
  addUser,
  endLogins,
  type KeyRow,
  listKeys,
  listUsers,
  newPassword,
  removeKey,
  removeUser,
  rotateKey,
  setRole,
  type UserRow,
} from '../../client/admin/people';
import { roleName } from '../../components/account_words';
import { Ask, Once, Sure } from '../../components/dashboard/Ask';
import { Reading, useAsk, useDesk, useRight, useTell } from '../../components/dashboard/desk';
import { TextField } from '../../components/dashboard/TextField';
import { Segments, When } from '../../components/dashboard/Tools';
import { Glyph, Icon } from '../../components/Icon';
import { Notice } from '../../components/Panel';
import { useWords } from '../../components/words';
import { useInAddress } from '../../lib/hooks';
import { visible } from '../../lib/text';
import { AddKey } from './AddKey';
import { isForgotten, ROLES } from './access_model';
import './access.css';

type Part = 'users' | 'keys';

export default function Access() {
  const { t } = useWords();
  const [partText, setPart] = useInAddress('part');
  const part: Part = partText === 'keys' ? 'keys' : 'users';
  const [isAdding, setIsAdding] = useState(false);
  const mayAdd = useRight(part === 'users' ? 'users.write' : 'keys.write');
  return (
    <>
      <div className="tools">
        <Segments
          label={t('access.part')}
          chosen={part}
          onChoose={(next) => setPart(next === 'users' ? '' : next)}
          choices={[
            { id: 'users', label: t('access.users') },
            { id: 'keys', label: t('access.keys') },
          ]}
        />
        <div className="tools-end">
          <button type="button" className="button is-primary" disabled={!mayAdd} onClick={() => setIsAdding(true)}>
            <Icon name="plus" />
            {t(part === 'users' ? 'access.addUser' : 'access.addKey')}
          </button>
        </div>
      </div>
      {part === 'users' ? <Users /> : <Keys />}
      {isAdding &&
        (part === 'users' ? <AddUser onClose={() => setIsAdding(false)} /> : <AddKey onClose={() => setIsAdding(false)} />)}
    </>
  );
}

function Users() {
  const { t } = useWords();
  const asked = useAsk(['users'], (admin) => listUsers(admin, null), { everyMs: 30_000 });
  return (
    <section className="panel access-list" aria-label={t('access.users')}>
      <Reading asked={asked} title={t('access.usersFailed')} right="users.read">
        {(page) => (
          <ul>
            {page.rows.map((user) => (
              <UserItem key={user.name} user={user} />
            ))}
          </ul>
        )}
      </Reading>
    </section>
  );
}

type UserAsk = 'role' | 'password' | 'logins' | 'remove';

function UserItem({ user }: { user: UserRow }) {
  const words = useWords();
  const { t } = words;
  const { user: me } = useDesk();
  const mayWrite = useRight('users.write');
  const mayEnd = useRight('sessions.kick');
  const [ask, setAsk] = useState<UserAsk | null>(null);
  const grants = Object.keys(user.grants);
  const name = visible(user.name);
  return (
    <li>
      <div className="access-name">
        <b>
          <bdi>{name}</bdi>
        </b>
        {user.name === me.name && <span className="chip">{t('access.you')}</span>}
        <small>
          {t('access.since')} <When ms={user.createdAtMs} />
        </small>
      </div>
      <span className="access-role">{roleName(user.role, words)}</span>
      <span className="access-grants t2">
        {grants.length === 0 ? t('access.noGrants') : t('access.grants', { list: visible(grants.join(', ')) })}
      </span>
      <div className="access-actions">
        <button type="button" className="button" disabled={!mayWrite} onClick={() => setAsk('role')}>
          {t('access.role')}
        </button>
        <button type="button" className="button" disabled={!mayWrite} onClick={() => setAsk('password')}>
          {t('access.password')}
        </button>
        <button type="button" className="button" disabled={!mayEnd} onClick={() => setAsk('logins')}>
          {t('access.signOut')}
        </button>
        <button
          type="button"
          className="button is-plain-danger"
          disabled={!mayWrite || user.name === me.name}
          onClick={() => setAsk('remove')}
        >
          {t('access.remove')}
        </button>
      </div>
      {ask === 'role' && <ChangeRole user={user} onClose={() => setAsk(null)} />}
      {ask === 'password' && <ChangePassword user={user} onClose={() => setAsk(null)} />}
      {ask === 'logins' && <SignOut user={user} onClose={() => setAsk(null)} />}
      {ask === 'remove' && <RemoveUser user={user} onClose={() => setAsk(null)} />}
    </li>
  );
}

const USERS = [['users']];

function RoleField({ role, onChange }: { role: string; onChange: (role: string) => void }) {
  const words = useWords();
  const { t } = words;
  return (
    <div className="field">
      <label htmlFor="role">{t('account.role')}</label>
      <select id="role" className="input" value={role} onChange={(event) => onChange(event.target.value)}>
        {ROLES.map((one) => (
          <option key={one} value={one}>
            {roleName(one, words)}
          </option>
        ))}
      </select>
      <p className="field-hint">{t(`access.roleHint.${ROLES.find((one) => one === role) ?? 'viewer'}`)}</p>
    </div>
  );
}

function ChangeRole({ user, onClose }: { user: UserRow; onClose: () => void }) {
  const words = useWords();
  const { t } = words;
  const [role, setNext] = useState(user.role);
  const name = visible(user.name);
  const change = useTell((admin, next: string) => setRole(admin, user.name, next), {
    changes: USERS,
    done: (next) => t('access.roleDone', { name, role: roleName(next, words) }),
    onDone: onClose,
  });
  return (
    <Ask
      title={t('access.roleTitle', { name })}
      verb={t('access.roleVerb')}
      isBusy={change.isBusy}
      canDo={role !== user.role}
      error={change.error}
      onDone={() => change.run(role)}
      onClose={onClose}
    >
      <p>{t('access.roleText')}</p>
      <div className="form">
        <RoleField role={role} onChange={setNext} />
      </div>
    </Ask>
  );
}

function ChangePassword({ user, onClose }: { user: UserRow; onClose: () => void }) {
  const { t } = useWords();
  const [made, setMade] = useState<string | null>(null);
  const name = visible(user.name);
  const change = useTell((admin) => newPassword(admin, user.name), { changes: USERS, done: () => null, onDone: setMade });
  if (made !== null)
    return <Once title={t('access.passwordMade', { name })} text={t('once.text')} secret={made} onClose={onClose} />;
  return (
    <Sure title={t('access.passwordTitle', { name })} verb={t('access.passwordVerb')} act={change} onClose={onClose}>
      {t('access.passwordText')}
    </Sure>
  );
}

function SignOut({ user, onClose }: { user: UserRow; onClose: () => void }) {
  const { t } = useWords();
  const name = visible(user.name);
  const end = useTell((admin) => endLogins(admin, user.name, null), {
    changes: [['users'], ['sessions']],
    done: () => t('access.signOutDone', { name }),
    onDone: onClose,
  });
  return (
    <Sure title={t('access.signOutTitle', { name })} verb={t('access.signOutVerb')} act={end} onClose={onClose}>
      {t('access.signOutText')}
    </Sure>
  );
}

function RemoveUser({ user, onClose }: { user: UserRow; onClose: () => void }) {
  const { t } = useWords();
  const name = visible(user.name);
  const remove = useTell((admin) => removeUser(admin, user.name), {
    changes: USERS,
    done: () => t('access.removeDone', { name }),
    onDone: onClose,
  });
  return (
    <Sure title={t('access.removeTitle', { name })} verb={t('access.removeVerb')} act={remove} onClose={onClose}>
      {t('access.removeText')}
    </Sure>
  );
}

function AddUser({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  const [name, setName] = useState('');
  const [role, setNext] = useState('viewer');
  const [made, setMade] = useState<string | null>(null);
  const add = useTell((admin) => addUser(admin, name.trim().toLowerCase(), role), {
    changes: USERS,
    done: () => null,
    onDone: setMade,
  });
  if (made !== null)
    return (
      <Once
        title={t('access.passwordMade', { name: visible(name.trim()) })}
        text={t('once.text')}
        secret={made}
        onClose={onClose}
      />
    );
  return (
    <Ask
      title={t('access.addUser')}
      verb={t('access.addUserVerb')}
      isBusy={add.isBusy}
      canDo={/^[a-z0-9._@+-]{1,64}$/i.test(name.trim())}
      error={add.error}
      onDone={() => add.run(undefined)}
      onClose={onClose}
    >
      <p>{t('access.addUserText')}</p>
      <div className="form">
        <TextField
          id="user-name"
          label={t('access.name')}
          value={name}
          maxLength={64}
          autoCapitalize="none"
          hint={t('access.nameHint')}
          onText={setName}
        />
        <RoleField role={role} onChange={setNext} />
      </div>
    </Ask>
  );
}

function Keys() {
  const { t } = useWords();
  const asked = useAsk(['keys'], listKeys, { everyMs: 30_000 });
  return (
    <section className="panel access-list" aria-label={t('access.keys')}>
      <Reading asked={asked} title={t('access.keysFailed')} right="keys.read">
        {(keys) =>
          keys.length === 0 ? (
            <div className="panel-pad">
              <Notice title={t('access.noKeysTitle')}>{t('access.noKeys')}</Notice>
            </div>
          ) : (
            <ul>
              {keys.map((key) => (
                <KeyItem key={key.id} item={key} />
              ))}
            </ul>
          )
        }
      </Reading>
    </section>
  );
}

function KeyItem({ item }: { item: KeyRow }) {
  const { t, format } = useWords();
  const mayWrite = useRight('keys.write');
  const [ask, setAsk] = useState<'rotate' | 'remove' | null>(null);
  const [made, setMade] = useState<string | null>(null);
  const name = visible(item.name);
  const now = Date.now();
  const isOver = item.expiresAtMs !== null && item.expiresAtMs <= now;
  const rotate = useTell((admin) => rotateKey(admin, item.id), { changes: [['keys']], done: () => null, onDone: setMade });
  const remove = useTell((admin) => removeKey(admin, item.id), {
    changes: [['keys']],
    done: () => t('access.keyRemoved', { name }),
    onDone: () => setAsk(null),
  });
  const close = () => {
    setMade(null);
    setAsk(null);
  };
  const methods = item.methods.length === 0 ? t('access.allMethods') : visible(item.methods.join(', '));
  const namespaces =
    item.namespaces.length === 0
      ? t('access.allNamespaces')
      : visible(item.namespaces.map((one) => (one === '' ? '""' : one)).join(', '));
  return (
    <li>
      <div className="access-name">
        <b>
          <bdi>{name}</bdi>
        </b>
        <small className="mono">{item.id}</small>
        <small>
          {t('access.madeBy', { name: visible(item.createdBy) })} <When ms={item.createdAtMs} />
        </small>
      </div>
      <span className="access-grants t2">{t('access.keyMay', { methods, namespaces })}</span>
      <span className={isForgotten(item, now) ? 'access-used state is-warn' : 'access-used t2'}>
        {isForgotten(item, now) && <Glyph status="warn" />}
        {item.lastUsedAtMs === null
          ? t('access.neverUsed')
          : t('access.lastUsed', { age: format.age(Math.max(0, now - item.lastUsedAtMs)) })}
        {item.expiresAtMs !== null &&
          `, ${isOver ? t('access.over') : t('session.ends', { age: format.age(item.expiresAtMs - now) })}`}
      </span>
      <div className="access-actions">
        <button type="button" className="button" disabled={!mayWrite} onClick={() => setAsk('rotate')}>
          {t('access.rotate')}
        </button>
        <button type="button" className="button is-plain-danger" disabled={!mayWrite} onClick={() => setAsk('remove')}>
          {t('access.remove')}
        </button>
      </div>
      {ask === 'rotate' &&
        (made !== null ? (
          <Once title={t('access.keyMade', { name })} text={t('access.rotatedText')} secret={made} onClose={close} />
        ) : (
          <Ask
            title={t('access.rotateTitle', { name })}
            verb={t('access.rotateVerb')}
            isBusy={rotate.isBusy}
            error={rotate.error}
            onDone={() => rotate.run(undefined)}
            onClose={close}
          >
            <p>{t('access.rotateText')}</p>
          </Ask>
        ))}
      {ask === 'remove' && (
        <Sure title={t('access.keyRemoveTitle', { name })} verb={t('access.keyRemoveVerb')} act={remove} onClose={close}>
          {t('access.keyRemoveText')}
        </Sure>
      )}
    </li>
  );
}
