/** How keys and values of a bucket are written as bytes. */
import { fromUtf8, utf8 } from '../codec/bytes.ts';
import { copyBuffer, copyBufferRange, copyBytes, copyRange } from './copies.ts';

/** The types that each encoding stands for. */
export interface Encoded {
  readonly utf8: string;
  /**
   * Bytes. What is handed in is copied before the call returns; what is handed out is a copy, the caller's to keep and to
   * write to. Copies share larger `ArrayBuffer`s, as small `Buffer`s of Node do: do not hand on their `buffer`.
   */
  readonly view: Uint8Array;
  /** As `view`, but what is handed out is a `Buffer`. */
  readonly buffer: Buffer;
  readonly json: unknown;
}

/** An encoding of your own. */
export interface Encoding<T> {
  /** The bytes must stay as they are until the call that asked for them returns: it copies them. */
  encode(value: T): Uint8Array;
  /** @param bytes A view of the store's memory, not to be written to; what is returned must not depend on it. */
  decode(bytes: Uint8Array): T;
  /** As `decode` of `bytes.subarray(start, end)`; if it is there it is used, and spares the making of a view for each value. */
  decodeRange?(bytes: Uint8Array, start: number, end: number): T;
}

type EncodingName = keyof Encoded;
export type ValueEncoding = EncodingName | Encoding<unknown>;
/** Keys are in the order of their bytes, which for `utf8` is that of their code points. */
export type KeyEncoding = Exclude<EncodingName, 'json'> | Encoding<unknown>;

/** The type of what an encoding writes and reads. */
export type TypeOf<E extends ValueEncoding> = E extends EncodingName
  ? Encoded[E]
  : E extends Encoding<infer T>
    ? T
    : never;

/** Of ES2024, and of Node 20. */
const prototype = String.prototype as unknown as { isWellFormed(this: string): boolean };

/** No half of a surrogate pair is in it. */
export function isWellFormed(text: string): boolean {
  return prototype.isWellFormed.call(text);
}

const ENCODINGS: { readonly [E in EncodingName]: Encoding<Encoded[E]> } = {
  utf8: {
    encode: (value) => utf8(checkedText(value)),
    decode: fromUtf8,
  },
  view: {
    encode: checkedBytes,
    decode: copyBytes,
    decodeRange: copyRange,
  },
  buffer: {
    encode: checkedBytes,
    decode: copyBuffer,
    decodeRange: copyBufferRange,
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

/** The encoding `json` of values that are known to be a `T`: nothing checks that what is read is one. */
export function json<T>(): Encoding<T> {
  return ENCODINGS.json as Encoding<T>;
}

/** `bytes.subarray(start, end)`, decoded. */
export function decodeRange<T>(encoding: Encoding<T>, bytes: Uint8Array, start: number, end: number): T {
  if (encoding.decodeRange !== undefined) return encoding.decodeRange(bytes, start, end);
  return encoding.decode(bytes.subarray(start, end));
}

/** @throws TypeError when there is no such encoding. */
export function encodingOf<E extends ValueEncoding>(choice: E): Encoding<TypeOf<E>> {
  if (typeof choice === 'string') return named(choice);
  if (isEncoding<TypeOf<E>>(choice)) return checkedEncoding(choice);
  throw new TypeError('an encoding is a name, or an object with the functions `encode` and `decode`');
}

function named<T>(name: string): Encoding<T> {
  if (Object.hasOwn(ENCODINGS, name)) return ENCODINGS[name as EncodingName] as Encoding<T>;
  throw new TypeError(`no encoding is named '${name}': there are ${Object.keys(ENCODINGS).join(', ')}`);
}

/** What is no array of bytes has a length of its own, and would be written as something else. */
function checkedEncoding<T>(encoding: Encoding<T>): Encoding<T> {
  const { decodeRange } = encoding;
  return {
    encode: (value) => {
      const bytes: unknown = encoding.encode(value);
      if (bytes instanceof Uint8Array) return bytes;
      throw new TypeError(`the \`encode\` of an encoding gives a Uint8Array, not ${typeof bytes}`);
    },
    decode: (bytes) => encoding.decode(bytes),
    ...(decodeRange === undefined ? {} : { decodeRange: decodeRange.bind(encoding) }),
  };
}

function isEncoding<T>(value: unknown): value is Encoding<T> {
  if (typeof value !== 'object' || value === null) return false;
  const { encode, decode } = value as Partial<Encoding<T>>;
  return typeof encode === 'function' && typeof decode === 'function';
}

/** UTF-8 has no half of a surrogate pair: all of them would become one character, and keys that differ the same key. */
function checkedText(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`a string is wanted, not ${typeof value}`);
  if (isWellFormed(value)) return value;
  throw new TypeError('half of a surrogate pair cannot be written as UTF-8: take the encoding view, or json');
}

function checkedBytes(value: Uint8Array): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`a Uint8Array is wanted, not ${typeof value}`);
}
