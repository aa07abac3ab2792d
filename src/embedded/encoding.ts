/** How keys and values of a bucket are written as bytes. */
import { fromUtf8, utf8 } from '../codec/bytes.ts';
import { copyBytes } from './copies.ts';

/** The types that each encoding stands for. */
export interface Encoded {
  readonly utf8: string;
  /**
   * Bytes. What is handed in is copied before the call returns; what is handed out is a copy, the caller's to keep and to
   * write to. Copies share larger `ArrayBuffer`s, as small `Buffer`s of Node do: do not hand on their `buffer`.
   */
  readonly view: Uint8Array;
  readonly json: unknown;
}

export type ValueEncoding = keyof Encoded;
/** Keys are in the order of their bytes, which for `utf8` is that of their code points. */
export type KeyEncoding = Exclude<ValueEncoding, 'json'>;

export interface Encoding<T> {
  encode(value: T): Uint8Array;
  /** @param bytes A view; what is returned does not depend on it. */
  decode(bytes: Uint8Array): T;
}

const ENCODINGS: { readonly [E in ValueEncoding]: Encoding<Encoded[E]> } = {
  utf8: {
    encode: (value) => utf8(checked(value, 'string')),
    decode: fromUtf8,
  },
  view: {
    encode: (value) => {
      if (value instanceof Uint8Array) return value;
      throw new TypeError(`a Uint8Array is wanted, not ${typeof value}`);
    },
    decode: copyBytes,
  },
  json: {
    encode: (value) => {
      const text: string | undefined = JSON.stringify(value);
      if (text === undefined) throw new TypeError(`there is no JSON for ${typeof value}`);
      return utf8(text);
    },
    decode: (bytes) => JSON.parse(fromUtf8(bytes)),
  },
};

/** @throws TypeError when there is no such encoding. */
export function encodingOf<E extends ValueEncoding>(name: E): Encoding<Encoded[E]> {
  if (Object.hasOwn(ENCODINGS, name)) return ENCODINGS[name];
  throw new TypeError(`no encoding is named '${name}': there are ${Object.keys(ENCODINGS).join(', ')}`);
}

function checked(value: unknown, type: 'string'): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`a ${type} is wanted, not ${typeof value}`);
}
