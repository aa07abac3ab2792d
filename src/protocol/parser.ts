import type { ClientCommand } from './command.ts';

/** Turns the bytes of one connection into commands. Holds a bounded number of bytes whatever the client sends. */
export interface CommandParser {
  /** The bytes are kept and must not change: small commands are handed out as views of them. */
  push(bytes: Uint8Array): void;
  /** The next complete command, null when more bytes are needed. */
  next(): ClientCommand | null;
}
