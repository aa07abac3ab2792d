/** How a node is set up. */
import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Address, Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import type { GroupId } from '../log/entry.ts';
import type { LogOptions } from '../log/log.ts';
import type { StoreOptions } from '../lsm/store_options.ts';
import type { ProtocolLimits } from '../protocol/command.ts';
import type { RaftTiming } from '../raft/core.ts';
import type { FlowLimits } from '../raft/flow.ts';
import type { NodeId } from '../raft/message.ts';
import type { SnapshotLimits } from '../replica/snapshots.ts';
import type { RouterTimeouts } from './router.ts';

/** `connectionsMax`, unless said otherwise. */
export const CONNECTIONS_MAX = 10_000;

export interface NodeOptions {
  /** Place of this node in `members`, from 1; of a node that was added later, the number that it was given. */
  readonly id: NodeId;
  /**
   * The address of every node that the group was founded with, in the same order on all of them. None for a node that was
   * added later: it is told.
   */
  readonly members: readonly Address[];
  /** Where to listen; `members[id - 1]` unless the node is reached under another address, or was added later. */
  readonly listen?: Address;
  /** What a node that was added later was told of its group: see `Hello`. */
  readonly cluster?: number;
  /** Of the data directory, drawn when it was made: whoever has met it refuses another one under this number. 0: none. */
  readonly identity?: number;
  /**
   * The groups that this node hosts, the same on all nodes; one, of the number 1, unless said. Each has its own leader,
   * members and data; they share the log, its syncs, and one connection to each peer.
   */
  readonly groups?: readonly GroupId[];
  readonly directory: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly network: Network;
  readonly random: Random;
  readonly logger: Logger;
  readonly timing?: RaftTiming;
  readonly flow?: Partial<FlowLimits>;
  readonly snapshots?: Partial<SnapshotLimits>;
  /** See `CoreOptions`; the same on all nodes. */
  readonly clockDriftPpmMax?: number | null;
  /** See `StateDigest`; 1024 unless said. Nodes that do not agree on it do not compare what they have applied. */
  readonly digestWindowEntries?: number;
  readonly limits?: ProtocolLimits;
  readonly timeouts?: RouterTimeouts;
  readonly log?: Tuning<LogOptions>;
  readonly store?: Tuning<StoreOptions>;
  /** Connections at a time, those of other nodes counted; a further client is told so and its connection closed. */
  readonly connectionsMax?: number;
  /** The node met what it cannot go on with. It has stopped. */
  readonly onFailure: (error: Error) => void;
}

export type Tuning<Options> = Omit<Options, 'disk' | 'directory' | 'clock' | 'logger'>;

/** The group that connections address until they say otherwise, and the one that every node hosts. */
export const FIRST_GROUP: GroupId = 1;
