/**
 * Makes a new store of what can be read of a damaged one, and says what could not: `docs/operations.md` has the rules. The
 * old directory is only read.
 *
 * All records that are whole, of whatever table, are merged into one run: of each key the version with the highest sequence
 * number counts, unless a range tombstone covers it. Behind them goes a log with the entries that the tables do not cover;
 * the next start carries them out. An entry that is lost leaves an empty one in its place.
 */
import { writeLog } from '../backup/log_writing.ts';
import { resultOf, type Steps } from '../backup/steps.ts';
import type { Target } from '../backup/target.ts';
import { assert } from '../base/assert.ts';
import { CorruptionError, DiskError, EnvelopeError } from '../base/errors.ts';
import { equalBytes } from '../codec/bytes.ts';
import type { Clock } from '../io/clock.ts';
import type { Compression } from '../io/compression.ts';
import type { Disk } from '../io/disk.ts';
import { configurationKey } from '../kv/key_space.ts';
import { decodeWrite } from '../kv/write_codec.ts';
import { type Entry, EntryKind, type Index } from '../log/entry.ts';
import type { TableEntry } from '../lsm/manifest.ts';
import { Retention } from '../lsm/retention.ts';
import { RunWriter } from '../lsm/run_writer.ts';
import { type OpenedFiles, readState, renewManifest, tablePath } from '../lsm/store_files.ts';
import { DEFAULTS } from '../lsm/store_options.ts';
import { openTable } from '../lsm/table_reader.ts';
import { HardStateFile } from '../replica/hard_state_file.ts';
import { ANY_KEY, type Loss } from './loss.ts';
import { type LogSalvage, salvageLog } from './salvage_log.ts';
import { SalvageCursor, type SurveyedTable, surveyTable } from './salvage_tables.ts';
import { isStore, tablesIn, verify } from './verify.ts';

const GROUP = 1;
const TERM = 1;
const NODE = 1;
/** The merged tables are one run; a store takes it from there. */
const LEVEL = 1;

export interface RepairOptions {
  readonly clock: Clock;
  /** Those that blocks of tables can be read with; the new tables are not compressed. */
  readonly compressions?: readonly Compression[];
  /** What the new directory is for: an embedded store, or a standalone server. */
  readonly as: 'store' | 'server';
  /** Entries behind a lost one: carried out all the same, or left out. */
  readonly log: 'around' | 'until';
  /** Bytes of tables read so far, and of how many. */
  readonly onProgress: (bytes: number, of: number) => void;
}

export interface Repair {
  readonly losses: readonly Loss[];
  /** What is worth knowing, and no loss. */
  readonly notes: readonly string[];
  readonly tablesRead: number;
  readonly recordsKept: number;
  /** Entries of the log that the next start carries out. */
  readonly entriesKept: number;
}

/** It has, or had, a term and a vote. */
export function isNodeDirectory(disk: Disk, directory: string): boolean {
  return ['vote-a', 'vote-b', 'identity.json', 'founder.json', 'snapshot'].some((name) =>
    disk.exists(`${directory}/${name}`),
  );
}

/**
 * Fills the target and gives it its name; or throws, and leaves nothing.
 * @throws EnvelopeError `USAGE`, `EXISTS`, `LOG_FORMAT`, `FORMAT` (a later version wrote it); DiskError
 */
export function* repairStore(
  disk: Disk,
  directory: string,
  target: Target,
  options: RepairOptions,
): Steps<Repair> {
  if (!isStore(disk, directory)) throw new EnvelopeError('USAGE', `${directory} holds no store`);
  try {
    target.begin();
    const repair = yield* new Repairing(disk, directory, target.partial, options).run();
    yield* target.commit();
    return repair;
  } catch (error) {
    target.discard();
    throw error;
  }
}

/** Where the new store begins: which tables are taken, and how far they cover the log. */
interface Start {
  readonly tables: readonly SurveyedTable[];
  readonly flushedIndex: Index;
}

