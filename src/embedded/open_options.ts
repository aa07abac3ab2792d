/** What may be said when a store is opened: anything else is an error that names it, not a store that does something else. */
import { checkFields, checkObject, told } from '../base/arguments.ts';
import { EnvelopeError } from '../base/errors.ts';
import type { LogLevel } from '../io/logger.ts';
import { DEFAULTS } from '../lsm/store_options.ts';
import type { StoreTuning } from './engine.ts';

export interface OpenOptions {
  /** False: a directory without a store is an error, and is left as it is. Default true. */
  readonly createIfMissing?: boolean;
  /** True: a directory with a store is an error. Default false. */
  readonly errorIfExists?: boolean;
  /** A buffered write survives a crash this many milliseconds later, and the time of a sync; some 24 days at most. Default 100. */
  readonly bufferedMs?: number;
  /**
   * Bytes of a segment of the log, from 4 KiB to 1 GiB; one is there from the start, another from when it is half full, or as
   * many as the log needs. Default 16 MiB: less is for a store that is to take little room.
   */
  readonly segmentBytes?: number;
  /** Sizes and limits of the storage engine, see docs/storage.md. */
  readonly tuning?: StoreTuning;
  readonly logLevel?: LogLevel | 'silent';
  /**
   * Tables are read past the system's cache into one of the store's own, of this many bytes, which is allocated at once.
   * Without it they are mapped. See docs/storage.md.
   */
  readonly pageCacheBytes?: number;
  /**
   * Who writes tables: a `thread` of their own, which is the default, or the caller's, in `steps` of about a millisecond
   * between other work.
   */
  readonly background?: 'thread' | 'steps';
}

const SEGMENT_BYTES_MIN = 4096;
const SEGMENT_BYTES_MAX = 1024 * 1024 * 1024;
const PAGE_CACHE_BYTES_MAX = 3 * 1024 * 1024 * 1024;
/** What a timer of Node can wait for: some 24 days. */
const BUFFERED_MS_MAX = 0x7fff_ffff;

type Check = (name: string, value: unknown) => void;

const CHECKS: { readonly [name in keyof OpenOptions]-?: Check } = {
  createIfMissing: isTrueOrFalse,
  errorIfExists: isTrueOrFalse,
  bufferedMs: isWhole(0, BUFFERED_MS_MAX),
  segmentBytes: isWhole(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
  tuning: isTuning,
  logLevel: isOneOf('debug', 'info', 'warn', 'error', 'silent'),
  pageCacheBytes: isWhole(1, PAGE_CACHE_BYTES_MAX),
  background: isOneOf('thread', 'steps'),
};

/** `expiry` and `compressions` are the embedded store's own. */
const TUNING: ReadonlySet<string> = new Set(
  Object.keys(DEFAULTS).filter((name) => name !== 'expiry' && name !== 'compressions'),
);
const OPTIONS: ReadonlySet<string> = new Set(Object.keys(CHECKS));

/** @throws EnvelopeError `INVALID` naming the option and what it may be. Numbers of `tuning` are the store's to check. */
export function checkOpenOptions(options: OpenOptions): void {
  checkObject('options are', options);
  checkFields('open', options, OPTIONS);
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) CHECKS[name as keyof OpenOptions](name, value);
  }
}

/** Those of an object that are options of `open`; for those who have more. */
export function openOptionsAmong(options: OpenOptions): OpenOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => Object.hasOwn(CHECKS, name)));
}

function isTrueOrFalse(name: string, value: unknown): void {
  if (typeof value === 'boolean') return;
  throw new EnvelopeError('INVALID', `${name} is true or false, not ${told(value)}`);
}

function isWhole(least: number, most: number): Check {
  return (name, value) => {
    if (Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most) return;
    throw new EnvelopeError(
      'INVALID',
      `${name} is a whole number from ${least} to ${most}, not ${told(value)}`,
    );
  };
}

function isOneOf(...choices: readonly string[]): Check {
  return (name, value) => {
    if (typeof value === 'string' && choices.includes(value)) return;
    throw new EnvelopeError('INVALID', `${name} is one of ${choices.join(', ')}, not ${told(value)}`);
  };
}

function isTuning(name: string, value: unknown): void {
  checkObject(`${name} is`, value);
  checkFields(name, value as object, TUNING);
}
