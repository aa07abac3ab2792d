import { fromUtf8 } from '../../src/codec/bytes.ts';
import type { ClientCommand } from '../../src/protocol/command.ts';

/** A command with texts in place of byte strings, to compare and to read. */
export function readable(command: ClientCommand | null): unknown {
  if (command === null) return null;
  const show = (value: unknown): unknown => {
    if (value instanceof Uint8Array) return fromUtf8(value);
    return Array.isArray(value) ? value.map(show) : value;
  };
  return Object.fromEntries(Object.entries(command).map(([name, value]) => [name, show(value)]));
}