class Repairing {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #partial: string;
  readonly #options: RepairOptions;
  readonly #losses: Loss[] = [];
  readonly #notes: string[] = [];
  #bytes = 0;
  #recordsKept = 0;

  constructor(disk: Disk, directory: string, partial: string, options: RepairOptions) {
    this.#disk = disk;
    this.#directory = directory;
    this.#partial = partial;
    this.#options = options;
  }

  *run(): Steps<Repair> {
    const log = salvageLog(this.#disk, `${this.#directory}/log`, GROUP);
    yield null;
    if (log.segments === 0) {
      const effect = 'entries behind the tables are lost: any key may hold what it held before';
      this.#lose(`${this.#directory}/log`, 0, 'there is no segment of the log', effect);
    }
    const start = this.#findStart(log);
    for (const { losses } of start.tables) this.#losses.push(...losses);
    const written = yield* this.#writeTables(start);
    const flushedIndex = this.#continueBehind(start.flushedIndex, log);
    yield* this.#writeManifest(written, flushedIndex);
    const lastIndex = this.#lastIndex(flushedIndex, log);
    yield* this.#writeLog(log, flushedIndex, lastIndex);
    if (this.#options.as === 'server') yield* this.#writeVotes();
    yield null;
    const { damage } = verify(this.#disk, this.#partial);
    assert(damage.length === 0, 'what was repaired is whole', { damage: damage[0]?.what });
    return {
      losses: this.#losses,
      notes: this.#notes,
      tablesRead: start.tables.length,
      recordsKept: this.#recordsKept,
      entriesKept: Math.max(0, lastIndex - flushedIndex),
    };
  }

  #findStart(log: LogSalvage): Start {
    const directory = `${this.#directory}/tables`;
    const there = this.#disk.exists(directory) ? tablesIn(this.#disk.list(directory)) : [];
    if (there.length === 0 && !this.#disk.exists(directory)) {
      this.#lose(directory, 0, 'the directory of the tables is missing', 'all that only they held is lost');
      return { tables: [], flushedIndex: 0 };
    }
    try {
      const { flushedIndex, tables } = readState(this.#disk, directory);
      const listed = new Set(tables.map(({ number }) => number));
      const missing = tables.filter(({ number }) => !there.includes(number));
      const unlisted = there.filter((number) => !listed.has(number));
      const isTooOld = missing.length > 0 || (log.firstIndex > 0 && log.firstIndex > flushedIndex + 1);
      if (!isTooOld || unlisted.length === 0) {
        return { tables: this.#surveyListed(tables, new Set(there)), flushedIndex };
      }
      const what = 'it does not go with the tables and the log that are there';
      return this.#startWithout(there, new CorruptionError(`${directory}/CURRENT`, 0, what), log);
    } catch (error) {
      return this.#startWithout(there, damageIn(error), log);
    }
  }

  #survey(path: string, number: number, entry: TableEntry | null): SurveyedTable {
    return surveyTable(this.#disk, path, number, entry, this.#options.compressions ?? []);
  }

  #surveyListed(tables: readonly TableEntry[], there: ReadonlySet<number>): SurveyedTable[] {
    const directory = `${this.#directory}/tables`;
    const surveyed: SurveyedTable[] = [];
    for (const entry of tables) {
      const path = tablePath(directory, entry.number);
      if (there.has(entry.number)) surveyed.push(this.#survey(path, entry.number, entry));
      else {
        const effect = 'what it held is lost, and older values, deleted ones too, may have come back';
        const keys = { from: entry.low, to: entry.end };
        this.#losses.push({ path, offset: 0, what: 'the table is missing', effect, keys });
      }
    }
    return surveyed;
  }

  /**
   * The manifest is lost: all tables that are there are taken for those of the store, also what a compaction had replaced.
   * Where they may end within the log, the log counts: a flush that a crash has interrupted is no part of the store.
   */
  #startWithout(there: readonly number[], damage: CorruptionError, log: LogSalvage): Start {
    const tables = there.map((number) => {
      return this.#survey(tablePath(`${this.#directory}/tables`, number), number, null);
    });
    this.#lose(
      damage.path,
      damage.offset,
      whatOf(damage),
      `the store was put together from the ${tables.length} tables that are there: keys that were deleted may have come back, with their last values or older ones`,
    );
    const highest = tables.reduce((max, { maxSequence }) => Math.max(max, maxSequence), 0);
    const flushedIndex = this.#lowestStart(tables, highest, log);
    return { tables: tables.filter(({ minSequence }) => minSequence <= flushedIndex), flushedIndex };
  }

  /** The lowest index at which tables may end: the log has all behind it, and no table lies on both sides. */
  #lowestStart(tables: readonly SurveyedTable[], highest: Index, log: LogSalvage): Index {
    // Only what tables cover was removed from the log.
    const lowest = Math.max(0, log.firstIndex - 1);
    const atLeast = Math.max(highest, lowest);
    if (log.lastIndex < highest || log.firstIndex === 0) return atLeast;
    // Of a table with lost blocks nobody knows for certain where it ends.
    if (tables.some(({ losses }) => losses.length > 0)) return atLeast;
    let index = lowest;
    const byFirst = [...tables].sort((a, b) => a.minSequence - b.minSequence);
    for (const { minSequence, maxSequence } of byFirst) {
      if (minSequence <= index) index = Math.max(index, maxSequence);
    }
    const isWhole = log.lost.every(({ to }) => to !== null && to <= index);
    return isWhole ? index : atLeast;
  }

  *#writeTables({ tables }: Start): Steps<TableEntry[]> {
    const disk = this.#disk;
    const directory = `${this.#partial}/tables`;
    const totalBytes = tables.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const records = new SalvageCursor(tables, {
      disk,
      compressions: this.#options.compressions ?? [],
      // Who belongs to a group says nothing of a store that has none.
      isUnwanted: (key) => equalBytes(key, configurationKey),
      onLoss: (loss) => this.#losses.push(loss),
      onBytes: (bytes) => {
        this.#bytes += bytes;
        this.#options.onProgress(Math.min(this.#bytes, totalBytes), totalBytes);
      },
    });
    const retention = new Retention({
      snapshots: [],
      tombstones: tables.flatMap(({ ranges }) => ranges),
      below: { mayHold: () => false },
      expiry: null,
    });
    let last = 0;
    const writer = new RunWriter(
      disk,
      { ...DEFAULTS, directory, compression: null },
      { records, retention },
      () => ++last,
    );
    try {
      for (const file of writer.steps()) {
        if (file === null) {
          yield null;
          continue;
        }
        yield (done) => file.sync(done);
        file.close();
      }
    } finally {
      writer.close();
      records.close();
    }
    return writer.numbers.map((number) => {
      const table = openTable(disk, tablePath(directory, number), number);
      const { low, end } = table;
      this.#recordsKept += table.properties.records;
      table.close();
      return { number, level: LEVEL, run: 0, low, end };
    });
  }

