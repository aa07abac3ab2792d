/** What a simulated disk does wrong, and how slow it is. Everything is off unless switched on. */
export interface DiskFaults {
  /** How long a sync takes, of a file or a directory, in microseconds; drawn evenly. */
  readonly syncUs: LatencyRange;
  /** Of a thousand syncs, how many take `longTailUs` instead. */
  readonly longTailPermille: number;
  readonly longTailUs: LatencyRange;
  /** Of a million reads, how many fail with EIO; the same read may succeed the next time. */
  readonly readErrorPerMillion: number;
  /** Of a million appends, how many fail with EIO after writing a part. */
  readonly writeErrorPerMillion: number;
  /** Of a million syncs, how many fail, having written any part of what they covered: no later sync makes it durable. */
  readonly syncErrorPerMillion: number;
  /** Of a million operations that change the disk, inside how many the process crashes. */
  readonly crashInsidePerMillion: number;
  /** Bytes that the files may hold together; beyond that, ENOSPC. */
  readonly capacityBytes: number;
  /** Overwrites each view with 0xdb at the end of the event in which it was handed out. Makes every view a copy. */
  readonly poisonViews: boolean;
}

export interface LatencyRange {
  readonly min: number;
  readonly max: number;
}

export const NO_DISK_FAULTS: DiskFaults = {
  syncUs: { min: 100, max: 1000 },
  longTailPermille: 0,
  longTailUs: { min: 10_000, max: 500_000 },
  readErrorPerMillion: 0,
  writeErrorPerMillion: 0,
  syncErrorPerMillion: 0,
  crashInsidePerMillion: 0,
  capacityBytes: Number.MAX_SAFE_INTEGER,
  poisonViews: false,
};
