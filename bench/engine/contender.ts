/** What the bench of engines asks of a store. Each runs in a process of its own, so that calls stay monomorphic. */

export interface Contender {
  open(directory: string): Promise<void>;
  close(): Promise<void>;
  /** One atomic batch, buffered: fulfilled when it can be read. */
  writeBatch(keys: readonly Uint8Array[], values: readonly Uint8Array[]): Promise<void>;
  /** Fulfilled when the write survives a crash of the machine. */
  putDurably(key: Uint8Array, value: Uint8Array): Promise<void>;
  /** A value that the caller may keep. */
  get(key: Uint8Array): Uint8Array | undefined;
  /** Reads the first `limit` keys and values in order; how many there were. */
  scan(direction: Direction, limit: number): Promise<number>;
  /** Reads the first `count` entries from a key on; how many there were. */
  readFrom(key: Uint8Array, count: number): Promise<number>;
  /** Null: the store has nothing of the kind. */
  readonly compact: (() => Promise<void>) | null;
  /** Null: the store does not tell. */
  statistics(): Statistics | null;
  /** Brings what was written into tables and waits until background work rests; at once when the store does not tell. */
  settle(): Promise<void>;
}

export type Direction = 'forward' | 'backward';

export interface Statistics {
  /** Bytes of tables written for each byte that was asked to be written, the log not counted. */
  readonly writeAmplification: number;
  /** Bytes that the index of the tables, and their filters, keep in memory. */
  readonly indexBytes: number;
  readonly filterBytes: number;
}

/** A contender for each name, made where it runs. */
export type ContenderName =
  | 'envelopedb'
  | 'envelopedb-tiered'
  | 'envelopedb-deflate'
  | 'classic-level'
  | 'lmdb';

export const CONTENDERS: readonly ContenderName[] = [
  'envelopedb',
  'envelopedb-tiered',
  'classic-level',
  'lmdb',
];

/** To be had by name. */
export const ALL_CONTENDERS: readonly ContenderName[] = [...CONTENDERS, 'envelopedb-deflate'];

/** Memory that each store may use to gather writes, where it can be told. */
export const WRITE_BUFFER_BYTES: number = 16 * 1024 * 1024;
