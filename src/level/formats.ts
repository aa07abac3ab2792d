/** Keys and values as `abstract-level` hands them on: in one of three formats each. */
import { fromUtf8, utf8 } from '../codec/bytes.ts';
import type { BucketReader } from '../embedded/bucket.ts';
import { copyBuffer, copyBufferRange, copyBytes, copyRange } from '../embedded/copies.ts';
import type { Database, Snapshot } from '../embedded/database.ts';
import type { Encoding } from '../embedded/encoding.ts';

export type Data = string | Buffer | Uint8Array;
export type Format = 'utf8' | 'buffer' | 'view';

export function bytesOf(data: Data): Uint8Array {
  return typeof data === 'string' ? utf8(data) : data;
}

/** What is written tells by itself how it is meant; what is read is given in the format that was asked for. */
export const FORMATS: { readonly [F in Format]: Encoding<Data> } = {
  utf8: { encode: bytesOf, decode: fromUtf8 },
  buffer: { encode: bytesOf, decode: copyBuffer, decodeRange: copyBufferRange },
  view: { encode: bytesOf, decode: copyBytes, decodeRange: copyRange },
};

/** A bucket as of now or of a moment, in any formats. */
export class Readers {
  readonly #source: Pick<Database, 'bucket'> | Pick<Snapshot, 'bucket'>;
  readonly #bucket: string;
  readonly #readers = new Map<string, BucketReader<Data, Data>>();

  constructor(source: Pick<Database, 'bucket'> | Pick<Snapshot, 'bucket'>, bucket: string) {
    this.#source = source;
    this.#bucket = bucket;
  }

  /** For point reads: the format of keys that are read matters to nobody. */
  forValues(values: Format): BucketReader<Data, Data> {
    return this.#readers.get(values) ?? this.#add(values, 'view', values);
  }

  forEntries(keys: Format, values: Format): BucketReader<Data, Data> {
    const name = `${keys} ${values}`;
    return this.#readers.get(name) ?? this.#add(name, keys, values);
  }

  #add(name: string, keys: Format, values: Format): BucketReader<Data, Data> {
    const reader = this.#source.bucket(this.#bucket, { keys: FORMATS[keys], values: FORMATS[values] });
    this.#readers.set(name, reader);
    return reader;
  }
}
