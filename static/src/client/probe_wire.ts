/**
 * The two commands that a connection test sends, and as much of the answers as it needs to tell them apart, in both codecs.
 *
 * Not the SDK: it hides which step failed, and falls back where this is to find out why. Nothing here acts on the hub: the second command
 * unsubscribes from a channel that nobody subscribed to, which the hub answers at once.
 */

import { count, type Fields, fields, json, text } from './parse';

export const CONNECT_ID = 1;
export const SECOND_ID = 2;
/** What the hub's lists of sessions show. */
const NAME = 'connection-test';
const CHANNEL = 'connection-test';

/** One answer. `code`: of an error, or of the hub's ending the connection. */
export type Said =
  | { readonly kind: 'reply'; readonly id: number; readonly code: number | null; readonly connect: Fields | null }
  | { readonly kind: 'ended'; readonly code: number }
  | { readonly kind: 'other' };

export const connectCommand = (): string => JSON.stringify({ id: CONNECT_ID, connect: { name: NAME } });
export const secondCommand = (): string => JSON.stringify({ id: SECOND_ID, unsubscribe: { channel: CHANNEL } });
/** What a client says that only listens. */
export const listenerRequest = (): string => JSON.stringify({ name: NAME });

/** Lines of JSON. `null`: this is no answer of a hub. */
export function saidJson(lines: string): Said[] | null {
  const said: Said[] = [];
  for (const line of lines.split('\n')) {
    if (line === '') continue;
    const answer = fields(json(line));
    if (answer === null) return null;
    const id = count(answer['id']) ?? 0;
    const ended = fields(answer['disconnect']) ?? fields(fields(answer['push'])?.['disconnect']);
    if (id > 0) {
      const error = fields(answer['error']);
      said.push({
        kind: 'reply',
        id,
        code: error === null ? null : (count(error['code']) ?? 0),
        connect: fields(answer['connect']),
      });
    } else if (ended !== null) said.push({ kind: 'ended', code: count(ended['code']) ?? 0 });
    // A listener's answer to its connecting has no id.
    else if (fields(answer['connect']) !== null)
      said.push({ kind: 'reply', id: CONNECT_ID, code: null, connect: fields(answer['connect']) });
    else said.push({ kind: 'other' });
  }
  return said;
}

/** Where commands go beside an answer. */
export function emulationBody(connect: Fields | null): string | null {
  const [session, node] = [text(connect?.['session']), text(connect?.['node'])];
  return session === null || node === null ? null : JSON.stringify({ session, node, data: secondCommand() });
}

// === Protobuf: the fields that are needed, by their numbers in the protocol's client.proto ===

const VARINT = 0;
const BYTES = 2;

export const connectBytes = (): Uint8Array<ArrayBuffer> =>
  delimited([...number(1, CONNECT_ID), ...bytes(4, bytes(4, utf8(NAME)))]);
export const secondBytes = (): Uint8Array<ArrayBuffer> =>
  delimited([...number(1, SECOND_ID), ...bytes(6, bytes(1, utf8(CHANNEL)))]);

/** Messages with their lengths before them. `null`: this is no answer of a hub. */
export function saidBytes(buffer: Uint8Array): Said[] | null {
  const said: Said[] = [];
  const reader = new Reader(buffer);
  while (!reader.isAtEnd) {
    const message = reader.bytes();
    const reply = message === null ? null : read(message);
    if (reply === null) return null;
    const { id, error, push } = { id: reply.numbers.get(1) ?? 0, error: reply.messages.get(2), push: reply.messages.get(4) };
    const ended = push === undefined ? undefined : read(push)?.messages.get(11);
    if (id > 0) {
      const code = error === undefined ? null : (read(error)?.numbers.get(1) ?? 0);
      said.push({ kind: 'reply', id, code, connect: null });
    } else if (ended !== undefined) said.push({ kind: 'ended', code: read(ended)?.numbers.get(1) ?? 0 });
    else said.push({ kind: 'other' });
  }
  return said;
}

const utf8 = (value: string): number[] => [...new TextEncoder().encode(value)];
const number = (field: number, value: number): number[] => [(field << 3) | VARINT, ...varint(value)];
const bytes = (field: number, value: readonly number[]): number[] => [(field << 3) | BYTES, ...varint(value.length), ...value];
const delimited = (message: readonly number[]): Uint8Array<ArrayBuffer> =>
  Uint8Array.from([...varint(message.length), ...message]);

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

function read(message: Uint8Array): { numbers: Map<number, number>; messages: Map<number, Uint8Array> } | null {
  const [numbers, messages] = [new Map<number, number>(), new Map<number, Uint8Array>()];
  const reader = new Reader(message);
  while (!reader.isAtEnd) {
    const key = reader.varint();
    if (key === null) return null;
    const [field, type] = [Math.floor(key / 8), key % 8];
    if (type === VARINT) {
      const value = reader.varint();
      if (value === null) return null;
      numbers.set(field, value);
    } else if (type === BYTES) {
      const value = reader.bytes();
      if (value === null) return null;
      messages.set(field, value);
    } else return null;
  }
  return { numbers, messages };
}

class Reader {
  #at = 0;
  constructor(private readonly source: Uint8Array) {}

  get isAtEnd(): boolean {
    return this.#at >= this.source.length;
  }

  varint(): number | null {
    let value = 0;
    // Ten bytes hold 64 bits; beyond 2^53 digits are lost, which no id and no code reaches.
    for (let n = 0; n < 10; n += 1) {
      const byte = this.source[this.#at++];
      if (byte === undefined) return null;
      value += (byte & 0x7f) * 2 ** (7 * n);
      if (byte < 0x80) return value;
    }
    return null;
  }

  bytes(): Uint8Array | null {
    const length = this.varint();
    if (length === null || this.#at + length > this.source.length) return null;
    this.#at += length;
    return this.source.subarray(this.#at - length, this.#at);
  }
}
