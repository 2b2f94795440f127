import type { AnchorHTMLAttributes, MouseEvent } from 'react';
import { router } from '../lib/router';

/** A link to a page of ours. A real one: middle click opens a tab, and only the plain click is taken over. */
export function Link({ href, onClick, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    router.go(href);
  };
  return <a {...rest} href={href} onClick={follow} />;
}
