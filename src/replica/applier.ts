/**
 * Applies what is committed to the state machine, in order, a share in each turn. An entry is applied only when it is
 * committed and durable here, so tables never cover more than the log does.
 */
import { CorruptionError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import type { Result } from '../kv/request.ts';
import { type Entry, EntryKind } from '../log/entry.ts';
import type { Raft } from '../raft/raft.ts';
import type { Outbox } from './outbox.ts';
import type { Proposals } from './proposals.ts';
import type { ReplicaOptions } from './replica_options.ts';
import type { Snapshots } from './snapshots.ts';
import type { TableMender } from './table_mender.ts';

export interface ApplierOptions extends Pick<ReplicaOptions, 'log' | 'store' | 'stateMachine'> {
  readonly raft: Pick<Raft, 'commitIndex'>;
  readonly proposals: Proposals;
  readonly outbox: Pick<Outbox, 'isHoldingBack'>;
  readonly snapshots: Pick<Snapshots, 'isInstalling'>;
  readonly mender: Pick<TableMender, 'applyLimit' | 'block'>;
  /** Nobody else holds what this node holds. */
  readonly isAlone: () => boolean;
  /** The configuration of this entry is applied. */
  readonly onConfiguration: (entry: Entry) => void;
  readonly planTurn: () => void;
}

/** Entries applied in one turn, so that other work gets its share of the loop. */
const APPLY_ENTRIES_MAX = 1024;
/** Of entries, and of the values that they change or look at: one may exceed it. */
const APPLY_BYTES_MAX = 1024 * 1024;
/** Entries read from the log at a time: what the store does not take any more has to be read again. */
const APPLY_READ_MAX = 128;

export class Applier {
  readonly #options: ApplierOptions;

  constructor(options: ApplierOptions) {
    this.#options = options;
  }

  /** @throws CorruptionError when an entry depends on what is damaged and nobody has another copy. */
  apply(): void {
    const { store, log, raft, mender, outbox, snapshots, stateMachine, planTurn } = this.#options;
    // In a group of one nobody else vouches for the hard state: nothing is decided before it is durable.
    if (outbox.isHoldingBack || snapshots.isInstalling) return;
    const target = Math.min(raft.commitIndex, log.durableIndex, mender.applyLimit);
    let applied = 0;
    let bytes = 0;
    // Asked before the entries are read: while the store holds writers up, turns must not read them over and over.
    while (store.writable && store.appliedIndex < target && applied < APPLY_ENTRIES_MAX) {
      const from = store.appliedIndex + 1;
      const until = Math.min(target, from + APPLY_READ_MAX - 1);
      const entries = log.entries(from, until + 1, APPLY_BYTES_MAX);
      // The next one has turned out to be damaged: it is mended first.
      if (entries.length === 0) return;
      for (const entry of entries) {
        if (!store.writable) {
          sometimes('the store holds the replica up');
          return;
        }
        if (!this.#applyIfReadable(entry)) return;
        applied++;
        bytes += entry.payload.length + (entry.kind === EntryKind.Command ? stateMachine.touchedBytes : 0);
        if (bytes >= APPLY_BYTES_MAX) break;
      }
      if (bytes >= APPLY_BYTES_MAX) break;
    }
    // Otherwise `onWritable` plans the next turn.
    if (store.writable && store.appliedIndex < target) planTurn();
  }

  /**
   * False when the entry depends on what is damaged here. The others go on with what this replica cannot know, so nothing of
   * it is left, and nothing behind it is applied before the damage is mended.
   * @throws CorruptionError when nobody has another copy.
   */
  #applyIfReadable(entry: Entry): boolean {
    const { store, stateMachine, mender, isAlone } = this.#options;
    try {
      this.#applyEntry(entry);
      return true;
    } catch (error) {
      if (!(error instanceof CorruptionError) || isAlone() || !store.noteDamage(error)) throw error;
      store.abandonEntry();
      stateMachine.abandonEntry();
      mender.block();
      return false;
    }
  }

  #applyEntry(entry: Entry): void {
    const { stateMachine, proposals, onConfiguration } = this.#options;
    let result: Result | null = null;
    if (entry.kind === EntryKind.Command) {
      const isWanted = proposals.holds(entry);
      result = stateMachine.apply(entry.index, entry.payload, isWanted ? 'wanted' : 'not-wanted');
    } else if (entry.kind === EntryKind.Configuration) {
      stateMachine.applyConfiguration(entry.index, entry.payload);
      onConfiguration(entry);
    } else stateMachine.applyNothing(entry.index);
    proposals.onApplied(entry, result);
  }
}
