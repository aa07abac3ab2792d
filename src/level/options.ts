/** Options that are this database's own, as TypeScript sees them. */
import type {
  AbstractBatchOperation,
  AbstractBatchOptions,
  AbstractClearOptions,
  AbstractDatabaseOptions,
  AbstractDelOptions,
  AbstractPutOptions,
  Transcoder,
} from 'abstract-level';
import type { OpenOptions } from '../embedded/open_options.ts';
import type { TimedOptions, WriteOptions } from './write_options.ts';

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

export type PutOptions<K, V> = AbstractPutOptions<K, V> & TimedOptions;
export type DelOptions<K> = AbstractDelOptions<K> & WriteOptions;
export type ClearOptions<K> = AbstractClearOptions<K> & WriteOptions;
/** `ttlMs` is of each operation that has none of its own. */
export type BatchOptions<K, V> = AbstractBatchOptions<K, V> & TimedOptions;
export type BatchOperation<TDatabase, K, V> = AbstractBatchOperation<TDatabase, K, V> &
  Pick<TimedOptions, 'ttlMs'>;
