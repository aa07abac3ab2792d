/**
 * Runs a seed or plays a scenario, and records it. The run is the same as without in storms of up to a minute; in longer ones
 * clients would pause for the history to be forgotten, which is kept here.
 */
import type { Operation } from '../check/history.ts';
import { type Failure, isOfTrial, type RunResult } from '../result.ts';
import type { Scenario } from '../scenario.ts';
import { World } from '../world.ts';
import type { RunRecord } from './record.ts';
import { Recorder } from './recorder.ts';

export interface RecordOptions {
  /** Of a run drawn from the seed; a scenario has its own. */
  readonly stormMs: number;
  /** The command that plays the run again. */
  readonly replay: string;
  /** Of the sources; null when unknown. */
  readonly commit: string | null;
  readonly onLine?: (line: string) => void;
}

export interface RecordedRun {
  readonly result: RunResult;
  readonly record: RunRecord;
  /** What the clients asked and were told. */
  readonly operations: readonly Operation[];
}

/** @param subject A seed, or a scenario to be played. */
export function recordRun(subject: string | Scenario, options: RecordOptions): RecordedRun {
  const script = typeof subject === 'string' ? null : subject;
  const seed = typeof subject === 'string' ? subject : subject.seed;
  let recorder: Recorder | null = null;
  const world = new World(seed, script, options.onLine ?? null, (topology) => {
    recorder = new Recorder(topology);
    return recorder;
  });
  const result = world.run(script?.stormMs ?? options.stormMs);
  const { events, operations, entries, elections, faults, crashes } = result;
  const record = (recorder as Recorder | null)?.finish({
    seed,
    commit: options.commit,
    replay: options.replay,
    check: result.failure?.check ?? null,
    message: result.failure === null ? null : messageOf(result.failure),
    hash: result.hash,
    figures: { events, operations, 'entries committed': entries, elections, faults, crashes },
    options: world.options,
    operations: world.history.operations(),
  });
  if (record === undefined) throw new Error('a world makes its probe when it is made');
  return { result, record, operations: world.history.operations() };
}

/** The record is of the cluster: whoever reads it must not look there for what a trial has found. */
function messageOf(failure: Failure): string {
  if (!isOfTrial(failure)) return failure.message;
  return `${failure.message}\n\nThat was found in a trial of one part alone. The cluster that is shown here held all its checks.`;
}
