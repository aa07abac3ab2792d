/** What point reads have met in tables since the store was opened. */
export class ReadCounters {
  /** Reads that no memtable could answer, while there are tables. */
  reads = 0;
  /** A filter said that the table does not hold the key: each of these has saved a look into a block. */
  filterNegatives = 0;
  /** A filter let the read pass, or there is none, and the table holds the key. */
  filterTruePositives = 0;
  /** As before, but the table does not hold the key, or nothing that the read may see. */
  filterFalsePositives = 0;
}

/** For who does not count. */
export const UNCOUNTED = new ReadCounters();
