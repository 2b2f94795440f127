/**
 * The rows of live messages, kept by hand: React would render a list twelve times a second that only grows at its top. A treegrid by role,
 * one row in the tab order, arrows move, Enter or a click unfolds. Everything from outside becomes text nodes.
 */

import type { Message } from '../../client/hub';
import { timeOfDayFine, UNKNOWN } from '../../lib/format';
import type { Words } from '../../lib/i18n';
import { full, preview } from '../../lib/payload';
import { middleCut, visible } from '../../lib/text';
import type { Row } from './message_feed';

/** Rows kept to scroll back through. */
const ROWS_MAX = 200;
/** Tags are the publisher's; a row shows some. */
const TAGS_MAX = 16;

export interface MessageFacts {
  readonly latencyMs: number | null;
  /** By its own account; wanted where its arrival says nothing. */
  readonly sentMs: number | null;
}

export class MessageTable {
  readonly #messages = new WeakMap<Element, Message>();
  readonly #listeners = new AbortController();
  #stop: HTMLElement | null = null;
  #unfolded: HTMLElement | null = null;

  /** `unfolding` is called before a row opens, so that the list can stop under the reader. */
  constructor(
    private readonly body: HTMLElement,
    private readonly words: Words,
    private readonly unfolding: () => void,
  ) {
    const { signal } = this.#listeners;
    body.addEventListener('click', (event) => this.#onClick(event), { signal });
    body.addEventListener('keydown', (event) => this.#onKey(event), { signal });
  }

  destroy(): void {
    this.#listeners.abort();
    this.body.replaceChildren();
  }

  get isEmpty(): boolean {
    return this.body.childElementCount === 0;
  }

  /** Puts rows on top, oldest first. `facts` is asked for messages only. */
  add(rows: readonly Row[], facts: (message: Message) => MessageFacts): void {
    for (const row of rows) {
      const element = row.kind === 'message' ? this.#message(row.message, facts(row.message)) : this.#marker(row);
      this.body.prepend(element);
    }
    while (this.body.childElementCount > ROWS_MAX) {
      const last = this.body.lastElementChild;
      // What the reader has opened or stands on stays until they go on.
      if (last === null || last.contains(document.activeElement) || last === this.#unfolded) break;
      last.remove();
    }
    if (this.#stop === null || !this.#stop.isConnected) this.#setStop(this.body.querySelector<HTMLElement>('[data-message]'));
  }

  #message(message: Message, { latencyMs, sentMs }: MessageFacts): HTMLElement {
    const { format, t } = this.words;
    const row = document.createElement('div');
    row.setAttribute('role', 'row');
    row.dataset['message'] = '';
    row.tabIndex = -1;
    row.setAttribute('aria-level', '1');
    row.setAttribute('aria-expanded', 'false');
    const text = preview(message.bytes);
    const data = cell('message-data', text);
    data.dir = 'auto';
    if (message.origin !== 'live') data.prepend(chip(t(`messages.origin.${message.origin}`)), ' ');
    row.append(
      cell(
        'message-time',
        message.origin !== 'history' ? timeOfDayFine(message.arrivedMs) : sentMs === null ? UNKNOWN : timeOfDayFine(sentMs),
      ),
      cell('message-offset', message.offset === null ? UNKNOWN : format.count(message.offset)),
      cell('message-latency', latencyMs === null ? UNKNOWN : format.latency(latencyMs)),
      data,
      cell('message-size', format.bytes(message.bytes.length)),
    );
    this.#messages.set(row, message);
    return row;
  }

  #marker(row: Exclude<Row, { kind: 'message' }>): HTMLElement {
    const { t } = this.words;
    const element = document.createElement('div');
    element.setAttribute('role', 'row');
    element.className = row.kind === 'gap' ? 'message-marker is-gap' : 'message-marker';
    const text =
      row.kind === 'recovered'
        ? t('messages.recovered', { n: row.messages })
        : row.gap.kind === 'missed'
          ? t('messages.gap', { n: row.gap.messages })
          : t('messages.gapUnknown');
    const only = cell('message-marker-text', `${timeOfDayFine(row.atMs)}\u2002${text}`);
    only.setAttribute('aria-colspan', '5');
    element.append(only);
    return element;
  }

  #onClick(event: MouseEvent): void {
    const row = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-message]') : null;
    // Selecting text is not asking for more of it.
    if (row === null || !(getSelection()?.isCollapsed ?? true)) return;
    if (event.target instanceof Element && event.target.closest('.message-full') !== null) return;
    this.#setStop(row);
    this.#toggle(row);
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-message]') : null;
    if (row === null) return;
    switch (event.key) {
      case 'Enter':
        this.#toggle(row);
        break;
      case 'Escape':
        this.#fold();
        break;
      case 'ArrowDown':
      case 'j':
        this.#move(row, 'nextElementSibling');
        break;
      case 'ArrowUp':
      case 'k':
        this.#move(row, 'previousElementSibling');
        break;
      default:
        return;
    }
    event.preventDefault();
  }

  #move(from: HTMLElement, way: 'nextElementSibling' | 'previousElementSibling'): void {
    let to = from[way];
    while (to !== null && !(to instanceof HTMLElement && 'message' in to.dataset)) to = to[way];
    if (!(to instanceof HTMLElement)) return;
    this.#setStop(to);
    to.focus();
  }

  #setStop(row: HTMLElement | null): void {
    if (this.#stop !== null) this.#stop.tabIndex = -1;
    if (row !== null) row.tabIndex = 0;
    this.#stop = row;
  }

  #toggle(row: HTMLElement): void {
    const isOpen = row === this.#unfolded;
    this.#fold();
    if (isOpen) return;
    const shown = this.#messages.get(row);
    if (shown === undefined) return;
    this.unfolding();
    row.setAttribute('aria-expanded', 'true');
    row.append(this.#full(shown));
    this.#unfolded = row;
  }

  #fold(): void {
    this.#unfolded?.setAttribute('aria-expanded', 'false');
    this.#unfolded?.querySelector('.message-full')?.remove();
    this.#unfolded = null;
  }

  #full(message: Message): HTMLElement {
    const { format, t } = this.words;
    const payload = full(message.bytes);
    const element = cell('message-full', '');
    element.setAttribute('aria-colspan', '5');
    const facts = document.createElement('p');
    const size = format.bytes(message.bytes.length);
    facts.textContent = [
      payload.kind === 'empty' ? t('messages.kind.empty') : t(`messages.kind.${payload.kind}`, { size }),
      message.from === null ? t('messages.fromServer') : t('messages.from', { id: visible(middleCut(message.from.clientId)) }),
      ...Object.entries(message.tags)
        .slice(0, TAGS_MAX)
        .map(([name, value]) => t('messages.tag', { name: visible(name), value: visible(value) })),
    ].join(' \u00b7 ');
    const source = document.createElement('pre');
    source.tabIndex = 0;
    source.textContent = payload.text;
    element.append(source, facts);
    if (payload.hidden > 0) {
      const rest = document.createElement('p');
      rest.textContent = t('messages.hidden', { n: payload.hidden });
      element.append(rest);
    }
    return element;
  }
}

function cell(className: string, text: string): HTMLElement {
  const element = document.createElement('div');
  element.setAttribute('role', 'gridcell');
  element.className = className;
  element.textContent = text;
  return element;
}

function chip(text: string): HTMLElement {
  const element = document.createElement('span');
  element.className = 'chip is-info';
  element.textContent = text;
  return element;
}
