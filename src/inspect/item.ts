/** What `inspect` says of a file: one item for each structure in it, in an order that reads well. */

import type { CorruptionError } from '../base/errors.ts';
import type { Compression } from '../io/compression.ts';

/** Bytes are keys or values of the store; how they are shown is up to who shows them. */
export type Field = number | string | Uint8Array | readonly Fields[];
export type Fields = Readonly<Record<string, Field>>;

export interface Item {
  /** What it is: `file`, `footer`, `block`, `put`, `entry`, `damage` and so on. */
  readonly type: string;
  /** Where it begins, in bytes from the start of the file. */
  readonly offset: number;
  /** 0: a structure of the file; 1: a record in it, of which `--limit` lets so many pass. */
  readonly depth: 0 | 1;
  readonly fields: Fields;
}

export interface InspectOptions {
  /** Values are told too, not only their lengths. */
  readonly values: 'shown' | 'hidden';
  /** Those that blocks of tables can be read with. */
  readonly compressions?: readonly Compression[];
}

export function part(type: string, offset: number, fields: Fields = {}): Item {
  return { type, offset, depth: 0, fields };
}

export function record(type: string, offset: number, fields: Fields): Item {
  return { type, offset, depth: 1, fields };
}

export function damaged(error: CorruptionError): Item {
  return damageAt(error.offset, error.message.slice(error.message.indexOf(': ') + 2));
}

export function damageAt(offset: number, what: string, fields: Fields = {}): Item {
  return { type: 'damage', offset, depth: 0, fields: { what, ...fields } };
}
