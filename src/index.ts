/** The package's public door. */
export { CorruptionError, DiskError, EnvelopeError, LimitError } from './base/errors.ts';
export { Client, ClientError, type ReadChoice, type StaleChoice } from './client/client.ts';
export { OnceClient, type OnceOptions } from './client/once_client.ts';
export type { ClientReply } from './client/reply_reader.ts';
export type {
  Bucket,
  BucketReader,
  ClearOptions,
  Entry,
  If,
  PutOptions,
  ScanOptions,
  WriteOptions,
} from './embedded/bucket.ts';
export type { Backup, BackupOptions, BackupProgress, Checkpoint } from './embedded/checkpoint.ts';
export type { Cursor } from './embedded/cursor.ts';
export {
  type Batch,
  type BucketOptions,
  type CompactOptions,
  type Database,
  open,
  type Snapshot,
} from './embedded/database.ts';
export type { DatabaseStatistics } from './embedded/database_statistics.ts';
export {
  type Encoded,
  type Encoding,
  json,
  type KeyEncoding,
  type TypeOf,
  type ValueEncoding,
} from './embedded/encoding.ts';
export type { Durability, StoreTuning } from './embedded/engine.ts';
export type { OpenOptions } from './embedded/open_options.ts';
export type { Bounds, Range } from './embedded/range.ts';
export type { Scan } from './embedded/scan.ts';
export type { Damage, Verification } from './inspect/verify.ts';
export { type VerifyOptions, verifyStore } from './inspect/verify_store.ts';
export type { Clock, Timer } from './io/clock.ts';
export type { AppendFile, Disk, ReadFile } from './io/disk.ts';
export type { LogFields, Logger, LogLevel } from './io/logger.ts';
export type { Address, Connection, ConnectionHandler, Listener, Network } from './io/network.ts';
export type { PageCacheStatistics } from './io/node/page_cache.ts';
export type { Random } from './io/random.ts';
export { Node, type NodeOptions } from './server/node.ts';
