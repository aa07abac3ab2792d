/**
 * What a leader keeps under way at most. Every queue of the core has its bound here, so that neither a follower that
 * is slow or gone nor clients that are faster than the disks make it grow.
 */
export interface FlowLimits {
  /** Payload bytes in one append; a single larger entry still travels. */
  readonly appendBytesMax: number;
  /** Entries in one append. */
  readonly appendEntriesMax: number;
  /** Appends to one follower in one turn; more wait for the next, so that short entries, which are many, take no turn for long. */
  readonly appendsPerTurnMax: number;
  /** Unanswered appends to one follower. */
  readonly inFlightMax: number;
  /** Payload bytes in them; one append may exceed it. */
  readonly inFlightBytesMax: number;
  /** Payload bytes proposed in this leadership and not committed; one proposal may exceed it. More are refused. */
  readonly uncommittedBytesMax: number;
}

export const DEFAULT_FLOW: FlowLimits = {
  appendBytesMax: 1024 * 1024,
  appendEntriesMax: 1024,
  appendsPerTurnMax: 1,
  inFlightMax: 64,
  inFlightBytesMax: 8 * 1024 * 1024,
  uncommittedBytesMax: 64 * 1024 * 1024,
};
