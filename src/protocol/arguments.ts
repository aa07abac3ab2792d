/** Arguments of commands: their checks, and the words that say what is wrong with them. */
import type { ClientCommand, ProtocolLimits } from './command.ts';

const UNKNOWN_BYTES_SHOWN = 64;
/** Keys that one command names: all of them are done in one turn. */
const KEYS_MAX = 10_000;
/** Words of one command, its verb among them: each costs an object, however short it is. */
export const WORDS_MAX = 64 * 1024;
const TO_UPPER = 0xdf;

export function invalid(message: string): Invalid {
  return { verb: 'invalid', message, fatal: false };
}

export function fatal(message: string): Invalid {
  return { verb: 'invalid', message, fatal: true };
}

/** As `invalid`, of a WATCH: who does not wait for its answer must not have a transaction carried out without it. */
export function unwatched(message: string): Invalid {
  return { verb: 'invalid', message, fatal: false, unwatched: true };
}

export type Invalid = Extract<ClientCommand, { verb: 'invalid' }>;

export function wrongCount(verb: string): Invalid {
  return invalid(`wrong number of arguments for '${verb}'`);
}

export function syntaxError(verb: string, word: Uint8Array | undefined): Invalid {
  return invalid(
    word === undefined
      ? `syntax error in '${verb}': something is missing at its end`
      : `syntax error in '${verb}' at '${printable(word)}'`,
  );
}

export function keyTooLong(bytes: number, limits: ProtocolLimits): Invalid {
  return invalid(`key is ${bytes} bytes, the limit is ${limits.keyBytes} (max key bytes)`);
}

export function valueTooLong(bytes: number, limits: ProtocolLimits): Invalid {
  return invalid(`value is ${bytes} bytes, the limit is ${limits.valueBytes} (max value bytes)`);
}

export function checkKeys(keys: readonly Uint8Array[], limits: ProtocolLimits): Invalid | null {
  for (const key of keys) if (key.length > limits.keyBytes) return keyTooLong(key.length, limits);
  return null;
}

export function tooManyKeys(verb: string, keys: readonly Uint8Array[]): Invalid | null {
  if (keys.length <= KEYS_MAX) return null;
  return invalid(`'${verb}' names ${keys.length} keys, the limit is ${KEYS_MAX} (max command keys)`);
}

export function tooManyWords(words: string): Invalid {
  return invalid(`the command has ${words} words, the limit is ${WORDS_MAX} (max command words)`);
}

export function checkValue(value: Uint8Array, limits: ProtocolLimits): Invalid | null {
  return value.length > limits.valueBytes ? valueTooLong(value.length, limits) : null;
}

/** Whether the bytes are the word, in any case. */
export function isWord(bytes: Uint8Array, word: string): boolean {
  if (bytes.length !== word.length) return false;
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] & TO_UPPER) !== word.charCodeAt(i)) return false;
  return true;
}

/** The first bytes, everything that is not printable ASCII as `?`. */
export function printable(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes.subarray(0, UNKNOWN_BYTES_SHOWN)) {
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '?';
  }
  return text;
}

/** A whole number between the bounds, both included; null when it is not one. */
export function integerIn(bytes: Uint8Array, min: number, max: number): number | null {
  if (bytes.length === 0 || bytes.length > 17) return null;
  const text = printable(bytes);
  if (!/^-?\d+$/.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= min && value <= max ? value : null;
}

export function isInvalid(value: object): value is Invalid {
  return 'verb' in value && value.verb === 'invalid';
}
