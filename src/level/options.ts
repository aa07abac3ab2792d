/** Options that are this database's own, as TypeScript sees them. */
import type { AbstractDatabaseOptions, Transcoder } from 'abstract-level';
import type { OpenOptions } from '../embedded/database.ts';

export interface DatabaseOptions<K, V>
  extends Omit<AbstractDatabaseOptions<K, V>, 'createIfMissing' | 'errorIfExists'>,
    OpenOptions {
  /** Which bucket of the store holds the keys. Default `default`. */
  readonly bucket?: string;
}

export interface StartEndOptions<K> {
  /** Of `start` and `end`. */
  readonly keyEncoding?: string | Transcoder.PartialEncoder<K>;
}
