/**
 * Snapshots of one replica, both ways: gives its state out, fetches another's when the leader says that the log does not
 * reach back far enough, and installs what was fetched.
 *
 * An installation is safe at every step. The fetched file is durable before anything else. The store changes over with
 * one durable edit of its manifest; until then the old state counts. Then the log begins anew behind the snapshot's index;
 * should power fail in between, the next start finds tables that reach beyond the log, the file says with which term,
 * and `mendLog` does the rest. So the file stays until the log durably goes on there: no other is fetched before.
 */
import { CorruptionError } from '../base/errors.ts';
import { maybe, rarely } from '../base/rare.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Index, Term } from '../log/entry.ts';
import type { GroupLog } from '../log/group_log.ts';
import type { Store } from '../lsm/store.ts';
import type { NodeId } from '../raft/message.ts';
import type { DigestMessage, RangeChunk, RangeFetch, SnapshotMessage } from './snapshot_codec.ts';
import { SnapshotFetch } from './snapshot_fetch.ts';
import { readSnapshotIdentity, SnapshotFileCursor, type SnapshotIdentity } from './snapshot_file.ts';
import { SnapshotSource } from './snapshot_source.ts';

export interface SnapshotLimits {
  /** Entries that stay in the log behind what tables cover, for followers that lag; null: all of them. */
  readonly logTailEntries: number | null;
  /**
   * Bytes of the log on the disk from which on that tail is cut short, and what tables do not cover yet is flushed to
   * them. A segment more may be there, and what is not applied yet; eight times as much while another node fetches a
   * snapshot, which would be of no use without what follows it. Left out: no bound.
   */
  readonly logBytesMax?: number;
  readonly chunkBytes: number;
  readonly bytesPerSecondMax: number;
}

export const DEFAULT_SNAPSHOT_LIMITS: SnapshotLimits = {
  logTailEntries: 100_000,
  logBytesMax: 256 * 1024 * 1024,
  chunkBytes: 1024 * 1024,
  bytesPerSecondMax: 256 * 1024 * 1024,
};

export interface SnapshotsOptions {
  readonly store: Store;
  readonly log: GroupLog;
  readonly disk: Disk;
  readonly clock: Clock;
  /** Where the fetched file goes. */
  readonly directory: string;
  readonly limits: SnapshotLimits;
  readonly send: (to: NodeId, message: SnapshotMessage) => void;
  /** Whether what the store holds may be given to others. */
  readonly isSound: () => boolean;
  /** The store is about to change over; nobody may hold anything of it. */
  readonly onInstall: () => void;
  /** The store holds the state as of `index`, durably. */
  readonly onInstalled: (index: Index, term: Term) => void;
  /** What was fetched is no newer than what the store holds. */
  readonly onKnown: (index: Index, term: Term) => void;
  readonly onFailure: (error: Error) => void;
}

const SOURCE_IDLE_MS = 30_000;
const RETRY_MS = 500;
/** Time enough for the group to go on without whoever installs. */
const LONG_INSTALL_MS = 500;

