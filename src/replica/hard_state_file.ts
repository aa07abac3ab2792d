/**
 * Term and vote on disk. They are never restored from peers, so there are two checksummed copies, two append-only
 * files of fixed records, written one after the other: a crash can tear only one of them. The highest intact record
 * counts. A damaged last record in both cannot come from a crash: it is corruption, and the node refuses to guess.
 *
 * Record, 48 bytes, little-endian: u32 magic | u16 version | u16 0 | u32 group | u32 node | u64 generation | u64 term |
 * u64 vote (0: none) | u32 0 | u32 crc32 of the 44 bytes before.
 */

import { assert } from '../base/assert.ts';
import { CorruptionError, EnvelopeError, type Outcome, toError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import { crc32 } from '../codec/crc32.ts';
import type { AppendFile, Disk } from '../io/disk.ts';
import type { GroupId } from '../log/entry.ts';
import type { NodeId } from '../raft/message.ts';
import type { HardState } from '../raft/output.ts';

const RECORD_BYTES = 48;
const MAGIC = 0x54534845; // "EHST"
const VERSION = 1;
/** A copy is rewritten, at open, when it holds more records than this. */
const RECORDS_MAX = 1024;
const NAMES = ['vote-a', 'vote-b'] as const;

export interface HardStateOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly group: GroupId;
  readonly node: NodeId;
  /**
   * There is no copy at all, and nothing has been written yet: throws where this cannot be a new node. Once the first copies
   * are made nobody can tell any more.
   */
  readonly assertMayBeNew?: () => void;
}

interface Copy {
  readonly path: string;
  readonly records: number;
  readonly state: (HardState & { readonly generation: number }) | null;
  /** Nothing in it is damaged. */
  readonly isWhole: boolean;
  /** It ends with an intact record (or is empty): the newest that was ever synced to this copy. */
  readonly lastIsIntact: boolean;
}

type Newest = HardState & { readonly generation: number };

type SaveCallback = (error: Error | null) => void;

export class HardStateFile {
  /** As last known to be durable when opened. */
  readonly initial: HardState;
  #generation: number;
  readonly #options: HardStateOptions;
  readonly #files: AppendFile[];
  /** The newest state that waits for the save under way to end, and who asked for it. */
  #next: { state: HardState; done: SaveCallback[] } | null = null;
  #saving: HardState | null = null;
  #durable: HardState;
  #failure: Error | null = null;

  /** For `open`, once both copies are in order and their names durable. */
  constructor(options: HardStateOptions, files: AppendFile[], opened: Newest) {
    this.#options = options;
    this.#files = files;
    this.initial = opened;
    this.#generation = opened.generation;
    this.#durable = opened;
  }

  /** As last known to be durable. */
  get durable(): HardState {
    return this.#durable;
  }

  /** Hands over the file, or CorruptionError, DiskError, or an EnvelopeError `WRONG_NODE` for another node's data. */
  static open(options: HardStateOptions, done: (outcome: Outcome<HardStateFile>) => void): void {
    try {
      const { disk, directory } = options;
      disk.makeDirectory(directory);
      const copies = NAMES.map((name) => readCopy(options, `${directory}/${name}`));
      const [a, b] = copies;
      if (!a.lastIsIntact && !b.lastIsIntact) {
        throw new CorruptionError(
          b.path,
          b.records * RECORD_BYTES,
          'both copies of term and vote are damaged: this node could vote twice, it must be replaced',
        );
      }
      const newest = (a.state?.generation ?? 0) >= (b.state?.generation ?? 0) ? a.state : b.state;
      if (newest === null && !(a.lastIsIntact && b.lastIsIntact)) {
        throw new CorruptionError(
          a.path,
          0,
          'no copy of term and vote is intact: this node could vote twice, it must be replaced',
        );
      }
      if (newest === null) options.assertMayBeNew?.();
      // Even "no vote yet" is written down, so that lost files are told from a new node.
      repair(options, copies, newest ?? { term: 0, vote: null, generation: 1 }, done);
    } catch (error) {
      fail(done, error);
    }
  }

