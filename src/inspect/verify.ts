/**
 * Checks every byte of a store's files, offline: the log, the manifest, all tables, term and vote, and what else a node or
 * a backup has. That tables and log fit together is checked as well: either may be missing as a whole. Changes nothing, and
 * goes on behind what it finds, so that one run tells of all damage.
 *
 * Half-written ends that a crash has left are not damage: the next start cuts them.
 */

import { LIST, storeFiles } from '../backup/paths.ts';
import { CorruptionError, EnvelopeError } from '../base/errors.ts';
import type { Compression } from '../io/compression.ts';
import type { Disk } from '../io/disk.ts';
import { assertJoined, assertNoLog, holdsLog } from '../log/log_presence.ts';
import { recoverLog } from '../log/recovery.ts';
import type { TableEntry } from '../lsm/manifest.ts';
import { readState, tablePath } from '../lsm/store_files.ts';
import { openTable, type TableReader } from '../lsm/table_reader.ts';
import { damageInVotes } from '../replica/hard_state_file.ts';
import { lackingOf } from './verify_list.ts';
import { findingIn } from './verify_small.ts';

export interface Damage {
  readonly path: string;
  /** In bytes, of where the damaged structure begins. */
  readonly offset: number;
  readonly what: string;
  /** Store keys that may be concerned, both included; null: none, or it cannot be told. */
  readonly keys: { readonly from: Uint8Array; readonly to: Uint8Array } | null;
}

export interface VerificationOptions {
  /** Those that blocks of tables can be read with; of a table with another one records are not checked. Default none. */
  readonly compressions?: readonly Compression[];
  /** Bytes read so far, and of how many. */
  readonly onProgress?: (bytes: number, of: number) => void;
}

export interface Verification {
  readonly damage: readonly Damage[];
  readonly tables: number;
  readonly logRecords: number;
  /** Of tables and of the log. */
  readonly bytes: number;
  /** Files that nothing refers to: a crash has left them, and the next start removes them. */
  readonly leftovers: readonly string[];
  /** Files and directories that are not a store's: nothing is known of what they should hold. */
  readonly unknown: readonly string[];
}

/** There is nothing of a store in a directory. */
export function isStore(disk: Disk, directory: string): boolean {
  return disk.exists(`${directory}/log`) || disk.exists(`${directory}/tables`);
}

