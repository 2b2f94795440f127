/** The hub's commands for operators, as calls that answer with a type or say why not. Which there are: docs/admin.md. */

import { type Hub, HubError, UNREADABLE } from '../hub';

export type Values = Readonly<Record<string, unknown>>;

/** Asks whoever is there to answer; the hub, or in tests a list of answers. */
export interface Asker {
  call(method: string, values: unknown): Promise<unknown>;
}

export class Admin {
  constructor(private readonly asker: Asker | Hub) {}

  /** `parse` gives `null` for what it cannot read. Members of `values` that are `undefined` are not sent. */
  async ask<T>(command: string, values: Values, parse: (answer: unknown) => T | null): Promise<T> {
    const value = parse(await this.asker.call(`admin.${command}`, values));
    if (value === null) throw new HubError(UNREADABLE, 'unreadable');
    return value;
  }

  /** For commands whose answer says nothing that was not known. */
  async tell(command: string, values: Values): Promise<void> {
    await this.asker.call(`admin.${command}`, values);
  }
}
