/** `--report FILE`, `--transcript FILE` and `--history FILE`: a run with its record, written to files. */
import { writeFileSync } from 'node:fs';
import { formatHistory } from '../check/history_file.ts';
import { toCalls } from '../check/linearizability.ts';
import { expectWritable } from '../commands/arguments.ts';
import type { RunResult } from '../result.ts';
import type { Scenario } from '../scenario.ts';
import { runScenario, runSeed } from '../world.ts';
import { readCommit } from './commit.ts';
import { recordRun } from './record_run.ts';
import { renderReport } from './render.ts';
import { formatTranscript } from './transcript.ts';

export interface ReportOptions {
  /** Of a run drawn from the seed; a scenario has its own. */
  readonly stormMs: number;
  /** What to write behind `npm run sim -- ` to have the run again. */
  readonly replay: string;
  /** Where to; undefined: not wanted. */
  readonly report: string | undefined;
  readonly transcript: string | undefined;
  readonly history: string | undefined;
  readonly onLine: ((line: string) => void) | null;
}

/** How the arguments are declared, for `parseArgs`. */
export const REPORT_OPTIONS = {
  report: { type: 'string' },
  transcript: { type: 'string' },
  history: { type: 'string' },
} as const;

/**
 * Runs a seed or plays a scenario, and writes what is wanted. Without any of it it is a plain run.
 * @throws UsageError before the run when a file cannot be written
 */
export function runWithReport(subject: string | Scenario, options: ReportOptions): RunResult {
  const { stormMs, replay, report, transcript, history, onLine } = options;
  if (report === undefined && transcript === undefined && history === undefined) {
    if (typeof subject !== 'string') return runScenario(subject, onLine);
    return runSeed(subject, onLine === null ? { stormMs } : { stormMs, onLine });
  }
  for (const file of [report, transcript, history]) expectWritable(file);
  const command = `npm run sim -- ${replay}`;
  const listener = onLine === null ? {} : { onLine };
  const recording = { stormMs, replay: command, commit: readCommit(), ...listener };
  const { result, record, operations } = recordRun(subject, recording);
  if (report !== undefined) writeFileSync(report, renderReport(record));
  if (transcript !== undefined) writeFileSync(transcript, formatTranscript(record));
  if (history !== undefined) writeFileSync(history, formatHistory(operations.flatMap(toCalls)));
  return result;
}
