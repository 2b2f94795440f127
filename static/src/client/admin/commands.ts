/** Which commands there are for whoever asks, and how one is asked. */

import { type Fields, fields, list, text } from '../parse';
import type { Admin } from './admin';

export interface CommandArgument {
  readonly name: string;
  readonly help: string;
  readonly isRequired: boolean;
  /** JSON Schema of its values. */
  readonly schema: Fields;
}

export interface CommandHelp {
  /** Without `admin.` before it. */
  readonly name: string;
  readonly summary: string;
  readonly right: string | null;
  readonly effect: string;
  readonly needsConfirm: boolean;
  readonly arguments: readonly CommandArgument[];
  readonly example: Fields;
}

const PREFIX = 'admin.';

export function parseHelp(value: unknown): readonly CommandHelp[] | null {
  const answer = fields(value);
  if (answer === null || !Array.isArray(answer['commands'])) return null;
  return list(answer['commands']).flatMap((entry) => {
    const command = fields(entry);
    const name = text(command?.['name']);
    if (command === null || name === null) return [];
    const schema = fields(command['arguments']);
    const required = list(schema?.['required']);
    const known = Object.entries(fields(schema?.['properties']) ?? {});
    return [
      {
        name: name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name,
        summary: text(command['summary']) ?? '',
        right: text(command['right']),
        effect: text(command['effect']) ?? '',
        needsConfirm: command['confirm'] === true,
        arguments: known.map(([argument, described]) => {
          const one = fields(described) ?? {};
          return { name: argument, help: text(one['description']) ?? '', isRequired: required.includes(argument), schema: one };
        }),
        example: fields(command['example']) ?? {},
      },
    ];
  });
}

export function readHelp(admin: Admin): Promise<readonly CommandHelp[]> {
  return admin.ask('help', {}, parseHelp);
}
