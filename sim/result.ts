/** What a run of a world is asked for, and what comes of it. */

/** What a run amounts to. `failure` is null when every check held. */
export interface RunResult {
  readonly seed: string;
  readonly failure: Failure | null;
  readonly simulatedSeconds: number;
  readonly events: number;
  readonly operations: number;
  /** Of which so many were held at most, for the check of linearizability. */
  readonly operationsHeldMax: number;
  /** 1 when the history had to be checked as a whole, as its pieces were too hard; else 0. */
  readonly wholeChecks: number;
  /** 1 when the whole was too hard as well: whether the history is linearizable is not known; else 0. */
  readonly undecided: number;
  /** Strokes that broke something. */
  readonly faults: number;
  readonly crashes: number;
  readonly elections: number;
  readonly entries: number;
  /** Names of the `sometimes` marks that the run reached, sorted. */
  readonly marks: readonly string[];
  /** Times that a disk failed or was harmed. */
  readonly injuries: number;
  /** Machines that are down for good. */
  readonly machinesLost: number;
  /** 1 when too many machines were harmed for the cluster to serve again, and it did not; else 0. */
  readonly waited: number;
  readonly hash: string;
}

export interface Failure {
  readonly check: string;
  readonly message: string;
}

/** It was a trial that failed, not the cluster: there is no schedule of it. */
export function isOfTrial(failure: Pick<Failure, 'check'>): boolean {
  return failure.check.endsWith(' trial');
}

export interface RunOptions {
  readonly stormMs: number;
  /** What is put through its trials beside the cluster: all parts unless said. */
  readonly trials?: 'all' | 'none';
  /** One line per traced event. */
  readonly onLine?: (line: string) => void;
}
