/** What a replica is made of: its parts of the disk, its seams, and how it reaches others. */
import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Random } from '../io/random.ts';
import type { Result } from '../kv/request.ts';
import type { StateMachine } from '../kv/state_machine.ts';
import type { GroupLog } from '../log/group_log.ts';
import type { Store } from '../lsm/store.ts';
import type { Configuration } from '../raft/configuration.ts';
import type { RaftTiming } from '../raft/core.ts';
import type { FlowLimits } from '../raft/flow.ts';
import type { Message, NodeId } from '../raft/message.ts';
import type { Raft } from '../raft/raft.ts';
import type { HardStateFile } from './hard_state_file.ts';
import type { SnapshotMessage } from './snapshot_codec.ts';
import type { SnapshotLimits } from './snapshots.ts';

export interface ReplicaOptions {
  readonly id: NodeId;
  /** Who belongs to the group as long as no entry says more; nobody: this node waits to be told. */
  readonly founders: Configuration;
  readonly timing: RaftTiming;
  readonly flow: FlowLimits;
  /** See `CoreOptions`. */
  readonly clockDriftPpmMax: number | null;
  readonly disk: Disk;
  /** Where a fetched snapshot goes. */
  readonly directory: string;
  readonly snapshots: SnapshotLimits;
  readonly log: GroupLog;
  readonly hardState: HardStateFile;
  readonly store: Store;
  readonly stateMachine: StateMachine;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** A proposal that is not decided after this long is answered `unknown`, a read `unavailable`. */
  readonly answerTimeoutMs: number;
  /** Payload bytes proposed and not applied yet; more is refused. */
  readonly proposalBytesMax: number;
  /** Best effort; a message that cannot be sent is dropped and `onPeerReset` called. */
  readonly send: (to: NodeId, message: Message) => void;
  /** As `send`, of what nodes say to each other to fetch a snapshot. */
  readonly sendSnapshot: (to: NodeId, message: SnapshotMessage) => void;
  /** Writes the log's pending records and starts their sync. */
  readonly flushLog: () => void;
  /** The replica met damage or a failed disk and must not go on. */
  readonly onFailure: (error: Error) => void;
}

/** How a request is answered: called once. */
export type Done = (result: Result) => void;

/** The consensus core, to look at. */
export type RaftView = Omit<
  Raft,
  | 'tick'
  | 'propose'
  | 'readIndex'
  | 'onDurable'
  | 'onHardStateDurable'
  | 'onPeerReset'
  | 'onPeerLost'
  | 'takeOutput'
  | 'step'
  | 'transferLeadership'
  | 'changeMembership'
  | 'restore'
  | 'learn'
>;
