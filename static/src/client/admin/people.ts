/** Accounts, their logins, and keys of the server API. */

import { count, type Fields, fields, list, text } from '../parse';
import type { Admin } from './admin';

export interface UserRow {
  readonly name: string;
  readonly role: string;
  readonly grants: Fields;
  readonly createdAtMs: number | null;
  readonly passwordChangedAtMs: number | null;
}

export interface UserPage {
  readonly rows: readonly UserRow[];
  readonly next: string | null;
}

export interface LoginRow {
  readonly id: string;
  readonly device: string;
  readonly address: string;
  readonly lastSeenMs: number | null;
}

export interface KeyRow {
  readonly id: string;
  readonly name: string;
  /** Empty: all. */
  readonly methods: readonly string[];
  readonly namespaces: readonly string[];
  readonly createdAtMs: number | null;
  readonly createdBy: string;
  readonly expiresAtMs: number | null;
  readonly lastUsedAtMs: number | null;
}

function parseUser(value: unknown): UserRow | null {
  const user = fields(value);
  const name = text(user?.['user']);
  if (user === null || name === null) return null;
  return {
    name,
    role: text(user['role']) ?? '',
    grants: fields(user['grants']) ?? {},
    createdAtMs: count(user['created_at']),
    passwordChangedAtMs: count(user['password_changed_at']),
  };
}

export function parseUsers(value: unknown): UserPage | null {
  const answer = fields(value);
  if (answer === null || !Array.isArray(answer['users'])) return null;
  return { rows: list(answer['users']).flatMap((entry) => parseUser(entry) ?? []), next: text(answer['next']) };
}

export function listUsers(admin: Admin, after: string | null): Promise<UserPage> {
  return admin.ask('users.list', { after, limit: 500 }, parseUsers);
}

export function loginsOf(admin: Admin, user: string): Promise<readonly LoginRow[]> {
  return admin.ask('users.show', { user }, (value) => {
    const answer = fields(value);
    if (answer === null) return null;
    return list(answer['logins']).flatMap((entry) => {
      const login = fields(entry);
      const id = text(login?.['login']);
      if (login === null || id === null) return [];
      const device = text(login['device']) ?? '';
      return [{ id, device, address: text(login['address']) ?? '', lastSeenMs: count(login['last_seen']) }];
    });
  });
}

/** What is told this once. */
function once(member: string): (value: unknown) => string | null {
  return (value) => text(fields(fields(value)?.['once'])?.[member]);
}

/** Answers with the password. */
export function addUser(admin: Admin, user: string, role: string): Promise<string> {
  return admin.ask('users.add', { user, role }, once('password'));
}

export function newPassword(admin: Admin, user: string): Promise<string> {
  return admin.ask('users.password', { user }, once('password'));
}

export function setRole(admin: Admin, user: string, role: string): Promise<void> {
  return admin.tell('users.role', { user, role });
}

export function removeUser(admin: Admin, user: string): Promise<void> {
  return admin.tell('users.remove', { user, confirm: true });
}

export function endLogins(admin: Admin, user: string, login: string | null): Promise<void> {
  return admin.tell('logins.end', login === null ? { user } : { user, login });
}

export function parseKeys(value: unknown): readonly KeyRow[] | null {
  const answer = fields(value);
  if (answer === null || !Array.isArray(answer['keys'])) return null;
  return list(answer['keys']).flatMap((entry) => {
    const key = fields(entry);
    const id = text(key?.['id']);
    if (key === null || id === null) return [];
    return [
      {
        id,
        name: text(key['name']) ?? '',
        methods: list(key['methods']).flatMap((method) => text(method) ?? []),
        namespaces: list(key['namespaces']).flatMap((namespace) => text(namespace) ?? []),
        createdAtMs: count(key['created_at']),
        createdBy: text(key['created_by']) ?? '',
        expiresAtMs: count(key['expires_at']),
        lastUsedAtMs: count(key['last_used_at']),
      },
    ];
  });
}

export function listKeys(admin: Admin): Promise<readonly KeyRow[]> {
  return admin.ask('keys.list', {}, parseKeys);
}

export interface KeyWanted {
  readonly name: string;
  readonly methods: readonly string[];
  readonly namespaces: readonly string[];
  /** As the hub reads durations (`2160h`); `null`: until it is removed. */
  readonly lasting: string | null;
}

/** Answers with the key. */
export function addKey(admin: Admin, wanted: KeyWanted): Promise<string> {
  return admin.ask('keys.add', { ...wanted }, once('key'));
}

export function rotateKey(admin: Admin, id: string): Promise<string> {
  return admin.ask('keys.rotate', { id }, once('key'));
}

export function removeKey(admin: Admin, id: string): Promise<void> {
  return admin.tell('keys.remove', { id, confirm: true });
}
