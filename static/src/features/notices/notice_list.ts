/** What operators said and nobody has put away yet, newest first. Bounded: the oldest of the least level goes. */

import { NOTICE_LEVELS, type Notice } from '../../client/notice';
import { type Signal, signal } from '../../client/signal';

export const NOTICES_MAX = 5;

export interface ShownNotice extends Notice {
  readonly id: number;
  readonly atMs: number;
}

export class NoticeList {
  readonly #shown = signal<readonly ShownNotice[]>([]);
  readonly shown: Signal<readonly ShownNotice[]> = this.#shown;
  #nextId = 0;

  add(notice: Notice, nowMs: number): void {
    // The same again is not a second notice, but a newer one.
    const others = this.#shown.get().filter(({ text, level }) => text !== notice.text || level !== notice.level);
    const shown = [{ ...notice, id: this.#nextId++, atMs: nowMs }, ...others];
    if (shown.length > NOTICES_MAX) shown.splice(leastImportant(shown), 1);
    this.#shown.set(shown);
  }

  dismiss(id: number): void {
    this.#shown.set(this.#shown.get().filter((notice) => notice.id !== id));
  }
}

function leastImportant(shown: readonly ShownNotice[]): number {
  let found = shown.length - 1;
  for (let at = found; at > 0; at -= 1) if (rank(shown[at]) < rank(shown[found])) found = at;
  return found;
}

function rank(notice: ShownNotice | undefined): number {
  return notice === undefined ? NOTICE_LEVELS.length : NOTICE_LEVELS.indexOf(notice.level);
}
