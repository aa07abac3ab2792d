/**
 * A run written down for people to look at: what happened where and when, as plain JSON. The report shows it, the
 * transcript prints it; neither knows the simulator.
 *
 * All times are virtual, in whole microseconds from the start of the run. Places are lanes, named by their position in
 * `lanes`. The lists are in order of their first time.
 */
import type { WorldOptions } from '../options.ts';

export const RECORD_FORMAT = 1;

export interface RunRecord {
  readonly format: typeof RECORD_FORMAT;
  readonly header: Header;
  readonly lanes: readonly Lane[];
  readonly messages: readonly MessageRecord[];
  readonly spans: readonly SpanRecord[];
  readonly marks: readonly MarkRecord[];
  readonly operations: readonly OperationRecord[];
}

export interface Header {
  readonly seed: string;
  /** Of the sources, as git names it; null when they are not a checkout. */
  readonly commit: string | null;
  /** The one command that plays the run again. */
  readonly replay: string;
  /** The name of the check that failed; null when every check held. */
  readonly check: string | null;
  /** What contradicts the check. */
  readonly message: string | null;
  /** The fingerprint of the run. */
  readonly hash: string;
  readonly endUs: number;
  /** Counts, by name, in the order to be shown. */
  readonly figures: Readonly<Record<string, number>>;
  readonly options: WorldOptions;
}

/** `world` holds what is true between nodes or everywhere: partitions, phases of the run. */
export type LaneKind = 'world' | 'node' | 'client';

export interface Lane {
  readonly kind: LaneKind;
  /** Of the node or client, from 1; 0 for the world. */
  readonly number: number;
  readonly name: string;
}

/**
 * `vote`, `append` and `heartbeat` with their replies are Raft's; `forward` is a command on its way from the node that
 * was asked to the leader, or its result on the way back; `client` is what clients and nodes say to each other;
 * `control` keeps connections alive; `damaged` could not be understood: bits have flipped.
 */
export type MessageKind = 'vote' | 'append' | 'heartbeat' | 'forward' | 'client' | 'control' | 'damaged';

/**
 * `arrived`: came to the machine; `unheard`: came to a machine that knew nothing of the connection any more; `lost`:
 * never came; `flight`: was on its way, or held up, when the run ended.
 */
export type Fate = 'arrived' | 'unheard' | 'lost' | 'flight';

export interface MessageRecord {
  readonly from: number;
  readonly to: number;
  readonly sentUs: number;
  /** When its fate was decided. */
  readonly endUs: number;
  readonly fate: Fate;
  readonly kind: MessageKind;
  readonly isReply: boolean;
  /** Of a Raft message; 0 for others. */
  readonly term: number;
  /** What it is, in a word or two. */
  readonly name: string;
  /** What it says. */
  readonly text: string;
  /** Number of the connection that carried it. */
  readonly connection: number;
}

export type SpanKind =
  /** What role a node plays, in `term`. */
  | 'follower'
  | 'candidate'
  | 'leader'
  /** Of a process: not running; running, but still recovering; not scheduled. */
  | 'down'
  | 'starting'
  | 'paused'
  /** Faults with a duration. */
  | 'partition'
  | 'slow-network'
  | 'slow-cpu'
  | 'slow-disk'
  | 'drift'
  | 'frozen'
  /** A write on its way to the platter. */
  | 'sync'
  /** Parts of the run. */
  | 'phase';

export interface SpanRecord {
  readonly lane: number;
  readonly kind: SpanKind;
  readonly fromUs: number;
  readonly toUs: number;
  /** Of a role; 0 for others. */
  readonly term: number;
  readonly text: string;
}

export type MarkKind =
  | 'elected'
  | 'voted'
  | 'commit'
  | 'crash'
  | 'start'
  /** Something was broken, or mended, at this moment. */
  | 'fault'
  | 'connection'
  | 'disk'
  | 'log'
  /** A check failed here. */
  | 'failure';

export interface MarkRecord {
  readonly lane: number;
  readonly kind: MarkKind;
  readonly atUs: number;
  readonly text: string;
}

/** `unknown`: it may have taken effect, then or later; `refused`: it certainly has not. */
export type Outcome = 'ok' | 'unknown' | 'refused';

export interface OperationRecord {
  /** The client's. */
  readonly lane: number;
  /** Lane of the node that was asked; null when the request never left. */
  readonly node: number | null;
  readonly key: string;
  readonly isWrite: boolean;
  /** What was asked. */
  readonly text: string;
  /** What was told; null when nothing was, or nothing that matters. */
  readonly answer: string | null;
  readonly invokedUs: number;
  /** When the answer came, or the client gave up. */
  readonly endUs: number;
  readonly outcome: Outcome;
  /** It is part of what contradicts a check. */
  readonly isOffending: boolean;
}