/** @throws DiskError when a file cannot be read. */
export function verify(disk: Disk, directory: string, options: VerificationOptions = {}): Verification {
  const steps = verifyInSteps(disk, directory, options);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** As `verify`, a block of a table at a time; the log is one step. */
export function verifyInSteps(
  disk: Disk,
  directory: string,
  options: VerificationOptions = {},
): Generator<null, Verification, void> {
  return new Verifier(disk, directory, options).run();
}

class Verifier {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #compressions: readonly Compression[];
  readonly #onProgress: (bytes: number, of: number) => void;
  readonly #damage: Damage[] = [];
  readonly #leftovers: string[] = [];
  readonly #unknown: string[] = [];
  /** What tables cover of the log; null: the manifest does not tell. */
  #flushedIndex: number | null = null;
  #bytes = 0;
  #bytesInAll = 0;

  constructor(
    disk: Disk,
    directory: string,
    { compressions = [], onProgress = () => {} }: VerificationOptions,
  ) {
    this.#disk = disk;
    this.#directory = directory;
    this.#compressions = compressions;
    this.#onProgress = onProgress;
  }

  *run(): Generator<null, Verification, void> {
    const directory = this.#directory;
    const logBytes = this.#sizeOf(`${directory}/log`);
    this.#bytesInAll = logBytes + this.#sizeOf(`${directory}/tables`);
    const tables = yield* this.#verifyTables(`${directory}/tables`);
    const logRecords = this.#verifyLog(`${directory}/log`);
    this.#advance(logBytes);
    this.#verifyOthers();
    for (const { path, offset, what } of damageInVotes(this.#disk, directory)) {
      this.#damage.push({ path, offset, what, keys: null });
    }
    return {
      damage: this.#damage,
      tables,
      logRecords,
      bytes: this.#bytes,
      leftovers: this.#leftovers,
      unknown: this.#unknown,
    };
  }

  #verifyLog(directory: string): number {
    if (!holdsLog(this.#disk, directory)) {
      this.#guard(null, () => assertNoLog(directory, this.#flushedIndex ?? 0));
      return 0;
    }
    try {
      const { records, groups } = recoverLog(this.#disk, directory);
      const [group] = groups.values();
      if (groups.size === 1 && this.#flushedIndex !== null && !this.#isOfNode()) {
        const { firstIndex } = group;
        this.#guard(null, () => assertJoined(this.#directory, this.#flushedIndex ?? 0, firstIndex));
      }
      return records;
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      this.#note(error, null);
      return this.#nameAll(directory, error);
    }
  }

  /** What is damaged in the log beside the first that was met. */
  #nameAll(directory: string, first: CorruptionError): number {
    try {
      const { records, damage } = recoverLog(this.#disk, directory, 'name');
      for (const error of damage) {
        if (error.path !== first.path || error.offset !== first.offset) this.#note(error, null);
      }
      return records;
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      return 0;
    }
  }

  /** A node may be about to get another state, which lets its tables and its log be apart. */
  #isOfNode(): boolean {
    return ['vote-a', 'vote-b'].some((name) => this.#disk.exists(`${this.#directory}/${name}`));
  }

  #verifyOthers(): void {
    const directory = this.#directory;
    const { files, unknown } = storeFiles(this.#disk, directory);
    this.#unknown.push(...unknown.map((name) => `${directory}/${name}`));
    const others = files.filter((name) => !name.includes('/') && !name.startsWith('vote-'));
    for (const name of this.#disk.exists(`${directory}/${LIST}`) ? [...others, LIST] : others) {
      const finding = findingIn(this.#disk, directory, name);
      if (finding?.type === 'damage') this.#note(finding.error, null);
      else if (finding?.type === 'unfinished') this.#leftovers.push(`${directory}/${name}`);
    }
    // What is missing may have been told as what it is missing for.
    const told = new Set(this.#damage.map(({ path }) => path));
    for (const error of lackingOf(this.#disk, directory)) if (!told.has(error.path)) this.#note(error, null);
  }

  *#verifyTables(directory: string): Generator<null, number, void> {
    if (!this.#disk.exists(directory)) {
      this.#flushedIndex = 0;
      return 0;
    }
    const there = tablesIn(this.#disk.list(directory));
    let known: readonly TableEntry[] | null = null;
    this.#guard(null, () => {
      const { tables, flushedIndex } = readState(this.#disk, directory);
      known = tables;
      this.#flushedIndex = flushedIndex;
    });
    // Without a manifest that can be read, all tables are worth a look.
    const listed = new Map((known ?? ([] as TableEntry[])).map((entry) => [entry.number, entry]));
    for (const number of there) {
      if (known !== null && !listed.has(number)) this.#leftovers.push(tablePath(directory, number));
    }
    const numbers = known === null ? there : [...listed.keys()];
    for (const number of numbers) {
      yield* this.#verifyTable(tablePath(directory, number), number, listed.get(number));
    }
    return numbers.length;
  }

  *#verifyTable(path: string, number: number, entry: TableEntry | undefined): Generator<null, void, void> {
    const keys = entry === undefined ? null : { from: entry.low, to: entry.end };
    let reader: TableReader | null = null;
    this.#guard(keys, () => {
      reader = openTable(this.#disk, path, number, { cache: null, compressions: this.#compressions });
    });
    const table = reader as TableReader | null;
    if (table === null) return;
    try {
      for (let block = 0; block < table.blocks; block++) {
        this.#guard(table.keysOf(block), () => this.#advance(table.verifyRecords(block)));
        yield null;
      }
      this.#guard(keys, () => this.#advance(table.verifySections()));
    } finally {
      table.close();
    }
  }

  #guard(keys: Damage['keys'], task: () => void): void {
    try {
      task();
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      this.#note(error, keys);
    }
  }

  #note(error: CorruptionError, keys: Damage['keys']): void {
    const { path, offset } = error;
    const what = error.message.slice(error.message.indexOf(': ') + 2);
    this.#damage.push({ path, offset, what, keys });
  }

  #sizeOf(directory: string): number {
    if (!this.#disk.exists(directory)) return 0;
    let bytes = 0;
    for (const name of this.#disk.list(directory)) {
      const file = this.#disk.open(`${directory}/${name}`);
      bytes += file.size;
      file.close();
    }
    return bytes;
  }

  #advance(bytes: number): void {
    this.#bytes += bytes;
    this.#onProgress(this.#bytes, this.#bytesInAll);
  }
}

/** Numbers of the tables among the names of a directory, ascending. */
export function tablesIn(names: readonly string[]): number[] {
  return names
    .flatMap((name) => /^table-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}