export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #source: SnapshotSource;
  #fetch: SnapshotFetch | null = null;
  /** The store is changing over: nothing may be applied. */
  #cursor: SnapshotFileCursor | null = null;
  #isToReinstall = false;
  /** Before an installation, for the simulator. */
  #pause: Timer | null = null;
  #stopped = false;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    const { store, log, clock, limits } = options;
    this.#source = new SnapshotSource({
      store,
      clock,
      termAt: (index) => log.termAt(index),
      neededIndex: () => log.firstIndex - 1,
      chunkBytes: limits.chunkBytes,
      idleMs: SOURCE_IDLE_MS,
    });
  }

  get isInstalling(): boolean {
    return this.#cursor !== null || this.#isToReinstall;
  }

  /** One is being fetched or installed, or its file must stay as it is. */
  get isBusy(): boolean {
    return this.#fetch !== null || this.isInstalling || this.#isFileNeeded;
  }

  /**
   * The log does not durably begin behind what was installed last, or, where it holds the entry that this ends with, does
   * not durably reach it: after a crash, only the file says where the log goes on.
   */
  get #isFileNeeded(): boolean {
    const { log, store } = this.#options;
    return !log.isResetDurable || log.durableIndex < store.flushedIndex;
  }

  /** Who fetches what this node gives out will need the entries behind this index; null: nobody does. */
  get heldIndex(): Index | null {
    return this.#source.heldIndex;
  }

  /** The leader `from` says that its state is to be fetched. It says so again as long as that is not there. */
  onOffer(from: NodeId): void {
    if (this.isInstalling || this.#fetch?.from === from) return;
    if (this.#isFileNeeded) {
      rarely('a snapshot is offered before the log begins behind the one before');
      return;
    }
    this.#fetch?.cancel();
    const { disk, clock, directory, send, limits, onFailure } = this.#options;
    this.#fetch = new SnapshotFetch({
      disk,
      clock,
      path: snapshotPath(directory),
      directory,
      from,
      send,
      bytesPerSecondMax: limits.bytesPerSecondMax,
      retryMs: RETRY_MS,
      done: (identity) => this.install(identity),
      onFailure,
    });
    this.#fetch.ask();
  }

  /** @throws EnvelopeError `FORMAT`; DiskError when tables can't be read. */
  onMessage(from: NodeId, message: Exclude<SnapshotMessage, RangeFetch | RangeChunk | DigestMessage>): void {
    if (message.type === 'fetch') this.#answer(from, message);
    else if (this.#fetch?.from === from) this.#fetch.onChunk(message);
  }

  /** Who cannot be answered because of damage asks again, once there is another leader or the damage is mended. */
  #answer(from: NodeId, message: SnapshotMessage & { type: 'fetch' }): void {
    const { send, store, isSound } = this.#options;
    if (!isSound()) return;
    try {
      send(from, this.#source.answer(message));
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      // When it is about no table of the store any more, it has been merged away since: a new snapshot does without it.
      store.noteDamage(error);
      rarely('a snapshot cannot be given out because of damage');
      this.#source.release();
    }
  }

  /** What is being fetched is not wanted any more. */
  giveUp(): void {
    this.#fetch?.cancel();
    this.#fetch = null;
  }

  onPeerReset(peer: NodeId): void {
    if (this.#fetch?.from === peer) this.#fetch.ask();
  }

  /** What is committed has reached this node another way. */
  onCommitted(index: Index, offered: Index): void {
    if (index < offered || this.#fetch === null) return;
    rarely('a fetch of a snapshot is given up');
    this.giveUp();
  }

  stop(): void {
    this.#stopped = true;
    this.#fetch?.cancel();
    this.#source.stop();
    this.#pause?.cancel();
    this.#cursor?.close();
  }

  /** Once more, later in this turn, what was installed last: something of it cannot be read any more. The file is still there. */
  reinstall(identity: SnapshotIdentity): void {
    this.#isToReinstall = true;
    this.#options.clock.later(() => {
      this.#isToReinstall = false;
      if (!this.#stopped) this.install(identity, identity.index);
    });
  }

  /** Installs the file, which is complete, if it reaches at least so far: what is not older is only replaced where it is of no use. */
  install({ index, term }: SnapshotIdentity, atLeast = this.#options.store.appliedIndex + 1): void {
    const { store, disk, directory, onInstall, onInstalled, onKnown, onFailure } = this.#options;
    this.#fetch = null;
    if (index < atLeast) {
      onKnown(index, term);
      return;
    }
    const cursor = new SnapshotFileCursor(disk, snapshotPath(directory));
    this.#cursor = cursor;
    onInstall();
    const install = (): void =>
      store.install(index, cursor, (error) => {
        if (this.#stopped) return;
        cursor.close();
        this.#cursor = null;
        if (error === null) onInstalled(index, term);
        else onFailure(error);
      });
    if (maybe('slow-install')) this.#pause = this.#options.clock.after(LONG_INSTALL_MS, install);
    else install();
  }
}

/**
 * For the start, before the replica is made: a crash may have come between the store's change and the log's.
 * @returns whether the log was changed and is to be flushed.
 */
export function mendLog(disk: Disk, directory: string, store: Store, log: GroupLog): boolean {
  const path = snapshotPath(directory);
  const identity = readSnapshotIdentity(disk, path);
  if (identity === null || identity.index !== store.flushedIndex) {
    if (disk.exists(path)) disk.remove(path);
    return false;
  }
  const { index, term } = identity;
  const isKnown = index >= log.firstIndex - 1 && index <= log.lastIndex && log.termAt(index) === term;
  if (isKnown) return false;
  rarely('a start goes on with the installation of a snapshot');
  log.reset(index, term);
  return true;
}

export function snapshotPath(directory: string): string {
  return `${directory}/snapshot`;
}
