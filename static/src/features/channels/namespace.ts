/** What stands before the first colon of a channel's name; private channels begin with a dollar sign that is none of it. */
export function namespaceOf(name: string): string {
  const at = name.indexOf(':');
  return at <= 0 ? '' : name.slice(0, at).replace(/^\$/, '');
}