  /**
   * Makes `state` durable in both copies. Saves that come while one is under way are joined: only the newest state is
   * written, and all are told together. An error is final.
   */
  save(state: HardState, done: SaveCallback): void {
    if (this.#next === null) this.#next = { state, done: [done] };
    else {
      assert(state.term >= this.#next.state.term, 'terms only rise', { term: state.term });
      this.#next.state = state;
      this.#next.done.push(done);
    }
    if (this.#saving === null) this.#startSave();
  }

  close(): void {
    for (const file of this.#files) file.close();
  }

  #startSave(): void {
    const job = this.#next;
    if (job === null) return;
    this.#next = null;
    this.#saving = job.state;
    this.#generation++;
    const record = encodeRecord(this.#options, job.state, this.#generation);
    this.#write(0, record, job.done);
  }

  #write(copy: number, record: Uint8Array, done: SaveCallback[]): void {
    if (this.#failure !== null || copy === this.#files.length) {
      if (this.#failure === null && this.#saving !== null) this.#durable = this.#saving;
      this.#saving = null;
      for (const callback of done) callback(this.#failure);
      this.#startSave();
      return;
    }
    try {
      this.#files[copy].append(record);
      this.#files[copy].sync((error) => {
        this.#failure ??= error;
        this.#write(copy + 1, record, done);
      });
    } catch (error) {
      this.#failure = toError(error);
      this.#write(copy, record, done);
    }
  }
}

/** Brings both copies to one clean state before anything new is written, then hands over. */
function repair(
  options: HardStateOptions,
  copies: readonly Copy[],
  state: Newest,
  done: (outcome: Outcome<HardStateFile>) => void,
): void {
  const { disk, directory } = options;
  const files: AppendFile[] = [];
  /** Also called back from a sync: what is thrown then is nobody else's to catch. */
  const next = (at: number): void => {
    try {
      proceed(at);
    } catch (error) {
      fail(done, error);
    }
  };
  const proceed = (at: number): void => {
    if (at === copies.length) {
      disk.syncDirectory(directory, (error) => {
        if (error !== null) done({ ok: false, error });
        else done({ ok: true, value: new HardStateFile(options, files, state) });
      });
      return;
    }
    const copy = copies[at];
    const current = copy.state?.generation === state.generation && copy.isWhole;
    if (current && copy.records <= RECORDS_MAX) {
      const kept = disk.openAppend(copy.path, copy.records * RECORD_BYTES);
      files.push(kept);
      // A life before may have been killed in the middle of a save: what was read may be in the system's memory only.
      kept.sync((error) => {
        if (error !== null) done({ ok: false, error });
        else next(at + 1);
      });
      return;
    }
    if (!copy.isWhole) sometimes('a torn copy of term and vote is written anew');
    // A fresh file under another name first: the old copy is whole until the new one is.
    const fresh = `${copy.path}.new`;
    if (disk.exists(fresh)) disk.remove(fresh);
    const file = disk.create(fresh);
    file.append(encodeRecord(options, state, state.generation));
    file.sync((error) => {
      if (error !== null) {
        done({ ok: false, error });
        return;
      }
      try {
        file.close();
        disk.rename(fresh, copy.path);
        // One copy at a time: its new name is durable before the other copy is touched.
        disk.syncDirectory(directory, (directoryError) => {
          if (directoryError !== null) {
            done({ ok: false, error: directoryError });
            return;
          }
          try {
            files.push(disk.openAppend(copy.path, RECORD_BYTES));
          } catch (failure) {
            fail(done, failure);
            return;
          }
          next(at + 1);
        });
      } catch (failure) {
        fail(done, failure);
      }
    });
  };
  next(0);
}

/** What a copy of term and vote holds, whoever it belongs to. Null: the record is not intact. */
export interface VoteRecord extends HardState {
  readonly generation: number;
  readonly group: GroupId;
  readonly node: NodeId;
}

/** The records of a file of term and vote, in order. @throws CorruptionError when a later version wrote one. */
export function* readVotes(
  bytes: Uint8Array,
  path: string,
): Generator<{ readonly offset: number; readonly record: VoteRecord | null }> {
  for (let offset = 0; offset < bytes.length; offset += RECORD_BYTES) {
    const record = bytes.subarray(offset, offset + RECORD_BYTES);
    if (record.length < RECORD_BYTES || !isIntact(record)) {
      yield { offset, record: null };
      continue;
    }
    const view = new DataView(record.buffer, record.byteOffset, record.length);
    const owner = { group: view.getUint32(8, true), node: view.getUint32(12, true) };
    const state = decodeRecord(owner, record, path, offset);
    yield { offset, record: state === null ? null : { ...state, ...owner } };
  }
}

/** What is damaged in the files of term and vote, whoever they belong to. A torn last record in one of them is none. */
export function damageInVotes(
  disk: Disk,
  directory: string,
): { readonly path: string; readonly offset: number; readonly what: string }[] {
  const found: { path: string; offset: number; what: string }[] = [];
  let torn: { path: string; offset: number; what: string } | null = null;
  for (const name of NAMES) {
    const path = `${directory}/${name}`;
    if (!disk.exists(path)) continue;
    const file = disk.open(path);
    const bytes = file.size === 0 ? new Uint8Array(0) : file.view(0, file.size).slice();
    file.close();
    for (let offset = 0; offset < bytes.length; offset += RECORD_BYTES) {
      const record = bytes.subarray(offset, offset + RECORD_BYTES);
      if (record.length === RECORD_BYTES && isIntact(record)) continue;
      const damage = { path, offset, what: 'a record of term and vote is damaged' };
      const isLast = offset + RECORD_BYTES >= bytes.length;
      // A crash can tear the last record of one copy, not of both.
      if (isLast && torn === null) torn = damage;
      else found.push(damage);
      if (isLast && torn !== null && torn !== damage) found.push(torn);
    }
  }
  return found;
}

function readCopy(options: HardStateOptions, path: string): Copy {
  if (!options.disk.exists(path)) return { path, records: 0, state: null, isWhole: true, lastIsIntact: true };
  const file = options.disk.open(path);
  try {
    const bytes = file.size === 0 ? new Uint8Array(0) : file.view(0, file.size).slice();
    let state: Copy['state'] = null;
    let damaged = 0;
    let at = 0;
    for (; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
      const found = decodeRecord(options, bytes.subarray(at, at + RECORD_BYTES), path, at);
      if (found === null) damaged++;
      else state = found;
    }
    // Records are synced one by one, so a crash can tear only the last; but rot can be anywhere.
    const lastIsIntact = at === bytes.length && (at === 0 || isIntact(bytes.subarray(at - RECORD_BYTES)));
    return { path, records: at / RECORD_BYTES, state, isWhole: lastIsIntact && damaged === 0, lastIsIntact };
  } finally {
    file.close();
  }
}

function encodeRecord(options: HardStateOptions, state: HardState, generation: number): Uint8Array {
  const record = new Uint8Array(RECORD_BYTES);
  const view = new DataView(record.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, VERSION, true);
  view.setUint32(8, options.group, true);
  view.setUint32(12, options.node, true);
  view.setBigUint64(16, BigInt(generation), true);
  view.setBigUint64(24, BigInt(state.term), true);
  view.setBigUint64(32, BigInt(state.vote ?? 0), true);
  view.setUint32(44, crc32(record.subarray(0, 44)), true);
  return record;
}

function decodeRecord(
  options: Pick<HardStateOptions, 'group' | 'node'>,
  record: Uint8Array,
  path: string,
  offset: number,
): Copy['state'] {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  if (view.getUint32(44, true) !== crc32(record.subarray(0, 44)) || view.getUint32(0, true) !== MAGIC)
    return null;
  const version = view.getUint16(4, true);
  if (version !== VERSION) throw new CorruptionError(path, offset, `format version ${version} is not known`);
  const node = view.getUint32(12, true);
  if (node !== options.node || view.getUint32(8, true) !== options.group) {
    throw new EnvelopeError(
      'WRONG_NODE',
      `${path} belongs to node ${node} of group ${view.getUint32(8, true)}, not to node ${options.node} of group ${options.group}: is this the right data directory?`,
    );
  }
  const vote = Number(view.getBigUint64(32, true));
  return {
    generation: Number(view.getBigUint64(16, true)),
    term: Number(view.getBigUint64(24, true)),
    vote: vote === 0 ? null : vote,
  };
}

function isIntact(record: Uint8Array): boolean {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  return view.getUint32(44, true) === crc32(record.subarray(0, 44)) && view.getUint32(0, true) === MAGIC;
}

function fail(done: (outcome: Outcome<never>) => void, error: unknown): void {
  done({ ok: false, error: toError(error) });
}
