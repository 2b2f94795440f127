import { expect, test } from 'vitest';
import { loginPath, pathOf, placeOf, returnPath } from './router';

const ORIGIN = 'https://hub.example';

test.each([
  ['/account', '/account'],
  ['/?channel=a%20b#x', '/?channel=a%20b#x'],
  ['/a/../account', '/account'],
  ['', '/'],
  ['//evil.example', '/'],
  ['/\\evil.example', '/'],
  ['\\\\evil.example', '/'],
  ['/\t/evil.example', '/'],
  ['/..//evil.example', '/'],
  ['/.//evil.example', '/'],
  ['/%2f/evil.example', '/%2f/evil.example'],
  ['https://evil.example/', '/'],
  ['https:/account', '/'],
  ['javascript:alert(1)', '/'],
  [' /account', '/'],
  ['account', '/'],
  ['/login', '/'],
  ['/login?next=/login', '/'],
  ['/@evil.example', '/@evil.example'],
])('after signing in, %j leads to %s', (wanted, path) => {
  expect(returnPath(`?next=${encodeURIComponent(wanted)}`, ORIGIN, '/')).toBe(path);
  expect(new URL(path, ORIGIN).origin).toBe(ORIGIN);
});

test('without a wish there is the usual place, and a wish survives the way', () => {
  expect(returnPath('', ORIGIN, '/account')).toBe('/account');
  const path = loginPath('/?channel=a&b=c d#e');
  expect(returnPath(path.slice(path.indexOf('?')), ORIGIN, '/')).toBe('/?channel=a&b=c%20d#e');
});

test.each(['..', '.', '~..', '~~.', '...', '~', '../..', '%2e%2e', '%', 'a/b', '__proto__'])(
  'an address leads to what is called %j',
  (name) => {
    const { pathname } = new URL(pathOf('upstreams', name), 'http://hub');
    expect(placeOf(pathname)).toEqual({ view: 'upstreams', thing: name });
  },
);
