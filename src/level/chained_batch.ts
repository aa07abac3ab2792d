/** Level's chained batches: each operation is written down as bytes at once. */
import { AbstractChainedBatch, type AbstractChainedBatchPutOptions } from 'abstract-level';
import type { Bucket } from '../embedded/bucket.ts';
import type { Batch } from '../embedded/database.ts';
import { levelError } from './errors.ts';
import type { Data } from './formats.ts';
import { durabilityOf, type TimedOptions, type WriteOptions } from './write_options.ts';

/** Methods with options of this database's own, as types only. */
export interface EnvelopeChainedBatch<TDatabase, K, V> {
  put(key: K, value: V): this;
  put<AK = K, AV = V>(
    key: AK,
    value: AV,
    options: AbstractChainedBatchPutOptions<TDatabase, AK, AV> & Pick<TimedOptions, 'ttlMs'>,
  ): this;
  write(options?: WriteOptions): Promise<void>;
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: each method is there, and takes these options.
export class EnvelopeChainedBatch<TDatabase, K, V> extends AbstractChainedBatch<TDatabase, K, V> {
  readonly #bucket: Bucket<Data, Data>;
  readonly #batch: Batch;

  constructor(db: TDatabase, bucket: Bucket<Data, Data>, batch: Batch) {
    super(db);
    this.#bucket = bucket;
    this.#batch = batch;
  }

  _put(key: Data, value: Data, { ttlMs }: TimedOptions): void {
    try {
      this.#batch.put(this.#bucket, key, value, ttlMs === undefined ? undefined : { ttlMs });
    } catch (error) {
      throw levelError(error);
    }
  }

  _del(key: Data): void {
    try {
      this.#batch.delete(this.#bucket, key);
    } catch (error) {
      throw levelError(error);
    }
  }

  _clear(): void {
    this.#batch.clear();
  }

  async _write(options: WriteOptions): Promise<void> {
    try {
      await this.#batch.write({ durability: durabilityOf(options) });
    } catch (error) {
      throw levelError(error);
    }
  }
}