  *#writeManifest(tables: readonly TableEntry[], flushedIndex: Index): Steps<void> {
    const state = { flushedIndex, nextFile: 1, tables };
    const opened = yield* resultOf<OpenedFiles>((done) => {
      renewManifest(this.#disk, `${this.#partial}/tables`, state, done);
    });
    opened.manifest.close();
  }

  /** Where the log goes on: where it begins, if that is further on than the tables go. */
  #continueBehind(flushedIndex: Index, log: LogSalvage): Index {
    if (log.firstIndex <= flushedIndex + 1) return flushedIndex;
    const missing = describeEntries(flushedIndex + 1, log.firstIndex - 1);
    this.#lose(
      `${this.#directory}/log`,
      0,
      `the tables end with entry ${flushedIndex}, and the log begins with ${log.firstIndex}`,
      `${missing} lost: any key may hold what it held before`,
    );
    return log.firstIndex - 1;
  }

  /** Tells what of the log is lost behind the tables. */
  #lastIndex(flushedIndex: Index, log: LogSalvage): Index {
    for (const { path, offset, what } of log.harmless) {
      this.#losses.push({ path, offset, what, effect: 'no entry is missed, nothing is lost', keys: null });
    }
    let lastIndex = Math.max(log.lastIndex, flushedIndex);
    for (const { from, to, path, offset, what } of log.lost) {
      if (to !== null && to <= flushedIndex) {
        const effect = 'tables hold what it wrote, nothing is lost';
        this.#losses.push({ path, offset, what, effect, keys: null });
        continue;
      }
      const first = Math.max(from, flushedIndex + 1);
      if (first > lastIndex && to !== null) continue;
      const isLast = to === null || to >= log.lastIndex;
      let rest = isLast ? '' : '; those behind were carried out on what is left';
      if (this.#options.log === 'until' && !isLast) {
        rest = `; so are those up to ${log.lastIndex} behind, as they are not to be carried out without`;
        lastIndex = Math.min(lastIndex, first - 1);
      }
      const entries = describeEntries(first, to);
      this.#lose(path, offset, what, `${entries} lost: any key may hold what it held before${rest}`);
    }
    return lastIndex;
  }

  *#writeLog(log: LogSalvage, flushedIndex: Index, lastIndex: Index): Steps<void> {
    const { clock } = this.#options;
    yield* writeLog({ disk: this.#disk, clock, logger: { log: () => {} } }, `${this.#partial}/log`, {
      group: GROUP,
      term: TERM,
      flushedIndex,
      lastIndex,
      entry: (index) => this.#entry(log, index),
    });
  }

  #entry(log: LogSalvage, index: Index): Entry {
    const found = log.entry(index);
    const none = { index, term: TERM, kind: EntryKind.Noop, payload: new Uint8Array(0) };
    // Members are not those of the new store, which has no others.
    if (found === null || found.kind !== EntryKind.Command) return none;
    try {
      decodeWrite(found.payload);
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      const what = `entry ${index} is whole and no write: ${error.message}`;
      this.#lose(`${this.#directory}/log`, 0, what, 'it was left out: any key may hold what it held before');
      return none;
    }
    return { index, term: TERM, kind: EntryKind.Command, payload: found.payload };
  }

  /** A standalone server's: nobody else relies on them. */
  *#writeVotes(): Steps<void> {
    const options = { disk: this.#disk, directory: this.#partial, group: GROUP, node: NODE };
    const file = yield* resultOf<HardStateFile>((done) => HardStateFile.open(options, done));
    try {
      yield (done) => file.save({ term: TERM, vote: NODE }, done);
    } finally {
      file.close();
    }
    this.#notes.push(
      'term and vote were written anew: no node of a cluster may be started with this directory',
    );
  }

  #lose(path: string, offset: number, what: string, effect: string): void {
    this.#losses.push({ path, offset, what, effect, keys: ANY_KEY });
  }
}

function describeEntries(from: Index, to: Index | null): string {
  if (to === null) return `entries of the log from ${from} on are`;
  return from === to ? `entry ${from} of the log is` : `entries ${from} to ${to} of the log are`;
}

/** What cannot be read is as damaged as what makes no sense. */
function damageIn(error: unknown): CorruptionError {
  if (error instanceof CorruptionError) return error;
  if (error instanceof DiskError && error.errno === 'EIO') {
    return new CorruptionError(error.path, 0, `it cannot be read: ${error.message}`);
  }
  throw error;
}

function whatOf(error: CorruptionError): string {
  return error.message.slice(error.message.indexOf(': ') + 2);
}
